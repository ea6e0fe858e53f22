//! A whole broker without threads: frames in, effects out, on a memory disk and a clock that stands still.

#![allow(clippy::unwrap_used)]

// The rig is larger than any one test needs.
#[allow(dead_code)]
mod rig;

mod clients;
mod cluster;
mod cluster_apis;
mod cluster_changes;
mod consumer_groups;
mod disks;
mod durability;
mod groups;
mod hostile;
mod limits;
mod line;
mod lost_replicas;
mod pictures;
mod polls;
mod snapshots;
mod told;
mod topics;
mod traps;
mod versions;
