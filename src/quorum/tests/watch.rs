//! What must hold in every run, judged from outside by what brokers do and have on disk.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::{Disk, Entry, index};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::quorum::LogView;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    /// Who led each epoch.
    leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// What any member said is committed.
    committed: Vec<Entry>,
    /// The epoch of whoever said so first, for each of them.
    committed_in: Vec<LeaderEpoch>,
    /// The first thing that must not happen.
    pub violation: Option<String>,
    /// How often rare things happened: a simulation that never sees them proves nothing.
    pub sometimes: BTreeMap<&'static str, u64>,
}

impl Watch {
    pub fn saw(&mut self, what: &'static str) {
        *self.sometimes.entry(what).or_default() += 1;
    }

    pub fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// K1, and K2 for the new leader's log.
    pub fn led(&mut self, leader: BrokerId, epoch: LeaderEpoch, disk: &Disk) {
        if let Some(other) = self.leaders.insert(epoch, leader) {
            self.violated(format!("K1: {other} and {leader} led epoch {epoch}"));
        }
        // One that was elected long ago and learns of it late knows less, and can commit nothing.
        let before = self.committed_in.partition_point(|known| *known < epoch);
        if !disk.log.starts_with(&self.committed[..before]) {
            self.violated(format!("K2: {leader} leads without what was committed"));
        }
    }

    /// K2 and K3 for any member, K4 for a leader.
    pub fn committed(
        &mut self,
        who: BrokerId,
        epoch: LeaderEpoch,
        before: Option<Offset>,
        to: Offset,
        disk: &Disk,
    ) {
        if before.is_some_and(|before| before >= to) {
            self.violated(format!("K3: {who} went from {before:?} to {to}"));
        }
        let Some(prefix) = disk.log.get(..index(to)) else {
            return self.violated(format!("K2: {who} committed {to} past its log end"));
        };
        let known = prefix.len().min(self.committed.len());
        if prefix[..known] != self.committed[..known] {
            return self.violated(format!("K2: {who} committed another prefix below {to}"));
        }
        self.committed.extend_from_slice(&prefix[known..]);
        let last = self.committed_in.last().copied();
        let epoch = last.map_or(epoch, |last| last.max(epoch));
        self.committed_in.resize(self.committed.len(), epoch);
    }

    /// K4: a majority has it on disk, and its last record is of the leader's epoch.
    pub fn leader_committed<'a>(
        &mut self,
        epoch: LeaderEpoch,
        to: Offset,
        leader: &Disk,
        voters: impl Iterator<Item = &'a Disk>,
        majority: usize,
    ) {
        let to = index(to);
        let Some(last) = to.checked_sub(1).and_then(|at| leader.log.get(at)) else {
            return;
        };
        if last.epoch != epoch {
            self.violated(format!(
                "K4: epoch {epoch} committed a record of {}",
                last.epoch
            ));
        }
        let have = voters
            .filter(|disk| disk.synced >= to && disk.log.get(..to) == leader.log.get(..to))
            .count();
        if have < majority {
            self.violated(format!("K4: {to} committed with {have} copies synced"));
        }
    }

    /// A follower is told to cut its log.
    pub fn cut(&mut self, who: BrokerId, at: Offset, committed: Option<Offset>, disk: &Disk) {
        self.saw("a diverging log was cut");
        if committed.is_some_and(|committed| at < committed) {
            self.violated(format!("K3: {who} cuts at {at} what is committed"));
        }
        if at >= disk.end() {
            self.violated(format!("{who} cuts nothing at {at}"));
        }
    }

    /// A leader that a majority of voters did not fetch from for so long must have stepped down.
    pub fn heard(
        &mut self,
        leader: BrokerId,
        now: Time,
        heard: &BTreeSet<(Time, BrokerId)>,
        needed: usize,
        patience_ms: i64,
    ) {
        let last = heard.iter().rev().nth(needed.saturating_sub(1));
        if needed > 0 && last.is_some_and(|(at, _)| at.plus_ms(patience_ms) < now) {
            self.violated(format!("{leader} leads without hearing a majority"));
        }
    }
}
