//! A producer that writes values which name themselves, at a rate, and notes what it is told.

use std::collections::BTreeMap;

use rand::Rng as _;
use rand::rngs::SmallRng;

use super::clients::{Books, links_config};
use super::dice::between;
use super::history::{Ended, Place, Sent};
use super::payload;
use super::schedule::WriterPlan;
use crate::client::{CallError, Delivery, Producer, ProducerConfig, ProducerRecord, SendId};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{Acks, PartitionBy, ProducerSettings};
use crate::wire::ErrorCode;

/// Records written at once when their time has come.
const BURST: u32 = 4;
/// Bits of a value's number that count within its writer.
const COUNT_BITS: u32 = 32;

/// A producer at work.
pub(super) struct Writer {
    pub producer: Producer,
    plan: WriterPlan,
    /// Tells it from every other writer, those before a restart included.
    number: u32,
    dice: SmallRng,
    written: u64,
    next: Option<Time>,
    until: Time,
    places: Vec<(Place, String, PartitionIndex)>,
    /// Records under way: their index in the history.
    pending: BTreeMap<SendId, usize>,
}

impl Writer {
    pub fn new(
        plan: &WriterPlan,
        number: u32,
        brokers: u32,
        mut dice: SmallRng,
        until: Time,
    ) -> Writer {
        let links = links_config(
            brokers,
            &format!("writer-{number}"),
            plan.request_timeout_ms,
        );
        let settings = ProducerSettings {
            compression: plan.compression,
            acks: plan.acks,
            idempotence: plan.idempotence,
            partition: PartitionBy::Automatic,
        };
        let mut config =
            ProducerConfig::new(links, &settings).expect("plans do not contradict themselves");
        config.linger_ms = plan.linger_ms;
        config.delivery_timeout_ms = plan.delivery_timeout_ms;
        config.batch_bytes = 16 * 1024;
        config.seed = dice.random();
        Writer {
            producer: Producer::new(config),
            plan: plan.clone(),
            number,
            dice,
            written: 0,
            next: None,
            until,
            places: Vec::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Writes to this partition, too.
    pub fn add_place(&mut self, now: Time, place: Place, topic: &str, partition: PartitionIndex) {
        self.places.push((place, topic.to_owned(), partition));
        if self.plan.records_per_s > 0 {
            self.next.get_or_insert(now);
        }
    }

    /// Writes to a topic's partitions no more.
    pub fn drop_topic(&mut self, topic: &str) {
        self.places.retain(|(_, name, _)| name != topic);
    }

    /// Writes one record to each of its partitions now.
    pub fn write_everywhere(&mut self, books: &mut Books<'_>) {
        for index in 0..self.places.len() {
            self.write(index, books);
        }
    }

    /// When it writes next.
    pub fn due(&self) -> Option<Time> {
        self.next
    }

    /// Whether every record it wrote has had its end.
    pub fn is_idle(&self) -> bool {
        self.next.is_none() && self.pending.is_empty()
    }

    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        let mut any = false;
        while let Some(delivery) = self.producer.poll_delivery() {
            any = true;
            self.take(delivery, books);
        }
        while self.next.is_some_and(|next| next <= books.now) {
            any = true;
            let burst = self.dice.random_range(1..=BURST);
            for _ in 0..burst.min(burst * self.places.len() as u32) {
                let place = self.dice.random_range(0..self.places.len());
                self.write(place, books);
            }
            let pause_us =
                2 * 1_000_000 * u64::from(1 + BURST) / 2 / u64::from(self.plan.records_per_s);
            let pause_us = self.dice.random_range(0..=pause_us);
            let next = Time(books.now.0 + pause_us.cast_signed());
            self.next = (next < self.until).then_some(next);
        }
        any
    }

    fn write(&mut self, at: usize, books: &mut Books<'_>) {
        let (place, topic, partition) = self.places[at].clone();
        self.written += 1;
        let value = (u64::from(self.number) << COUNT_BITS) | self.written;
        let bytes = between(&mut self.dice, self.plan.value_bytes);
        let (keyed, key): (bool, u8) = self.dice.random();
        let record = ProducerRecord {
            topic,
            partition: Some(partition),
            key: keyed.then(|| vec![b'k', key]),
            value: Some(payload::value(value, usize::try_from(bytes).unwrap_or(0))),
            ..ProducerRecord::default()
        };
        // A full buffer is a slow cluster: the record was never handed over.
        let Ok(id) = self.producer.send(books.now, record) else {
            books.tally.count("producer's buffer full");
            return;
        };
        let index = books.history.send(Sent {
            writer: self.number,
            place,
            value,
            all: self.plan.acks == Acks::All,
            idempotent: self.plan.idempotence,
            asked: 0,
            ended: None,
        });
        self.pending.insert(id, index);
    }

    fn take(&mut self, delivery: Delivery, books: &mut Books<'_>) {
        let mut offset = delivery.outcome.as_ref().ok().copied();
        for id in delivery.records {
            let Some(index) = self.pending.remove(&id) else {
                continue;
            };
            let ended = match (&delivery.outcome, offset) {
                // acks=0: sent, and nobody said more.
                (Ok(_), _) if self.plan.acks == Acks::None => Ended::Unknown,
                (Ok(_), Some(Offset::NONE)) => Ended::Acked(None),
                (Ok(_), Some(at)) => {
                    offset = Some(at + 1);
                    Ended::Acked(Some(at))
                }
                (Ok(_), None) => Ended::Acked(None),
                (Err(error), _) if refused(error) => Ended::Refused,
                (Err(_), _) => Ended::Unknown,
            };
            books.tally.count(match ended {
                Ended::Acked(_) => "records acknowledged",
                Ended::Refused => "records refused",
                Ended::Unknown => "records without an outcome",
            });
            books.history.end(index, ended);
        }
    }
}

/// Whether an error says that no attempt can have reached the log.
fn refused(error: &CallError) -> bool {
    let CallError::Broker { code, .. } = error else {
        return false;
    };
    matches!(
        ErrorCode::from_code(*code),
        Some(
            ErrorCode::MessageTooLarge
                | ErrorCode::InvalidRecord
                | ErrorCode::InvalidTimestamp
                | ErrorCode::InvalidRequiredAcks
        )
    )
}
