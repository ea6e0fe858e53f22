//! Vote (52), BeginQuorumEpoch (53), EndQuorumEpoch (54), FetchSnapshot (59): between the members of the metadata
//! quorum.
//!
//! The quorum answers; a vote is written down and synced before its answer leaves. Only brokers of a cluster
//! answer these.
//!
//! Differs from Apache Kafka: endpoints are never told, voters know each other's addresses; a piece of a snapshot has
//! at most 1 MiB.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use crate::quorum::{MAX_SNAPSHOT_PIECE_BYTES, SnapshotAsked, SnapshotVerdict};
use crate::wire::messages::begin_quorum_epoch::BeginQuorumEpochRequest;
use crate::wire::messages::end_quorum_epoch::EndQuorumEpochRequest;
use crate::wire::messages::fetch_snapshot::{FetchSnapshotRequest, FetchSnapshotResponse};
use crate::wire::messages::vote::VoteRequest;
use crate::wire::{ErrorCode, Reader};

/// What is said where there is no quorum.
const NO_QUORUM: &str = "a broker alone has no quorum";

pub(super) fn answer_vote(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = VoteRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| quorum.on_vote(now, log, &request));
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_begin(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = BeginQuorumEpochRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| {
        quorum.on_begin_quorum_epoch(now, log, &request)
    });
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_end(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = EndQuorumEpochRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| {
        quorum.on_end_quorum_epoch(now, log, &request)
    });
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_fetch_snapshot(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    let request = FetchSnapshotRequest::decode(reader, asked.version)?;
    let response = match SnapshotAsked::from_request(&request) {
        Err(error) => FetchSnapshotResponse {
            error_code: asked.code(error),
            ..FetchSnapshotResponse::default()
        },
        Ok(wanted) => {
            let (now, cluster_id) = (asked.now, request.cluster_id.as_deref());
            let verdict = broker.with_quorum(now, |quorum, log| {
                quorum.on_fetch_snapshot(now, log, cluster_id, &wanted)
            });
            let Some(verdict) = verdict else {
                return Ok(Answer::Close(NO_QUORUM.to_owned()));
            };
            let most = request.max_bytes.clamp(1, MAX_SNAPSHOT_PIECE_BYTES);
            let most = usize::try_from(most).unwrap_or(1);
            let piece = match verdict {
                SnapshotVerdict::Read { .. } => broker.snapshot_piece(&wanted, most),
                SnapshotVerdict::Refused { error, .. } => Err(error),
            };
            asked.code(piece.as_ref().err().copied().unwrap_or(ErrorCode::None));
            wanted.response(broker.config.id, verdict, piece)
        }
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
