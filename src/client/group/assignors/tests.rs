//! The assignors against results known from Kafka's documentation and tests, and against what they promise.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn subscriber(id: &str, topics: &[&str]) -> Subscriber {
    Subscriber {
        id: id.to_owned(),
        topics: topics.iter().map(|t| (*t).to_owned()).collect(),
        ..Subscriber::default()
    }
}

fn counts(topics: &[(&str, i32)]) -> BTreeMap<String, i32> {
    topics.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect()
}

/// `a: t0 t1` for every member, places sorted.
fn text(plan: &Plan) -> String {
    let line = |(id, places): (&String, &Vec<Place>)| {
        let mut sorted = places.clone();
        sorted.sort();
        let names = sorted.iter().map(|(topic, p)| format!(" {topic}{p}"));
        format!("{id}:{}", names.collect::<String>())
    };
    plan.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn check(assignor: Assignor, topics: &[(&str, i32)], members: &[Subscriber], expected: &str) {
    let plan = assignor.assign(&counts(topics), members);
    assert_eq!(text(&plan), expected, "{assignor:?} {topics:?}");
}

/// The members as they are after a plan, ready for the next.
fn after(plan: &Plan, members: &[Subscriber], generation: i32) -> Vec<Subscriber> {
    let next = |m: &Subscriber| Subscriber {
        owned: plan[&m.id].clone(),
        generation: Some(generation),
        ..m.clone()
    };
    members.iter().map(next).collect()
}

#[test]
fn range_gives_stretches_of_each_topic() {
    let both = [subscriber("c0", &["t", "u"]), subscriber("c1", &["t", "u"])];
    let range = Assignor::Range;
    check(
        range,
        &[("t", 3), ("u", 3)],
        &both,
        "c0: t0 t1 u0 u1, c1: t2 u2",
    );
    check(range, &[("t", 2), ("u", 1)], &both, "c0: t0 u0, c1: t1");
    check(range, &[], &both, "c0:, c1:");
    let mixed = [
        subscriber("c0", &["t"]),
        subscriber("c1", &["t", "u"]),
        subscriber("c2", &["t"]),
    ];
    check(
        range,
        &[("t", 3), ("u", 2)],
        &mixed,
        "c0: t0, c1: t1 u0 u1, c2: t2",
    );
    let three = ["c2", "c0", "c1"].map(|id| subscriber(id, &["t"]));
    check(
        range,
        &[("t", 7)],
        &three,
        "c0: t0 t1 t2, c1: t3 t4, c2: t5 t6",
    );
}

#[test]
fn round_robin_goes_on_from_topic_to_topic() {
    let both = [subscriber("c0", &["t", "u"]), subscriber("c1", &["t", "u"])];
    let round = Assignor::RoundRobin;
    check(
        round,
        &[("t", 3), ("u", 3)],
        &both,
        "c0: t0 t2 u1, c1: t1 u0 u2",
    );
    // From the documentation of Kafka's class.
    let mixed = [
        subscriber("c0", &["t0-"]),
        subscriber("c1", &["t0-", "t1-"]),
        subscriber("c2", &["t0-", "t1-", "t2-"]),
    ];
    let topics = [("t0-", 1), ("t1-", 2), ("t2-", 3)];
    check(
        round,
        &topics,
        &mixed,
        "c0: t0-0, c1: t1-0, c2: t1-1 t2-0 t2-1 t2-2",
    );
}

/// KIP-345: the order is that of the instance ids, so new member ids change nothing.
#[test]
fn static_members_stand_in_the_order_of_their_instances() {
    for ids in [["a", "b", "c"], ["z", "b", "a"]] {
        let mut members = ids.map(|id| subscriber(id, &["t"]));
        members[0].instance_id = Some("i1".to_owned());
        members[1].instance_id = Some("i2".to_owned());
        for assignor in [Assignor::Range, Assignor::RoundRobin] {
            let plan = assignor.assign(&counts(&[("t", 3)]), &members);
            for (n, id) in ids.iter().enumerate() {
                assert_eq!(plan[*id], [("t".to_owned(), PartitionIndex(n as i32))]);
            }
        }
    }
}

/// The examples from the documentation of Kafka's class.
#[test]
fn sticky_keeps_what_it_can() {
    let topics = [("t0-", 2), ("t1-", 2), ("t2-", 2), ("t3-", 2)];
    let all: Vec<&str> = topics.iter().map(|t| t.0).collect();
    let members = ["c0", "c1", "c2"].map(|id| subscriber(id, &all));
    let first = "c0: t0-0 t1-1 t3-0, c1: t0-1 t2-0 t3-1, c2: t1-0 t2-1";
    check(Assignor::Sticky, &topics, &members, first);
    let plan = Assignor::Sticky.assign(&counts(&topics), &members);
    let mut rest = after(&plan, &members, 1);
    rest.remove(1);
    // The documentation gives t2-0 to c0; since KIP-881 the class gives what is free in turn to those below their share.
    let second = "c0: t0-0 t0-1 t1-1 t3-0, c2: t1-0 t2-0 t2-1 t3-1";
    let plan = Assignor::Sticky.assign(&counts(&topics), &rest);
    for member in &rest {
        assert!(
            member
                .owned
                .iter()
                .all(|place| plan[&member.id].contains(place))
        );
        assert_eq!(plan[&member.id].len(), 4);
    }
    assert_eq!(text(&plan), second);

    let topics = [("t0-", 1), ("t1-", 2), ("t2-", 3)];
    let mixed = [
        subscriber("c0", &["t0-"]),
        subscriber("c1", &["t0-", "t1-"]),
        subscriber("c2", &["t0-", "t1-", "t2-"]),
    ];
    check(
        Assignor::Sticky,
        &topics,
        &mixed,
        "c0: t0-0, c1: t1-0 t1-1, c2: t2-0 t2-1 t2-2",
    );
    let plan = Assignor::Sticky.assign(&counts(&topics), &mixed);
    let rest = &after(&plan, &mixed, 1)[1..];
    check(
        Assignor::Sticky,
        &topics,
        rest,
        "c1: t0-0 t1-0 t1-1, c2: t2-0 t2-1 t2-2",
    );
}

/// KIP-429: a partition that changes hands is nobody's in between.
#[test]
fn cooperative_sticky_takes_before_it_gives() {
    let topics = [("t", 4)];
    let mut members = vec![subscriber("a", &["t"])];
    let cooperative = Assignor::CooperativeSticky;
    let plan = cooperative.assign(&counts(&topics), &members);
    members = after(&plan, &members, 1);
    members.push(subscriber("b", &["t"]));
    check(cooperative, &topics, &members, "a: t0 t1, b:");
    let plan = cooperative.assign(&counts(&topics), &members);
    members = after(&plan, &members, 2);
    check(cooperative, &topics, &members, "a: t0 t1, b: t2 t3");
}

/// The later generation is believed, and nobody when two claim the same in one.
#[test]
fn claims_of_an_old_generation_are_not_believed() {
    let own = |id: &str, generation: i32, partitions: &[i32]| Subscriber {
        owned: partitions
            .iter()
            .map(|p| ("t".to_owned(), PartitionIndex(*p)))
            .collect(),
        generation: Some(generation),
        ..subscriber(id, &["t"])
    };
    let members = [own("a", 3, &[0, 1]), own("b", 2, &[0, 1, 2, 3])];
    check(
        Assignor::Sticky,
        &[("t", 4)],
        &members,
        "a: t0 t1, b: t2 t3",
    );
    let members = [
        own("a", 2, &[0, 1]),
        own("b", 2, &[1, 2]),
        own("c", 2, &[9, -1]),
    ];
    let plan = Assignor::CooperativeSticky.assign(&counts(&[("t", 3)]), &members);
    assert_eq!(text(&plan), "a: t0, b: t2, c:");
}

fn every_place_once(topics: &BTreeMap<String, i32>, plan: &Plan) {
    let mut seen = BTreeSet::new();
    for place in plan.values().flatten() {
        assert!(seen.insert(place.clone()), "{place:?} has two owners");
    }
    let all = topics.iter().flat_map(|(t, n)| partitions(t, *n));
    assert_eq!(seen, all.collect());
}

fn spread(plan: &Plan) -> usize {
    let sizes = || plan.values().map(Vec::len);
    sizes().max().unwrap() - sizes().min().unwrap()
}

const TOPICS: [&str; 3] = ["t", "u", "v"];

fn everybody(members: usize) -> Vec<Subscriber> {
    (0..members)
        .map(|n| subscriber(&format!("m{n:02}"), &TOPICS))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn who_subscribes_to_all_shares_evenly(
        members in 1_usize..9,
        sizes in proptest::collection::vec(0_i32..12, 3),
    ) {
        let topics: BTreeMap<String, i32> = counts(&[(TOPICS[0], sizes[0]), (TOPICS[1], sizes[1]), (TOPICS[2], sizes[2])]);
        let members = everybody(members);
        for assignor in [Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky] {
            let plan = assignor.assign(&topics, &members);
            every_place_once(&topics, &plan);
            prop_assert!(spread(&plan) <= 1);
        }
        every_place_once(&topics, &Assignor::Range.assign(&topics, &members));
    }

    /// Who stays keeps everything when another leaves, and gives up no more than needed when another comes.
    #[test]
    fn sticky_moves_no_more_than_it_must(
        members in 2_usize..8,
        gone in 0_usize..8,
        sizes in proptest::collection::vec(0_i32..12, 3),
    ) {
        let topics: BTreeMap<String, i32> = counts(&[(TOPICS[0], sizes[0]), (TOPICS[1], sizes[1]), (TOPICS[2], sizes[2])]);
        let members = everybody(members);
        let plan = Assignor::Sticky.assign(&topics, &members);
        let mut left = after(&plan, &members, 1);
        left.remove(gone % members.len());
        let plan = Assignor::Sticky.assign(&topics, &left);
        every_place_once(&topics, &plan);
        prop_assert!(spread(&plan) <= 1);
        for member in &left {
            prop_assert!(member.owned.iter().all(|place| plan[&member.id].contains(place)));
        }
        let mut joined = after(&plan, &left, 2);
        joined.push(subscriber("new", &TOPICS));
        let plan = Assignor::Sticky.assign(&topics, &joined);
        every_place_once(&topics, &plan);
        prop_assert!(spread(&plan) <= 1);
        let moved = joined.iter().flat_map(|m| m.owned.iter().filter(|p| !plan[&m.id].contains(p)));
        prop_assert_eq!(moved.count(), plan["new"].len());
    }

    /// Whatever members read and claim: each partition that somebody reads has one owner, who reads it.
    #[test]
    fn any_subscriptions_and_claims(
        reads in proptest::collection::vec(0_u8..8, 1..7),
        claims in proptest::collection::vec((0_usize..7, 0_usize..3, -1_i32..9), 0..30),
        generations in proptest::collection::vec(proptest::option::of(-1_i32..4), 7),
        sizes in proptest::collection::vec(0_i32..8, 3),
    ) {
        let mut members: Vec<Subscriber> = Vec::new();
        for (n, reads) in reads.iter().enumerate() {
            let topics: Vec<&str> = (0..3).filter(|t| reads >> t & 1 == 1).map(|t| TOPICS[t]).collect();
            members.push(Subscriber { generation: generations[n], ..subscriber(&format!("m{n}"), &topics) });
        }
        for (n, topic, index) in claims {
            let count = members.len();
            members[n % count].owned.push((TOPICS[topic].to_owned(), PartitionIndex(index)));
        }
        let read: BTreeSet<&String> = members.iter().flat_map(|m| &m.topics).collect();
        let topics: BTreeMap<String, i32> = TOPICS.iter().zip(sizes)
            .map(|(t, n)| ((*t).to_owned(), n)).filter(|(t, _)| read.contains(t)).collect();
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
            let plan = assignor.assign(&topics, &members);
            every_place_once(&topics, &plan);
            for member in &members {
                prop_assert!(plan[&member.id].iter().all(|(topic, _)| member.topics.contains(topic)));
            }
        }
        // What changes hands is nobody's at first; once it is given up all is shared out.
        let plan = Assignor::CooperativeSticky.assign(&topics, &members);
        let owned: Vec<&Place> = plan.values().flatten().collect();
        prop_assert_eq!(owned.iter().collect::<BTreeSet<_>>().len(), owned.len());
        let mut plan = plan;
        for generation in 5..10 {
            let next = after(&plan, &members, generation);
            plan = Assignor::CooperativeSticky.assign(&topics, &next);
        }
        every_place_once(&topics, &plan);
    }
}
