//! Brokers come, beat, stop and go; each step brings the elections it implies.
//!
//! A registration is identified by its broker epoch: the offset of its record in the metadata log. An
//! incarnation is one life of a broker; once another has registered under the same id, or the id was removed,
//! the older one never registers again (E6). Whoever is fenced or stopping is in no ISR (E5).
//!
//! A new incarnation whose `previous_epoch` is not the registered one may have lost records (KIP-966): it leaves
//! the ELR too. A broker says its previous epoch exactly when everything it ever acknowledged is still in its
//! logs: after a clean stop, after a crash the page cache survived, or when each ack waited for a sync.

use super::draft::{Live, draft_all};
use super::liveness::Sessions;
use super::{Facts, Refusal};
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, Offset, Time};
use crate::metadata::{BrokerImage, Endpoint, Record};
use crate::plants::{Plant, planted};

/// Brokers one cluster holds.
const MAX_BROKERS: usize = 100;

/// A broker that wants to be part of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBroker {
    pub id: BrokerId,
    pub incarnation: IncarnationId,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// Its last broker epoch if its logs are whole, else [`BrokerEpoch::NONE`].
    pub previous_epoch: BrokerEpoch,
}

/// A registration that goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Empty when the very same registration is there already: its first answer was lost.
    pub records: Vec<Record>,
    /// What to answer.
    pub epoch: BrokerEpoch,
}

/// What a broker says with each heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub broker: BrokerId,
    pub epoch: BrokerEpoch,
    /// The last metadata record it has applied; −1 is none.
    pub metadata_offset: Offset,
    pub want_fence: bool,
    pub want_shut_down: bool,
}

/// What a heartbeat leads to: the fields of its answer, and what must be committed before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub records: Vec<Record>,
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub should_shut_down: bool,
    /// It began to shut down with these records or is shutting down already.
    pub in_controlled_shutdown: bool,
}

/// What a registered broker does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Same,
    Fence,
    Unfence,
    BeginShutdown,
    ShutDownNow,
}

/// Refuses a request of a broker's earlier registration.
///
/// # Errors
/// BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH.
pub fn check_broker_epoch(
    facts: Facts,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Result<(), Refusal> {
    match facts.image.broker(broker) {
        None => Err(Refusal::BrokerIdNotRegistered(broker)),
        Some(registered) if registered.epoch != epoch => Err(Refusal::StaleBrokerEpoch(format!(
            "Expected broker epoch {}, but got broker epoch {epoch}",
            registered.epoch
        ))),
        Some(_) => Ok(()),
    }
}

/// Decides on BrokerRegistration. The first record of the answer must be appended at `next`, the metadata log's
/// end: that offset is the new broker epoch. The broker begins fenced; a heartbeat unfences it.
///
/// # Errors
/// DUPLICATE_BROKER_REGISTRATION while another incarnation has a valid session and is not stopping,
/// STALE_BROKER_EPOCH for an incarnation that is over (start a new one), INVALID_REGISTRATION.
pub fn register(
    facts: Facts,
    now: Time,
    sessions: &Sessions,
    broker: &NewBroker,
    next: Offset,
) -> Result<Registered, Refusal> {
    check_registration(facts, broker)?;
    let before = facts.image.broker(broker.id);
    if let Some(before) = before.filter(|b| b.incarnation == broker.incarnation) {
        let amended = BrokerImage {
            endpoints: broker.endpoints.clone(),
            rack: broker.rack.clone(),
            ..before.clone()
        };
        let epoch = before.epoch;
        let records = match amended == *before {
            true => Vec::new(),
            false => vec![Record::RegisterBroker(amended)],
        };
        return Ok(Registered { records, epoch });
    }
    if let Some(before) = before
        && !before.in_controlled_shutdown
        && sessions.is_valid(now, before.id, before.epoch)
    {
        return Err(Refusal::DuplicateBrokerRegistration(broker.id));
    }
    let epoch = BrokerEpoch(next.0);
    let mut records = vec![Record::RegisterBroker(BrokerImage {
        id: broker.id,
        incarnation: broker.incarnation,
        epoch,
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        fenced: true,
        in_controlled_shutdown: false,
    })];
    // A directory written before brokers registered has no earlier epoch to know: its logs are taken as they are.
    let whole = before.is_none_or(|before| before.epoch == broker.previous_epoch);
    records.extend(without(facts, broker.id, !whole));
    Ok(Registered { records, epoch })
}

fn check_registration(facts: Facts, broker: &NewBroker) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::InvalidRegistration(why));
    if broker.id.0 < 0 {
        return refuse(format!("Broker ids are not negative: {}", broker.id));
    }
    if broker.endpoints.is_empty() {
        return refuse(format!("Broker {} names no listener.", broker.id));
    }
    if facts.image.broker(broker.id).is_none() && facts.image.brokers().count() >= MAX_BROKERS {
        return refuse(format!("The cluster has {MAX_BROKERS} brokers: no more."));
    }
    if facts.image.is_retired(broker.id, broker.incarnation) {
        return Err(Refusal::StaleBrokerEpoch(format!(
            "Another incarnation of broker {} has registered since.",
            broker.id
        )));
    }
    Ok(())
}

/// Decides on BrokerHeartbeat. `committed` is the metadata log's high watermark (the first offset that is not
/// committed). Answer once the records are committed, and tell the sessions of it with
/// [`Sessions::on_heartbeat`] at once.
///
/// A fenced broker is unfenced when it has applied its own registration. A stopping broker may go when it leads
/// nothing and every live broker has applied the metadata that says so.
///
/// # Errors
/// BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH.
pub fn heartbeat(
    facts: Facts,
    sessions: &Sessions,
    beat: &Heartbeat,
    committed: Offset,
) -> Result<Beat, Refusal> {
    check_broker_epoch(facts, beat.broker, beat.epoch)?;
    let broker = facts.image.broker(beat.broker);
    let broker = broker.expect("its epoch was just compared");
    let next = next_step(facts, sessions, broker, beat);
    let change = |fenced, in_controlled_shutdown| Record::BrokerChange {
        id: broker.id,
        epoch: broker.epoch,
        fenced,
        in_controlled_shutdown,
    };
    let mut records = Vec::new();
    match next {
        Next::Same => {}
        Next::Unfence => {
            records.push(change(Some(false), false));
            records.extend(with(facts, broker.id));
        }
        Next::BeginShutdown => {
            records.push(change(None, true));
            records.extend(without(facts, broker.id, false));
        }
        Next::Fence | Next::ShutDownNow if broker.fenced => {}
        Next::Fence | Next::ShutDownNow => records.extend(fence(facts, broker.id)),
    }
    Ok(Beat {
        records,
        is_caught_up: beat.metadata_offset.0 + 1 >= committed.0,
        is_fenced: match next {
            Next::Same | Next::BeginShutdown => broker.fenced,
            Next::Unfence => false,
            Next::Fence | Next::ShutDownNow => true,
        },
        should_shut_down: next == Next::ShutDownNow,
        in_controlled_shutdown: broker.in_controlled_shutdown || next == Next::BeginShutdown,
    })
}

fn next_step(facts: Facts, sessions: &Sessions, broker: &BrokerImage, beat: &Heartbeat) -> Next {
    let leads = || {
        let mut partitions = facts.image.partitions();
        partitions.any(|(_, _, partition)| partition.leader == Some(broker.id))
    };
    if broker.fenced {
        return match beat {
            beat if beat.want_shut_down => Next::ShutDownNow,
            // Only a new incarnation takes a stop back.
            _ if broker.in_controlled_shutdown => Next::Same,
            beat if !beat.want_fence && beat.metadata_offset.0 >= broker.epoch.0 => Next::Unfence,
            _ => Next::Same,
        };
    }
    if broker.in_controlled_shutdown {
        let known = || sessions.shutdown_is_known(facts.image, broker.id);
        return match !leads() && known() {
            true => Next::ShutDownNow,
            false => Next::Same,
        };
    }
    match beat {
        beat if beat.want_shut_down && (beat.want_fence || !leads()) => Next::ShutDownNow,
        beat if beat.want_shut_down => Next::BeginShutdown,
        beat if beat.want_fence => Next::Fence,
        _ => Next::Same,
    }
}

/// Takes a broker out of use because its session is over: out of every ISR, its leaderships to others. Nothing
/// if it is fenced already or not registered.
pub fn fence(facts: Facts, broker: BrokerId) -> Vec<Record> {
    let Some(registered) = facts.image.broker(broker).filter(|b| !b.fenced) else {
        return Vec::new();
    };
    let mut records = vec![Record::BrokerChange {
        id: broker,
        epoch: registered.epoch,
        fenced: Some(true),
        in_controlled_shutdown: false,
    }];
    if !planted(Plant::KeepsFenced) {
        records.extend(without(facts, broker, false));
    }
    records
}

/// Decides on UnregisterBroker: the broker is gone for good. Replicas assigned to it stay assigned until they
/// are moved; what it held counts as lost.
///
/// # Errors
/// BROKER_ID_NOT_REGISTERED.
pub fn unregister(facts: Facts, broker: BrokerId) -> Result<Vec<Record>, Refusal> {
    let registered = facts.image.broker(broker);
    let registered = registered.ok_or(Refusal::BrokerIdNotRegistered(broker))?;
    let mut records = without(facts, broker, true);
    records.push(Record::UnregisterBroker {
        id: broker,
        epoch: registered.epoch,
    });
    Ok(records)
}

/// Takes a broker out of every ISR, and if it may have lost records out of every ELR.
fn without(facts: Facts, broker: BrokerId, forgetful: bool) -> Vec<Record> {
    let live = Live {
        going: Some(broker),
        ..Live::of(facts)
    };
    draft_all(
        live,
        |partition| {
            partition.isr.contains(&broker)
                || partition.leader == Some(broker)
                || (forgetful && partition.elr.contains(&broker))
        },
        |draft| {
            draft.isr.retain(|member| *member != broker);
            draft.forgetful = forgetful.then_some(broker);
        },
    )
}

/// Elections that a broker which may lead again makes possible.
fn with(facts: Facts, broker: BrokerId) -> Vec<Record> {
    let live = Live {
        coming: Some(broker),
        ..Live::of(facts)
    };
    draft_all(
        live,
        |partition| partition.leader.is_none() && partition.replicas.contains(&broker),
        |_| {},
    )
}
