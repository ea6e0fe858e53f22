//! One partition as the controller knows it, and how a change turns it into the next.

use crate::ids::{BrokerId, LeaderEpoch};

/// One partition as the controller knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionImage {
    /// The first is the preferred leader. While replicas are moved, those to come and those to go are both in it.
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// Replicas a reassignment is adding: in `replicas`, not yet in the ISR.
    pub adding: Vec<BrokerId>,
    /// Replicas a reassignment takes away once the added ones are in sync.
    pub removing: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966): out of the ISR, yet with every committed record, because the ISR was
    /// smaller than min.insync.replicas ever since they left.
    pub elr: Vec<BrokerId>,
    /// The last leader, while nobody leads: the best guess when even the ELR is empty.
    pub last_known_elr: Vec<BrokerId>,
    /// `None`: nobody may lead.
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub recovery: LeaderRecovery,
    pub partition_epoch: i32,
}

/// Whether the leader was elected uncleanly and has not yet said that it is done with that; the numbers are
/// the protocol's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LeaderRecovery {
    #[default]
    Recovered = 0,
    /// Elected although records may be lost. Only such an election may choose outside ISR and ELR (E3).
    Recovering = 1,
}

/// What changes in a partition; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionChange {
    pub isr: Option<Vec<BrokerId>>,
    /// A leader named here begins a new leader epoch, the same leader too. `Some(None)` is "nobody leads".
    pub leader: Option<Option<BrokerId>>,
    pub replicas: Option<Vec<BrokerId>>,
    pub adding: Option<Vec<BrokerId>>,
    pub removing: Option<Vec<BrokerId>>,
    pub elr: Option<Vec<BrokerId>>,
    pub last_known_elr: Option<Vec<BrokerId>>,
    pub recovery: Option<LeaderRecovery>,
}

impl PartitionImage {
    /// A new partition, led by the first of `isr`.
    pub fn new(replicas: Vec<BrokerId>, isr: Vec<BrokerId>) -> PartitionImage {
        PartitionImage {
            leader: isr.first().copied(),
            replicas,
            isr,
            ..PartitionImage::default()
        }
    }

    /// This partition after a change: one partition epoch later, and one leader epoch if it names a leader.
    pub fn changed_by(&self, change: &PartitionChange) -> PartitionImage {
        let list =
            |new: &Option<Vec<BrokerId>>, old: &Vec<BrokerId>| new.as_ref().unwrap_or(old).clone();
        PartitionImage {
            replicas: list(&change.replicas, &self.replicas),
            isr: list(&change.isr, &self.isr),
            adding: list(&change.adding, &self.adding),
            removing: list(&change.removing, &self.removing),
            elr: list(&change.elr, &self.elr),
            last_known_elr: list(&change.last_known_elr, &self.last_known_elr),
            leader: change.leader.unwrap_or(self.leader),
            leader_epoch: match change.leader {
                Some(_) => LeaderEpoch(self.leader_epoch.0 + 1),
                None => self.leader_epoch,
            },
            recovery: change.recovery.unwrap_or(self.recovery),
            partition_epoch: self.partition_epoch + 1,
        }
    }

    /// The replica that leads when all are well.
    pub fn preferred_leader(&self) -> Option<BrokerId> {
        self.replicas.first().copied()
    }

    /// Whether replicas are on their way to other brokers.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// What must hold between the lists.
    pub fn check(&self) {
        let held = |list: &[BrokerId]| list.iter().all(|broker| self.replicas.contains(broker));
        assert!(held(&self.isr), "the ISR is of replicas: {self:?}");
        assert!(held(&self.elr), "the ELR is of replicas: {self:?}");
        assert!(held(&self.adding) && held(&self.removing), "{self:?}");
        assert!(
            self.elr.iter().all(|broker| !self.isr.contains(broker)),
            "in sync and merely eligible at once: {self:?}"
        );
        assert!(
            self.leader.is_none_or(|leader| self.isr.contains(&leader)),
            "a leader outside the ISR: {self:?}"
        );
    }
}

impl PartitionChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == PartitionChange::default()
    }
}
