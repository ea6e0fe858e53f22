//! What is produced and what must come back, as lines of text: comparing lines is comparing bytes, since keys,
//! values and headers stand in them as hexadecimal.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker;

/// Largest value in the odd records, bytes: below `max.message.bytes` with its batch around it.
const LARGE_VALUE: usize = 900 * 1024;
/// Different keys among the regular records.
const KEYS: usize = 500;

/// The records given to a client, in order: `timestamp key value headers`, tab-separated.
pub struct Produced {
    lines: Vec<String>,
    /// kcat stamps records itself, so their timestamps are not known before.
    timestamped: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn hex_or_null(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_string(), hex)
}

fn line(
    when: Option<u128>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> String {
    let when = when.map_or_else(|| "-".to_string(), |ms| ms.to_string());
    let pairs: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{}:{}", hex(name.as_bytes()), hex_or_null(*value)))
        .collect();
    format!(
        "{when}\t{}\t{}\t{}",
        hex_or_null(key),
        hex_or_null(value),
        pairs.join(",")
    )
}

/// An hour ago, so that no clock of a client is ahead of it.
fn first_timestamp_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
        - 3_600_000
}

impl Produced {
    /// Keyed records with three headers, two of them of one name. For kcat: text only, the same headers on
    /// all records, no timestamps of their own.
    pub fn regular(client: &str, count: usize) -> Self {
        let text_only = client == "kcat";
        let base = first_timestamp_ms();
        let lines = (0..count).map(|i| {
            let key = format!("key-{}", i * 7919 % KEYS);
            let mut value =
                format!("record {i:05} {}", "lorem ipsum ".repeat(1 + i % 12)).into_bytes();
            let mut number = "all".to_string();
            if !text_only {
                value.extend([0, 9, 10, 13, 127, 128, 255, (i % 256) as u8]);
                number = i.to_string();
            }
            let headers: [(&str, Option<&[u8]>); 3] = [
                ("trace", Some(b"a1")),
                ("trace", Some(b"b2")),
                ("number", Some(number.as_bytes())),
            ];
            let when = (!text_only).then_some(base + i as u128);
            line(when, Some(key.as_bytes()), Some(&value), &headers)
        });
        Self {
            lines: lines.collect(),
            timestamped: !text_only,
        }
    }

    /// Records no test thinks of. kafka-python itself refuses a null header value, and a null value without
    /// a key.
    pub fn odd(client: &str) -> Self {
        let nulls = client != "kafka_python";
        let base = first_timestamp_ms();
        let every_byte: Vec<u8> = (0..=255).collect();
        let large: Vec<u8> = (0..LARGE_VALUE).map(|i| (i * i / 7) as u8).collect();
        let number = |n: u8| [b'#', n];
        let mut lines = vec![
            line(Some(base), None, Some(b"no key"), &[]),
            line(Some(base + 1), Some(b"tombstone"), None, &[]),
            line(Some(base + 2), Some(b""), Some(b"empty key"), &[]),
            line(Some(base + 3), Some(b"empty value"), Some(b""), &[]),
            line(
                Some(base + 4),
                Some(&every_byte),
                Some(&every_byte),
                &[("every", Some(b"byte"))],
            ),
            line(
                Some(base + 6),
                Some(b"twice"),
                Some(&number(6)),
                &[
                    ("größe", Some("ä".as_bytes())),
                    ("größe", Some(b"")),
                    ("größe", Some(b"2")),
                ],
            ),
            line(
                Some(base + 7),
                Some(b"large"),
                Some(&large),
                &[("size", Some(b"900 KiB"))],
            ),
        ];
        if nulls {
            let headers: [(&str, Option<&[u8]>); 2] = [("null", None), ("", Some(b"x"))];
            lines.push(line(
                Some(base + 8),
                Some(b"null header"),
                Some(&number(5)),
                &headers,
            ));
            lines.push(line(Some(base + 9), None, None, &[]));
        }
        Self {
            lines,
            timestamped: true,
        }
    }

    pub fn without_headers(&self) -> Self {
        let lines = self.lines.iter().map(|line| cut_headers(line)).collect();
        Self {
            lines,
            timestamped: self.timestamped,
        }
    }

    pub fn write_file(&self, topic: &str) -> PathBuf {
        let path = broker::scratch().join(format!("{topic}.records"));
        fs::write(&path, self.lines.join("\n") + "\n").unwrap();
        path
    }

    /// `back` holds exactly these records; in each partition offsets have no gap, the order is the order of
    /// producing, and a key is in one partition only.
    pub fn assert_is(&self, back: &ReadBack) {
        let order: HashMap<String, usize> = self
            .lines
            .iter()
            .enumerate()
            .map(|(i, line)| (self.comparable(line), i))
            .collect();
        assert_eq!(order.len(), self.lines.len(), "the records must differ");
        let mut partition_of_key: HashMap<&str, usize> = HashMap::new();
        let mut count = 0;
        for (partition, log) in &back.partitions {
            let mut previous = None;
            for (offset, line) in log.iter().enumerate() {
                let (place, rest) = split_place(line);
                assert_eq!(
                    place,
                    format!("{partition}\t{offset}"),
                    "offsets have a gap: {}",
                    short(line)
                );
                let Some(at) = order.get(&self.comparable(rest)) else {
                    panic!("{}: nobody produced {}", back.reader, short(line));
                };
                assert!(
                    previous < Some(*at),
                    "{}: out of order: {}",
                    back.reader,
                    short(line)
                );
                previous = Some(*at);
                count += 1;
                let key = rest.split('\t').nth(1).unwrap();
                if key != "-" {
                    let seen = *partition_of_key.entry(key).or_insert(*partition);
                    assert_eq!(seen, *partition, "the key {key} is in two partitions");
                }
            }
        }
        assert_eq!(
            count,
            self.lines.len(),
            "{}: records read back",
            back.reader
        );
    }

    fn comparable(&self, line: &str) -> String {
        if self.timestamped {
            line.to_string()
        } else {
            line.split_once('\t').unwrap().1.to_string()
        }
    }
}

/// What a client read: `partition offset timestamp key value headers` per line, by partition.
pub struct ReadBack {
    pub reader: String,
    pub partitions: BTreeMap<usize, Vec<String>>,
}

impl ReadBack {
    pub fn parse(reader: &str, text: &str) -> Self {
        let mut partitions: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let partition = line
                .split('\t')
                .next()
                .unwrap()
                .parse()
                .expect("a partition number");
            partitions
                .entry(partition)
                .or_default()
                .push(line.to_string());
        }
        Self {
            reader: reader.to_string(),
            partitions,
        }
    }

    pub fn without_headers(&self) -> Self {
        let cut = |log: &Vec<String>| log.iter().map(|line| cut_headers(line)).collect();
        let partitions = self
            .partitions
            .iter()
            .map(|(p, log)| (*p, cut(log)))
            .collect();
        Self {
            reader: self.reader.clone(),
            partitions,
        }
    }

    pub fn fullest_partition(&self) -> usize {
        *self
            .partitions
            .iter()
            .max_by_key(|(_, log)| log.len())
            .unwrap()
            .0
    }

    pub fn partition(&self, partition: usize) -> Vec<&str> {
        self.partitions[&partition]
            .iter()
            .map(String::as_str)
            .collect()
    }

    pub fn assert_same(&self, other: &ReadBack, reader: &str) {
        for (partition, log) in &self.partitions {
            let other_log = other
                .partitions
                .get(partition)
                .map_or(&[][..], Vec::as_slice);
            let log: Vec<&str> = log.iter().map(String::as_str).collect();
            assert_logs(
                &log,
                other_log,
                &format!("{reader} against {}, partition {partition}", self.reader),
            );
        }
        assert_eq!(self.partitions.len(), other.partitions.len());
    }

    pub fn assert_lines(&self, expected: &[&str], how: &str) {
        let lines: Vec<String> = self.partitions.values().flatten().cloned().collect();
        assert_logs(expected, &lines, &format!("{} seeking {how}", self.reader));
    }
}

fn assert_logs(expected: &[&str], found: &[String], what: &str) {
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert!(
            expected == found,
            "{what}, record {at}:\n expected {}\n found    {}",
            short(expected),
            short(found)
        );
    }
    assert_eq!(expected.len(), found.len(), "{what}: number of records");
}

fn cut_headers(line: &str) -> String {
    line.rsplit_once('\t').unwrap().0.to_string() + "\t"
}

fn split_place(line: &str) -> (&str, &str) {
    let second_tab = line.match_indices('\t').nth(1).unwrap().0;
    (&line[..second_tab], &line[second_tab + 1..])
}

/// The timestamp of a line that was read back.
pub fn timestamp_of(line: &str) -> i64 {
    line.split('\t')
        .nth(2)
        .unwrap()
        .parse()
        .expect("a timestamp")
}

fn short(line: &str) -> String {
    line.chars().take(200).collect()
}
