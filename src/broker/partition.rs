//! The partitions a broker hosts, with what is counted about them.
//!
//! With one replica the high watermark is the log end, except while group commit holds it back until the
//! bytes are synced (durability `batch`): what was shown to a consumer must not vanish (H5).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ids::{ConnectionId, LeaderEpoch, Offset, TopicId};
use crate::inspect::TopicSnapshot;
use crate::metadata::TopicSettings;
use crate::replica::{Follower, Leader};
use crate::storage::{Log, LogConfig, Opening};

/// A partition's name within a broker.
pub(super) type PartitionKey = (TopicId, i32);

/// The metadata log, where a partition is expected. No topic has this id.
pub(super) const METADATA_LOG: PartitionKey = (TopicId::ZERO, 0);

/// One topic this broker has partitions of.
#[derive(Debug)]
pub(super) struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub settings: TopicSettings,
    pub log_config: Arc<LogConfig>,
    /// By index, without gaps; those that other brokers host have no log.
    pub partitions: Vec<Partition>,
    /// As the last picture showed it.
    pub shown: Option<Arc<TopicSnapshot>>,
}

/// What a broker is to a partition.
#[derive(Debug)]
pub(super) enum Role {
    /// Its one replica, without anybody to agree with.
    Alone,
    Leader(Box<Leader>),
    Follower(Box<Follower>),
    /// A replica while nobody leads.
    Idle,
    /// Other brokers host it.
    Elsewhere,
}

impl Role {
    /// The leader epoch it was taken up in.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match self {
            Role::Leader(leader) => Some(leader.leader_epoch()),
            Role::Follower(follower) => Some(follower.leader_epoch()),
            Role::Alone | Role::Idle | Role::Elsewhere => None,
        }
    }

    /// Whether clients are served here.
    pub fn leads(&self) -> bool {
        match self {
            Role::Alone => true,
            Role::Leader(leader) => leader.leads(),
            Role::Follower(_) | Role::Idle | Role::Elsewhere => false,
        }
    }
}

/// One partition of a topic this broker knows.
#[derive(Debug)]
pub(super) struct Partition {
    /// `None` when it could not be opened: `trouble` says why, `reopening` how to try again.
    pub log: Option<Log>,
    /// Without a log: what is known of the one on disk; `None` if none of the topic's was made yet.
    pub reopening: Option<Opening>,
    pub role: Role,
    pub leader_epoch: LeaderEpoch,
    pub high_watermark: Offset,
    /// Bytes appended above the high watermark: they wait for a sync.
    pub held_back_bytes: usize,
    pub counters: Counters,
    pub trouble: Option<String>,
    /// Long polls that wait for records here.
    pub watchers: BTreeSet<ConnectionId>,
    /// Produces that wait for replicas of what they appended here.
    pub ack_waiters: BTreeSet<ConnectionId>,
}

/// What went through a partition since the broker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub records_in: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Topic {
    /// The partition with this index.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// The partition with this index, to be changed. What a picture shows of it counts only once the topic is
    /// touched (`Shown::touch`).
    pub fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }
}

impl Partition {
    /// A partition whose log is open and, as far as it goes, readable.
    pub fn new(log: Log, leader_epoch: LeaderEpoch) -> Partition {
        Partition {
            high_watermark: log.log_end(),
            log: Some(log),
            reopening: None,
            role: Role::Alone,
            leader_epoch,
            held_back_bytes: 0,
            counters: Counters::default(),
            trouble: None,
            watchers: BTreeSet::new(),
            ack_waiters: BTreeSet::new(),
        }
    }

    /// A partition whose log cannot be opened.
    pub fn broken(
        trouble: String,
        reopening: Option<Opening>,
        leader_epoch: LeaderEpoch,
    ) -> Partition {
        Partition {
            log: None,
            reopening,
            role: Role::Alone,
            leader_epoch,
            high_watermark: Offset::ZERO,
            held_back_bytes: 0,
            counters: Counters::default(),
            trouble: Some(trouble),
            watchers: BTreeSet::new(),
            ack_waiters: BTreeSet::new(),
        }
    }

    /// A partition other brokers host.
    pub fn elsewhere(leader_epoch: LeaderEpoch) -> Partition {
        Partition {
            role: Role::Elsewhere,
            trouble: None,
            ..Partition::broken(String::new(), None, leader_epoch)
        }
    }

    /// Becomes a replica that has no part yet: what is committed of it the leader will say, or its followers.
    pub fn stand_by(&mut self) {
        self.role = Role::Idle;
        if let Some(log) = &self.log {
            self.high_watermark = log.log_start();
        }
    }

    /// Everything below is synced, as far as that is known.
    pub fn recovery_point(&self) -> Option<Offset> {
        match &self.log {
            Some(log) => Some(log.recovery_point()),
            None => self.reopening.as_ref()?.recovery_point(),
        }
    }

    /// What must hold at any moment (D5).
    pub fn check(&self) {
        let Some(log) = &self.log else {
            let elsewhere = matches!(self.role, Role::Elsewhere);
            assert!(
                elsewhere || self.trouble.is_some(),
                "a partition without a log says why"
            );
            return;
        };
        log.check();
        assert!(log.log_start() <= self.high_watermark);
        assert!(self.high_watermark <= log.log_end());
        if let Role::Leader(leader) = &self.role {
            leader.check();
        }
    }
}
