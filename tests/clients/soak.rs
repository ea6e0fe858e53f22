//! Everything at once for as long as told: foreign clients in groups, classic and new, while brokers die, links are cut
//! and members die.
//!
//! librdkafka writes numbered records to a topic of three replicas. Four groups read all of them, each with members of
//! another client or protocol; every so often one member is killed and another one comes. Nobody may be stuck: at the
//! end each group has read every record, has committed every offset, and never read again what was committed. Memory is
//! printed. `make soak` does it for an hour.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::broker::{self, Broker};
use crate::driver::{Driver, follow};
use crate::failover::{Faults, Step, load, steps};
use crate::install;

const TOPIC: &str = "soak";
const PARTITIONS: usize = 6;
/// Records a second over all partitions: each is committed by each group on its own.
const RATE: u64 = 60;
/// A member is killed and another one started this often, the groups in turn.
const CHURN: Duration = Duration::from_secs(10);
/// Longest until all groups have read everything after the last fault, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of memory printed on the way.
const MEMORY_LINES: u32 = 12;
const SETTINGS: &[&str] = &[
    "leader.imbalance.check.interval.seconds=3",
    "group.consumer.min.heartbeat.interval.ms=500",
    "group.consumer.heartbeat.interval.ms=500",
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=6000",
];
/// Client and protocol of each group, and its members.
const GROUPS: &[(&str, &str, usize)] = &[
    ("confluent", "range", 2),
    ("confluent", "consumer", 2),
    ("franz", "cooperative-sticky", 2),
    ("java", "consumer", 1),
];

#[test]
fn groups_go_on_while_brokers_and_members_die() {
    run(40);
}

#[test]
#[ignore = "takes an hour: make soak"]
fn for_as_long_as_told() {
    let seconds = std::env::var("KLAR_SOAK_SECONDS").expect("KLAR_SOAK_SECONDS");
    run(seconds.parse().expect("seconds"));
}

/// A line of a member, and of which group.
type Line = (usize, String, String);

struct Member {
    name: String,
    child: Child,
    /// Its end tells the member to leave.
    commands: std::process::ChildStdin,
}

#[derive(Default)]
struct Group {
    members: Vec<Member>,
    started: usize,
    /// By partition: which offsets were read, as the end of what is read without a gap and what lies behind one.
    read: BTreeMap<i32, Read>,
    /// Where each partition's commits have come to.
    done: BTreeMap<i32, i64>,
    refused: usize,
    again: usize,
}

#[derive(Default)]
struct Read {
    next: i64,
    beyond: std::collections::BTreeSet<i64>,
}

impl Read {
    /// False if it was read before.
    fn add(&mut self, offset: i64) -> bool {
        let new = offset >= self.next && self.beyond.insert(offset);
        while self.beyond.remove(&self.next) {
            self.next += 1;
        }
        new
    }
}

impl Group {
    fn take(&mut self, name: &str, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        let partition = |at: usize| i32::try_from(number(at)).unwrap();
        match words[0] {
            "got" => {
                let (partition, offset) = (partition(1), number(2));
                let done = self.done.get(&partition).copied().unwrap_or(0);
                assert!(
                    offset >= done,
                    "{name} read {partition}@{offset} again, which was committed up to {done}"
                );
                if !self.read.entry(partition).or_default().add(offset) {
                    self.again += 1;
                }
            }
            "done" => {
                let done = self.done.entry(partition(1)).or_default();
                *done = number(2).max(*done);
            }
            "not-done" | "error" => self.refused += 1,
            _ => {}
        }
    }

    fn read_of(&self, ends: &BTreeMap<i32, i64>) -> bool {
        let read = |(partition, end): (&i32, &i64)| {
            let next = self.read.get(partition).map_or(0, |read| read.next);
            next == *end && self.done.get(partition).copied().unwrap_or(0) == *end
        };
        ends.iter().all(read)
    }
}

struct Soak {
    klar: Broker,
    groups: Vec<Group>,
    sender: Sender<Line>,
    lines: Receiver<Line>,
}

fn run(seconds: u64) {
    let klar = Broker::start("soak", SETTINGS);
    Driver::of("franz").create(&klar, TOPIC, PARTITIONS);
    let (sender, lines) = channel();
    let mut soak = Soak {
        klar,
        groups: GROUPS.iter().map(|_| Group::default()).collect(),
        sender,
        lines,
    };
    for (index, (.., members)) in GROUPS.iter().enumerate() {
        (0..*members).for_each(|_| soak.start(index));
    }
    let log = broker::scratch().join("soak.acks");
    let mut writer = load(&soak.klar, TOPIC, PARTITIONS, RATE, seconds, &log);
    let began = Instant::now();
    let (kills, cuts) = soak.live_through(seconds, began);
    while writer.try_wait().unwrap().is_none() {
        soak.listen(Duration::from_millis(100));
    }
    let ends = ends(&fs::read_to_string(log).unwrap());
    soak.wait_until_read(&ends);
    let records: i64 = ends.values().sum();
    println!(
        "{records} records in {seconds} s, {kills} brokers killed, {cuts} cuts; read by {} groups to the end:",
        GROUPS.len()
    );
    for ((client, protocol, _), group) in GROUPS.iter().zip(&soak.groups) {
        println!(
            "  {client} {protocol}: {} members, {} records read again, {} commits refused",
            group.started, group.again, group.refused
        );
    }
    soak.print_memory(began);
    soak.leave();
}

impl Soak {
    fn start(&mut self, index: usize) {
        let (client, protocol, _) = GROUPS[index];
        let group = &mut self.groups[index];
        group.started += 1;
        let name = format!("{client}-{protocol}-{}", group.started);
        let mut child = install::member(client)
            .args([&self.klar.bootstrap, TOPIC])
            .args([&format!("soak-{client}-{protocol}"), &name])
            .args([protocol, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, teller) = (self.sender.clone(), name.clone());
        follow(&mut child, move |line| {
            sender.send((index, teller.clone(), line)).is_ok()
        });
        let commands = child.stdin.take().unwrap();
        group.members.push(Member {
            name,
            child,
            commands,
        });
    }

    /// Takes what members tell for so long; none of them may have ended by itself.
    fn listen(&mut self, long: Duration) {
        let until = Instant::now() + long;
        while let Ok((index, name, line)) = self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.groups[index].take(&name, &line);
        }
        for member in self.groups.iter_mut().flat_map(|group| &mut group.members) {
            let ended = member.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} gave up: {ended:?}", member.name);
        }
    }

    /// Carries out all faults; returns how many brokers were killed and links cut.
    fn live_through(&mut self, seconds: u64, began: Instant) -> (usize, usize) {
        let mut faults = steps(seconds * 1000).into_iter().peekable();
        let length = Duration::from_secs(seconds);
        let (mut churn, mut printed) = (CHURN, 0);
        let mut turn = 0;
        let mut carried = Faults::new(TOPIC);
        while began.elapsed() < length {
            if let Some((_, step)) =
                faults.next_if(|(at_ms, _)| Duration::from_millis(*at_ms) <= began.elapsed())
            {
                carried.take(&self.klar, step);
            }
            if began.elapsed() >= churn && churn + CHURN < length {
                churn += CHURN;
                self.replace_a_member(turn % GROUPS.len());
                turn += 1;
            }
            if began.elapsed() >= length / MEMORY_LINES * printed {
                printed += 1;
                self.print_memory(began);
            }
            self.listen(Duration::from_millis(100));
        }
        for (_, step) in faults.filter(|(_, step)| matches!(step, Step::Restart | Step::Heal)) {
            carried.take(&self.klar, step);
        }
        (carried.kills.len(), carried.cuts)
    }

    fn replace_a_member(&mut self, index: usize) {
        let mut oldest = self.groups[index].members.remove(0);
        oldest.child.kill().unwrap();
        oldest.child.wait().unwrap();
        self.start(index);
    }

    fn wait_until_read(&mut self, ends: &BTreeMap<i32, i64>) {
        let began = Instant::now();
        while !self.groups.iter().all(|group| group.read_of(ends)) {
            let stuck = GROUPS.iter().zip(&self.groups);
            let stuck = stuck.filter(|(_, group)| !group.read_of(ends));
            let stuck: Vec<_> = stuck
                .map(|(group, told)| {
                    let read = told.read.iter().map(|(at, read)| (*at, read.next));
                    (group, read.collect::<Vec<_>>(), &told.done)
                })
                .collect();
            assert!(
                began.elapsed() < PATIENCE,
                "not read to {ends:?}: {stuck:#?}"
            );
            self.listen(Duration::from_millis(100));
        }
        for group in self.klar.snapshot()["groups"].as_array().unwrap() {
            for offset in group["offsets"].as_array().unwrap() {
                let partition = i32::try_from(offset["partition"].as_i64().unwrap()).unwrap();
                let end = ends.get(&partition).copied();
                assert_eq!(offset["committed"].as_i64(), end, "{group}");
            }
        }
    }

    fn print_memory(&self, began: Instant) {
        println!(
            "after {:.0} s: {:.1} MiB, of it {:.1} MiB beside mapped files",
            began.elapsed().as_secs_f64(),
            self.klar.memory_mib("VmRSS"),
            self.klar.memory_mib("RssAnon")
        );
    }

    /// Has every member leave in order.
    fn leave(&mut self) {
        for group in &mut self.groups {
            for member in &mut group.members {
                writeln!(member.commands, "close").unwrap();
                member.child.wait().unwrap();
            }
        }
    }
}

/// Where each partition ends, from the acks the load wrote down.
fn ends(acks: &str) -> BTreeMap<i32, i64> {
    let mut ends = BTreeMap::new();
    for line in acks.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        assert_ne!(words[0], "failed", "given up: {line}");
        if words[0] == "acked" {
            let number = |at: usize| words[at].parse::<i64>().unwrap();
            let end = ends.entry(i32::try_from(number(1)).unwrap()).or_insert(0);
            *end = (number(3) + number(4)).max(*end);
        }
    }
    ends
}
