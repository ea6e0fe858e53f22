//! V1: each frame is one immutable picture, and every number in it is the one `klar ctl snapshot` prints of that picture.
//!
//! Not compared are rates, curves, flights and how long steps took, which several pictures tell together, and the
//! sentences of events, which `klar ctl events` prints word for word. Any other number that stands for itself in a view
//! this draws or in the inspector fails the test until it is compared.
//!
//! A frame is read as its user does: what is painted, where it stands, and what is told to those who cannot see it.
//! It is held against the printed JSON of the picture it was drawn from, through every fault there is.

pub mod frame;
mod inspector;
mod rules;
mod tables;
pub mod told;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klar::app::App;
use klar::app::state::{Selection, TopicChoices, TopicTab, UiState, ViewKey};
use klar::cluster::control::{Ask, socket_of};
use klar::cluster::{Cluster, ClusterConfig, ClusterEnd};
use klar::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};
use klar::inspect::*;
use klar::source::live::LiveSource;
use klar::source::{Abilities, Source};

use crate::fixture::made;
use crate::rig::{SIZES, Window, window_on};
use crate::story::Still;
use frame::Frame;
use rules::judge;
pub use rules::{Shown, TOPIC};
use told::Told;

/// The longest anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Frames drawn at each stage of the faulty run after what it waits for has come.
const LINGER: usize = ROUND.len();

/// The live cluster, with a note of the picture that was read last: the one the frame is drawn from.
struct Noted {
    live: LiveSource,
    drawn: Rc<RefCell<Arc<ClusterSnapshot>>>,
}

impl Source for Noted {
    fn latest(&self) -> Arc<ClusterSnapshot> {
        let picture = self.live.latest();
        *self.drawn.borrow_mut() = Arc::clone(&picture);
        picture
    }

    fn set_focus(&self, focus: Focus) {
        self.live.set_focus(focus);
    }

    fn send(&self, command: Command) -> Option<CommandId> {
        self.live.send(command)
    }

    fn abilities(&self) -> Abilities {
        self.live.abilities()
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.live.on_news(wake);
    }
}

/// Has a window show something.
fn show(state: &mut UiState, shown: Shown) {
    state.open_broker = None;
    state.open_topic = None;
    let partition = |index| Selection::Partition(TOPIC.into(), PartitionIndex(index));
    let id = |number: i64| i32::try_from(number).unwrap();
    let broker = |number| Selection::Broker(BrokerId(id(number)));
    match shown {
        Shown::Cluster(index) => {
            state.go_to(ViewKey::Cluster);
            state.select(partition(id(index)));
        }
        Shown::Broker(number) => {
            state.go_to(ViewKey::Cluster);
            state.select(broker(number));
        }
        Shown::Page(number) => state.open_broker(BrokerId(id(number))),
        Shown::Topics(number) => {
            state.go_to(ViewKey::Topics);
            state.select(broker(number));
        }
        Shown::Log(index) => {
            state.open_topic(TOPIC);
            let choices = TopicChoices {
                tab: TopicTab::Log,
                ..TopicChoices::default()
            };
            state.set_choices(TOPIC, choices);
            state.select(partition(id(index)));
        }
        Shown::Storage(index) => {
            state.go_to(ViewKey::Storage);
            state.select(partition(id(index)));
        }
    }
}

/// Everything that is shown in turn.
const ROUND: [Shown; 12] = [
    Shown::Cluster(0),
    Shown::Page(1),
    Shown::Log(1),
    Shown::Broker(2),
    Shown::Topics(2),
    Shown::Cluster(1),
    Shown::Page(2),
    Shown::Storage(0),
    Shown::Broker(3),
    Shown::Log(2),
    Shown::Page(3),
    Shown::Cluster(2),
];

/// A window on a cluster that runs, whose every frame is judged.
pub struct Watched {
    cluster: Cluster,
    pub source: LiveSource,
    pub window: Window,
    drawn: Rc<RefCell<Arc<ClusterSnapshot>>>,
    frames: usize,
    /// Event numbers and times of the pictures that were judged.
    moments: BTreeSet<(u64, i64)>,
    compared: BTreeMap<&'static str, usize>,
}

impl Watched {
    pub fn open(dir: &Path) -> Watched {
        let cluster = Cluster::start(ClusterConfig {
            data_dir: Some(dir.to_path_buf()),
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            brokers: Some(3),
            durability: Durability::Os,
            settings: Vec::new(),
            stay_after_crash: false,
        })
        .unwrap();
        let source = LiveSource::new(cluster.link.clone());
        let drawn = Rc::new(RefCell::new(source.latest()));
        let noted = Noted {
            live: source.clone(),
            drawn: Rc::clone(&drawn),
        };
        // What changes by time alone stands at the picture's time, so it can be compared, too.
        let app = App::new(Box::new(noted), None).with_still_clock();
        Watched {
            cluster,
            source,
            window: window_on(app, SIZES[0], true),
            drawn,
            frames: 0,
            moments: BTreeSet::new(),
            compared: BTreeMap::new(),
        }
    }

    pub fn send(&self, command: Command) {
        self.source.send(command).unwrap();
    }

    /// Draws the next of the round and reads the frame.
    pub fn draw(&mut self) -> (Shown, Frame) {
        let shown = ROUND[self.frames % ROUND.len()];
        self.frames += 1;
        show(self.window.state_mut().state_mut(), shown);
        // A view knows how much room it has from its second frame on.
        self.window.step();
        self.window.step();
        (shown, Frame::of(&self.window))
    }

    /// Draws a frame and holds it against the print of its picture.
    pub fn look(&mut self) -> Arc<ClusterSnapshot> {
        let (shown, frame) = self.draw();
        let picture = Arc::clone(&self.drawn.borrow());
        let verdict = judge(&frame, &Told::of(&picture), shown);
        assert!(
            verdict.faults.is_empty(),
            "{shown:?} at event {}:\n{}",
            picture.event_number,
            verdict.faults.join("\n")
        );
        self.moments.insert((picture.event_number, picture.time.0));
        for (what, times) in verdict.compared {
            *self.compared.entry(what).or_default() += times;
        }
        picture
    }

    /// Judges frame after frame until a picture is as it should be, and some more.
    pub fn until(&mut self, what: &str, test: impl Fn(&ClusterSnapshot) -> bool) {
        let begun = Instant::now();
        while !test(&self.look()) {
            assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        }
        for _ in 0..LINGER {
            self.look();
        }
    }

    /// Holds frames against what the socket of `klar ctl` prints until one is the same: at rest, that is the next.
    fn rests_as_ctl_tells(&mut self) {
        let begun = Instant::now();
        let mut same = BTreeSet::new();
        while same.len() < ROUND.len() {
            let told = self.asked();
            let (shown, frame) = self.draw();
            let number = self.drawn.borrow().event_number;
            let verdict = judge(&frame, &told, shown);
            if verdict.faults.is_empty() && told.number("event_number") == number as i64 {
                same.insert((self.frames - 1) % ROUND.len());
            }
            let faults = verdict.faults.join("\n");
            assert!(begun.elapsed() < PATIENCE, "{shown:?}:\n{faults}");
        }
    }

    /// Draws what is open until it says something.
    pub fn says(&mut self, words: &str) {
        let begun = Instant::now();
        loop {
            self.window.step();
            let frame = Frame::of(&self.window);
            if frame.names.iter().any(|said| said.text.contains(words)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{words:?} was never said");
        }
    }

    /// What `klar ctl snapshot` is answered.
    pub fn asked(&self) -> Told {
        Told(ask(&self.cluster, &Ask::Snapshot)["snapshot"].take())
    }

    /// Has a command run as `klar ctl` does, and waits for its end.
    pub fn run(&self, command: Command) {
        let answer = ask(&self.cluster, &Ask::Run { command });
        assert!(answer["done"].is_object(), "{answer}");
    }

    pub fn close(self) {
        self.cluster.link.stop("the test is over");
        assert_eq!(self.cluster.wait(), ClusterEnd::Stopped);
    }
}

/// What a running cluster answers over the socket of `klar ctl`.
pub fn ask(cluster: &Cluster, ask: &Ask) -> serde_json::Value {
    let socket = socket_of(&cluster.facts.dir);
    let mut stream = UnixStream::connect(socket).unwrap();
    let line = serde_json::to_string(ask).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

pub fn topic(name: &str, partitions: i32, replication_factor: i16) -> Command {
    let least = ("min.insync.replicas".into(), "2".into());
    Command::CreateTopic {
        name: name.into(),
        partitions,
        replication_factor,
        configs: vec![least],
    }
}

pub fn producer(name: &str, topic: &str, rate: f64) -> Command {
    Command::StartProducer(ProducerPlan {
        name: name.into(),
        topic: topic.into(),
        key: Some("{int 1 40}".into()),
        value: Some("{uuid}".into()),
        headers: Vec::new(),
        settings: ProducerSettings {
            idempotence: true,
            ..ProducerSettings::default()
        },
        rate,
        count: None,
    })
}

pub fn partitions(picture: &ClusterSnapshot) -> impl Iterator<Item = &PartitionSnapshot> {
    let topics = picture.topics.iter();
    topics.flat_map(|topic| &topic.partitions)
}

pub fn all_in_sync(picture: &ClusterSnapshot) -> bool {
    let whole = |p: &PartitionSnapshot| p.leader.is_some() && p.isr.len() == p.replicas.len();
    picture.topics.len() == 2 && partitions(picture).all(whole)
}

fn end(picture: &ClusterSnapshot) -> i64 {
    partitions(picture).map(|p| p.high_watermark.0).sum()
}

#[test]
fn every_number_in_a_frame_is_the_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let mut watched = Watched::open(dir.path());
    watched.send(topic(TOPIC, 3, 3));
    watched.send(topic("payments", 2, 2));
    watched.until("the topics", all_in_sync);
    watched.send(producer("orders-gen", TOPIC, 900.0));
    watched.send(producer("payments-gen", "payments", 150.0));
    watched.until("records", |p| end(p) > 1_000);

    let [one, two, three] = [1, 2, 3].map(BrokerId);
    let (a, b) = (one, three);
    watched.send(Command::SlowLink { a, b, delay_ms: 40 });
    watched.until("a slow link", |p| p.links.len() == 2);
    watched.send(Command::KillBroker { broker: two });
    let leads = |p: &ClusterSnapshot, id| partitions(p).any(|one| one.leader == Some(id));
    watched.until("a failover", |p| !leads(p, two));
    let buried = |p: &ClusterSnapshot| {
        let mut replicas = partitions(p).flat_map(|one| &one.replicas);
        replicas.any(|replica| replica.from_files)
    };
    watched.until("what its files hold", buried);
    watched.send(Command::HealLinks);
    watched.send(Command::RestartBroker { broker: two });
    watched.until("it to be back", all_in_sync);

    watched.send(Command::CutLink {
        from: three,
        to: one,
        both_ways: true,
    });
    watched.until("a cut link", |p| p.links.iter().any(|link| link.cut));
    watched.send(Command::KillBroker { broker: one });
    watched.until("another one's end", |p| !leads(p, one));
    watched.send(Command::HealLinks);
    watched.send(Command::RestartBroker { broker: one });
    watched.until("all to be well", all_in_sync);

    for producer in watched.source.latest().producers.clone() {
        watched.send(Command::StopProducer { id: producer.id });
    }
    watched.until("rest", |p| p.producers.iter().all(|one| !one.running));
    watched.rests_as_ctl_tells();
    saw_everything(&watched);
    watched.close();
}

/// It was no blind run: many pictures and events, and every kind of number among them.
fn saw_everything(watched: &Watched) {
    let events: BTreeSet<u64> = watched.moments.iter().map(|(event, _)| *event).collect();
    println!(
        "{} frames of {} pictures at {} event numbers: {:?}",
        watched.frames,
        watched.moments.len(),
        events.len(),
        watched.compared
    );
    assert!(watched.moments.len() > 5 * ROUND.len() && events.len() > 10);
    for kind in [
        "health",
        "event number",
        "leader",
        "leader epoch",
        "ISR",
        "log end",
        "high watermark",
        "behind",
        "lag",
        "painted offset",
        "controller",
        "broker epoch",
        "broker head",
        "link",
        "gauge",
        "lanes",
        "records",
        "size",
        "segments",
        "log start",
    ] {
        let times = watched.compared.get(kind).copied().unwrap_or(0);
        assert!(times > 0, "no frame said anything of {kind}");
    }
}

/// What is noticed first in the frames of a window that draws one picture while another one is printed.
fn noticed(drawn: &ClusterSnapshot, printed: &ClusterSnapshot) -> Vec<String> {
    let still = Still(Arc::new(drawn.clone()));
    let app = App::new(Box::new(still), None).with_still_clock();
    let mut window = window_on(app, SIZES[0], true);
    let told = Told::of(printed);
    for shown in ROUND {
        show(window.state_mut().state_mut(), shown);
        window.step();
        window.step();
        let faults = judge(&Frame::of(&window), &told, shown).faults;
        if !faults.is_empty() {
            return faults;
        }
    }
    Vec::new()
}

/// The first partition of the topic, to be changed.
fn first(picture: &mut ClusterSnapshot) -> &mut PartitionSnapshot {
    let mut topics = picture.topics.iter_mut();
    let topic = topics.find(|topic| topic.name == TOPIC).unwrap();
    &mut Arc::make_mut(topic).partitions[0]
}

type Tamper = fn(&mut ClusterSnapshot);

/// One number each.
const WRONG: &[(&str, Tamper)] = &[
    ("log end", |p| first(p).log_end += 1),
    ("log start", |p| first(p).log_start += 1),
    ("high watermark", |p| first(p).high_watermark += -1),
    ("a follower's end", |p| first(p).replicas[1].log_end += -1),
    ("a follower's high watermark", |p| {
        first(p).replicas[1].high_watermark += -1;
    }),
    ("leader", |p| first(p).leader = Some(BrokerId(3))),
    ("no leader", |p| first(p).leader = None),
    ("leader epoch", |p| first(p).leader_epoch = LeaderEpoch(77)),
    ("ISR", |p| first(p).isr.truncate(2)),
    ("size", |p| first(p).bytes += 1 << 20),
    ("a segment", |p| first(p).segments.clear()),
    ("when it leaves the ISR", |p| {
        first(p).replicas[1].leaves_isr_ms = Some(300);
    }),
    ("controller", |p| p.controller = Some(BrokerId(2))),
    ("controller epoch", |p| {
        p.quorum.as_mut().unwrap().epoch = LeaderEpoch(99);
    }),
    ("metadata lag", |p| {
        p.quorum.as_mut().unwrap().replicas[1].lag = Some(5);
    }),
    ("broker state", |p| p.brokers[1].state = BrokerState::Killed),
    ("fenced", |p| {
        p.brokers[1].registration.as_mut().unwrap().fenced = true;
    }),
    ("broker epoch", |p| {
        let registration = p.brokers[2].registration.as_mut().unwrap();
        registration.epoch.0 += 1;
    }),
    ("port", |p| p.brokers[2].port += 1),
    ("log size", |p| p.brokers[2].log_bytes += 1 << 22),
    ("event number", |p| p.event_number += 1),
    ("events", |p| drop(p.events.pop())),
    ("link", |p| {
        p.links.push(LinkSnapshot {
            from: BrokerId(1),
            to: BrokerId(2),
            cut: false,
            delay_ms: 7,
        });
    }),
    ("a topic", |p| drop(p.topics.pop())),
];

#[test]
fn a_wrong_number_in_a_frame_is_noticed() {
    let topics = vec![made(TOPIC, 3, 4_711, 10.0), made("payments", 2, 900, 1.0)];
    let fixture = crate::cluster::healthy(topics, 3, 3);
    let printed = fixture.latest();
    let faults = noticed(&printed, &printed);
    assert!(faults.is_empty(), "nothing is wrong: {faults:#?}");
    assert!(first(&mut printed.as_ref().clone()).log_end > Offset(10));
    for (what, tamper) in WRONG {
        let mut drawn = printed.as_ref().clone();
        tamper(&mut drawn);
        assert!(drawn != *printed, "{what} was changed");
        let faults = noticed(&drawn, &printed);
        assert!(!faults.is_empty(), "{what} was wrong and nobody noticed");
    }
}
