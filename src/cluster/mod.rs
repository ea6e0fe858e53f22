//! Brokers on threads: start, stop, kill, pause; runs commands; fuses pictures.
//!
//! One thread owns everything here: it takes what brokers report and what the window or `klar ctl` ask,
//! runs klar's own clients over TCP, and publishes pictures to whoever looks. It holds no lock and no
//! broker's memory; a broker that crashes is a report like any other.

mod brokers;
mod browse;
mod chance;
mod commands;
mod consuming;
pub mod control;
mod core;
mod files;
mod fuse;
mod fuse_topics;
mod group_admin;
mod groups;
mod intake;
mod link;
mod member;
mod murmur;
mod outage;
mod pace;
mod placing;
mod plan;
mod producing;
mod remains;
mod row;
mod scan;
mod show;
mod start;
mod topics;
mod wires;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub use link::ClusterLink;
use link::Request;
pub use start::StartError;

use crate::inspect::Durability;

/// Brokers one cluster may have.
pub const MAX_BROKERS: u32 = 10;

/// What to start.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// `None` keeps nothing beyond the cluster's end.
    pub data_dir: Option<PathBuf>,
    pub listen: IpAddr,
    /// 0 is any free port; otherwise the next free one is taken. Further brokers take the ports behind it.
    pub port: u16,
    /// How many brokers; `None` is as many as the directory belongs to. Never fewer than that.
    pub brokers: Option<u32>,
    pub durability: Durability,
    /// Broker configurations by Kafka's names.
    pub settings: Vec<(String, String)>,
    /// Keep showing brokers that crashed, instead of ending when the last one did.
    pub stay_after_crash: bool,
}

/// What stays the same while a cluster runs.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    pub cluster_id: String,
    /// What clients on this machine connect to: every broker the cluster started with.
    pub bootstrap: String,
    /// Where the first broker listens.
    pub listen: SocketAddr,
    pub beyond_loopback: bool,
    /// Where the lock and the control socket are.
    pub dir: PathBuf,
    /// The directory records are kept in beyond the cluster's end, if any.
    pub kept_dir: Option<String>,
    pub durability: Durability,
}

/// How a cluster ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterEnd {
    Stopped,
    /// No broker is left.
    Crashed {
        message: String,
    },
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    pub facts: ClusterFacts,
    pub link: ClusterLink,
    /// End the whole program when the cluster has ended.
    exit: Arc<AtomicBool>,
    thread: JoinHandle<ClusterEnd>,
}

impl Cluster {
    /// Starts everything and returns when clients can connect.
    ///
    /// # Errors
    /// The directory is in use or cannot be opened, or no port can.
    pub fn start(config: ClusterConfig) -> Result<Cluster, StartError> {
        start::start(config)
    }

    /// From now on the program exits when the cluster has ended, whatever its main thread does.
    pub fn exit_when_stopped(&self) {
        self.exit.store(true, Ordering::Release);
    }

    /// Waits for the end: a signal, a command to stop, or a crash of the last broker.
    pub fn wait(self) -> ClusterEnd {
        self.thread.join().unwrap_or_else(|_| ClusterEnd::Crashed {
            message: "the cluster's own thread panicked".into(),
        })
    }
}

#[cfg(test)]
impl ClusterFacts {
    /// Made-up facts for tests.
    fn example() -> ClusterFacts {
        ClusterFacts {
            cluster_id: "example".into(),
            bootstrap: "127.0.0.1:9092".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9092)),
            beyond_loopback: false,
            dir: PathBuf::from("/nowhere"),
            kept_dir: None,
            durability: Durability::Os,
        }
    }
}
