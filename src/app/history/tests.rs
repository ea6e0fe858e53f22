use super::*;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::inspect::{Durability, PartitionSnapshot};

fn picture(records: u64) -> Arc<ClusterSnapshot> {
    let partition = PartitionSnapshot {
        index: PartitionIndex(0),
        leader: None,
        leader_epoch: LeaderEpoch(0),
        replicas: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        partition_epoch: 0,
        recovering: false,
        log_start: Offset(0),
        high_watermark: Offset(0),
        last_stable: Offset(0),
        log_end: Offset(0),
        bytes: 0,
        records_in: records,
        bytes_in: records * 100,
        bytes_out: 0,
        max_timestamp_ms: -1,
        segments: Vec::new(),
        epochs: Vec::new(),
        producers: 0,
        trouble: None,
    };
    let topic = TopicSnapshot {
        name: "orders".into(),
        id: TopicId([1; 16]),
        internal: false,
        replication_factor: 1,
        configs: Default::default(),
        partitions: vec![partition],
    };
    Arc::new(ClusterSnapshot {
        event_number: 0,
        time: Time(0),
        cluster_id: String::new(),
        bootstrap: String::new(),
        data_dir: None,
        durability: Durability::Os,
        listens_beyond_loopback: false,
        controller: None,
        quorum: None,
        links: Vec::new(),
        pace: crate::inspect::PaceSnapshot::default(),
        brokers: Vec::new(),
        topics: vec![Arc::new(topic)],
        totals: Totals {
            records_in: records,
            ..Totals::default()
        },
        connections: Vec::new(),
        in_flight: Vec::new(),
        events: Vec::new(),
        outcomes: Vec::new(),
        lanes: Vec::new(),
        record: None,
        segment: None,
        browse: None,
        producers: Vec::new(),
        deleting: Vec::new(),
    })
}

#[test]
fn rates_are_differences_over_about_a_second_and_fall_to_zero() {
    let mut history = History::default();
    for quarter in 0..12 {
        history.see(Time(quarter * 250_000), &picture(quarter as u64 * 25));
    }
    let now = Time(11 * 250_000);
    let newest = picture(11 * 25);
    assert_eq!(history.rates(now, &newest).records_in, 100.0);
    assert_eq!(
        history.topic_rate(now, &newest.topics[0]),
        (100.0, 10_000.0)
    );
    assert!(history.is_settling(now, &newest));
    // Nothing new comes for two seconds.
    for quarter in 12..20 {
        history.see(Time(quarter * 250_000), &newest);
    }
    assert_eq!(history.rates(Time(19 * 250_000), &newest), Rates::default());
    assert!(!history.is_settling(Time(19 * 250_000), &newest));
}

#[test]
fn a_first_picture_has_no_rate() {
    let mut history = History::default();
    let first = picture(1_000);
    history.see(Time(5), &first);
    assert_eq!(history.rates(Time(5), &first), Rates::default());
    assert_eq!(history.topic_rate(Time(5), &first.topics[0]), (0.0, 0.0));
}

#[test]
fn the_curve_is_bounded_and_flat_over_a_pause() {
    let mut history = History::default();
    history.see(Time(0), &picture(0));
    history.see(Time(500_000), &picture(50));
    assert_eq!(
        history.points().last().map(|p| p.records_in_per_s),
        Some(100.0)
    );
    history.see(Time(60_000_000), &picture(50));
    assert!(
        history
            .points()
            .rev()
            .take(2)
            .all(|p| p.records_in_per_s == 0.0)
    );
    for n in 0..POINTS_KEPT as i64 + 10 {
        history.see(Time(61_000_000 + n * 500_000), &picture(50));
    }
    assert_eq!(history.points().len(), POINTS_KEPT);
}
