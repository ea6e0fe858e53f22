//! The end of a membership, and when there is something to do until then.

use super::coordinator::{Ask, Sent};
use super::events::GroupEvent;
use super::owned::Phase;
use super::{CommitPolicy, GroupConsumer, GroupProtocol, MemberState};
use crate::client::consumer::Place;
use crate::ids::Time;
use crate::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::wire::{ApiKey, Writer};

/// How long leaving may take, commit included, milliseconds.
const LEAVE_PATIENCE_MS: i64 = 5_000;
/// First version of LeaveGroup that names several members.
const FIRST_BATCHED: i16 = 3;

/// A member on its way out.
pub(super) struct Leaving {
    until: Time,
    told: bool,
}

impl GroupConsumer {
    pub(super) fn begin_leaving(&mut self, now: Time) {
        let over = matches!(self.member.state, MemberState::Closed | MemberState::Failed);
        if over || self.leaving.is_some() {
            return;
        }
        self.take_back_staged();
        self.busy_since = None;
        let until = now.plus_ms(LEAVE_PATIENCE_MS);
        self.leaving = Some(Leaving { until, told: false });
        let all: Vec<Place> = self.owned.keys().cloned().collect();
        for place in &all {
            self.reader.pause(&place.0, place.1, true);
        }
    }

    pub(super) fn step_leaving(&mut self, now: Time) {
        let Some(leaving) = &self.leaving else {
            return;
        };
        let (late, told) = (leaving.until <= now, leaving.told);
        if late {
            self.on_left();
            return;
        }
        let commits = self.config.commit != CommitPolicy::Never && self.is_in_group();
        let open = self.commits.in_flight || (commits && self.uncommitted().next().is_some());
        if told || open {
            return;
        }
        if !self.must_tell() {
            self.on_left();
        } else if self.send_leave(now, "the consumer was closed")
            && let Some(leaving) = &mut self.leaving
        {
            leaving.told = true;
        }
    }

    /// Whether the coordinator is to hear that the member goes.
    fn must_tell(&self) -> bool {
        match self.config.protocol {
            GroupProtocol::Classic { .. } => {
                !self.member.id.is_empty() && self.config.instance_id.is_none()
            }
            GroupProtocol::Consumer { .. } => self.member.state != MemberState::Unjoined,
        }
    }

    /// Tells the coordinator that the member goes; false if it cannot be told now, or need not be.
    pub(super) fn send_leave(&mut self, now: Time, why: &str) -> bool {
        if !self.must_tell() {
            return false;
        }
        let lane = self.free_lane();
        if let GroupProtocol::Consumer { .. } = self.config.protocol {
            let request = self.leave_request();
            let write = |writer: &mut Writer, version| request.encode(writer, version);
            let ask = Ask::of(ApiKey::ConsumerGroupHeartbeat, lane);
            return self.ask_coordinator(now, ask, Sent::Leave, write);
        }
        let group_id = self.config.group_id.clone();
        let member_id = self.member.id.clone();
        let why = why.to_owned();
        let write = |writer: &mut Writer, version| {
            let mut request = LeaveGroupRequest {
                group_id,
                ..LeaveGroupRequest::default()
            };
            if version < FIRST_BATCHED {
                request.member_id = member_id;
            } else {
                request.members.push(MemberIdentity {
                    member_id,
                    group_instance_id: None,
                    reason: Some(why),
                });
            }
            request.encode(writer, version)
        };
        let ask = Ask::of(ApiKey::LeaveGroup, lane);
        self.ask_coordinator(now, ask, Sent::Leave, write)
    }

    /// The coordinator has heard, or will find out.
    pub(super) fn on_left(&mut self) {
        if self.leaving.take().is_none() {
            return;
        }
        self.release = None;
        let partitions: Vec<Place> = self.owned.keys().cloned().collect();
        self.drop_places(&partitions);
        if !partitions.is_empty() {
            self.events.add(GroupEvent::Revoked { partitions });
        }
        self.forget_membership();
        self.member.state = MemberState::Closed;
        self.events.add(GroupEvent::Closed);
    }

    /// Every moment there may be something to do.
    pub(super) fn wakeups(&self) -> impl Iterator<Item = Time> + '_ {
        let failed = self.owned.values().filter_map(|owned| match &owned.phase {
            Phase::Failed { again, .. } => *again,
            _ => None,
        });
        let patience_ms = i64::from(self.config.max_poll_interval_ms);
        let release = self.release.as_ref();
        [
            self.coordinator.not_before,
            self.member.not_before,
            self.poll_deadline(),
            release.map(|release| release.since.plus_ms(patience_ms)),
            self.leaving.as_ref().map(|leaving| leaving.until),
        ]
        .into_iter()
        .chain(self.classic_wakeups())
        .chain([self.modern_wakeup()])
        .chain(self.commit_wakeups())
        .flatten()
        .chain(failed)
    }
}
