//! Foreign clients in consumer groups: members come, go and die, and every record is read, none twice that was
//! committed, by one owner at a time.
//!
//! A member is a process that tells what it owns, reads and has committed, line by line (see the README). The
//! coordinator's own account, from `klar ctl snapshot`, must agree at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::driver::{Driver, follow};
use crate::install;
use crate::records::Produced;

const PARTITIONS: i32 = 6;
/// Records of each round.
const ROUND: usize = 300;
/// Longest any step may take on a busy machine; a session is 6 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each way of agreeing that a client has.
macro_rules! members {
    ($($name:ident: $client:ident $protocol:literal $instance:literal;)*) => {
        $(#[test]
        fn $name() {
            crate::groups::come_and_go(stringify!($name), stringify!($client), $protocol, $instance);
        })*
    };
}

members! {
    confluent_range: confluent "range" false;
    confluent_roundrobin: confluent "roundrobin" false;
    confluent_cooperative: confluent "cooperative-sticky" false;
    confluent_static: confluent "range" true;
    confluent_consumer: confluent "consumer" false;
    kafka_python_range: kafka_python "range" false;
    kafkajs: kafkajs "roundrobin" false;
    franz_range: franz "range" false;
    franz_cooperative: franz "cooperative-sticky" false;
    franz_static: franz "cooperative-sticky" true;
    sarama_range: sarama "range" false;
    sarama_sticky: sarama "sticky" false;
    java_range: java "range" false;
    java_cooperative: java "cooperative-sticky" false;
    java_static: java "range" true;
    java_consumer: java "consumer" false;
}

/// Each client that takes a group over to the consumer protocol and back, beside members that speak `protocol`.
macro_rules! migrations {
    ($($name:ident: $client:ident $protocol:literal, $other:ident;)*) => {
        $(#[test]
        fn $name() {
            let (name, other) = (stringify!($name), stringify!($other));
            crate::groups::go_over_and_back(name, stringify!($client), $protocol, other);
        })*
    };
}

migrations! {
    confluent_range_goes_over: confluent "range", confluent;
    confluent_cooperative_goes_over: confluent "cooperative-sticky", java;
    java_range_goes_over: java "range", java;
    java_cooperative_goes_over: java "cooperative-sticky", confluent;
    franz_cooperative_goes_over: franz "cooperative-sticky", confluent;
    sarama_range_goes_over: sarama "range", confluent;
    kafkajs_goes_over: kafkajs "roundrobin", confluent;
    kafka_python_goes_over: kafka_python "range", confluent;
}

/// A member of a group, in a process of its own.
struct Member {
    name: String,
    child: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
}

/// What members of a group told, all together.
#[derive(Default)]
struct Told {
    owned: BTreeMap<String, BTreeSet<i32>>,
    got: BTreeSet<(i32, i64)>,
    /// Where each partition's commits have come to.
    done: BTreeMap<i32, i64>,
    /// Commits that were refused, which a rebalance does to those on their way.
    refused: Vec<String>,
}

impl Told {
    fn take(&mut self, member: &str, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words[0] {
            "owns" => {
                let numbers = words.get(1).copied().unwrap_or_default().split(',');
                let owned = numbers
                    .filter(|n| !n.is_empty())
                    .map(|n| n.parse().unwrap());
                self.owned.insert(member.to_owned(), owned.collect());
            }
            "got" => {
                let (partition, offset) = (i32::try_from(number(1)).unwrap(), number(2));
                let done = self.done.get(&partition).copied().unwrap_or(0);
                assert!(
                    offset >= done,
                    "{member} read {partition}@{offset} again, which was committed up to {done}"
                );
                self.got.insert((partition, offset));
            }
            "done" => {
                let partition = i32::try_from(number(1)).unwrap();
                self.done.insert(partition, number(2));
            }
            "not-done" => self.refused.push(format!("{member}: {line}")),
            "error" => panic!("{member}: {line}"),
            _ => {}
        }
    }

    /// How many partitions a member owns, if all are owned and none twice.
    fn shares(&self, members: &[&Member]) -> Option<Vec<usize>> {
        let none = BTreeSet::new();
        let of = |member: &&Member| self.owned.get(&member.name).unwrap_or(&none);
        let all: BTreeSet<i32> = members.iter().flat_map(|m| of(m).iter().copied()).collect();
        let shares: Vec<usize> = members.iter().map(|m| of(m).len()).collect();
        let whole = i32::try_from(all.len()) == Ok(PARTITIONS);
        (whole && shares.iter().sum::<usize>() == all.len()).then_some(shares)
    }
}

/// One group on one topic.
struct Group<'a> {
    broker: &'a Broker,
    name: String,
    client: &'static str,
    protocol: &'static str,
    told: Told,
}

impl Group<'_> {
    fn start(&self, name: &str, instance: Option<&str>) -> Member {
        self.start_as(self.client, self.protocol, name, instance)
    }

    fn start_as(&self, client: &str, protocol: &str, name: &str, instance: Option<&str>) -> Member {
        let mut child = install::member(client)
            .args([&self.broker.bootstrap, &self.name, &self.name])
            .args([name, protocol, instance.unwrap_or("-")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let (sender, receiver) = channel();
        follow(&mut child, move |line| sender.send(line).is_ok());
        Member {
            name: name.to_owned(),
            child,
            commands,
            lines: receiver,
        }
    }

    fn listen(&mut self, member: &Member) {
        while let Ok(line) = member.lines.try_recv() {
            self.told.take(&member.name, &line);
        }
    }

    fn wait(&mut self, what: &str, members: &[&Member], holds: impl Fn(&Told) -> bool) {
        let began = Instant::now();
        loop {
            for member in members {
                self.listen(member);
            }
            if holds(&self.told) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{}: waited in vain: {what}; owned {:?}, read {}, committed {:?}, refused {:?}, shown {}",
                self.name,
                self.told.owned,
                self.told.got.len(),
                self.told.done,
                self.told.refused,
                self.shown()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_shares(&mut self, members: &[&Member], least: usize) {
        let what = format!("each of {} owns {least} or more", members.len());
        self.wait(&what, members, |told| {
            told.shares(members)
                .is_some_and(|shares| shares.iter().all(|share| *share >= least))
        });
    }

    fn produce(&self) {
        let records = Produced::regular(&self.name, ROUND);
        let file = records.write_file(&self.name);
        Driver::of("franz").produce(self.broker, &self.name, "none", true, &file);
    }

    fn wait_for_rounds(&mut self, members: &[&Member], rounds: usize) {
        let all = rounds * ROUND;
        self.wait(
            &format!("{all} records are read and committed"),
            members,
            |told| {
                let done: i64 = told.done.values().sum();
                told.got.len() == all && done == i64::try_from(all).unwrap()
            },
        );
    }

    fn close(&mut self, mut member: Member) {
        writeln!(member.commands, "close").unwrap();
        let began = Instant::now();
        while member.child.try_wait().unwrap().is_none() {
            self.listen(&member);
            assert!(began.elapsed() < PATIENCE, "{} does not close", member.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        self.listen(&member);
        self.told.owned.remove(&member.name);
    }

    fn kill(&mut self, mut member: Member) {
        self.listen(&member);
        member.child.kill().unwrap();
        member.child.wait().unwrap();
        self.listen(&member);
        self.told.owned.remove(&member.name);
    }

    /// The group as its coordinator shows it.
    fn shown(&self) -> serde_json::Value {
        let snapshot = self.broker.snapshot();
        let groups = snapshot["groups"].as_array().unwrap();
        let mut found = groups.iter().filter(|g| g["group"] == self.name.as_str());
        found.next().expect("the group is shown").clone()
    }

    fn assert_shown(&self, state: &str, members: usize) {
        let shown = self.shown();
        assert_eq!(shown["state"], state, "{shown}");
        assert_eq!(
            shown["members"].as_array().unwrap().len(),
            members,
            "{shown}"
        );
        for offset in shown["offsets"].as_array().unwrap() {
            let partition = i32::try_from(offset["partition"].as_i64().unwrap()).unwrap();
            let done = self.told.done.get(&partition).copied().unwrap_or(0);
            assert_eq!(offset["committed"].as_i64(), Some(done), "{partition}");
        }
    }
}

/// Members of the classic protocol read on while one of the consumer protocol joins, takes the group over with them in
/// it and leaves again, or the other way round.
fn go_over_and_back(name: &str, client: &'static str, protocol: &'static str, other: &'static str) {
    let broker = Broker::get();
    let mut group = Group {
        broker,
        name: format!("both-{}", name.replace('_', "-")),
        client,
        protocol,
        told: Told::default(),
    };
    let partitions = usize::try_from(PARTITIONS).unwrap();
    Driver::of("franz").create(broker, &group.name, partitions);
    let a = group.start("a", None);
    group.wait_for_shares(&[&a], partitions);
    group.produce();
    group.wait_for_rounds(&[&a], 1);

    let b = group.start_as(other, "consumer", "b", None);
    group.wait_for_shares(&[&a, &b], 2);
    group.produce();
    group.wait_for_rounds(&[&a, &b], 2);
    assert_eq!(group.shown()["kind"], "consumer");
    group.assert_shown("Stable", 2);

    let c = group.start("c", None);
    group.wait_for_shares(&[&a, &b, &c], 1);
    group.close(a);
    group.produce();
    group.wait_for_shares(&[&b, &c], 2);
    group.wait_for_rounds(&[&b, &c], 3);

    group.close(b);
    group.wait_for_shares(&[&c], partitions);
    group.produce();
    group.wait_for_rounds(&[&c], 4);
    assert_eq!(group.shown()["kind"], "classic");
    group.close(c);
    group.assert_shown("Empty", 0);
}

fn come_and_go(name: &str, client: &'static str, protocol: &'static str, fixed: bool) {
    let broker = Broker::get();
    let mut group = Group {
        broker,
        name: format!("members-{}", name.replace('_', "-")),
        client,
        protocol,
        told: Told::default(),
    };
    let partitions = usize::try_from(PARTITIONS).unwrap();
    Driver::of("franz").create(broker, &group.name, partitions);
    let instance = |name: &'static str| fixed.then_some(name);

    let a = group.start("a", instance("one"));
    group.wait_for_shares(&[&a], partitions);
    group.produce();
    group.wait_for_rounds(&[&a], 1);

    let b = group.start("b", instance("two"));
    group.wait_for_shares(&[&a, &b], 2);
    group.produce();
    group.wait_for_rounds(&[&a, &b], 2);
    group.assert_shown("Stable", 2);

    // It dies; the other one, or it itself when it is a static member, goes on where it had come to.
    group.kill(a);
    group.produce();
    let a = fixed.then(|| group.start("a-again", instance("one")));
    let left: Vec<&Member> = a.iter().chain([&b]).collect();
    group.wait_for_shares(&left, 2);
    group.wait_for_rounds(&left, 3);

    if let Some(a) = a {
        group.close(a);
    }
    group.close(b);
    group.produce();
    let c = group.start("c", instance("one"));
    group.wait_for_rounds(&[&c], 4);
    group.close(c);
    if !fixed {
        group.assert_shown("Empty", 0);
    }
}
