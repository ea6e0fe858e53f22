//! A classic group's state: its members, what they speak, and where it is in a rebalance.
//!
//! Of all this only generation, protocol, leader and the members with their assignments are written down, when the
//! leader has said who reads what and when the last member is gone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::alarms::{Alarm, Alarms};
use super::record::{ClassicRecord, MemberRecord, Record};
use super::shard::GroupConfig;
use super::turn::{News, Reply, Turn};
use super::{Refusal, after};
use crate::ids::{ConnectionId, Time};
use crate::wire::Reader;
use crate::wire::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use crate::wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;

/// The protocol type whose member metadata says which topics are subscribed to.
pub(super) const CONSUMER: &str = "consumer";
/// The newest version of that metadata that is read; a newer one is read like it.
pub(super) const NEWEST_SUBSCRIPTION: i16 = 3;

/// Where a classic group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClassicState {
    /// Nobody is in it.
    #[default]
    Empty,
    /// Its members are to join again.
    PreparingRebalance,
    /// They have joined; the leader has not said yet who reads what.
    CompletingRebalance,
    Stable,
    /// There is no such group.
    Dead,
}

impl ClassicState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
            ClassicState::Dead => "Dead",
        }
    }
}

/// One member of a classic group.
#[derive(Debug)]
pub struct Member {
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// The assignors it knows, the one it likes best first, each with what it says to it.
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// Who has been in the group longer has the smaller one.
    pub(super) seniority: u64,
    pub(super) awaits_join: Option<ConnectionId>,
    pub(super) awaits_sync: Option<ConnectionId>,
    /// It has fetched its assignment of this generation.
    pub(super) synced: bool,
    /// Its session is over then, unless it is heard before.
    pub(super) session_until: Time,
    /// It has never been in a generation, and must have been in one by then.
    pub(super) new_until: Option<Time>,
}

impl Member {
    /// What it says to a protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let mut protocols = self.protocols.iter();
        protocols.find(|(name, _)| name == protocol).map(|(_, m)| m)
    }

    /// Bytes it says of itself.
    pub(super) fn bytes(&self) -> usize {
        let names = self.instance.as_ref().map_or(0, String::len) + self.client_id.len();
        names + bytes_of(&self.protocols)
    }

    fn speaks(&self, protocol: &str) -> bool {
        self.metadata(protocol).is_some()
    }
}

/// A group whose members agree among themselves.
#[derive(Debug, Default)]
pub struct ClassicGroup {
    pub(super) state: ClassicState,
    /// Since when, milliseconds since the Unix epoch.
    pub(super) since_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids given out that have not joined yet, with how long they may take.
    pub(super) pending: BTreeMap<String, Time>,
    /// Until when joins or syncs are waited for.
    pub(super) rebalance_until: Option<Time>,
    /// The first rebalance waits for more members.
    pub(super) initial: Option<Initial>,
    pub(super) seniority: u64,
    /// Why it rebalances, or last did.
    pub(super) why: String,
}

/// A first rebalance that waits for more members.
#[derive(Debug)]
pub(super) struct Initial {
    /// No longer than until then.
    pub latest: Time,
    /// Somebody came since it waits.
    pub grown: bool,
}

/// What a group may use while a verb is carried out on it.
pub(super) struct Scope<'a> {
    pub now: Time,
    pub name: &'a str,
    pub config: &'a GroupConfig,
    pub alarms: &'a mut Alarms,
    pub turn: &'a mut Turn,
}

impl Scope<'_> {
    pub fn set(&mut self, at: Time, alarm: Alarm) {
        self.alarms.set(at, self.name, alarm);
    }

    pub fn forget(&mut self, alarm: &Alarm) {
        self.alarms.forget(self.name, alarm);
    }
}

impl ClassicGroup {
    /// Where it is.
    pub fn state(&self) -> ClassicState {
        self.state
    }

    /// How many rebalances it has completed.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The chosen assignor.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// `consumer`, or whatever its members coordinate; `None` if it never had members.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// Who says who reads what.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Its members, by member id.
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Why it rebalances, or last did.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Since when it is in its state, milliseconds since the Unix epoch.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Whether there never was more to it than offsets.
    pub(super) fn is_bare(&self) -> bool {
        self.protocol_type.is_none() && self.members.is_empty() && self.pending.is_empty()
    }

    /// The topics its members subscribe to, if they say so.
    pub(super) fn subscribed(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(member.metadata(protocol)?)?);
        }
        Some(topics)
    }

    /// Goes over to another state.
    pub(super) fn become_state(&mut self, scope: &mut Scope, state: ClassicState) {
        if state == self.state {
            return;
        }
        scope.turn.news.push(News::StateChanged {
            group: scope.name.to_owned(),
            from: self.state.name(),
            to: state.name(),
            generation: self.generation,
            members: self.members.len(),
            why: self.why.clone(),
        });
        self.state = state;
        self.since_ms = scope.now.as_ms();
    }

    /// Whether every member and at least one of the protocols offered fit together.
    pub(super) fn supports(&self, protocol_type: &str, offered: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !offered.is_empty();
        }
        let common = |(name, _): &&(String, Bytes)| self.members.values().all(|m| m.speaks(name));
        self.protocol_type.as_deref() == Some(protocol_type) && offered.iter().any(|p| common(&p))
    }

    /// The protocol all members speak that most like best; of several the first by name.
    pub(super) fn best_protocol(&self) -> Option<String> {
        let spoken = |name: &str| self.members.values().all(|member| member.speaks(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(choice) = names.find(|name| spoken(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let mut best = votes.iter().filter(|(_, count)| **count == most);
        best.next().map(|(name, _)| (*name).to_owned())
    }

    /// The longest any member may take to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        let timeouts = self.members.values().map(|m| m.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    /// The member with this `group.instance.id`.
    pub(super) fn by_instance(&self, instance: &str) -> Option<&str> {
        let mut members = self.members.iter();
        let found = members.find(|(_, m)| m.instance.as_deref() == Some(instance));
        found.map(|(id, _)| id.as_str())
    }

    /// Whether a member is who it says it is.
    pub(super) fn known(&self, id: &str, instance: Option<&str>) -> Result<(), Refusal> {
        if let Some(instance) = instance {
            return match self.by_instance(instance) {
                None => Err(Refusal::UnknownMember),
                Some(current) if current != id => Err(Refusal::FencedInstance),
                Some(_) => Ok(()),
            };
        }
        let known = self.members.contains_key(id);
        known.then_some(()).ok_or(Refusal::UnknownMember)
    }

    /// A member was heard.
    pub(super) fn heard(&mut self, now: Time, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.session_until = after(now, member.session_timeout_ms);
        }
    }

    /// What is to be written of it.
    pub(super) fn record(&self, name: &str) -> Record {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| MemberRecord {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol).cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        Record::Classic {
            group: name.to_owned(),
            state: Some(ClassicRecord {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.clone(),
                since_ms: self.since_ms,
                members: self.members.iter().map(member).collect(),
            }),
        }
    }

    /// Becomes what was written.
    pub(super) fn apply(&mut self, record: Option<&ClassicRecord>) {
        *self = ClassicGroup::default();
        let Some(record) = record else {
            return;
        };
        self.since_ms = record.since_ms;
        self.generation = record.generation;
        self.protocol_type = Some(record.protocol_type.clone());
        self.protocol.clone_from(&record.protocol);
        self.leader.clone_from(&record.leader);
        let protocol = record.protocol.clone().unwrap_or_default();
        for member in &record.members {
            self.seniority += 1;
            let read = Member {
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: vec![(protocol.clone(), member.subscription.clone())],
                assignment: member.assignment.clone(),
                seniority: self.seniority,
                awaits_join: None,
                awaits_sync: None,
                synced: true,
                session_until: Time::default(),
                new_until: None,
            };
            self.members.insert(member.id.clone(), read);
        }
        if !self.members.is_empty() {
            self.state = ClassicState::Stable;
        }
    }

    /// Begins to count sessions after its records were read.
    pub(super) fn resume(&mut self, scope: &mut Scope) {
        for (id, member) in &mut self.members {
            member.session_until = after(scope.now, member.session_timeout_ms);
            scope.set(member.session_until, Alarm::Session(id.clone()));
        }
        if self.leader.is_none() && !self.members.is_empty() {
            // It had just come back to the classic protocol: nobody leads it yet.
            self.rebalance(scope, "the group has no leader".to_owned());
        }
    }

    /// Tells everybody who waits that this broker coordinates them no more.
    pub(super) fn refuse_waiting(&mut self, refusal: Refusal, turn: &mut Turn) {
        for (id, member) in &mut self.members {
            if let Some(to) = member.awaits_join.take() {
                turn.reply(to, Reply::NotJoined(refusal, id.clone()));
            }
            if let Some(to) = member.awaits_sync.take() {
                turn.reply(to, Reply::Synced(Err(refusal)));
            }
        }
    }

    /// What must hold at any moment.
    pub(super) fn check(&self) {
        let empty = self.members.is_empty();
        match self.state {
            ClassicState::Empty => assert!(empty, "an empty group has no members"),
            ClassicState::Dead => panic!("a group that is gone is not kept"),
            ClassicState::PreparingRebalance => assert!(self.rebalance_until.is_some()),
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                assert!(!empty, "somebody is in a generation");
                let leader = self.leader.as_ref().expect("a generation has a leader");
                assert!(self.members.contains_key(leader), "the leader is a member");
                assert!(self.members.values().all(|m| m.awaits_join.is_none()));
            }
        }
        let instances: Vec<&String> = self.members.values().flat_map(|m| &m.instance).collect();
        let distinct: BTreeSet<&String> = instances.iter().copied().collect();
        assert_eq!(instances.len(), distinct.len(), "an instance is one member");
        assert!(self.pending.keys().all(|id| !self.members.contains_key(id)));
    }
}

/// Bytes a member says to assignors.
pub(super) fn bytes_of(protocols: &[(String, Bytes)]) -> usize {
    protocols
        .iter()
        .map(|(name, said)| name.len() + said.len())
        .sum()
}

/// The topics a member of a consumer group subscribes to, from what it says to its assignor.
pub fn subscription(metadata: &Bytes) -> Option<Vec<String>> {
    read_subscription(metadata).map(|read| read.topics)
}

/// What a member of a consumer group says to its assignor.
pub(super) fn read_subscription(metadata: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version).min(NEWEST_SUBSCRIPTION);
    let mut reader = Reader::new(Bytes::copy_from_slice(rest));
    ConsumerProtocolSubscription::decode(&mut reader, version.max(0)).ok()
}

/// What a member of a consumer group is to read, from its assignment; nothing if that cannot be read.
pub fn assigned(assignment: &Bytes) -> Vec<(String, Vec<i32>)> {
    let read = read_assignment(assignment).unwrap_or_default();
    let topics = read.assigned_partitions.into_iter();
    topics.map(|t| (t.topic, t.partitions)).collect()
}

/// A member's assignment; nobody has assigned anything where it is empty. `None` if it cannot be read.
pub(super) fn read_assignment(assignment: &Bytes) -> Option<ConsumerProtocolAssignment> {
    if assignment.is_empty() {
        return Some(ConsumerProtocolAssignment::default());
    }
    let (version, rest) = assignment.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version).clamp(0, NEWEST_SUBSCRIPTION);
    let mut reader = Reader::new(Bytes::copy_from_slice(rest));
    ConsumerProtocolAssignment::decode(&mut reader, version).ok()
}
