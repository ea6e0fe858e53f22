//! The Offsets tab: every partition with what is committed, how far that is behind in offsets, in records that are still
//! there to be received and in seconds, and who reads it.

use std::sync::Arc;

use egui::Ui;

use crate::app::format;
use crate::app::groups::{about_seconds, member_names, partitions};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme};
use crate::app::views::table::{self, Column};
use crate::app::views::topics::stepped;
use crate::app::widgets;
use crate::inspect::{GroupLag, GroupMember, GroupSnapshot};

static COLUMNS: [Column; 9] = [
    Column::words("partition", 0.0),
    Column::numbers("committed", 72.0),
    Column::numbers("log end", 72.0),
    Column::numbers("lag", 56.0),
    Column::numbers("to receive", 72.0),
    Column::numbers("behind", 56.0),
    Column::words("owner", 76.0),
    Column::words("committed at", 92.0),
    Column::words("metadata", 56.0),
];

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    let picture = Arc::clone(scene.picture);
    let shown = partitions(group, &picture);
    if shown.is_empty() {
        widgets::empty(ui, "This group has committed nothing.", None);
        return;
    }
    let names = member_names(group);
    let mut selected = shown.iter().position(|lag| is_selected(scene, lag));
    let step = std::mem::take(&mut scene.state.row_step);
    if step != 0 {
        let next = stepped(selected, step, shown.len());
        selected = Some(next);
        select(scene, &shown[next]);
    }
    table::header(ui, &COLUMNS, None);
    let rows = table::Rows {
        columns: &COLUMNS,
        count: shown.len(),
        selected,
        reveal: step != 0,
        pushed: 0,
    };
    let theme = Theme::of(ui);
    let clicked = table::rows(ui, ("offsets", &group.group), &rows, |index, cells| {
        row(cells, scene, theme, group, &names, &shown[index]);
    });
    if let Some((index, _)) = clicked {
        select(scene, &shown[index]);
    }
}

fn is_selected(scene: &Scene<'_>, lag: &GroupLag<'_>) -> bool {
    let selection = &scene.state.selection;
    selection.topic() == Some(lag.topic) && selection.partition() == Some(lag.partition)
}

fn select(scene: &mut Scene<'_>, lag: &GroupLag<'_>) {
    let selection = Selection::Partition(lag.topic.to_owned(), lag.partition);
    scene.state.select(selection);
}

fn row(
    cells: &mut table::Cells<'_>,
    scene: &Scene<'_>,
    theme: &Theme,
    group: &GroupSnapshot,
    names: &[String],
    lag: &GroupLag<'_>,
) {
    let history = scene.history.groups();
    let trend = history.trend_of(&group.group, lag.topic, lag.partition);
    let name = format!("{}-{}", lag.topic, lag.partition);
    cells.text(&name, theme::body(), theme.text);
    match lag.committed {
        Some(committed) => cells.mono(&format::signed(committed.0)),
        None => cells.mono_muted("–"),
    }
    cells.mono(&format::signed(lag.end.0));
    match lag.lag() {
        Some(records) => {
            let ink = super::list::lag_ink(theme, records, trend);
            cells.text(&format::signed(records), theme::mono(), ink);
        }
        None => cells.mono_muted("–"),
    }
    to_receive(cells, theme, lag);
    let behind = lag
        .committed
        .and_then(|_| history.behind_s(scene.now, &group.group, lag.topic, lag.partition));
    match behind {
        Some(seconds) => cells.mono_muted(&about_seconds(seconds)),
        None => cells.mono_muted("–"),
    }
    match lag.owner {
        Some(owner) => cells.text(name_of(group, names, owner), theme::body(), theme.text),
        None => cells.text("nobody", theme::body(), theme.muted),
    }
    match group.offset(lag.topic, lag.partition) {
        Some(offset) => {
            cells.mono_muted(&format::short_moment(scene.now, offset.at.as_ms()));
            cells.text(&offset.metadata, theme::body(), theme.muted);
        }
        None => {
            cells.mono_muted("–");
            cells.blank();
        }
    }
}

/// What the lag comes to in records: what was deleted before it was read will not come, and the inspector says how
/// many those are.
fn to_receive(cells: &mut table::Cells<'_>, theme: &Theme, lag: &GroupLag<'_>) {
    match (lag.to_receive(), lag.deleted()) {
        (Some(records), Some(deleted)) if deleted > 0 => {
            cells.text(&format::signed(records), theme::mono(), theme.warning);
        }
        (Some(records), _) => cells.mono_muted(&format::signed(records)),
        // Nothing is committed: auto.offset.reset says where reading begins.
        (None, _) => cells.mono_muted("–"),
    }
}

fn name_of<'a>(group: &GroupSnapshot, names: &'a [String], owner: &GroupMember) -> &'a str {
    let mut members = group.members.iter();
    let at = members.position(|member| member.id == owner.id);
    at.and_then(|at| names.get(at)).map_or("", String::as_str)
}
