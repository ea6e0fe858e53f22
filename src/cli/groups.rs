//! `klar ctl groups`: consumer groups as the running klar has them, and their offsets moved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::control::{CtlError, carry_out, partition, print_line, snapshot};
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{Command, Place, ResetRow, ResetTo};

#[derive(Debug, Subcommand)]
pub enum Groups {
    /// Print each group's name, state, members, lag and coordinator
    List,
    /// Print a group's members, and each partition with committed offset, log end, lag, owner and what it will receive
    Describe { group: String },
    /// Move what a group has committed, and print each partition before and after
    Reset(ResetArguments),
    /// Delete a group with its offsets; refused while it has members
    Delete {
        group: String,
        /// Yes, forget what it has committed
        #[arg(long)]
        yes: bool,
    },
    /// Forget what a group has committed for partitions, such as `delete-offsets billing orders-0`
    DeleteOffsets {
        group: String,
        #[arg(value_name = "TOPIC-P", required = true, value_parser = partition)]
        partitions: Vec<(String, PartitionIndex)>,
        /// Yes, forget them
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct ResetArguments {
    group: String,
    #[command(flatten)]
    to: To,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only this partition, such as orders-0; may be repeated
    #[arg(long = "partition", value_name = "TOPIC-P", value_parser = partition)]
    partitions: Vec<(String, PartitionIndex)>,
    /// Print what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To the log start
    #[arg(long)]
    to_earliest: bool,
    /// To the high watermark
    #[arg(long)]
    to_latest: bool,
    /// To the first record written at this moment or later, milliseconds since the Unix epoch
    #[arg(long, value_name = "MS")]
    to_time_ms: Option<i64>,
    /// So many offsets on, or back: `--shift-by -100`
    #[arg(long, value_name = "OFFSETS", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To this offset, or the nearest there is
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
    to_offset: Option<i64>,
    /// To where another group is
    #[arg(long, value_name = "GROUP")]
    from_group: Option<String>,
}

/// The part of a snapshot that groups are printed from.
#[derive(Debug, Deserialize)]
struct Picture {
    topics: Vec<Topic>,
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Topic {
    name: String,
    partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    log_start: i64,
    high_watermark: i64,
}

#[derive(Debug, Deserialize)]
struct Group {
    group: String,
    kind: String,
    state: String,
    assignor: String,
    generation: i32,
    coordinator: i32,
    offsets_partition: i32,
    members: Vec<Member>,
    offsets: Vec<Committed>,
}

#[derive(Debug, Deserialize)]
struct Member {
    id: String,
    instance: Option<String>,
    client_id: String,
    host: String,
    /// `classic` or `consumer`.
    protocol: String,
    subscribed: Vec<String>,
    assigned: Vec<Assigned>,
}

#[derive(Debug, Deserialize)]
struct Assigned {
    topic: String,
    partitions: Vec<i32>,
}

#[derive(Debug, Deserialize)]
struct Committed {
    topic: String,
    partition: i32,
    committed: i64,
}

/// Asks and prints.
pub fn run(dir: &Path, groups: Groups) -> Result<(), CtlError> {
    match groups {
        Groups::List => list(&read(dir)?),
        Groups::Describe { group } => {
            let picture = read(dir)?;
            describe(&picture, picture.group(&group)?)
        }
        Groups::Reset(arguments) => reset(dir, &arguments),
        Groups::Delete { group, yes: true } => tell(dir, Command::DeleteGroup { group }),
        Groups::DeleteOffsets {
            group,
            mut partitions,
            yes: true,
        } => {
            partitions.sort();
            tell(dir, Command::DeleteOffsets { group, partitions })
        }
        Groups::Delete { group, .. } | Groups::DeleteOffsets { group, .. } => {
            let what = format!("what group {group} has committed would be forgotten");
            Err(CtlError::Usage(format!("{what}; say --yes if you mean it")))
        }
    }
}

fn read(dir: &Path) -> Result<Picture, CtlError> {
    serde_json::from_str(&snapshot(dir)?).map_err(CtlError::Strange)
}

fn tell(dir: &Path, command: Command) -> Result<(), CtlError> {
    print_line(&carry_out(dir, command)?.sentence)
}

impl Picture {
    fn group(&self, name: &str) -> Result<&Group, CtlError> {
        let found = self.groups.iter().find(|group| group.group == name);
        found.ok_or_else(|| CtlError::Usage(format!("there is no group {name}")))
    }

    fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        let topic = self.topics.iter().find(|found| found.name == topic)?;
        topic.partitions.get(usize::try_from(index).ok()?)
    }
}

impl Group {
    /// Every partition it has committed, owns or subscribes to.
    fn places(&self, picture: &Picture) -> BTreeSet<(String, i32)> {
        let committed = self.offsets.iter().map(|o| (o.topic.clone(), o.partition));
        let assigned = self.members.iter().flat_map(|member| &member.assigned);
        let assigned = assigned.flat_map(|a| a.partitions.iter().map(|p| (a.topic.clone(), *p)));
        let subscribed = self.members.iter().flat_map(|member| &member.subscribed);
        let topics = subscribed.filter_map(|name| picture.topics.iter().find(|t| t.name == *name));
        let subscribed = topics.flat_map(|topic| {
            let indices = (0..).zip(&topic.partitions).map(|(index, _)| index);
            indices.map(|index| (topic.name.clone(), index))
        });
        committed.chain(assigned).chain(subscribed).collect()
    }

    fn committed(&self, topic: &str, index: i32) -> Option<i64> {
        let mut offsets = self.offsets.iter();
        let found = offsets.find(|o| o.topic == topic && o.partition == index);
        found.map(|offset| offset.committed)
    }

    fn owner(&self, topic: &str, index: i32) -> Option<&Member> {
        let owns = |a: &Assigned| a.topic == topic && a.partitions.contains(&index);
        let mut members = self.members.iter();
        members.find(|member| member.assigned.iter().any(owns))
    }

    fn lag(&self, picture: &Picture, topic: &str, index: i32) -> Option<i64> {
        let partition = picture.partition(topic, index)?;
        let committed = self.committed(topic, index)?;
        Some((partition.high_watermark - committed).max(0))
    }
}

fn list(picture: &Picture) -> Result<(), CtlError> {
    for group in &picture.groups {
        let committed = group.offsets.iter();
        let lags = committed.filter_map(|o| group.lag(picture, &o.topic, o.partition));
        let line = format!(
            "{}\t{}\t{}\t{} members\tlag {}\tbroker {}",
            group.group,
            group.kind,
            group.state,
            group.members.len(),
            lags.sum::<i64>(),
            group.coordinator,
        );
        print_line(&line)?;
    }
    Ok(())
}

fn describe(picture: &Picture, group: &Group) -> Result<(), CtlError> {
    let assignor = match group.assignor.as_str() {
        "" => "-",
        assignor => assignor,
    };
    print_line(&format!(
        "{}\t{}\t{}\tgeneration {}\t{assignor}\tbroker {} (__consumer_offsets-{})",
        group.group,
        group.kind,
        group.state,
        group.generation,
        group.coordinator,
        group.offsets_partition
    ))?;
    for member in &group.members {
        let owned: usize = member.assigned.iter().map(|a| a.partitions.len()).sum();
        let instance = member.instance.as_deref().unwrap_or("-");
        print_line(&format!(
            "member\t{}\t{}\t{instance}\t{}\t{owned} partitions\t{}",
            member.client_id, member.id, member.host, member.protocol
        ))?;
    }
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
    for (topic, index) in group.places(picture) {
        let Some(partition) = picture.partition(&topic, index) else {
            continue;
        };
        let owner = group.owner(&topic, index);
        print_line(&format!(
            "{topic}-{index}\tcommitted {}\tend {}\tlag {}\t{}\t{}",
            number(group.committed(&topic, index)),
            partition.high_watermark,
            number(group.lag(picture, &topic, index)),
            owner.map_or("-", |member| &member.client_id),
            receives(group.committed(&topic, index), partition),
        ))?;
    }
    Ok(())
}

/// What a group is really given of a partition from here on.
fn receives(committed: Option<i64>, partition: &Partition) -> String {
    let (start, end) = (partition.log_start, partition.high_watermark);
    let Some(committed) = committed else {
        let all = (end - start).max(0);
        return format!("no commit: auto.offset.reset decides, earliest receives up to {all}");
    };
    let up_to = (end - committed.max(start)).max(0);
    match start - committed {
        deleted if deleted > 0 => {
            format!("receives up to {up_to}, {deleted} were deleted before they were read")
        }
        _ => format!("receives up to {up_to}"),
    }
}

fn reset(dir: &Path, arguments: &ResetArguments) -> Result<(), CtlError> {
    let picture = read(dir)?;
    let rows = rows(&picture, arguments)?;
    let to = to(dir, &picture, arguments, &rows)?;
    let rows: Vec<ResetRow> = rows.into_iter().map(|row| row.to(&to)).collect();
    let number = |offset: Option<Offset>| offset.map_or("-".to_owned(), |o| o.to_string());
    for row in &rows {
        let change = match row.skipped() {
            None | Some(0) => "-".to_owned(),
            Some(again) if again < 0 => format!("re-read {}", -again),
            Some(skipped) => format!("skip {skipped}"),
        };
        print_line(&format!(
            "{}-{}\tnow {}\tbecomes {}\t{change}",
            row.topic,
            row.partition,
            number(row.now),
            number(row.becomes)
        ))?;
    }
    let moved = rows.iter().filter(|row| row.moves());
    let offsets: Vec<_> = moved
        .filter_map(|row| Some((row.topic.clone(), row.partition, row.becomes?)))
        .collect();
    if offsets.is_empty() {
        return print_line("Nothing changes.");
    }
    if arguments.dry_run {
        return print_line("Nothing was changed: this was a dry run.");
    }
    let group = arguments.group.clone();
    tell(dir, Command::CommitOffsets { group, offsets })
}

/// The chosen partitions as they are. A group that does not exist yet has those of the topics that are named, or of
/// the group it is to go on from.
fn rows(picture: &Picture, arguments: &ResetArguments) -> Result<Vec<ResetRow>, CtlError> {
    let group = picture.group(&arguments.group);
    let mut places = match &group {
        Ok(group) => group.places(picture),
        Err(_) => BTreeSet::new(),
    };
    if let Some(other) = &arguments.to.from_group {
        places.extend(picture.group(other)?.places(picture));
    }
    if let Some(name) = &arguments.topic {
        let found = picture.topics.iter().find(|topic| topic.name == *name);
        let found = found.ok_or_else(|| CtlError::Usage(format!("there is no topic {name}")))?;
        let indices = (0..).zip(&found.partitions).map(|(index, _)| index);
        places.extend(indices.map(|index| (name.clone(), index)));
        places.retain(|(topic, _)| topic == name);
    }
    let chosen = arguments.partitions.iter();
    let chosen: BTreeSet<(String, i32)> = chosen.map(|(t, p)| (t.clone(), p.0)).collect();
    if let Some((topic, index)) = chosen
        .iter()
        .find(|(t, p)| picture.partition(t, *p).is_none())
    {
        return Err(CtlError::Usage(format!(
            "there is no partition {topic}-{index}"
        )));
    }
    if places.is_empty() && chosen.is_empty() {
        let name = &arguments.group;
        let what = format!("group {name} has nothing to move; say which topic with --topic");
        return Err(CtlError::Usage(what));
    }
    if !chosen.is_empty() {
        places.extend(chosen.iter().cloned());
        places.retain(|place| chosen.contains(place));
    }
    let row = |(topic, index): (String, i32)| {
        let partition = picture.partition(&topic, index)?;
        let now = group.as_ref().ok();
        let now = now.and_then(|group| group.committed(&topic, index));
        let (start, end) = (partition.log_start, partition.high_watermark);
        let place = (topic, PartitionIndex(index));
        Some(ResetRow::new(
            place,
            now.map(Offset),
            Offset(start),
            Offset(end),
        ))
    };
    Ok(places.into_iter().filter_map(row).collect())
}

fn to(
    dir: &Path,
    picture: &Picture,
    arguments: &ResetArguments,
    rows: &[ResetRow],
) -> Result<ResetTo, CtlError> {
    let to = &arguments.to;
    Ok(match to {
        To {
            to_earliest: true, ..
        } => ResetTo::Earliest,
        To {
            to_latest: true, ..
        } => ResetTo::Latest,
        To {
            to_time_ms: Some(time_ms),
            ..
        } => {
            let place = |row: &ResetRow| (row.topic.clone(), row.partition);
            let command = Command::FindOffsets {
                time_ms: *time_ms,
                partitions: rows.iter().map(place).collect(),
            };
            let found = carry_out(dir, command)?.offsets.into_iter();
            ResetTo::Time(found.map(|(t, p, offset)| ((t, p), offset)).collect())
        }
        To {
            shift_by: Some(by), ..
        } => ResetTo::Shift(*by),
        To {
            to_offset: Some(offset),
            ..
        } => ResetTo::Exact(Offset(*offset)),
        To {
            from_group: Some(other),
            ..
        } => ResetTo::As(committed(picture.group(other)?)),
        _ => return Err(CtlError::Usage("say where to".into())),
    })
}

fn committed(group: &Group) -> BTreeMap<Place, Offset> {
    let offsets = group.offsets.iter();
    let one = |offset: &Committed| {
        let place = (offset.topic.clone(), PartitionIndex(offset.partition));
        (place, Offset(offset.committed))
    };
    offsets.map(one).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        reset: ResetArguments,
    }

    #[test]
    fn what_is_received_begins_at_the_log_start_and_says_what_was_deleted() {
        let partition = Partition {
            log_start: 4_000,
            high_watermark: 5_000,
        };
        for (committed, said) in [
            (Some(4_200), "receives up to 800"),
            (
                Some(1_000),
                "receives up to 1000, 3000 were deleted before they were read",
            ),
            (
                None,
                "no commit: auto.offset.reset decides, earliest receives up to 1000",
            ),
        ] {
            assert_eq!(receives(committed, &partition), said);
        }
    }

    /// One topic of two partitions, of which a group has committed the second.
    fn picture() -> Picture {
        let partition = || Partition {
            log_start: 0,
            high_watermark: 9,
        };
        let committed = Committed {
            topic: "orders".to_owned(),
            partition: 1,
            committed: 5,
        };
        let group = Group {
            group: "billing".to_owned(),
            kind: "classic".to_owned(),
            state: "Empty".to_owned(),
            assignor: String::new(),
            generation: 0,
            coordinator: 1,
            offsets_partition: 0,
            members: Vec::new(),
            offsets: vec![committed],
        };
        Picture {
            topics: vec![Topic {
                name: "orders".to_owned(),
                partitions: vec![partition(), partition()],
            }],
            groups: vec![group],
        }
    }

    /// The partitions chosen and where they are now, or what is said instead.
    fn chosen(line: &str) -> Result<Vec<(i32, Option<i64>)>, String> {
        let line = Line::try_parse_from(["reset"].into_iter().chain(line.split(' '))).unwrap();
        let rows = rows(&picture(), &line.reset).map_err(|error| error.to_string())?;
        let one = |row: ResetRow| (row.partition.0, row.now.map(|now| now.0));
        Ok(rows.into_iter().map(one).collect())
    }

    #[test]
    fn what_is_moved_is_what_the_group_has_or_what_is_named() {
        let (first, second) = ((0, None), (1, Some(5)));
        for (line, rows) in [
            ("billing --to-offset -1", Ok(vec![second])),
            (
                "billing --to-latest --topic orders",
                Ok(vec![first, second]),
            ),
            ("billing --to-latest --partition orders-0", Ok(vec![first])),
            ("new --from-group billing", Ok(vec![(1, None)])),
            ("new --to-latest --topic orders", Ok(vec![first, (1, None)])),
            (
                "new --to-latest --topic pays",
                Err("there is no topic pays"),
            ),
            (
                "billing --to-latest --partition orders-7",
                Err("there is no partition orders-7"),
            ),
            (
                "new --to-latest",
                Err("group new has nothing to move; say which topic with --topic"),
            ),
        ] {
            assert_eq!(chosen(line), rows.map_err(str::to_owned), "{line}");
        }
    }
}
