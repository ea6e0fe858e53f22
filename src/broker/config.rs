//! What a broker is started with, and what it is told about connections.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ids::BrokerId;
use crate::inspect::Durability;
use crate::metadata::SettingsError;
use crate::storage::StorageError;

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    pub id: BrokerId,
    /// Who votes for the controller, this broker or not; the same for all brokers.
    pub voters: Vec<BrokerId>,
    /// It is the only broker there is, so it asks nobody. Once it was one of several it is a quorum of its own
    /// instead, whatever this says.
    pub alone: bool,
    /// The same for all brokers of a cluster, kept by whoever starts them.
    pub cluster_id: String,
    /// The address the listener is bound to, with its real port.
    pub listen: SocketAddr,
    /// The data directory; the broker keeps its logs in `broker-N` below it.
    pub data_dir: PathBuf,
    pub durability: Durability,
    /// Broker configurations by Kafka's names (`--set`), later ones winning.
    pub settings: Vec<(String, String)>,
}

/// What the listener knows about a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFacts {
    pub peer: SocketAddr,
    /// The address the client connected to: what it is told to connect to again.
    pub local: SocketAddr,
    /// One of klar's own panels.
    pub own: bool,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("--set {0}")]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Written by a newer klar, or damaged: left untouched.
    #[error("the metadata log in {path} cannot be read at offset {offset}: {why}")]
    Metadata {
        path: PathBuf,
        offset: i64,
        why: String,
    },
}
