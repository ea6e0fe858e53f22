//! Produces with acks=all in a cluster: they wait for the in-sync replicas.
//!
//! Each partition a produce waits at knows it and wakes it when the high watermark moves or another leads. What was
//! appended stays appended whatever the answer: NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER_OR_FOLLOWER and
//! REQUEST_TIMED_OUT say that the outcome is not known here.
//!
//! Differs from Apache Kafka: with durability `batch` a replica counts only with what it has synced.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use super::super::parked::Waiting;
use super::super::partition::{PartitionKey, Role};
use super::super::replicas::partition_of;
use super::produce::ProduceWait;
use crate::ids::ConnectionId;
use crate::replica::Acked;
use crate::wire::ErrorCode;
use crate::wire::messages::produce::ProduceResponse;

impl Broker {
    /// Answers a produce when its replicas have it, or has it wait for them.
    pub(super) fn wait_for_replicas(&mut self, mut wait: ProduceWait) -> Answered {
        self.settle_acks(&mut wait);
        if wait.pending.is_empty() {
            return self.finish_produce(&wait.asked, wait.acks, &wait.response);
        }
        let connection = wait.asked.connection;
        for key in &wait.waits_at {
            if let Some(partition) = partition_of(&mut self.topics, *key) {
                partition.ack_waiters.insert(connection);
            }
        }
        let deadline = wait.deadline;
        let waiting = Waiting::Produce(Box::new(wait));
        self.parked.put(connection, deadline, waiting);
        Ok(Answer::Parked)
    }

    /// Takes out of what is pending what is decided by now.
    fn settle_acks(&self, wait: &mut ProduceWait) {
        for one in std::mem::take(&mut wait.pending) {
            let acked = match self.partition(one.key).map(|partition| &partition.role) {
                Some(Role::Leader(leader)) if leader.leader_epoch() == one.leader_epoch => {
                    Some(leader.acked(one.next))
                }
                _ => None,
            };
            match acked {
                Some(Acked::Yes) => {}
                Some(Acked::Waiting) => wait.pending.push(one),
                Some(Acked::TooFew) => {
                    wait.fail(one.place, ErrorCode::NotEnoughReplicasAfterAppend);
                }
                None => wait.fail(one.place, ErrorCode::NotLeaderOrFollower),
            }
        }
    }

    /// Looks again at a produce that waits for replicas.
    pub(in crate::broker) fn retry_produce(&mut self, connection: ConnectionId) {
        let waits = self.parked.produce(connection);
        if waits.is_none_or(|wait| wait.pending.is_empty()) {
            return;
        }
        let Some(Waiting::Produce(mut wait)) = self.parked.take(connection) else {
            return;
        };
        self.settle_acks(&mut wait);
        if wait.pending.is_empty() {
            self.stop_waiting_for_acks(connection, &wait);
            let answered = self.finish_produce(&wait.asked, wait.acks, &wait.response);
            return self.conclude(&wait.asked, answered);
        }
        let deadline = wait.deadline;
        let waiting = Waiting::Produce(wait);
        self.parked.put(connection, deadline, waiting);
    }

    /// Answers a produce that waited for replicas as long as it may.
    pub(in crate::broker) fn time_produce_out(&mut self, connection: ConnectionId) {
        let Some(Waiting::Produce(mut wait)) = self.parked.take(connection) else {
            return;
        };
        self.settle_acks(&mut wait);
        for one in std::mem::take(&mut wait.pending) {
            wait.fail(one.place, ErrorCode::RequestTimedOut);
        }
        self.stop_waiting_for_acks(connection, &wait);
        let answered = self.finish_produce(&wait.asked, wait.acks, &wait.response);
        self.conclude(&wait.asked, answered);
    }

    /// Undoes what has partitions wake a produce.
    pub(in crate::broker) fn stop_waiting_for_acks(
        &mut self,
        connection: ConnectionId,
        wait: &ProduceWait,
    ) {
        for key in &wait.waits_at {
            if let Some(partition) = partition_of(&mut self.topics, *key) {
                partition.ack_waiters.remove(&connection);
            }
        }
    }

    /// Wakes who waits for what a leader appended.
    pub(super) fn after_leaders_append(
        &mut self,
        key: PartitionKey,
        bytes: usize,
        moved: bool,
        followed: bool,
    ) {
        if moved {
            self.take_leaders_high_watermark(key);
        }
        if followed {
            self.note_appended(key, bytes);
            self.touch(key);
        }
    }
}

impl ProduceWait {
    /// An answer that waits, for nothing in particular yet.
    pub(super) fn new(asked: &Asked, acks: i16, response: ProduceResponse) -> ProduceWait {
        ProduceWait {
            asked: asked.clone(),
            acks,
            response,
            pending: Vec::new(),
            deadline: None,
            waits_at: Vec::new(),
        }
    }

    fn fail(&mut self, (topic, partition): (usize, usize), error: ErrorCode) {
        let answer = &mut self.response.responses[topic].partition_responses[partition];
        answer.error_code = self.asked.code(error);
        answer.base_offset = -1;
    }
}
