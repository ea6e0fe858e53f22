//! The program as a person meets it: real processes, real sockets, real files.

#![allow(clippy::unwrap_used)]

mod brokers;
mod client;
mod consumers;
mod crowds;
mod ctl;
mod doctor;
mod groups;
mod live;
mod openings;
mod pace;
mod plug;
mod program;
mod serve;
