//! The machines against a broker that answers anything: no panic, no spin, an end to every request.

use bytes::Bytes;
use proptest::prelude::*;

use super::tests::{Rig, START_MS, Scripted, links, record};
use super::*;
use crate::ids::{PartitionIndex, Time, TopicId};
use crate::inspect::ProducerSettings;
use crate::wire::ApiKey;

/// What a hostile broker does with one request.
#[derive(Debug, Clone)]
enum Move {
    /// Answers as it should.
    Honest,
    /// Answers as it should, with one bit flipped.
    Flipped(usize),
    /// Answers with a part of what it should.
    Cut(usize),
    /// Answers with these bytes behind a right header.
    Bytes(Vec<u8>),
    /// Answers as it should, but to a request that nobody made.
    Misnumbered,
    /// Answers without having been asked.
    Twice,
    /// Closes the connection.
    Closes,
    /// Never answers.
    Silent,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Honest),
        4 => any::<usize>().prop_map(Move::Flipped),
        1 => any::<usize>().prop_map(Move::Cut),
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Move::Bytes),
        1 => Just(Move::Misnumbered),
        1 => Just(Move::Twice),
        1 => Just(Move::Closes),
        1 => Just(Move::Silent),
    ]
}

fn any_protocol() -> impl Strategy<Value = GroupProtocol> {
    let classic = |assignor| GroupProtocol::Classic {
        assignors: vec![assignor],
    };
    let modern = GroupProtocol::Consumer {
        member_id: "m".to_owned(),
        assignor: None,
    };
    prop_oneof![
        1 => Just(classic(Assignor::Range)),
        1 => Just(classic(Assignor::Sticky)),
        1 => Just(classic(Assignor::CooperativeSticky)),
        3 => Just(modern),
    ]
}

/// Header of a response: the correlation id, and for most APIs an empty section of tags.
const HEADER_BYTES: usize = 5;

/// Steps a machine for so many requests of hostility, then honestly.
fn play<M: Machine>(machine: &mut M, moves: &[Move], mut use_it: impl FnMut(&mut M, Time)) {
    let mut rig = Rig::new(Scripted::new(2, "t", 3));
    rig.cluster.group.lone = true;
    let mut moves = moves.iter();
    let mut steps = 0;
    let end = rig.now.plus_ms(400_000);
    while rig.now < end {
        steps += 1;
        assert!(steps < 100_000, "the machine spins");
        // Twice: what the last step brought is taken before going to sleep.
        let action = (0..2).find_map(|_| {
            use_it(machine, rig.now);
            machine.poll_action(rig.now)
        });
        if let Some(action) = action {
            attack(&mut rig, machine, action, &mut moves);
            continue;
        }
        let Some(wakeup) = machine.next_wakeup() else {
            break;
        };
        assert!(wakeup > rig.now, "it waits for a moment that is past");
        rig.now = wakeup.max(rig.now.plus_ms(1));
    }
}

fn attack<'a, M: Machine>(
    rig: &mut Rig,
    machine: &mut M,
    action: Action,
    moves: &mut impl Iterator<Item = &'a Move>,
) {
    let Action::Send { link, parts } = action else {
        rig.carry_out(machine, action);
        return;
    };
    let Some(port) = rig.links.get(&link).copied() else {
        return;
    };
    let request = Bytes::from(parts.concat());
    if request[4..6] == (ApiKey::Fetch as i16).to_be_bytes() {
        // A long poll; the time of others passes meanwhile.
        rig.now = rig.now.plus_ms(250);
    }
    rig.cluster.group.now = rig.now;
    let honest = rig.cluster.answer(port, request);
    let Ok(Some(frame)) = honest else {
        return;
    };
    let mut bytes = frame.to_vec();
    let mut times = 1;
    match moves.next().unwrap_or(&Move::Honest) {
        Move::Honest => {}
        Move::Flipped(bit) => {
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Move::Cut(at) => bytes.truncate(at % bytes.len()),
        Move::Bytes(body) => {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(body);
        }
        Move::Misnumbered => bytes[0] ^= 0x40,
        Move::Twice => times = 2,
        Move::Silent => times = 0,
        Move::Closes => {
            rig.links.remove(&link);
            machine.on_disconnected(rig.now, link, "connection reset");
            return;
        }
    }
    for _ in 0..times {
        machine.on_frame(rig.now, link, bytes.clone().into());
    }
}

/// Has a producer send to a broker that answers so, until it has nothing to do any more.
fn every_record_ends_once(moves: &[Move], idempotence: bool) {
    let settings = ProducerSettings {
        idempotence,
        ..ProducerSettings::default()
    };
    let mut producer = Producer::new(ProducerConfig::new(links(), &settings).unwrap());
    let mut sent = 0;
    let mut ended = std::collections::BTreeSet::new();
    play(&mut producer, moves, |producer, now| {
        let early = now < Time::from_ms(START_MS + 100_000);
        if sent < 20 && early && producer.send(now, record("t", sent)).is_ok() {
            sent += 1;
        }
        while let Some(delivery) = producer.poll_delivery() {
            for id in delivery.records {
                assert!(ended.insert(id), "{id:?} ended twice");
            }
        }
    });
    assert_eq!(ended.len() as u64, sent);
    assert!(producer.is_idle());
}

/// Found by the test below: metadata that named two leaders, of which the first answered no Produce, made the
/// producer look for queues that had just been failed.
#[test]
fn a_leader_that_takes_no_records_fails_what_waits_for_another() {
    let bytes = [
        53, 50, 99, 20, 143, 114, 37, 172, 99, 155, 14, 238, 4, 147, 88, 58, 5, 229, 79, 95, 150,
        147, 74, 167, 183, 195, 100, 5, 183, 95,
    ];
    let moves = [
        Move::Honest,
        Move::Twice,
        Move::Honest,
        Move::Cut(52),
        Move::Honest,
        Move::Flipped(18380431992448700461),
        Move::Silent,
        Move::Bytes(bytes.to_vec()),
        Move::Flipped(4394597055730998411),
        Move::Flipped(12440237787534308325),
        Move::Cut(15193184711045395066),
        Move::Flipped(16057517797910949660),
        Move::Cut(17067294392325477736),
        Move::Honest,
        Move::Flipped(16220460434013798213),
    ];
    every_record_ends_once(&moves, true);
}

/// Found by the simulator (seed 43000501): the question about the cluster that an answer out of order took the place
/// of was waited for for ever.
#[test]
fn metadata_that_is_answered_out_of_order_is_asked_for_again() {
    let mut consumer = Consumer::new(ConsumerConfig::new(links()));
    let (mut asked, mut is_known) = (false, false);
    let moves = [Move::Honest, Move::Misnumbered];
    play(&mut consumer, &moves, |consumer, now| {
        if !std::mem::replace(&mut asked, true) {
            consumer.assign(now, "t", PartitionIndex(0), Start::Earliest);
        }
        is_known = consumer.cluster().topic_id("t") != TopicId::ZERO;
    });
    assert!(is_known, "the topic is known");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_producer_ends_every_record_once(
        moves in proptest::collection::vec(any_move(), 0..30),
        idempotence: bool,
    ) {
        every_record_ends_once(&moves, idempotence);
    }

    #[test]
    fn a_consumer_answers_every_question(moves in proptest::collection::vec(any_move(), 0..30)) {
        let mut consumer = Consumer::new(ConsumerConfig::new(links()));
        let mut open = std::collections::BTreeSet::new();
        let mut asked = false;
        play(&mut consumer, &moves, |consumer, now| {
            if !asked {
                asked = true;
                for partition in 0..3 {
                    let partition = PartitionIndex(partition);
                    consumer.assign(now, "t", partition, Start::Earliest);
                    open.insert(consumer.ask_offset(now, "t", partition, Start::Latest));
                }
            }
            while let Some(event) = consumer.poll_event() {
                match event {
                    ConsumerEvent::Offset { query, .. } => assert!(open.remove(&query)),
                    ConsumerEvent::Records(fetched) => {
                        let _ = fetched.visit(1 << 20, |_| {});
                    }
                    _ => {}
                }
            }
        });
        prop_assert!(open.is_empty(), "{:?} unanswered", open);
    }

    /// Whatever happens, the member neither panics nor spins; it reads each offset in order, once it has joined for
    /// good, and can be closed.
    #[test]
    fn a_member_of_a_group_gets_on(
        moves in proptest::collection::vec(any_move(), 0..60),
        protocol in any_protocol(),
    ) {
        let mut config = GroupConfig::new(links(), "g", &["t"]);
        config.protocol = protocol;
        config.max_poll_interval_ms = 20_000;
        let mut member = GroupConsumer::new(config).unwrap();
        let closing = Time::from_ms(START_MS + 300_000);
        play(&mut member, &moves, |member, now| {
            while member.poll_event().is_some() {}
            for piece in member.poll(now) {
                let _ = piece.visit(1 << 20, |_| {});
                member.processed(&piece.topic, piece.partition, piece.next);
            }
            if now >= closing {
                member.close(now);
            }
        });
        prop_assert!(matches!(member.state(), MemberState::Closed | MemberState::Failed));
    }

    #[test]
    fn an_admin_answers_every_request(moves in proptest::collection::vec(any_move(), 0..30)) {
        let mut admin = Admin::new(links());
        let mut open = std::collections::BTreeSet::new();
        let mut asked = false;
        play(&mut admin, &moves, |admin, now| {
            if !asked {
                asked = true;
                open.insert(admin.request(now, AdminRequest::EmptyTopic { topic: "t".to_owned() }));
                open.insert(admin.request(now, AdminRequest::CreateTopic {
                    name: "new".to_owned(),
                    partitions: 1,
                    replication_factor: 1,
                    configs: vec![],
                }));
            }
            while let Some((id, _)) = admin.poll_answer() {
                assert!(open.remove(&id), "{id:?} answered twice");
            }
        });
        prop_assert!(open.is_empty(), "{:?} unanswered", open);
    }
}

#[test]
fn an_http_server_is_not_taken_for_a_broker() {
    let mut admin = Admin::new(links());
    let name = "t".to_owned();
    admin.request(Time(0), AdminRequest::DeleteTopic { name });
    let Some(Action::Connect { link, .. }) = admin.poll_action(Time(0)) else {
        panic!("it connects first");
    };
    admin.on_connected(Time(0), link);
    assert!(matches!(
        admin.poll_action(Time(0)),
        Some(Action::Send { .. })
    ));
    admin.on_frame(Time(0), link, "HTTP/1.1 400 Bad Request".into());
    assert!(matches!(
        admin.poll_action(Time(0)),
        Some(Action::Close { .. })
    ));
}
