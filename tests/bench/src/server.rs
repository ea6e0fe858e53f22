//! A server under test as a process: klar or ideal sinks. Its time and memory are read from /proc.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::Target;
use crate::raw::Connection;
use crate::sink;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Klar,
    Ideal,
}

/// What runs in one process; every topic gets as many replicas.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub kind: Kind,
    pub brokers: u32,
}

pub struct Server {
    shape: Shape,
    pub bootstrap: String,
    /// From starting the process to its ready line.
    pub ready_after: Duration,
    dir: PathBuf,
    child: Child,
}

impl Server {
    /// Starts it on `dir`, which may hold what an earlier one left.
    pub fn start(shape: Shape, dir: &Path) -> io::Result<Server> {
        fs::create_dir_all(dir)?;
        let begun = Instant::now();
        let kind = shape.kind;
        let brokers = shape.brokers.to_string();
        let mut command = match kind {
            Kind::Klar => {
                let klar = std::env::var_os("KLAR_BIN")
                    .ok_or_else(|| io::Error::other("KLAR_BIN is not set"))?;
                let mut command = Command::new(klar);
                command
                    .args(["serve", "--port", "0", "--brokers", &brokers, "--data-dir"])
                    .arg(dir);
                let partitions = format!("num.partitions={}", sink::partitions(shape.brokers));
                command.args(["--set", &partitions]);
                command
            }
            Kind::Ideal => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("sink").arg(dir).arg(&brokers);
                command
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(kind)?);
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no stdout"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready_after = begun.elapsed();
        let ready: serde_json::Value = serde_json::from_str(&line).map_err(|error| {
            let _ = child.kill();
            io::Error::other(format!("{kind:?} printed no ready line: {error}: {line:?}"))
        })?;
        let bootstrap = ready["bootstrap"].as_str().unwrap_or_default().to_string();
        Ok(Server {
            shape,
            bootstrap,
            ready_after,
            dir: dir.to_path_buf(),
            child,
        })
    }

    /// Starts it on an empty directory.
    pub fn start_fresh(shape: Shape, dir: &Path) -> io::Result<Server> {
        let _ = fs::remove_dir_all(dir);
        Server::start(shape, dir)
    }

    /// Makes sure the topic is there with the partitions every load uses.
    pub fn make_topic(&self, topic: &str) -> io::Result<()> {
        let mut connection = Connection::open(&self.bootstrap)?;
        if self.shape.kind == Kind::Klar {
            let Shape { brokers, .. } = self.shape;
            connection.create_topic(topic, sink::partitions(brokers), brokers as i16)?;
        }
        Ok(())
    }

    /// Its topic for a load, stored when all its replicas have it.
    pub fn target<'a>(&'a self, topic: &'a str) -> Target<'a> {
        Target {
            bootstrap: &self.bootstrap,
            topic,
            partitions: sink::partitions(self.shape.brokers),
            acks: if self.shape.brokers == 1 { "1" } else { "all" },
        }
    }

    /// Processor time it has used, user and system.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the name in parentheses and may hold spaces.
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split(' ').collect();
        let ticks = |at: usize| {
            fields
                .get(at)
                .and_then(|f| f.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
        Ok(Duration::from_millis(
            (ticks(11) + ticks(12)) * 1000 / per_second,
        ))
    }

    /// Resident memory that belongs to it alone (not maps of files), bytes.
    pub fn resident(&self) -> io::Result<u64> {
        self.status("RssAnon:")
    }

    /// All resident memory, bytes.
    pub fn resident_all(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .unwrap_or_default();
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        Ok(kib * 1024)
    }

    /// SIGTERM, and waits until it is gone.
    pub fn stop(mut self) -> io::Result<()> {
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(io::Error::other(format!("{:?} does not stop", self.shape)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Kills it and removes what it wrote.
    pub fn discard(self) {
        let dir = self.dir.clone();
        drop(self);
        let _ = fs::remove_dir_all(dir);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_file(kind: Kind) -> io::Result<fs::File> {
    let path = std::env::temp_dir().join(format!("klar-bench-{kind:?}.log").to_lowercase());
    fs::File::create(path)
}
