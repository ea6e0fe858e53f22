//! A whole broker without threads: frames in, effects out, on a memory disk and a clock that stands still.

#![allow(clippy::unwrap_used)]

// The rig is larger than any one test needs.
#[allow(dead_code)]
mod rig;

mod line;
