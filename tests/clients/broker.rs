//! The cluster under test: three brokers of one klar, started once for all tests, or one that runs already.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// Brokers, and replicas of each partition.
pub const BROKERS: usize = 3;

pub struct Broker {
    pub bootstrap: String,
    /// Where directories named `<topic>-<partition>` are.
    pub logs: PathBuf,
    /// Held so that the pipe to its stdin stays open as long as this process lives.
    _process: Option<Child>,
}

/// Members of the new group protocol beat and are missed as soon as those of the classic one are in these tests.
const SETTINGS: &[&str] = &[
    "num.partitions=3",
    "group.consumer.min.heartbeat.interval.ms=500",
    "group.consumer.heartbeat.interval.ms=500",
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=6000",
];

/// Files of this run. Another may go on beside it, so only those of runs that are over are removed.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        fs::create_dir_all(&all).unwrap();
        for run in fs::read_dir(&all).unwrap() {
            let run = run.unwrap();
            if !Path::new("/proc").join(run.file_name()).exists() {
                let _ = fs::remove_dir_all(run.path());
            }
        }
        let path = all.join(std::process::id().to_string());
        fs::create_dir_all(&path).unwrap();
        path
    })
}

fn klar() -> String {
    std::env::var("KLAR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_klar").to_string())
}

impl Broker {
    pub fn get() -> &'static Broker {
        static BROKER: OnceLock<Broker> = OnceLock::new();
        BROKER.get_or_init(|| match std::env::var("KLAR_TEST_BOOTSTRAP") {
            Ok(bootstrap) => Broker {
                bootstrap,
                logs: std::env::var("KLAR_TEST_LOG_DIR")
                    .expect("KLAR_TEST_LOG_DIR")
                    .into(),
                _process: None,
            },
            Err(_) => Broker::start("broker", SETTINGS),
        })
    }

    /// Three new brokers with a data directory of this name. Statics are never dropped, so klar runs below a
    /// shell that ends it when this process's end of the pipe closes, however this process ends.
    pub fn start(name: &str, settings: &[&str]) -> Broker {
        let logs = scratch().join(name);
        let script = "\"$0\" serve --port 0 --data-dir \"$@\" </dev/null & \
                      klar=$!; cat >/dev/null; kill $klar; wait $klar";
        let always = ["default.replication.factor=3", "min.insync.replicas=2"];
        let settings = always.iter().chain(settings);
        let mut process = Command::new("bash")
            .args(["-c", script, &klar()])
            .arg(&logs)
            .args(["--brokers", &BROKERS.to_string()])
            .args(settings.flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready)
            .unwrap_or_else(|e| panic!("no ready line: {e}: {ready:?}"));
        let bootstrap = ready["bootstrap"].as_str().expect("bootstrap").to_string();
        Broker {
            bootstrap,
            logs,
            _process: Some(process),
        }
    }

    /// Runs `klar ctl` against it.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(klar())
            .args(["ctl", "--data-dir"])
            .arg(&self.logs)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs `klar ctl`, which must succeed.
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::from_str(&self.ctl_ok(&["snapshot"])).unwrap()
    }

    /// Memory that klar's process has in use, by the name of a line of `/proc/PID/status`: `VmRSS`, or `RssAnon`
    /// without mapped files.
    pub fn memory_mib(&self, which: &str) -> f64 {
        let shell = self._process.as_ref().expect("started here").id();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let resident = |pid: &str| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with(which))?;
            let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            (name.trim() != "cat").then_some(kib / 1024.0)
        };
        children.split_whitespace().filter_map(resident).sum()
    }

    /// The directories of one partition's replicas, wherever below the data directory they are.
    pub fn replica_dirs(&self, topic: &str, partition: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.logs, &format!("{topic}-{partition}"), &mut found);
        found
    }
}

fn find(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            found.push(entry.path());
        } else if entry.path().is_dir() {
            find(&entry.path(), name, found);
        }
    }
}
