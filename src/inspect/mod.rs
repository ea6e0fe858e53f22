//! What can be seen and asked of a cluster, as plain data.
//!
//! This is the whole boundary between the window (or `klar ctl`) and what runs: pictures come out,
//! commands go in. It holds no behaviour, no handle to anything alive, and nothing a broker did not report.

mod command;
mod event;
mod snapshot;

pub use command::*;
pub use event::*;
pub use snapshot::*;
