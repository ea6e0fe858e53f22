//! Leaving a group of the new protocol: by one's own will, for a while, or because one was not heard.

use super::Refusal;
use super::after;
use super::alarms::Alarm;
use super::consumer::{AWAY, Clock};
use super::consumer_heartbeat::ConsumerHeard;
use super::consumer_record::{ConsumerPart, Current, GroupEpoch, MemberState};
use super::kind::GroupKind;
use super::partitions::Partitions;
use super::shard::Shard;
use super::turn::{Caller, Turn};
use crate::ids::Time;
use crate::metadata::Image;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

impl Shard {
    pub(super) fn consumer_leave(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerHeard, Refusal> {
        let (name, id) = (&request.group_id, &request.member_id);
        let group = self.consumer(name).ok_or(Refusal::GroupNotFound)?;
        let found = match request.instance_id.as_deref() {
            Some(instance) => group.by_instance(instance),
            None => group.members().get_key_value(id),
        };
        let (known, member) = found.ok_or(Refusal::UnknownMember)?;
        if known != id {
            return Err(Refusal::FencedInstance);
        }
        if request.member_epoch == AWAY {
            let current = member.current.clone();
            self.go_away(turn, name, id, current);
        } else {
            let why = format!("{id} left");
            self.end_membership(turn, caller.now, caller.topics, name, &[id], why);
        }
        Ok(ConsumerHeard {
            member_id: id.clone(),
            epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// A static member is away: what it has stays its own until its session is over.
    fn go_away(&mut self, turn: &mut Turn, name: &str, id: &str, current: Current) {
        let current = Some(Current {
            epoch: AWAY,
            state: MemberState::Stable,
            revoking: Partitions::default(),
            ..current
        });
        let part = ConsumerPart::Current {
            id: id.to_owned(),
            current,
        };
        self.write_part(turn, name, part);
        if let Some(clock) = self.clock(name, id) {
            clock.step_by = None;
        }
    }

    /// Members are out: what they had is free, and the others are to share it. If all that are left speak the classic
    /// protocol, the group does so from now on.
    pub(super) fn end_membership(
        &mut self,
        turn: &mut Turn,
        now: Time,
        topics: &Image,
        name: &str,
        ids: &[&String],
        why: String,
    ) {
        for id in ids {
            self.remove_member(turn, name, id);
        }
        self.drop_patterns(turn, name);
        if self.may_downgrade(name) {
            return self.downgrade(turn, now, topics, name, why);
        }
        let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return;
        };
        group.why = why;
        // It may have been the only one to subscribe to a topic: that is looked at with the next heartbeat.
        group.topics_seen = 0;
        let epoch = Some(GroupEpoch {
            epoch: group.epoch().wrapping_add(1).max(1),
            topics_hash: group.kept.topics_hash,
        });
        self.write_part(turn, name, ConsumerPart::Group(epoch));
    }

    /// Writes that there is no such member any more.
    pub(super) fn remove_member(&mut self, turn: &mut Turn, name: &str, id: &str) {
        let id = || id.to_owned();
        let parts = [
            ConsumerPart::Current {
                id: id(),
                current: None,
            },
            ConsumerPart::Target {
                id: id(),
                partitions: None,
            },
            ConsumerPart::Member {
                id: id(),
                about: None,
            },
        ];
        for part in parts {
            self.write_part(turn, name, part);
        }
        self.alarms.forget(name, &Alarm::Session(id()));
        self.alarms.forget(name, &Alarm::Step(id()));
    }

    /// Writes that there is no such group any more; what it committed stays.
    pub(super) fn end_consumer_group(&mut self, turn: &mut Turn, name: &str) {
        self.drop_patterns(turn, name);
        self.write_part(turn, name, ConsumerPart::TargetEpoch(None));
        self.write_part(turn, name, ConsumerPart::Group(None));
    }

    pub(super) fn clock(&mut self, name: &str, id: &str) -> Option<&mut Clock> {
        match self.groups.get_mut(name).map(|group| &mut group.kind) {
            Some(GroupKind::Consumer(group)) => group.clocks.get_mut(id),
            _ => None,
        }
    }

    /// Looks whether what was waited for from a member has come.
    pub(super) fn on_consumer_alarm(
        &mut self,
        turn: &mut Turn,
        now: Time,
        topics: &Image,
        name: &str,
        alarm: Alarm,
    ) {
        let group = self.consumer(name);
        let member = |id| group.and_then(|group| group.members().get(id));
        let (session_ms, is_classic) = match &alarm {
            Alarm::Session(id) | Alarm::Step(id) => member(id)
                .map(|m| (self.config.session_timeout_ms(m), m.is_classic()))
                .unwrap_or_default(),
            // Of the classic group it was.
            Alarm::Pending(_) | Alarm::Rebalance => return,
        };
        let (id, until, why) = match &alarm {
            Alarm::Session(id) => {
                let until = self.clock(name, id).map(|clock| clock.session_until);
                let why = format!("{id} was not heard for {session_ms} ms");
                (id.clone(), until, why)
            }
            Alarm::Step(id) => {
                let until = self.clock(name, id).and_then(|clock| clock.step_by);
                let what = match is_classic {
                    true => "join again or sync",
                    false => "give up its partitions",
                };
                let why = format!("{id} did not {what} in time");
                (id.clone(), until, why)
            }
            Alarm::Pending(_) | Alarm::Rebalance => return,
        };
        match until {
            Some(until) if until > now => self.alarms.set(until, name, alarm),
            Some(_) => {
                self.end_membership(turn, now, topics, name, &[&id], why);
                self.tell_consumer_state(turn, now, name);
            }
            None => {}
        }
    }

    /// Begins to count sessions after its records were read.
    pub(super) fn resume_consumer(&mut self, now: Time, name: &str) {
        let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return;
        };
        group.told = group.state();
        group.since_ms = now.as_ms();
        for (id, member) in &group.kept.members {
            let until = after(now, self.config.session_timeout_ms(member));
            let revokes = member.current.state == MemberState::UnrevokedPartitions;
            let by = after(now, member.about.rebalance_timeout_ms);
            let clock = Clock {
                session_until: until,
                step_by: revokes.then_some(by),
            };
            group.clocks.insert(id.clone(), clock);
            self.alarms.set(until, name, Alarm::Session(id.clone()));
            if revokes {
                self.alarms.set(by, name, Alarm::Step(id.clone()));
            }
        }
    }
}
