//! Being alive: how a broker of a cluster registers with the controller and keeps telling that it lives.
//!
//! One life of a broker is one incarnation. It registers, then beats every `broker.heartbeat.interval.ms` with how
//! far it has applied the metadata; the controller unfences it once it has its own registration. The
//! controller beats to itself without a wire. All of lane Control is sent from here, one request at a time:
//! a beat that is due first, then proposals of in-sync replicas, then replicas that are lost, then a wish for
//! producer ids.

use super::Broker;
use super::commit::NotDone;
use super::effect::PeerLane;
use super::peers::{Purpose, Told};
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, Offset, Time, TopicId};
use crate::metadata::Endpoint;
use crate::metadata::decide::{self, Beat, Heartbeat, NewBroker};
use crate::wire::ErrorCode;
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, Listener,
};

const REGISTRATION_VERSION: i16 = 4;
const HEARTBEAT_VERSION: i16 = 1;
/// The listener's name in registrations.
const LISTENER: &str = "PLAINTEXT";
/// Milliseconds before a registration that was refused is tried again.
const RETRY_MS: i64 = 50;

impl Broker {
    /// Sends the controller what is due. Call at the end of every verb.
    pub(super) fn drive_control(&mut self, now: Time) {
        let Some(controller) = self.controller_id().filter(|_| self.member.is_some()) else {
            return;
        };
        let itself = controller == self.config.id;
        if itself && !self.is_controller() {
            return;
        }
        if self.is_beat_due(now) && self.is_control_free(controller) {
            match itself {
                true => self.beat_to_itself(now),
                false => self.beat_to(now, controller),
            }
        }
        if self.is_control_free(controller) {
            self.send_proposals(now, controller);
        }
        if self.is_control_free(controller) {
            self.send_lost_replicas(now, controller);
        }
        if self.is_control_free(controller) {
            self.send_for_producer_ids(now, controller);
        }
    }

    fn is_beat_due(&self, now: Time) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|m| m.registration.due <= now)
    }

    fn is_control_free(&self, controller: BrokerId) -> bool {
        let member = self.member.as_ref();
        controller == self.config.id
            || member.is_some_and(|m| m.peers.is_free(controller, PeerLane::Control))
    }

    /// When [`Broker::drive_control`] has something to send that only waits for its moment.
    pub(super) fn control_wakeup(&self) -> Option<Time> {
        let member = self.member.as_ref()?;
        let controller = self.controller_id()?;
        let able = match controller == self.config.id {
            true => member.controller.is_some(),
            false => self.is_control_free(controller),
        };
        if !able {
            return None;
        }
        let ids = member.wants_producer_ids && member.registration.epoch.is_some();
        let ids = ids.then_some(member.producer_ids_at);
        let lost = self.lost_replicas_due();
        let due = ids.into_iter().chain(lost);
        due.chain([member.registration.due]).min()
    }

    fn heartbeat_ms(&self) -> i64 {
        self.settings
            .number(&self.image, "broker.heartbeat.interval.ms")
    }

    /// Where clients and peers reach this broker.
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            name: LISTENER.to_owned(),
            host: self.config.listen.ip().to_string(),
            port: self.config.listen.port(),
        }
    }

    fn new_broker(&self) -> Option<NewBroker> {
        let registration = &self.member.as_ref()?.registration;
        Some(NewBroker {
            id: self.config.id,
            incarnation: registration.incarnation,
            endpoints: vec![self.endpoint()],
            rack: self.settings.text(&self.image, "broker.rack"),
            previous_epoch: registration.previous,
        })
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        let member = self.member.as_ref()?;
        Some(Heartbeat {
            broker: self.config.id,
            epoch: member.registration.epoch?,
            metadata_offset: member.applied + -1,
            want_fence: false,
            want_shut_down: member.registration.stopping,
        })
    }

    fn beat_to_itself(&mut self, now: Time) {
        let told = match self.heartbeat() {
            Some(beat) => self.decide_heartbeat(now, &beat).map(|decided| {
                self.note_beat(decided.should_shut_down);
                beat.epoch
            }),
            None => match self.new_broker() {
                Some(new) => self.decide_registration(now, &new),
                None => return,
            },
        };
        // Nobody waits for an answer.
        self.committed = false;
        match told {
            Ok(epoch) => self.registered(now, epoch),
            Err(not_done) => self.on_beat_refused(now, super::api::code_of(&not_done).0),
        }
    }

    fn beat_to(&mut self, now: Time, controller: BrokerId) {
        if let Some(beat) = self.heartbeat() {
            let request = BrokerHeartbeatRequest {
                broker_id: beat.broker.0,
                broker_epoch: beat.epoch.0,
                current_metadata_offset: beat.metadata_offset.0,
                want_fence: beat.want_fence,
                want_shut_down: beat.want_shut_down,
                ..BrokerHeartbeatRequest::default()
            };
            let version = HEARTBEAT_VERSION;
            self.ask(now, controller, version, Purpose::Heartbeat, |writer| {
                request.encode(writer, version)
            });
        } else if let Some(new) = self.new_broker() {
            let listener = |endpoint: Endpoint| Listener {
                name: endpoint.name,
                host: endpoint.host,
                port: endpoint.port,
                security_protocol: 0,
            };
            let request = BrokerRegistrationRequest {
                broker_id: new.id.0,
                cluster_id: self.config.cluster_id.clone(),
                incarnation_id: TopicId(new.incarnation.0),
                listeners: new.endpoints.into_iter().map(listener).collect(),
                rack: new.rack,
                previous_broker_epoch: new.previous_epoch.0,
                ..BrokerRegistrationRequest::default()
            };
            let version = REGISTRATION_VERSION;
            self.ask(now, controller, version, Purpose::Register, |writer| {
                request.encode(writer, version)
            });
        }
    }

    /// Decides on a registration as the controller.
    pub(super) fn decide_registration(
        &mut self,
        now: Time,
        new: &NewBroker,
    ) -> Result<BrokerEpoch, NotDone> {
        let next = self.metadata_log.log().log_end();
        let Some(controller) = self.member.as_ref().and_then(|m| m.controller.as_ref()) else {
            return Err(decide::Refusal::NotController.into());
        };
        let registered = decide::register(self.facts(), now, &controller.sessions, new, next)?;
        if !registered.records.is_empty() {
            let cause = format!("broker {} has started", new.id);
            self.decide(now, &registered.records, &cause)?;
        } else {
            // Said before, perhaps not committed yet.
            self.committed = true;
        }
        let member = self.member.as_mut();
        if let Some(controller) = member.and_then(|m| m.controller.as_mut()) {
            let sessions = &mut controller.sessions;
            sessions.on_registered(now, new.id, registered.epoch);
        }
        Ok(registered.epoch)
    }

    /// Decides on a heartbeat as the controller.
    pub(super) fn decide_heartbeat(
        &mut self,
        now: Time,
        beat: &Heartbeat,
    ) -> Result<Beat, NotDone> {
        let committed = self.see_quorum(|quorum, _| quorum.high_watermark());
        let committed = committed.flatten().unwrap_or(Offset::ZERO);
        let Some(controller) = self.member.as_ref().and_then(|m| m.controller.as_ref()) else {
            return Err(decide::Refusal::NotController.into());
        };
        let decided = decide::heartbeat(self.facts(), &controller.sessions, beat, committed)?;
        if !decided.records.is_empty() {
            let cause = match beat.want_shut_down {
                true => format!("broker {} stops", beat.broker),
                false => format!("broker {} has caught up with the metadata", beat.broker),
            };
            self.decide(now, &decided.records, &cause)?;
        }
        let end = self.metadata_log.log().log_end();
        let member = self.member.as_mut();
        if let Some(controller) = member.and_then(|m| m.controller.as_mut()) {
            let sessions = &mut controller.sessions;
            sessions.on_heartbeat(now, beat, &decided, end);
        }
        Ok(decided)
    }

    fn note_beat(&mut self, may_stop: bool) {
        if let Some(member) = self.member.as_mut() {
            member.registration.may_stop |= may_stop;
        }
    }

    /// Begins a controlled shutdown: the controller has others lead what this broker leads. End it with
    /// [`Broker::stop_clean`] once [`Broker::may_stop`], or when it takes too long.
    pub fn begin_stop(&mut self, now: Time) {
        if let Some(member) = self.member.as_mut() {
            member.registration.stopping = true;
            member.registration.due = now;
        }
        self.after_verb(now);
    }

    /// Whether nobody needs this broker any more.
    pub fn may_stop(&self) -> bool {
        let member = self.member.as_ref();
        member.is_none_or(|m| {
            let decides = m.quorum.is_leader() || m.quorum.is_leaving();
            m.registration.may_stop && !decides
        })
    }

    /// A controller that is let go gives control up, too, once others can see that it goes. Call at the end of
    /// every verb.
    pub(super) fn leave_quorum(&mut self, now: Time) {
        let end = self.metadata_log.log().log_end();
        let Some(member) = self.member.as_ref() else {
            return;
        };
        if member.registration.may_stop && member.quorum.is_leader() && member.applied >= end {
            self.with_quorum(now, |quorum, log| quorum.resign(now, log));
        }
    }

    pub(super) fn on_register_answer(&mut self, now: Time, mut told: Told) {
        match BrokerRegistrationResponse::decode(&mut told.body, told.version) {
            Ok(answer) if answer.error_code == 0 => {
                self.registered(now, BrokerEpoch(answer.broker_epoch));
            }
            Ok(answer) => self.on_beat_refused(now, error_of(answer.error_code)),
            Err(_) => self.on_control_lost(now),
        }
    }

    pub(super) fn on_heartbeat_answer(&mut self, now: Time, mut told: Told) {
        match BrokerHeartbeatResponse::decode(&mut told.body, told.version) {
            Ok(answer) if answer.error_code == 0 => {
                let interval_ms = self.heartbeat_ms();
                if let Some(member) = self.member.as_mut() {
                    member.registration.may_stop |= answer.should_shut_down;
                    member.registration.due = match answer.is_fenced {
                        // It wants to be unfenced as soon as it has its registration.
                        true => now.plus_ms(interval_ms.min(RETRY_MS)),
                        false => now.plus_ms(interval_ms),
                    };
                }
            }
            Ok(answer) => self.on_beat_refused(now, error_of(answer.error_code)),
            Err(_) => self.on_control_lost(now),
        }
    }

    /// Whether the cluster counts on this run of this broker, and on as many as `all`, as far as it knows itself.
    pub fn is_joined(&self, all: usize) -> bool {
        let Some(member) = &self.member else {
            return true;
        };
        let own = self.image.broker(self.config.id);
        let own = own.filter(|own| own.is_live() && member.registration.epoch == Some(own.epoch));
        let live = self.image.brokers().filter(|broker| broker.is_live());
        own.is_some() && live.count() >= all
    }

    /// Whether the cluster has counted on this run of this broker.
    pub(super) fn has_joined(&self) -> bool {
        let member = self.member.as_ref();
        member.is_none_or(|member| member.registration.has_joined)
    }

    /// Registrations changed. A broker that finds its own, fenced, asks to be unfenced at once.
    pub(super) fn after_registrations(&mut self, now: Time) {
        self.touch_lost();
        self.sweep_once();
        if !self.has_joined() && self.is_joined(0) {
            if let Some(member) = self.member.as_mut() {
                member.registration.has_joined = true;
            }
            self.groups.look_again();
        }
        let own = self.image.broker(self.config.id);
        let Some(epoch) = own.filter(|own| own.fenced).map(|own| own.epoch) else {
            return;
        };
        if let Some(member) = self.member.as_mut()
            && member.registration.epoch == Some(epoch)
        {
            member.registration.due = now;
        }
    }

    fn registered(&mut self, now: Time, epoch: BrokerEpoch) {
        let interval_ms = self.heartbeat_ms();
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let fresh = member.registration.epoch != Some(epoch);
        member.registration.epoch = Some(epoch);
        member.registration.due = now.plus_ms(match fresh {
            true => interval_ms.min(RETRY_MS),
            false => interval_ms,
        });
        if fresh {
            self.after_registrations(now);
        }
    }

    fn on_beat_refused(&mut self, now: Time, error: ErrorCode) {
        use rand::Rng as _;
        let Some(member) = self.member.as_mut() else {
            return;
        };
        member.registration.due = now.plus_ms(RETRY_MS);
        let over = matches!(
            error,
            ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered
        );
        if over {
            // This incarnation is over, or its registration was lost with a controller: a new one begins.
            member.registration.epoch = None;
            member.registration.incarnation = IncarnationId(self.random.random());
        }
    }

    /// No answer came: tried again soon.
    pub(super) fn on_control_lost(&mut self, now: Time) {
        if let Some(member) = self.member.as_mut() {
            member.registration.due = now.plus_ms(RETRY_MS);
        }
    }
}

pub(super) fn error_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
