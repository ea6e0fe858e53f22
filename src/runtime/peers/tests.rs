//! Lines to peers that are ordinary sockets, and to a real broker on its thread.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::broker::BrokerConfig;
use crate::inspect::{Durability, HeldMessage};
use crate::links::{End, Wire};
use crate::runtime::{
    BrokerStart, BrokerThread, Course, Ended, Medium, Port, Report, Told, bind_row,
};
use crate::storage::MemoryFiles;
use crate::wire::messages::api_versions::ApiVersionsRequest;
use crate::wire::request::RequestHeader;
use crate::wire::{ApiKey, Writer};

const PEER: BrokerId = BrokerId(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Peers of broker 1 that know one address, and what they tell.
struct Rig {
    peers: Rc<Peers>,
    events: mpsc::UnboundedReceiver<PeerEvent>,
    neighbours: watch::Sender<Arc<Neighbours>>,
    /// What the cluster is told.
    reports: mpsc::Receiver<Told>,
}

const ME: BrokerId = BrokerId(1);

impl Rig {
    fn knowing(address: Option<SocketAddr>) -> Rig {
        let addresses = address.map(|address| (PEER, address)).into_iter().collect();
        let known = Neighbours {
            addresses,
            ..Neighbours::default()
        };
        let (sender, neighbours) = watch::channel(Arc::new(known));
        let (told, events) = mpsc::unbounded_channel();
        let tell = move |event| told.send(event).map_err(|_| Gone);
        let clock = Rc::new(Clock::new());
        let (queue, reports) = mpsc::channel(100);
        let to_cluster = Reports {
            broker: ME,
            run: 1,
            queue,
        };
        Rig {
            peers: Peers::new(ME, neighbours, clock, to_cluster, Arc::default(), tell),
            events,
            neighbours: sender,
            reports,
        }
    }

    fn change_link(&self, from: BrokerId, to: BrokerId, change: impl FnOnce(&mut Wire)) {
        self.neighbours.send_modify(|known| {
            let links = &mut Arc::make_mut(known).links;
            links.change(End::Broker(from), End::Broker(to), change);
        });
    }

    fn change_gate(&self, change: impl FnOnce(&mut Gate)) {
        self.neighbours
            .send_modify(|known| change(&mut Arc::make_mut(known).gate));
    }

    /// The next message that waits, and its ticket.
    async fn held(&mut self) -> (u64, HeldMessage) {
        let told = timeout(PATIENCE, self.reports.recv()).await;
        match told.expect("a report").unwrap().report {
            Report::Held { ticket, message } => (ticket, message),
            other => panic!("{other:?}"),
        }
    }

    async fn let_go(&mut self) -> u64 {
        let told = timeout(PATIENCE, self.reports.recv()).await;
        match told.expect("a report").unwrap().report {
            Report::LetGo { ticket } => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn send(&self, lane: PeerLane, body: &[u8]) {
        self.peers.send(PEER, lane, framed(body));
    }

    async fn next(&mut self) -> PeerEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event").unwrap()
    }

    async fn lost(&mut self) -> String {
        match self.next().await {
            PeerEvent::Lost(PEER, _, why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}

/// A frame in two parts.
fn framed(body: &[u8]) -> Vec<Bytes> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    vec![
        Bytes::copy_from_slice(&length),
        Bytes::copy_from_slice(body),
    ]
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn read(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap();
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.unwrap();
    body
}

#[test]
fn requests_leave_in_order_and_answers_come_back_on_one_connection_per_lane() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.send(PeerLane::Replica, b"one");
        rig.send(PeerLane::Replica, b"two");
        let (mut replica, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut replica).await, b"one");
        assert_eq!(read(&mut replica).await, b"two");
        let long = vec![7; 3_000_000];
        replica.write_all(&framed(&long).concat()).await.unwrap();
        let frame = rig.next().await;
        assert_eq!(
            frame,
            PeerEvent::Frame(PEER, PeerLane::Replica, long.into())
        );
        rig.send(PeerLane::Control, b"beat");
        let (mut control, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut control).await, b"beat");
        rig.send(PeerLane::Replica, b"three");
        assert_eq!(read(&mut replica).await, b"three");
    });
}

#[test]
fn a_lost_connection_is_told_once_and_the_next_request_makes_another() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.send(PeerLane::Quorum, b"vote");
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        rig.lost().await;
        rig.send(PeerLane::Quorum, b"again");
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut stream).await, b"again");
        assert!(rig.events.try_recv().is_err());
        drop((stream, listener));
        rig.lost().await;
        rig.send(PeerLane::Quorum, b"nobody listens");
        assert!(rig.lost().await.contains("cannot connect"));
    });
}

#[test]
fn a_line_that_was_hung_up_says_nothing() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.send(PeerLane::Metadata, b"slow");
        let (mut first, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut first).await, b"slow");
        rig.peers.hang_up(PEER, PeerLane::Metadata);
        rig.peers.hang_up(PEER, PeerLane::Metadata);
        rig.send(PeerLane::Metadata, b"fresh");
        let (mut second, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut second).await, b"fresh");
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "it is closed");
        second.write_all(&framed(b"yes").concat()).await.unwrap();
        let frame = PeerEvent::Frame(PEER, PeerLane::Metadata, Bytes::from_static(b"yes"));
        assert_eq!(rig.next().await, frame);
    });
}

#[test]
fn a_peer_nobody_knows_is_lost() {
    run(async {
        let mut rig = Rig::knowing(None);
        rig.send(PeerLane::Forward, b"to whom?");
        assert!(rig.lost().await.contains("broker 2"));
    });
}

#[test]
fn a_cut_wire_swallows_and_its_connection_is_reset_when_it_heals() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.send(PeerLane::Replica, b"one");
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut stream).await, b"one");
        // Only the way back is cut: the request arrives, its answer does not.
        rig.change_link(PEER, ME, |wire| wire.cut = true);
        stream
            .write_all(&framed(b"an answer").concat())
            .await
            .unwrap();
        // A lane without a connection does not get one either.
        rig.send(PeerLane::Control, b"beat");
        let silence = timeout(Duration::from_millis(200), rig.events.recv()).await;
        assert!(silence.is_err(), "{silence:?}");
        rig.change_link(PEER, ME, |wire| wire.cut = false);
        assert!(rig.lost().await.contains("reset"));
        assert!(rig.lost().await.contains("reset"));
    });
}

#[test]
fn a_slow_wire_delays_each_way_and_a_held_one_lets_go_in_order() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.change_link(ME, PEER, |wire| wire.held = true);
        rig.send(PeerLane::Forward, b"one");
        rig.send(PeerLane::Forward, b"two");
        let knock = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(knock.is_err(), "nothing arrives");
        rig.change_link(ME, PEER, |wire| wire.held = false);
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut stream).await, b"one");
        assert_eq!(read(&mut stream).await, b"two");
        rig.change_link(PEER, ME, |wire| wire.delay_us = 150_000);
        let sent = std::time::Instant::now();
        stream.write_all(&framed(b"yes").concat()).await.unwrap();
        assert!(matches!(rig.next().await, PeerEvent::Frame(..)));
        assert!(sent.elapsed() >= Duration::from_millis(150));
    });
}

#[test]
fn what_waits_at_the_gate_is_told_and_goes_through_by_its_ticket() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.change_gate(|gate| gate.shut = true);
        rig.peers.send(PEER, PeerLane::Control, api_versions());
        // Connecting is no message.
        let (mut stream, _) = listener.accept().await.unwrap();
        let (ticket, request) = rig.held().await;
        assert_eq!(
            (ticket, request.words().as_str()),
            (1, "ApiVersions v3 from broker 1 to broker 2")
        );
        rig.change_gate(|gate| {
            gate.let_through.insert(ME, 1);
        });
        assert_eq!(rig.let_go().await, 1);
        read(&mut stream).await;
        // Its answer waits in turn, and opening the gate lets everything go.
        stream.write_all(&framed(b"yes").concat()).await.unwrap();
        let (ticket, answer) = rig.held().await;
        assert_eq!((ticket, answer.answer, answer.from), (2, true, PEER));
        assert!(rig.events.try_recv().is_err());
        rig.change_gate(|gate| gate.shut = false);
        assert_eq!(rig.let_go().await, 2);
        assert!(matches!(rig.next().await, PeerEvent::Frame(..)));
    });
}

#[test]
fn what_waits_at_the_gate_is_lost_when_its_wire_is_cut() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.change_gate(|gate| gate.shut = true);
        rig.peers.send(PEER, PeerLane::Control, api_versions());
        let (_stream, _) = listener.accept().await.unwrap();
        assert_eq!(rig.held().await.0, 1);
        rig.change_link(ME, PEER, |wire| wire.cut = true);
        assert_eq!(rig.let_go().await, 1);
        rig.change_gate(|gate| gate.shut = false);
        let silence = timeout(Duration::from_millis(100), rig.events.recv()).await;
        assert!(silence.is_err(), "{silence:?}");
        rig.change_link(ME, PEER, |wire| wire.cut = false);
        assert!(rig.lost().await.contains("reset"));
    });
}

#[test]
fn frozen_replication_holds_followers_and_nobody_else() {
    run(async {
        let (listener, address) = listener().await;
        let mut rig = Rig::knowing(Some(address));
        rig.change_gate(|gate| gate.replication_shut = true);
        rig.peers.send(PEER, PeerLane::Replica, api_versions());
        let (_replica, _) = listener.accept().await.unwrap();
        assert_eq!(rig.held().await.0, 1);
        rig.send(PeerLane::Control, b"beat");
        let (mut control, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut control).await, b"beat");
        // A line that is hung up waits for nothing.
        rig.peers.hang_up(PEER, PeerLane::Replica);
        assert_eq!(rig.let_go().await, 1);
    });
}

/// A broker on its own thread, keeping nothing.
fn real_broker() -> (BrokerThread, mpsc::Receiver<Told>, Port) {
    let mut row = bind_row(Ipv4Addr::LOCALHOST.into(), 0, 1).unwrap();
    let (port, listener) = row.remove(0);
    let listen = port.address();
    let (reports, told) = mpsc::channel(100);
    let start = BrokerStart {
        config: BrokerConfig {
            id: PEER,
            voters: vec![PEER],
            alone: true,
            cluster_id: "test".into(),
            listen,
            data_dir: "/d".into(),
            durability: Durability::Memory,
            settings: Vec::new(),
        },
        run: 7,
        neighbours: watch::channel(Arc::default()).1,
        courses: watch::channel(Course::real()).1,
        listener,
        medium: Medium::Memory(MemoryFiles::default()),
        seed: 1,
        awaits: 1,
        connections_allowed: 10,
    };
    (BrokerThread::start(start, reports).unwrap(), told, port)
}

async fn ended(told: &mut mpsc::Receiver<Told>) -> Ended {
    loop {
        let told = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
        assert_eq!((told.broker, told.run), (PEER, 7));
        if let Report::Ended(ended, _) = told.report {
            return ended;
        }
    }
}

fn api_versions() -> Vec<Bytes> {
    let mut writer = Writer::new();
    let header = RequestHeader {
        api_key: ApiKey::ApiVersions,
        api_version: 3,
        correlation_id: 5,
        client_id: Some("broker-1".into()),
    };
    header.encode(&mut writer).unwrap();
    let request = ApiVersionsRequest {
        client_software_name: "klar".into(),
        client_software_version: "1".into(),
    };
    request.encode(&mut writer, 3).unwrap();
    writer.finish_frame()
}

#[test]
fn a_real_broker_answers_stands_still_goes_on_and_is_killed() {
    run(async {
        let (mut broker, mut told, port) = real_broker();
        let mut rig = Rig::knowing(Some(port.address()));
        rig.peers.send(PEER, PeerLane::Control, api_versions());
        assert!(matches!(rig.next().await, PeerEvent::Frame(..)));

        assert!(broker.pause());
        // Time to obey; a request that was faster would have been answered.
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.peers.send(PEER, PeerLane::Control, api_versions());
        let silence = timeout(Duration::from_millis(200), rig.events.recv()).await;
        assert!(silence.is_err(), "{silence:?}");
        broker.resume();
        assert!(matches!(rig.next().await, PeerEvent::Frame(..)));

        broker.kill();
        assert_eq!(ended(&mut told).await, Ended::Killed);
        broker.join();
        let why = rig.lost().await;
        assert!(why.contains("reset"), "{why}");
        rig.peers.send(PEER, PeerLane::Control, api_versions());
        assert!(rig.lost().await.contains("cannot connect"));
        // Its port is free for the next run at once.
        port.listen().unwrap();
    });
}

#[test]
fn a_broker_that_stands_still_can_be_killed() {
    run(async {
        let (mut broker, mut told, _) = real_broker();
        assert!(broker.pause());
        tokio::time::sleep(Duration::from_millis(50)).await;
        broker.kill();
        assert_eq!(ended(&mut told).await, Ended::Killed);
        broker.join();
    });
}
