//! `klar ctl`: the same commands and pictures as the window's.

use std::os::unix::fs::PermissionsExt as _;

use crate::program::{Klar, command, eventually, fresh_dir};

#[test]
fn topics_are_made_changed_and_removed() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "orders", "--partitions", "3"]);
    let listed = klar.ctl_ok(&["topics", "list"]);
    assert!(listed.starts_with("orders\t3 partitions"), "{listed}");
    klar.ctl_ok(&["topics", "add-partitions", "orders", "5"]);
    klar.ctl_ok(&[
        "topics",
        "alter",
        "orders",
        "--config",
        "retention.ms=60000",
    ]);
    let topic = &klar.snapshot()["topics"][0];
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 5);
    let retention = topic["configs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|config| config["name"] == "retention.ms")
        .unwrap();
    assert_eq!(
        (&retention["value"], &retention["set"]),
        (&"60000".into(), &true.into())
    );
    klar.ctl_ok(&["topics", "delete", "orders"]);
    assert_eq!(klar.ctl_ok(&["topics", "list"]), "");
}

#[test]
fn events_are_told_as_text_and_as_json_lines() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "orders"]);
    let told = klar.ctl_ok(&["events", "--kind", "topics", "--topic", "orders"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("  broker 1  Topic orders created with 1 partition: "));
    let json = klar.ctl_ok(&["events", "--json", "--find", "orders created"]);
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["kind"]["kind"], "topic_created");
    let snapshot = klar.snapshot();
    let events = snapshot["events"].as_array().unwrap();
    assert_eq!(klar.ctl_ok(&["events"]).lines().count(), events.len());
    let refused = klar.ctl(&["events", "--kind", "elephants"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the kinds are topics, elections"), "{said}");
}

#[test]
fn a_refusal_is_name_what_and_what_to_do() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "a"]);
    let again = klar.ctl(&["topics", "create", "a"]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("TOPIC_ALREADY_EXISTS (36)"), "{said}");
    assert!(said.contains("Choose another name"), "{said}");
}

#[test]
fn a_record_is_sent_and_emptied_away() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "t"]);
    let said = klar.ctl_ok(&["produce", "t", "--key", "k", "--value", "v"]);
    assert_eq!(said.trim(), "Written to t-0 at offset 0.");
    let id = klar.snapshot()["topics"][0]["id"].clone();
    klar.ctl_ok(&["topics", "empty", "t"]);
    let topic = &klar.snapshot()["topics"][0];
    assert_eq!(topic["partitions"][0]["log_start"], 1);
    assert_eq!(topic["id"], id);
}

#[test]
fn a_deletion_can_be_taken_back() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "t"]);
    klar.ctl_ok(&["topics", "delete", "t", "--undoable"]);
    assert_eq!(klar.snapshot()["deleting"][0][0], "t");
    klar.ctl_ok(&["topics", "undo-delete", "t"]);
    let snapshot = klar.snapshot();
    assert_eq!(snapshot["deleting"].as_array().unwrap().len(), 0);
    assert_eq!(snapshot["topics"][0]["name"], "t");
    assert!(!klar.ctl(&["topics", "undo-delete", "t"]).status.success());
}

#[test]
fn a_deletion_that_waits_happens_when_klar_stops() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "t"]);
    klar.ctl_ok(&["topics", "delete", "t", "--undoable"]);
    assert!(klar.terminate().success());
    let klar = Klar::on(dir.path());
    assert_eq!(klar.ctl_ok(&["topics", "list"]), "");
}

#[test]
fn stop_returns_when_klar_has_stopped() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    klar.ctl_ok(&["stop"]);
    assert_eq!(klar.wait().code(), Some(0));
    let nobody = klar.ctl(&["snapshot"]);
    assert_eq!(nobody.status.code(), Some(1));
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(said.contains("no klar runs on"), "{said}");
}

#[test]
fn the_socket_is_its_owners_and_works_below_a_long_path() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    let mode = std::fs::metadata(klar.dir().join("ctl.sock"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let long = dir.path().join("d".repeat(120));
    let far = Klar::on(&long);
    assert!(far.snapshot()["cluster_id"].is_string());
}

#[test]
fn nonsense_is_answered_and_costs_nothing() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    assert!(
        !klar
            .ctl(&["run", "{\"command\":\"no_such\"}"])
            .status
            .success()
    );
    let mut stream = std::os::unix::net::UnixStream::connect(klar.dir().join("ctl.sock")).unwrap();
    std::io::Write::write_all(&mut stream, b"what?\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.contains("NOT_UNDERSTOOD"), "{answer}");
}

#[test]
fn a_producer_follows_its_plan_and_ends_at_its_count() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "t", "--partitions", "2"]);
    klar.ctl_ok(&["run", PLAN]);
    let producer = eventually("the plan ends", || {
        let producer = klar.snapshot()["producers"][0].clone();
        (producer["running"] == false).then_some(producer)
    });
    assert_eq!(
        (&producer["sent"], &producer["acked"]),
        (&50.into(), &50.into())
    );
    assert_eq!(producer["failed"], 0);
}

const PLAN: &str = r#"{"command":"start_producer","name":"p","topic":"t","key":"{n}","value":"{uuid}",
    "headers":[["h","{word}"]],"rate":2000,"count":50,
    "settings":{"compression":"zstd","acks":"all","idempotence":true,"partition":"automatic"}}"#;

#[test]
fn the_files_of_a_broker_that_does_not_run_are_listed() {
    let dir = fresh_dir();
    let path = dir.path().to_str().unwrap();
    let klar = Klar::with(&["--port", "0", "--brokers", "3", "--data-dir", path]);
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    klar.ctl_ok(&["produce", "t", "--value", "v"]);
    klar.ctl_ok(&["produce", "t", "--value", "w"]);
    let refused = klar.ctl(&["files", "2"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("BROKER_RUNS: broker 2 runs"), "{said}");
    klar.ctl_ok(&["kill", "2"]);
    let own = dir.path().join("broker-2");
    let segment = own.join("t-0/00000000000000000000.log");
    let bytes = std::fs::metadata(segment).unwrap().len();
    let line = format!("t-0/00000000000000000000.log\tsegment\t0 \u{2013} 1\t{bytes} bytes");
    let listed = klar.ctl_ok(&["files", "2"]);
    assert!(listed.lines().any(|one| one == line), "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&klar.ctl_ok(&["files", "2", "--json"])).unwrap();
    let directories = json["directories"].as_array().unwrap();
    let files = directories
        .iter()
        .map(|one| one["files"].as_array().unwrap().len());
    assert_eq!(files.sum::<usize>(), listed.lines().count());
    std::fs::rename(&own, dir.path().join("elsewhere")).unwrap();
    let gone = klar.ctl_ok(&["files", "2"]);
    assert!(gone.trim().ends_with("broker-2 is not there."), "{gone}");
    assert!(!klar.ctl(&["files", "9"]).status.success());
}

#[test]
fn ctl_says_who_is_missing() {
    let dir = fresh_dir();
    let output = command()
        .args(["ctl", "--data-dir", dir.path().to_str().unwrap(), "stop"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}
