//! Replicas and leaders that move: what dropping one on a broker would do, what a move copies and what it puts at
//! risk, how far one is, and the way back once it has ended.
//!
//! Plain values of one picture, but for the actions at the end. A move is a reassignment: the new replicas are added,
//! copy the leader's log, join the ISR, and only then do the old ones go.

use egui::Key;

use super::actions::{Action, Keys};
use super::faults::{self, Offer, UNDO_MS, Verb};
use super::format;
use super::history::find_topic;
use super::replicas::{brokers, min_in_sync, state_word};
use super::scene::Scene;
use super::state::{Dialog, Undo};
use crate::ids::{BrokerId, Offset, PartitionIndex, Time};
use crate::inspect::{
    BrokerState, ClusterSnapshot, Command, CommandId, PartitionSnapshot, TopicSnapshot,
};

/// Moves whose end is watched for; the oldest is forgotten beyond this.
const WATCHED: usize = 64;

/// What dropping a replica on a broker would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Dropped {
    /// That broker leads from then on; nothing is copied.
    Lead(Offer),
    /// That broker gets the replica: the new replicas, the preferred leader first.
    Move(Vec<BrokerId>),
}

/// What dropping the replica that broker `from` holds on broker `to` would do, or why it cannot be dropped there.
pub fn on_drop(
    picture: &ClusterSnapshot,
    (topic, index): (&str, PartitionIndex),
    from: BrokerId,
    to: BrokerId,
) -> Result<Dropped, String> {
    let name = format!("{topic}-{index}");
    let Some((_, partition)) = find(picture, topic, index) else {
        return Err(format!("{name} no longer exists"));
    };
    takes(picture, to)?;
    let held = partition.replicas.iter().any(|one| one.broker == to);
    match held {
        true if partition.leader == Some(from) => {
            let unclean = faults::may_lead(picture, partition, to)?;
            Ok(Dropped::Lead(faults::elect(topic, index, to, unclean)))
        }
        true => Err(format!("broker {to} holds a replica of {name} already")),
        false if partition.removing.contains(&from) => {
            Err(format!("the replica on broker {from} goes already"))
        }
        false => {
            let there = |id: BrokerId| if id == from { to } else { id };
            Ok(Dropped::Move(
                target(partition).into_iter().map(there).collect(),
            ))
        }
    }
}

/// Whether a broker could take a replica; if not, why.
pub fn takes(picture: &ClusterSnapshot, id: BrokerId) -> Result<(), String> {
    let Some(broker) = picture.brokers.iter().find(|broker| broker.id == id) else {
        return Err(format!("broker {id} is no part of the cluster"));
    };
    match (&broker.state, broker.registration) {
        (BrokerState::Running, Some(one)) if one.fenced => Err(format!("broker {id} is fenced")),
        (BrokerState::Running, Some(_)) => Ok(()),
        (BrokerState::Running, None) => Err(format!("broker {id} is not registered yet")),
        (state, _) => Err(format!("broker {id} is {}", state_word(state))),
    }
}

/// A partition of the picture with its topic.
pub fn find<'a>(
    picture: &'a ClusterSnapshot,
    topic: &str,
    index: PartitionIndex,
) -> Option<(&'a TopicSnapshot, &'a PartitionSnapshot)> {
    let topic = find_topic(&picture.topics, topic)?;
    let partition = topic.partitions.iter().find(|p| p.index == index)?;
    Some((topic, partition))
}

/// Where a partition's replicas are when nothing moves any more.
pub fn target(partition: &PartitionSnapshot) -> Vec<BrokerId> {
    without(partition, &partition.removing)
}

/// Where they would be if the move was cancelled.
fn settled(partition: &PartitionSnapshot) -> Vec<BrokerId> {
    without(partition, &partition.adding)
}

fn without(partition: &PartitionSnapshot, left_out: &[BrokerId]) -> Vec<BrokerId> {
    let all = partition.replicas.iter().map(|replica| replica.broker);
    all.filter(|id| !left_out.contains(id)).collect()
}

/// Whether replicas of a partition are on their way.
pub fn is_moving(partition: &PartitionSnapshot) -> bool {
    !partition.adding.is_empty() || !partition.removing.is_empty()
}

/// What a move would do, before it is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub now: Vec<BrokerId>,
    pub then: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    leader: Option<BrokerId>,
    /// Whoever leads once it has ended.
    leader_then: Option<BrokerId>,
    /// Offsets of the leader's log; records, unless it was compacted.
    records: u64,
    bytes: u64,
    compacted: bool,
    /// min.insync.replicas.
    least: usize,
    in_sync: usize,
    in_sync_then: usize,
}

/// One line of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub label: &'static str,
    pub text: String,
    /// acks=all would be refused.
    pub bad: bool,
}

impl Preview {
    /// What moving a partition's replicas to `then`, the preferred leader first, would do.
    pub fn of(topic: &TopicSnapshot, partition: &PartitionSnapshot, then: &[BrokerId]) -> Preview {
        let now = settled(partition);
        let adding: Vec<BrokerId> = apart(then, &now);
        let removing = apart(&now, then);
        let in_sync_at_last = |id: &&BrokerId| partition.isr.contains(id) || adding.contains(id);
        let stays = partition.leader.filter(|leader| then.contains(leader));
        let mut configs = topic.configs.iter();
        Preview {
            leader: partition.leader,
            leader_then: stays.or(then.iter().find(in_sync_at_last).copied()),
            records: (partition.log_end - partition.log_start).unsigned_abs(),
            bytes: partition.bytes,
            compacted: configs.any(|c| c.name == "cleanup.policy" && c.value.contains("compact")),
            least: min_in_sync(topic),
            in_sync: partition.isr.len(),
            in_sync_then: then.iter().filter(in_sync_at_last).count(),
            then: then.to_vec(),
            now,
            adding,
            removing,
        }
    }

    /// Why it cannot be begun, if so.
    pub fn refusal(
        &self,
        picture: &ClusterSnapshot,
        partition: &PartitionSnapshot,
    ) -> Option<String> {
        if self.then.is_empty() {
            return Some("Choose at least one broker.".to_owned());
        }
        if self.then == target(partition) {
            return Some("Nothing is different yet.".to_owned());
        }
        if let Some(why) = self.adding.iter().find_map(|id| takes(picture, *id).err()) {
            return Some(format!("Nothing can be copied: {why}."));
        }
        let copies = !self.adding.is_empty() && self.leader.is_none();
        copies.then(|| "Nothing can be copied: nobody leads it.".to_owned())
    }

    /// Why acks=all would be refused on the way or at its end, if so.
    pub fn risk(&self) -> Option<String> {
        let Preview { least, in_sync, .. } = self;
        if in_sync < least {
            return Some(format!(
                "min.insync.replicas {least} does not hold: {in_sync} in sync now, so acks=all is refused"
            ));
        }
        let too_few = self.in_sync_then < *least;
        too_few.then(|| {
            format!(
                "min.insync.replicas {least} will not hold with {} in sync at the end: acks=all will be refused",
                self.in_sync_then
            )
        })
    }

    /// The move in a few lines, each with what it is about.
    pub fn lines(&self) -> Vec<Line> {
        let line = |label, text| Line {
            label,
            text,
            bad: false,
        };
        let mut lines = vec![
            line("Replicas now", list(&self.now)),
            line("Then", list(&self.then)),
            line("Copied", self.copied()),
        ];
        if !self.removing.is_empty() {
            let when = match self.adding.is_empty() {
                true => "at once".to_owned(),
                false => format!("once {} in sync", is_or_are(&self.adding)),
            };
            let text = format!("the copy on {}, {when}", brokers(&self.removing));
            lines.push(line("Deleted", text));
        }
        lines.push(line("Leader", self.leaders()));
        let risk = self.risk();
        lines.push(Line {
            label: "acks=all",
            bad: risk.is_some(),
            text: risk.unwrap_or_else(|| {
                format!(
                    "min.insync.replicas {} holds all the way: {} in sync now, {} at the end",
                    self.least, self.in_sync, self.in_sync_then
                )
            }),
        });
        lines
    }

    /// What goes over the wire, from whom to whom.
    pub fn copied(&self) -> String {
        if self.adding.is_empty() {
            return match self.removing.is_empty() {
                true => "nothing: only the preferred leader changes".to_owned(),
                false => "nothing".to_owned(),
            };
        }
        let most = if self.compacted { "at most " } else { "" };
        let each = if self.adding.len() > 1 { "each " } else { "" };
        let from = match self.leader {
            Some(leader) => format!(" from broker {leader}, the leader,"),
            None => String::new(),
        };
        format!(
            "{most}{}, {},{from} {each}to {}",
            format::counted(self.records, "record"),
            format::bytes(self.bytes),
            brokers(&self.adding)
        )
    }

    fn leaders(&self) -> String {
        match (self.leader, self.leader_then) {
            (Some(now), Some(then)) if now == then => format!("broker {now}, as now"),
            (Some(now), Some(then)) => {
                format!("broker {now} until then, broker {then} in a new leader epoch")
            }
            (None, Some(then)) => format!("nobody now, broker {then} then"),
            (_, None) => "nobody".to_owned(),
        }
    }
}

/// Those of `all` that are not among `others`.
fn apart(all: &[BrokerId], others: &[BrokerId]) -> Vec<BrokerId> {
    let new = all.iter().filter(|id| !others.contains(id));
    new.copied().collect()
}

fn list(ids: &[BrokerId]) -> String {
    let names: Vec<String> = ids.iter().map(BrokerId::to_string).collect();
    names.join(", ")
}

fn is_or_are(ids: &[BrokerId]) -> String {
    let verb = if ids.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", brokers(ids))
}

/// How far a replica that is being added has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub broker: BrokerId,
    /// Offsets it has of those the leader has.
    pub has: u64,
    pub of: u64,
    pub in_sync: bool,
}

impl Progress {
    /// Of one replica of a partition, if it is being added.
    pub fn of(partition: &PartitionSnapshot, id: BrokerId) -> Option<Progress> {
        let mut replicas = partition.replicas.iter();
        let replica = replicas.find(|one| one.broker == id && partition.adding.contains(&id))?;
        let begins = partition.log_start.max(Offset::ZERO);
        let of = (partition.log_end - begins).max(0).unsigned_abs();
        let has = (replica.log_end - begins).max(0).unsigned_abs();
        Some(Progress {
            broker: id,
            has: has.min(of),
            of,
            in_sync: replica.in_sync,
        })
    }

    /// Rounded down: 100 only where nothing is missing.
    pub fn percent(&self) -> u64 {
        match self.of {
            0 => 100,
            of => (u128::from(self.has) * 100 / u128::from(of)) as u64,
        }
    }

    /// `420 of 1,042 records (40 %)`.
    pub fn words(&self) -> String {
        if self.in_sync {
            return "in sync".to_owned();
        }
        let of = format::counted(self.of, "record");
        format!("{} of {of} ({} %)", format::count(self.has), self.percent())
    }
}

/// How far each replica that is being added has come.
pub fn progress(partition: &PartitionSnapshot) -> Vec<Progress> {
    let adding = partition.adding.iter();
    adding
        .filter_map(|id| Progress::of(partition, *id))
        .collect()
}

/// A move as a sentence: who takes over from whom, and how far it is.
pub fn sentence(partition: &PartitionSnapshot) -> String {
    let (adding, removing) = (&partition.adding, &partition.removing);
    let what = match (adding.is_empty(), removing.is_empty()) {
        (false, false) => format!("from {} to {}", brokers(removing), brokers(adding)),
        (false, true) => format!("also to {}", brokers(adding)),
        (true, _) => format!("away from {}", brokers(removing)),
    };
    let far = progress(partition).into_iter();
    let far = far.map(|one| format!("broker {}: {}", one.broker, one.words()));
    let parts: Vec<String> = std::iter::once(what).chain(far).collect();
    parts.join(" · ")
}

/// Takes a partition's move back, if it has one.
pub fn cancel(topic: &str, partition: &PartitionSnapshot) -> Option<Offer> {
    let index = partition.index;
    is_moving(partition).then(|| Offer {
        verb: Verb::CancelMove,
        short: "Cancel move".to_owned(),
        name: format!("Cancel the move of {topic}-{index}"),
        command: Command::CancelMove {
            topic: topic.to_owned(),
            partition: index,
        },
    })
}

/// A move begun in this window, until it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    topic: String,
    partition: PartitionIndex,
    before: Vec<BrokerId>,
    then: Vec<BrokerId>,
    command: CommandId,
    /// A picture has shown it under way.
    begun: bool,
}

/// What became of a watched move.
enum Fate {
    UnderWay,
    Ended,
    /// Refused, cancelled, replaced, or its topic is gone.
    Over,
}

impl Watched {
    fn see(&mut self, picture: &ClusterSnapshot) -> Fate {
        let mut outcomes = picture.outcomes.iter();
        if outcomes.any(|outcome| outcome.id == self.command && outcome.result.is_err()) {
            return Fate::Over;
        }
        let Some((_, partition)) = find(picture, &self.topic, self.partition) else {
            return Fate::Over;
        };
        match is_moving(partition) {
            true if target(partition) == self.then => {
                self.begun = true;
                Fate::UnderWay
            }
            false if target(partition) == self.then => Fate::Ended,
            _ if self.begun => Fate::Over,
            _ => Fate::UnderWay,
        }
    }

    /// The move back: what was deleted is copied again.
    fn undo(&self, now: Time) -> Undo {
        Undo {
            what: format!(
                "{}-{} is on {} now",
                self.topic,
                self.partition,
                brokers(&self.then)
            ),
            command: Command::MoveReplicas {
                topic: self.topic.clone(),
                partition: self.partition,
                brokers: self.before.clone(),
            },
            until: now.plus_ms(UNDO_MS),
        }
    }
}

/// Looks what became of the moves begun here: the way back from the one that ended last.
pub fn see(watched: &mut Vec<Watched>, now: Time, picture: &ClusterSnapshot) -> Option<Undo> {
    let mut undo = None;
    watched.retain_mut(|one| match one.see(picture) {
        Fate::UnderWay => true,
        Fate::Over => false,
        Fate::Ended => {
            undo = Some(one.undo(now));
            false
        }
    });
    undo
}

/// Begins a move from the open dialog and watches for its end.
pub fn begin(scene: &mut Scene<'_>, topic: &str, partition: &PartitionSnapshot, then: &[BrokerId]) {
    let index = partition.index;
    scene.send_from_dialog(Command::MoveReplicas {
        topic: topic.to_owned(),
        partition: index,
        brokers: then.to_vec(),
    });
    let Some(command) = scene.state.dialog_sent.as_ref().map(|sent| sent.id) else {
        return;
    };
    let watched = &mut scene.state.moves;
    watched.retain(|one| (one.topic.as_str(), one.partition) != (topic, index));
    if watched.len() == WATCHED {
        watched.remove(0);
    }
    watched.push(Watched {
        topic: topic.to_owned(),
        partition: index,
        before: settled(partition),
        then: then.to_vec(),
        command,
        begun: false,
    });
}

/// The partition that is selected or holds what is, if its replicas can be moved.
fn selected<'a>(scene: &'a Scene<'_>) -> Option<(&'a str, &'a PartitionSnapshot)> {
    let selection = &scene.state.selection;
    let (topic, index) = (selection.topic()?, selection.partition()?);
    let (_, partition) = find(scene.picture, topic, index)?;
    scene.abilities.break_things.then_some((topic, partition))
}

/// Opens the dialog that moves the replicas of the selected partition.
pub fn open_reassign(scene: &mut Scene<'_>) {
    let dialog =
        selected(scene).map(|(topic, p)| Dialog::Reassign(topic.to_owned(), p.index, target(p)));
    scene.state.dialog = dialog.or(scene.state.dialog.take());
}

/// Opens the dialog that moves the leader of the selected partition.
pub fn open_move_leader(scene: &mut Scene<'_>) {
    let dialog = selected(scene).map(|(topic, p)| Dialog::MoveLeader(topic.to_owned(), p.index));
    scene.state.dialog = dialog.or(scene.state.dialog.take());
}

/// Keys for the selected partition.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "Reassign this partition's replicas",
        group: "Replicas",
        keys: Some(Keys::plain(Key::M)),
        can: |scene| selected(scene).is_some(),
        run: open_reassign,
    },
    Action {
        name: "Move this partition's leader",
        group: "Replicas",
        keys: Some(Keys::shift(Key::M)),
        can: |scene| selected(scene).is_some_and(|(_, p)| p.replicas.len() > 1),
        run: open_move_leader,
    },
    Action {
        name: "Cancel this partition's move",
        group: "Replicas",
        keys: Some(Keys::plain(Key::X)),
        can: |scene| selected(scene).is_some_and(|(_, p)| is_moving(p)),
        run: |scene| {
            let offer = selected(scene).and_then(|(topic, p)| cancel(topic, p));
            if let Some(offer) = offer {
                faults::perform(scene, &offer);
            }
        },
    },
];

#[cfg(test)]
mod tests;
