//! A window on a real cluster in which nothing happens: brokers ask each other all the time, and not a frame is drawn
//! for it; what does happen is drawn at once.
//!
//! The window is driven as the desktop does it: a frame is drawn when one is asked for, and none otherwise.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use egui::{RawInput, Rect, ViewportId};
use klar::app::{App, theme};
use klar::cluster::control::socket_of;
use klar::cluster::{Cluster, ClusterConfig, ClusterEnd};
use klar::ids::BrokerId;
use klar::inspect::*;
use klar::source::Source as _;
use klar::source::live::LiveSource;

use crate::rig::SIZES;

/// The longest anything may take; most takes a second.
const PATIENCE: Duration = Duration::from_secs(90);
/// From one look at what is waited for to the next.
const LOOK: Duration = Duration::from_millis(50);
/// Requests brokers make of each other in about five idle seconds.
const ASKED: u64 = 60;

/// A desktop with one window.
struct Desktop {
    cluster: Cluster,
    source: LiveSource,
    dir: tempfile::TempDir,
    ctx: egui::Context,
    app: App,
    /// How long each frame that was asked for may wait.
    asked: Receiver<Duration>,
    due: Option<Instant>,
    opened: Instant,
    frames: u64,
}

impl Desktop {
    fn open(brokers: u32) -> Desktop {
        let dir = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(ClusterConfig {
            data_dir: Some(dir.path().to_owned()),
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            brokers: Some(brokers),
            durability: Durability::Os,
            settings: Vec::new(),
            stay_after_crash: true,
        })
        .unwrap();
        let ctx = egui::Context::default();
        theme::install(&ctx);
        let (ask, asked) = channel();
        ctx.set_request_repaint_callback(move |request| {
            // Nobody asks any more once the test is over.
            let _ = ask.send(request.delay);
        });
        let app = App::new(Box::new(LiveSource::new(cluster.link.clone())), None);
        app.wake(&ctx, Duration::ZERO);
        Desktop {
            source: LiveSource::new(cluster.link.clone()),
            cluster,
            dir,
            ctx,
            app,
            asked,
            due: Some(Instant::now()),
            opened: Instant::now(),
            frames: 0,
        }
    }

    fn want(&mut self, delay: Duration) {
        if let Some(at) = Instant::now().checked_add(delay) {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
    }

    /// Draws the frames that are asked for during `time`.
    fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let until = self.due.map_or(end, |due| due.min(end));
            let wait = until.saturating_duration_since(Instant::now());
            if let Ok(delay) = self.asked.recv_timeout(wait) {
                self.want(delay);
            } else if self.due.is_some_and(|due| due <= Instant::now()) {
                self.draw();
            } else {
                return;
            }
        }
    }

    fn draw(&mut self) {
        self.due = None;
        self.frames += 1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, SIZES[0])),
            time: Some(self.opened.elapsed().as_secs_f64()),
            ..RawInput::default()
        };
        let app = &mut self.app;
        let output = self.ctx.run_ui(input, |ui| app.draw(ui));
        let delay = output.viewport_output[&ViewportId::ROOT].repaint_delay;
        output.drop_without_applying_deltas();
        self.want(delay);
    }

    /// Draws what is asked for until the picture is as it should be.
    fn until(&mut self, what: &str, test: impl Fn(&ClusterSnapshot) -> bool) {
        let begun = Instant::now();
        while !test(&self.source.latest()) {
            assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
            self.pass(LOOK);
        }
    }

    /// Requests the brokers have made of each other, as they tell it to `klar ctl`.
    fn between_brokers(&self) -> u64 {
        let mut stream = UnixStream::connect(socket_of(self.dir.path())).unwrap();
        stream.write_all(b"{\"ask\":\"snapshot\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        told["snapshot"]["totals"]["between_brokers"]
            .as_u64()
            .unwrap()
    }

    /// Frames drawn while the brokers ask each other so many times.
    fn frames_while_asked(&mut self, requests: u64) -> u64 {
        let (enough, frames) = (self.between_brokers() + requests, self.frames);
        let begun = Instant::now();
        while self.between_brokers() < enough {
            assert!(begun.elapsed() < PATIENCE, "the brokers do not talk");
            self.pass(LOOK);
        }
        self.frames - frames
    }

    /// Waits until nothing is drawn any more.
    fn rest(&mut self) {
        let begun = Instant::now();
        while self.frames_while_asked(ASKED) > 0 {
            assert!(begun.elapsed() < PATIENCE, "there is no rest");
        }
    }

    fn close(self) {
        self.cluster.link.stop("the test is over");
        assert_eq!(self.cluster.wait(), ClusterEnd::Stopped);
    }
}

fn log_end(picture: &ClusterSnapshot) -> i64 {
    let topic = picture.topics.iter().find(|topic| topic.name == "orders");
    topic.map_or(0, |topic| {
        topic.partitions.iter().map(|p| p.log_end.0).sum()
    })
}

fn in_sync(picture: &ClusterSnapshot) -> bool {
    let topic = picture.topics.iter().find(|topic| topic.name == "orders");
    topic.is_some_and(|topic| topic.partitions.iter().all(|p| p.isr.len() == 3))
}

#[test]
fn what_brokers_ask_each_other_draws_no_frame_and_what_happens_does() {
    let mut desktop = Desktop::open(3);
    let create = Command::CreateTopic {
        name: "orders".into(),
        partitions: 3,
        replication_factor: 3,
        configs: Vec::new(),
    };
    desktop.until("the cluster", |p| p.controller.is_some());
    desktop.source.send(create).unwrap();
    desktop.until("the topic", in_sync);
    desktop.rest();
    assert_eq!(desktop.frames_while_asked(2 * ASKED), 0, "nothing happens");

    let one = ProduceOne {
        topic: "orders".into(),
        value: Some("a record".into()),
        ..ProduceOne::default()
    };
    let frames = desktop.frames;
    desktop.source.send(Command::Produce(one)).unwrap();
    desktop.until("a record", |picture| log_end(picture) == 1);
    desktop.pass(LOOK);
    assert!(desktop.frames > frames, "a record is drawn");
    desktop.rest();

    let (frames, broker) = (desktop.frames, BrokerId(2));
    desktop.source.send(Command::KillBroker { broker }).unwrap();
    let dead = |b: &BrokerSnapshot| b.id == broker && b.state == BrokerState::Killed;
    desktop.until("a death", |picture| picture.brokers.iter().any(dead));
    desktop.pass(LOOK);
    assert!(desktop.frames > frames, "a death is drawn");
    // Those that are left are at rest, too.
    desktop.until("an election", |picture| {
        let partitions = picture.topics.iter().flat_map(|topic| &topic.partitions);
        let mut leaders = partitions.map(|partition| partition.leader);
        leaders.all(|leader| leader.is_some_and(|leader| leader != broker))
    });
    desktop.rest();
    desktop.close();
}
