//! A log against the simplest thing that could be one: a vector of batches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::support::*;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::storage::{BrokerDir, Log, LogConfig, MemoryDisk, TailBudget};
use crate::wire::records::BatchHeader;

#[derive(Debug, Clone)]
enum Step {
    Append {
        records: usize,
        bytes: usize,
        ms: i64,
    },
    NewEpoch,
    Read {
        from: u8,
        max_bytes: usize,
    },
    Find {
        ms: i64,
    },
    Truncate {
        to: u8,
    },
    SetLogStart {
        to: u8,
    },
    Retain {
        bytes: i64,
    },
    Sync,
    Restart {
        clean: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5usize, 0..200usize, 0..5000i64)
            .prop_map(|(records, bytes, ms)| Step::Append { records, bytes, ms }),
        1 => Just(Step::NewEpoch),
        4 => (any::<u8>(), 0..2000usize)
            .prop_map(|(from, max_bytes)| Step::Read { from, max_bytes }),
        2 => (0..5000i64).prop_map(|ms| Step::Find { ms }),
        1 => any::<u8>().prop_map(|to| Step::Truncate { to }),
        1 => any::<u8>().prop_map(|to| Step::SetLogStart { to }),
        1 => (0..3000i64).prop_map(|bytes| Step::Retain { bytes }),
        1 => Just(Step::Sync),
        2 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ]
}

/// The batches there are, and each record's timestamp.
#[derive(Default)]
struct Model {
    batches: Vec<(Offset, Offset, Bytes)>,
    timestamps: BTreeMap<i64, i64>,
    start: Offset,
    end: Offset,
}

struct Pair {
    disk: MemoryDisk,
    home: BrokerDir,
    log: Log,
    model: Model,
    epoch: LeaderEpoch,
    config: Arc<LogConfig>,
}

impl Pair {
    fn new(tail_bytes: usize) -> Pair {
        let mut disk = MemoryDisk::new();
        let config = Arc::new(LogConfig {
            tail_bytes,
            tail_budget: TailBudget::new(10_000),
            ..small()
        });
        let (home, mut last) = BrokerDir::open(&mut disk, Path::new("/klar"), BrokerId(1)).unwrap();
        let opening = last.opening("t-0");
        let (log, _) = Log::open(&mut disk, &dir(), config.clone(), NOW, opening).unwrap();
        Pair {
            disk,
            home,
            log,
            model: Model::default(),
            epoch: LeaderEpoch(0),
            config,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { records, bytes, ms } => self.append(*records, *bytes, *ms),
            Step::NewEpoch => self.epoch.0 += 1,
            Step::Read { from, max_bytes } => self.read(self.scaled(*from), *max_bytes),
            Step::Find { ms } => self.find(*ms),
            Step::Truncate { to } => self.truncate(self.scaled(*to)),
            Step::SetLogStart { to } => {
                let to = self.scaled(*to);
                self.log.set_log_start(&mut self.disk, to).unwrap();
                self.model.start = self.model.start.max(to);
            }
            Step::Retain { bytes } => self.retain(*bytes),
            Step::Sync => self.log.sync_now(&mut self.disk).unwrap(),
            Step::Restart { clean } => self.restart(*clean),
        }
        self.log.check();
        assert_eq!(self.log.log_end(), self.model.end);
        assert_eq!(self.log.log_start(), self.model.start);
        let segments = self.log.segment_states().map(|s| s.bytes).sum::<u64>();
        assert_eq!(segments, self.log.bytes());
    }

    /// An offset in the log, the end included.
    fn scaled(&self, place: u8) -> Offset {
        let span = self.model.end - self.model.start + 1;
        self.model.start + span * i64::from(place) / 256
    }

    fn append(&mut self, records: usize, bytes: usize, ms: i64) {
        let sent = batch(records, &vec![7; bytes], ms);
        let appended = self
            .log
            .append(&mut self.disk, NOW, sent.clone(), self.epoch)
            .unwrap();
        let mut stored = sent.to_vec();
        crate::wire::records::set_base(&mut stored, self.model.end, self.epoch);
        assert_eq!(appended.base, self.model.end);
        for n in 0..records as i64 {
            self.model.timestamps.insert(appended.base.0 + n, ms + n);
        }
        let end = appended.last + 1;
        self.model.batches.push((appended.base, end, stored.into()));
        self.model.end = end;
    }

    fn read(&mut self, from: Offset, max_bytes: usize) {
        let end = self.model.end;
        let found = self
            .log
            .read(&mut self.disk, from, end, max_bytes, true)
            .unwrap()
            .concat();
        let due = self
            .model
            .batches
            .iter()
            .skip_while(|(_, end, _)| *end <= from);
        let due: Vec<u8> = due.flat_map(|(_, _, bytes)| bytes.to_vec()).collect();
        assert_eq!(found[..], due[..found.len()]);
        assert_eq!(found.is_empty(), due.is_empty());
        let first = BatchHeader::parse(&due).map_or(0, |header| header.total_bytes());
        assert!(found.len() <= max_bytes.max(first));
    }

    fn find(&mut self, ms: i64) {
        let found = self
            .log
            .offset_for_time(&mut self.disk, ms, self.model.end, &mut Default::default())
            .unwrap();
        let readable = self.model.timestamps.range(self.model.start.0..);
        let due = readable
            .into_iter()
            .find(|(_, timestamp)| **timestamp >= ms);
        let found = found.map(|found| (found.offset.0, found.timestamp_ms));
        assert_eq!(found, due.map(|(offset, timestamp)| (*offset, *timestamp)));
    }

    fn truncate(&mut self, to: Offset) {
        self.log.truncate_to(&mut self.disk, NOW, to).unwrap();
        if to >= self.model.end {
            return;
        }
        self.model.batches.retain(|(_, end, _)| *end <= to);
        let kept = self.model.batches.last().map(|(_, end, _)| *end);
        // Batches in front of the log start may be gone from the model's view, but not from the log.
        self.model.end = kept.unwrap_or(self.log.log_end()).max(self.log.log_end());
        self.model.start = self.model.start.min(self.model.end);
        self.model.timestamps.split_off(&self.model.end.0);
    }

    fn retain(&mut self, bytes: i64) {
        let config = LogConfig {
            retention_bytes: bytes,
            ..(*self.config).clone()
        };
        self.log.set_config(Arc::new(config));
        let end = self.log.log_end();
        let before = self.log.log_start();
        self.log
            .apply_retention(&mut self.disk, Time(0), end)
            .unwrap();
        assert!(self.log.log_start() >= before);
        self.log.set_config(self.config.clone());
        self.model.start = self.log.log_start();
    }

    fn restart(&mut self, clean: bool) {
        let root = Path::new("/klar");
        let points = BTreeMap::from([("t-0".to_owned(), self.log.recovery_point())]);
        self.home
            .write_recovery_points(&mut self.disk, &points)
            .unwrap();
        if clean {
            let state = self.log.close_clean(&mut self.disk).unwrap();
            let states = BTreeMap::from([("t-0".to_owned(), state)]);
            self.home.write_clean_stop(&mut self.disk, &states).unwrap();
        }
        let epochs = self.log.epochs().clone();
        let (home, mut last) = BrokerDir::open(&mut self.disk, root, BrokerId(1)).unwrap();
        assert_eq!(last.clean, clean);
        let opening = last.opening("t-0");
        let config = self.config.clone();
        let (log, found) = Log::open(&mut self.disk, &dir(), config, NOW, opening).unwrap();
        assert_eq!((found.cut_bytes, found.damages.len()), (0, 0));
        assert_eq!(found.clean, clean);
        for offset in self.model.start.0..self.model.end.0 {
            assert_eq!(log.epochs().at(Offset(offset)), epochs.at(Offset(offset)));
        }
        if self.model.start < self.model.end {
            assert_eq!(log.epochs().latest(), epochs.latest());
        }
        self.home = home;
        self.log = log;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_behaves_as_a_vector_of_batches(
        steps in prop::collection::vec(step(), 1..60),
        tail in prop_oneof![Just(0usize), Just(700), Just(100_000)],
    ) {
        let mut pair = Pair::new(tail);
        for step in &steps {
            pair.step(step);
        }
        pair.read(pair.model.start, usize::MAX >> 1);
    }
}
