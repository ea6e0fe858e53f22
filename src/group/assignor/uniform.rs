//! The assignor `uniform`: as many partitions for each member as for any other, with as few moves as that takes.
//!
//! Members keep what they had and still subscribe to; the rest goes to whoever has least; then single partitions move
//! from who has most to who has least while that evens them out. Where all subscribe to the same topics nobody has
//! more than one partition more than another. Where they do not, no single move would balance better. Racks are ignored.

use std::collections::BTreeMap;

use super::super::partitions::Partitions;
use super::Subscriber;
use crate::ids::TopicId;

/// Rounds of moves, each of at most one partition of every topic: a limit no even assignment comes near.
const MAX_ROUNDS: usize = 1_000_000;

pub(super) fn assign(members: &[Subscriber], topics: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    let subscribers: BTreeMap<TopicId, Vec<usize>> = topics
        .keys()
        .map(|topic| (*topic, subscribers_of(members, *topic)))
        .collect();
    let (mut assigned, taken) = kept(members, topics);
    let mut counts: Vec<usize> = assigned.iter().map(Partitions::len).collect();
    for (topic, partitions) in topics {
        for index in 0..*partitions {
            if taken.contains(*topic, index) {
                continue;
            }
            if let Some(at) = least(&subscribers[topic], &counts) {
                assigned[at].insert(*topic, index);
                counts[at] += 1;
            }
        }
    }
    for _ in 0..MAX_ROUNDS {
        let mut moved = false;
        for (topic, subscribers) in &subscribers {
            moved |= even_out(*topic, subscribers, &mut assigned, &mut counts);
        }
        if !moved {
            break;
        }
    }
    assigned
}

fn subscribers_of(members: &[Subscriber], topic: TopicId) -> Vec<usize> {
    let all = members.iter().enumerate();
    let those = all.filter(|(_, member)| member.topics.contains(&topic));
    those.map(|(at, _)| at).collect()
}

/// What members keep of what they had, and all of that together.
fn kept(members: &[Subscriber], topics: &BTreeMap<TopicId, i32>) -> (Vec<Partitions>, Partitions) {
    let mut taken = Partitions::default();
    let mut assigned = Vec::with_capacity(members.len());
    for member in members {
        let mut keeps = Partitions::default();
        for (topic, index) in member.before.iter() {
            let there = topics.get(&topic).is_some_and(|count| index < *count);
            if there && member.topics.contains(&topic) && !taken.contains(topic, index) {
                keeps.insert(topic, index);
                taken.insert(topic, index);
            }
        }
        assigned.push(keeps);
    }
    (assigned, taken)
}

fn least(subscribers: &[usize], counts: &[usize]) -> Option<usize> {
    subscribers.iter().copied().min_by_key(|at| counts[*at])
}

/// Moves one partition of a topic from who has most to who has least, if that evens them out.
fn even_out(
    topic: TopicId,
    subscribers: &[usize],
    assigned: &mut [Partitions],
    counts: &mut [usize],
) -> bool {
    let holders = subscribers.iter().copied();
    let holders = holders.filter(|at| assigned[*at].of(topic).is_some());
    let (Some(from), Some(to)) = (
        holders.max_by_key(|at| counts[*at]),
        least(subscribers, counts),
    ) else {
        return false;
    };
    if counts[from] < counts[to] + 2 {
        return false;
    }
    let Some(index) = assigned[from]
        .of(topic)
        .and_then(|held| held.last().copied())
    else {
        return false;
    };
    assigned[from].remove(topic, index);
    assigned[to].insert(topic, index);
    counts[from] -= 1;
    counts[to] += 1;
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn topic(number: u8) -> TopicId {
        TopicId([number; 16])
    }

    /// Assigns to members that each subscribe to some topics, after what each had.
    fn share(
        subscriptions: &[&[u8]],
        before: &[Partitions],
        topics: &[(u8, i32)],
    ) -> Vec<Partitions> {
        let ids: Vec<String> = (0..subscriptions.len())
            .map(|at| format!("m{at}"))
            .collect();
        let nothing = Partitions::default();
        let member = |(at, topics): (usize, &&[u8])| Subscriber {
            id: &ids[at],
            instance: None,
            topics: topics.iter().copied().map(topic).collect(),
            before: before.get(at).unwrap_or(&nothing),
        };
        let members: Vec<Subscriber> = subscriptions.iter().enumerate().map(member).collect();
        let topics = topics.iter().map(|(id, count)| (topic(*id), *count));
        let topics: BTreeMap<TopicId, i32> = topics.collect();
        let assigned = assign(&members, &topics);
        let mut seen = BTreeSet::new();
        for (member, assigned) in members.iter().zip(&assigned) {
            for (topic, index) in assigned.iter() {
                assert!(member.topics.contains(&topic) && index < topics[&topic]);
                assert!(seen.insert((topic, index)), "two have {topic} {index}");
            }
        }
        let read = |topic: &TopicId| members.iter().any(|m| m.topics.contains(topic));
        let there = topics.iter().filter(|(topic, _)| read(topic));
        let there: i32 = there.map(|(_, count)| count).sum();
        assert_eq!(
            seen.len(),
            usize::try_from(there).unwrap(),
            "nobody has some"
        );
        assigned
    }

    fn counts(assigned: &[Partitions]) -> Vec<usize> {
        assigned.iter().map(Partitions::len).collect()
    }

    /// Partitions that somebody else has now.
    fn moved(before: &[Partitions], after: &[Partitions]) -> usize {
        let pairs = before.iter().zip(after);
        pairs
            .map(|(before, after)| before.without(after).len())
            .sum()
    }

    #[test]
    fn who_subscribes_to_the_same_gets_as_much_within_one_and_moves_are_as_few_as_can_be() {
        for (partitions, members) in [(1, 3), (7, 2), (12, 5), (5, 5), (100, 7)] {
            let topics = [(1, partitions), (2, partitions + 3)];
            let all: Vec<&[u8]> = vec![&[1, 2]; members];
            let first = share(&all, &[], &topics);
            let even = |assigned: &[Partitions]| {
                let counts = counts(assigned);
                let (least, most) = (counts.iter().min(), counts.iter().max());
                most.unwrap() - least.unwrap() <= 1
            };
            assert!(even(&first));
            assert_eq!(share(&all, &first, &topics), first, "nothing changed");
            // One more: it gets its share and nothing else moves.
            let mut more = all.clone();
            more.push(&[1, 2]);
            let second = share(&more, &first, &topics);
            assert!(even(&second));
            assert_eq!(moved(&first, &second), second[members].len());
            // One less: only what it had moves.
            let fewer = share(&all[1..], &first[1..], &topics);
            assert!(members == 1 || even(&fewer));
            assert_eq!(moved(&first[1..], &fewer), 0);
        }
    }

    #[test]
    fn where_subscriptions_differ_everybody_gets_what_the_others_cannot_read() {
        let topics = [(1, 6), (2, 2)];
        let both_and_one = share(&[&[1], &[1, 2], &[2]], &[], &topics);
        assert_eq!(counts(&both_and_one), [3, 3, 2]);
        let crowded = share(&[&[1], &[1], &[1, 2]], &[], &topics);
        assert_eq!(counts(&crowded), [3, 2, 3]);
        assert!(crowded[2].contains(topic(2), 0) && crowded[2].contains(topic(2), 1));
        let nobody = share(&[&[]], &[], &topics);
        assert_eq!(counts(&nobody), [0]);
    }

    #[test]
    fn what_is_gone_or_not_subscribed_to_any_more_is_not_kept() {
        let before: Vec<Partitions> = vec![
            [(topic(1), 0), (topic(1), 9), (topic(2), 0)]
                .into_iter()
                .collect(),
            [(topic(1), 0), (topic(1), 1)].into_iter().collect(),
        ];
        let after = share(&[&[1], &[1]], &before, &[(1, 2)]);
        assert_eq!(counts(&after), [1, 1]);
        assert!(after[0].contains(topic(1), 0) && after[1].contains(topic(1), 1));
    }
}
