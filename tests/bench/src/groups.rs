//! Consumer groups: how soon a lone member reads, and what many idle members cost.

use std::io;
use std::time::{Duration, Instant};

use crate::apache::Apache;
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
/// The error code of a heartbeat that tells to join again.
const REBALANCE_IN_PROGRESS: i16 = 27;
/// Longest a coordinator may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Members of the one large group.
const MANY_MEMBERS: usize = 100;
/// Rounds that are not counted: Apache Kafka's machine compiles what it runs often.
const WARM_UP: usize = 20;

/// From subscribing to the first record of a lone librdkafka member, when `__consumer_offsets` is there. The second
/// figure is Apache Kafka's.
pub fn join(bench: &Bench) -> Measured {
    let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
    let delay = "group.initial.rebalance.delay.ms=0";
    let apache = Apache::start(&bench.dir.join("apache"), &[delay]).map_err(text)?;
    let rounds = bench.rounds.max(5);
    let klar = join_each(&server.bootstrap, rounds)?;
    let apache = join_each(&apache.bootstrap, rounds)?;
    server.discard();
    let name = "join to record (Apache Kafka)";
    print_pair(name, "ms", klar, Some(apache), Wanted::AtMost(50.0));
    Ok(())
}

/// The median of so many joins, each of a group of its own.
fn join_each(bootstrap: &str, rounds: usize) -> Result<f64, String> {
    let topic = Connection::open(bootstrap).and_then(|mut c| c.create_topic(TOPIC, 1, 1));
    topic.map_err(text)?;
    // Of several partitions the first request may name only empty ones, which librdkafka then waits for, 500 ms.
    let target = load::Target {
        bootstrap,
        topic: TOPIC,
        partitions: 1,
        acks: "1",
    };
    load::produce(&target, 100, 100)?;
    for warm in 0..WARM_UP {
        load::join(&target, &format!("warm-{warm}"))?;
    }
    let mut taken = Vec::new();
    for round in 0..rounds {
        let joined = load::join(&target, &format!("group-{round}"))?;
        taken.push(joined.as_secs_f64() * 1000.0);
    }
    Ok(median(taken))
}

/// What a rebalance takes once all members know of it: every one of a hundred joins again, because one more came,
/// until the last has its assignment. The second figure is Apache Kafka's.
pub fn rebalance(bench: &Bench) -> Measured {
    // A group begins with all of them at once; the rebalance that is measured waits for nobody.
    let (delay, ms) = ("group.initial.rebalance.delay.ms", "500");
    let mut taken = (Vec::new(), Vec::new());
    let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
    let apache = Apache::start(&bench.dir.join("apache"), &[&format!("{delay}={ms}")]);
    let apache = apache.map_err(text)?;
    let rounds = bench.rounds.max(5);
    for (bootstrap, taken) in [
        (&server.bootstrap, &mut taken.0),
        (&apache.bootstrap, &mut taken.1),
    ] {
        let mut first = Connection::open(bootstrap).map_err(text)?;
        first
            .create_topic(TOPIC, MANY_MEMBERS as i32, 1)
            .map_err(text)?;
        // Apache Kafka makes the topic of offsets now, and says so until it has.
        let asked = Instant::now();
        while let Err(error) = first.find_coordinator("group-0") {
            if asked.elapsed() > PATIENCE {
                return Err(text(error));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if *bootstrap == server.bootstrap {
            first.set_for_all_brokers(delay, ms).map_err(text)?;
        }
        for round in 0..rounds + WARM_UP {
            let one = rebalance_once(bootstrap, round).map_err(text)?;
            if round >= WARM_UP {
                taken.push(one.as_secs_f64() * 1000.0);
            }
        }
    }
    server.discard();
    let (klar, apache) = (median(taken.0), median(taken.1));
    let name = "rebalance of 100 (Apache Kafka)";
    print_pair(name, "ms", klar, Some(apache), Wanted::Nothing);
    Ok(())
}

/// A stable group of a hundred, then one more member.
fn rebalance_once(bootstrap: &str, round: usize) -> io::Result<Duration> {
    let mut members = Vec::with_capacity(MANY_MEMBERS + 1);
    for _ in 0..MANY_MEMBERS {
        members.push(Member::new(Connection::open(bootstrap)?, round));
    }
    join_all(&mut members)?;
    sync_all(&mut members)?;
    let mut more = Member::new(Connection::open(bootstrap)?, round);
    let begun = Instant::now();
    more.send_join()?;
    // Who joins again before the new member has come is told the generation that is.
    while members[0].hear()? != REBALANCE_IN_PROGRESS {}
    for member in &mut members[1..] {
        member.send_heartbeat()?;
    }
    for member in &mut members[1..] {
        member.take_heard()?;
    }
    join_all(&mut members)?;
    more.take_joined()?;
    members.push(more);
    sync_all(&mut members)?;
    Ok(begun.elapsed())
}

/// Has members join, or join again.
fn join_all(members: &mut [Member]) -> io::Result<()> {
    for member in &mut *members {
        member.send_join()?;
    }
    for member in members {
        member.take_joined()?;
    }
    Ok(())
}

/// Has members fetch their assignments; the leader brings one for each.
fn sync_all(members: &mut [Member]) -> io::Result<()> {
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    for member in &mut *members {
        member.send_sync_of(&ids)?;
    }
    for member in members {
        member.take_synced()?;
    }
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
        put_str(&mut body, &self.id);
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
        self.send_sync_of(&[])
    }

    /// SyncGroup v2; the leader assigns a partition to each of these.
    fn send_sync_of(&mut self, ids: &[String]) -> io::Result<()> {
        let ids = if self.leads { ids } else { &[] };
        let mut body = self.header();
        body.extend((ids.len() as i32).to_be_bytes());
        for (partition, id) in (0i32..).zip(ids) {
            put_str(&mut body, id);
            let mut assignment = 0i16.to_be_bytes().to_vec();
            assignment.extend(1i32.to_be_bytes());
            put_str(&mut assignment, TOPIC);
            assignment.extend(1i32.to_be_bytes());
            assignment.extend(partition.to_be_bytes());
            assignment.extend((-1i32).to_be_bytes());
            body.extend((assignment.len() as i32).to_be_bytes());
            body.extend(assignment);
        }
        self.connection.send(14, 2, &body)
    }

    fn take_synced(&mut self) -> io::Result<()> {
        let response = self.connection.receive()?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        expect(fields.i16()?, "SyncGroup")
    }

    /// Heartbeat v2.
    fn send_heartbeat(&mut self) -> io::Result<()> {
        let body = self.header();
        self.connection.send(12, 2, &body)
    }

    fn take_heard(&mut self) -> io::Result<i16> {
        let response = self.connection.receive()?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        fields.i16()
    }

    fn hear(&mut self) -> io::Result<i16> {
        self.send_heartbeat()?;
        self.take_heard()
    }

    fn heartbeat(&mut self) -> io::Result<()> {
        expect(self.hear()?, "Heartbeat")
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
