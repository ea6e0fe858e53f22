//! Requests that happened, as something that flies along their wire for a moment.
//!
//! Each picture says how many requests every connection has made. What came since the picture before takes off as one
//! flight per connection, which stands for all of them and says so, and no sooner than [`APART_US`] after the last one
//! there. Nothing flies that no broker counted, nor what brokers ask each other while nothing happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::replicas::peer_of;
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::inspect::ClusterSnapshot;

/// How long a flight takes, microseconds.
pub const FLIGHT_US: u64 = 600_000;
/// From one flight on a wire to the next at the least, microseconds.
const APART_US: u64 = 150_000;
/// Flights at a time; requests beyond them are counted with the next.
const FLYING_MOST: usize = 256;

/// A connection, by its broker.
type Wire = (BrokerId, ConnectionId);

/// Requests on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    pub wire: Wire,
    /// The broker that asks, if it is one.
    pub peer: Option<BrokerId>,
    /// What is asked for comes back: it flies from the broker to who asked.
    pub back: bool,
    /// Requests it stands for.
    pub count: u64,
    began: Time,
}

/// What is known of a connection's requests.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Without those that came while nothing happened.
    requests: u64,
    /// Requests that have not taken off yet.
    waiting: u64,
    last: Option<Time>,
}

/// All flights of the window.
#[derive(Debug, Default)]
pub struct Flights {
    seen: BTreeMap<Wire, Seen>,
    flying: Vec<Flight>,
    /// The picture that was looked at last. Its time would not do: it may stand still.
    looked: Option<Arc<ClusterSnapshot>>,
}

impl Flight {
    /// How far it has come, 0 to 1.
    pub fn share(&self, wall: Time) -> f32 {
        (wall.since_us(self.began) as f32 / FLIGHT_US as f32).clamp(0.0, 1.0)
    }
}

impl Flights {
    /// Takes note of the newest picture. Call once a frame, with the same picture as often as you like.
    pub fn see(&mut self, wall: Time, picture: &Arc<ClusterSnapshot>) {
        self.flying
            .retain(|flight| wall.since_us(flight.began) < FLIGHT_US);
        let looked = self.looked.as_ref();
        if looked.is_none_or(|looked| !Arc::ptr_eq(looked, picture)) {
            self.looked = Some(Arc::clone(picture));
            self.count(picture);
        }
        for connection in &picture.connections {
            let wire = (connection.broker, connection.id);
            let Some(seen) = self.seen.get_mut(&wire).filter(|seen| seen.waiting > 0) else {
                continue;
            };
            let rested = seen.last.is_none_or(|last| wall.since_us(last) >= APART_US);
            if rested && self.flying.len() < FLYING_MOST {
                self.flying.push(Flight {
                    wire,
                    peer: peer_of(picture, connection),
                    back: connection.last_api.starts_with("Fetch"),
                    count: std::mem::take(&mut seen.waiting),
                    began: wall,
                });
                seen.last = Some(wall);
            }
        }
    }

    fn count(&mut self, picture: &ClusterSnapshot) {
        let before = std::mem::take(&mut self.seen);
        let polls = picture.polls.iter();
        let polls: BTreeMap<Wire, u64> = polls
            .map(|polls| ((polls.broker, polls.connection), polls.requests))
            .collect();
        for connection in &picture.connections {
            let wire = (connection.broker, connection.id);
            let polls = polls.get(&wire).copied().unwrap_or(0);
            let requests = connection.requests.saturating_sub(polls);
            let known = before.get(&wire).copied();
            // What a connection did before it was seen first was not seen.
            let known = known.unwrap_or(Seen {
                requests,
                waiting: 0,
                last: None,
            });
            let waiting = known.waiting + requests.saturating_sub(known.requests);
            let seen = Seen {
                requests,
                waiting,
                ..known
            };
            self.seen.insert(wire, seen);
        }
    }

    /// What flies now.
    pub fn flying(&self) -> &[Flight] {
        &self.flying
    }

    /// Something moves or is about to: the window must draw again soon.
    pub fn are_under_way(&self) -> bool {
        !self.flying.is_empty() || self.seen.values().any(|seen| seen.waiting > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{ConnectionSnapshot, Polls};

    fn ms(ms: i64) -> Time {
        Time::from_ms(ms)
    }

    fn picture(at_ms: i64, requests: u64, last_api: &str) -> Arc<ClusterSnapshot> {
        Arc::new(ClusterSnapshot {
            time: ms(at_ms),
            connections: vec![ConnectionSnapshot {
                id: ConnectionId(7),
                broker: BrokerId(1),
                peer: String::new(),
                client_id: "python app".into(),
                software: "librdkafka".into(),
                since: ms(0),
                requests,
                errors: 0,
                last_api: last_api.into(),
                own: false,
                contact: crate::inspect::Contact::default(),
            }],
            ..ClusterSnapshot::default()
        })
    }

    #[test]
    fn every_request_flies_once_and_those_that_come_fast_fly_together() {
        let mut flights = Flights::default();
        flights.see(ms(0), &picture(0, 40, "Produce v9"));
        assert!(flights.flying().is_empty(), "what happened before is over");
        flights.see(ms(10), &picture(10, 41, "Produce v9"));
        flights.see(ms(43), &picture(43, 45, "Produce v9"));
        flights.see(ms(76), &picture(76, 48, "Produce v9"));
        let counts = |flights: &Flights| -> Vec<u64> {
            flights.flying().iter().map(|flight| flight.count).collect()
        };
        assert_eq!(counts(&flights), [1]);
        flights.see(ms(160), &picture(76, 48, "Produce v9"));
        assert_eq!(counts(&flights), [1, 7]);
        assert!((flights.flying()[0].share(ms(310)) - 0.5).abs() < 0.01);
        flights.see(ms(615), &picture(76, 48, "Produce v9"));
        assert_eq!(counts(&flights), [7]);
        flights.see(ms(800), &picture(76, 48, "Produce v9"));
        assert!(!flights.are_under_way());
    }

    #[test]
    fn what_came_while_nothing_happened_does_not_fly() {
        let polled = |at_ms, requests, polls| {
            let mut picture = ClusterSnapshot::clone(&picture(at_ms, requests, "Fetch v18"));
            picture.polls = vec![Polls {
                broker: BrokerId(1),
                connection: ConnectionId(7),
                requests: polls,
            }];
            Arc::new(picture)
        };
        let mut flights = Flights::default();
        flights.see(ms(0), &polled(0, 40, 30));
        flights.see(ms(60_000), &polled(60_000, 160, 150));
        assert!(!flights.are_under_way());
        flights.see(ms(60_033), &polled(60_033, 161, 150));
        assert_eq!(flights.flying()[0].count, 1);
    }

    #[test]
    fn what_is_fetched_flies_to_who_asked() {
        let mut flights = Flights::default();
        flights.see(ms(0), &picture(0, 1, "Fetch v12"));
        flights.see(ms(9), &picture(9, 2, "Fetch v12"));
        assert!(flights.flying()[0].back);
        assert_eq!(flights.flying()[0].peer, None);
    }
}
