//! What is typed and chosen in the panel that moves a group's offsets, and what it comes to. No egui.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::groups::partitions;
use crate::app::sent::Sent;
use crate::app::views::topics::parse_time;
use crate::ids::{Offset, Time};
use crate::inspect::{
    ClusterSnapshot, Command, ConsumerPlan, GroupSnapshot, Place, ResetRow, ResetTo,
};

/// Where offsets are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum How {
    #[default]
    Earliest,
    Latest,
    Time,
    Shift,
    Exact,
    Copy,
}

/// The panel's fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResetForm {
    /// The group it is about; empty until it was opened.
    pub group: String,
    pub how: How,
    pub time: String,
    pub shift: String,
    pub exact: String,
    /// The group whose offsets are copied.
    pub from: String,
    /// `None` is all topics.
    pub topic: Option<String>,
    /// Partitions that are left as they are.
    pub left_out: BTreeSet<Place>,
    /// Offsets asked for by time: the moment, the partitions and the command.
    pub asked: Option<(i64, Vec<Place>, Sent)>,
    /// klar's own members that were stopped from here.
    pub stopped: Vec<ConsumerPlan>,
    /// The command that moves the offsets, and the one that moves them back.
    pub sent: Option<(Sent, Option<Command>)>,
}

impl ResetForm {
    /// The form for a group: what was typed for another one is forgotten.
    pub fn of(group: &str) -> ResetForm {
        ResetForm {
            group: group.to_owned(),
            time: "00:00".to_owned(),
            shift: "-100".to_owned(),
            exact: "0".to_owned(),
            ..ResetForm::default()
        }
    }

    /// The moment that is typed.
    pub fn time_ms(&self, now: Time) -> Option<i64> {
        parse_time(&self.time, now.as_ms())
    }

    /// Where offsets go; an error says what is missing.
    pub fn to(&self, picture: &ClusterSnapshot) -> Result<ResetTo, &'static str> {
        Ok(match self.how {
            How::Earliest => ResetTo::Earliest,
            How::Latest => ResetTo::Latest,
            How::Time => ResetTo::Time(self.found()),
            How::Shift => match self.shift.trim().trim_start_matches('+').parse() {
                Ok(by) => ResetTo::Shift(by),
                Err(_) => return Err("Type a number of offsets, such as -100."),
            },
            How::Exact => match self.exact.trim().parse() {
                Ok(offset) if offset >= 0 => ResetTo::Exact(Offset(offset)),
                _ => return Err("Type an offset, such as 1042."),
            },
            How::Copy => match picture.group(&self.from) {
                Some(group) => ResetTo::As(committed(group)),
                None => return Err("Choose the group to copy from."),
            },
        })
    }

    /// What was found for the moment asked for.
    fn found(&self) -> BTreeMap<Place, Offset> {
        let answer = self
            .asked
            .as_ref()
            .and_then(|(.., sent)| sent.result.as_ref());
        let done = answer.and_then(|result| result.as_ref().ok());
        let found = done.map_or(&[][..], |done| &done.offsets);
        let place = |(topic, partition, offset): &(String, _, Offset)| {
            ((topic.clone(), *partition), *offset)
        };
        found.iter().map(place).collect()
    }

    /// Every partition that can be chosen, moved unless it is left out.
    pub fn rows(&self, group: &GroupSnapshot, picture: &ClusterSnapshot) -> Vec<ResetRow> {
        let to = self.to(picture).ok();
        let of_topic = |topic: &str| self.topic.as_deref().is_none_or(|only| only == topic);
        let all = partitions(group, picture).into_iter();
        all.filter(|lag| of_topic(lag.topic))
            .map(|lag| {
                let place = (lag.topic.to_owned(), lag.partition);
                let out = self.left_out.contains(&place);
                let row = ResetRow::new(place, lag.committed, lag.log_start, lag.end);
                match &to {
                    Some(to) if !out => row.to(to),
                    _ => row,
                }
            })
            .collect()
    }

    /// Takes the outcomes from the picture; the way back once offsets were moved.
    pub fn see(&mut self, picture: &ClusterSnapshot) -> Option<(String, Command)> {
        if let Some((.., sent)) = &mut self.asked {
            sent.see(picture);
        }
        let (sent, back) = self.sent.as_mut()?;
        sent.see(picture);
        match &sent.result {
            Some(Ok(done)) => Some((done.sentence.clone(), back.take()?)),
            _ => None,
        }
    }
}

/// The command that applies rows.
pub fn apply(group: &str, rows: &[ResetRow]) -> Command {
    let moved = rows.iter().filter(|row| row.moves());
    let offset = |row: &ResetRow| Some((row.topic.clone(), row.partition, row.becomes?));
    Command::CommitOffsets {
        group: group.to_owned(),
        offsets: moved.filter_map(offset).collect(),
    }
}

/// The command that takes rows back: the offsets from before. Where nothing was committed before, what is committed
/// now is forgotten, if that is so for all of them.
pub fn take_back(group: &str, rows: &[ResetRow]) -> Command {
    let moved = || rows.iter().filter(|row| row.moves());
    let before = |row: &ResetRow| Some((row.topic.clone(), row.partition, row.now?));
    let offsets: Vec<_> = moved().filter_map(before).collect();
    let group = group.to_owned();
    match offsets.is_empty() {
        true => Command::DeleteOffsets {
            group,
            partitions: moved()
                .map(|row| (row.topic.clone(), row.partition))
                .collect(),
        },
        false => Command::CommitOffsets { group, offsets },
    }
}

fn committed(group: &GroupSnapshot) -> BTreeMap<Place, Offset> {
    let place = |offset: &crate::inspect::GroupOffset| {
        ((offset.topic.clone(), offset.partition), offset.committed)
    };
    group.offsets.iter().map(place).collect()
}
