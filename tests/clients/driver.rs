//! One long-lived driver process per client, spoken to in lines. A driver answers one command at a time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::broker::{self, BROKERS, Broker};
use crate::install;
use crate::records::ReadBack;

/// Longer than any deadline inside a driver: past it the driver hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

static DRIVERS: Mutex<BTreeMap<String, Arc<Driver>>> = Mutex::new(BTreeMap::new());
static FILES: AtomicUsize = AtomicUsize::new(0);

pub struct Driver {
    client: String,
    process: Mutex<Process>,
}

struct Process {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Driver {
    /// The driver of this client, installed and started when it is first asked for.
    pub fn of(client: &str) -> Arc<Driver> {
        let mut drivers = DRIVERS.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Driver {
            client: client.to_string(),
            process: Mutex::new(Process::start(client)),
        };
        drivers
            .entry(client.to_string())
            .or_insert_with(|| Arc::new(start()))
            .clone()
    }

    pub fn create(&self, broker: &Broker, topic: &str, partitions: usize) {
        self.ask(&format!(
            "create\t{}\t{topic}\t{partitions}\t{BROKERS}",
            broker.bootstrap
        ));
    }

    pub fn produce(
        &self,
        broker: &Broker,
        topic: &str,
        codec: &str,
        idempotent: bool,
        file: &Path,
    ) {
        let idempotent = u8::from(idempotent);
        let file = file.display();
        self.ask(&format!(
            "produce\t{}\t{topic}\t{codec}\t{idempotent}\t{file}",
            broker.bootstrap
        ));
    }

    /// Reads `partitions` (`0,1,2`) from `start` (`earliest`, an offset, `@` and a time in ms) to the end or
    /// to `limit` records (0: no limit).
    pub fn read(
        &self,
        broker: &Broker,
        topic: &str,
        partitions: &str,
        start: &str,
        limit: usize,
    ) -> ReadBack {
        let bootstrap = &broker.bootstrap;
        let command = format!("read\t{bootstrap}\t{topic}\t{partitions}\t{start}\t{limit}");
        ReadBack::parse(&self.client, &self.ask_for_file(topic, &command))
    }

    /// Has the client ask the cluster for one thing with its admin client, and judge the answers.
    pub fn admin(&self, broker: &Broker, topic: &str, case: &str) {
        self.ask(&format!("admin\t{}\t{topic}\t{case}", broker.bootstrap));
    }

    /// Reads everything in a topic of numbered records; what it holds as runs, see the README.
    pub fn runs(&self, broker: &Broker, topic: &str, partitions: &str) -> String {
        let bootstrap = &broker.bootstrap;
        self.ask_for_file(topic, &format!("runs\t{bootstrap}\t{topic}\t{partitions}"))
    }

    /// What a command that ends with the name of a file writes into it.
    fn ask_for_file(&self, topic: &str, command: &str) -> String {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = broker::scratch().join(format!("{topic}.{}.{number}.read", self.client));
        self.ask(&format!("{command}\t{}", path.display()));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text
    }

    fn ask(&self, command: &str) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = process.ask(command);
        if answer.as_deref() != Some("ok") {
            // One bad answer must not make the next one look bad: begin again with a fresh process.
            if answer.is_none() {
                *process = Process::start(&self.client);
            }
            drop(process);
            let answer = answer.unwrap_or_else(|| "no answer: it ended or hangs".to_string());
            panic!(
                "{}: {}\n  to: {}",
                self.client,
                answer,
                command.replace('\t', " ")
            );
        }
    }
}

/// Hands on the lines a child writes, until it ends or they are refused. What a kill cut off in the middle is no line.
pub fn follow(child: &mut Child, told: impl Fn(String) -> bool + Send + 'static) {
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            let whole = stdout.read_line(&mut line).is_ok() && line.ends_with('\n');
            if !whole || !told(line.trim_end_matches(['\r', '\n']).to_owned()) {
                return;
            }
        }
    });
}

impl Process {
    fn start(client: &str) -> Self {
        let mut child = install::driver(client)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("the driver of {client} does not start: {error}"));
        let commands = child.stdin.take().unwrap();
        let (sender, answers) = channel();
        follow(&mut child, move |line| {
            // Anything else on stdout is chatter of a client library.
            let answers = line == "ok" || line.starts_with("error ");
            !answers || sender.send(line).is_ok()
        });
        Self {
            child,
            commands,
            answers,
        }
    }

    fn ask(&mut self, command: &str) -> Option<String> {
        let sent = writeln!(self.commands, "{command}").and_then(|()| self.commands.flush());
        let answer = sent
            .ok()
            .and_then(|()| self.answers.recv_timeout(ANSWER_TIMEOUT).ok());
        if answer.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        answer
    }
}
