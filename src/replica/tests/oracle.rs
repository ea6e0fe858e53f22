//! What must hold over all brokers at any moment, as an observer who sees everything checks it.

use std::collections::BTreeMap;

use super::controller::Image;
use super::world::{Node, Record, Role};
use crate::ids::{BrokerId, LeaderEpoch, Offset};

/// Everything ever known to be committed and acked.
#[derive(Debug, Default)]
pub struct Oracle {
    committed: Vec<Record>,
    pub acked: Vec<(Offset, Record)>,
    acked_checked: usize,
    /// Who led in each epoch.
    leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// The high watermark each leader had last, by broker, incarnation and epoch.
    high_watermarks: BTreeMap<(BrokerId, u32, LeaderEpoch), Offset>,
    checked: (usize, i32, u64),
    /// Up to where each follower's records were compared, and how often its log was cut by then.
    compared: BTreeMap<BrokerId, (u64, usize)>,
}

impl Oracle {
    pub fn check(
        &mut self,
        nodes: &BTreeMap<BrokerId, Node>,
        image: &Image,
        min_insync: usize,
    ) -> Result<(), String> {
        for node in nodes.values().filter(|node| node.up) {
            match &node.role {
                Role::None => {}
                Role::Follower(follower) => {
                    let high_watermark = follower.high_watermark().0 as usize;
                    if high_watermark > self.committed.len() {
                        return Err(format!("H2: {} takes too much for committed", node.id));
                    }
                    follower.check(node.log.facts());
                    self.compare(node, high_watermark)?;
                }
                Role::Leader(leader) => {
                    leader.check();
                    self.check_leader(node, leader, image, min_insync)?;
                }
            }
        }
        let cuts = nodes.values().map(|node| node.log.cuts).sum();
        let state = (self.committed.len(), image.partition_epoch, cuts);
        if self.checked != state {
            self.checked = state;
            self.check_isr(nodes, image)?;
        }
        for (offset, record) in &self.acked[self.acked_checked..] {
            if self.committed.get(offset.0 as usize) != Some(record) {
                return Err(format!(
                    "D1: {record:?} was acked at {offset} and is not there"
                ));
            }
        }
        self.acked_checked = self.acked.len();
        Ok(())
    }

    fn check_leader(
        &mut self,
        node: &Node,
        leader: &super::super::Leader,
        image: &Image,
        min_insync: usize,
    ) -> Result<(), String> {
        let (id, epoch) = (node.id, leader.leader_epoch());
        let high_watermark = leader.high_watermark();
        let leads = *self.leaders.entry(epoch).or_insert(id);
        if leads != id {
            return Err(format!("E1: {leads} and {id} lead in epoch {epoch}"));
        }
        let key = (id, node.incarnation, epoch);
        let before = self.high_watermarks.insert(key, high_watermark);
        let last = before.unwrap_or(Offset::ZERO);
        if high_watermark < last {
            return Err(format!(
                "H1: {id} went from {last} back to {high_watermark}"
            ));
        }
        let needed = min_insync.min(image.replicas.len());
        if before.is_some_and(|last| high_watermark > last) && leader.isr().count() < needed {
            return Err(format!("H3: {id} commits with too few in sync"));
        }
        let current = image.leader == Some(id) && image.leader_epoch == epoch;
        let maximal: Vec<BrokerId> = leader.maximal_isr().collect();
        if current && !image.isr.iter().all(|id| maximal.contains(id)) {
            let isr = &image.isr;
            return Err(format!(
                "E4: the controller has {isr:?}, {id} has {maximal:?}"
            ));
        }
        for offset in last.0 as usize..high_watermark.0 as usize {
            let Some(record) = node.log.records[offset] else {
                continue;
            };
            match self.committed.get(offset) {
                None => self.committed.push(record),
                Some(known) if *known == record => {}
                Some(known) => {
                    return Err(format!(
                        "D3: {id} commits {record:?} at {offset}, where {known:?} was committed"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a follower takes for committed is what was committed (D4).
    fn compare(&mut self, node: &Node, high_watermark: usize) -> Result<(), String> {
        let cuts = node.log.cuts;
        let before = self.compared.insert(node.id, (cuts, high_watermark));
        let same = before.filter(|(then, _)| *then == cuts);
        let from = same.map_or(0, |(_, compared)| compared);
        for offset in from..high_watermark {
            let (own, known) = (node.log.records[offset], self.committed[offset]);
            if own.is_some_and(|own| own != known) {
                let id = node.id;
                return Err(format!("D4: {id} has {own:?} at {offset}, not {known:?}"));
            }
        }
        Ok(())
    }

    /// Whoever may be elected has everything committed, also by a leader that is over and does not know (H2, H3,
    /// E8): a majority is not enough, each must.
    fn check_isr(&self, nodes: &BTreeMap<BrokerId, Node>, image: &Image) -> Result<(), String> {
        for id in &image.isr {
            let held = self.holds_committed(&nodes[id]);
            held.map_err(|lacks| format!("H3: {id} is in sync: {lacks}"))?;
        }
        Ok(())
    }

    fn holds_committed(&self, node: &Node) -> Result<(), String> {
        let have = node.log.records.len();
        if have < self.committed.len() {
            let committed = self.committed.len();
            return Err(format!("it has {have} of {committed} committed records"));
        }
        for (offset, (known, own)) in self.committed.iter().zip(&node.log.records).enumerate() {
            if own.is_some_and(|own| own != *known) {
                return Err(format!("it has {own:?} at {offset}, not {known:?}"));
            }
        }
        Ok(())
    }

    /// After the last fault everything must have come to rest.
    pub fn check_end(&self, nodes: &BTreeMap<BrokerId, Node>, image: &Image) -> Result<(), String> {
        let Some(leader) = image.leader.map(|id| &nodes[&id]) else {
            return Err("liveness: nobody leads".into());
        };
        if image.isr.len() != nodes.len() {
            let isr = &image.isr;
            return Err(format!(
                "liveness: only {isr:?} are in sync: {:?}",
                leader.role
            ));
        }
        if leader.high_watermark().0 != leader.log.end() {
            return Err(format!("liveness: not all is committed: {:?}", leader.role));
        }
        for node in nodes.values() {
            let start = node.log.start.max(leader.log.start) as usize;
            let same = node.log.records.get(start..) == leader.log.records.get(start..);
            if !same || node.high_watermark() != leader.high_watermark() {
                return Err(format!("D4: {} differs from {}", node.id, leader.id));
            }
        }
        Ok(())
    }
}
