use super::*;
use crate::wire::request::decode_header;

fn admin() -> GroupAdmin {
    let mut admin = GroupAdmin::new(LinksConfig::new("127.0.0.1", 9092, "test"));
    let offsets = vec![("orders".to_owned(), PartitionIndex(1), Offset(7))];
    let change = ("billing".to_owned(), Change::Commit(offsets));
    admin.ask(Time(0), CommandId(1), change);
    admin
}

/// The next request it sends, once connected; where to.
fn request(admin: &mut GroupAdmin, now: Time) -> (Address, ApiKey, LinkId) {
    let mut address = None;
    loop {
        match admin.poll_action(now).expect("it has something to do") {
            Action::Connect { link, to } => {
                address = Some(to);
                admin.on_connected(now, link);
            }
            Action::Send { link, parts } => {
                let bytes = parts.concat();
                let mut reader = Reader::new(Bytes::from(bytes).slice(4..));
                let header = decode_header(&mut reader).unwrap();
                return (address.unwrap(), header.api_key, link);
            }
            Action::Close { .. } => {}
        }
    }
}

fn answer(
    admin: &GroupAdmin,
    (key, version): (ApiKey, i16),
    encode: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
) -> Bytes {
    let mut writer = Writer::new();
    response::encode_header(&mut writer, key, version, admin.correlation_id);
    encode(&mut writer, version).unwrap();
    Bytes::from(writer.finish_frame().concat()).slice(4..)
}

fn coordinator(admin: &GroupAdmin, port: i32) -> Bytes {
    let found = FindCoordinatorResponse {
        host: "127.0.0.1".into(),
        port,
        ..FindCoordinatorResponse::default()
    };
    answer(admin, FIND, |writer, version| found.encode(writer, version))
}

fn committed(admin: &GroupAdmin, error_code: i16) -> Bytes {
    use crate::wire::messages::offset_commit::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };
    let partition = OffsetCommitResponsePartition {
        error_code,
        ..OffsetCommitResponsePartition::default()
    };
    let response = OffsetCommitResponse {
        topics: vec![OffsetCommitResponseTopic {
            name: "orders".into(),
            partitions: vec![partition],
            ..OffsetCommitResponseTopic::default()
        }],
        ..OffsetCommitResponse::default()
    };
    answer(admin, COMMIT, |writer, version| {
        response.encode(writer, version)
    })
}

#[test]
fn the_coordinator_is_asked_where_it_is_said_to_be_and_again_where_it_moved() {
    let mut admin = admin();
    let mut now = Time(0);
    for (port, code) in [(9093, ErrorCode::NotCoordinator as i16), (9094, 0)] {
        let (to, key, link) = request(&mut admin, now);
        assert_eq!((to.port, key), (9092, ApiKey::FindCoordinator));
        let found = coordinator(&admin, port);
        admin.on_frame(now, link, found);
        let (to, key, link) = request(&mut admin, now);
        assert_eq!((i32::from(to.port), key), (port, ApiKey::OffsetCommit));
        assert!(admin.take_ended().is_empty());
        let frame = committed(&admin, code);
        admin.on_frame(now, link, frame);
        now = now.plus_ms(PAUSE_MS);
    }
    let ended = admin.take_ended();
    let said = ended[0].1.as_ref().unwrap();
    assert_eq!(said, "Group billing goes on from 1 offset.");
    assert_eq!(admin.next_wakeup(), None);
}

#[test]
fn a_group_with_members_refuses_and_says_what_helps() {
    let mut admin = admin();
    let now = Time(0);
    let (.., link) = request(&mut admin, now);
    let found = coordinator(&admin, 9092);
    admin.on_frame(now, link, found);
    let (.., link) = request(&mut admin, now);
    let frame = committed(&admin, ErrorCode::UnknownMemberId as i16);
    admin.on_frame(now, link, frame);
    let ended = admin.take_ended();
    let failure = ended[0].1.as_ref().unwrap_err();
    assert_eq!(failure.name, "UNKNOWN_MEMBER_ID (25)");
    assert!(
        failure.what_to_do.contains("Stop its members"),
        "{failure:?}"
    );
}

#[test]
fn a_partition_that_is_not_there_is_not_waited_for() {
    use crate::wire::messages::offset_delete::{
        OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
    };
    let mut admin = GroupAdmin::new(LinksConfig::new("127.0.0.1", 9092, "test"));
    let change = Change::Forget(vec![("orders".to_owned(), PartitionIndex(77))]);
    let now = Time(0);
    admin.ask(now, CommandId(1), ("billing".to_owned(), change));
    let (.., link) = request(&mut admin, now);
    let found = coordinator(&admin, 9092);
    admin.on_frame(now, link, found);
    let (.., link) = request(&mut admin, now);
    let partition = OffsetDeleteResponsePartition {
        partition_index: 77,
        error_code: ErrorCode::UnknownTopicOrPartition as i16,
    };
    let response = OffsetDeleteResponse {
        topics: vec![OffsetDeleteResponseTopic {
            name: "orders".into(),
            partitions: vec![partition],
        }],
        ..OffsetDeleteResponse::default()
    };
    let frame = answer(&admin, FORGET, |writer, version| {
        response.encode(writer, version)
    });
    admin.on_frame(now, link, frame);
    let ended = admin.take_ended();
    let failure = ended[0].1.as_ref().unwrap_err();
    assert_eq!(failure.name, "UNKNOWN_TOPIC_OR_PARTITION (3)");
}

#[test]
fn nobody_there_ends_with_what_was_wrong() {
    let mut admin = admin();
    let mut now = Time(0);
    while admin.take_ended().is_empty() {
        while let Some(action) = admin.poll_action(now) {
            if let Action::Connect { link, .. } = action {
                admin.on_disconnected(now, link, "refused");
            }
        }
        if !admin.ended.is_empty() {
            break;
        }
        now = admin.next_wakeup().unwrap();
    }
    assert_eq!(now, Time::from_ms(PATIENCE_MS));
}
