//! A partition being changed: who leads it after its replicas, its ISR or the brokers around it changed.
//!
//! Every decision that touches an existing partition goes through a [`Draft`]: put in what shall be different,
//! take the [`PartitionChange`] that follows out. It completes reassignments, keeps the ELR (KIP-966), elects,
//! and never elects outside ISR and ELR without saying so (E3).
//!
//! A leader epoch begins when the leader changes, becomes nobody, or a replica leaves the partition or loses its
//! records, so that what it fetched before is fenced. A changed ISR alone begins none.

use super::Facts;
use crate::ids::BrokerId;
use crate::metadata::{LeaderRecovery, PartitionChange, PartitionImage, Record, TopicImage};
use crate::plants::{Plant, planted};

/// How far an election goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Election {
    /// Only when the leader cannot go on: from the ISR, or the ELR while the ISR is empty.
    Needed,
    /// The preferred leader takes over if it can.
    Preferred,
    /// As `Needed`, and when nobody eligible is left, any live replica: records may be lost.
    Unclean,
}

/// Which brokers may lead: those live in the image, except one that goes and one that comes right now.
#[derive(Clone, Copy)]
pub(super) struct Live<'a> {
    pub facts: Facts<'a>,
    pub going: Option<BrokerId>,
    pub coming: Option<BrokerId>,
}

/// One partition as it shall become.
#[derive(Clone)]
pub(super) struct Draft<'a> {
    now: &'a PartitionImage,
    live: Live<'a>,
    min_insync: usize,
    pub election: Election,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    pub recovery: LeaderRecovery,
    /// A broker that may have lost records: it is eligible no longer.
    pub forgetful: Option<BrokerId>,
    /// A leader epoch begins whoever leads: what replicas fetched until now counts no longer.
    pub renewed: bool,
}

/// What a topic says about its partitions' leaders.
#[derive(Clone, Copy)]
pub(super) struct TopicRules {
    min_insync: usize,
    unclean: bool,
}

impl<'a> Live<'a> {
    /// Exactly the image's live brokers.
    pub fn of(facts: Facts<'a>) -> Live<'a> {
        Live {
            facts,
            going: None,
            coming: None,
        }
    }

    fn has(&self, broker: BrokerId) -> bool {
        self.going != Some(broker)
            && (self.coming == Some(broker) || self.facts.image.is_live(broker))
    }
}

impl TopicRules {
    pub fn of(facts: Facts, topic: &TopicImage) -> TopicRules {
        TopicRules {
            min_insync: facts.settings.min_insync_replicas(facts.image, topic),
            unclean: facts.settings.allows_unclean_election(facts.image, topic),
        }
    }
}

impl<'a> Draft<'a> {
    /// The partition as it is; the election is the furthest its topic allows.
    pub fn new(live: Live<'a>, rules: TopicRules, now: &'a PartitionImage) -> Draft<'a> {
        Draft {
            now,
            live,
            min_insync: rules.min_insync,
            election: match rules.unclean || planted(Plant::ElectsUnclean) {
                true => Election::Unclean,
                false => Election::Needed,
            },
            replicas: now.replicas.clone(),
            isr: now.isr.clone(),
            adding: now.adding.clone(),
            removing: now.removing.clone(),
            recovery: now.recovery,
            forgetful: None,
            renewed: false,
        }
    }

    /// What changes, with the election it implies; `None` when nothing does.
    pub fn finish(mut self) -> Option<PartitionChange> {
        self.complete_reassignment();
        let mut elr = self.eligible();
        let mut last_known: Vec<BrokerId> = self.now.last_known_elr.clone();
        last_known.retain(|broker| self.replicas.contains(broker));
        let (leader, unclean) = self.elect(&elr, &last_known);
        match leader {
            Some(leader) if unclean => {
                self.isr = vec![leader];
                self.recovery = LeaderRecovery::Recovering;
                elr.clear();
            }
            Some(leader) if !self.isr.contains(&leader) => {
                self.isr = vec![leader];
                elr = self.eligible();
            }
            _ => {}
        }
        if leader.is_some() {
            last_known.clear();
        } else if let Some(last) = self.now.leader.filter(|b| self.replicas.contains(b)) {
            last_known = vec![last];
        }
        let left = |broker: &BrokerId| !self.replicas.contains(broker);
        let new_epoch =
            self.renewed || leader != self.now.leader || self.now.replicas.iter().any(left);
        let now = self.now;
        let changed = |list: Vec<BrokerId>, was: &Vec<BrokerId>| (list != *was).then_some(list);
        let change = PartitionChange {
            leader: new_epoch.then_some(leader),
            isr: changed(self.isr, &now.isr),
            replicas: changed(self.replicas, &now.replicas),
            adding: changed(self.adding, &now.adding),
            removing: changed(self.removing, &now.removing),
            elr: changed(elr, &now.elr),
            last_known_elr: changed(last_known, &now.last_known_elr),
            // Said again by each unclean election, so that none is overlooked.
            recovery: (unclean && leader.is_some() || self.recovery != now.recovery)
                .then_some(self.recovery),
        };
        (!change.is_empty()).then_some(change)
    }

    /// Once all added replicas are in sync and something is left without the removed ones, those go.
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let stays = |broker: &BrokerId| !self.removing.contains(broker);
        let isr: Vec<BrokerId> = self.isr.iter().copied().filter(stays).collect();
        if isr.is_empty() || !self.adding.iter().all(|added| isr.contains(added)) {
            return;
        }
        self.replicas.retain(stays);
        self.isr = isr;
        self.adding.clear();
        self.removing.clear();
    }

    /// The ELR that belongs to the ISR: empty when enough are in sync, else whoever was in either before, with
    /// its log whole. Nothing is committed while the ISR is too small, so they have every committed record.
    fn eligible(&self) -> Vec<BrokerId> {
        if self.isr.len() >= self.min_insync.min(self.replicas.len()) {
            return Vec::new();
        }
        let was =
            |broker: &BrokerId| self.now.isr.contains(broker) || self.now.elr.contains(broker);
        let is = |broker: &BrokerId| !self.isr.contains(broker) && self.forgetful != Some(*broker);
        let replicas = self.replicas.iter().copied();
        replicas
            .filter(|broker| was(broker) && is(broker))
            .collect()
    }

    /// Who leads, and whether records may be lost by it.
    fn elect(&self, elr: &[BrokerId], last_known: &[BrokerId]) -> (Option<BrokerId>, bool) {
        let eligible = |broker: BrokerId| {
            let clean = match self.isr.is_empty() {
                true => elr.contains(&broker),
                false => self.isr.contains(&broker),
            };
            clean && self.live.has(broker)
        };
        let preferred = self.replicas.first().copied();
        let preferred = preferred.filter(|_| self.election == Election::Preferred);
        let candidates = preferred.into_iter().chain(self.now.leader);
        let mut candidates = candidates.chain(self.replicas.iter().copied());
        if let Some(leader) = candidates.find(|broker| eligible(*broker)) {
            return (Some(leader), false);
        }
        // Every replica that could have all committed records has lost some: the last leader lost fewest.
        if let [last] = last_known
            && self.isr.is_empty()
            && elr.is_empty()
            && self.live.has(*last)
        {
            return (Some(*last), true);
        }
        if self.election == Election::Unclean {
            let any = self.replicas.iter().find(|broker| self.live.has(**broker));
            return (any.copied(), true);
        }
        (None, false)
    }
}

/// Drafts every partition `pick` picks, and returns the records of those that change, in the order of names.
pub(super) fn draft_all<'a>(
    live: Live<'a>,
    pick: impl Fn(&PartitionImage) -> bool,
    edit: impl Fn(&mut Draft<'a>),
) -> Vec<Record> {
    let facts = live.facts;
    let mut records = Vec::new();
    for topic in facts.image.topics_by_name() {
        let mut rules = None;
        for (index, partition) in (0..).zip(&topic.partitions) {
            if !pick(partition) {
                continue;
            }
            let rules = *rules.get_or_insert_with(|| TopicRules::of(facts, topic));
            let mut draft = Draft::new(live, rules, partition);
            edit(&mut draft);
            records.extend(draft.finish().map(|change| Record::PartitionChange {
                topic: topic.id,
                index: crate::ids::PartitionIndex(index),
                change,
            }));
        }
    }
    records
}
