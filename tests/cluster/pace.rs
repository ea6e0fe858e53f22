//! Slow motion, pause and step of a cluster that runs, as its user sees them.

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
