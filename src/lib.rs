//! klar: a Kafka cluster you can see through.
//!
//! The modules in reading order. Those marked *pure* decide without threads, sockets, clocks or
//! randomness of their own: time and bytes come in as arguments, effects go out as values.
//! `clippy.toml` lists what they may not touch, `tests/tidy.rs` holds the table of who may import whom.

/// Names and numbers everything else speaks in. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod ids;

/// Bugs on purpose, which no build that serves anybody holds. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod plants;

/// What can be seen and asked: snapshots, events, commands, as plain data. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod inspect;

/// Bytes ⇄ messages: frames, headers, the API table, error codes, record batches. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod wire;

/// The wires between brokers as data: cut, held, slow, lossy. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod links;

/// One replica's log on disk.
pub mod storage;

/// What the controller knows and decides. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod metadata;

/// Who is controller, and which metadata records are committed. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod quorum;

/// One partition on one broker: leader, follower, in-sync replicas, truncation. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod replica;

/// Consumer groups: members, offsets, and what their coordinator writes. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod group;

/// One whole broker without threads. *Pure but for the disk it is handed.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod broker;

/// Threads, sockets and the clock that drive a broker.
pub mod runtime;

/// A small Kafka client as a state machine. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod client;

/// Brokers on threads: start, stop; runs commands; fuses pictures.
pub mod cluster;

/// The same brokers and clients in one thread on virtual time: the simulator. *Pure.*
#[deny(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod lab;

/// Where the window's pictures come from.
pub mod source;

/// The window: the only module that knows egui.
#[cfg(feature = "window")]
pub mod app;

/// The command line: starts everything and prints.
pub mod cli;
