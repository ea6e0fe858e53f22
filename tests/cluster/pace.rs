//! Slow motion, pause and step of a cluster that runs, as its user sees them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

/// Three brokers that miss each other after a second of their time.
fn three(dir: &tempfile::TempDir) -> Klar {
    let path = dir.path().to_str().unwrap();
    let brokers = ["--port", "0", "--data-dir", path, "--brokers", "3"];
    let settings = ["--set", "broker.session.timeout.ms=3000"];
    let lag = ["--set", "replica.lag.time.max.ms=1000"];
    Klar::with(&[&brokers[..], &settings, &lag].concat())
}

/// A topic with a replica on each broker; its leader's address and number.
fn replicated(klar: &Klar) -> (String, usize) {
    let all = ["topics", "create", "t", "--replication-factor", "3"];
    klar.ctl_ok(&all);
    let mut addresses = klar.ready.bootstrap.split(',');
    let first = addresses.clone().next().unwrap();
    let leader = Client::connect(first).unwrap().leader("t");
    let number = addresses.position(|address| address == leader).unwrap() + 1;
    (leader, number)
}

fn partition(klar: &Klar) -> Value {
    klar.snapshot()["topics"][0]["partitions"][0].clone()
}

fn isr(klar: &Klar) -> usize {
    partition(klar)["isr"].as_array().unwrap().len()
}

/// Kinds of events with what they are about, oldest first, and their times.
fn events(klar: &Klar, wanted: &[&str]) -> Vec<(String, Value, i64)> {
    let snapshot = klar.snapshot();
    let events = snapshot["events"].as_array().unwrap().iter();
    let told = events.map(|event| {
        let kind = event["kind"]["kind"].as_str().unwrap().to_owned();
        let subject = match &event["kind"]["subject"] {
            Value::Null => event["broker"].clone(),
            subject => subject.clone(),
        };
        (kind, subject, event["time"].as_i64().unwrap())
    });
    told.filter(|(kind, _, _)| wanted.contains(&kind.as_str()))
        .collect()
}

#[test]
fn in_slow_motion_a_dead_broker_is_missed_in_order_and_no_other() {
    let dir = fresh_dir();
    let klar = three(&dir);
    let (_, dead) = replicated(&klar);
    klar.ctl_ok(&["speed", "1/4"]);
    klar.ctl_ok(&["kill", &dead.to_string()]);
    let kinds = ["broker_killed", "broker_fenced", "leader_elected"];
    let told = eventually("another leads", || {
        let told = events(&klar, &kinds);
        let led = told.iter().any(|(kind, _, _)| kind == "leader_elected");
        let living = klar.snapshot()["topics"][0]["partitions"][0]["leader"].as_u64()?;
        (led && living != dead as u64).then_some(told)
    });
    let order: Vec<&str> = told.iter().map(|(kind, _, _)| kind.as_str()).collect();
    assert_eq!(order, kinds, "{told:?}");
    assert!(told.is_sorted_by_key(|(_, _, time)| *time), "{told:?}");
    assert!(klar.snapshot()["pace"]["behind_ms"].as_u64().unwrap() > 0);

    klar.ctl_ok(&["speed", "1"]);
    klar.ctl_ok(&["restart", &dead.to_string()]);
    eventually("all are in sync again", || (isr(&klar) == 3).then_some(()));
    let fenced: Vec<Value> = events(&klar, &["broker_fenced"])
        .into_iter()
        .map(|(_, broker, _)| broker)
        .collect();
    assert_eq!(fenced, [dead], "nobody who lived was taken for dead");
    let refused = klar.ctl(&["speed", "1/5000"]);
    assert!(!refused.status.success());
}

#[test]
fn while_time_stands_still_messages_are_let_through_one_by_one() {
    let dir = fresh_dir();
    let klar = three(&dir);
    let (leader, _) = replicated(&klar);
    klar.ctl_ok(&["time", "pause"]);
    let again = klar.ctl(&["time", "pause"]);
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .contains("ALREADY_PAUSED")
    );
    let stood = klar.snapshot()["time"].clone();

    let writer = std::thread::spawn(move || {
        let mut client = Client::connect(&leader).unwrap();
        client.produce("t", b"stepped").unwrap()
    });
    // The leader takes it at once; nothing tells the followers.
    eventually("it is written", || {
        (partition(&klar)["log_end"] == 1).then_some(())
    });
    assert_eq!(partition(&klar)["high_watermark"], 0);
    let mut steps = Vec::new();
    while partition(&klar)["high_watermark"] == 0 {
        assert!(steps.len() < 60, "{steps:?}");
        steps.push(klar.ctl_ok(&["time", "step"]));
    }
    assert!(
        steps.len() >= 2,
        "each follower was to hear of it: {steps:?}"
    );
    assert_eq!(writer.join().unwrap(), 0);
    let stepped = events(&klar, &["message_stepped"]);
    assert!(stepped.len() >= 2 && stepped.len() <= steps.len());
    assert_eq!(isr(&klar), 3, "nobody was late by its own clock");

    klar.ctl_ok(&["time", "resume"]);
    eventually("time goes on", || {
        (klar.snapshot()["time"].as_i64() > stood.as_i64()).then_some(())
    });
    let held = klar.snapshot()["pace"]["held"].clone();
    assert_eq!(held, Value::Array(Vec::new()));
}

#[test]
fn frozen_followers_leave_the_isr_and_catch_up_once_thawed() {
    let dir = fresh_dir();
    let klar = three(&dir);
    let (leader, _) = replicated(&klar);
    klar.ctl_ok(&["replication", "freeze"]);
    let writer = std::thread::spawn(move || {
        let mut client = Client::connect(&leader).unwrap();
        client.produce("t", b"kept").unwrap()
    });
    eventually("the followers are counted out", || {
        (isr(&klar) == 1).then_some(())
    });
    let fenced = events(&klar, &["broker_fenced"]);
    assert!(
        fenced.is_empty(),
        "only replication stands still: {fenced:?}"
    );
    assert_eq!(writer.join().unwrap(), 0);
    klar.ctl_ok(&["replication", "thaw"]);
    eventually("they are back", || (isr(&klar) == 3).then_some(()));
    let again = klar.ctl(&["replication", "thaw"]);
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .contains("NOT_FROZEN")
    );
}

/// The steps of a failover, as events are called, in the order they come in.
const STEPS: [&str; 5] = [
    "broker_killed",
    "broker_unheard",
    "broker_fenced",
    "leader_elected",
    "first_produce_acked",
];

/// A failover watched step by step.
struct Watch<'a> {
    klar: &'a Klar,
    dead: usize,
    began: Instant,
    /// Events told before it began.
    before: u64,
    /// When each step was seen first.
    seen: Vec<(&'static str, Duration, Value)>,
}

impl<'a> Watch<'a> {
    /// Kills a broker that leads the topic `t` and is not the controller.
    fn kill(klar: &'a Klar) -> Watch<'a> {
        let controller = klar.snapshot()["controller"].as_u64().unwrap();
        let dead = if controller == 1 { 2 } else { 1 };
        let leader = || partition(klar)["leader"].as_u64();
        if leader() != Some(dead) {
            klar.ctl_ok(&["elect", "t-0", &dead.to_string()]);
        }
        eventually("it leads", || (leader() == Some(dead)).then_some(()));
        let before = klar.snapshot()["event_number"].as_u64().unwrap();
        klar.ctl_ok(&["kill", &dead.to_string()]);
        Watch {
            klar,
            dead: usize::try_from(dead).unwrap(),
            began: Instant::now(),
            before,
            seen: Vec::new(),
        }
    }

    /// Takes note of the steps a snapshot has; true once it has them up to this one.
    fn look(&mut self, last: &str) -> bool {
        let snapshot = self.klar.snapshot();
        let events = snapshot["events"].as_array().unwrap().iter();
        let new = events.filter(|event| event["number"].as_u64() > Some(self.before));
        for event in new {
            let kind = event["kind"]["kind"].as_str().unwrap();
            let step = STEPS.iter().find(|step| **step == kind);
            let known = self.seen.iter().any(|(seen, ..)| *seen == kind);
            if let Some(step) = step.filter(|_| !known) {
                self.seen.push((step, self.began.elapsed(), event.clone()));
            }
        }
        self.seen.iter().any(|(seen, ..)| *seen == last)
    }

    /// All steps came, each once, in their order, by number and by the cluster's time.
    fn came_in_order(&self) {
        let steps: Vec<&str> = self.seen.iter().map(|(step, ..)| *step).collect();
        assert_eq!(steps, STEPS, "{:#?}", self.seen);
        let number = |(.., event): &(_, _, Value)| event["number"].as_u64();
        let time = |(.., event): &(_, _, Value)| event["time"].as_i64();
        assert!(self.seen.is_sorted_by_key(number), "{:#?}", self.seen);
        assert!(self.seen.is_sorted_by_key(time), "{:#?}", self.seen);
        let fenced = events(self.klar, &["broker_fenced"]);
        let fenced: Vec<&Value> = fenced.iter().map(|(_, broker, _)| broker).collect();
        assert_eq!(fenced, [self.dead], "nobody who lived was taken for dead");
    }

    /// When each step came, by the cluster's clock and by the watcher's.
    fn print(&self) {
        let time = |event: &Value| event["time"].as_i64().unwrap();
        let began = time(&self.seen[0].2);
        for (step, at, event) in &self.seen {
            let after_ms = (time(event) - began) as f64 / 1_000.0;
            let at_s = at.as_secs_f64();
            println!(
                "{step:>20}: {after_ms:8.1} ms of the cluster's time, seen after {at_s:5.1} s"
            );
        }
    }
}

/// Has klar's own producer write to the topic `t`.
fn write_on(klar: &Klar) {
    klar.ctl_ok(&["run", WRITER]);
    eventually("it is written to", || (acked(klar) > 20).then_some(()));
}

const WRITER: &str = r#"{"command":"start_producer","name":"w","topic":"t","key":"{n}","value":"{uuid}",
    "headers":[],"rate":200,"settings":{"compression":"none","acks":"all","idempotence":true,"partition":"automatic"}}"#;

fn acked(klar: &Klar) -> u64 {
    let producer = &klar.snapshot()["producers"][0];
    assert_eq!(producer["failed"], 0, "{producer}");
    producer["acked"].as_u64().unwrap()
}

/// At full speed all goes on at once: what lives serves, what was killed comes back, nothing else happened.
fn goes_on_at_full_speed(klar: &Klar, dead: usize) {
    klar.ctl_ok(&["speed", "1"]);
    let so_far = acked(klar);
    eventually("writes go on", || {
        (acked(klar) > so_far + 400).then_some(())
    });
    klar.ctl_ok(&["restart", &dead.to_string()]);
    eventually("all are in sync again", || (isr(klar) == 3).then_some(()));
    let fenced = events(klar, &["broker_fenced"]);
    assert_eq!(
        fenced.len(),
        1,
        "only the killed one was fenced: {fenced:?}"
    );
}

#[test]
fn the_end_of_a_failover_is_seen_step_by_step_at_a_hundredth() {
    let dir = fresh_dir();
    let klar = three(&dir);
    replicated(&klar);
    write_on(&klar);
    let mut watch = Watch::kill(&klar);
    assert!(watch.look("broker_killed"));
    let killed_us = watch.seen[0].2["time"].as_i64().unwrap();
    let passed_ms = || (klar.snapshot()["time"].as_i64().unwrap() - killed_us) / 1_000;
    // It is given up a third of its session after its connection was lost. At a hundredth that would take a minute and
    // a half: it begins sooner.
    for (speed, until_ms) in [("1", 600), ("1/4", 900)] {
        klar.ctl_ok(&["speed", speed]);
        eventually("its session runs out", || {
            (watch.look("broker_unheard") || passed_ms() > until_ms).then_some(())
        });
    }
    klar.ctl_ok(&["speed", "1/100"]);
    eventually("another leads", || {
        watch.look("leader_elected").then_some(())
    });
    klar.ctl_ok(&["speed", "1"]);
    eventually("it is written to", || {
        watch.look("first_produce_acked").then_some(())
    });
    watch.came_in_order();
    goes_on_at_full_speed(&klar, watch.dead);
}

#[test]
#[ignore = "takes two minutes: make slow-motion runs it"]
fn a_minute_at_a_hundredth_with_a_kill_in_it() {
    let dir = fresh_dir();
    let path = dir.path().to_str().unwrap();
    let klar = Klar::with(&["--port", "0", "--data-dir", path, "--brokers", "3"]);
    replicated(&klar);
    write_on(&klar);
    klar.ctl_ok(&["speed", "1/100"]);
    let slowed = Instant::now();
    let mut watch = Watch::kill(&klar);
    let first = acked(&klar);
    while slowed.elapsed() < A_MINUTE {
        watch.look("first_produce_acked");
        // Only so as not to ask all the time.
        std::thread::sleep(Duration::from_millis(50));
    }
    watch.print();
    watch.came_in_order();
    let written = acked(&klar) - first;
    let behind_s = klar.snapshot()["pace"]["behind_ms"].as_u64().unwrap() / 1_000;
    println!(
        "{written} records acknowledged in slow motion; the cluster's clock is {behind_s} s behind"
    );
    assert!(written > 0 && behind_s >= 59);
    goes_on_at_full_speed(&klar, watch.dead);
    println!(
        "at full speed: writes go on, the killed broker is in sync again, nobody else was fenced"
    );
}

const A_MINUTE: Duration = Duration::from_secs(60);
