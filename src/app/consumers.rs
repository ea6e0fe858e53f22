//! klar's own consumers in words and sums, and what can be done to one: what several places say and offer alike.
//!
//! Only what pictures say. No egui.

use super::format;
use super::history::find_topic;
use super::scene::Scene;
use super::state::Undo;
use crate::inspect::{
    ClusterSnapshot, Command, ConsumerReads, ConsumerSnapshot, ConsumerState, MemberProtocol,
};

/// Milliseconds during which another one is offered in place of one that crashed or left.
const UNDO_MS: i64 = 20_000;

/// Something to do to a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Pause,
    Resume,
    Crash,
    Remove,
    /// Another one with the same plan.
    Again,
}

impl Act {
    /// As a button says it.
    pub fn word(self) -> &'static str {
        match self {
            Act::Pause => "Pause",
            Act::Resume => "Resume",
            Act::Crash => "Crash",
            Act::Remove => "Remove",
            Act::Again => "Start again",
        }
    }

    /// What it does, for whoever hovers over it.
    pub fn why(self) -> &'static str {
        match self {
            Act::Pause => "Takes no records, stays in its group and keeps its partitions.",
            Act::Resume => "Goes on where it stopped.",
            Act::Crash => {
                "Ends it on the spot, as kill -9 ends a process: nothing is committed, nobody is told. Its group \
                 finds out after the session timeout."
            }
            Act::Remove => "Commits what it has processed, leaves its group and ends.",
            Act::Again => "Starts another one with the same plan.",
        }
    }
}

/// What can be done to a consumer now.
pub fn acts(state: ConsumerState) -> &'static [Act] {
    match state {
        ConsumerState::Running => &[Act::Pause, Act::Crash, Act::Remove],
        ConsumerState::Paused => &[Act::Resume, Act::Crash, Act::Remove],
        ConsumerState::Stopping => &[Act::Crash],
        _ => &[Act::Again],
    }
}

/// Does it. Who crashes or leaves can be followed by another one with the same plan.
pub fn perform(scene: &mut Scene<'_>, consumer: &ConsumerSnapshot, act: Act) {
    let id = consumer.id;
    let again = Command::StartConsumer {
        plan: consumer.plan.clone(),
        members: 1,
    };
    let (command, ends) = match act {
        Act::Pause => (Command::PauseConsumer { id }, None),
        Act::Resume => (Command::ResumeConsumer { id }, None),
        Act::Crash => (Command::CrashConsumer { id }, Some("crashed")),
        Act::Remove => (Command::StopConsumer { id }, Some("leaves")),
        Act::Again => (again.clone(), None),
    };
    if scene.send(command).is_some()
        && let Some(ends) = ends
    {
        scene.state.undo = Some(Undo {
            what: format!("Consumer {id} {ends}; undo starts another"),
            command: again,
            until: scene.wall.plus_ms(UNDO_MS),
        });
    }
}

/// A state in a word.
pub fn state_word(state: ConsumerState) -> &'static str {
    match state {
        ConsumerState::Running => "running",
        ConsumerState::Paused => "paused",
        ConsumerState::Stopping => "leaving",
        ConsumerState::Stopped => "stopped",
        ConsumerState::Crashed => "crashed",
        ConsumerState::Failed => "failed",
    }
}

/// Where it belongs, or since when it does not any more: `billing · stable · generation 4`, `standalone`,
/// `billing · 12 s ago, not missed yet`.
pub fn place(scene: &Scene<'_>, consumer: &ConsumerSnapshot) -> String {
    let group = consumer.plan.group().unwrap_or("standalone");
    if !consumer.state.is_alive() {
        let ago = format::ago(scene.now, consumer.since);
        let missed = match is_awaited(consumer, scene.picture) {
            true => ", not missed yet",
            false => "",
        };
        return format!("{group} · {ago}{missed}");
    }
    let (ConsumerReads::Group(plan), Some(member)) = (&consumer.plan.reads, &consumer.member)
    else {
        return group.to_owned();
    };
    let generation = match (&plan.protocol, member.generation) {
        (_, -1) => String::new(),
        (MemberProtocol::Consumer { .. }, epoch) => format!(" · epoch {epoch}"),
        (_, generation) => format!(" · generation {generation}"),
    };
    format!("{group} · {}{generation}", member.state)
}

/// Whether its coordinator counts on one that is not there any more.
pub fn is_awaited(consumer: &ConsumerSnapshot, picture: &ClusterSnapshot) -> bool {
    let group = consumer.plan.group().and_then(|name| picture.group(name));
    let (Some(group), Some(member)) = (group, &consumer.member) else {
        return false;
    };
    consumer.state == ConsumerState::Crashed && group.members.iter().any(|m| m.id == member.id)
}

/// What it has to read: `orders 0, 1; clicks 4`.
pub fn owns(consumer: &ConsumerSnapshot) -> String {
    let mut words = String::new();
    let mut before = "";
    for shown in &consumer.partitions {
        if before == shown.topic {
            words.push_str(", ");
        } else {
            let gap = if before.is_empty() { "" } else { "; " };
            words.push_str(&format!("{gap}{} ", shown.topic));
            before = &shown.topic;
        }
        words.push_str(&shown.partition.to_string());
    }
    let hidden = (consumer.partition_count as usize).saturating_sub(consumer.partitions.len());
    if hidden > 0 {
        words.push_str(&format!(" and {} more", format::count(hidden as u64)));
    }
    match words.is_empty() {
        true => "no partitions".to_owned(),
        false => words,
    }
}

/// Records between what it has processed and the high watermarks of its partitions; `None` while that is not known
/// of any.
pub fn lag(consumer: &ConsumerSnapshot, picture: &ClusterSnapshot) -> Option<i64> {
    let one = |shown: &crate::inspect::ConsumedPartition| {
        let topic = find_topic(&picture.topics, &shown.topic)?;
        let index = usize::try_from(shown.partition.0).ok()?;
        let partition = topic.partitions.get(index)?;
        let from = shown.position?.max(partition.log_start);
        Some((partition.high_watermark - from).max(0))
    };
    let known: Vec<i64> = consumer.partitions.iter().filter_map(one).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// What its numbers come to: `1,042 records · 9.8/s · lag 312`.
pub fn numbers(scene: &Scene<'_>, consumer: &ConsumerSnapshot) -> String {
    let mut words = vec![format::counted(consumer.records, "record")];
    if consumer.state == ConsumerState::Running {
        words.push(format::rate(scene.consumer_rate(consumer)));
    }
    if consumer.state == ConsumerState::Crashed && consumer.in_hand > 0 {
        words.push(format!("{} unprocessed", format::count(consumer.in_hand)));
    }
    if consumer.state.is_alive()
        && let Some(lag) = lag(consumer, scene.picture)
    {
        words.push(format!("lag {}", format::signed(lag)));
    }
    words.join(" · ")
}

/// Members of a group that klar runs and can stop.
pub fn stoppable<'a>(group: &str, picture: &'a ClusterSnapshot) -> Vec<&'a ConsumerSnapshot> {
    let of_group = picture.consumers.iter();
    let of_group = of_group.filter(|one| one.plan.group() == Some(group));
    let stays = |state| matches!(state, ConsumerState::Running | ConsumerState::Paused);
    of_group.filter(|one| stays(one.state)).collect()
}

/// The selected consumer: itself, or as a member of its group.
pub fn selected(scene: &Scene<'_>) -> Option<ConsumerSnapshot> {
    use super::state::Selection;
    let picture = scene.picture;
    let found = match &scene.state.selection {
        Selection::Consumer(id) => picture.consumers.iter().find(|one| one.id == *id),
        Selection::Member(group, member) => picture.own_member(group, member),
        _ => None,
    };
    found.cloned()
}
