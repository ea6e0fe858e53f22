//! The story in one take, on a real cluster: a broker is killed from the window, its follower leads, another one dies,
//! writes are refused and why is said, both come back and all is healed.
//!
//! Five brokers, because of three only one may die before nobody can decide anything any more. With `KLAR_PICTURES`
//! set, each act is written to `screenshots/` as the brokers told it; without, nothing is, since no two runs are alike.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use klar::app::App;
use klar::app::state::{Selection, ThemeChoice, ViewKey};
use klar::cluster::{Cluster, ClusterConfig, ClusterEnd};
use klar::ids::{BrokerId, PartitionIndex};
use klar::inspect::failover::{self, Failover};
use klar::inspect::*;
use klar::source::live::LiveSource;
use klar::source::{Abilities, Source};

use crate::rig::{SIZES, Window, save, window_on};

/// The longest any act may take; most take a second.
const PATIENCE: Duration = Duration::from_secs(90);
pub const TOPIC: &str = "orders";

/// One picture that never changes.
pub struct Still(pub Arc<ClusterSnapshot>);

impl Source for Still {
    fn latest(&self) -> Arc<ClusterSnapshot> {
        Arc::clone(&self.0)
    }

    fn set_focus(&self, _focus: Focus) {}

    fn send(&self, _command: Command) -> Option<CommandId> {
        None
    }

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    fn on_news(&self, _wake: Box<dyn Fn() + Send + Sync>) {}
}

/// A window on a running cluster.
pub struct Stage {
    cluster: Cluster,
    pub source: LiveSource,
    pub window: Window,
    /// What was seen so far, for the curves of the pictures.
    seen: Vec<Arc<ClusterSnapshot>>,
}

impl Stage {
    pub fn open(brokers: u32) -> Stage {
        let cluster = Cluster::start(ClusterConfig {
            data_dir: None,
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            brokers: Some(brokers),
            durability: Durability::Memory,
            settings: Vec::new(),
            stay_after_crash: false,
        })
        .unwrap();
        let source = LiveSource::new(cluster.link.clone());
        let app = App::new(Box::new(LiveSource::new(cluster.link.clone())), None);
        let window = window_on(app, SIZES[0], true);
        Stage {
            cluster,
            source,
            window,
            seen: Vec::new(),
        }
    }

    /// Steps the window until the picture is as it should be.
    pub fn until(&mut self, what: &str, test: impl Fn(&ClusterSnapshot) -> bool) {
        let begun = Instant::now();
        loop {
            self.window.step();
            self.seen.push(self.source.latest());
            if test(&self.source.latest()) {
                break;
            }
            let state = self.source.latest().topics.clone();
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not happen: {state:#?}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
        // What the picture says is in the frame after it.
        self.window.step();
        self.window.step();
    }

    /// Steps the window until it says something.
    pub fn until_said(&mut self, said: &str) {
        let begun = Instant::now();
        while self
            .window
            .query_all_by_label_contains(said)
            .next()
            .is_none()
        {
            assert!(begun.elapsed() < PATIENCE, "{said:?} was never said");
            std::thread::sleep(Duration::from_millis(30));
            self.window.step();
        }
    }

    pub fn click(&mut self, label: &str) {
        self.until_said(label);
        self.window.get_by_label(label).click();
        self.window.step();
        self.window.step();
    }

    /// Writes this act's pictures, if they are wanted.
    fn act(&self, name: &str, selection: &Selection) {
        if std::env::var_os("KLAR_PICTURES").is_none() {
            return;
        }
        let picture = self.source.latest();
        for dark in [true, false] {
            for size in SIZES {
                let mut app =
                    App::new(Box::new(Still(Arc::clone(&picture))), None).with_still_clock();
                for seen in &self.seen {
                    app.history_mut().see(seen.time, seen.time, seen);
                }
                let state = app.state_mut();
                state.go_to(ViewKey::Cluster);
                state.select(selection.clone());
                state.remembered.timeline_span_s = 60;
                state.remembered.theme = if dark {
                    ThemeChoice::Dark
                } else {
                    ThemeChoice::Light
                };
                let mut window = window_on(app, size, dark);
                window.run();
                save(&mut window, &format!("story-{name}"), dark, size);
            }
        }
    }

    pub fn send(&self, command: Command) {
        self.source.send(command).unwrap();
    }

    /// Ends the cluster as a whole.
    pub fn close(self) {
        self.cluster.link.stop("the test is over");
        assert_eq!(self.cluster.wait(), ClusterEnd::Stopped);
    }

    fn leader(&self) -> BrokerId {
        partition(&self.source.latest()).unwrap().leader.unwrap()
    }
}

/// The one partition of the story.
pub fn partition(picture: &ClusterSnapshot) -> Option<&PartitionSnapshot> {
    let topic = picture.topics.iter().find(|topic| topic.name == TOPIC)?;
    topic.partitions.first()
}

pub fn in_sync(picture: &ClusterSnapshot) -> usize {
    partition(picture).map_or(0, |p| p.isr.len())
}

pub fn orders_gen() -> ProducerPlan {
    ProducerPlan {
        name: "orders-gen".into(),
        topic: TOPIC.into(),
        key: Some("{pick bike-17|helmet-3|lamp-8|lock-2|bell-1}".into()),
        value: Some("{\"qty\": {int 1 9}}".into()),
        headers: Vec::new(),
        settings: ProducerSettings {
            acks: Acks::All,
            idempotence: true,
            ..ProducerSettings::default()
        },
        rate: 20.0,
        count: None,
    }
}

/// All five steps were recorded, in this order, and what governs them is told.
fn in_order(told: &Failover) {
    let steps = told.steps.iter().map(|step| step.stage);
    let steps: Vec<failover::Stage> = steps
        .filter(|stage| *stage != failover::Stage::ControllerElected)
        .collect();
    let expected = [
        failover::Stage::Began,
        failover::Stage::Detected,
        failover::Stage::Fenced,
        failover::Stage::Elected,
        failover::Stage::Acked,
    ];
    assert_eq!(steps, expected, "{told:#?}");
    assert!(
        told.steps.iter().all(|step| step.time.is_some()),
        "{told:#?}"
    );
    let fenced = told.step(failover::Stage::Fenced).unwrap();
    let governs = fenced.governs.as_ref().map(failover::Governs::words);
    assert_eq!(
        governs.as_deref(),
        Some("a third of broker.session.timeout.ms = 700")
    );
}

#[test]
fn kill_it_and_watch() {
    let mut stage = Stage::open(5);
    let orders = Selection::Partition(TOPIC.into(), PartitionIndex(0));
    stage.send(Command::CreateTopic {
        name: TOPIC.into(),
        partitions: 1,
        replication_factor: 3,
        configs: vec![("min.insync.replicas".into(), "2".into())],
    });
    stage.until("the topic", |picture| in_sync(picture) == 3);
    stage.send(Command::StartProducer(orders_gen()));
    stage.window.state_mut().state_mut().select(orders.clone());
    stage.until("some records", |p| {
        partition(p).is_some_and(|p| p.high_watermark.0 > 40)
    });
    let first = stage.leader();
    stage.until_said(&format!("orders-0 on broker {first}: leader"));
    stage.act("1-healthy", &orders);

    stage.click(&format!("Kill broker {first}"));
    stage.until("an election", |p| {
        let leader = partition(p).and_then(|p| p.leader);
        in_sync(p) == 2 && leader.is_some_and(|leader| leader != first)
    });
    let second = stage.leader();
    stage.until_said(&format!("orders-0 on broker {first}: offline"));
    stage.until_said(&format!("orders-0 on broker {second}: leader"));
    stage.until_said(&format!("Broker {first} killed"));
    stage.until_said(&format!("Broker {second} leads orders-0"));
    stage.act("2-killed", &orders);
    stage.until("the failover to be over", |p| {
        Failover::of(p, first).is_some_and(|one| {
            one.step(failover::Stage::Acked)
                .is_some_and(|s| s.time.is_some())
        })
    });
    in_order(&Failover::of(&stage.source.latest(), first).unwrap());
    stage.until_said(&format!("Broker {first} killed."));
    stage.until_said("first produce acked +");
    let acked = stage.source.latest().producers[0].acked;
    stage.until("writes to the new leader", |p| {
        p.producers[0].acked > acked + 20
    });
    stage.act("3-new-leader", &orders);

    stage.click(&format!("Kill broker {second}"));
    stage.until("the last replica alone", |p| in_sync(p) == 1);
    let third = stage.leader();
    stage.until_said(&format!(
        "NOT_ENOUGH_REPLICAS (19): acks=all needs 2 in-sync replicas, only broker {third} is."
    ));
    let errors = stage.source.latest().totals.errors;
    stage.until("writes refused", |p| p.totals.errors > errors);
    stage.act("4-not-enough-replicas", &orders);

    for broker in [first, second] {
        stage.click(&format!("Restart broker {broker}"));
    }
    stage.until("all in sync again", |picture| in_sync(picture) == 3);
    let running = |p: &ClusterSnapshot| p.brokers.iter().all(|b| b.state == BrokerState::Running);
    stage.until("all brokers up", running);
    let acked = stage.source.latest().producers[0].acked;
    stage.until("writes again", |p| p.producers[0].acked > acked);
    assert!(
        stage
            .window
            .query_by_label_contains("Undo: Restart")
            .is_none(),
        "nothing is broken any more"
    );
    stage.act("5-healed", &orders);

    stage.close();
}
