//! Consumer groups: how soon a lone member reads, and what many idle members cost.

use std::io;
use std::time::{Duration, Instant};

use crate::load;
use crate::measures::{Bench, Measured, Wanted, median, print_pair, text};
use crate::raw::{Connection, Fields, put_str};
use crate::server::{Kind, Server, Shape};

const KLAR: Shape = Shape {
    kind: Kind::Klar,
    brokers: 1,
};
const GROUPS: usize = 1_000;
const MEMBERS: usize = 10;
/// How long members say nothing but that they live.
const IDLE: Duration = Duration::from_secs(30);
/// Between two heartbeats of a member, as clients have it by default.
const HEARTBEAT: Duration = Duration::from_secs(3);
const TOPIC: &str = "groups";

/// From subscribing to the first record of a lone librdkafka member, when `__consumer_offsets` is there.
pub fn join(bench: &Bench) -> Measured {
    let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
    let topic = Connection::open(&server.bootstrap).and_then(|mut c| c.create_topic(TOPIC, 1, 1));
    topic.map_err(text)?;
    // Of several partitions the first request may name only empty ones, which librdkafka then waits for, 500 ms.
    let target = crate::load::Target {
        partitions: 1,
        ..server.target(TOPIC)
    };
    load::produce(&target, 100, 100)?;
    load::join(&target, "warm")?;
    let mut taken = Vec::new();
    for round in 0..bench.rounds.max(5) {
        let joined = load::join(&target, &format!("group-{round}"))?;
        taken.push(joined.as_secs_f64() * 1000.0);
    }
    server.discard();
    let name = "join to first record";
    print_pair(name, "ms", median(taken), None, Wanted::AtMost(50.0));
    Ok(())
}

/// Memory and processor time of ten thousand members in a thousand groups that only send heartbeats.
pub fn idle(bench: &Bench) -> Measured {
    let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
    let measured = idle_on(&server).map_err(text);
    server.discard();
    let (each, cpu) = measured?;
    print_pair(
        "memory per idle group member",
        "KiB",
        each,
        None,
        Wanted::Nothing,
    );
    let name = "10,000 idle members, of a core";
    print_pair(name, "%", cpu, None, Wanted::Nothing);
    Ok(())
}

fn idle_on(server: &Server) -> io::Result<(f64, f64)> {
    let mut first = Connection::open(&server.bootstrap)?;
    first.create_topic(TOPIC, 1, 1)?;
    first.find_coordinator("group-0")?;
    // All members of a group come at once, so that each has one rebalance.
    first.set_for_all_brokers("group.initial.rebalance.delay.ms", "3000")?;
    let mut members = Vec::with_capacity(GROUPS * MEMBERS);
    for number in 0..GROUPS * MEMBERS {
        let connection = Connection::open(&server.bootstrap)?;
        members.push(Member::new(connection, number / MEMBERS));
    }
    let before = server.resident()?;
    for member in &mut members {
        member.send_join()?;
    }
    for member in &mut members {
        member.take_joined()?;
    }
    for member in &mut members {
        member.send_sync()?;
    }
    for member in &mut members {
        member.take_synced()?;
    }
    let after = server.resident()?;
    let (begun, cpu) = (Instant::now(), server.cpu()?);
    while begun.elapsed() < IDLE {
        let round = Instant::now();
        for member in &mut members {
            member.heartbeat()?;
        }
        std::thread::sleep(HEARTBEAT.saturating_sub(round.elapsed()));
    }
    let used = (server.cpu()? - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    let each = after.saturating_sub(before) as f64 / members.len() as f64 / 1024.0;
    Ok((each, used * 100.0))
}

struct Member {
    connection: Connection,
    group: String,
    id: String,
    generation: i32,
    leads: bool,
}

impl Member {
    fn new(connection: Connection, group: usize) -> Member {
        Member {
            connection,
            group: format!("group-{group}"),
            id: String::new(),
            generation: -1,
            leads: false,
        }
    }

    /// JoinGroup v3, in which members are taken without an id.
    fn send_join(&mut self) -> io::Result<()> {
        let mut body = Vec::new();
        put_str(&mut body, &self.group);
        body.extend(45_000i32.to_be_bytes());
        body.extend(300_000i32.to_be_bytes());
        put_str(&mut body, "");
        put_str(&mut body, "consumer");
        body.extend(1i32.to_be_bytes());
        put_str(&mut body, "range");
        let mut subscription = 0i16.to_be_bytes().to_vec();
        subscription.extend(1i32.to_be_bytes());
        put_str(&mut subscription, TOPIC);
        subscription.extend((-1i32).to_be_bytes());
        body.extend((subscription.len() as i32).to_be_bytes());
        body.extend(subscription);
        self.connection.send(11, 3, &body)
    }

    fn take_joined(&mut self) -> io::Result<()> {
        let response = self.connection.receive()?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        expect(fields.i16()?, "JoinGroup")?;
        self.generation = fields.i32()?;
        fields.string()?;
        let leader = fields.string()?.unwrap_or_default();
        self.id = fields.string()?.unwrap_or_default();
        self.leads = leader == self.id;
        Ok(())
    }

    /// SyncGroup v2; the leader assigns nothing to anybody.
    fn send_sync(&mut self) -> io::Result<()> {
        let mut body = self.header();
        body.extend(0i32.to_be_bytes());
        self.connection.send(14, 2, &body)
    }

    fn take_synced(&mut self) -> io::Result<()> {
        let response = self.connection.receive()?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        expect(fields.i16()?, "SyncGroup")
    }

    /// Heartbeat v2.
    fn heartbeat(&mut self) -> io::Result<()> {
        let body = self.header();
        let response = self.connection.ask(12, 2, &body)?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        expect(fields.i16()?, "Heartbeat")
    }

    /// Group, generation and member: what both begin with.
    fn header(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_str(&mut body, &self.group);
        body.extend(self.generation.to_be_bytes());
        put_str(&mut body, &self.id);
        body
    }
}

fn expect(code: i16, what: &str) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::other(format!("{what} answers error {code}"))),
    }
}
