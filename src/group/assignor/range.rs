//! The assignor `range`: of each topic neighbouring partitions for each member that subscribes to it.
//!
//! Members stand in a fixed order, static ones first by instance, so that one that starts again under another member
//! id gets what it had. Racks are ignored.

use std::collections::BTreeMap;

use super::super::partitions::Partitions;
use super::Subscriber;
use crate::ids::TopicId;

pub(super) fn assign(members: &[Subscriber], topics: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| {
        let member = &members[*at];
        (member.instance.is_none(), member.instance, member.id)
    });
    let mut assigned = vec![Partitions::default(); members.len()];
    for (topic, partitions) in topics {
        let subscribes = |at: &&usize| members[**at].topics.contains(topic);
        let subscribers: Vec<usize> = order.iter().filter(subscribes).copied().collect();
        let Ok(count) = i32::try_from(subscribers.len()) else {
            continue;
        };
        if count == 0 {
            continue;
        }
        let (each, mut extra) = (partitions / count, partitions % count);
        let mut next = 0;
        for at in subscribers {
            let end = next + each + i32::from(extra > 0);
            extra -= 1;
            for index in next..end {
                assigned[at].insert(*topic, index);
            }
            next = end;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const A: TopicId = TopicId([1; 16]);
    const B: TopicId = TopicId([2; 16]);

    #[test]
    fn topics_with_as_many_partitions_are_split_alike_and_static_members_come_first() {
        let none = Partitions::default();
        let member = |id, instance| Subscriber {
            id,
            instance,
            topics: BTreeSet::from([A, B]),
            before: &none,
        };
        let members = [
            member("a", None),
            member("z", Some("one")),
            member("b", None),
        ];
        let topics = BTreeMap::from([(A, 4), (B, 4)]);
        let assigned = assign(&members, &topics);
        let both = |indexes: &[i32]| -> Partitions {
            let one = |index: &i32| [(A, *index), (B, *index)];
            indexes.iter().flat_map(one).collect()
        };
        assert_eq!(assigned, [both(&[2]), both(&[0, 1]), both(&[3])]);
    }

    #[test]
    fn who_does_not_subscribe_gets_nothing_and_more_members_than_partitions_go_empty() {
        let none = Partitions::default();
        let member = |id, topics: &[TopicId]| Subscriber {
            id,
            instance: None,
            topics: topics.iter().copied().collect(),
            before: &none,
        };
        let members = [member("a", &[A]), member("b", &[A, B]), member("c", &[A])];
        let topics = BTreeMap::from([(A, 2), (B, 1)]);
        let assigned = assign(&members, &topics);
        let wanted: [Partitions; 3] = [
            [(A, 0)].into_iter().collect(),
            [(A, 1), (B, 0)].into_iter().collect(),
            Partitions::default(),
        ];
        assert_eq!(assigned, wanted);
    }
}
