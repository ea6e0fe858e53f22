//! klar's own consumers against a live cluster: what members of groups share, and what a crash costs.

use std::sync::Arc;

use klar::ids::{BrokerId, Offset, PartitionIndex};
use klar::inspect::{
    AutoOffsetReset, ClassicAssignor, ClusterSnapshot, Command, CommitWhen, ConsumerPlan,
    ConsumerReads, ConsumerSnapshot, ConsumerState, Durability, MemberPlan, MemberProtocol,
    ReadFrom, Subscribed,
};

use crate::live::Live;
use crate::program::fresh_dir;

/// `group.min.session.timeout.ms`: the shortest that a coordinator takes.
const SHORT_SESSION_MS: i32 = 6_000;

fn member(group: &str, commit: CommitWhen) -> MemberPlan {
    MemberPlan {
        group: group.into(),
        subscription: Subscribed::Topics(vec!["t".into()]),
        protocol: MemberProtocol::Classic {
            assignor: ClassicAssignor::Range,
            session_timeout_ms: SHORT_SESSION_MS,
        },
        instance: None,
        reset: AutoOffsetReset::Earliest,
        commit,
        max_poll_records: 10,
    }
}

fn plan(member: MemberPlan, rate: f64) -> ConsumerPlan {
    ConsumerPlan {
        reads: ConsumerReads::Group(member),
        rate,
    }
}

impl Live {
    fn consume(&self, plan: &ConsumerPlan, members: u32) -> Vec<u64> {
        let plan = plan.clone();
        let done = self.run(Command::StartConsumer { plan, members });
        done.unwrap().consumers
    }

    fn when(
        &self,
        what: &str,
        id: u64,
        test: impl Fn(&ConsumerSnapshot) -> bool,
    ) -> Arc<ClusterSnapshot> {
        self.until(what, |picture| consumer(picture, id).is_some_and(&test))
    }

    /// Writes so many records, numbered by their values.
    fn write(&self, records: i32) {
        for n in 0..records {
            self.produce("t", "k", &n.to_string());
        }
    }
}

fn consumer(picture: &ClusterSnapshot, id: u64) -> Option<&ConsumerSnapshot> {
    picture.consumers.iter().find(|one| one.id == id)
}

fn committed(picture: &ClusterSnapshot, group: &str) -> Option<Offset> {
    let group = picture.group(group)?;
    Some(group.offset("t", PartitionIndex(0))?.committed)
}

#[test]
fn two_members_share_the_partitions_and_one_that_stops_leaves_at_once() {
    let live = Live::start();
    live.create("t", 4);
    let mut slow = member("g", CommitWhen::After);
    // Nobody is missed for as long as this test may take.
    slow.protocol = MemberProtocol::Classic {
        assignor: ClassicAssignor::CooperativeSticky,
        session_timeout_ms: 600_000,
    };
    let both = live.consume(&plan(slow, 0.0), 2);
    let picture = live.until("two partitions each", |picture| {
        both.iter()
            .all(|id| consumer(picture, *id).is_some_and(|one| one.partitions.len() == 2))
    });
    // The coordinator says the same of the same members.
    let shares = live.until("the same in the group", |picture| {
        picture.group("g").is_some_and(|group| {
            group.state == "Stable" && group.members.iter().all(|m| m.assigned.len() == 1)
        })
    });
    for one in &shares.group("g").unwrap().members {
        let own = shares.own_member("g", &one.id).unwrap();
        assert_eq!(own.client_id, one.client_id);
        assert_eq!(own.client_id, format!("klar-consumer-{}", own.id));
        let owns: Vec<PartitionIndex> = own.partitions.iter().map(|p| p.partition).collect();
        assert_eq!(owns, one.assigned[0].partitions);
    }
    drop(picture);
    live.write(8);
    live.until("all is read", |picture| {
        picture.consumers.iter().map(|one| one.records).sum::<u64>() == 8
    });
    live.run(Command::StopConsumer { id: both[0] }).unwrap();
    let picture = live.when("four partitions", both[1], |one| one.partitions.len() == 4);
    assert_eq!(picture.group("g").unwrap().members.len(), 1);
    let stopped = live.when("an end", both[0], |one| one.state == ConsumerState::Stopped);
    assert_eq!(committed_sum(&stopped), 8);
}

/// Over all partitions of the group's topic.
fn committed_sum(picture: &ClusterSnapshot) -> i64 {
    let offsets = &picture.group("g").unwrap().offsets;
    offsets.iter().map(|offset| offset.committed.0).sum()
}

/// Crashes a member that has processed some of a poll of ten records, and lets another one go on.
fn after_a_crash(commit: CommitWhen) -> (ConsumerSnapshot, Arc<ClusterSnapshot>) {
    let live = Live::start();
    live.create("t", 1);
    live.write(10);
    let slow = plan(member("g", commit), 4.0);
    let first = live.consume(&slow, 1)[0];
    live.when("some records", first, |one| one.records >= 2);
    live.run(Command::CrashConsumer { id: first }).unwrap();
    let crashed = live.when("a crash", first, |one| one.state == ConsumerState::Crashed);
    let crashed = consumer(&crashed, first).unwrap().clone();
    assert!((2..10).contains(&crashed.records), "{crashed:?}");
    // Nobody was told: the coordinator has it until its session is over.
    assert_eq!(live.source_group_members(), 1);
    let next = live.consume(&plan(member("g", commit), 0.0), 1)[0];
    live.until("the crashed one is missed", |picture| {
        let has = |id: u64| consumer(picture, id).is_some_and(|one| one.partitions.len() == 1);
        has(next) && picture.group("g").is_some_and(|g| g.members.len() == 1)
    });
    live.produce("t", "k", "the last");
    let picture = live.when("the end", next, |one| {
        one.newest.first().is_some_and(|r| r.offset == Offset(10))
    });
    (crashed, picture)
}

impl Live {
    fn source_group_members(&self) -> usize {
        let picture = self.until("the group", |picture| picture.group("g").is_some());
        picture.group("g").unwrap().members.len()
    }
}

#[test]
fn a_crash_before_the_commit_has_records_delivered_again() {
    let (crashed, picture) = after_a_crash(CommitWhen::After);
    // Where it began is all it committed.
    assert!(
        crashed.partitions[0]
            .committed
            .is_none_or(|at| at == Offset(0))
    );
    let next = picture.consumers.last().unwrap();
    // All of the poll that was not committed, and the new one.
    assert_eq!(next.records, 11, "{next:?}");
}

#[test]
fn a_crash_after_the_commit_loses_what_was_not_processed() {
    let (crashed, picture) = after_a_crash(CommitWhen::Before);
    assert_eq!(crashed.partitions[0].committed, Some(Offset(10)));
    let next = picture.consumers.last().unwrap();
    assert_eq!(next.records, 1, "{next:?}");
    assert_eq!(
        crashed.in_hand,
        10 - crashed.records,
        "what it held is gone"
    );
}

#[test]
fn a_paused_member_stays_in_its_group_and_reads_on_where_it_was() {
    let live = Live::start();
    live.create("t", 1);
    live.write(10);
    let id = live.consume(&plan(member("g", CommitWhen::After), 5.0), 1)[0];
    live.when("a record", id, |one| one.records >= 1);
    live.run(Command::PauseConsumer { id }).unwrap();
    let picture = live.when("a pause", id, |one| one.state == ConsumerState::Paused);
    let paused = consumer(&picture, id).unwrap();
    assert!(paused.partitions[0].paused);
    assert_eq!(paused.in_hand, 0);
    let done = Offset(paused.records as i64);
    assert_eq!(paused.partitions[0].position, Some(done));
    let picture = live.until("its commit", |picture| {
        committed(picture, "g") == Some(done)
    });
    assert_eq!(picture.group("g").unwrap().members.len(), 1);
    let again = live.run(Command::PauseConsumer { id }).unwrap_err();
    assert_eq!(again.name, "WRONG_STATE");
    live.run(Command::ResumeConsumer { id }).unwrap();
    let picture = live.when("the rest", id, |one| {
        one.newest.first().is_some_and(|r| r.offset == Offset(9))
    });
    // Each once: what was in hand was put back, not lost, not read twice.
    assert_eq!(consumer(&picture, id).unwrap().records, 10);
}

#[test]
fn a_member_that_stops_within_a_poll_commits_what_it_processed() {
    for commit in [CommitWhen::After, CommitWhen::Before] {
        let live = Live::start();
        live.create("t", 1);
        live.write(10);
        let id = live.consume(&plan(member("g", commit), 4.0), 1)[0];
        live.when("a record", id, |one| one.records >= 1);
        live.run(Command::StopConsumer { id }).unwrap();
        let picture = live.when("an end", id, |one| one.state == ConsumerState::Stopped);
        let done = consumer(&picture, id).unwrap().records;
        assert!(done < 10);
        live.until("its commit", |picture| {
            let empty = picture.group("g").is_some_and(|g| g.members.is_empty());
            empty && committed(picture, "g") == Some(Offset(done as i64))
        });
    }
}

#[test]
fn a_consumer_group_of_the_new_protocol_reads_topics_by_pattern() {
    let live = Live::start();
    live.create("t", 2);
    live.write(3);
    let mut modern = member("g", CommitWhen::Interval { ms: 100 });
    modern.protocol = MemberProtocol::Consumer {
        assignor: Some("uniform".into()),
    };
    modern.subscription = Subscribed::Pattern("t|u".into());
    let id = live.consume(&plan(modern, 0.0), 1)[0];
    live.when("all of t", id, |one| {
        one.records == 3 && one.partitions.len() == 2
    });
    live.until("its commits", |picture| {
        let offsets = picture.group("g").map(|group| group.offsets.iter());
        offsets.is_some_and(|offsets| offsets.map(|o| o.committed.0).sum::<i64>() == 3)
    });
    live.create("u", 1);
    live.when("u as well", id, |one| one.partition_count == 3);
}

#[test]
fn a_standalone_consumer_reads_a_partition_from_an_offset_and_all_from_their_starts() {
    let live = Live::start();
    live.create("t", 2);
    live.write(10);
    let reads = |partition, from| ConsumerPlan {
        reads: ConsumerReads::Standalone {
            topic: "t".into(),
            partition,
            from,
        },
        rate: 0.0,
    };
    let picture = live.until("all records", |picture| {
        let topic = picture.topics.iter().find(|topic| topic.name == "t");
        topic.is_some_and(|t| t.partitions.iter().any(|p| p.high_watermark == Offset(10)))
    });
    let topic = picture
        .topics
        .iter()
        .find(|topic| topic.name == "t")
        .unwrap();
    let full = topic
        .partitions
        .iter()
        .find(|p| p.log_end > Offset(0))
        .unwrap();
    let from = ReadFrom::Offset(Offset(7));
    let id = live.consume(&reads(Some(full.index), from), 1)[0];
    let picture = live.when("three records", id, |one| one.records == 3);
    let one = consumer(&picture, id).unwrap();
    let offsets: Vec<i64> = one.newest.iter().map(|r| r.offset.0).collect();
    assert_eq!(offsets, [9, 8, 7]);
    assert_eq!(one.newest[0].value.as_deref(), Some(&b"9"[..]));
    assert_eq!(one.partitions[0].position, Some(Offset(10)));
    assert!(picture.groups.is_empty(), "it is in no group");
    let all = live.consume(&reads(None, ReadFrom::Earliest), 1)[0];
    let picture = live.when("all", all, |one| one.records == 10);
    assert_eq!(consumer(&picture, all).unwrap().partition_count, 2);
    live.run(Command::StopConsumer { id: all }).unwrap();
    live.when("an end", all, |one| one.state == ConsumerState::Stopped);
    // Its start is the end: nothing before counts.
    let tail = live.consume(&reads(Some(full.index), ReadFrom::Latest), 1)[0];
    live.when("its start", tail, |one| {
        one.partitions[0].position == Some(Offset(10))
    });
    live.produce("t", "k", "new");
    live.when("the new one", tail, |one| one.records == 1);
}

#[test]
fn members_leave_in_order_when_klar_ends() {
    let dir = fresh_dir();
    let on = || Live::on(Some(dir.path().to_owned()), Durability::Os);
    let mut patient = member("g", CommitWhen::After);
    // A member that had not left would be waited for longer than this test waits.
    patient.protocol = MemberProtocol::Classic {
        assignor: ClassicAssignor::Range,
        session_timeout_ms: 600_000,
    };
    let patient = plan(patient, 0.0);
    let live = on();
    live.create("t", 1);
    live.write(1);
    let id = live.consume(&patient, 1)[0];
    live.when("its record", id, |one| one.records == 1);
    live.stop();
    let live = on();
    let id = live.consume(&patient, 1)[0];
    let picture = live.when("the partition", id, |one| {
        one.partitions
            .first()
            .is_some_and(|p| p.position == Some(Offset(1)))
    });
    assert_eq!(consumer(&picture, id).unwrap().records, 0);
    live.stop();
}

#[test]
fn a_consumer_crashes_though_no_broker_runs() {
    let live = Live::start();
    live.create("t", 1);
    let id = live.consume(&plan(member("g", CommitWhen::After), 0.0), 1)[0];
    live.when("a partition", id, |one| one.partitions.len() == 1);
    let broker = BrokerId(1);
    live.run(Command::KillBroker { broker }).unwrap();
    live.run(Command::CrashConsumer { id }).unwrap();
    live.when("a crash", id, |one| one.state == ConsumerState::Crashed);
}

#[test]
fn what_cannot_be_started_says_why() {
    let live = Live::start();
    let start = |plan: ConsumerPlan, members| {
        let failed = live.run(Command::StartConsumer { plan, members });
        failed.unwrap_err().name
    };
    let good = || member("g", CommitWhen::After);
    assert_eq!(start(plan(good(), -1.0), 1), "RATE_OUT_OF_RANGE");
    assert_eq!(start(plan(good(), 1.0), 0), "TOO_MANY_CONSUMERS");
    assert_eq!(start(plan(good(), 1.0), 65), "TOO_MANY_CONSUMERS");
    let mut none = good();
    none.max_poll_records = 0;
    assert_eq!(start(plan(none, 1.0), 1), "POLL_OUT_OF_RANGE");
    let mut broken = good();
    broken.subscription = Subscribed::Pattern("(".into());
    assert_eq!(start(plan(broken, 1.0), 1), "contradicting settings");
    let gone = live.run(Command::CrashConsumer { id: 9 });
    assert_eq!(gone.unwrap_err().name, "NO_SUCH_CONSUMER");
}
