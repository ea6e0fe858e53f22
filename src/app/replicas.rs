//! What replicas are, in the few kinds the window shows by shape and by word, and what is wrong with them.
//!
//! Only what pictures say; a dead broker's replica is what its files hold.

use std::sync::Arc;

use crate::ids::{BrokerId, Offset, Time};
use crate::inspect::{
    BrokerSnapshot, BrokerState, ClusterSnapshot, ConnectionSnapshot, Event, EventKind,
    PartitionSnapshot, ReplicaSnapshot, ReplicaState, TopicSnapshot,
};

/// What one replica is to its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaRole {
    Leader,
    InSync,
    OutOfSync,
    /// A reassignment adds it: it copies what the leader has.
    Adding,
    /// Its broker does not run.
    Offline,
    /// Its log cannot be used.
    Failed,
    /// Its broker has not told of it.
    Unknown,
}

impl ReplicaRole {
    pub const ALL: [ReplicaRole; 7] = [
        ReplicaRole::Leader,
        ReplicaRole::InSync,
        ReplicaRole::OutOfSync,
        ReplicaRole::Adding,
        ReplicaRole::Offline,
        ReplicaRole::Failed,
        ReplicaRole::Unknown,
    ];

    pub fn of(partition: &PartitionSnapshot, replica: &ReplicaSnapshot) -> ReplicaRole {
        match replica.state {
            ReplicaState::Offline => ReplicaRole::Offline,
            ReplicaState::Failed => ReplicaRole::Failed,
            _ if partition.leader == Some(replica.broker) => ReplicaRole::Leader,
            _ if partition.adding.contains(&replica.broker) && !replica.in_sync => {
                ReplicaRole::Adding
            }
            ReplicaState::Unknown => ReplicaRole::Unknown,
            _ if replica.in_sync => ReplicaRole::InSync,
            _ => ReplicaRole::OutOfSync,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            ReplicaRole::Leader => "leader",
            ReplicaRole::InSync => "in-sync",
            ReplicaRole::OutOfSync => "out of ISR",
            ReplicaRole::Adding => "adding",
            ReplicaRole::Offline => "offline",
            ReplicaRole::Failed => "failed",
            ReplicaRole::Unknown => "unknown",
        }
    }
}

/// What is wrong with some partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ills {
    /// Nobody leads them: they take and serve nothing.
    pub leaderless: usize,
    /// Fewer replicas in sync than there are.
    pub thin: usize,
    /// Damaged, or their disk refuses writes.
    pub hurt: usize,
}

impl Ills {
    pub fn of<'a>(partitions: impl Iterator<Item = &'a PartitionSnapshot>) -> Ills {
        let mut ills = Ills::default();
        for p in partitions {
            ills.leaderless += usize::from(p.leader.is_none());
            ills.thin += usize::from(is_thin(p));
            ills.hurt += usize::from(p.trouble.is_some());
        }
        ills
    }

    /// Each ill with its number; empty when all is well.
    pub fn words(&self) -> Vec<String> {
        let ills = [
            (self.leaderless, "without leader"),
            (self.thin, "under-replicated"),
            (self.hurt, "in trouble"),
        ];
        let ills = ills.iter().filter(|(number, _)| *number > 0);
        ills.map(|(number, what)| format!("{number} {what}"))
            .collect()
    }

    /// Something can be neither written nor read, or is damaged.
    pub fn is_grave(&self) -> bool {
        self.leaderless > 0 || self.hurt > 0
    }
}

/// In-sync replicas a topic asks for before acks=all is answered.
pub fn min_in_sync(topic: &TopicSnapshot) -> usize {
    let mut configs = topic.configs.iter();
    let found = configs.find(|config| config.name == "min.insync.replicas");
    found
        .and_then(|config| config.value.parse().ok())
        .unwrap_or(1)
}

/// Why a produce with acks=all to a partition is refused, and what to do; `None` while it is not.
pub fn refusal(topic: &TopicSnapshot, partition: &PartitionSnapshot) -> Option<String> {
    let least = min_in_sync(topic);
    partition.leader?;
    if partition.isr.len() >= least {
        return None;
    }
    let away = partition.replicas.iter().filter(|replica| !replica.in_sync);
    let away: Vec<BrokerId> = away.map(|replica| replica.broker).collect();
    let (in_sync, verb) = (
        brokers(&partition.isr),
        if partition.isr.len() == 1 {
            "is"
        } else {
            "are"
        },
    );
    let mend = match away.is_empty() {
        true => "Lower min.insync.replicas, or add replicas".to_owned(),
        false => format!(
            "Bring {} back, or lower min.insync.replicas",
            brokers(&away)
        ),
    };
    Some(format!(
        "NOT_ENOUGH_REPLICAS (19): acks=all needs {least} in-sync replicas, only {in_sync} {verb}. {mend}."
    ))
}

/// Whether fewer replicas are in sync than there are to be.
pub fn is_thin(partition: &PartitionSnapshot) -> bool {
    partition.isr.len() < factor(partition)
}

/// Replicas there are to be, without those a reassignment is adding: what Kafka counts under-replicated against.
pub fn factor(partition: &PartitionSnapshot) -> usize {
    partition.replicas.len() - partition.adding.len().min(partition.replicas.len())
}

/// The worst a topic has, in words, and whether it is grave.
pub fn summary(topic: &TopicSnapshot) -> (String, Option<bool>) {
    let ills = Ills::of(topic.partitions.iter());
    match ills.words().first() {
        Some(worst) => (worst.clone(), Some(ills.is_grave())),
        None if topic.replication_factor > 1 => ("all in sync".to_owned(), None),
        None => ("1 replica".to_owned(), None),
    }
}

/// How far a replica is behind its leader; negative where it has records that the leader has not.
pub fn behind(partition: &PartitionSnapshot, replica: &ReplicaSnapshot) -> Option<i64> {
    let known = replica.log_end >= Offset::ZERO && partition.leader.is_some();
    known.then(|| partition.log_end - replica.log_end)
}

/// Followers the high watermark waits for.
pub fn awaited(partition: &PartitionSnapshot) -> Vec<BrokerId> {
    let lags = |replica: &&ReplicaSnapshot| {
        let counts = replica.in_sync || replica.in_maximal_isr;
        let follows = partition.leader != Some(replica.broker);
        counts && follows && replica.log_end < partition.log_end
    };
    let awaited = partition.replicas.iter().filter(lags);
    awaited.map(|replica| replica.broker).collect()
}

/// Brokers as a sentence has them: `broker 2`, `brokers 2 and 3`.
pub fn brokers(ids: &[BrokerId]) -> String {
    let names: Vec<String> = ids.iter().map(BrokerId::to_string).collect();
    match &names[..] {
        [] => "no broker".to_owned(),
        [one] => format!("broker {one}"),
        [most @ .., last] => format!("brokers {} and {last}", most.join(", ")),
    }
}

/// A broker's state in a word or two.
pub fn state_word(state: &BrokerState) -> &'static str {
    match state {
        BrokerState::Starting => "starting",
        BrokerState::Running => "running",
        BrokerState::Stopping => "stopping",
        BrokerState::Paused => "paused",
        BrokerState::Stopped => "stopped",
        BrokerState::Killed => "killed",
        BrokerState::Crashed { .. } => "crashed",
    }
}

/// Whether a broker in this state follows what happens.
pub fn is_up(state: &BrokerState) -> bool {
    matches!(state, BrokerState::Running | BrokerState::Stopping)
}

/// When a broker that does not run ended or was paused, if the picture still has the event.
pub fn ended_at(picture: &ClusterSnapshot, broker: BrokerId) -> Option<Time> {
    use EventKind::{BrokerCrashed, BrokerKilled, BrokerPaused, BrokerStopped};
    let ended = |event: &&Arc<Event>| {
        event.broker == Some(broker)
            && matches!(
                event.kind,
                BrokerCrashed { .. }
                    | BrokerKilled { .. }
                    | BrokerPaused { .. }
                    | BrokerStopped { .. }
            )
    };
    picture
        .events
        .iter()
        .rev()
        .find(ended)
        .map(|event| event.time)
}

/// Since when a broker is in the state it is in, as far as the picture tells.
pub fn state_since(picture: &ClusterSnapshot, broker: &BrokerSnapshot) -> Option<Time> {
    match broker.state {
        BrokerState::Running => Some(broker.started),
        BrokerState::Starting | BrokerState::Stopping => None,
        _ => ended_at(picture, broker.id),
    }
}

/// Whether followers are about to leave an ISR: what is said of them changes by time alone.
pub fn counts_down(picture: &ClusterSnapshot) -> bool {
    let partitions = picture.topics.iter().flat_map(|topic| &topic.partitions);
    let mut replicas = partitions.flat_map(|partition| &partition.replicas);
    replicas.any(|replica| replica.in_sync && replica.leaves_isr_ms.is_some_and(|ms| ms > 0))
}

/// Whether a connection is another broker's. They call themselves so, and no client library has their lack of a
/// name and version.
pub fn is_peer(picture: &ClusterSnapshot, connection: &ConnectionSnapshot) -> bool {
    // One that passes its clients' requests on names them.
    let forwards = connection.client_id.starts_with("klar-forwarded:");
    let forwards = forwards && connection.software.is_empty() && !connection.own;
    forwards || peer_of(picture, connection).is_some()
}

/// The other broker whose connection this is, if it is one's.
pub fn peer_of(picture: &ClusterSnapshot, connection: &ConnectionSnapshot) -> Option<BrokerId> {
    let named = connection.client_id.strip_prefix("broker-");
    let named = named.filter(|_| connection.software.is_empty() && !connection.own);
    let id = named.and_then(|id| id.parse().ok()).map(BrokerId);
    id.filter(|id| picture.brokers.iter().any(|broker| broker.id == *id))
}

/// Partitions a broker leads, and replicas it holds.
pub fn held_by(picture: &ClusterSnapshot, broker: BrokerId) -> (usize, usize) {
    let partitions = picture.topics.iter().flat_map(|topic| &topic.partitions);
    let mut held = (0, 0);
    for p in partitions {
        held.0 += usize::from(p.leader == Some(broker));
        held.1 += usize::from(p.replicas.iter().any(|r| r.broker == broker));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_read_as_in_a_sentence() {
        let ids = [1, 2, 3].map(BrokerId);
        assert_eq!(brokers(&ids[..1]), "broker 1");
        assert_eq!(brokers(&ids[..2]), "brokers 1 and 2");
        assert_eq!(brokers(&ids), "brokers 1, 2 and 3");
    }

    #[test]
    fn the_worst_is_said_first() {
        let ills = Ills {
            leaderless: 1,
            thin: 4,
            hurt: 0,
        };
        assert_eq!(ills.words(), ["1 without leader", "4 under-replicated"]);
        assert!(ills.is_grave());
        assert!(Ills::default().words().is_empty());
    }
}
