//! Starting, stopping, being killed.

use std::time::Duration;

use crate::client::Client;
use crate::program::{Klar, command, fresh_dir};

#[test]
fn the_ready_line_is_all_there_is_on_stdout_and_sigterm_stops_cleanly() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    assert!(klar.ready.ready);
    assert!(klar.ready.bootstrap.starts_with("127.0.0.1:"));
    assert_eq!(klar.ready.cluster_id.len(), 22);
    assert_eq!(klar.dir(), dir.path().canonicalize().unwrap());
    Client::connect(&klar.ready.bootstrap)
        .unwrap()
        .make_topic("a");
    assert_eq!(klar.terminate().code(), Some(0));
    assert_eq!(klar.more_output(), "");
}

#[test]
fn ctrl_c_stops_cleanly_and_the_cluster_id_stays() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    let first = klar.ready.clone();
    Client::connect(&first.bootstrap).unwrap().make_topic("a");
    klar.signal("-INT");
    assert_eq!(klar.wait().code(), Some(0));
    let again = Klar::on(dir.path());
    assert_eq!(again.ready.cluster_id, first.cluster_id);
    let recovery = again.snapshot()["brokers"][0]["recovery"].to_string();
    assert!(recovery.contains("Clean stop"), "{recovery}");
}

#[test]
fn a_second_instance_is_refused_with_a_sentence() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    let second = command()
        .args(["serve", "--port", "0", "--data-dir", &klar.ready.data_dir])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another klar already runs on"), "{said}");
    assert!(!klar.snapshot()["topics"].is_null(), "the first lives on");
}

#[test]
fn a_taken_port_leads_to_the_next_free_one() {
    let first = Klar::with(&["--port", "0", "--ephemeral"]);
    let port = first.ready.bootstrap.rsplit(':').next().unwrap();
    let second = Klar::with(&["--port", port, "--ephemeral"]);
    assert_ne!(first.ready.bootstrap, second.ready.bootstrap);
}

#[test]
fn too_many_brokers_and_unknown_settings_are_refused_with_a_sentence() {
    for (arguments, sentence) in [
        (["--brokers", "11"], "1..=10"),
        (["--set", "no.such.key=1"], "no.such.key"),
        (["--set", "nonsense"], "key=value"),
        (["--listen", "somewhere"], "IP address"),
    ] {
        let output = command()
            .args(["serve", "--port", "0", "--ephemeral"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn an_ephemeral_cluster_leaves_nothing_behind() {
    for durability in ["os", "memory"] {
        let ephemeral = ["--port", "0", "--ephemeral", "--brokers", "1"];
        let mut klar = Klar::with(&[&ephemeral[..], &["--durability", durability]].concat());
        let mut client = Client::connect(&klar.ready.bootstrap).unwrap();
        client.make_topic("t");
        assert_eq!(client.produce("t", b"v").unwrap(), 0);
        assert_eq!(client.read_all("t"), [(0, b"v".to_vec())]);
        assert!(klar.snapshot()["data_dir"].is_null());
        let dir = klar.dir();
        assert!(dir.exists());
        assert_eq!(klar.terminate().code(), Some(0));
        assert!(!dir.exists(), "{durability}: {} stays", dir.display());
    }
}

#[test]
fn acknowledged_records_survive_kills_and_clean_stops() {
    for durability in ["os", "batch"] {
        let dir = fresh_dir();
        let mut expected = Vec::new();
        for round in 0..4 {
            let path = dir.path().to_str().unwrap();
            let arguments = [
                "--port",
                "0",
                "--brokers",
                "1",
                "--data-dir",
                path,
                "--durability",
                durability,
            ];
            let mut klar = Klar::with(&arguments);
            let mut client = Client::connect(&klar.ready.bootstrap).unwrap();
            client.make_topic("kept");
            assert_eq!(
                client.read_all("kept"),
                expected,
                "{durability}, round {round}"
            );
            for n in 0..25 {
                let value = format!("round {round} record {n}").into_bytes();
                let offset = client.produce("kept", &value).unwrap();
                assert_eq!(offset, expected.len() as i64);
                expected.push((offset, value));
            }
            match round % 2 {
                0 => klar.kill(),
                _ => assert!(klar.terminate().success()),
            }
        }
    }
}

#[test]
fn dump_prints_a_segment() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    let mut client = Client::connect(&klar.ready.bootstrap).unwrap();
    client.make_topic("seen");
    client.produce("seen", b"a value").unwrap();
    let file = klar.dir().join("broker-1/seen-0/00000000000000000000.log");
    let output = command().arg("dump").arg(&file).output().unwrap();
    assert!(output.status.success());
    assert!(!output.stdout.is_empty());
    let missing = command().args(["dump", "/no/such/file"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn without_a_display_klar_says_so_and_serves() {
    let dir = fresh_dir();
    let mut child = command()
        .args(["--port", "0", "--data-dir", dir.path().to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], true);
    let brokers = ready["bootstrap"].as_str().unwrap().split(',').count();
    assert_eq!(brokers, 3, "what a new directory gets");
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("window"), "{said}");
}

#[test]
fn it_is_up_quickly() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    // The promise of 150 ms is for a release build on an idle machine; this catches seconds.
    assert!(klar.took < Duration::from_secs(5), "{:?}", klar.took);
}
