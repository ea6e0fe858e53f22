//! The wires between brokers as plain values: what is cut, held back, slow or lossy. *Pure.*
//!
//! A wire has a direction: what goes from `a` to `b` and what comes back are two wires. Both ways of running
//! brokers ask here what becomes of the next piece of a connection and carry it out themselves: the lab on
//! virtual time, live mode where the bytes of peer connections pass. The dice are the caller's, so the same
//! throws give the same fates. Knows no connections, no bytes and no time of day.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::BrokerId;

/// What a wire hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Broker(BrokerId),
    /// All clients together.
    Clients,
}

/// One direction between two ends. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wire {
    /// Nothing arrives any more, and nobody is told, as when a cable is pulled. What is sent into it is lost
    /// and its connection with it: both ends find out by waiting too long, or by a reset once the wire heals.
    pub cut: bool,
    /// What is sent waits, in order, until the wire is let go.
    pub held: bool,
    /// Every piece takes this much longer, microseconds.
    pub delay_us: u64,
    /// And up to this much more, microseconds. Pieces of one connection stay in order.
    pub jitter_us: u64,
    /// So many of a thousand pieces do not arrive: their connection is reset instead.
    pub drop_per_mille: u16,
}

/// What becomes of one piece of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after this time, microseconds, and never before what was sent earlier.
    Arrives { after_us: u64 },
    /// It is lost and the connection is dead without anyone being told.
    Lost,
    /// It is lost and both ends see the connection reset.
    Reset,
    /// It waits until the wire is let go.
    Held,
}

/// All wires of one cluster. Those not mentioned are perfect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    wires: BTreeMap<(End, End), Wire>,
}

impl Wire {
    /// What becomes of the next piece, given two throws of dice: any two numbers.
    pub fn fate(&self, throws: (u32, u32)) -> Fate {
        if self.cut {
            return Fate::Lost;
        }
        if throws.0 % 1000 < u32::from(self.drop_per_mille) {
            return Fate::Reset;
        }
        if self.held {
            return Fate::Held;
        }
        let jitter_us = u64::from(throws.1) % (self.jitter_us + 1);
        Fate::Arrives {
            after_us: self.delay_us + jitter_us,
        }
    }

    /// Whether it is as good as new.
    pub fn is_perfect(&self) -> bool {
        *self == Wire::default()
    }
}

impl Links {
    /// What goes from one end to another.
    pub fn wire(&self, from: End, to: End) -> Wire {
        self.wires.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Changes one direction.
    pub fn change(&mut self, from: End, to: End, change: impl FnOnce(&mut Wire)) {
        let wire = self.wires.entry((from, to)).or_default();
        change(wire);
        if wire.is_perfect() {
            self.wires.remove(&(from, to));
        }
    }

    /// Changes both directions.
    pub fn change_both(&mut self, a: End, b: End, change: impl Fn(&mut Wire)) {
        self.change(a, b, &change);
        self.change(b, a, &change);
    }

    /// Makes every wire perfect again.
    pub fn heal(&mut self) {
        self.wires.clear();
    }

    /// The wires that are not perfect.
    pub fn faulty(&self) -> impl Iterator<Item = (End, End, Wire)> {
        self.wires.iter().map(|((from, to), w)| (*from, *to, *w))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Broker(id) => write!(f, "{id}"),
            End::Clients => f.write_str("clients"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: End = End::Broker(BrokerId(1));
    const B: End = End::Broker(BrokerId(2));

    #[test]
    fn a_wire_has_one_direction_and_heals() {
        let mut links = Links::default();
        links.change(A, B, |wire| wire.cut = true);
        assert_eq!(links.wire(A, B).fate((0, 0)), Fate::Lost);
        assert_eq!(links.wire(B, A).fate((0, 0)), Fate::Arrives { after_us: 0 });
        links.change_both(A, B, |wire| wire.cut = false);
        assert_eq!(links.faulty().count(), 0, "perfect wires are not kept");
        links.change_both(A, End::Clients, |wire| wire.delay_us = 7);
        assert_eq!(links.faulty().count(), 2);
        links.heal();
        assert_eq!(links, Links::default());
    }

    #[test]
    fn what_happens_to_a_piece() {
        let check = |wire: Wire, throws, fate| assert_eq!(wire.fate(throws), fate, "{wire:?}");
        let slow = Wire {
            delay_us: 10,
            jitter_us: 5,
            ..Wire::default()
        };
        check(slow, (0, 11), Fate::Arrives { after_us: 15 });
        let lossy = Wire {
            drop_per_mille: 2,
            held: true,
            ..Wire::default()
        };
        check(lossy, (1001, 0), Fate::Reset);
        check(lossy, (1002, 0), Fate::Held);
        let cut = Wire { cut: true, ..lossy };
        check(cut, (0, 0), Fate::Lost);
    }
}
