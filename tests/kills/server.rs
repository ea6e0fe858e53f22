//! klar as a process that is killed, not stopped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Server {
    child: Child,
    bootstrap: Option<String>,
}

impl Server {
    pub fn start(dir: &Path) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_klar"))
            .args(["serve", "--port", "0", "--brokers", "1", "--data-dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Server {
            child,
            bootstrap: None,
        }
    }

    /// Waits until clients can connect; the address.
    pub fn ready(&mut self) -> String {
        if let Some(bootstrap) = &self.bootstrap {
            return bootstrap.clone();
        }
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut log = String::new();
            let _ = self.child.stderr.take().unwrap().read_to_string(&mut log);
            panic!("klar did not start again: {line}{log}");
        });
        let bootstrap = ready["bootstrap"].as_str().unwrap().to_string();
        self.bootstrap = Some(bootstrap.clone());
        bootstrap
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
