//! Pulling the plug: every broker ends at once, every file is cut to what was synced, those that ran start again.
//!
//! Until the last broker has ended and the files are cut no other command about brokers is taken.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::{ASKED, failed, killed};
use super::{Brokers, Concluded, Member};
use crate::cluster::outage::{self, Files, Loss, LostRecords, Outage, Partition};
use crate::ids::{BrokerId, Offset};
use crate::inspect::{CommandId, Durability, EventKind, share};
use crate::runtime::Medium;

/// Partitions of which a loss is told one by one; the outcome counts all.
const LOSSES_TOLD: usize = 100;

/// Why brokers die of it.
const PULLED: &str = "the plug was pulled";

/// What happens while the plug is out.
#[derive(Debug)]
pub(super) struct Plug {
    id: CommandId,
    /// Brokers that have not ended yet.
    awaits: BTreeSet<BrokerId>,
    /// Brokers that ran.
    again: Vec<BrokerId>,
    ran: u32,
}

impl Brokers {
    pub(super) fn pull_plug(&mut self, id: CommandId) {
        let alive = self.members.iter().filter(|(_, member)| member.is_alive());
        let again: Vec<BrokerId> = alive.map(|(id, _)| *id).collect();
        if again.is_empty() {
            let failure = failed("NOTHING_RUNS", "no broker runs".to_owned());
            return self.concluded.push(Concluded::failed(id, failure));
        }
        for broker in &again {
            let Some(member) = self.members.get_mut(broker) else {
                continue;
            };
            member.again = false;
            if member.kill() {
                self.notes.push((Some(*broker), killed(PULLED)));
            }
        }
        self.plug = Some(Plug {
            id,
            awaits: again.iter().copied().collect(),
            ran: u32::try_from(again.len()).unwrap_or(u32::MAX),
            again,
        });
    }

    /// A broker has ended. With the last one nothing is written any more, and files can be cut.
    pub(super) fn count_out(&mut self, id: BrokerId) {
        let Some(plug) = &mut self.plug else {
            return;
        };
        if !plug.awaits.remove(&id) || !plug.awaits.is_empty() {
            return;
        }
        if self.recipe.durability == Durability::Memory {
            let loss = self.forget_memory();
            return self.put_plug_in(&loss);
        }
        let mut files = Vec::new();
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            let (dir, blank) = (self.dir_of(id), self.recipe.blank());
            let member = self.members.get_mut(&id).expect("its key was just there");
            if let Medium::Files(unsynced) = std::mem::replace(&mut member.medium, blank) {
                files.push(Files { dir, unsynced });
            }
        }
        let outage = Outage {
            brokers: files,
            committed: self.committed(),
        };
        if let Err(error) = outage::begin(outage, self.found.clone()) {
            self.put_plug_in(&Loss {
                trouble: Some(error.to_string()),
                ..Loss::default()
            });
        }
    }

    /// Up to where each partition was committed, as its leaders saw it when they died.
    fn committed(&self) -> BTreeMap<Partition, Offset> {
        let mut committed: BTreeMap<Partition, Offset> = BTreeMap::new();
        for (topic, partition) in self.members.values().flat_map(Member::led) {
            let name = (topic.name.clone(), partition.index);
            let end = committed.entry(name).or_default();
            *end = partition.high_watermark.max(*end);
        }
        committed
    }

    /// Whatever brokers had in memory only is gone, also of those that were dead.
    fn forget_memory(&mut self) -> Loss {
        let mut ends: BTreeMap<Partition, (Offset, Offset)> = BTreeMap::new();
        for (topic, partition) in self.members.values().flat_map(Member::led) {
            let name = (topic.name.clone(), partition.index);
            let end = ends
                .entry(name)
                .or_insert((partition.log_start, partition.log_end));
            *end = (end.0.min(partition.log_start), end.1.max(partition.log_end));
        }
        let committed = self.committed();
        let lost = |(name, (from, below)): (Partition, (Offset, Offset))| {
            let committed = committed.get(&name).copied();
            LostRecords::between(name, from, below, committed)
        };
        let partitions = ends.into_iter().filter_map(lost).collect();
        for member in self.members.values_mut() {
            member.medium = self.recipe.blank();
        }
        Loss {
            partitions,
            ..Loss::default()
        }
    }

    /// What was not synced is gone: tells of it, and starts what ran.
    pub(super) fn put_plug_in(&mut self, loss: &Loss) {
        let Some(plug) = self.plug.take() else {
            return;
        };
        self.notes.push((
            None,
            EventKind::PlugPulled {
                durability: self.recipe.durability,
                brokers: plug.ran,
                files: loss.files,
                bytes: loss.bytes,
                cause: ASKED.to_owned(),
            },
        ));
        for lost in loss.partitions.iter().take(LOSSES_TOLD) {
            let (topic, partition) = lost.partition.clone();
            self.notes.push((
                None,
                EventKind::RecordsLost {
                    topic,
                    partition,
                    from: lost.from,
                    below: lost.below,
                    committed: lost.committed,
                    cause: PULLED.to_owned(),
                },
            ));
        }
        let ids: Vec<BrokerId> = self.members.keys().copied().collect();
        for dead in ids.iter().filter(|id| !plug.again.contains(id)) {
            self.look_for_remains(*dead);
        }
        let mut failures = Vec::new();
        for broker in plug.again {
            if let Err(failure) = self.start_again(broker) {
                self.fail(broker, &failure);
                failures.push(failure.what);
            }
        }
        let trouble = loss.trouble.as_ref();
        failures.extend(trouble.map(|why| format!("not every file could be cut: {why}")));
        let concluded = match failures.is_empty() {
            true => Concluded::done(plug.id, told(plug.ran, loss)),
            false => Concluded::failed(plug.id, failed("PLUG", failures.join("; "))),
        };
        self.concluded.push(concluded);
    }

    /// The program stops: nothing starts again.
    pub(super) fn leave_plug_out(&mut self) {
        if let Some(plug) = &mut self.plug {
            plug.again.clear();
        }
    }
}

/// What went, as an outcome says it.
fn told(brokers: u32, loss: &Loss) -> String {
    let records: u64 = loss.partitions.iter().map(LostRecords::records).sum();
    let committed: u64 = loss.partitions.iter().map(|lost| lost.committed).sum();
    let ended = match brokers {
        1 => "1 broker starts".to_owned(),
        _ => format!("{brokers} brokers start"),
    };
    let of = match loss.partitions.len() {
        0 => {
            return format!(
                "The plug was pulled, and {ended} again: no record is lost: each is still in some copy."
            );
        }
        1 => "1 partition".to_owned(),
        partitions => format!("{partitions} partitions"),
    };
    let went = match records {
        1 => {
            let was = if committed == 0 { "was not" } else { "was" };
            format!("1 record of {of} is in no copy any more, and it {was} committed")
        }
        _ => {
            let share = share(committed, records);
            format!("{records} records of {of} are in no copy any more, {share} of them committed")
        }
    };
    format!("The plug was pulled, and {ended} again: {went}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartitionIndex;

    #[test]
    fn an_outcome_counts_what_went() {
        let lost = |from, below, committed| {
            let partition = ("t".to_owned(), PartitionIndex(0));
            LostRecords::between(partition, Offset(from), Offset(below), committed)
        };
        let told = |partitions: &[Option<LostRecords>]| {
            let partitions = partitions.iter().flatten().cloned().collect();
            let told = told(
                3,
                &Loss {
                    partitions,
                    ..Loss::default()
                },
            );
            told.split_once(": ").map(|(_, went)| went.to_owned())
        };
        for (partitions, expected) in [
            (vec![], "no record is lost: each is still in some copy."),
            (
                vec![lost(2, 3, Some(Offset(3)))],
                "1 record of 1 partition is in no copy any more, and it was committed.",
            ),
            (
                vec![lost(2, 3, None), lost(0, 4, Some(Offset(2)))],
                "5 records of 2 partitions are in no copy any more, 2 of them committed.",
            ),
            (
                vec![lost(2, 4, Some(Offset(4)))],
                "2 records of 1 partition are in no copy any more, all of them committed.",
            ),
        ] {
            assert_eq!(told(&partitions).as_deref(), Some(expected));
        }
    }
}
