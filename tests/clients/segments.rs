//! Looks at the batches on disk with a reader of its own (61 bytes of header, nothing of klar's code): a
//! client that quietly does not compress, or is not idempotent, is found here.

use std::fs;
use std::path::Path;

use crate::broker::Broker;

/// Bytes before a batch's length counts, and in its whole header.
const PREFIX: usize = 12;
const HEADER: usize = 61;
/// librdkafka sends a batch as it is when compressing does not make it smaller, so not every batch of a
/// compressing client is compressed; nearly every record is.
const COMPRESSED_SHARE: f64 = 0.95;

const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

pub fn assert_written(
    broker: &Broker,
    topic: &str,
    partitions: usize,
    codec: &str,
    idempotent: bool,
    records: usize,
) {
    let mut total = 0;
    let mut in_codec = 0;
    for partition in 0..partitions {
        let replicas = broker.replica_dirs(topic, partition);
        assert!(!replicas.is_empty(), "no {topic}-{partition} on disk");
        for batch in replicas.iter().flat_map(|dir| batches(dir)) {
            total += batch.records;
            if batch.codec == codec {
                in_codec += batch.records;
            }
            assert_eq!(
                batch.producer_id >= 0,
                idempotent,
                "{topic}: producer id {}",
                batch.producer_id
            );
        }
    }
    assert_eq!(
        total, records,
        "{topic}: records on disk, over all replicas"
    );
    let share = in_codec as f64 / total as f64;
    assert!(
        share >= COMPRESSED_SHARE,
        "{topic}: {in_codec} of {total} records are {codec} on disk"
    );
}

struct Batch {
    codec: &'static str,
    producer_id: i64,
    records: usize,
}

fn batches(dir: &Path) -> Vec<Batch> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let bytes = fs::read(&path).unwrap();
            let mut at = 0;
            // A preallocated file may end in zeros.
            while bytes.len() - at >= HEADER && bytes[at + 16] == 2 {
                let batch = &bytes[at..];
                found.push(parse(batch));
                at += PREFIX + number(&batch[8..12]) as usize;
            }
        }
    }
    found
}

fn parse(batch: &[u8]) -> Batch {
    Batch {
        codec: CODECS[usize::from(batch[22] & 7)],
        producer_id: i64::from_be_bytes(batch[43..51].try_into().unwrap()),
        records: number(&batch[57..61]) as usize,
    }
}

fn number(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().unwrap())
}
