//! `klar serve`: the cluster without a window.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::options::Options;
use crate::cluster::{Cluster, ClusterEnd};

/// Exit code when a broker crashed, as sysexits calls an internal error.
const CRASHED: u8 = 70;

/// The one line on stdout that says clients can connect.
#[derive(Debug, Serialize)]
struct ReadyLine<'a> {
    ready: bool,
    bootstrap: &'a str,
    cluster_id: &'a str,
    data_dir: String,
    pid: u32,
}

/// Serves until told to stop.
pub fn run(options: &Options) -> ExitCode {
    match start(options, false) {
        Ok(cluster) => {
            print_ready(&cluster);
            finish(cluster)
        }
        Err(error) => {
            eprintln!("klar: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the cluster the options describe. With a window a crashed broker stays to be looked at.
pub fn start(options: &Options, has_window: bool) -> Result<Cluster, String> {
    let mut config = options.cluster()?;
    config.stay_after_crash = has_window;
    let cluster = Cluster::start(config).map_err(|error| error.to_string())?;
    if cluster.facts.beyond_loopback {
        tracing::warn!(
            "listening on {}: every machine that reaches it can read and write everything",
            cluster.facts.listen
        );
    }
    if options.port != 0 && cluster.facts.listen.port() != options.port {
        tracing::warn!(
            "port {} is taken; listening on {}",
            options.port,
            cluster.facts.bootstrap
        );
    }
    Ok(cluster)
}

/// Waits for the end and says how it was.
pub fn finish(cluster: Cluster) -> ExitCode {
    match cluster.wait() {
        ClusterEnd::Stopped => ExitCode::SUCCESS,
        ClusterEnd::Crashed { message } => {
            eprintln!("klar: the broker crashed: {message}");
            ExitCode::from(CRASHED)
        }
    }
}

pub fn print_ready(cluster: &Cluster) {
    let facts = &cluster.facts;
    let line = ReadyLine {
        ready: true,
        bootstrap: &facts.bootstrap,
        cluster_id: &facts.cluster_id,
        data_dir: facts.dir.display().to_string(),
        pid: std::process::id(),
    };
    let mut stdout = std::io::stdout().lock();
    let printed = serde_json::to_writer(&mut stdout, &line)
        .map_err(std::io::Error::from)
        .and_then(|()| writeln!(stdout))
        .and_then(|()| stdout.flush());
    if let Err(error) = printed {
        tracing::warn!("the ready line found no reader: {error}");
    }
}
