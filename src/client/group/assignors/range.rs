//! `range`: of each topic every member gets a stretch, the first ones one partition more (Kafka's `RangeAssignor`).

use std::collections::BTreeMap;

use super::{Plan, Subscriber, by_instance_then_id, empty_plan, partitions};

pub(super) fn assign(topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Plan {
    let mut plan = empty_plan(members);
    let mut sorted: Vec<&Subscriber> = members.iter().collect();
    sorted.sort_by(|a, b| by_instance_then_id(a, b));
    for (topic, count) in topics {
        let readers: Vec<_> = sorted.iter().filter(|m| m.topics.contains(topic)).collect();
        if readers.is_empty() {
            continue;
        }
        let count = usize::try_from(*count).unwrap_or(0);
        let (each, more) = (count / readers.len(), count % readers.len());
        let mut places = partitions(topic, count as i32);
        for (at, reader) in readers.iter().enumerate() {
            let share = each + usize::from(at < more);
            plan.entry(reader.id.clone())
                .or_default()
                .extend(places.by_ref().take(share));
        }
    }
    plan
}
