//! Answers of a group's coordinator that wait: for a rebalance, for what was written to be committed, or for there to
//! be a coordinator.

use bytes::Bytes;

use super::Broker;
use super::dispatch::Asked;
use super::group_answers::{GroupAnswer, answer_to};
use super::parked::Waiting;
use crate::group::{Refusal, Reply};
use crate::ids::{ConnectionId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ApiKey;

/// An answer that waits, for a rebalance or for what it tells of to be committed.
#[derive(Debug)]
pub(super) struct GroupWait {
    pub asked: Asked,
    /// `None` while the group has not answered.
    pub answer: Option<GroupAnswer>,
    pub gates: Vec<Gate>,
    /// How long it waits for them to open; `None` while the group has not answered.
    pub until: Option<Time>,
}

/// What must be committed before an answer leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    pub partition: i32,
    pub epoch: LeaderEpoch,
    pub end: Offset,
    /// Which part of the answer it is about.
    pub place: usize,
}

/// A request that waits for its coordinator.
#[derive(Debug)]
pub(super) struct Later {
    pub asked: Asked,
    pub body: Bytes,
}

impl Broker {
    /// A group answers somebody who waited.
    pub(super) fn deliver(&mut self, now: Time, to: ConnectionId, reply: Reply, gate: Gate) {
        let Some(Waiting::Group(wait)) = self.parked.get(to) else {
            return;
        };
        if wait.answer.is_some() {
            return;
        }
        let Some(Waiting::Group(mut wait)) = self.parked.take(to) else {
            return;
        };
        let answer = answer_to(&wait.asked, reply);
        wait.answer = Some(answer);
        wait.gates = vec![gate];
        wait.until = Some(self.committed_by_then(now));
        self.send_or_gate(*wait);
    }

    pub(super) fn refuse_waiting(&mut self, to: ConnectionId, refusal: Refusal) {
        let Some(Waiting::Group(wait)) = self.parked.get(to) else {
            return;
        };
        let answer = match wait.asked.api {
            ApiKey::SyncGroup => Reply::Synced(Err(refusal)),
            _ => Reply::NotJoined(refusal, String::new()),
        };
        if wait.answer.is_some() {
            return;
        }
        if let Some(Waiting::Group(wait)) = self.parked.take(to) {
            let answer = answer_to(&wait.asked, answer);
            let answered = answer.send(&wait.asked);
            self.conclude(&wait.asked, answered);
        }
    }

    /// Has a request wait for its group.
    pub(super) fn await_group(&mut self, asked: &Asked) {
        let wait = GroupWait {
            asked: asked.clone(),
            answer: None,
            gates: Vec::new(),
            until: None,
        };
        let waiting = Waiting::Group(Box::new(wait));
        self.parked.put(asked.connection, None, waiting);
    }

    /// Sends an answer once everything it tells of is committed.
    pub(super) fn answer_once_committed(
        &mut self,
        asked: &Asked,
        answer: GroupAnswer,
        gates: Vec<Gate>,
    ) {
        self.send_or_gate(GroupWait {
            asked: asked.clone(),
            answer: Some(answer),
            gates,
            until: Some(self.committed_by_then(asked.now)),
        });
    }

    /// Until when an answer that is there now may wait for what it tells of.
    fn committed_by_then(&self, now: Time) -> Time {
        let settings = &self.settings;
        now.plus_ms(settings.number(&self.image, "offsets.commit.timeout.ms"))
    }

    fn send_or_gate(&mut self, mut wait: GroupWait) {
        self.open_gates(&mut wait);
        let connection = wait.asked.connection;
        if wait.gates.is_empty() {
            if let Some(answer) = wait.answer {
                let answered = answer.send(&wait.asked);
                self.conclude(&wait.asked, answered);
            }
            return;
        }
        self.groups.gated.insert(connection);
        let until = wait.until;
        let waiting = Waiting::Group(Box::new(wait));
        self.parked.put(connection, until, waiting);
    }

    /// Takes away the gates that are open, and says of what another broker decides now that it does.
    fn open_gates(&self, wait: &mut GroupWait) {
        let GroupWait { answer, gates, .. } = wait;
        gates.retain(|gate| {
            let coordinator = self.groups.by_partition.get(&gate.partition);
            let held = coordinator.filter(|c| c.epoch == gate.epoch && self.still_leads(c));
            let partition = held.and_then(|c| self.partition(c.key));
            match (partition, answer.as_mut()) {
                (Some(_), _) if planted(Plant::TellsUncommitted) => false,
                (Some(partition), _) => partition.high_watermark < gate.end,
                (None, Some(answer)) => {
                    answer.fail(gate.place, Refusal::NotCoordinator);
                    false
                }
                (None, None) => false,
            }
        });
    }

    pub(super) fn answer_gated(&mut self) {
        let gated: Vec<ConnectionId> = self.groups.gated.iter().copied().collect();
        for connection in gated {
            let open = match self.parked.get(connection) {
                Some(Waiting::Group(wait)) => wait.gates.iter().any(|gate| self.is_open(gate)),
                _ => true,
            };
            if !open {
                continue;
            }
            self.groups.gated.remove(&connection);
            if let Some(Waiting::Group(wait)) = self.parked.take(connection) {
                self.send_or_gate(*wait);
            }
        }
    }

    fn is_open(&self, gate: &Gate) -> bool {
        let coordinator = self.groups.by_partition.get(&gate.partition);
        let held = coordinator.filter(|c| c.epoch == gate.epoch && self.still_leads(c));
        let partition = held.and_then(|c| self.partition(c.key));
        partition.is_none_or(|partition| partition.high_watermark >= gate.end)
    }

    /// An answer has waited for its records as long as it may: nobody knows whether they will be committed.
    pub(super) fn time_group_out(&mut self, now: Time, connection: ConnectionId) {
        self.groups.gated.remove(&connection);
        let Some(Waiting::Group(mut wait)) = self.parked.take(connection) else {
            return;
        };
        self.open_gates(&mut wait);
        if let Some(mut answer) = wait.answer {
            for gate in &wait.gates {
                answer.fail(gate.place, Refusal::NotAvailable);
            }
            wait.asked.now = now;
            let answered = answer.send(&wait.asked);
            self.conclude(&wait.asked, answered);
        }
    }

    /// Keeps a request until its coordinator is there.
    pub(super) fn keep_for_later(&mut self, asked: &Asked, body: Bytes) {
        self.groups.later.insert(asked.connection);
        let deadline = asked.patience.get();
        let asked = asked.clone();
        let connection = asked.connection;
        let waiting = Waiting::Later(Box::new(Later { asked, body }));
        self.parked.put(connection, deadline, waiting);
    }

    /// Answers a request that waited for its coordinator; without patience whatever there is to say.
    pub(super) fn answer_later(&mut self, now: Time, connection: ConnectionId, patient: bool) {
        self.groups.later.remove(&connection);
        if let Some(Waiting::Later(later)) = self.parked.take(connection) {
            let Later { mut asked, body } = *later;
            asked.now = now;
            if !patient {
                asked.patience.set(None);
            }
            self.answer_here(&asked, body);
        }
    }
}
