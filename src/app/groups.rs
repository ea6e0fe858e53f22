//! Consumer groups in words and sums: what several views say of them alike.
//!
//! Only what pictures say. No egui.

use std::collections::BTreeMap;

use super::consumers;
use super::format;
use super::history::find_topic;
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{
    ClusterSnapshot, ConsumerState, GroupLag, GroupMember, GroupSnapshot, GroupType,
};

/// A partition a group has committed an offset of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    pub committed: Offset,
    pub log_start: Offset,
    /// The high watermark.
    pub end: Offset,
}

impl Reads<'_> {
    /// As [`GroupLag::lag`].
    pub fn lag(&self) -> i64 {
        (self.end - self.committed).max(0)
    }

    /// As [`GroupLag::to_receive`].
    pub fn to_receive(&self) -> i64 {
        (self.end - self.committed.max(self.log_start)).max(0)
    }
}

/// Every committed offset of a partition that exists, by topic and partition. Cheaper than
/// [`GroupSnapshot::lags`]: a topic is looked up once, and nobody asks who owns what.
pub fn each_committed<'a>(
    group: &'a GroupSnapshot,
    picture: &ClusterSnapshot,
    mut each: impl FnMut(Reads<'a>),
) {
    let mut found = None;
    for offset in &group.offsets {
        if !matches!(found, Some((topic, _)) if topic == offset.topic.as_str()) {
            let topic = find_topic(&picture.topics, &offset.topic);
            found = Some((offset.topic.as_str(), topic));
        }
        let Some((topic, Some(shown))) = found else {
            continue;
        };
        let index = usize::try_from(offset.partition.0).unwrap_or(usize::MAX);
        let Some(partition) = shown.partitions.get(index) else {
            continue;
        };
        each(Reads {
            topic,
            partition: offset.partition,
            committed: offset.committed,
            log_start: partition.log_start,
            end: partition.high_watermark,
        });
    }
}

/// Offsets a group is behind, over everything it has committed.
pub fn lag_total(group: &GroupSnapshot, picture: &ClusterSnapshot) -> i64 {
    let mut total = 0;
    each_committed(group, picture, |reads| total += reads.lag());
    total
}

/// How many records the group will be given at most, of everything it has committed.
pub fn receives_total(group: &GroupSnapshot, picture: &ClusterSnapshot) -> i64 {
    let mut total = 0;
    each_committed(group, picture, |reads| total += reads.to_receive());
    total
}

/// Every partition a group reads, has read or would read: those of subscribed topics that nobody owns, too.
pub fn partitions<'a>(group: &'a GroupSnapshot, picture: &'a ClusterSnapshot) -> Vec<GroupLag<'a>> {
    let mut all = group.lags(picture);
    let subscribed = group.members.iter().flat_map(|member| &member.subscribed);
    let subscribed: std::collections::BTreeSet<&String> = subscribed.collect();
    let known = all.len();
    for name in subscribed {
        let Some(topic) = find_topic(&picture.topics, name) else {
            continue;
        };
        for p in &topic.partitions {
            let key = (topic.name.as_str(), p.index);
            let is_known = all[..known]
                .binary_search_by(|lag| (lag.topic, lag.partition).cmp(&key))
                .is_ok();
            if !is_known {
                all.push(GroupLag {
                    topic: &topic.name,
                    partition: p.index,
                    owner: None,
                    committed: None,
                    log_start: p.log_start,
                    end: p.high_watermark,
                });
            }
        }
    }
    all.sort_by_key(|lag| (lag.topic, lag.partition));
    all
}

/// What members are called: their static name or client id, and where several have the same, the end of the member id.
pub fn member_names(group: &GroupSnapshot) -> Vec<String> {
    let plain = |member: &GroupMember| match &member.instance {
        Some(instance) => instance.clone(),
        None if member.client_id.is_empty() => "no client id".to_owned(),
        None => member.client_id.clone(),
    };
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for member in &group.members {
        *times.entry(plain(member)).or_default() += 1;
    }
    let name = |member: &GroupMember| {
        let name = plain(member);
        match times.get(&name) {
            Some(1) | None => name,
            Some(_) => format!("{name} …{}", id_end(&member.id)),
        }
    };
    group.members.iter().map(name).collect()
}

/// The end of a member id, which tells members with the same client id apart.
pub fn id_end(id: &str) -> &str {
    let at = id.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    &id[at..]
}

/// Software of the connections with a client id, if they agree: the protocol of groups does not tell it.
pub fn software<'a>(picture: &'a ClusterSnapshot, client_id: &str) -> Option<&'a str> {
    let mut same = picture.connections.iter();
    let mut same = same.by_ref().filter(|c| c.client_id == client_id);
    let first = same.next()?.software.as_str();
    (!first.is_empty() && same.all(|c| c.software == first)).then_some(first)
}

/// The line below a member's name: what is special about it, its software, its host.
pub fn member_facts(
    picture: &ClusterSnapshot,
    group: &GroupSnapshot,
    member: &GroupMember,
    idle: bool,
) -> String {
    let mut facts = Vec::new();
    if let Some(own) = picture.own_member(&group.group, &member.id) {
        facts.push("klar's own".to_owned());
        if own.state != ConsumerState::Running {
            facts.push(consumers::state_word(own.state).to_owned());
        }
    }
    if idle {
        facts.push("idle".to_owned());
    }
    if member.instance.is_some() {
        facts.push("static".to_owned());
    }
    if let Some(software) = software(picture, &member.client_id) {
        facts.push(software.to_owned());
    }
    facts.push(host(member).to_owned());
    facts.join(" · ")
}

/// A member's host as a person writes it.
pub fn host(member: &GroupMember) -> &str {
    member.host.trim_start_matches('/')
}

/// Kafka's name of a state, as words: `preparing rebalance`.
pub fn state_words(state: &str) -> String {
    let mut words = String::new();
    for c in state.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// How members agree, in a word.
pub fn kind_word(kind: GroupType) -> &'static str {
    match kind {
        GroupType::Classic => "classic",
        GroupType::Consumer => "consumer",
    }
}

/// The line beside a group's name.
pub fn facts(group: &GroupSnapshot) -> String {
    let mut facts = vec![
        state_words(&group.state),
        match group.kind {
            GroupType::Classic => format!("generation {}", group.generation),
            GroupType::Consumer => format!("epoch {}", group.generation),
        },
    ];
    if !group.assignor.is_empty() {
        facts.push(group.assignor.clone());
    }
    let classic = group.members.iter();
    let classic = classic.filter(|m| m.protocol == GroupType::Classic).count();
    if group.kind == GroupType::Consumer && classic > 0 {
        facts.push(format!(
            "{classic} of {} members speak the classic protocol",
            group.members.len()
        ));
    }
    let at = format!("(__consumer_offsets-{})", group.offsets_partition);
    facts.push(match group.orphaned {
        false => format!("coordinator broker {} {at}", group.coordinator),
        true => format!(
            "no coordinator since broker {} died {at}",
            group.coordinator
        ),
    });
    facts.join(" · ")
}

/// Why members without partitions have none; `None` when all have some.
pub fn idle_sentence(
    group: &GroupSnapshot,
    picture: &ClusterSnapshot,
    names: &[String],
) -> Option<String> {
    let idle = group.members.iter().zip(names);
    let idle: Vec<(&GroupMember, &String)> = idle
        .filter(|(member, _)| member.assigned.iter().all(|a| a.partitions.is_empty()))
        .collect();
    let (first, name) = idle.first()?;
    let who = match idle.len() {
        1 => format!("{name} owns nothing"),
        2 => format!("{name} and {} own nothing", idle[1].1),
        several => format!("{name} and {} others own nothing", several - 1),
    };
    if group.state != "Stable" {
        let state = state_words(&group.state);
        return Some(format!(
            "{who} yet: the group is {state}, and members get their partitions when that is over."
        ));
    }
    let topics = &first.subscribed;
    let found = |name: &String| find_topic(&picture.topics, name);
    let missing: Vec<&str> = topics
        .iter()
        .filter(|name| found(name).is_none())
        .map(String::as_str)
        .collect();
    if topics.is_empty() {
        return Some(format!("{who}: it subscribes to no topic."));
    }
    if missing.len() == topics.len() {
        let missing = missing.join(", ");
        return Some(format!("{who}: {missing} does not exist."));
    }
    let counts = topics.iter().filter_map(found).map(|topic| {
        let partitions = topic.partitions.len() as u64;
        format!(
            "{} has {}",
            topic.name,
            format::counted(partitions, "partition")
        )
    });
    let counts: Vec<String> = counts.collect();
    let rule = "a partition has at most one owner in a group. Add partitions to give it work.";
    let them = match idle.len() {
        1 => rule.to_owned(),
        _ => rule.replace("give it work", "give them work"),
    };
    Some(format!("{who}: {}, and {them}", counts.join(", ")))
}

/// `group.initial.rebalance.delay.ms` of a group's coordinator.
pub fn rebalance_delay<'a>(group: &GroupSnapshot, picture: &'a ClusterSnapshot) -> Option<&'a str> {
    let mut brokers = picture.brokers.iter();
    let broker = brokers.find(|broker| broker.id == group.coordinator)?;
    let mut settings = broker.settings.iter();
    let found = settings.find(|(name, ..)| name == "group.initial.rebalance.delay.ms");
    found.map(|(_, value, _)| value.as_str())
}

/// Seconds as people say them, told apart from what is known.
pub fn about_seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.05 => "0 s".to_owned(),
        s if s < 10.0 => format!("≈ {s:.1} s"),
        s => {
            let words = format::duration_ms(s.round() as u64 * 1_000);
            format!("≈ {}", words.trim_start_matches("≈ "))
        }
    }
}
