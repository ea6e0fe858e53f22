//! Committed offsets of consumer groups as flags above a lane: a pole where the group reads on, its name beside it.
//!
//! Groups whose flags would cover each other share one. A flag left of what is in sight stands at the edge.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Align2, Rect, pos2};

use super::lane::{Face, Form, Ink, Metrics, Plan};
use crate::app::format::signed;
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::GroupSnapshot;

/// Characters of a group's name on its flag.
const NAME_CHARS: usize = 18;
/// Width of a character on a flag, in those of file names: names are semibold.
const CHAR: f32 = 1.02;
/// Flags named in a row's text alternative.
const NAMED: usize = 8;

/// What a group has committed for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag<'a> {
    pub group: &'a str,
    /// What it reads next.
    pub offset: Offset,
}

/// The flags of a topic's partitions, each partition's by offset.
pub fn of_topic<'a>(
    groups: &'a [Arc<GroupSnapshot>],
    topic: &str,
) -> BTreeMap<PartitionIndex, Vec<Flag<'a>>> {
    let mut flags: BTreeMap<PartitionIndex, Vec<Flag<'_>>> = BTreeMap::new();
    for group in groups {
        let start = group.offsets.partition_point(|o| o.topic.as_str() < topic);
        let of_topic = group.offsets[start..].iter();
        for offset in of_topic.take_while(|o| o.topic == topic) {
            flags.entry(offset.partition).or_default().push(Flag {
                group: &group.group,
                offset: offset.committed,
            });
        }
    }
    for flags in flags.values_mut() {
        flags.sort_by_key(|flag| flag.offset);
    }
    flags
}

/// Where flags of a row stand.
pub struct Place<'a> {
    /// Top of the cells.
    pub cells: f32,
    pub cells_end: f32,
    /// There is room for names above the cells.
    pub names: bool,
    /// Below this, committed offsets are behind.
    pub high_watermark: Offset,
    pub m: &'a Metrics,
}

/// Plans a row's flags, `x` being where an offset begins; what they cover.
pub fn plan(
    plan: &mut Plan,
    flags: &[Flag<'_>],
    place: &Place<'_>,
    x: impl Fn(i64) -> f32,
) -> Vec<Rect> {
    let (m, lanes) = (place.m, plan.lanes.x_range());
    let mut taken: Vec<Rect> = Vec::new();
    let mut at = 0;
    while at < flags.len() {
        let first = flags[at];
        let left = x(first.offset.0).max(lanes.min);
        if left > lanes.max {
            break;
        }
        let before = x(first.offset.0) < lanes.min;
        let (name, count) = shared(&flags[at..], left, m, &x, before);
        at += count;
        let behind = first.offset < place.high_watermark;
        let ink = Ink::Flag { behind };
        let top = place.cells - m.text_height - m.line * 2.0;
        let end = if place.names {
            place.cells
        } else {
            place.cells_end
        };
        let top = if place.names {
            top
        } else {
            place.cells - m.gap
        };
        let pole = Rect::from_min_max(pos2(left, top), pos2(left + m.line * 2.0, end));
        plan.in_lanes(pole, ink, Form::Filled);
        if !place.names {
            continue;
        }
        let cloth = Rect::from_min_max(
            pos2(left, top),
            pos2(left + width(&name, m), place.cells - m.line),
        );
        plan.in_lanes(cloth, ink, Form::Round);
        let inner = pos2(left + m.gap, cloth.center().y);
        if cloth.right() <= lanes.max {
            plan.text(inner, Align2::LEFT_CENTER, name, Face::Glyph);
        }
        taken.push(cloth);
    }
    taken
}

/// What is written on a flag, and how many flags it stands for.
fn shared(
    flags: &[Flag<'_>],
    left: f32,
    m: &Metrics,
    x: &impl Fn(i64) -> f32,
    before: bool,
) -> (String, usize) {
    let short: String = flags[0].group.chars().take(NAME_CHARS).collect();
    let arrow = if before { "← " } else { "" };
    let plus = format!("{arrow}{short} +{}", flags.len());
    let right = left + width(&plus, m);
    let covered = flags.iter().take_while(|flag| x(flag.offset.0) < right);
    let count = covered.count().max(1);
    match count {
        1 => (format!("{arrow}{short}"), 1),
        _ => (format!("{arrow}{short} +{}", count - 1), count),
    }
}

fn width(name: &str, m: &Metrics) -> f32 {
    name.chars().count() as f32 * m.mono_char * CHAR + m.gap * 2.0
}

/// A row's flags as words; empty without any.
pub fn describe(flags: &[Flag<'_>]) -> String {
    if flags.is_empty() {
        return String::new();
    }
    let named = flags.iter().take(NAMED);
    let named = named.map(|flag| format!("{} {}", flag.group, signed(flag.offset.0)));
    let named: Vec<String> = named.collect();
    match flags.len().saturating_sub(NAMED) {
        0 => format!("committed by {}", named.join(", ")),
        more => format!("committed by {} and {more} more", named.join(", ")),
    }
}
