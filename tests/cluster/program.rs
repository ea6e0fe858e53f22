//! A klar in its own process, ended when dropped.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

/// Longest a klar may take to serve or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The line that says clients can connect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    pub ready: bool,
    pub bootstrap: String,
    pub cluster_id: String,
    pub data_dir: String,
    pub pid: u32,
}

pub struct Klar {
    child: Child,
    pub ready: Ready,
    /// Everything that came on stdout after the ready line, once it has ended.
    rest: mpsc::Receiver<String>,
    pub took: Duration,
}

pub fn fresh_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("klar-test-")
        .tempdir()
        .unwrap()
}

impl Klar {
    /// Starts `klar serve` on a directory and a free port: the directory's brokers, or one in a new directory.
    pub fn on(dir: &Path) -> Klar {
        let dir = dir.to_str().unwrap();
        Klar::with(&["--port", "0", "--brokers", "1", "--data-dir", dir])
    }

    /// Starts `klar serve` with these arguments and waits for its ready line.
    pub fn with(arguments: &[&str]) -> Klar {
        let began = Instant::now();
        let mut child = command()
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, first) = mpsc::channel();
        let (ends, rest) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            lines.send(line).unwrap();
            let mut more = String::new();
            stdout.read_to_string(&mut more).unwrap();
            let _ = ends.send(more);
        });
        let line = first.recv_timeout(PATIENCE).expect("a ready line");
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        Klar {
            child,
            ready,
            rest,
            took: began.elapsed(),
        }
    }

    /// Asks it to end as `kill PID` does, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    /// Ends it as no program can prevent.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What stdout held besides the ready line. Call after the end.
    pub fn more_output(&self) -> String {
        self.rest.recv_timeout(PATIENCE).unwrap()
    }

    pub fn dir(&self) -> PathBuf {
        PathBuf::from(&self.ready.data_dir)
    }

    /// Runs `klar ctl` against it.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        let dir = &self.ready.data_dir;
        let named = ["ctl", "--data-dir", dir];
        command().args(named).args(arguments).output().unwrap()
    }

    /// Runs `klar ctl`, which must succeed, and returns what it printed.
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::from_str(&self.ctl_ok(&["snapshot"])).unwrap()
    }
}

impl Drop for Klar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klar"));
    // A window would open on a machine with a display.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command
}

/// Repeats `probe` until it gives something; panics when it never does.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
