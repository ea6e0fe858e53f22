//! What a broker wants done that it may not do itself.

use std::path::PathBuf;

use bytes::Bytes;

use crate::ids::ConnectionId;
use crate::inspect::EventKind;

/// One thing for the driver to carry out. Effects are carried out in the order they are drained.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes, in order and in one vectored write: a whole response with its length prefix.
    /// The connection may read its next request afterwards.
    Reply { to: ConnectionId, parts: Vec<Bytes> },
    /// The request is done and has no response (acks=0): the connection may read its next request.
    NoReply { to: ConnectionId },
    /// Close the connection without another byte.
    Close { to: ConnectionId, why: String },
    /// Sync these files, then call `on_flushed` with the token.
    Flush { token: u64, files: Vec<PathBuf> },
    /// Something notable happened.
    Note(EventKind),
}
