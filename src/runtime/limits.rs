//! Every limit of the runtime, with its unit, in one place.
//!
//! Hitting one closes a connection or holds it back, and is noted; none is silent.

use std::time::Duration;

/// Connections the kernel may hold before the broker accepts them.
pub const LISTEN_BACKLOG: i32 = 4_096;

/// Ports tried after the wished one before giving up.
pub const PORTS_TRIED: u16 = 100;

/// A frame that declares more than this must show its header before it is believed, bytes.
pub const UNKNOWN_FRAME_BYTES: usize = 1024 * 1024;

/// The longest frame of any API but Produce, bytes.
pub const PLAIN_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// What one read takes from a socket when no long frame is under way, bytes. One such buffer serves
/// all connections of a broker.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// What the first read takes of a frame that is probably longer than [`SCRATCH_BYTES`], bytes.
pub const LONG_FRAME_HEAD_BYTES: usize = 4 * 1024;

/// A frame under way may grow to this much memory without asking the budget, bytes. While it asks it owns what
/// one read has brought, at most [`SCRATCH_BYTES`].
pub const FREE_FRAME_BYTES: usize = 8 * 1024;

/// Memory all frames under way of one broker may own beyond that, bytes.
pub const FRAMES_BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// A frame that grows beyond this is a large one, bytes …
pub const LARGE_FRAME_BYTES: usize = 8 * 1024 * 1024;
/// … and large ones leave this much of the budget to the others, so that a few clients with long requests do not
/// shut out everybody else, bytes.
pub const SMALL_FRAMES_RESERVE_BYTES: usize = 32 * 1024 * 1024;

/// A frame waits this long for the budget before its connection is closed.
pub const BUDGET_WAIT: Duration = Duration::from_secs(10);

/// A frame that has begun must go on within this time.
pub const FRAME_STALL: Duration = Duration::from_secs(30);

/// How fast a frame comes is measured over the last one or two of these, so that what came quickly once does not
/// count for ever.
pub const PACE_WINDOW: Duration = Duration::from_secs(1);
/// While others wait for the budget, a frame must come at this rate or faster, bytes per second …
pub const SLOW_FRAME_RATE: u64 = 64 * 1024;
/// … and fast enough to fill the memory it holds within this many seconds.
pub const PRESSED_FILL_S: u64 = 60;

/// The longest answer taken from another broker, bytes.
pub const PEER_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A connection to another broker that takes longer to make is given up, as Kafka's
/// `socket.connection.setup.timeout.ms` has it, microseconds of the cluster's time.
pub const PEER_CONNECT_WAIT_US: u64 = 10_000_000;

/// A client that reads nothing of its response for this long is cut off.
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// A client that closed its sending side still gets an answer that is ready within this time.
pub const HALF_CLOSED_WAIT: Duration = Duration::from_secs(1);

/// How often a connection whose answer is parked looks whether its client is still there, when bytes
/// of the next request already wait.
pub const PARKED_LOOK: Duration = Duration::from_secs(5);

/// Parts one vectored write takes at most.
pub const WRITE_PARTS: usize = 64;

/// Bytes one connection may move before others get their turn.
pub const TURN_BYTES: usize = 256 * 1024;

/// File descriptors kept for files when connections are counted against the process's limit.
pub const RESERVED_FILES: u64 = 2_048;

/// File descriptors asked for when the hard limit allows.
pub const WANTED_FILES: u64 = 1_048_576;

/// How long the listener rests when the process has no file descriptor left.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Pictures are at least this far apart.
pub const PICTURE_INTERVAL: Duration = Duration::from_millis(33);

/// On a clean stop, responses under way get this long to leave.
pub const STOP_WAIT: Duration = Duration::from_millis(500);

/// On a clean stop, syncs under way get this long to end; after it the next start checks the logs.
pub const SYNC_WAIT: Duration = Duration::from_secs(5);

/// How often is looked whether they have ended.
pub const SYNC_POLL: Duration = Duration::from_millis(2);

/// A broker that is not taken in by its cluster for this long after its start says so.
pub const JOIN_WAIT: Duration = Duration::from_secs(5);

/// A broker that is stopped while others go on gets this long to hand its leaderships over.
pub const HAND_OVER_WAIT: Duration = Duration::from_secs(3);
