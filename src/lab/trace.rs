//! What happened in a run, as one number and, when somebody watches, as lines.
//!
//! Every event changes the hash: its time, what it is, whom it concerns, the bytes that moved. Two runs with
//! the same hash did the same things.

use bytes::Bytes;

use crate::ids::Time;

/// Takes one line of the trace: the number of the event, when it happened, what it was.
type Tell = Box<dyn FnMut(u64, Time, &str)>;

/// How a run is watched. The default watches nothing.
#[derive(Default)]
pub struct Watch {
    /// Stop after this many events.
    pub until: Option<u64>,
    /// Hears of every event.
    pub tell: Option<Tell>,
}

/// The trace of a run so far.
pub(super) struct Trace {
    watch: Watch,
    hash: u64,
    events: u64,
}

/// The prime of FNV-1a, 64 bits.
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// The offset basis of FNV-1a, 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

impl Trace {
    pub fn new(watch: Watch) -> Trace {
        Trace {
            watch,
            hash: BASIS,
            events: 0,
        }
    }

    /// One event: numbers that identify it, the bytes that moved, and its line.
    pub fn event(
        &mut self,
        now: Time,
        numbers: &[u64],
        moved: Option<&Bytes>,
        line: impl FnOnce() -> String,
    ) {
        self.events += 1;
        self.mix(now.0 as u64);
        for number in numbers {
            self.mix(*number);
        }
        if let Some(bytes) = moved {
            self.mix(bytes.len() as u64);
            self.mix(u64::from(crc32c::crc32c(bytes)));
        }
        if let Some(tell) = &mut self.watch.tell {
            tell(self.events, now, &line());
        }
    }

    /// An event that is its own text.
    pub fn text(&mut self, now: Time, text: &str) {
        let crc = crc32c::crc32c(text.as_bytes());
        self.event(now, &[u64::from(crc)], None, || text.to_owned());
    }

    fn mix(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether the run was to stop here.
    pub fn is_over(&self) -> bool {
        self.watch.until.is_some_and(|until| self.events >= until)
    }
}
