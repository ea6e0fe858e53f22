//! Pulling the plug: what each durability keeps.

use serde_json::Value;

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

fn three(dir: &tempfile::TempDir, durability: &str) -> Klar {
    let path = dir.path().to_str().unwrap();
    let brokers = ["--port", "0", "--data-dir", path, "--brokers", "3"];
    // A busy machine may keep a broker from its heartbeats for a second: that is not what is tried here.
    let patient = ["--set", "broker.session.timeout.ms=3000"];
    let durability = ["--durability", durability];
    Klar::with(&[&brokers[..], &patient, &durability].concat())
}

fn events(klar: &Klar, kind: &str) -> Vec<Value> {
    let snapshot = klar.snapshot();
    let events = snapshot["events"].as_array().unwrap().iter();
    let found = events.filter(|event| event["kind"]["kind"] == kind);
    found.map(|event| event["kind"].clone()).collect()
}

/// Writes records to the only partition, each acknowledged by all replicas in sync.
fn produce(klar: &Klar, count: i64) {
    let any = klar.ready.bootstrap.split(',').next().unwrap();
    let leader = Client::connect(any).unwrap().leader("t");
    let mut client = Client::connect(&leader).unwrap();
    for n in 0..count {
        client
            .produce("t", format!("value {n}").as_bytes())
            .unwrap();
    }
}

/// Everything there is, once all of it is committed again.
fn read_all(klar: &Klar) -> Vec<(i64, Vec<u8>)> {
    let any = klar.ready.bootstrap.split(',').next().unwrap().to_owned();
    eventually("the topic is served again", || {
        let leader = Client::connect(&any).ok()?.try_leader("t")?;
        let read = Client::connect(&leader).ok()?.try_read_all("t")?;
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        let all = partition["high_watermark"] == partition["log_end"];
        (all && partition["log_end"] == read.len()).then_some(read)
    })
}

fn pull(klar: &Klar) -> String {
    let told = klar.ctl_ok(&["pull-plug", "--yes"]);
    assert_eq!(events(klar, "plug_pulled").len(), 1);
    eventually("every broker runs again", || {
        let snapshot = klar.snapshot();
        let brokers = snapshot["brokers"].as_array().unwrap();
        let runs = |broker: &Value| broker["state"] == "running";
        brokers.iter().all(runs).then_some(())
    });
    told
}

#[test]
fn what_is_told_to_be_lost_is_what_is_lost_and_nothing_else() {
    const ACKED: i64 = 300;
    let dir = fresh_dir();
    let klar = three(&dir, "os");
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    assert!(!klar.ctl(&["pull-plug"]).status.success(), "it asks");
    produce(&klar, ACKED);
    let told = pull(&klar);
    let read = read_all(&klar);
    let left = i64::try_from(read.len()).unwrap();
    let values = read.iter().zip(0..);
    for ((offset, value), n) in values {
        assert_eq!((*offset, value), (n, &format!("value {n}").into_bytes()));
    }
    let lost = events(&klar, "records_lost");
    match lost.first() {
        None => assert_eq!(left, ACKED, "{told}"),
        Some(lost) => {
            assert_eq!(
                (&lost["topic"], &lost["below"]),
                (&"t".into(), &ACKED.into())
            );
            let from = lost["from"].as_i64().unwrap();
            let committed = lost["committed"].as_i64().unwrap();
            assert_eq!(committed, ACKED - from, "all of them were acknowledged");
            let records = format!("{} records of 1 partition", ACKED - from);
            assert!(told.contains(&records), "{told}");
            // Who was elected need not have the longest copy. Then the others say that they are cut to what it has.
            let cut = events(&klar, "log_truncated");
            let cut = cut.iter().any(|cut| cut["to"] == left);
            assert!(left == from || left < from && cut, "{left} left: {lost}");
        }
    }
    // It goes on as a cluster does.
    produce(&klar, 1);
    assert_eq!(read_all(&klar).len(), read.len() + 1);
}

#[test]
fn nothing_acknowledged_is_lost_where_an_ack_waits_for_the_disk() {
    let dir = fresh_dir();
    let klar = three(&dir, "batch");
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    produce(&klar, 100);
    klar.ctl_ok(&["kill", "2"]);
    eventually("the others go on without it", || {
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        let isr = partition["isr"].as_array().unwrap();
        (isr.len() == 2 && !isr.contains(&2.into())).then_some(())
    });
    let told = klar.ctl_ok(&["pull-plug", "--yes"]);
    assert!(told.contains("no record is lost"), "{told}");
    assert_eq!(events(&klar, "records_lost").len(), 0);
    assert_eq!(read_all(&klar).len(), 100);
    let dead = klar.snapshot()["brokers"][1]["state"].clone();
    assert_eq!(dead, "killed", "who did not run does not run now");
}

#[test]
fn memory_keeps_nothing() {
    let ephemeral = ["--port", "0", "--ephemeral", "--brokers", "3"];
    let klar = Klar::with(&[&ephemeral[..], &["--durability", "memory"]].concat());
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    produce(&klar, 10);
    pull(&klar);
    let lost = events(&klar, "records_lost");
    assert_eq!(
        (&lost[0]["from"], &lost[0]["below"]),
        (&0.into(), &10.into())
    );
    eventually("the topic is gone", || {
        let gone = klar.snapshot()["topics"].as_array().unwrap().is_empty();
        gone.then_some(())
    });
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    produce(&klar, 1);
    assert_eq!(read_all(&klar).len(), 1);
}
