//! The scripted coordinator's half that speaks KIP-848: it shares partitions out itself and hands one over only
//! when its former owner has said that it gave it up.

use std::collections::{BTreeMap, BTreeSet};

use super::coordinator::{Group, Request};
use crate::ids::{Time, TopicId};
use crate::wire::messages::consumer_group_heartbeat as beat;
use crate::wire::{ErrorCode, Reader};

const SESSION_MS: i64 = 45_000;
pub const INTERVAL_MS: i32 = 1_000;

pub type Spot = (TopicId, i32);

#[derive(Debug, Default)]
pub struct Modern {
    pub epoch: i32,
    pub members: BTreeMap<String, Member>,
    target: BTreeMap<String, BTreeSet<Spot>>,
    /// What the last member that joined subscribed to.
    pub subscribed: Option<(Vec<String>, Option<String>)>,
    pub assignor: Option<String>,
}

#[derive(Debug, Default)]
pub struct Member {
    pub epoch: i32,
    instance_id: Option<String>,
    heard: Time,
    /// What it said it has.
    pub owned: BTreeSet<Spot>,
    /// What it was told to have.
    assigned: BTreeSet<Spot>,
}

impl Modern {
    pub fn next_end(&self) -> Option<Time> {
        let ends = self.members.values().map(|m| m.heard.plus_ms(SESSION_MS));
        ends.min()
    }
}

impl Group {
    pub(super) fn tick_modern(&mut self) {
        let now = self.now;
        let late = |m: &Member| m.heard.plus_ms(SESSION_MS) <= now;
        let members = &self.modern.members;
        let late = members
            .iter()
            .filter(|(_, m)| late(m))
            .map(|(id, _)| id.clone());
        for id in late.collect::<Vec<_>>() {
            self.remove_modern(&id);
        }
    }

    fn remove_modern(&mut self, id: &str) {
        if self.modern.members.remove(id).is_some() {
            self.left.push(id.to_owned());
            self.share_out();
        }
    }

    /// Everybody keeps what it has up to its share; the rest goes round.
    fn share_out(&mut self) {
        self.modern.epoch += 1;
        let ids: Vec<String> = self.modern.members.keys().cloned().collect();
        let partitions = self.partitions;
        let all = self
            .names
            .keys()
            .flat_map(|id| (0..partitions).map(|p| (*id, p)));
        let mut free: BTreeSet<Spot> = all.collect();
        let Some(share) = free.len().checked_div(ids.len()) else {
            return;
        };
        let mut more = free.len() % ids.len();
        let mut target: BTreeMap<String, BTreeSet<Spot>> = BTreeMap::new();
        let mut room = BTreeMap::new();
        for id in &ids {
            let most = share + usize::from(more > 0);
            more = more.saturating_sub(1);
            let had = &self.modern.members[id].assigned;
            let kept: BTreeSet<Spot> = had.iter().copied().take(most).collect();
            free.retain(|spot| !kept.contains(spot));
            room.insert(id.clone(), most - kept.len());
            target.insert(id.clone(), kept);
        }
        for id in ids {
            for _ in 0..room[&id] {
                target.get_mut(&id).unwrap().extend(free.pop_first());
            }
        }
        self.modern.target = target;
    }

    pub(super) fn beat(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = beat::ConsumerGroupHeartbeatRequest::decode(reader, request.version).unwrap();
        let id = asked.member_id.clone();
        let known = self.modern.members.get(&id).map(|m| m.epoch);
        let refusal = match (error, asked.member_epoch, known) {
            (ErrorCode::None, ..=0, _) => None,
            (ErrorCode::None, _, None) => Some(ErrorCode::UnknownMemberId),
            (ErrorCode::None, epoch, Some(known)) if epoch != known => {
                Some(ErrorCode::FencedMemberEpoch)
            }
            (ErrorCode::None, ..) => None,
            (error, ..) => Some(error),
        };
        let mut answer = beat::ConsumerGroupHeartbeatResponse {
            member_id: Some(id.clone()),
            heartbeat_interval_ms: INTERVAL_MS,
            ..Default::default()
        };
        if let Some(refusal) = refusal {
            answer.error_code = refusal.code();
            self.reply(request, |w, v| answer.encode(w, v));
            return;
        }
        match asked.member_epoch {
            -1 => self.remove_modern(&id),
            // A static member keeps its place until its session ends.
            -2 => {}
            0 => self.join_modern(&asked),
            _ => {}
        }
        answer.member_epoch = asked.member_epoch;
        if asked.member_epoch >= 0 {
            let tells = asked.topic_partitions.is_some();
            if let Some(told) = asked.topic_partitions {
                let spots = |t: beat::TopicPartitions| {
                    t.partitions.into_iter().map(move |p| (t.topic_id, p))
                };
                let owned = told.into_iter().flat_map(spots).collect();
                self.modern.members.get_mut(&id).unwrap().owned = owned;
            }
            let changed = self.reconcile(&id);
            let member = &self.modern.members[&id];
            answer.member_epoch = member.epoch;
            answer.assignment = (changed || tells).then(|| assignment(&member.assigned));
        }
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn join_modern(&mut self, asked: &beat::ConsumerGroupHeartbeatRequest) {
        let names = asked.subscribed_topic_names.clone().unwrap();
        let regex = asked.subscribed_topic_regex.clone();
        self.modern.subscribed = Some((names, regex));
        self.modern.assignor = asked.server_assignor.clone();
        let same = |m: &Member| m.instance_id.is_some() && m.instance_id == asked.instance_id;
        let former = self.modern.members.iter().find(|(_, m)| same(m));
        let former = former.map(|(id, _)| id.clone());
        let mut member = former.and_then(|id| {
            let target = self.modern.target.remove(&id)?;
            self.modern.target.insert(asked.member_id.clone(), target);
            self.modern.members.remove(&id)
        });
        let returns = member.is_some();
        let member = member.get_or_insert_default();
        member.heard = self.now;
        member.owned.clear();
        member.instance_id = asked.instance_id.clone();
        member.epoch = 0;
        if self.lone {
            self.modern.members.clear();
        }
        self.modern
            .members
            .insert(asked.member_id.clone(), std::mem::take(member));
        if !returns {
            self.share_out();
        }
    }

    /// Moves a member on towards its target; whether it is to have something else now.
    fn reconcile(&mut self, id: &str) -> bool {
        let target = self.modern.target.get(id).cloned().unwrap_or_default();
        let others = self.modern.members.iter().filter(|(other, _)| *other != id);
        let taken: BTreeSet<Spot> = others
            .flat_map(|(_, m)| m.owned.union(&m.assigned).copied())
            .collect();
        let member = self.modern.members.get_mut(id).unwrap();
        member.heard = self.now;
        let assigned: BTreeSet<Spot> = if member.owned.is_subset(&target) {
            member.epoch = self.modern.epoch;
            target.difference(&taken).copied().collect()
        } else {
            member.owned.intersection(&target).copied().collect()
        };
        let changed = assigned != member.assigned;
        member.assigned = assigned;
        changed
    }
}

fn assignment(spots: &BTreeSet<Spot>) -> beat::Assignment {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in spots {
        topics.entry(*topic).or_default().push(*partition);
    }
    let one = |(topic_id, partitions)| beat::TopicPartitions {
        topic_id,
        partitions,
    };
    beat::Assignment {
        topic_partitions: topics.into_iter().map(one).collect(),
    }
}
