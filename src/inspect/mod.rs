//! What can be seen and asked of a cluster, as plain data.
//!
//! This is the whole boundary between the window (or `klar ctl`) and what runs: pictures come out,
//! commands go in. It holds no behaviour, no handle to anything alive, and nothing a broker did not report;
//! `failover` only adds up what a picture's events say.

mod command;
mod consumers;
mod contents;
mod doctor;
mod event;
mod event_filter;
mod event_lines;
mod event_words;
pub mod failover;
mod files;
mod groups;
mod reset;
mod snapshot;

pub use command::*;
pub use consumers::*;
pub use contents::*;
pub use doctor::*;
pub use event::*;
pub use event_filter::*;
pub use event_lines::*;
pub use event_words::{one_line, share};
pub use files::*;
pub use groups::*;
pub use reset::*;
pub use snapshot::*;
