//! DescribeCluster (60): the cluster's id, controller and brokers (KIP-700).
//!
//! Differs from Apache Kafka: the broker's address is the one the client connected to; only broker endpoints
//! can be asked for.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use super::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED};
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use crate::wire::{ErrorCode, Reader};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeClusterRequest::decode(reader, asked.version)?;
    let error = match request.endpoint_type {
        BROKERS => ErrorCode::None,
        CONTROLLERS => ErrorCode::MismatchedEndpointType,
        _ => ErrorCode::UnsupportedEndpointType,
    };
    let mut response = DescribeClusterResponse {
        error_code: asked.code(error),
        cluster_authorized_operations: OPERATIONS_NOT_ASKED,
        ..DescribeClusterResponse::default()
    };
    if error == ErrorCode::None {
        response.cluster_id = broker.config.cluster_id.clone();
        response.controller_id = broker.controller_id().map_or(-1, |id| id.0);
        let brokers = broker.brokers_for(asked.connection).into_iter();
        response.brokers = brokers
            .filter(|broker| request.include_fenced_brokers || !broker.fenced)
            .map(|broker| DescribeClusterBroker {
                broker_id: broker.id.0,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
                is_fenced: broker.fenced,
            })
            .collect();
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
    } else {
        response.error_message = Some("This endpoint is a broker's.".to_owned());
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
