//! V2: a window that stalls costs the brokers nothing.
//!
//! While nobody looks, brokers acknowledge, events come and go and not one picture is made; the one that is made when
//! somebody looks again has everything, so there is no backlog to work off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use klar::ids::BrokerId;
use klar::inspect::*;
use klar::source::Source as _;

use crate::numbers::{TOPIC, Watched, all_in_sync, partitions, producer, topic};

/// Records acknowledged one by one during the stall.
const ACKED: i64 = 300;
/// Changes of a link during the stall, each an event or more.
const CHANGES: u32 = EVENTS_KEPT as u32 + 200;
/// The longest a picture may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One record to a topic nobody else writes to; it ends once all replicas have it.
fn record(number: i64) -> Command {
    Command::Produce(ProduceOne {
        topic: "payments".into(),
        value: Some(number.to_string().into_bytes()),
        settings: ProducerSettings {
            partition: PartitionBy::Fixed(klar::ids::PartitionIndex(0)),
            ..ProducerSettings::default()
        },
        ..ProduceOne::default()
    })
}

fn slowed(delay_ms: u32) -> Command {
    Command::SlowLink {
        a: BrokerId(1),
        b: BrokerId(2),
        delay_ms,
    }
}

fn quiet_topic(picture: &ClusterSnapshot) -> &PartitionSnapshot {
    let mut topics = picture.topics.iter();
    let topic = topics.find(|topic| topic.name == "payments").unwrap();
    &topic.partitions[0]
}

#[test]
fn a_window_that_stalls_is_shown_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut watched = Watched::open(dir.path());
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    watched.source.on_news(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    watched.run(topic(TOPIC, 3, 3));
    watched.run(topic("payments", 2, 3));
    watched.until("the topics", all_in_sync);
    watched.send(producer("orders-gen", TOPIC, 600.0));
    watched.until("a producer", |p| !p.producers.is_empty());
    let writers: Vec<u64> = watched.look().producers.iter().map(|one| one.id).collect();

    // The window stands still from here on. Each of these waits for its end, which is all that passes the time.
    let made_before = made.load(Ordering::Relaxed);
    for number in 0..ACKED {
        watched.run(record(number));
    }
    for id in writers {
        watched.run(Command::StopProducer { id });
    }
    // By the end of these its last records have arrived everywhere.
    for number in 0..CHANGES {
        watched.run(slowed(number % 2));
    }
    watched.run(slowed(0));
    let made_meanwhile = made.load(Ordering::Relaxed) - made_before;
    // One was under way when the window looked last.
    assert!(made_meanwhile <= 1, "{made_meanwhile} pictures for nobody");

    // It goes on: whatever it reads now, it asks for the next.
    watched.source.latest();
    let begun = Instant::now();
    while made.load(Ordering::Relaxed) == made_before + made_meanwhile {
        assert!(begun.elapsed() < PATIENCE, "no picture came");
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = watched.source.latest();
    let told = watched.asked();
    holds_everything(&first, &told);
    stays_within_limits(&first);
    // And that is what the window says.
    let drawn = watched.look();
    assert_eq!(told.number("event_number") as u64, first.event_number);
    assert_eq!(drawn.event_number, first.event_number);
    watched.close();
}

/// The first picture after the stall has what every broker had then, and not what one of them had before.
fn holds_everything(first: &ClusterSnapshot, told: &crate::numbers::told::Told) {
    let quiet = quiet_topic(first);
    for replica in &quiet.replicas {
        let broker = replica.broker;
        assert_eq!(replica.log_end.0, ACKED, "as broker {broker} told it");
    }
    for partition in partitions(first) {
        let lacks = partition
            .replicas
            .iter()
            .map(|r| partition.log_end - r.log_end);
        assert!(lacks.max() == Some(0), "{partition:#?}");
    }
    let acked = first.producers[0].acked;
    assert!(acked > 0);
    assert_eq!(told.0["producers"][0]["acked"], acked);
    assert_eq!(told.0["totals"]["records_in"], first.totals.records_in);
}

/// However much happened, a picture carries as much as it ever may.
fn stays_within_limits(first: &ClusterSnapshot) {
    assert!(first.event_number > u64::from(CHANGES));
    assert_eq!(first.events.len(), EVENTS_KEPT);
    assert_eq!(first.outcomes.len(), OUTCOMES_KEPT);
    let newest = first.events.last().map(|event| event.number);
    assert_eq!(newest, Some(first.event_number), "the newest are kept");
    assert!(first.in_flight.len() <= IN_FLIGHT_SHOWN * first.brokers.len());
}

/// Rounds of each measure; medians are printed.
const ROUNDS: usize = 5;
/// How long acknowledgements are counted.
const COUNTED: Duration = Duration::from_secs(4);

/// What the window does while brokers work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// There is none.
    Never,
    /// It drew one frame and stands still since.
    Stalled,
    /// It draws each picture that comes.
    Always,
}

/// Records acknowledged a second by a cluster of three whose producer writes as fast as it can.
fn acked_per_s(looks: Looks) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let mut watched = Watched::open(dir.path());
    watched.run(topic(TOPIC, 3, 3));
    watched.run(producer("load", TOPIC, MAX_PRODUCER_RATE));
    let acked = |watched: &Watched| {
        let told = watched.asked();
        let acked = told.0["producers"][0]["acked"].as_u64().unwrap();
        (Instant::now(), acked)
    };
    while acked(&watched).1 < 10_000 {
        std::thread::sleep(Duration::from_millis(20));
    }
    if looks == Looks::Stalled {
        watched.draw();
    }
    let (begun, before) = acked(&watched);
    while begun.elapsed() < COUNTED {
        if looks == Looks::Always {
            watched.draw();
        }
        // A screen's next frame.
        std::thread::sleep(Duration::from_millis(33));
    }
    let (ended, after) = acked(&watched);
    watched.close();
    (after - before) as f64 / (ended - begun).as_secs_f64()
}

#[test]
#[ignore = "prints figures, which are not tests: make frames runs it optimised"]
fn frame_cost_to_the_brokers() {
    let all = [Looks::Never, Looks::Stalled, Looks::Always];
    let mut taken = [(); 3].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (rates, looks) in taken.iter_mut().zip(all) {
            rates.push(acked_per_s(looks));
        }
    }
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let [never, stalled, always] = taken.map(median);
    println!(
        "acks=all through three brokers: no window {never:.0}/s, one that stalls {stalled:.0}/s (ratio {:.2}), \
         one that draws {always:.0}/s (ratio {:.2})",
        stalled / never,
        always / never
    );
}
