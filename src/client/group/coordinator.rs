//! The broker that coordinates the group: finding it, asking it, losing it.

use super::events::GroupEvent;
use super::{GroupConsumer, MemberState};
use crate::client::consumer::Place;
use crate::client::links::{Answer, Lane, Links, Ticket};
use crate::client::{Address, CallError};
use crate::ids::{BrokerId, Offset, Time};
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ApiKey, EncodeError, ErrorCode, Writer};

/// First pause before something is asked of a coordinator again, milliseconds (`retry.backoff.ms`).
const FIRST_PAUSE_MS: i64 = 100;
/// Longest such pause, milliseconds (`retry.backoff.max.ms`).
const MAX_PAUSE_MS: i64 = 1_000;
/// First version of FindCoordinator that asks for several at once.
const FIRST_BATCHED: i16 = 4;

#[derive(Default)]
pub(super) struct Coordinator {
    pub known: Option<(BrokerId, Address)>,
    pub not_before: Option<Time>,
    asking: bool,
    failures: u32,
}

/// A request under way.
pub(super) enum Sent {
    FindCoordinator,
    Join,
    Sync,
    Heartbeat,
    /// ConsumerGroupHeartbeat.
    ModernHeartbeat,
    Leave,
    /// With the stamps of the partitions.
    OffsetFetch(Vec<(Place, u64)>),
    Commit {
        offsets: Vec<(Place, Offset)>,
        generation: i32,
    },
}

/// A request to the coordinator.
pub(super) struct Ask {
    pub key: ApiKey,
    /// Highest version to use.
    pub cap: i16,
    pub lane: Lane,
    /// How much longer than others its answer may take, milliseconds.
    pub more_ms: i64,
}

impl Ask {
    pub fn of(key: ApiKey, lane: Lane) -> Ask {
        Ask {
            key,
            cap: i16::MAX,
            lane,
            more_ms: 0,
        }
    }
}

impl GroupConsumer {
    /// Asks who coordinates the group, if that is not known.
    pub(super) fn find_coordinator(&mut self, now: Time) {
        let over = matches!(
            self.member.state,
            MemberState::Closed | MemberState::Failed | MemberState::Away
        );
        let known = self.coordinator.known.is_some() || self.coordinator.asking;
        let pausing = self.coordinator.not_before.is_some_and(|at| at > now);
        if over || known || pausing {
            return;
        }
        let Some(link) = self.links_mut().bootstrap_link(now) else {
            return;
        };
        let key = ApiKey::FindCoordinator;
        let Some(version) = self.links_mut().version(link, key, i16::MAX) else {
            self.fail(CallError::Unsupported { api: key.name() });
            return;
        };
        let group_id = self.config.group_id.clone();
        let request = if version >= FIRST_BATCHED {
            FindCoordinatorRequest {
                coordinator_keys: vec![group_id],
                ..FindCoordinatorRequest::default()
            }
        } else {
            FindCoordinatorRequest {
                key: group_id,
                ..FindCoordinatorRequest::default()
            }
        };
        let ticket = self.reader.ticket();
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let api = (key, version);
        match self.links_mut().send(now, link, api, Some(ticket), write) {
            Ok(()) => {
                self.coordinator.asking = true;
                self.sent.insert(ticket, Sent::FindCoordinator);
            }
            Err(error) => self.fail(CallError::Malformed(error.to_string())),
        }
    }

    fn on_coordinator(&mut self, now: Time, mut answer: Answer) {
        self.coordinator.asking = false;
        let decoded = FindCoordinatorResponse::decode(&mut answer.reader, answer.version);
        let Ok(mut response) = decoded else {
            self.find_again(now);
            return;
        };
        if answer.version >= FIRST_BATCHED {
            let ours = |c: &crate::wire::messages::find_coordinator::Coordinator| {
                c.key == self.config.group_id
            };
            let Some(one) = response.coordinators.drain(..).find(ours) else {
                self.find_again(now);
                return;
            };
            response.error_code = one.error_code;
            response.error_message = one.error_message;
            response.node_id = one.node_id;
            response.host = one.host;
            response.port = one.port;
        }
        let port = u16::try_from(response.port);
        match (ErrorCode::from_code(response.error_code), port) {
            (Some(ErrorCode::None), Ok(port)) => {
                let broker = BrokerId(response.node_id);
                let host = response.host;
                self.coordinator.known = Some((broker, Address { host, port }));
                self.events.add(GroupEvent::Coordinator { broker });
            }
            (Some(ErrorCode::None), Err(_)) => self.find_again(now),
            (Some(error), _) if error.retriable() => self.find_again(now),
            _ => {
                let error = CallError::broker(response.error_code, response.error_message);
                self.fail(error);
            }
        }
    }

    fn find_again(&mut self, now: Time) {
        self.coordinator.asking = false;
        self.coordinator.not_before = Some(now.plus_ms(pause_ms(self.coordinator.failures)));
        self.coordinator.failures = self.coordinator.failures.saturating_add(1);
    }

    /// The coordinator is to be looked for again.
    pub(super) fn lose_coordinator(&mut self, now: Time, why: &str) {
        if self.coordinator.known.take().is_some() {
            let why = why.to_owned();
            self.events.add(GroupEvent::CoordinatorLost { why });
            self.find_again(now);
        }
    }

    /// Sends a request to the coordinator; false if no link to it takes one now.
    pub(super) fn ask_coordinator(
        &mut self,
        now: Time,
        ask: Ask,
        sent: Sent,
        write: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) -> bool {
        let Some((_, address)) = self.coordinator.known.clone() else {
            return false;
        };
        let Some(link) = self.links_mut().link_at(now, &address, ask.lane) else {
            if self.links_mut().is_unreachable(now, &address, ask.lane) {
                self.lose_coordinator(now, "no connection to it");
            }
            return false;
        };
        let Some(version) = self.links_mut().version(link, ask.key, ask.cap) else {
            let api = ask.key.name();
            self.fail(CallError::Unsupported { api });
            return false;
        };
        let ticket = self.reader.ticket();
        let api = (ask.key, version);
        let links: &mut Links = self.links_mut();
        if let Err(error) = links.send(now, link, api, Some(ticket), write) {
            self.fail(CallError::Malformed(error.to_string()));
            return false;
        }
        links.allow_more(link, ask.more_ms);
        self.sent.insert(ticket, sent);
        true
    }

    /// The lane where a request does not wait behind a JoinGroup that waits for others.
    pub(super) fn free_lane(&mut self) -> Lane {
        let address = self.coordinator.known.as_ref().map(|(_, at)| at.clone());
        let parked = matches!(
            self.member.state,
            MemberState::Joining | MemberState::Syncing
        );
        let busy = |links: &mut Links, at| links.is_busy(&at, Lane::Group);
        match address {
            Some(at) if parked && busy(self.links_mut(), at.clone()) => Lane::Main,
            _ => Lane::Group,
        }
    }

    pub(super) fn on_answer(&mut self, now: Time, answer: Answer, sent: Sent) {
        if !matches!(sent, Sent::FindCoordinator) {
            self.coordinator.failures = 0;
        }
        match sent {
            Sent::FindCoordinator => self.on_coordinator(now, answer),
            Sent::Join => self.on_joined(now, answer),
            Sent::Sync => self.on_synced(now, answer),
            Sent::Heartbeat => self.on_heartbeat(now, answer),
            Sent::ModernHeartbeat => self.on_modern_heartbeat(now, answer),
            Sent::Leave => self.on_left(),
            Sent::OffsetFetch(places) => self.on_offsets(now, answer, places),
            Sent::Commit {
                offsets,
                generation,
            } => self.on_committed(now, answer, offsets, generation),
        }
    }

    pub(super) fn on_loss(&mut self, now: Time, sent: Sent, why: &str) {
        if let Sent::FindCoordinator = sent {
            self.find_again(now);
            return;
        }
        self.lose_coordinator(now, why);
        match sent {
            Sent::FindCoordinator => {}
            Sent::Join | Sent::Sync => self.join_again(now),
            Sent::Heartbeat => self.classic.heartbeat_in_flight = false,
            Sent::ModernHeartbeat => self.beat_again(now),
            Sent::Leave => self.on_left(),
            Sent::OffsetFetch(places) => self.ask_offsets_again(now, &places),
            Sent::Commit { offsets, .. } => self.on_commit_lost(now, offsets),
        }
    }

    /// Takes in an error that says something of the coordinator rather than of the request, and may be over soon.
    pub(super) fn is_coordinators(&mut self, now: Time, error: Option<ErrorCode>) -> bool {
        match error {
            Some(error @ (ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)) => {
                self.lose_coordinator(now, error.name());
                true
            }
            Some(ErrorCode::CoordinatorLoadInProgress) => true,
            _ => false,
        }
    }

    /// Requests about a membership that is over are not waited for any more.
    pub(super) fn forget_requests_of_membership(&mut self) {
        self.sent.retain(|_: &Ticket, sent| {
            !matches!(
                sent,
                Sent::Join | Sent::Sync | Sent::Heartbeat | Sent::ModernHeartbeat
            )
        });
    }
}

/// The pause after so many failures in a row.
pub(super) fn pause_ms(failures: u32) -> i64 {
    (FIRST_PAUSE_MS << failures.min(10)).min(MAX_PAUSE_MS)
}
