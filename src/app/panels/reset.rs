//! The panel that moves what a group has committed: where to, which partitions, what that changes, and who must leave
//! first.

use std::sync::Arc;

use egui::{ComboBox, Frame, Label, Panel, RichText, Role, ScrollArea, Ui, WidgetInfo, vec2};

use super::reset_form::{How, ResetForm, apply, take_back};
use crate::app::consumers::stoppable;
use crate::app::groups::member_names;
use crate::app::scene::Scene;
use crate::app::sent::Sent;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, inspector, widgets};
use crate::inspect::{
    ClusterSnapshot, Command, Failure, GroupMember, GroupSnapshot, Place, ResetRow,
};

/// Width of the check box and of each number, points.
const CHECK: f32 = 28.0;
const NUMBER: f32 = 57.0;
/// Members named that must leave.
const NAMED: usize = 4;

/// Draws the panel in the inspector's place.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    let mut form = std::mem::take(&mut scene.state.reset);
    let picture = Arc::clone(scene.picture);
    match picture.group(&form.group) {
        Some(group) => panel(ui, scene, &mut form, group),
        None => {
            let name = form.group.clone();
            inspector::gone(ui, &name, "reset offsets", "This group is gone.");
        }
    }
    scene.state.reset = form;
}

fn panel(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ResetForm, group: &Arc<GroupSnapshot>) {
    let before = form.clone();
    let rows = form.rows(group, scene.picture);
    Panel::bottom("reset buttons")
        .frame(Frame::new())
        .show_separator_line(false)
        .show(ui, |ui| {
            widgets::divider(ui);
            outcome(ui, form);
            buttons(ui, scene, form, group, &rows);
        });
    inspector::header(ui, "Reset offsets", &group.group);
    where_to(ui, scene, form);
    topics(ui, form, group);
    if form.how == How::Time {
        ask(scene, form, &rows);
    }
    members(ui, scene, form, group);
    widgets::divider(ui);
    table(ui, form, &rows);
    // What is chosen now has not been sent: the outcome is about something else.
    let changed =
        (&before.how, &before.topic, &before.left_out) != (&form.how, &form.topic, &form.left_out);
    let ended = |(sent, _): &(Sent, Option<Command>)| !sent.is_waiting();
    if changed && form.sent.as_ref().is_some_and(ended) {
        form.sent = None;
    }
}

fn where_to(ui: &mut Ui, scene: &Scene<'_>, form: &mut ResetForm) {
    let all = [
        (How::Earliest, "Earliest"),
        (How::Latest, "Latest"),
        (How::Time, "Time"),
        (How::Shift, "Shift"),
        (How::Exact, "Exact"),
        (How::Copy, "Copy"),
    ];
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
        widgets::choices(ui, &mut form.how, &all);
    });
    let field = |ui: &mut Ui, label: &str, text: &mut String| {
        ui.horizontal(|ui| {
            let cell = vec2(64.0, size::CONTROL);
            widgets::name_cell(ui, label, theme::body(), Theme::of(ui).muted, cell);
            let width = ui.available_width() - space::S;
            widgets::text_field(ui, text, label, width);
        });
    };
    match form.how {
        How::Earliest | How::Latest => {}
        How::Time => field(ui, "To", &mut form.time),
        How::Shift => field(ui, "By", &mut form.shift),
        How::Exact => field(ui, "Offset", &mut form.exact),
        How::Copy => {
            let shown = match form.from.as_str() {
                "" => "choose a group",
                name => name,
            };
            let combo = ComboBox::from_id_salt("copy from").selected_text(shown);
            let others = scene.picture.groups.iter();
            let others = others.filter(|other| other.group != form.group);
            let response = combo
                .height(size::MENU)
                .show_ui(ui, |ui| {
                    for other in others {
                        let name = other.group.clone();
                        ui.selectable_value(&mut form.from, name, &other.group);
                    }
                })
                .response;
            response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, "Copy from group"));
        }
    }
    let missing = match (form.how, form.time_ms(scene.now)) {
        (How::Time, None) => Some("Type a time, such as 22:15 or 2026-11-21 22:15."),
        _ => form.to(scene.picture).err(),
    };
    if let Some(missing) = missing {
        widgets::small_wrapped(ui, missing);
    }
}

/// All topics of the group, or one.
fn topics(ui: &mut Ui, form: &mut ResetForm, group: &GroupSnapshot) {
    let committed = group.offsets.iter().map(|offset| &offset.topic);
    let subscribed = group.members.iter().flat_map(|member| &member.subscribed);
    let all: std::collections::BTreeSet<&String> = committed.chain(subscribed).collect();
    if all.len() < 2 {
        return;
    }
    let shown = form.topic.clone().unwrap_or("all topics".to_owned());
    let response = ComboBox::from_id_salt("reset topic")
        .selected_text(shown)
        .height(size::MENU)
        .show_ui(ui, |ui| {
            ui.selectable_value(&mut form.topic, None, "all topics");
            for topic in all {
                ui.selectable_value(&mut form.topic, Some(topic.clone()), topic);
            }
        })
        .response;
    response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, "Topics to reset"));
}

/// Asks the brokers where a moment is in each partition, once for each moment that was typed.
fn ask(scene: &mut Scene<'_>, form: &mut ResetForm, rows: &[ResetRow]) {
    let Some(time_ms) = form.time_ms(scene.now) else {
        return;
    };
    let all = form.left_out.is_empty();
    let wanted: Vec<Place> = rows
        .iter()
        .map(|row| (row.topic.clone(), row.partition))
        .collect();
    let same = |(asked, places, _): &(i64, Vec<Place>, Sent)| {
        *asked == time_ms && (!all || *places == wanted)
    };
    let waits = form
        .asked
        .as_ref()
        .is_some_and(|(.., sent)| sent.is_waiting());
    if waits || form.asked.as_ref().is_some_and(same) || wanted.is_empty() {
        return;
    }
    let id = scene.send_quietly(Command::FindOffsets {
        time_ms,
        partitions: wanted.clone(),
    });
    form.asked = id.map(|id| (time_ms, wanted, Sent::new(id)));
}

/// Who must leave before anything can be moved; klar's own members leave at a click, and come back at one.
fn members(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ResetForm, group: &GroupSnapshot) {
    let picture = Arc::clone(scene.picture);
    if let Some(sentence) = who_must_leave(group, &picture) {
        ui.add_space(space::XS);
        widgets::paragraph(ui, &sentence);
    }
    let own = stoppable(&group.group, &picture);
    if !own.is_empty() {
        let words = format!(
            "Stop klar's {}",
            format::counted(own.len() as u64, "member")
        );
        let why = "They commit what they have processed and leave. They can be started again here afterwards.";
        if widgets::button(ui, &words).on_hover_text(why).clicked() {
            for consumer in own {
                let stop = Command::StopConsumer { id: consumer.id };
                if scene.send(stop).is_some() {
                    form.stopped.push(consumer.plan.clone());
                }
            }
        }
    } else if !form.stopped.is_empty() {
        let stopped = format::counted(form.stopped.len() as u64, "member");
        let words = format!("Start klar's {stopped} again");
        if widgets::button(ui, &words).clicked() {
            for plan in std::mem::take(&mut form.stopped) {
                scene.send(Command::StartConsumer { plan, members: 1 });
            }
        }
    }
}

fn who_must_leave(group: &GroupSnapshot, picture: &ClusterSnapshot) -> Option<String> {
    if group.members.is_empty() {
        return None;
    }
    let names = member_names(group);
    let is_own = |member: &GroupMember| {
        let own = picture.own_member(&group.group, &member.id);
        own.is_some_and(|own| own.state.is_alive())
    };
    let others = group.members.iter().zip(&names);
    let others: Vec<&str> = others
        .filter(|(member, _)| !is_own(member))
        .map(|(_, name)| name.as_str())
        .collect();
    let own = names.len() - others.len();
    let count = others.len();
    let who = match others.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [most @ .., last] if count <= NAMED => Some(format!("{} and {last}", most.join(", "))),
        some => Some(format!(
            "{} and {} more",
            some[..NAMED].join(", "),
            count - NAMED
        )),
    };
    let longest = group.members.iter().map(|member| member.session_timeout_ms);
    let longest = u64::try_from(longest.max().unwrap_or(0)).unwrap_or(0);
    let live = format::counted(names.len() as u64, "live member");
    let whose = match (own, count) {
        (0, _) => String::new(),
        (1, 0) => ", klar's own".to_owned(),
        (_, 0) => ", all klar's own".to_owned(),
        (own, _) => format!(", {own} of them klar's own"),
    };
    let only = format!("The group has {live}{whose}. Offsets can only be moved while it is empty");
    Some(match who {
        None => format!("{only}."),
        Some(who) => format!(
            "{only}: stop {who} first. A member that is killed instead of closed leaves after its session timeout, \
             here at most {}.",
            format::duration_ms(longest)
        ),
    })
}

/// Before and after.
fn table(ui: &mut Ui, form: &mut ResetForm, rows: &[ResetRow]) {
    let theme = Theme::of(ui);
    let name = (ui.available_width() - CHECK - NUMBER * 3.0 - space::S).max(NUMBER);
    ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
    let cells = |ui: &mut Ui, words: [&str; 4], ink: [egui::Color32; 4]| {
        let font = theme::mono_small;
        let cell = vec2(name, size::ROW);
        widgets::name_cell(ui, words[0], font(), ink[0], cell);
        for (text, ink) in words.into_iter().zip(ink).skip(1) {
            let (rect, _) = ui.allocate_exact_size(vec2(NUMBER, size::ROW), egui::Sense::hover());
            let galley = widgets::elided(ui, text, font(), ink, NUMBER - space::XS);
            let at = egui::pos2(
                rect.right() - galley.size().x,
                rect.center().y - galley.size().y / 2.0,
            );
            ui.painter().galley(at, galley, ink);
        }
    };
    ui.horizontal(|ui| {
        ui.add_space(CHECK);
        let words = ["partition", "now", "becomes", "re-read"];
        cells(ui, words, [theme.muted; 4]);
    });
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .show_rows(ui, size::ROW, rows.len(), |ui, visible| {
            ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
            for row in &rows[visible] {
                ui.horizontal(|ui| {
                    check(ui, form, row);
                    let number = |offset: Option<crate::ids::Offset>| {
                        offset.map_or("–".to_owned(), |offset| format::signed(offset.0))
                    };
                    let label = format!("{}-{}", row.topic, row.partition);
                    let (change, ink) = changed(row, theme);
                    let (now, becomes) = (number(row.now), number(row.becomes));
                    let after = if row.moves() { theme.text } else { theme.muted };
                    let inks = [theme.text, theme.text, after, ink];
                    cells(ui, [&label, &now, &becomes, &change], inks);
                });
            }
        });
}

/// What is read again, or skipped.
fn changed(row: &ResetRow, theme: &Theme) -> (String, egui::Color32) {
    match row.skipped() {
        None | Some(0) => ("–".to_owned(), theme.muted),
        Some(again) if again < 0 => (format::signed(-again), theme.text),
        Some(skipped) => (format!("skip {}", format::signed(skipped)), theme.warning),
    }
}

fn check(ui: &mut Ui, form: &mut ResetForm, row: &ResetRow) {
    let place = (row.topic.clone(), row.partition);
    let mut taken = !form.left_out.contains(&place);
    let response = ui.add_sized(
        vec2(CHECK, size::ROW),
        egui::Checkbox::without_text(&mut taken),
    );
    let number = |offset: Option<crate::ids::Offset>| {
        offset.map_or("nothing".to_owned(), |offset| format::signed(offset.0))
    };
    response.widget_info(|| {
        let name = format!(
            "{}-{}: now {}, becomes {}",
            row.topic,
            row.partition,
            number(row.now),
            number(row.becomes)
        );
        WidgetInfo::selected(Role::CheckBox, true, taken, name)
    });
    if response.changed() {
        match taken {
            true => form.left_out.remove(&place),
            false => form.left_out.insert(place),
        };
    }
}

fn outcome(ui: &mut Ui, form: &ResetForm) {
    let fails = |sent: &Sent| sent.failure().cloned();
    let asked = form.asked.as_ref().and_then(|(.., sent)| fails(sent));
    let asked = asked.filter(|_| form.how == How::Time);
    let sent = form.sent.as_ref();
    let failure: Option<Failure> = sent.and_then(|(sent, _)| fails(sent)).or(asked);
    if let Some(failure) = failure {
        let name = RichText::new(&failure.name).font(theme::heading());
        ui.add(Label::new(name.color(Theme::of(ui).bad)).wrap());
        widgets::paragraph(ui, &failure.sentence());
    } else if let Some(Ok(done)) = sent.and_then(|(sent, _)| sent.result.as_ref()) {
        widgets::paragraph(ui, &done.sentence);
    }
}

fn buttons(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    form: &mut ResetForm,
    group: &GroupSnapshot,
    rows: &[ResetRow],
) {
    let moved = rows.iter().filter(|row| row.moves()).count();
    let waits = form
        .sent
        .as_ref()
        .is_some_and(|(sent, _)| sent.is_waiting());
    ui.horizontal_wrapped(|ui| {
        let words = format!("Apply to {}", format::counted(moved as u64, "partition"));
        let can = group.members.is_empty() && moved > 0 && !waits;
        let button = widgets::primary_button_if(ui, can, &words);
        if button.clicked() {
            let id = scene.send_quietly(apply(&group.group, rows));
            let back = take_back(&group.group, rows);
            form.sent = id.map(|id| (Sent::new(id), Some(back)));
        }
        if widgets::button(ui, "Copy as command").clicked() {
            scene.copy(as_command(form), "Command copied");
        }
        if widgets::button(ui, "Close").clicked() {
            scene.state.resetting = false;
        }
    });
}

/// The same with `klar ctl`.
fn as_command(form: &ResetForm) -> String {
    let to = match form.how {
        How::Earliest => "--to-earliest".to_owned(),
        How::Latest => "--to-latest".to_owned(),
        How::Time => {
            let asked = form.asked.as_ref().map_or(0, |(ms, ..)| *ms);
            format!("--to-time-ms {asked}")
        }
        How::Shift => format!("--shift-by={}", form.shift.trim()),
        How::Exact => format!("--to-offset {}", form.exact.trim()),
        How::Copy => format!("--from-group '{}'", form.from),
    };
    let topic = form.topic.as_ref();
    let topic = topic.map_or(String::new(), |topic| format!(" --topic {topic}"));
    format!("klar ctl groups reset '{}' {to}{topic}", form.group)
}
