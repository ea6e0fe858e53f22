//! One batch on its way: filled, encoded, sent, perhaps sent again.

use bytes::Bytes;

use super::{ProducerRecord, SendId};
use crate::ids::{ProducerEpoch, ProducerId, Time};
use crate::wire::records::{
    BatchBuilder, BatchView, Codec, HeaderSlice, OwnedRecord, set_producer,
};

/// Most bytes a batch being split may expand to.
const SPLIT_LIMIT_BYTES: usize = 256 * 1024 * 1024;

/// The idempotent producer's stamp on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub sequence: i32,
}

/// Records of one partition that are sent together.
#[derive(Debug)]
pub struct Batch {
    contents: Contents,
    pub ids: Vec<SendId>,
    /// Bytes its records count for in the producer's buffer.
    pub buffered: usize,
    /// When its first record was handed over.
    pub created: Time,
    pub stamp: Option<Stamp>,
    /// Nobody told what became of an attempt: it may be in the log under its stamp.
    pub maybe_stored: bool,
    /// Times it was sent.
    pub attempts: u32,
    /// Times its producer id turned out to be unknown.
    pub resets: u32,
    pub last_error: String,
}

#[derive(Debug)]
enum Contents {
    Filling(BatchBuilder),
    Encoded(Bytes),
}

impl Batch {
    pub fn new(now: Time, codec: Codec) -> Batch {
        Batch {
            contents: Contents::Filling(BatchBuilder::new().codec(codec)),
            ids: Vec::new(),
            buffered: 0,
            created: now,
            stamp: None,
            maybe_stored: false,
            attempts: 0,
            resets: 0,
            last_error: String::new(),
        }
    }

    /// Appends a record. The batch must not have been encoded yet.
    pub fn push(&mut self, id: SendId, now: Time, record: &ProducerRecord) {
        let headers: Vec<HeaderSlice<'_>> = header_slices(&record.headers);
        let Contents::Filling(builder) = &mut self.contents else {
            panic!("an encoded batch takes no records");
        };
        builder.push(
            record.timestamp_ms.unwrap_or(now.as_ms()),
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
        self.ids.push(id);
    }

    /// Bytes of the batch: before compression while it is filled, as sent after that.
    pub fn bytes(&self) -> usize {
        match &self.contents {
            Contents::Filling(builder) => builder.bytes(),
            Contents::Encoded(bytes) => bytes.len(),
        }
    }

    /// The batch as it is sent, with its stamp. `None` if it cannot be encoded.
    pub fn encode(&mut self, stamp: Option<Stamp>) -> Option<Bytes> {
        let restamp = stamp.filter(|_| self.stamp != stamp);
        let encoded = match &mut self.contents {
            Contents::Encoded(bytes) => match restamp {
                None => bytes.clone(),
                Some(stamp) => {
                    let mut copy = bytes.to_vec();
                    set_producer(&mut copy, stamp.id, stamp.epoch, stamp.sequence);
                    Bytes::from(copy)
                }
            },
            Contents::Filling(builder) => {
                let mut builder = std::mem::take(builder);
                if let Some(stamp) = stamp {
                    builder.set_producer(stamp.id, stamp.epoch, stamp.sequence);
                }
                Bytes::from(builder.build().ok()?)
            }
        };
        self.contents = Contents::Encoded(encoded.clone());
        self.stamp = stamp;
        Some(encoded)
    }

    /// Two batches with half of the records each, not stamped; `None` if there is nothing to split.
    pub fn split(&self, codec: Codec) -> Option<[Batch; 2]> {
        let Contents::Encoded(bytes) = &self.contents else {
            return None;
        };
        if self.ids.len() < 2 {
            return None;
        }
        let half = self.ids.len() / 2;
        let mut halves = [(); 2].map(|()| Batch::new(self.created, codec));
        let view = BatchView::first(bytes).ok()?;
        let mut records = view.records(SPLIT_LIMIT_BYTES).ok()?;
        for (at, id) in self.ids.iter().enumerate() {
            let OwnedRecord {
                timestamp_ms,
                key,
                value,
                headers,
                ..
            } = records.next_record().ok()??.to_owned();
            let record = ProducerRecord {
                timestamp_ms: Some(timestamp_ms),
                key,
                value,
                headers,
                ..ProducerRecord::default()
            };
            halves[usize::from(at >= half)].push(*id, self.created, &record);
        }
        Some(halves)
    }
}

/// Headers as the batch builder takes them.
pub fn header_slices(headers: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<HeaderSlice<'_>> {
    headers
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect()
}
