//! Several brokers in one klar, and what can be done to one of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

fn three(dir: &tempfile::TempDir) -> Klar {
    let path = dir.path().to_str().unwrap();
    let brokers = ["--port", "0", "--data-dir", path, "--brokers", "3"];
    // A busy machine may keep a broker from its heartbeats for a second: that is not what is tried here.
    let patient = ["--set", "broker.session.timeout.ms=3000"];
    Klar::with(&[&brokers[..], &patient].concat())
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

/// Leader and replicas of the only topic's first partition.
fn placed(klar: &Klar) -> (i64, Vec<i64>) {
    let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
    let replicas = partition["replicas"].as_array().unwrap().iter();
    let replicas = replicas.map(|replica| replica["broker"].as_i64().unwrap());
    (
        partition["leader"].as_i64().unwrap_or(-1),
        replicas.collect(),
    )
}

/// The name of what a command is refused with.
fn refusal(klar: &Klar, command: &[&str]) -> String {
    let output = klar.ctl(command);
    assert!(!output.status.success(), "{command:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.trim_start_matches("klar: ")
        .split(':')
        .next()
        .unwrap()
        .to_owned()
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
fn while_its_leader_is_dead_a_partition_is_shown_by_the_next_one() {
    let dir = fresh_dir();
    let klar = three(&dir);
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    let first = addresses(&klar)[0].clone();
    let leader = Client::connect(&first).unwrap().leader("t");
    let mut client = Client::connect(&leader).unwrap();
    client.produce("t", b"one").unwrap();
    let number = addresses(&klar).iter().position(|a| *a == leader).unwrap() + 1;
    let partition = eventually("both followers have it", || {
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        let replicas = partition["replicas"].as_array().unwrap();
        let whole = replicas.iter().all(|replica| replica["log_end"] == 1);
        let seen = replicas.iter().filter(|r| r["caught_up_ms"] == 0);
        (whole && seen.count() == 2).then_some(partition)
    });
    let size = serde_json::json!({"bytes": partition["bytes"], "segments": 1});
    for replica in partition["replicas"].as_array().unwrap() {
        assert_eq!(replica["size"], size);
        assert_eq!(replica["in_sync"], true);
        assert_eq!(replica["epochs"][0], serde_json::json!([0, 0]));
    }

    klar.ctl_ok(&["kill", &number.to_string()]);
    let partition = eventually("another leads, the dead one is read from its files", || {
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        let replicas = partition["replicas"].as_array().unwrap();
        let dead = replicas.iter().find(|r| r["broker"] == number).unwrap();
        let moved = partition["leader"].is_number() && partition["leader"] != number;
        (moved && dead["from_files"] == true && dead["log_end"] == 1).then_some(partition)
    });
    let replicas = partition["replicas"].as_array().unwrap();
    let dead = replicas.iter().find(|r| r["broker"] == number).unwrap();
    assert_eq!(dead["size"], size, "its files are as long as its log was");
    let next = usize::try_from(partition["leader"].as_u64().unwrap()).unwrap();
    assert!(has_event(&klar, number, "broker_killed"));
    eventually("it is told who leads and why", || {
        let snapshot = klar.snapshot();
        let events = snapshot["events"].as_array().unwrap();
        let told = events.iter().map(|event| &event["kind"]);
        let elected = told.clone().find(|kind| kind["kind"] == "leader_elected")?;
        let shrank = told.clone().find(|kind| kind["kind"] == "isr_changed")?;
        assert_eq!(
            (&elected["from"], &elected["to"]),
            (&number.into(), &next.into())
        );
        let silence = format!("no heartbeat came from broker {number}");
        assert!(
            elected["cause"].as_str().unwrap().starts_with(&silence),
            "{elected}"
        );
        assert_eq!(shrank["from"].as_array().unwrap().len(), 3);
        Some(())
    });
    let registration = klar.snapshot()["brokers"][number - 1]["registration"].clone();
    assert_eq!(registration["fenced"], true);

    // Records go on appearing.
    let serving = addresses(&klar)[next - 1].clone();
    eventually("the next leader takes a record", || {
        Client::connect(&serving).ok()?.produce("t", b"two").ok()
    });
    eventually("it is shown", || {
        let partition = klar.snapshot()["topics"][0]["partitions"][0].clone();
        (partition["high_watermark"] == 2).then_some(())
    });
    let quorum = klar.snapshot()["quorum"].clone();
    let voters = quorum["replicas"].as_array().unwrap();
    assert_eq!(voters.len(), 3);
    assert!(voters.iter().any(|voter| voter["lag"] == 0));
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
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    klar.ctl_ok(&["elect", "t-0", "2"]);
    klar.ctl_ok(&["stop", "2"]);
    assert_eq!(state(&klar, 2), "stopped");
    let (leader, _) = placed(&klar);
    assert!(leader == 1 || leader == 3, "it handed over before it went");
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
    let ephemeral = ["--port", "0", "--ephemeral", "--brokers", "1"];
    let klar = Klar::with(&[&ephemeral[..], &["--durability", "memory"]].concat());
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
    klar.ctl_ok(&["heal", "2", "1"]);
    assert!(has_event(&klar, 1, "link_healed"));
    assert!(!has_event(&klar, 3, "link_healed"));
    assert_eq!(klar.snapshot()["links"].as_array().unwrap().len(), 3);
    let again = klar.ctl_ok(&["heal", "1", "2"]);
    assert!(again.contains("was as good as new"), "{again}");
    klar.ctl_ok(&["heal"]);
    assert_eq!(klar.snapshot()["links"].as_array().unwrap().len(), 0);
    assert!(has_event(&klar, 3, "link_healed"));
    for wrong in [
        vec!["cut", "1"],
        vec!["cut", "1", "1"],
        vec!["slow", "1", "9", "5"],
        vec!["heal", "1"],
        vec!["heal", "1", "9"],
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

#[test]
fn a_topic_moves_to_an_added_broker_and_back_and_the_broker_is_removed() {
    let dir = fresh_dir();
    let klar = three(&dir);
    // Ready is when all three count on each other.
    klar.ctl_ok(&["topics", "create", "t", "--replication-factor", "3"]);
    for broker in ["3", "1", "2", "2"] {
        klar.ctl_ok(&["elect", "t-0", broker]);
        let (leader, replicas) = placed(&klar);
        assert_eq!(
            (leader.to_string(), replicas[0].to_string()),
            (broker.into(), broker.into())
        );
    }
    assert_eq!(refusal(&klar, &["elect", "t-0", "9"]), "NO_SUCH_REPLICA");
    assert_eq!(refusal(&klar, &["elect", "t-7", "1"]), "NO_SUCH_PARTITION");
    klar.ctl_ok(&["produce", "t", "--key", "k", "--value", "v"]);

    klar.ctl_ok(&["add-broker"]);
    klar.ctl_ok(&["move", "t-0", "4,2,1"]);
    eventually("the replicas moved", || {
        (placed(&klar).1 == [4, 2, 1]).then_some(())
    });
    assert_eq!(
        klar.ctl_ok(&["moves"]).trim(),
        "No replicas are on their way."
    );
    eventually("all are in sync", || {
        let isr = klar.snapshot()["topics"][0]["partitions"][0]["isr"].clone();
        (isr.as_array().unwrap().len() == 3).then_some(())
    });
    klar.ctl_ok(&["elect", "t-0", "4"]);
    let fourth = klar.snapshot()["bootstrap"].as_str().unwrap().to_owned();
    let fourth = fourth.split(',').nth(3).unwrap().to_owned();
    let read = Client::connect(&fourth).unwrap().read_all("t");
    assert_eq!(read, [(0, b"v".to_vec())]);

    assert!(
        !klar.ctl(&["remove-broker", "4"]).status.success(),
        "it wants a --yes"
    );
    assert_eq!(
        refusal(&klar, &["remove-broker", "4", "--yes"]),
        "BROKER_RUNS"
    );
    klar.ctl_ok(&["stop", "4"]);
    assert_eq!(
        refusal(&klar, &["remove-broker", "4", "--yes"]),
        "BROKER_HOLDS_REPLICAS"
    );
    klar.ctl_ok(&["move", "t-0", "1,2,3"]);
    eventually("the replicas are back", || {
        (placed(&klar).1 == [1, 2, 3]).then_some(())
    });
    klar.ctl_ok(&["remove-broker", "4", "--yes"]);
    assert_eq!(klar.snapshot()["brokers"].as_array().unwrap().len(), 3);
    assert!(!klar.dir().join("broker-4").exists());
    assert!(klar.dir().join("removed-broker-4-1").is_dir());
    klar.ctl_ok(&["stop", "1"]);
    assert_eq!(
        refusal(&klar, &["remove-broker", "1", "--yes"]),
        "BROKER_VOTES"
    );
}

#[test]
fn a_lone_broker_gets_company_and_keeps_what_it_has() {
    let dir = fresh_dir();
    let mut klar = Klar::on(dir.path());
    klar.ctl_ok(&["topics", "create", "t"]);
    klar.ctl_ok(&["produce", "t", "--value", "v"]);
    klar.ctl_ok(&["add-broker"]);
    klar.ctl_ok(&["move", "t-0", "2,1"]);
    eventually("both have it", || {
        let isr = klar.snapshot()["topics"][0]["partitions"][0]["isr"].clone();
        (isr.as_array().unwrap().len() == 2).then_some(())
    });
    klar.ctl_ok(&["elect", "t-0", "2"]);
    assert_eq!(klar.terminate().code(), Some(0));
    let klar = Klar::on(dir.path());
    let address = addresses(&klar)[1].clone();
    let read = eventually("broker 2 leads it", || {
        let read = Client::connect(&address).ok()?.try_read_all("t")?;
        (!read.is_empty()).then_some(read)
    });
    assert_eq!(read, [(0, b"v".to_vec())]);
}

#[test]
fn a_broker_that_is_being_removed_is_not_started() {
    let dir = fresh_dir();
    let klar = three(&dir);
    klar.ctl_ok(&["add-broker"]);
    klar.ctl_ok(&["stop", "4"]);
    // The cluster is asked by one of klar's own clients, which stands still as well.
    klar.ctl_ok(&["time", "pause"]);
    let mut asker = UnixStream::connect(klar.dir().join("ctl.sock")).unwrap();
    let removal = r#"{"ask":"run","command":{"command":"remove_broker","broker":4}}"#;
    writeln!(asker, "{removal}").unwrap();
    // Who asks later is answered later.
    klar.snapshot();
    assert_eq!(refusal(&klar, &["restart", "4"]), "BROKER_IS_REMOVED");
    klar.ctl_ok(&["time", "resume"]);
    let mut told = String::new();
    BufReader::new(asker).read_line(&mut told).unwrap();
    assert!(told.contains("does not belong to the cluster"), "{told}");
    assert_eq!(klar.snapshot()["brokers"].as_array().unwrap().len(), 3);
    assert!(!klar.dir().join("broker-4").exists());
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let dir = fresh_dir();
    let klar = three(&dir);
    klar.ctl_ok(&["kill", "2"]);
    let vote = klar.dir().join("broker-2/quorum-state");
    std::fs::remove_file(&vote).unwrap();
    std::fs::create_dir(&vote).unwrap();
    let output = klar.ctl(&["restart", "2"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("klar: BROKER_DID_NOT_START"), "{said}");
    assert!(said.contains("quorum-state"), "{said}");
}
