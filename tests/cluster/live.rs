//! The embedded cluster as the window sees it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use klar::cluster::{Cluster, ClusterConfig, ClusterEnd};
use klar::ids::{Offset, PartitionIndex};
use klar::inspect::{
    Browse, BrowseFrom, BrowseQuery, BrowseState, ClusterSnapshot, Command, Done, Durability,
    Failure, Focus, LaneFocus, PartitionBy, ProduceOne, ProducerPlan, ProducerSettings,
};
use klar::source::Source as _;
use klar::source::live::LiveSource;

use crate::program::eventually;

pub struct Live {
    pub cluster: Cluster,
    pub source: LiveSource,
}

impl Live {
    pub fn start() -> Live {
        Live::on(None, Durability::Memory)
    }

    pub fn on(data_dir: Option<PathBuf>, durability: Durability) -> Live {
        let cluster = Cluster::start(ClusterConfig {
            data_dir,
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            brokers: Some(1),
            durability,
            settings: Vec::new(),
            stay_after_crash: false,
        })
        .unwrap();
        let source = LiveSource::new(cluster.link.clone());
        Live { cluster, source }
    }

    pub fn run(&self, command: Command) -> Result<Done, Failure> {
        let id = self.source.send(command).unwrap();
        eventually("an outcome", || {
            let snapshot = self.source.latest();
            let outcome = snapshot.outcomes.iter().find(|outcome| outcome.id == id);
            outcome.map(|outcome| outcome.result.clone())
        })
    }

    pub fn create(&self, name: &str, partitions: i32) {
        let command = Command::CreateTopic {
            name: name.into(),
            partitions,
            replication_factor: 1,
            configs: Vec::new(),
        };
        self.run(command).unwrap();
    }

    pub fn produce(&self, topic: &str, key: &str, value: &str) {
        let one = ProduceOne {
            topic: topic.into(),
            key: Some(key.into()),
            value: Some(value.into()),
            ..ProduceOne::default()
        };
        let done = self.run(Command::Produce(one)).unwrap();
        assert_eq!(done.produced.unwrap().0, topic);
    }

    pub fn until(
        &self,
        what: &str,
        test: impl Fn(&ClusterSnapshot) -> bool,
    ) -> Arc<ClusterSnapshot> {
        eventually(what, || {
            let snapshot = self.source.latest();
            test(&snapshot).then_some(snapshot)
        })
    }

    fn browse(&self, from: BrowseFrom, filter: &str, limit: usize) {
        let query = BrowseQuery {
            topic: "t".into(),
            partition: None,
            from,
            filter: filter.into(),
            in_key: true,
            in_value: true,
            in_headers: true,
            limit,
        };
        self.run(Command::Browse(query)).unwrap();
    }

    /// The browse once it is in this state.
    fn browsed(&self, state: &BrowseState) -> Arc<Browse> {
        let snapshot = self.until("the browse gets there", |snapshot| {
            snapshot.browse.as_ref().is_some_and(|b| b.state == *state)
        });
        snapshot.browse.clone().unwrap()
    }

    pub fn stop(self) {
        self.cluster.link.stop("the test is over");
        assert_eq!(self.cluster.wait(), ClusterEnd::Stopped);
    }
}

fn values(browse: &Browse) -> Vec<String> {
    let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap()).unwrap();
    browse.rows.iter().map(|row| text(&row.value)).collect()
}

#[test]
fn pictures_come_when_something_changes_and_wake_who_looks() {
    let live = Live::start();
    let woken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&woken);
    live.source.on_news(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    live.create("t", 2);
    let snapshot = live.until("the topic", |s| s.topics.iter().any(|t| t.name == "t"));
    assert_eq!(snapshot.brokers.len(), 1);
    assert_eq!(snapshot.bootstrap, live.cluster.facts.bootstrap);
    assert!(
        snapshot.connections.iter().all(|c| c.own),
        "only klar's own"
    );
    assert!(woken.load(Ordering::Relaxed) > 0);
    // Nothing changes any more: after a few looks, pictures stay the same allocation.
    std::thread::sleep(std::time::Duration::from_millis(200));
    live.source.latest();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let still = live.source.latest();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(Arc::ptr_eq(&still, &live.source.latest()));
    live.stop();
}

#[test]
fn lanes_show_the_records_of_the_focus() {
    let live = Live::start();
    live.create("t", 1);
    live.source.set_focus(Focus {
        lanes: vec![LaneFocus {
            topic: "t".into(),
            ranges: vec![(PartitionIndex(0), Offset(0), 100)],
        }],
        ..Focus::default()
    });
    live.produce("t", "a key", "a value");
    let snapshot = live.until("its cell", |s| {
        s.lanes.first().is_some_and(|lane| lane.cells.len() == 1)
    });
    assert_eq!(snapshot.lanes[0].cells[0].bytes, 12);
    live.stop();
}

#[test]
fn records_are_browsed_from_both_ends_in_parts_and_by_filter() {
    let live = Live::start();
    live.create("t", 3);
    for n in 0..30 {
        let word = if n % 10 == 0 { "Needle" } else { "hay" };
        live.produce("t", &format!("k{n}"), &format!("{word} {n:02}"));
    }
    live.browse(BrowseFrom::Earliest, "", 20);
    let part = live.browsed(&BrowseState::LimitReached);
    assert_eq!((part.rows.len(), part.scanned, part.of), (20, 20, 30));
    live.run(Command::BrowseMore).unwrap();
    let all = live.browsed(&BrowseState::Complete);
    assert_eq!((all.rows.len(), all.scanned, all.of), (30, 30, 30));
    let mut seen = values(&all);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 30);

    live.browse(BrowseFrom::Newest, "", 5);
    let newest = live.browsed(&BrowseState::LimitReached);
    assert_eq!(newest.rows.len(), 5);
    let times: Vec<i64> = newest.rows.iter().map(|row| row.timestamp_ms).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    assert!(values(&newest)[0].ends_with("29"), "{:?}", values(&newest));

    live.browse(BrowseFrom::Newest, "nEEdle", 100);
    let found = live.browsed(&BrowseState::Complete);
    assert_eq!(values(&found), ["Needle 20", "Needle 10", "Needle 00"]);
    assert_eq!((found.scanned, found.of), (30, 30));
    live.stop();
}

#[test]
fn a_live_tail_shows_what_comes_and_catches_up_after_a_pause() {
    let live = Live::start();
    live.create("t", 1);
    live.produce("t", "k", "before");
    live.browse(BrowseFrom::LiveTail, "", 100);
    live.until("the tail begins", |s| {
        s.connections
            .iter()
            .any(|c| c.last_api.starts_with("Fetch"))
    });
    live.produce("t", "k", "one");
    let tail = |rows: usize| {
        live.until("rows", |s| {
            s.browse.as_ref().is_some_and(|b| b.rows.len() == rows)
        })
    };
    assert_eq!(values(tail(1).browse.as_ref().unwrap()), ["one"]);
    live.run(Command::PauseBrowse).unwrap();
    live.produce("t", "k", "two");
    let paused = live.browsed(&BrowseState::Paused);
    assert_eq!(values(&paused), ["one"]);
    live.run(Command::BrowseMore).unwrap();
    assert_eq!(values(tail(2).browse.as_ref().unwrap()), ["two", "one"]);
    live.run(Command::StopBrowse).unwrap();
    live.until("it is gone", |s| s.browse.is_none());
    live.stop();
}

#[test]
fn browsing_nothing_and_nowhere_ends_honestly() {
    let live = Live::start();
    live.create("t", 2);
    live.browse(BrowseFrom::Newest, "", 10);
    let empty = live.browsed(&BrowseState::Complete);
    assert_eq!((empty.scanned, empty.of), (0, 0));
    let query = BrowseQuery {
        topic: "no-such".into(),
        limit: 10,
        ..BrowseQuery::default()
    };
    live.run(Command::Browse(query)).unwrap();
    let snapshot = live.until("it fails", |s| {
        let state = s.browse.as_ref().map(|b| &b.state);
        matches!(state, Some(BrowseState::Failed(_)))
    });
    let Some(BrowseState::Failed(failure)) = snapshot.browse.as_ref().map(|b| b.state.clone())
    else {
        unreachable!("just seen");
    };
    assert_eq!(failure.name, "UNKNOWN_TOPIC_OR_PARTITION (3)");
    live.stop();
}

#[test]
fn a_record_for_a_topic_that_is_not_there_makes_it() {
    let live = Live::start();
    live.produce("nowhere", "k", "v");
    let snapshot = live.until("it is there", |s| !s.topics.is_empty());
    assert_eq!(snapshot.topics[0].name, "nowhere");
    let plan = ProducerPlan {
        name: "p".into(),
        topic: "elsewhere".into(),
        key: None,
        value: None,
        headers: Vec::new(),
        settings: ProducerSettings::default(),
        rate: 10.0,
        count: Some(1),
    };
    let started = live.run(Command::StartProducer(plan)).unwrap();
    let snapshot = live.until("a plan makes no topic", |s| {
        s.producers
            .iter()
            .any(|p| Some(p.id) == started.producer && p.failed > 0)
    });
    assert_eq!(snapshot.topics.len(), 1);
    live.stop();
}

#[test]
fn newest_first_holds_between_a_busy_and_a_quiet_partition() {
    let live = Live::start();
    live.create("t", 2);
    let send = |partition: i32, timestamp_ms: i64| {
        let one = ProduceOne {
            topic: "t".into(),
            value: Some(b"v".to_vec()),
            timestamp_ms: Some(timestamp_ms),
            settings: ProducerSettings {
                partition: PartitionBy::Fixed(PartitionIndex(partition)),
                ..ProducerSettings::default()
            },
            ..ProduceOne::default()
        };
        live.run(Command::Produce(one)).unwrap();
    };
    // Old records in one partition, more fresh ones in the other than a search looks at in one go.
    let now_ms = live.source.latest().time.as_ms();
    for n in 0..5 {
        send(1, now_ms - 3_600_000 + n);
    }
    for n in 0..150 {
        send(0, now_ms + n);
    }
    live.browse(BrowseFrom::Newest, "", 1_000);
    let all = live.browsed(&BrowseState::Complete);
    let times: Vec<i64> = all.rows.iter().map(|row| row.timestamp_ms).collect();
    assert_eq!(times.len(), 155);
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    live.stop();
}
