//! Joining, syncing, leaving and being late.

use super::*;

#[test]
fn a_lone_member_joins_syncs_and_leaves() {
    let mut world = World::new();
    let mut a = Client::new("a");
    let asked = world.begin_join(&mut a);
    let joined = world.joined(&mut a, asked);
    assert_eq!((joined.generation, joined.members.len()), (1, 1));
    assert_eq!(joined.leader, a.member_id);
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(world.state(), ClassicState::CompletingRebalance);
    let sync = world.ask_to_sync(&a, &[(&a, "all")]);
    let Some(Reply::Synced(Ok(synced))) = world.reply(sync) else {
        panic!("it leads");
    };
    assert_eq!(&synced.assignment[..], b"all");
    assert_eq!(world.state(), ClassicState::Stable);
    assert_eq!(world.heartbeat(&a), Ok(()));
    assert_eq!(world.leave(&a), [Ok(())]);
    assert_eq!(world.state(), ClassicState::Empty);
    assert_eq!(world.heartbeat(&a), Err(Refusal::UnknownMember));
}

#[test]
fn a_second_member_has_the_first_join_again_and_each_gets_its_share() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [mut a] = clients;
    let mut b = Client::new("b");
    let b_asked = world.begin_join(&mut b);
    assert_eq!(world.heartbeat(&a), Err(Refusal::RebalanceInProgress));
    let a_asked = world.ask_to_join(&a);
    let told = world.joined(&mut a, a_asked);
    assert_eq!(told.members.len(), 2, "the leader hears of everybody");
    assert_eq!(world.joined(&mut b, b_asked).members.len(), 0);
    assert_eq!((a.generation, b.generation), (2, 2));
    let b_sync = world.ask_to_sync(&b, &[]);
    assert_eq!(world.reply(b_sync), None, "it waits for the leader");
    let a_sync = world.ask_to_sync(&a, &[(&a, "one"), (&b, "two")]);
    for (sync, share) in [(a_sync, "one"), (b_sync, "two")] {
        match world.reply(sync) {
            Some(Reply::Synced(Ok(synced))) => assert_eq!(&synced.assignment[..], share.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_is_not_heard_for_its_session_is_out_and_the_others_join_again() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    world.stable(&mut clients);
    let [mut a, b] = clients;
    for _ in 0..2 {
        world.pass(4_000);
        assert_eq!(world.heartbeat(&a), Ok(()));
    }
    world.pass(4_000);
    assert_eq!(world.heartbeat(&a), Err(Refusal::RebalanceInProgress));
    let asked = world.ask_to_join(&a);
    assert_eq!(world.joined(&mut a, asked).generation, b.generation + 1);
    assert_eq!(world.heartbeat(&b), Err(Refusal::UnknownMember));
}

#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    world.stable(&mut clients);
    let [a, b] = clients;
    assert_eq!(world.leave(&b), [Ok(())]);
    let mut c = Client::new("c");
    let asked = world.begin_join(&mut c);
    // It says that it lives, but it does not come.
    for _ in 0..12 {
        world.pass(5_000);
        let _rebalances = world.heartbeat(&a);
    }
    assert_eq!(world.joined(&mut c, asked).leader, c.member_id);
    assert_eq!(world.heartbeat(&a), Err(Refusal::UnknownMember));
}

#[test]
fn a_leader_that_never_assigns_is_out_when_the_time_to_sync_is_over() {
    let mut world = World::new();
    let (mut a, mut b) = (Client::new("a"), Client::new("b"));
    let first = world.begin_join(&mut a);
    world.joined(&mut a, first);
    let b_asked = world.begin_join(&mut b);
    let a_asked = world.ask_to_join(&a);
    world.joined(&mut a, a_asked);
    world.joined(&mut b, b_asked);
    let sync = world.ask_to_sync(&b, &[]);
    for _ in 0..12 {
        world.pass(5_000);
        let _lives = world.heartbeat(&a);
    }
    assert_eq!(
        world.reply(sync),
        Some(Reply::Synced(Err(Refusal::RebalanceInProgress)))
    );
    assert_eq!(world.heartbeat(&a), Err(Refusal::UnknownMember));
    assert_eq!(world.heartbeat(&b), Err(Refusal::RebalanceInProgress));
}

#[test]
fn generations_and_strangers_are_told_apart() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    let late = Client {
        generation: a.generation - 1,
        ..a.clone()
    };
    assert_eq!(world.heartbeat(&late), Err(Refusal::IllegalGeneration));
    let sync = world.ask_to_sync(&late, &[]);
    assert_eq!(
        world.reply(sync),
        Some(Reply::Synced(Err(Refusal::IllegalGeneration)))
    );
    let stranger = Client {
        member_id: "nobody".to_owned(),
        ..a
    };
    assert_eq!(world.heartbeat(&stranger), Err(Refusal::UnknownMember));
    assert_eq!(world.leave(&stranger), [Err(Refusal::UnknownMember)]);
}

#[test]
fn the_protocol_all_speak_and_most_like_is_chosen_and_others_are_refused() {
    let mut world = World::new();
    let mut a = Client {
        assignors: &["range", "sticky"],
        ..Client::new("a")
    };
    let mut b = Client {
        assignors: &["sticky", "range"],
        ..Client::new("b")
    };
    let mut c = Client {
        assignors: &["sticky"],
        ..Client::new("c")
    };
    let first = world.begin_join(&mut a);
    world.joined(&mut a, first);
    let b_asked = world.begin_join(&mut b);
    let c_asked = world.begin_join(&mut c);
    let a_asked = world.ask_to_join(&a);
    for (client, asked) in [(&mut a, a_asked), (&mut b, b_asked), (&mut c, c_asked)] {
        assert_eq!(
            world.joined(client, asked).protocol.as_deref(),
            Some("sticky")
        );
    }
    let mut d = Client {
        assignors: &["roundrobin"],
        ..Client::new("d")
    };
    let asked = world.begin_join(&mut d);
    let refused = Reply::NotJoined(Refusal::InconsistentProtocol, String::new());
    assert_eq!(world.reply(asked), Some(refused));
}

#[test]
fn the_first_rebalance_waits_for_more_members_when_told_to() {
    let mut world = World::with(GroupConfig {
        initial_rebalance_delay_ms: 3_000,
        ..config()
    });
    let (mut a, mut b) = (Client::new("a"), Client::new("b"));
    let a_asked = world.begin_join(&mut a);
    world.pass(2_000);
    let b_asked = world.begin_join(&mut b);
    world.pass(2_000);
    assert!(
        world.replies.is_empty(),
        "somebody came, so it waits once more"
    );
    world.pass(2_000);
    assert_eq!(world.joined(&mut a, a_asked).members.len(), 2);
    assert_eq!(world.joined(&mut b, b_asked).generation, 1);
}

#[test]
fn an_id_that_is_never_used_does_not_hold_a_group_up() {
    let mut world = World::new();
    let (mut a, b) = (Client::new("a"), Client::new("b"));
    let asked = world.ask_to_join(&b);
    assert!(matches!(
        world.reply(asked),
        Some(Reply::NotJoined(Refusal::MemberIdRequired, _))
    ));
    let asked = world.begin_join(&mut a);
    assert_eq!(world.reply(asked), None, "the other one is on its way");
    world.pass(i64::from(SESSION_MS));
    assert_eq!(world.joined(&mut a, asked).members.len(), 1);
}

#[test]
fn a_full_group_takes_nobody_and_bad_sessions_are_refused() {
    let mut world = World::with(GroupConfig {
        max_size: 1,
        min_session_timeout_ms: SESSION_MS,
        ..config()
    });
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let asked = world.ask_to_join(&Client::new("b"));
    let full = Reply::NotJoined(Refusal::GroupFull, String::new());
    assert_eq!(world.reply(asked), Some(full));
    world.shard.set_config(GroupConfig {
        min_session_timeout_ms: SESSION_MS + 1,
        ..config()
    });
    let asked = world.ask_to_join(&Client::new("b"));
    let bad = Reply::NotJoined(Refusal::InvalidSessionTimeout, String::new());
    assert_eq!(world.reply(asked), Some(bad));
}

#[test]
fn a_member_that_asks_twice_is_answered_once_and_the_first_asker_is_let_go() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    world.stable(&mut clients);
    let [mut a, _b] = clients;
    let first = world.ask_to_join(&a);
    let second = world.ask_to_join(&a);
    let leads = world.reply(first);
    // The leader asks for a rebalance, a follower is told what is.
    match leads {
        Some(Reply::NotJoined(refusal, _)) => assert_eq!(refusal, Refusal::RebalanceInProgress),
        Some(Reply::Joined(_)) => {
            world.joined(&mut a, second);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_looked_at_any_more_once_members_are_gone() {
    let mut world = World::new();
    for _ in 0..50 {
        let mut clients = [Client::new("a"), Client::new("b")];
        world.stable(&mut clients);
        for client in &clients {
            assert_eq!(world.leave(client), [Ok(())]);
        }
    }
    assert_eq!(world.shard.alarms.len(), 0);
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let few = world.shard.alarms.len();
    for _ in 0..50 {
        let asked = world.ask_to_join(&clients[0]);
        world.joined(&mut clients[0], asked);
        world.ask_to_sync(&clients[0], &[]);
    }
    assert_eq!(world.shard.alarms.len(), few, "one for each thing at most");
}

#[test]
fn what_clients_call_themselves_and_why_they_come_is_kept_shortened() {
    let mut world = World::new();
    let mut a = Client::new(Box::leak("\u{e4}".repeat(16_000).into_boxed_str()));
    let asked = world.begin_join(&mut a);
    world.joined(&mut a, asked);
    assert!(a.member_id.len() < 300, "{}", a.member_id.len());
    let leaver = Leaver {
        member_id: a.member_id.clone(),
        instance: None,
        reason: Some("long ".repeat(100_000)),
    };
    let mut b = Client::new("b");
    world.begin_join(&mut b);
    let connection = world.connection();
    let turn = world
        .shard
        .leave(&world.caller(connection, &a), "g", &[leaver]);
    for News::StateChanged { why, .. } in &turn.news {
        assert!(why.len() < 1_000, "{}", why.len());
    }
    world.take(turn);
    for record in &world.written {
        record.encode().expect("it can be written");
    }
}

#[test]
fn a_protocol_or_instance_that_no_record_can_hold_is_refused() {
    let long: &'static str = Box::leak("x".repeat(40_000).into_boxed_str());
    let assignors: &'static [&'static str] = Box::leak(Box::new([long]));
    let protocol = Client {
        assignors,
        ..Client::new("a")
    };
    let instance = Client {
        instance: Some(long),
        ..Client::new("a")
    };
    for client in [protocol, instance] {
        let mut world = World::new();
        let asked = world.ask_to_join(&client);
        let refused = world.reply(asked);
        assert!(
            matches!(
                &refused,
                Some(Reply::NotJoined(Refusal::InvalidRequest(_), _))
            ),
            "{refused:?}"
        );
        assert_eq!(
            world.state(),
            ClassicState::Dead,
            "it leaves no group behind"
        );
    }
}
