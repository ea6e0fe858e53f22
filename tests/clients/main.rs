//! Foreign Kafka clients against three brokers of klar, with three replicas of every partition: each creates a
//! topic, produces 10,000 keyed records with headers in every codec it has, idempotent and not; every reader then
//! reads them back and must see the same bytes in the same order, and find its place by offset and by time. What
//! reached the disks is checked too, and what the cluster answers to admin clients, and what brokers' deaths do.
//!
//! `make clients` runs it. The clients are installed by the tests (see `install.rs`); an installation that
//! fails is a failed test. `KLAR_BIN` names another klar; `KLAR_TEST_BOOTSTRAP` and `KLAR_TEST_LOG_DIR`
//! name running brokers instead (Apache Kafka's, see the README), to check the tests themselves.

#![allow(clippy::unwrap_used)]

mod admin;
mod broker;
mod driver;
mod failover;
mod groups;
mod install;
mod records;
mod segments;
mod snippets;
mod soak;
mod tools;

use broker::Broker;
use driver::Driver;
use records::{Produced, ReadBack};

/// Partitions of every topic; kcat gets them from `num.partitions`.
const PARTITIONS: usize = 3;
const RECORDS: usize = 10_000;
/// Records read after a seek.
const SEEK_RECORDS: usize = 100;

/// The clients that can read without a group. kafkajs cannot: the others read what it wrote.
const READERS: &[&str] = &["kcat", "confluent", "kafka_python", "java", "franz"];

/// Every client with every codec it has.
macro_rules! scenarios {
    ($($client:ident: $($codec:ident)*;)*) => {
        $(mod $client {
            $(mod $codec {
                #[test]
                fn plain() {
                    crate::ten_thousand_records(stringify!($client), stringify!($codec), false);
                }
                #[test]
                fn idempotent() {
                    crate::ten_thousand_records(stringify!($client), stringify!($codec), true);
                }
            })*
        })*
    };
}

scenarios! {
    kcat: none gzip snappy lz4 zstd;
    confluent: none gzip snappy lz4 zstd;
    kafka_python: none gzip snappy lz4 zstd;
    java: none gzip snappy lz4 zstd;
    franz: none gzip snappy lz4 zstd;
    kafkajs: none gzip snappy;
}

fn ten_thousand_records(client: &str, codec: &str, idempotent: bool) {
    let broker = Broker::get();
    let kind = if idempotent { "idempotent" } else { "plain" };
    let topic = format!("{client}-{codec}-{kind}");
    let produced = Produced::regular(client, RECORDS);
    let writer = Driver::of(client);
    writer.create(broker, &topic, PARTITIONS);
    writer.produce(
        broker,
        &topic,
        codec,
        idempotent,
        &produced.write_file(&topic),
    );

    let mut first: Option<ReadBack> = None;
    for reader in READERS {
        let back = Driver::of(reader).read(broker, &topic, &partitions(PARTITIONS), "earliest", 0);
        match &first {
            None => {
                produced.assert_is(&back);
                first = Some(back);
            }
            Some(first) => first.assert_same(&back, reader),
        }
    }
    let first = first.unwrap();
    for reader in READERS {
        seeks(broker, &topic, reader, &first);
    }
    segments::assert_written(
        broker,
        &topic,
        PARTITIONS,
        codec,
        idempotent,
        RECORDS * broker::BROKERS,
    );
}

/// All of so many partitions, as drivers are told.
fn partitions(count: usize) -> String {
    (0..count)
        .map(|p| p.to_string())
        .collect::<Vec<_>>()
        .join(",")
}

/// In the fullest partition: from the middle by offset, from a third by time, and from after the end by time.
fn seeks(broker: &Broker, topic: &str, reader: &str, whole: &ReadBack) {
    let reader = Driver::of(reader);
    let partition = whole.fullest_partition();
    let place = partition.to_string();
    let log = whole.partition(partition);

    let middle = log.len() / 2;
    let back = reader.read(broker, topic, &place, &middle.to_string(), SEEK_RECORDS);
    back.assert_lines(
        &log[middle..(middle + SEEK_RECORDS).min(log.len())],
        "by offset",
    );

    let when = records::timestamp_of(log[log.len() / 3]);
    let start = log
        .iter()
        .position(|line| records::timestamp_of(line) >= when)
        .unwrap();
    let back = reader.read(broker, topic, &place, &format!("@{when}"), SEEK_RECORDS);
    back.assert_lines(
        &log[start..(start + SEEK_RECORDS).min(log.len())],
        "by time",
    );

    let last = log
        .iter()
        .map(|line| records::timestamp_of(line))
        .max()
        .unwrap();
    let back = reader.read(
        broker,
        topic,
        &place,
        &format!("@{}", last + 1),
        SEEK_RECORDS,
    );
    back.assert_lines(&[], "by a time after the last record");
}

/// Null and empty keys and values, null header values, repeated and non-ASCII header names, every byte value,
/// and a record of 900 KiB.
macro_rules! odd_records {
    ($($client:ident)*) => {
        mod odd_records {
            $(#[test]
            fn $client() {
                crate::odd_records(stringify!($client));
            })*
        }
    };
}

odd_records! { confluent kafka_python java franz }

fn odd_records(client: &str) {
    let broker = Broker::get();
    let topic = format!("{client}-odd");
    let produced = Produced::odd(client);
    let writer = Driver::of(client);
    writer.create(broker, &topic, PARTITIONS);
    writer.produce(broker, &topic, "none", true, &produced.write_file(&topic));
    for reader in READERS {
        let back = Driver::of(reader).read(broker, &topic, &partitions(PARTITIONS), "earliest", 0);
        // kcat prints headers as text, so a null value there cannot be told from the word NULL.
        match *reader {
            "kcat" => produced
                .without_headers()
                .assert_is(&back.without_headers()),
            _ => produced.assert_is(&back),
        }
    }
}
