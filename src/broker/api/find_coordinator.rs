//! FindCoordinator (10): who coordinates a group.
//!
//! The first one to ask has `__consumer_offsets` made. Until it is there and led the request waits a second, so that
//! clients need not come again. Batched from version 4 on (KIP-699).
//!
//! Differs from Apache Kafka: `__consumer_offsets` has as many replicas as there are brokers, where those are fewer
//! than `offsets.topic.replication.factor`; nobody coordinates transactions and share groups yet, so that their keys
//! are COORDINATOR_NOT_AVAILABLE, which clients retry.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use crate::group::OFFSETS_TOPIC;
use crate::metadata::decide::{NewTopic, create_topic};
use crate::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use crate::wire::{ErrorCode, Reader};

/// First version that asks for several keys at once.
const BATCHED: i16 = 4;
/// Group, transaction, share group.
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=2;
const GROUP: i8 = 0;
const NOBODY: &str = "This broker coordinates no transactions and no share groups yet.";
const NOT_YET: &str = "The coordinator is not available.";

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = FindCoordinatorRequest::decode(reader, asked.version)?;
    check_entries(request.coordinator_keys.len())?;
    let keys = match asked.version >= BATCHED {
        true => request.coordinator_keys,
        false => vec![request.key],
    };
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        match broker.find_coordinator(asked, request.key_type, key) {
            Some(coordinator) => found.push(coordinator),
            None => return Ok(Answer::Later),
        }
    }
    let mut response = FindCoordinatorResponse::default();
    if asked.version >= BATCHED {
        response.coordinators = found;
    } else if let Some(one) = found.pop() {
        response.error_code = one.error_code;
        response.error_message = one.error_message.filter(|_| asked.version >= 1);
        response.node_id = one.node_id;
        response.host = one.host;
        response.port = one.port;
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    /// Who coordinates; `None` if that may be known soon.
    fn find_coordinator(&mut self, asked: &Asked, kind: i8, key: String) -> Option<Coordinator> {
        let nobody = |error: ErrorCode, why: &str| Coordinator {
            key: key.clone(),
            node_id: -1,
            port: -1,
            error_code: asked.code(error),
            error_message: Some(why.to_owned()),
            ..Coordinator::default()
        };
        if !KEY_TYPES.contains(&kind) {
            return Some(nobody(ErrorCode::InvalidRequest, "Unknown key type."));
        }
        if kind != GROUP {
            return Some(nobody(ErrorCode::CoordinatorNotAvailable, NOBODY));
        }
        if key.is_empty() {
            return Some(nobody(ErrorCode::InvalidGroupId, "A group has a name."));
        }
        self.make_offsets_topic(asked);
        let leader = self.coordinator_of(&key);
        let mut brokers = self.brokers_for(asked.connection).into_iter();
        let reached = brokers.find(|broker| Some(broker.id) == leader && !broker.fenced);
        match reached {
            Some(reached) => Some(Coordinator {
                key,
                node_id: reached.id.0,
                host: reached.host,
                port: reached.port,
                error_code: 0,
                error_message: None,
            }),
            None if asked.patience.get().is_some() => None,
            None => Some(nobody(ErrorCode::CoordinatorNotAvailable, NOT_YET)),
        }
    }

    /// Makes `__consumer_offsets` unless it is there.
    fn make_offsets_topic(&mut self, asked: &Asked) {
        if self.image.topic_named(OFFSETS_TOPIC).is_some() {
            return;
        }
        let number = |name: &str| self.settings.number(&self.image, name);
        // Nobody adds replicas later: whoever asks while the cluster starts must not get a topic of one replica.
        let registered = self.image.brokers().count();
        let wanted = number("offsets.topic.replication.factor");
        let possible = i64::try_from(registered.max(1)).unwrap_or(1);
        let expected = i64::try_from(self.config.voters.len()).unwrap_or(i64::MAX);
        if possible < wanted.min(expected) {
            return;
        }
        let segment = number("offsets.topic.segment.bytes").to_string();
        let config = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let topic = NewTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: i32::try_from(number("offsets.topic.num.partitions")).unwrap_or(50),
            replication_factor: i16::try_from(wanted.min(possible)).unwrap_or(1),
            configs: vec![
                config("cleanup.policy", "compact"),
                config("compression.type", "producer"),
                config("segment.bytes", &segment),
            ],
            ..NewTopic::default()
        };
        if !self.is_controller() {
            return self.ask_for_topic(asked.now, &topic);
        }
        if self.facts().image.topic_named(OFFSETS_TOPIC).is_some() {
            // It is written and not committed yet.
            return;
        }
        let id = self.fresh_topic_id();
        if let Ok(records) = create_topic(self.facts(), &topic, id) {
            let who = self.connections.who(asked.connection);
            let cause = format!("a group's coordinator is {who}");
            // What cannot be written now is tried again by the next one who asks.
            let _written = self.commit(asked.now, &records, &cause);
        }
    }
}
