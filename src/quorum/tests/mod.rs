//! The quorum under its own small simulation: virtual time, a network that delays, loses and cuts, disks that
//! forget what was not synced. `network` is the world, `faults` what goes wrong in it, `seeds` runs many,
//! `plants` checks that planted bugs are found, `elections` are the named cases.

mod disk;
mod elections;
mod faults;
mod network;
mod plants;
mod seeds;
mod verdicts;
mod watch;
