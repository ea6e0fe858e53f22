//! The broker under test: klar, started once for all tests, or one that runs already.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub struct Broker {
    pub bootstrap: String,
    /// Where directories named `<topic>-<partition>` are.
    pub logs: PathBuf,
    /// Held so that the pipe to its stdin stays open as long as this process lives.
    _process: Option<Child>,
}

/// Files of one run; emptied at its start.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    })
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
            Err(_) => Broker::start(),
        })
    }

    /// Statics are never dropped, so klar runs below a shell that ends it when this process's end of the
    /// pipe closes, however this process ends.
    fn start() -> Broker {
        let klar =
            std::env::var("KLAR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_klar").to_string());
        let logs = scratch().join("broker");
        let script = "\"$0\" serve --port 0 --brokers 1 --data-dir \"$1\" --set num.partitions=3 </dev/null & \
                      klar=$!; cat >/dev/null; kill $klar; wait $klar";
        let mut process = Command::new("bash")
            .args(["-c", script, &klar])
            .arg(&logs)
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

    /// The directory of one partition, wherever below the data directory it is.
    pub fn partition_dir(&self, topic: &str, partition: usize) -> PathBuf {
        let name = format!("{topic}-{partition}");
        find(&self.logs, &name).unwrap_or_else(|| panic!("no {name} below {}", self.logs.display()))
    }
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in fs::read_dir(dir).ok()?.map_while(Result::ok) {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.path().is_dir() {
            below.push(entry.path());
        }
    }
    below.iter().find_map(|dir| find(dir, name))
}
