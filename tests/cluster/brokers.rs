//! Several brokers in one klar, and what can be done to one of them.

use std::net::TcpStream;

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

fn three(dir: &tempfile::TempDir) -> Klar {
    let path = dir.path().to_str().unwrap();
    Klar::with(&["--port", "0", "--data-dir", path, "--brokers", "3"])
}

/// Where each broker listens.
fn addresses(klar: &Klar) -> Vec<String> {
    klar.ready.bootstrap.split(',').map(str::to_owned).collect()
}

fn state(klar: &Klar, broker: usize) -> String {
    let state = klar.snapshot()["brokers"][broker - 1]["state"].clone();
    state.as_str().unwrap_or("crashed").to_owned()
}

fn has_event(klar: &Klar, broker: usize, kind: &str) -> bool {
    let snapshot = klar.snapshot();
    let mut events = snapshot["events"].as_array().unwrap().iter();
    events.any(|event| event["broker"] == broker && event["kind"]["kind"] == kind)
}

/// Whether every start of a broker found that it had been stopped cleanly, or was new.
fn started_clean(klar: &Klar, broker: usize) -> bool {
    let snapshot = klar.snapshot();
    let events = snapshot["events"].as_array().unwrap().iter();
    let mut starts = events
        .filter(|event| event["broker"] == broker && event["kind"]["kind"] == "broker_started");
    starts.all(|start| start["kind"]["clean"] == true)
}

/// Writes a record through any broker to the leader of a topic's only partition; where that is.
fn produce(klar: &Klar, by: &str, topic: &str, value: &[u8]) -> String {
    let mut client = Client::connect(by).unwrap();
    client.make_topic(topic);
    let leader = client.leader(topic);
    let mut client = Client::connect(&leader).unwrap();
    client.produce(topic, value).unwrap();
    assert!(addresses(klar).contains(&leader));
    leader
}

#[test]
fn brokers_listen_in_a_row_and_keep_their_own_directories() {
    let dir = fresh_dir();
    let mut klar = three(&dir);
    let ports: Vec<u16> = addresses(&klar)
        .iter()
        .map(|address| address.rsplit(':').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ports, [ports[0], ports[0] + 1, ports[0] + 2]);
    for broker in 1..=3 {
        assert_eq!(state(&klar, broker), "running");
        assert!(klar.dir().join(format!("broker-{broker}")).is_dir());
        assert!(has_event(&klar, broker, "broker_started"));
    }
    assert_eq!(klar.snapshot()["bootstrap"], klar.ready.bootstrap);
    assert_eq!(klar.terminate().code(), Some(0));

    // The directory knows how many there were.
    let klar = Klar::on(dir.path());
    assert_eq!(addresses(&klar).len(), 3);
    for broker in 1..=3 {
        assert!(started_clean(&klar, broker));
    }
}

#[test]
fn a_killed_broker_resets_its_connections_and_comes_back_where_it_was() {
    let dir = fresh_dir();
    let klar = three(&dir);
    let second = addresses(&klar)[1].clone();
    let leader = produce(&klar, &second, "kept", b"before");
    let number = addresses(&klar).iter().position(|a| *a == leader).unwrap() + 1;
    let broker = number.to_string();
    let mut idle = Client::connect(&leader).unwrap();

    klar.ctl_ok(&["kill", &broker]);
    assert_eq!(state(&klar, number), "killed");
    assert!(has_event(&klar, number, "broker_killed"));
    let error = std::io::Read::read(&mut idle.stream, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(TcpStream::connect(&leader).is_err(), "its port refuses");
    for address in addresses(&klar).iter().filter(|a| **a != leader) {
        TcpStream::connect(address).unwrap();
    }
    let again = klar.ctl(&["kill", &broker]);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("BROKER_NOT_RUNNING"), "{said}");

    klar.ctl_ok(&["restart", &broker]);
    assert_eq!(state(&klar, number), "running");
    let recovery = klar.snapshot()["brokers"][number - 1]["recovery"].to_string();
    assert!(recovery.contains("No clean stop"), "{recovery}");
    let read = eventually("the leader serves again", || {
        let leader = Client::connect(&leader).unwrap().leader("kept");
        Client::connect(&leader).ok()?.try_read_all("kept")
    });
    assert_eq!(read, [(0, b"before".to_vec())]);
}

#[test]
fn a_dead_brokers_logs_are_read_from_its_files() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    produce(&klar, &klar.ready.bootstrap, "t", b"one");
    assert_eq!(klar.snapshot()["topics"][0]["partitions"][0]["log_end"], 1);
    // Written after the last picture: only the file knows.
    produce(&klar, &klar.ready.bootstrap, "t", b"two");
    klar.ctl_ok(&["kill", "1"]);
    let partition = eventually("its files are read", || {
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        (partition["log_end"] == 2).then_some(partition)
    });
    let replica = &partition["replicas"][0];
    assert_eq!(replica["state"], "offline");
    assert_eq!(
        (&replica["log_start"], &replica["log_end"]),
        (&0.into(), &2.into())
    );
}

#[test]
fn a_broker_that_stands_still_answers_when_it_goes_on() {
    let dir = fresh_dir();
    let klar = three(&dir);
    let third = addresses(&klar)[2].clone();
    klar.ctl_ok(&["pause", "3"]);
    assert_eq!(state(&klar, 3), "paused");
    let asking = std::thread::spawn(move || {
        // The system accepts for it; its answer comes when it goes on.
        Client::connect(&third).unwrap().make_topic("t");
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(!asking.is_finished());
    klar.ctl_ok(&["resume", "3"]);
    asking.join().unwrap();
    assert!(has_event(&klar, 3, "broker_paused"));
    assert!(has_event(&klar, 3, "broker_resumed"));
    assert!(!klar.ctl(&["resume", "3"]).status.success());
}

#[test]
fn one_broker_stops_and_starts_while_the_others_serve() {
    let dir = fresh_dir();
    let klar = three(&dir);
    klar.ctl_ok(&["stop", "2"]);
    assert_eq!(state(&klar, 2), "stopped");
    TcpStream::connect(&addresses(&klar)[0]).unwrap();
    klar.ctl_ok(&["restart", "2"]);
    assert!(started_clean(&klar, 2));
    klar.ctl_ok(&["restart", "2"]);
    assert_eq!(state(&klar, 2), "running");
    let missing = klar.ctl(&["kill", "9"]);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("NO_SUCH_BROKER"), "{said}");
}

#[test]
fn klar_stops_whatever_its_brokers_are() {
    let dir = fresh_dir();
    let mut klar = three(&dir);
    klar.ctl_ok(&["kill", "1"]);
    klar.ctl_ok(&["pause", "2"]);
    klar.ctl_ok(&["stop"]);
    assert_eq!(klar.wait().code(), Some(0));
    let mut klar = three(&dir);
    for broker in ["1", "2", "3"] {
        klar.ctl_ok(&["kill", broker]);
    }
    assert!(!klar.ctl(&["topics", "create", "t"]).status.success());
    assert_eq!(klar.snapshot()["brokers"].as_array().unwrap().len(), 3);
    klar.ctl_ok(&["restart", "2"]);
    klar.ctl_ok(&["stop"]);
    assert_eq!(klar.wait().code(), Some(0));
}

#[test]
fn memory_outlives_a_broker() {
    let arguments = ["--port", "0", "--ephemeral", "--durability", "memory"];
    let klar = Klar::with(&arguments);
    let address = addresses(&klar)[0].clone();
    produce(&klar, &address, "t", b"v");
    klar.ctl_ok(&["kill", "1"]);
    klar.ctl_ok(&["restart", "1"]);
    let read = Client::connect(&address).unwrap().read_all("t");
    assert_eq!(read, [(0, b"v".to_vec())]);
}

#[test]
fn links_are_cut_slowed_and_healed() {
    let dir = fresh_dir();
    let klar = three(&dir);
    klar.ctl_ok(&["cut", "1", "2"]);
    klar.ctl_ok(&["cut", "2>3"]);
    klar.ctl_ok(&["slow", "1", "3", "40"]);
    let links = klar.snapshot()["links"].as_array().unwrap().clone();
    let shown: Vec<String> = links
        .iter()
        .map(|link| {
            let (from, to) = (&link["from"], &link["to"]);
            format!("{from}>{to} {} {}", link["cut"], link["delay_ms"])
        })
        .collect();
    let expected = [
        "1>2 true 0",
        "1>3 false 40",
        "2>1 true 0",
        "2>3 true 0",
        "3>1 false 40",
    ];
    assert_eq!(shown, expected);
    assert!(has_event(&klar, 1, "link_cut"));
    klar.ctl_ok(&["heal"]);
    assert_eq!(klar.snapshot()["links"].as_array().unwrap().len(), 0);
    assert!(has_event(&klar, 3, "link_healed"));
    for wrong in [
        vec!["cut", "1"],
        vec!["cut", "1", "1"],
        vec!["slow", "1", "9", "5"],
    ] {
        assert!(!klar.ctl(&wrong).status.success(), "{wrong:?}");
    }
}

#[test]
fn a_broker_is_added_and_belongs_to_the_cluster_from_then_on() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    klar.ctl_ok(&["add-broker"]);
    assert_eq!(state(&klar, 2), "running");
    let bootstrap = klar.snapshot()["bootstrap"].as_str().unwrap().to_owned();
    let added = bootstrap.split(',').nth(1).unwrap().to_owned();
    TcpStream::connect(&added).unwrap();
    assert!(has_event(&klar, 2, "broker_added"));
    klar.ctl_ok(&["kill", "2"]);
    klar.ctl_ok(&["restart", "2"]);
    assert_eq!(klar.terminate().code(), Some(0));
    let klar = Klar::on(dir.path());
    assert_eq!(addresses(&klar).len(), 2);
}
