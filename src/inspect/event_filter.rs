//! Which events somebody wants to see: by what they are, by what they are about, by a text in them.

use std::collections::BTreeSet;
use std::fmt;

use super::{Event, EventKind};
use crate::ids::{BrokerId, PartitionIndex};

/// Kinds of events that are looked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventGroup {
    Topics,
    /// Of controllers and of leaders.
    Elections,
    InSync,
    /// Replicas on their way to other brokers.
    Moves,
    /// What brokers are to the cluster, and how they come and go by themselves.
    Brokers,
    /// What was broken, by somebody or by itself, and mended.
    Faults,
    /// What became of the files.
    Logs,
    /// Consumer groups.
    Groups,
    Clients,
    /// How time passes, and what was let through while it stood still.
    Time,
}

impl EventGroup {
    pub const ALL: [EventGroup; 10] = [
        EventGroup::Topics,
        EventGroup::Elections,
        EventGroup::InSync,
        EventGroup::Moves,
        EventGroup::Brokers,
        EventGroup::Faults,
        EventGroup::Logs,
        EventGroup::Groups,
        EventGroup::Clients,
        EventGroup::Time,
    ];

    /// As the window writes it.
    pub fn name(self) -> &'static str {
        match self {
            EventGroup::Topics => "Topics",
            EventGroup::Elections => "Elections",
            EventGroup::InSync => "In-sync sets",
            EventGroup::Moves => "Moves",
            EventGroup::Brokers => "Brokers",
            EventGroup::Faults => "Faults",
            EventGroup::Logs => "Logs",
            EventGroup::Groups => "Groups",
            EventGroup::Clients => "Clients",
            EventGroup::Time => "Time",
        }
    }

    /// As `klar ctl` takes it.
    pub fn word(self) -> &'static str {
        match self {
            EventGroup::Topics => "topics",
            EventGroup::Elections => "elections",
            EventGroup::InSync => "in-sync",
            EventGroup::Moves => "moves",
            EventGroup::Brokers => "brokers",
            EventGroup::Faults => "faults",
            EventGroup::Logs => "logs",
            EventGroup::Groups => "groups",
            EventGroup::Clients => "clients",
            EventGroup::Time => "time",
        }
    }
}

impl EventKind {
    /// What kind of event this is, roughly.
    pub fn group(&self) -> EventGroup {
        use EventKind::*;
        match self {
            TopicCreated { .. }
            | TopicDeleted { .. }
            | PartitionsAdded { .. }
            | ConfigChanged { .. } => EventGroup::Topics,
            ControllerChanged { .. } | LeaderElected { .. } | FirstProduceAcked { .. } => {
                EventGroup::Elections
            }
            IsrChanged { .. } | MorePartitionsChanged { .. } => EventGroup::InSync,
            ReassignmentBegan { .. } | ReassignmentEnded { .. } => EventGroup::Moves,
            BrokerStarted { .. }
            | BrokerStopped { .. }
            | BrokerAdded { .. }
            | BrokerRegistered { .. }
            | BrokerUnregistered { .. }
            | BrokerUnheard { .. }
            | BrokerFenced { .. }
            | BrokerUnfenced { .. }
            | ShutdownBegan { .. } => EventGroup::Brokers,
            BrokerCrashed { .. }
            | BrokerKilled { .. }
            | PlugPulled { .. }
            | RecordsLost { .. }
            | BrokerPaused { .. }
            | BrokerResumed { .. }
            | LinkCut { .. }
            | LinkSlowed { .. }
            | LinkHealed { .. }
            | LogDamaged { .. }
            | StorageFailed { .. }
            | StorageHealed { .. } => EventGroup::Faults,
            LogTruncated { .. }
            | SegmentRolled { .. }
            | SegmentsDeleted { .. }
            | LogRecovered { .. }
            | ReplicaRenewed { .. }
            | SnapshotWritten { .. }
            | SnapshotFetched { .. }
            | SnapshotDamaged { .. } => EventGroup::Logs,
            GroupChanged { .. } => EventGroup::Groups,
            ConnectionRefused { .. } | LimitReached { .. } => EventGroup::Clients,
            TimeSlowed { .. }
            | TimePaused { .. }
            | TimeResumed { .. }
            | MessageStepped { .. }
            | ReplicationFrozen { .. }
            | ReplicationThawed { .. } => EventGroup::Time,
        }
    }

    /// The consumer group it is about.
    pub fn of_group(&self) -> Option<&str> {
        match self {
            EventKind::GroupChanged { group, .. } => Some(group),
            _ => None,
        }
    }

    /// The controller tells of it, and it happened to a topic rather than to the controller.
    fn is_decided(&self) -> bool {
        let of_topics = matches!(
            self.group(),
            EventGroup::Topics | EventGroup::InSync | EventGroup::Moves
        );
        of_topics || matches!(self, EventKind::LeaderElected { .. })
    }
}

/// One thing events are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventSubject {
    Broker(BrokerId),
    /// Both its directions, the lower number first.
    Link(BrokerId, BrokerId),
    /// With all its partitions.
    Topic(String),
    Partition(String, PartitionIndex),
    Group(String),
}

impl EventSubject {
    /// The link that an event happened to.
    pub fn link_of(event: &Event) -> Option<EventSubject> {
        let (from, to) = (event.broker?, event.kind.link_to()?);
        Some(EventSubject::Link(from.min(to), from.max(to)))
    }

    /// Whether an event is about it.
    pub fn is_of(&self, event: &Event) -> bool {
        let topic = event.kind.topic();
        match self {
            EventSubject::Broker(id) => is_about_broker(event, *id),
            EventSubject::Link(..) => EventSubject::link_of(event).as_ref() == Some(self),
            EventSubject::Topic(name) => topic.is_some_and(|(about, _)| about == name),
            EventSubject::Partition(name, index) => topic == Some((name, Some(*index))),
            EventSubject::Group(name) => event.kind.of_group() == Some(name),
        }
    }
}

impl fmt::Display for EventSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventSubject::Broker(id) => write!(f, "broker {id}"),
            EventSubject::Link(a, b) => write!(f, "link {a}–{b}"),
            EventSubject::Topic(name) => f.write_str(name),
            EventSubject::Partition(name, index) => write!(f, "{name}-{index}"),
            EventSubject::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// Whether it happened to a broker, on it, or to what it leads or holds.
fn is_about_broker(event: &Event, id: BrokerId) -> bool {
    let kind = &event.kind;
    let happened_there = event.about() == Some(id) && !kind.is_decided();
    happened_there || kind.link_to() == Some(id) || kind.moves().contains(&id)
}

/// What is wanted of all events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Any of these; all if there are none.
    pub groups: BTreeSet<EventGroup>,
    pub about: Option<EventSubject>,
    /// In the event's sentence or in who tells it, however its letters are written.
    pub text: String,
}

impl EventFilter {
    /// Whether it leaves nothing out.
    pub fn is_open(&self) -> bool {
        self.groups.is_empty() && self.about.is_none() && self.text.trim().is_empty()
    }

    /// Whether an event is wanted.
    pub fn takes(&self, event: &Event) -> bool {
        self.takes_group(event.kind.group()) && self.takes_but_for_group(event)
    }

    /// Whether events of a group are wanted.
    pub fn takes_group(&self, group: EventGroup) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }

    /// Whether an event would be wanted if all groups were.
    pub fn takes_but_for_group(&self, event: &Event) -> bool {
        let wanted = self.text.trim().to_lowercase();
        let says = || {
            let told = format!("{}: {}", event.reporter(), event.kind.sentence());
            told.to_lowercase().contains(&wanted)
        };
        let about = self.about.as_ref();
        about.is_none_or(|about| about.is_of(event)) && (wanted.is_empty() || says())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, Offset, Time};

    fn event(broker: i32, kind: EventKind) -> Event {
        Event {
            number: 1,
            time: Time(0),
            broker: Some(BrokerId(broker)),
            kind,
        }
    }

    fn elected(from: i32, to: i32) -> EventKind {
        EventKind::LeaderElected {
            topic: "orders".into(),
            partition: PartitionIndex(1),
            from: Some(BrokerId(from)),
            to: Some(BrokerId(to)),
            epoch: LeaderEpoch(5),
            unclean: false,
            cause: "broker 2 is fenced".into(),
        }
    }

    fn about(subject: EventSubject) -> EventFilter {
        EventFilter {
            about: Some(subject),
            ..EventFilter::default()
        }
    }

    #[test]
    fn an_election_is_about_who_leads_and_led_but_not_about_the_controller() {
        let election = event(1, elected(2, 3));
        let takes = |id| about(EventSubject::Broker(BrokerId(id))).takes(&election);
        assert_eq!((takes(1), takes(2), takes(3)), (false, true, true));
    }

    #[test]
    fn a_link_is_about_both_its_ends_and_a_file_about_its_broker() {
        let cut = event(
            1,
            EventKind::LinkCut {
                to: BrokerId(3),
                cause: "somebody asked for it".into(),
            },
        );
        let rolled = event(
            3,
            EventKind::SegmentRolled {
                topic: "orders".into(),
                partition: PartitionIndex(0),
                base_offset: Offset(9),
                cause: "segment.ms was over".into(),
            },
        );
        let takes = |id, event| about(EventSubject::Broker(BrokerId(id))).takes(event);
        let link = |a, b| about(EventSubject::Link(BrokerId(a), BrokerId(b)));
        assert!(link(1, 3).takes(&cut) && !link(1, 2).takes(&cut));
        assert_eq!([1, 2, 3].map(|id| takes(id, &cut)), [true, false, true]);
        assert_eq!([1, 2, 3].map(|id| takes(id, &rolled)), [false, false, true]);
    }

    #[test]
    fn a_topic_takes_its_partitions_and_a_partition_only_itself() {
        let election = event(1, elected(2, 3));
        let orders = |index| EventSubject::Partition("orders".into(), PartitionIndex(index));
        assert!(about(EventSubject::Topic("orders".into())).takes(&election));
        assert!(!about(EventSubject::Topic("order".into())).takes(&election));
        assert!(about(orders(1)).takes(&election));
        assert!(!about(orders(0)).takes(&election));
    }

    #[test]
    fn groups_and_text_are_both_asked_for() {
        let election = event(1, elected(2, 3));
        let filter = |group, text: &str| EventFilter {
            groups: BTreeSet::from([group]),
            about: None,
            text: text.into(),
        };
        assert!(filter(EventGroup::Elections, " EPOCH 5").takes(&election));
        assert!(filter(EventGroup::Elections, "broker 1").takes(&election));
        assert!(!filter(EventGroup::Elections, "epoch 6").takes(&election));
        assert!(!filter(EventGroup::Topics, "epoch 5").takes(&election));
        assert!(EventFilter::default().takes(&election));
    }
}
