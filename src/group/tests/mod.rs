//! A shard without a broker: requests in, replies and records out, and the same records read by another shard.

mod classic;
mod consumers;
mod offsets;
mod replay;
mod statics;

use bytes::Bytes;

use super::*;
use crate::ids::ConnectionId;
use crate::metadata::Image;
use crate::wire::Writer;
use crate::wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

/// The newest version of JoinGroup.
const JOIN: i16 = 9;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// What classic groups need to know of topics.
static NO_TOPICS: std::sync::LazyLock<Image> = std::sync::LazyLock::new(Image::default);

/// A shard, the time, and everything it ever wrote.
pub(super) struct World {
    pub shard: Shard,
    pub now: Time,
    pub written: Vec<Record>,
    /// Replies nobody has looked at yet.
    pub replies: Vec<(ConnectionId, Reply)>,
    connections: u64,
}

/// One client, with what the coordinator last told it.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    pub name: &'static str,
    pub member_id: String,
    pub instance: Option<&'static str>,
    pub generation: i32,
    pub topics: &'static [&'static str],
    pub assignors: &'static [&'static str],
}

impl Client {
    pub fn new(name: &'static str) -> Client {
        Client {
            name,
            topics: &["t"],
            assignors: &["range"],
            ..Client::default()
        }
    }

    fn subscription(&self) -> Bytes {
        let subscription = ConsumerProtocolSubscription {
            topics: self
                .topics
                .iter()
                .map(|topic| (*topic).to_owned())
                .collect(),
            ..ConsumerProtocolSubscription::default()
        };
        let mut writer = Writer::new();
        subscription.encode(&mut writer, 0).unwrap();
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&writer.finish_value());
        bytes.into()
    }
}

pub(super) fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: 0,
        min_session_timeout_ms: 6_000,
        max_session_timeout_ms: 1_800_000,
        max_size: 100,
        offset_metadata_max_bytes: 10,
        offsets_retention_ms: 60_000,
        offsets_retention_check_ms: 1_000,
        consumer_session_timeout_ms: 45_000,
        consumer_heartbeat_interval_ms: 5_000,
        consumer_max_size: 100,
        assignors: vec![Assignor::Uniform, Assignor::Range],
        migration: MigrationPolicy::Bidirectional,
    }
}

impl World {
    pub fn new() -> World {
        World::with(config())
    }

    pub fn with(config: GroupConfig) -> World {
        let mut shard = Shard::new(config);
        let now = Time::from_ms(1_000_000);
        shard.begin(now);
        World {
            shard,
            now,
            written: Vec::new(),
            replies: Vec::new(),
            connections: 0,
        }
    }

    pub fn take(&mut self, turn: Turn) {
        self.written.extend(turn.records);
        self.replies.extend(turn.replies);
        self.shard.check();
    }

    /// Lets time pass, alarm by alarm.
    pub fn pass(&mut self, ms: i64) {
        let until = self.now.plus_ms(ms);
        while let Some(at) = self.shard.next_wakeup().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let turn = self.shard.on_tick(self.now, &NO_TOPICS);
            self.take(turn);
        }
        self.now = until;
    }

    pub fn connection(&mut self) -> ConnectionId {
        self.connections += 1;
        ConnectionId(self.connections)
    }

    pub fn caller<'a>(&self, connection: ConnectionId, client: &'a Client) -> Caller<'a> {
        Caller {
            now: self.now,
            connection,
            client_id: client.name,
            client_host: "/127.0.0.1",
            fresh: u128::from(connection.0),
            topics: &NO_TOPICS,
        }
    }

    /// What somebody was answered, if that has come.
    pub fn reply(&mut self, to: ConnectionId) -> Option<Reply> {
        let at = self.replies.iter().position(|(of, _)| *of == to)?;
        Some(self.replies.remove(at).1)
    }

    pub fn ask_to_join(&mut self, client: &Client) -> ConnectionId {
        let connection = self.connection();
        let protocol = |name: &&str| JoinGroupRequestProtocol {
            name: (*name).to_owned(),
            metadata: client.subscription(),
        };
        let request = JoinGroupRequest {
            group_id: "g".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.map(str::to_owned),
            protocol_type: "consumer".to_owned(),
            protocols: client.assignors.iter().map(protocol).collect(),
            reason: None,
        };
        let caller = self.caller(connection, client);
        let turn = self.shard.join(&caller, &request, JOIN);
        self.take(turn);
        connection
    }

    /// Asks to join, with an id if one is required.
    pub fn begin_join(&mut self, client: &mut Client) -> ConnectionId {
        let connection = self.ask_to_join(client);
        match self.replies.iter().find(|(to, _)| *to == connection) {
            Some((_, Reply::NotJoined(Refusal::MemberIdRequired, id))) => {
                client.member_id.clone_from(id);
                self.reply(connection);
                self.ask_to_join(client)
            }
            _ => connection,
        }
    }

    pub fn joined(&mut self, client: &mut Client, connection: ConnectionId) -> Joined {
        match self.reply(connection) {
            Some(Reply::Joined(joined)) => {
                client.member_id.clone_from(&joined.member_id);
                client.generation = joined.generation;
                *joined
            }
            other => panic!("{} did not join: {other:?}", client.name),
        }
    }

    pub fn ask_to_sync(
        &mut self,
        client: &Client,
        assigned: &[(&Client, &'static str)],
    ) -> ConnectionId {
        let connection = self.connection();
        let one = |(client, assignment): &(&Client, &'static str)| SyncGroupRequestAssignment {
            member_id: client.member_id.clone(),
            assignment: Bytes::from_static(assignment.as_bytes()),
        };
        let request = SyncGroupRequest {
            group_id: "g".to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.map(str::to_owned),
            assignments: assigned.iter().map(one).collect(),
            ..SyncGroupRequest::default()
        };
        let caller = self.caller(connection, client);
        let turn = self.shard.sync(&caller, &request);
        self.take(turn);
        connection
    }

    pub fn heartbeat(&mut self, client: &Client) -> Result<(), Refusal> {
        let connection = self.connection();
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.map(str::to_owned),
        };
        let caller = self.caller(connection, client);
        let turn = self.shard.heartbeat(&caller, &request);
        self.take(turn);
        match self.reply(connection) {
            Some(Reply::Heartbeat(heard)) => heard,
            other => panic!("a heartbeat is answered at once: {other:?}"),
        }
    }

    pub fn leave(&mut self, client: &Client) -> Vec<Result<(), Refusal>> {
        let connection = self.connection();
        let leaver = Leaver {
            member_id: client.member_id.clone(),
            instance: None,
            reason: None,
        };
        let caller = self.caller(connection, client);
        let turn = self.shard.leave(&caller, "g", &[leaver]);
        self.take(turn);
        match self.reply(connection) {
            Some(Reply::Left(left)) => left,
            other => panic!("leaving is answered at once: {other:?}"),
        }
    }

    /// Has these join and sync together: a stable group, the first of them assigning its own name to each.
    pub fn stable(&mut self, clients: &mut [Client]) {
        let asked: Vec<ConnectionId> = clients.iter_mut().map(|c| self.begin_join(c)).collect();
        let last = asked.len() - 1;
        for again in 0..last {
            // Who joined alone hears that others came, and joins again.
            if self.replies.iter().any(|(to, _)| *to == asked[again]) {
                let mut client = clients[again].clone();
                self.joined(&mut client, asked[again]);
                clients[again] = client;
            }
        }
        let mut connections = asked;
        for again in 0..last {
            connections[again] = self.ask_to_join(&clients[again]);
        }
        let mut leader = 0;
        for (at, connection) in connections.iter().enumerate() {
            let joined = self.joined(&mut clients[at], *connection);
            if joined.leader == clients[at].member_id {
                leader = at;
            }
        }
        let everybody = clients.to_vec();
        let assigned: Vec<(&Client, &'static str)> =
            everybody.iter().map(|c| (c, c.name)).collect();
        let mut syncs = Vec::new();
        for (at, client) in everybody.iter().enumerate() {
            let brings: &[_] = if at == leader { &assigned } else { &[] };
            syncs.push(self.ask_to_sync(client, brings));
        }
        for connection in syncs {
            assert!(matches!(self.reply(connection), Some(Reply::Synced(Ok(_)))));
        }
    }

    pub fn state(&self) -> ClassicState {
        match self.shard.groups().get("g").map(Group::kind) {
            Some(GroupKind::Classic(classic)) => classic.state(),
            _ => ClassicState::Dead,
        }
    }
}

#[test]
fn a_group_belongs_to_the_partition_java_says() {
    // As Java has it; the last hash is the one number that has no absolute value.
    for (group, partition) in [("", 0), ("a", 47), ("test", 48), ("polygenelubricants", 0)] {
        assert_eq!(partition_of(group, 50), partition, "{group}");
    }
}
