//! The bottom timeline: one tick per event, the throughput curve behind it.
//!
//! Hovering names an event, a click selects what it concerns. The curve comes from the window's own
//! history, so any source has one. Its text alternative is the Timeline view's list.

use std::sync::Arc;

use egui::{
    Align, Align2, Color32, Layout, Painter, Pos2, Rect, RichText, Role, Sense, Shape, Stroke, Ui,
    WidgetInfo, pos2,
};

use crate::app::history::Point;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, widgets};
use crate::ids::{BrokerId, Time};
use crate::inspect::{ClusterSnapshot, Event, EventGroup, EventKind, EventSubject};

/// Seconds the timeline can show, and how the choice is named.
const SPANS: [(u32, &str); 4] = [
    (60, "1 min"),
    (300, "5 min"),
    (900, "15 min"),
    (3_600, "1 h"),
];
/// Share of the width left of "now".
const NOW_AT: f32 = 0.93;
/// Points around a tick that belong to it.
const REACH: f32 = 6.0;
/// Points below the line of events: a row of labels and a row of times.
const BELOW: f32 = 36.0;
/// Labels drawn beside ticks at most.
const LABELS: usize = 8;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    header(ui, scene);
    let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click());
    let axis = Axis::new(rect, scene);
    let theme = Theme::of(ui);
    let painter = ui.painter_at(rect);
    axis.draw_grid(&painter, theme);
    curve(&painter, theme, &axis, scene);
    let ticks = ticks(&axis, scene.picture);
    draw_ticks(ui, &painter, theme, &axis, &ticks);
    let events = scene.picture.events.len();
    let per_s = format::rate(scene.rates().records_in);
    response.widget_info(|| {
        WidgetInfo::labeled(
            Role::Image,
            true,
            format!("Timeline: {events} events, {per_s} records written"),
        )
    });
    let Some(pointer) = response.hover_pos() else {
        return;
    };
    if response.contains_pointer() {
        zoom(ui, scene);
    }
    if let Some((x, event)) = nearest(&ticks, pointer) {
        painter.circle_stroke(
            pos2(x, axis.base),
            size::DOT + 3.0,
            Stroke::new(size::LINE, theme.text),
        );
        if response.clicked() {
            scene.state.select(concerns(scene.picture, &event));
        }
        response.on_hover_ui_at_pointer(|ui| {
            widgets::small(ui, &format::date_time(event.time.as_ms()));
            ui.label(event.kind.sentence());
        });
    }
}

fn header(ui: &mut Ui, scene: &mut Scene<'_>) {
    ui.horizontal(|ui| {
        widgets::heading(ui, "Timeline");
        ui.add_space(space::S);
        for (seconds, name) in SPANS {
            let chosen = scene.state.remembered.timeline_span_s == seconds;
            let theme = Theme::of(ui);
            let color = if chosen { theme.text } else { theme.muted };
            let text = RichText::new(name).font(theme::small()).color(color);
            let button = ui.add(egui::Button::new(text).frame(false).selected(false));
            button.widget_info(|| {
                WidgetInfo::selected(Role::RadioButton, true, chosen, format!("Show {name}"))
            });
            if chosen {
                ui.painter().hline(
                    button.rect.x_range(),
                    button.rect.bottom() - 2.0,
                    Stroke::new(size::LINE, theme.accent),
                );
            }
            if button.clicked() {
                scene.state.remembered.timeline_span_s = seconds;
            }
        }
        let rates = scene.rates();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let color = Theme::of(ui).muted;
            let mut number = |text: String| {
                ui.add(egui::Label::new(
                    RichText::new(text).font(theme::mono_small()).color(color),
                ))
            };
            number(format!("requests {}", format::rate(rates.requests)))
                .on_hover_text("Those of clients: brokers ask each other all the time");
            number(format!("consumed {}", format::rate(rates.records_out)))
                .on_hover_text("By clients, and by this window's own search through records");
            number(format!("produced {}", format::rate(rates.records_in)));
        });
    });
}

/// Where times lie on screen.
struct Axis {
    rect: Rect,
    now: Time,
    span_us: i64,
    now_x: f32,
    /// The line events stand on.
    base: f32,
}

impl Axis {
    fn new(rect: Rect, scene: &Scene<'_>) -> Axis {
        Axis {
            rect,
            now: scene.now,
            span_us: i64::from(scene.state.remembered.timeline_span_s.max(1)) * 1_000_000,
            now_x: (rect.left() + rect.width() * NOW_AT).round(),
            base: (rect.bottom() - BELOW).round(),
        }
    }

    fn x(&self, time: Time) -> f32 {
        let back = (self.now.0 - time.0) as f64 / self.span_us as f64;
        self.now_x - (back * f64::from(self.now_x - self.rect.left())) as f32
    }

    fn earliest(&self) -> Time {
        Time(self.now.0 - self.span_us)
    }

    fn draw_grid(&self, painter: &Painter, theme: &Theme) {
        painter.hline(self.rect.x_range(), self.base, theme.hairline());
        let step = (self.span_us / 5).max(1);
        let mut mark = self.now.0 - self.now.0.rem_euclid(step);
        while mark > self.earliest().0 {
            let x = self.x(Time(mark)).round();
            if self.now_x - x > 70.0 && x - self.rect.left() > 30.0 {
                painter.vline(x, self.base..=self.base + space::XS, theme.hairline());
                let text = format::time_of_day(Time(mark).as_ms());
                painter.text(
                    pos2(x, self.rect.bottom()),
                    Align2::CENTER_BOTTOM,
                    text.get(..SECONDS).unwrap_or(&text),
                    theme::mono_small(),
                    theme.muted,
                );
            }
            mark -= step;
        }
        painter.vline(
            self.now_x,
            self.rect.y_range(),
            Stroke::new(size::LINE_STRONG, theme.watermark),
        );
        painter.text(
            pos2(self.now_x + space::S, self.rect.top()),
            Align2::LEFT_TOP,
            format!("now, {}", format::zone_name(self.now.as_ms())),
            theme::small(),
            theme.text,
        );
    }
}

/// Characters of a time of day up to its seconds.
const SECONDS: usize = "22:17:05".len();

/// Records written a second, as a line whose top is the highest value on screen.
fn curve(painter: &Painter, theme: &Theme, axis: &Axis, scene: &Scene<'_>) {
    let earliest = axis.earliest();
    let visible: Vec<&Point> = scene
        .history
        .points()
        .filter(|point| point.time >= earliest)
        .collect();
    let top = axis.rect.top() + space::S;
    for (value, color) in [
        (
            (|point: &Point| point.records_out_per_s) as fn(&Point) -> f64,
            theme.faint,
        ),
        (|point: &Point| point.records_in_per_s, theme.accent),
    ] {
        let highest = visible
            .iter()
            .map(|point| point.records_in_per_s.max(point.records_out_per_s))
            .fold(1.0, f64::max);
        let height = f64::from(axis.base - top);
        let line: Vec<Pos2> = visible
            .iter()
            .map(|point| {
                let share = value(point) / highest;
                pos2(axis.x(point.time), axis.base - (share * height) as f32)
            })
            .collect();
        painter.add(Shape::line(line, Stroke::new(1.5, color)));
    }
}

/// Events on screen with their place, one for each point of width, the gravest first.
fn ticks(axis: &Axis, picture: &ClusterSnapshot) -> Vec<(f32, Arc<Event>)> {
    let earliest = axis.earliest();
    let mut ticks: Vec<(f32, Arc<Event>)> = Vec::new();
    for event in picture.events.iter().rev() {
        if event.time < earliest {
            break;
        }
        let x = axis.x(event.time).round();
        match ticks.last_mut() {
            Some((last, shown)) if *last == x => {
                if event.kind.severity() as u8 > shown.kind.severity() as u8 {
                    *shown = event.clone();
                }
            }
            _ => ticks.push((x, event.clone())),
        }
    }
    ticks
}

fn draw_ticks(ui: &Ui, painter: &Painter, theme: &Theme, axis: &Axis, ticks: &[(f32, Arc<Event>)]) {
    for (x, event) in ticks {
        let color = theme.severity(event.kind.severity());
        dotted(painter, *x, axis.rect.top() + space::S, axis.base, color);
        painter.circle_filled(pos2(*x, axis.base), size::DOT, color);
    }
    // Newest first: where labels collide, the newer one is the one worth reading.
    let mut free_until = axis.now_x;
    for (nth, (x, event)) in ticks.iter().take(LABELS).enumerate() {
        let text = widgets::elided(
            ui,
            &label(event),
            theme::small(),
            theme.muted,
            axis.rect.width() / 5.0,
        );
        let mut left = *x;
        if x + text.size().x > free_until {
            // The newest is always named: it has no room right of it until time has passed.
            if nth > 0 {
                continue;
            }
            left = x - text.size().x;
        }
        free_until = left - space::M;
        painter.galley(pos2(left, axis.base + 6.0), text, theme.muted);
    }
}

fn dotted(painter: &Painter, x: f32, top: f32, bottom: f32, color: Color32) {
    painter.extend(Shape::dotted_line(
        &[pos2(x, top), pos2(x, bottom)],
        color.gamma_multiply(0.7),
        4.0,
        0.8,
    ));
}

/// An event in a few words.
#[expect(clippy::too_many_lines, reason = "a table: one arm per kind of event")]
fn label(event: &Event) -> String {
    use EventKind::*;
    let place = match event.kind.topic() {
        Some((topic, Some(partition))) => format!("{topic}-{partition}"),
        Some((topic, None)) => topic.to_owned(),
        None => String::new(),
    };
    let who = event.reporter();
    let link = |to: &BrokerId, what: &str| match event.broker {
        Some(from) => format!("link {from}→{to} {what}"),
        None => format!("links to {to} {what}"),
    };
    match &event.kind {
        BrokerStarted { .. } => format!("{who} started"),
        BrokerStopped { .. } => format!("{who} stopped"),
        BrokerCrashed { .. } => format!("{who} crashed"),
        BrokerKilled { .. } => format!("{who} killed"),
        PlugPulled { .. } => "the plug was pulled".to_owned(),
        RecordsLost { .. } => format!("{place} lost records"),
        BrokerPaused { .. } => format!("{who} paused"),
        BrokerResumed { .. } => format!("{who} goes on"),
        BrokerAdded { .. } => format!("{who} added"),
        LinkCut { to, .. } => link(to, "cut"),
        LinkSlowed { to, .. } => link(to, "slowed"),
        LinkHealed { to, .. } => link(to, "healed"),
        TimeSlowed { times: 1, .. } => "time at full speed".to_owned(),
        TimeSlowed { times, .. } => format!("time at 1/{times}"),
        TimePaused { .. } => "time stands still".to_owned(),
        TimeResumed { .. } => "time goes on".to_owned(),
        MessageStepped { to, api, .. } => match event.broker {
            Some(from) => format!("step {from}→{to} {api}"),
            None => format!("step to {to} {api}"),
        },
        ReplicationFrozen { .. } => "replication frozen".to_owned(),
        ReplicationThawed { .. } => "replication goes on".to_owned(),
        BrokerRegistered { subject, .. } => format!("broker {subject} registered"),
        BrokerUnregistered { subject, .. } => format!("broker {subject} removed"),
        BrokerUnheard { subject, .. } => format!("broker {subject} given up"),
        BrokerFenced { subject, .. } => format!("broker {subject} fenced"),
        BrokerUnfenced { subject, .. } => format!("broker {subject} unfenced"),
        ShutdownBegan { subject, .. } => format!("broker {subject} stops"),
        ControllerChanged { from, epoch, .. } => {
            format!("controller {} · epoch {epoch}", moved(*from, event.broker))
        }
        LeaderElected {
            from, to, epoch, ..
        } => format!("{place} leader {} · epoch {epoch}", moved(*from, *to)),
        FirstProduceAcked { epoch, .. } => format!("{place} written · epoch {epoch}"),
        IsrChanged { from, to, .. } => format!("{place} ISR {}→{}", from.len(), to.len()),
        ReassignmentBegan { .. } => format!("{place} moves"),
        ReassignmentEnded { .. } => format!("{place} has moved"),
        MorePartitionsChanged { count, .. } => format!("{count} more partitions changed"),
        LogTruncated { to, .. } => format!("{place} cut to {to}"),
        TopicCreated { .. } => format!("topic {place} created"),
        TopicDeleted { .. } => format!("topic {place} deleted"),
        PartitionsAdded { to, .. } => format!("{place} has {to} partitions"),
        ConfigChanged { key, .. } => format!("{place} {key}"),
        SegmentRolled { .. } => format!("{place} new segment"),
        SegmentsDeleted { cause, .. } if cause.starts_with("DeleteRecords") => {
            format!("{place} emptied")
        }
        SegmentsDeleted { .. } => format!("{place} retention"),
        LogRecovered { .. } => format!("{place} recovered"),
        LogDamaged { .. } => format!("{place} damaged"),
        GroupChanged {
            group,
            to,
            generation,
            ..
        } => format!("group {group} {to} · gen {generation}"),
        ReplicaRenewed { .. } => format!("{place} fetched again"),
        SnapshotWritten { .. } => format!("{who} wrote a snapshot"),
        SnapshotFetched { .. } => format!("{who} fetched a snapshot"),
        SnapshotDamaged { .. } => format!("{who} snapshot damaged"),
        StorageFailed { .. } => "writing failed".to_owned(),
        StorageHealed { .. } => "writing works again".to_owned(),
        ConnectionRefused { peer, .. } => format!("refused {peer}"),
        LimitReached { .. } => "limit reached".to_owned(),
    }
}

/// From one broker to another: `2→3`.
fn moved(from: Option<BrokerId>, to: Option<BrokerId>) -> String {
    let name = |id: Option<BrokerId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    match from == to || from.is_none() {
        true => name(to),
        false => format!("{}→{}", name(from), name(to)),
    }
}

fn nearest(ticks: &[(f32, Arc<Event>)], pointer: Pos2) -> Option<(f32, Arc<Event>)> {
    ticks
        .iter()
        .filter(|(x, _)| (x - pointer.x).abs() <= REACH)
        .min_by(|a, b| (a.0 - pointer.x).abs().total_cmp(&(b.0 - pointer.x).abs()))
        .cloned()
}

/// What an event is about, as far as it still exists; else the event itself.
pub fn concerns(picture: &ClusterSnapshot, event: &Event) -> Selection {
    if let Some((name, partition)) = event.kind.topic()
        && let Some(topic) = crate::app::history::find_topic(&picture.topics, name)
    {
        return match partition {
            Some(index) if topic.partitions.iter().any(|p| p.index == index) => {
                Selection::Partition(name.to_owned(), index)
            }
            _ => Selection::Topic(name.to_owned()),
        };
    }
    if let Some(group) = event.kind.of_group()
        && picture.group(group).is_some()
    {
        return Selection::Group(group.to_owned());
    }
    let is_known = |id: &BrokerId| picture.brokers.iter().any(|broker| broker.id == *id);
    let teller = event.broker.filter(is_known);
    if let Some(EventSubject::Link(a, b)) = EventSubject::link_of(event)
        && is_known(&a)
        && is_known(&b)
    {
        return Selection::Link(a, b);
    }
    let of_broker = matches!(
        event.kind.group(),
        EventGroup::Brokers | EventGroup::Elections | EventGroup::Faults
    );
    let about = match event.kind.subject() {
        Some(subject) => Some(subject).filter(is_known),
        None => teller.filter(|_| of_broker && event.kind.topic().is_none()),
    };
    about.map_or(Selection::Event(event.number), Selection::Broker)
}

fn zoom(ui: &Ui, scene: &mut Scene<'_>) {
    let scrolled = ui.input(|input| input.smooth_scroll_delta().y);
    if scrolled.abs() < 1.0 {
        return;
    }
    let span = &mut scene.state.remembered.timeline_span_s;
    let factor = (-f64::from(scrolled) / 200.0).exp();
    *span = ((f64::from(*span) * factor).round() as u32).clamp(10, 3_600);
}
