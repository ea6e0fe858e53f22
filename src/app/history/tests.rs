use super::*;
use crate::ids::TopicId;
use crate::inspect::PartitionSnapshot;

fn picture(records: u64) -> Arc<ClusterSnapshot> {
    let partition = PartitionSnapshot {
        records_in: records,
        bytes_in: records * 100,
        ..PartitionSnapshot::default()
    };
    let topic = TopicSnapshot {
        name: "orders".into(),
        id: TopicId([1; 16]),
        partitions: vec![partition],
        ..TopicSnapshot::default()
    };
    Arc::new(ClusterSnapshot {
        topics: vec![Arc::new(topic)],
        totals: Totals {
            records_in: records,
            ..Totals::default()
        },
        ..ClusterSnapshot::default()
    })
}

/// Real time.
fn see(history: &mut History, at: Time, picture: &Arc<ClusterSnapshot>) {
    history.see(at, at, picture);
}

#[test]
fn rates_are_differences_over_about_a_second_and_fall_to_zero() {
    let mut history = History::default();
    for quarter in 0..12 {
        see(
            &mut history,
            Time(quarter * 250_000),
            &picture(quarter as u64 * 25),
        );
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
        see(&mut history, Time(quarter * 250_000), &newest);
    }
    assert_eq!(history.rates(Time(19 * 250_000), &newest), Rates::default());
    assert!(!history.is_settling(Time(19 * 250_000), &newest));
}

#[test]
fn a_first_picture_has_no_rate() {
    let mut history = History::default();
    let first = picture(1_000);
    see(&mut history, Time(5), &first);
    assert_eq!(history.rates(Time(5), &first), Rates::default());
    assert_eq!(history.topic_rate(Time(5), &first.topics[0]), (0.0, 0.0));
}

#[test]
fn the_curve_is_bounded_and_flat_over_a_pause() {
    let mut history = History::default();
    see(&mut history, Time(0), &picture(0));
    see(&mut history, Time(500_000), &picture(50));
    assert_eq!(
        history.points().last().map(|p| p.records_in_per_s),
        Some(100.0)
    );
    see(&mut history, Time(60_000_000), &picture(50));
    assert!(
        history
            .points()
            .rev()
            .take(2)
            .all(|p| p.records_in_per_s == 0.0)
    );
    for n in 0..POINTS_KEPT as i64 + 10 {
        see(&mut history, Time(61_000_000 + n * 500_000), &picture(50));
    }
    assert_eq!(history.points().len(), POINTS_KEPT);
}
