//! What a broker shows of its replicas, and, where it leads, of its followers.

use super::partition::{Partition, Role};
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};
use crate::inspect::{
    EPOCHS_SHOWN, PartitionSnapshot, ReplicaSnapshot, ReplicaState, SegmentSnapshot,
};
use crate::metadata::{LeaderRecovery, PartitionImage};
use crate::replica::{FollowerFacts, Leader};
use crate::storage::{Log, SegmentState};

/// A partition as this broker, `me`, knows it.
pub(super) fn show_partition(
    now: Time,
    me: BrokerId,
    index: PartitionIndex,
    partition: &Partition,
    image: &PartitionImage,
) -> PartitionSnapshot {
    let log = partition.log.as_ref();
    let trouble = log.and_then(|log| log.trouble());
    let (partition_epoch, isr) = newest_isr(partition, image);
    PartitionSnapshot {
        index,
        leader: image.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch,
        replicas: show_replicas(now, me, partition, image, &isr),
        isr,
        elr: image.elr.clone(),
        adding: image.adding.clone(),
        removing: image.removing.clone(),
        recovering: image.recovery == LeaderRecovery::Recovering,
        log_start: log.map(|log| log.log_start()).unwrap_or_default(),
        high_watermark: partition.high_watermark,
        last_stable: partition.high_watermark,
        log_end: log.map(|log| log.log_end()).unwrap_or_default(),
        bytes: log.map_or(0, |log| log.bytes()),
        records_in: partition.counters.records_in,
        bytes_in: partition.counters.bytes_in,
        bytes_out: partition.counters.bytes_out,
        max_timestamp_ms: log.map_or(-1, |log| log.max_timestamp_ms()),
        segments: log
            .map(|log| log.segment_states().map(show_segment_state).collect())
            .unwrap_or_default(),
        epochs: log
            .map(|log| log.epochs().starts().to_vec())
            .unwrap_or_default(),
        producers: log.map_or(0, |log| {
            u32::try_from(log.producer_count()).unwrap_or(u32::MAX)
        }),
        trouble: partition.trouble.clone().or(trouble),
    }
}

/// The in-sync replicas, and the partition epoch they are as of. A leader hears of a change that it asked for from the
/// controller before its metadata has it, and acts on it at once.
fn newest_isr(partition: &Partition, image: &PartitionImage) -> (i32, Vec<BrokerId>) {
    match &partition.role {
        Role::Leader(leader) if leader.partition_epoch() > image.partition_epoch => {
            (leader.partition_epoch(), leader.isr().collect())
        }
        _ => (image.partition_epoch, image.isr.clone()),
    }
}

/// All replicas in the order of the assignment, with what this broker knows of its own, and a leader of others.
fn show_replicas(
    now: Time,
    me: BrokerId,
    partition: &Partition,
    image: &PartitionImage,
    isr: &[BrokerId],
) -> Vec<ReplicaSnapshot> {
    let leader = match &partition.role {
        Role::Leader(leader) => Some(leader),
        _ => None,
    };
    let replicas = image.replicas.iter().map(|&broker| ReplicaSnapshot {
        in_sync: isr.contains(&broker),
        ..match leader {
            _ if broker == me => show_own(broker, partition, image),
            Some(leader) => show_follower(now, broker, leader),
            None => ReplicaSnapshot::unknown(broker),
        }
    });
    replicas.collect()
}

fn show_own(me: BrokerId, partition: &Partition, image: &PartitionImage) -> ReplicaSnapshot {
    let leads = image.leader == Some(me);
    let told = ReplicaSnapshot {
        leader_epoch: partition.leader_epoch,
        in_maximal_isr: partition.role.leads(),
        ..ReplicaSnapshot::unknown(me)
    };
    let Some(log) = &partition.log else {
        return ReplicaSnapshot {
            state: ReplicaState::Failed,
            ..told
        };
    };
    ReplicaSnapshot {
        log_start: log.log_start(),
        log_end: log.log_end(),
        high_watermark: partition.high_watermark,
        epochs: newest_epochs(log),
        state: match leads {
            true => ReplicaState::Leader,
            false => ReplicaState::Follower,
        },
        ..told
    }
}

/// What a leader knows of a follower beside what that tells of itself.
fn show_follower(now: Time, broker: BrokerId, leader: &Leader) -> ReplicaSnapshot {
    let unknown = ReplicaSnapshot::unknown(broker);
    let Some(facts) = leader.followers().find(|facts| facts.id == broker) else {
        return unknown;
    };
    ReplicaSnapshot {
        in_maximal_isr: facts.in_maximal_isr,
        caught_up_ms: caught_up_ms(now, &facts, leader.log_end()),
        leaves_isr_ms: facts.leaves_at.map(|at| at.since_us(now) / 1_000),
        ..unknown
    }
}

fn caught_up_ms(now: Time, facts: &FollowerFacts, leader_end: Offset) -> Option<u64> {
    // A member of a new leader epoch has a whole lag's time to show itself: that is no sight of it.
    let caught_up = facts.log_end.and(facts.caught_up)?;
    Some(match facts.log_end == Some(leader_end) {
        true => 0,
        false => now.since_us(caught_up) / 1_000,
    })
}

fn newest_epochs(log: &Log) -> Vec<(LeaderEpoch, Offset)> {
    let starts = log.epochs().starts();
    starts[starts.len().saturating_sub(EPOCHS_SHOWN)..].to_vec()
}

fn show_segment_state(state: SegmentState) -> SegmentSnapshot {
    SegmentSnapshot {
        base_offset: state.base_offset,
        end_offset: state.end_offset,
        bytes: state.bytes,
        index_entries: state.index_entries,
        index_bytes: state.index_bytes,
        time_index_entries: state.time_index_entries,
        time_index_bytes: state.time_index_bytes,
        max_timestamp_ms: state.max_timestamp_ms,
        active: state.active,
    }
}
