//! Reads along on the wire, to count what happened: which batches came again, and how that was answered.
//!
//! Changes nothing and judges nothing; what it cannot read it passes over.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::report::Tally;
use crate::ids::{ConnectionId, TopicId};
use crate::wire::messages::produce::{ProduceRequest, ProduceResponse};
use crate::wire::records::BatchHeader;
use crate::wire::request::decode_header;
use crate::wire::{ApiKey, Reader, response};

/// One batch of an idempotent producer: topic name, topic id, partition, producer id, epoch, first sequence.
type BatchName = (String, TopicId, i32, i64, i16, i32);

/// What was read so far.
#[derive(Default)]
pub(super) struct Snoop {
    /// Batches seen, and the offset each was answered with.
    batches: BTreeMap<BatchName, Option<i64>>,
    /// The Produce a connection waits for: its version and batches by partition.
    asked: BTreeMap<ConnectionId, (i16, Vec<BatchName>)>,
}

impl Snoop {
    /// A request, in a word.
    pub fn describe(frame: &Bytes) -> String {
        match decode_header(&mut Reader::new(frame.clone())) {
            Ok(header) => format!(
                "{} v{} of {} ({} bytes)",
                header.api_key.name(),
                header.api_version,
                header.client_id.unwrap_or_default(),
                frame.len()
            ),
            Err(error) => format!("not a request: {error}"),
        }
    }

    pub fn request(&mut self, id: ConnectionId, frame: &Bytes, tally: &mut Tally) {
        tally.count("requests");
        self.asked.remove(&id);
        let mut reader = Reader::new(frame.clone());
        let Ok(header) = decode_header(&mut reader) else {
            return;
        };
        if header.api_key != ApiKey::Produce {
            return;
        }
        let Ok(request) = ProduceRequest::decode(&mut reader, header.api_version) else {
            return;
        };
        let mut names = Vec::new();
        for topic in &request.topic_data {
            for partition in &topic.partition_data {
                let records = partition.records.as_deref().unwrap_or_default();
                let Ok(batch) = BatchHeader::parse(records) else {
                    continue;
                };
                let (producer, epoch) = (batch.producer_id.0, batch.producer_epoch.0);
                if producer < 0 {
                    continue;
                }
                let (topic, topic_id) = (topic.name.clone(), topic.topic_id);
                let sequence = batch.base_sequence;
                let name = (topic, topic_id, partition.index, producer, epoch, sequence);
                if self.batches.contains_key(&name) {
                    tally.count("produce sent again");
                } else {
                    self.batches.insert(name.clone(), None);
                }
                names.push(name);
            }
        }
        self.asked.insert(id, (header.api_version, names));
    }

    /// Takes an answer in; what it says if it is one to a Produce.
    pub fn answer(
        &mut self,
        id: ConnectionId,
        frame: &Bytes,
        tally: &mut Tally,
    ) -> Option<ProduceResponse> {
        let (version, names) = self.asked.remove(&id)?;
        let mut reader = Reader::new(frame.clone());
        response::decode_header(&mut reader, ApiKey::Produce, version).ok()?;
        let answer = ProduceResponse::decode(&mut reader, version).ok()?;
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                let named = |name: &&BatchName| {
                    name.0 == topic.name && name.1 == topic.topic_id && name.2 == partition.index
                };
                let Some(name) = names.iter().find(named) else {
                    continue;
                };
                if partition.error_code != 0 {
                    continue;
                }
                let before = self
                    .batches
                    .insert(name.clone(), Some(partition.base_offset));
                if before.flatten() == Some(partition.base_offset) {
                    tally.count("duplicate answered");
                }
            }
        }
        Some(answer)
    }

    /// What became of each partition of a Produce.
    pub fn outcomes(answer: &ProduceResponse) -> String {
        let mut text = String::from("produced:");
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                let (index, offset) = (partition.index, partition.base_offset);
                let name = format!("{}{}", topic.name, topic.topic_id);
                text += &match partition.error_code {
                    0 => format!(" {name}-{index} at {offset}"),
                    code => format!(" {name}-{index} error {code}"),
                };
            }
        }
        text
    }
}
