//! `roundrobin`: all partitions of all topics go round the members in turn (Kafka's `RoundRobinAssignor`).

use std::collections::BTreeMap;

use super::{Plan, Subscriber, by_instance_then_id, empty_plan, partitions};

pub(super) fn assign(topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Plan {
    let mut plan = empty_plan(members);
    let mut sorted: Vec<&Subscriber> = members.iter().collect();
    sorted.sort_by(|a, b| by_instance_then_id(a, b));
    let mut turn = 0;
    for (topic, count) in topics {
        if !sorted.iter().any(|m| m.topics.contains(topic)) {
            continue;
        }
        for place in partitions(topic, *count) {
            while !sorted[turn % sorted.len()].topics.contains(topic) {
                turn += 1;
            }
            let reader = sorted[turn % sorted.len()];
            plan.entry(reader.id.clone()).or_default().push(place);
            turn += 1;
        }
    }
    plan
}
