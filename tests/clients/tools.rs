//! Apache Kafka's own programs, unchanged: the command line tools, Connect with its file connectors, and a Streams
//! word count.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::broker::{self, Broker};
use crate::driver::Driver;
use crate::install;

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one to its end; what it printed.
fn run(class: &str, arguments: &[&str]) -> String {
    let broker = Broker::get();
    let mut command = install::tool(class);
    command.args(["--bootstrap-server", &broker.bootstrap]);
    let output = command.args(arguments).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{class} {arguments:?}: {printed}{complained}"
    );
    printed
}

/// Has the console producer write lines.
fn write_lines(topic: &str, lines: &[String]) {
    let broker = Broker::get();
    let mut child = install::tool(CONSOLE_PRODUCER)
        .args(["--bootstrap-server", &broker.bootstrap, "--topic", topic])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// A line of `--describe` as columns, for the partition.
fn described(group: &str, topic: &str, partition: usize) -> Vec<String> {
    let printed = run(GROUPS, &["--describe", "--group", group]);
    let columns =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let mut lines = printed.lines().map(columns);
    let wanted = partition.to_string();
    let found = lines.find(|c| c.len() > 5 && c[1] == topic && c[2] == wanted);
    found.unwrap_or_else(|| panic!("{topic}-{partition} is not described:\n{printed}"))
}

#[test]
fn a_group_is_read_described_reset_and_deleted() {
    let (topic, group) = ("tools-groups", "tools");
    let created = ["--create", "--topic", topic, "--partitions", "1"];
    run(TOPICS, &created);
    let lines: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
    write_lines(topic, &lines);
    let reading = [
        "--topic",
        topic,
        "--group",
        group,
        "--from-beginning",
        "--max-messages",
        "20",
    ];
    let read = run(CONSOLE_CONSUMER, &reading);
    assert_eq!(read.lines().count(), 20, "{read}");
    // CURRENT-OFFSET, LOG-END-OFFSET, LAG.
    assert_eq!(described(group, topic, 0)[3..6], ["20", "20", "0"]);

    let listed = run(GROUPS, &["--list", "--state"]);
    let line = listed.lines().find(|line| line.starts_with("tools "));
    assert!(line.is_some_and(|line| line.contains("Empty")), "{listed}");
    let reset = |to: &[&str]| {
        let fixed = [
            "--group",
            group,
            "--topic",
            topic,
            "--reset-offsets",
            "--execute",
        ];
        let arguments: Vec<&str> = fixed.iter().chain(to).copied().collect();
        run(GROUPS, &arguments);
        described(group, topic, 0)[3].clone()
    };
    assert_eq!(reset(&["--to-earliest"]), "0");
    assert_eq!(reset(&["--shift-by", "7"]), "7");
    assert_eq!(reset(&["--to-offset", "12"]), "12");
    assert_eq!(reset(&["--to-datetime", "2020-01-01T00:00:00.000"]), "0");
    assert_eq!(reset(&["--to-latest"]), "20");
    run(
        GROUPS,
        &["--group", group, "--delete-offsets", "--topic", topic],
    );
    run(
        GROUPS,
        &[
            "--group",
            group,
            "--topic",
            topic,
            "--reset-offsets",
            "--to-earliest",
            "--execute",
        ],
    );
    run(GROUPS, &["--group", group, "--delete"]);
    let listed = run(GROUPS, &["--list"]);
    assert!(!listed.lines().any(|line| line == group), "{listed}");
}

#[test]
fn a_live_group_is_described_with_its_members() {
    let (topic, group) = ("tools-live", "tools-live");
    Driver::of("franz").create(Broker::get(), topic, 3);
    let mut member = install::member("franz")
        .args([
            &Broker::get().bootstrap,
            topic,
            group,
            "reader",
            "range",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        let printed = run(
            GROUPS,
            &["--describe", "--group", group, "--members", "--verbose"],
        );
        let owns = |line: &str| line.contains("reader") && line.contains(&format!("{topic}:0,1,2"));
        if printed.lines().any(owns) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{printed}");
    }
    let state = run(GROUPS, &["--describe", "--group", group, "--state"]);
    assert!(
        state.contains("Stable") && state.contains("range"),
        "{state}"
    );
    // A live group's offsets stay where its members have them.
    let reset = [
        "--group",
        group,
        "--topic",
        topic,
        "--reset-offsets",
        "--to-latest",
        "--execute",
    ];
    let refused = run(GROUPS, &reset);
    assert!(
        refused.contains("inactive") || refused.contains("Stable"),
        "{refused}"
    );
    member.kill().unwrap();
    member.wait().unwrap();
}

/// A program of Kafka's that runs until it is told to stop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn connect_carries_a_file_through_a_topic_into_another() {
    let broker = Broker::get();
    let dir = broker::scratch().join("connect");
    fs::create_dir_all(&dir).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text).unwrap();
        path(name)
    };
    let bootstrap = &broker.bootstrap;
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let worker = write(
        "worker.properties",
        &format!(
            "bootstrap.servers={bootstrap}\nkey.converter={string}\nvalue.converter={string}\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=500\n\
             listeners=http://127.0.0.1:0\nplugin.discovery=only_scan\n",
            path("offsets")
        ),
    );
    let (from, to) = (path("from.txt"), path("to.txt"));
    let source = write(
        "source.properties",
        &format!(
            "name=from\nconnector.class=org.apache.kafka.connect.file.FileStreamSourceConnector\n\
             tasks.max=1\nfile={from}\ntopic=tools-connect\n"
        ),
    );
    let sink = write(
        "sink.properties",
        &format!(
            "name=to\nconnector.class=org.apache.kafka.connect.file.FileStreamSinkConnector\n\
             tasks.max=1\nfile={to}\ntopics=tools-connect\n"
        ),
    );
    let lines: String = (0..50).map(|n| format!("line {n}\n")).collect();
    fs::write(&from, &lines).unwrap();
    let _connect = Running(
        install::tool("org.apache.kafka.connect.cli.ConnectStandalone")
            .args([worker, source, sink])
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    wait("the sink has every line", || {
        fs::read_to_string(&to).is_ok_and(|text| text == lines)
    });
    wait("the sink's group has committed them", || {
        let snapshot = broker.snapshot();
        let groups = snapshot["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["group"] == "connect-to");
        group.is_some_and(|group| {
            let offsets = group["offsets"].as_array().unwrap();
            let committed = offsets.iter().map(|o| o["committed"].as_i64().unwrap());
            committed.sum::<i64>() == 50
        })
    });
}

#[test]
fn streams_counts_words_and_goes_on_after_a_restart() {
    let broker = Broker::get();
    let (from, to) = ("tools-words", "tools-counts");
    for topic in [from, to] {
        Driver::of("franz").create(broker, topic, 2);
    }
    let state = broker::scratch().join("streams");
    let start = || {
        let child = install::tool("WordCount")
            .args([&broker.bootstrap, "tools-word-count", from, to])
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::inherit())
            .spawn()
            .unwrap();
        Running(child)
    };
    let counted = || {
        let reading = ["--topic", to, "--from-beginning", "--timeout-ms", "3000"];
        let printing = ["--property", "print.key=true"];
        let arguments: Vec<&str> = reading.iter().chain(&printing).copied().collect();
        let mut counts = BTreeMap::new();
        for line in run(CONSOLE_CONSUMER, &arguments).lines() {
            if let Some((word, count)) = line.split_once('\t') {
                counts.insert(word.to_owned(), count.to_owned());
            }
        }
        counts
    };
    let so_many = |word: &str, count: &str| (word.to_owned(), count.to_owned());
    write_lines(from, &["a b a".to_owned(), "b a".to_owned()]);
    let mut streams = start();
    wait("words are counted", || {
        counted() == BTreeMap::from([so_many("a", "3"), so_many("b", "2")])
    });
    // Told to stop it leaves its group and commits; the next one goes on from there.
    drop(streams.0.stdin.take());
    assert!(streams.0.wait().unwrap().success());
    write_lines(from, &["a c".to_owned()]);
    let _streams = start();
    wait("counting goes on", || {
        counted() == BTreeMap::from([so_many("a", "4"), so_many("b", "2"), so_many("c", "1")])
    });
}
