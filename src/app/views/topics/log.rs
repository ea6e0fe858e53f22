//! The Log tab: every partition as a lane of records that can be zoomed, dragged and followed.
//!
//! Turns pointer and keys into moves of the viewport, asks pictures for the records in sight, and says
//! in a tooltip what lies under the pointer. What is drawn is decided in `widgets::lane`.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Rect, Response, Role, Sense, Ui, WidgetInfo, pos2};

use super::log_tooltip;
use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::scene::Scene;
use crate::app::state::{LaneMove, Selection};
use crate::app::theme::{self, Theme, size, space};
use crate::app::widgets::lane::{self, Detail, Metrics, Plan, Row};
use crate::app::widgets::lane_flags;
use crate::app::widgets::lane_paint::{self, Mark};
use crate::app::widgets::lane_view::{Align, Bounds, Viewport};
use crate::app::widgets::{button, empty, small};
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{Lane, TopicSnapshot};

/// How much one point of scrolling zooms.
const ZOOM_A_POINT: f32 = 0.005;
/// How much one press of a zoom key zooms.
const ZOOM_A_PRESS: f32 = 1.4;
/// Share of the width one press of an arrow moves.
const PAN_A_PRESS: f32 = 0.25;

/// The viewport over one topic's lanes.
pub struct LogTab {
    view: Option<Viewport>,
    scrolled: f32,
    /// Offsets in sight in the last frame, and the width they had.
    seen: Option<(i64, i64)>,
    /// Bring the selected record into sight once.
    revealed: Option<(PartitionIndex, Offset)>,
    /// What came in before, per partition, for the heatmap.
    counted: BTreeMap<i32, u64>,
    heat: BTreeMap<i32, f32>,
    heat_since: crate::ids::Time,
}

impl Default for LogTab {
    fn default() -> Self {
        LogTab {
            view: None,
            scrolled: 0.0,
            seen: None,
            revealed: None,
            counted: BTreeMap::new(),
            heat: BTreeMap::new(),
            heat_since: crate::ids::Time(0),
        }
    }
}

impl LogTab {
    /// What is in sight of what there is, and how to move: the line beside the tabs.
    pub fn hint(&self, topic: &TopicSnapshot) -> String {
        let detail = lane::detail(topic.partitions.len());
        if detail == Detail::Heatmap {
            return "one square a partition, brighter where more comes in".to_owned();
        }
        let first = topic.partitions.iter().map(|p| p.log_start.0).min();
        let end = topic.partitions.iter().map(|p| p.log_end.0).max();
        let moves = "drag to pan, scroll to zoom, F follow end";
        match (self.seen, first, end, self.view) {
            (Some((from, to)), Some(first), Some(end), Some(view))
                if view.align == Align::Offsets =>
            {
                format!(
                    "offset {} – {} of {} – {} · {moves}",
                    format::signed(from.max(0)),
                    format::signed(to),
                    format::signed(first),
                    format::signed(end),
                )
            }
            _ => moves.to_owned(),
        }
    }

    /// Draws the tab into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, topic: &Arc<TopicSnapshot>) {
        let records = topic.partitions.iter().any(|p| p.log_end.0 > 0);
        if !records {
            let can = scene.abilities.produce.then_some("Produce a record");
            let sentence = "No records yet: each appears here as it lands on disk.";
            if empty(ui, sentence, can) {
                scene.state.produce_into(&topic.name);
            }
            return;
        }
        let rect = ui.available_rect_before_wrap();
        let footer = size::CONTROL + space::S;
        let canvas = Rect::from_min_max(rect.min, pos2(rect.right(), rect.bottom() - footer));
        let metrics = lane_paint::metrics(ui.ctx().pixels_per_point());
        let mut view = self.view.unwrap_or_else(|| {
            let mut view = Viewport::following(metrics.cell);
            view.align = chosen_align(scene, topic);
            view
        });
        let bounds = lane::bounds(
            topic.partitions.iter(),
            view.align,
            canvas.width(),
            &metrics,
        );
        if self.view.is_none() && lane::detail(topic.partitions.len()) != Detail::Cells {
            view.fit(bounds);
        }
        let response = ui.allocate_rect(canvas, Sense::click_and_drag());
        self.keys(scene, &mut view, bounds);
        self.reveal(scene, topic, &mut view, bounds);
        self.pointer(ui, &response, &mut view, bounds, &metrics);
        view.settle(bounds);
        self.seen = Some({
            let (from, to) = view.visible(bounds.width);
            (from, to.min(bounds.end.max(from)))
        });
        let wanted = lane::wanted(
            &topic.name,
            topic.partitions.iter(),
            &view,
            bounds.width,
            &metrics,
        );
        scene.focus.lanes.extend(wanted);
        let plan = self.paint(ui, scene, topic, &view, canvas, &metrics);
        self.scrolled = self
            .scrolled
            .clamp(0.0, (plan.content_height - plan.lanes.height()).max(0.0));
        self.answer(ui, scene, topic, &response, &view, &plan);
        let footer = Rect::from_min_max(pos2(rect.left(), canvas.bottom()), rect.max);
        ui.scope_builder(egui::UiBuilder::new().max_rect(footer), |ui| {
            self.footer(ui, scene, topic, &mut view, bounds);
        });
        self.view = Some(view);
    }

    fn keys(&mut self, scene: &mut Scene<'_>, view: &mut Viewport, bounds: Bounds) {
        let middle = bounds.width / 2.0;
        match scene.state.lane_move.take() {
            None => {}
            Some(LaneMove::Follow) => view.follow = true,
            Some(LaneMove::Fit) => {
                view.follow = false;
                view.fit(bounds);
            }
            Some(LaneMove::ZoomIn) => view.zoom(ZOOM_A_PRESS, middle, bounds),
            Some(LaneMove::ZoomOut) => view.zoom(1.0 / ZOOM_A_PRESS, middle, bounds),
            Some(LaneMove::Earlier) => view.pan(bounds.width * PAN_A_PRESS),
            Some(LaneMove::Later) => view.pan(-bounds.width * PAN_A_PRESS),
        }
    }

    /// Brings a record that was selected elsewhere into sight, once.
    fn reveal(
        &mut self,
        scene: &Scene<'_>,
        topic: &TopicSnapshot,
        view: &mut Viewport,
        bounds: Bounds,
    ) {
        let Selection::Record(name, partition, offset) = &scene.state.selection else {
            self.revealed = None;
            return;
        };
        if *name != topic.name || self.revealed == Some((*partition, *offset)) {
            return;
        }
        self.revealed = Some((*partition, *offset));
        let Some(p) = topic.partitions.iter().find(|p| p.index == *partition) else {
            return;
        };
        // In the first frame the viewport has not been put anywhere yet.
        view.settle(bounds);
        let position = offset.0 - lane::anchor(view.align, p);
        let x = view.x_of(position);
        if x < 0.0 || x > bounds.width {
            view.show(position, bounds);
        }
    }

    fn pointer(
        &mut self,
        ui: &Ui,
        response: &Response,
        view: &mut Viewport,
        bounds: Bounds,
        metrics: &Metrics,
    ) {
        if response.dragged() {
            let moved = response.drag_delta();
            if moved.x != 0.0 {
                view.pan(moved.x);
            }
            self.scrolled -= moved.y;
        }
        let Some(at) = response.hover_pos() else {
            return;
        };
        let (scroll, pinch) = ui.input(|input| (input.smooth_scroll_delta(), input.zoom_delta()));
        let x = at.x - response.rect.left() - metrics.label_width;
        if scroll.x != 0.0 {
            view.pan(scroll.x);
        }
        if x < 0.0 {
            // Over the labels the rows scroll; over the records the lanes zoom.
            self.scrolled -= scroll.y;
        } else if scroll.y != 0.0 || pinch != 1.0 {
            view.zoom((scroll.y * ZOOM_A_POINT).exp() * pinch, x, bounds);
        }
    }

    fn paint(
        &mut self,
        ui: &Ui,
        scene: &Scene<'_>,
        topic: &TopicSnapshot,
        view: &Viewport,
        canvas: Rect,
        metrics: &Metrics,
    ) -> Plan {
        let theme = Theme::of(ui);
        if lane::detail(topic.partitions.len()) == Detail::Heatmap {
            self.warm(scene.now, topic);
        }
        let flags = lane_flags::of_topic(&scene.picture.groups, &topic.name);
        let flags_of = |index: &PartitionIndex| flags.get(index).map_or(&[][..], Vec::as_slice);
        let rows: Vec<Row<'_>> = topic
            .partitions
            .iter()
            .map(|partition| Row {
                partition,
                lane: find_lane(scene, &topic.name, partition.index),
                flags: flags_of(&partition.index),
                heat: self.heat.get(&partition.index.0).copied().unwrap_or(0.0),
            })
            .collect();
        let selected = match &scene.state.selection {
            Selection::Record(name, partition, offset) if *name == topic.name => {
                Some((*partition, *offset))
            }
            _ => None,
        };
        let plan = lane::plan(&lane::Canvas {
            rect: canvas,
            rows: &rows,
            view,
            scrolled: self.scrolled,
            selected,
            metrics,
        });
        lane_paint::paint(&ui.painter().with_clip_rect(canvas), &plan, metrics, theme);
        plan
    }

    /// How busy each partition is compared with the busiest, measured about once a second.
    fn warm(&mut self, now: crate::ids::Time, topic: &TopicSnapshot) {
        const MEASURE_EVERY_US: u64 = 1_000_000;
        if !self.counted.is_empty() && now.since_us(self.heat_since) < MEASURE_EVERY_US {
            return;
        }
        self.heat_since = now;
        let first = self.counted.is_empty();
        let mut came = BTreeMap::new();
        for p in &topic.partitions {
            let before = self.counted.insert(p.index.0, p.records_in);
            // The first time there is nothing to compare with: what is in the log counts.
            let before = before.unwrap_or(if first { 0 } else { p.records_in });
            came.insert(p.index.0, p.records_in.saturating_sub(before));
        }
        let most = came.values().copied().max().unwrap_or(0).max(1) as f32;
        self.heat = came
            .into_iter()
            .map(|(index, records)| (index, records as f32 / most))
            .collect();
    }

    /// Click, tooltip, and the text alternative.
    fn answer(
        &self,
        ui: &Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        response: &Response,
        view: &Viewport,
        plan: &Plan,
    ) {
        response.widget_info(|| {
            let mut text = lane::describe(&topic.name, &topic.partitions);
            for (index, flags) in lane_flags::of_topic(&scene.picture.groups, &topic.name)
                .iter()
                .take(lane::CELL_ROWS)
            {
                let words = lane_flags::describe(flags);
                text.push_str(&format!(" Partition {index}: {words}."));
            }
            WidgetInfo::labeled(Role::Image, true, text)
        });
        let Some(hit) = response.hover_pos().and_then(|at| plan.hit(view, at)) else {
            return;
        };
        let Some(partition) = topic.partitions.iter().find(|p| p.index == hit.partition) else {
            return;
        };
        let record = hit
            .offset
            .filter(|offset| (partition.log_start..partition.log_end).contains(offset));
        if response.clicked() {
            let name = topic.name.clone();
            let selection = match record {
                Some(offset) => Selection::Record(name, partition.index, offset),
                None => Selection::Partition(name, partition.index),
            };
            scene.state.select(selection);
        }
        if record.is_some() {
            ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        }
        if response.dragged() {
            return;
        }
        let lane = find_lane(scene, &topic.name, partition.index);
        response.clone().on_hover_ui_at_pointer(|ui| {
            log_tooltip::draw(ui, topic, partition, lane, hit, record);
        });
    }

    fn footer(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        view: &mut Viewport,
        bounds: Bounds,
    ) {
        let detail = lane::detail(topic.partitions.len());
        ui.add_space(space::S);
        ui.horizontal(|ui| {
            let replicated = topic.replication_factor > 1;
            ui.scope(|ui| legend(ui, detail, replicated));
            if detail == Detail::Heatmap {
                return;
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if button(ui, "+").on_hover_text("Zoom in").clicked() {
                    view.zoom(ZOOM_A_PRESS, bounds.width / 2.0, bounds);
                }
                if button(ui, "−").on_hover_text("Zoom out").clicked() {
                    view.zoom(1.0 / ZOOM_A_PRESS, bounds.width / 2.0, bounds);
                }
                if button(ui, "Fit")
                    .on_hover_text("Show whole logs (A)")
                    .clicked()
                {
                    view.follow = false;
                    view.fit(bounds);
                }
                let mut ends = view.align == Align::Ends;
                if ui
                    .checkbox(&mut ends, "Align ends")
                    .on_hover_text("Put the newest records of all partitions in one column")
                    .changed()
                {
                    view.align = if ends { Align::Ends } else { Align::Offsets };
                    view.follow = true;
                    let mut choices = scene.state.choices(&topic.name);
                    choices.align = Some(view.align);
                    scene.state.set_choices(&topic.name, choices);
                }
                ui.checkbox(&mut view.follow, "Follow end")
                    .on_hover_text("Keep the newest records in sight (F)");
            });
        });
    }
}

/// What lanes line up at: as chosen for this topic, else what shows most.
fn chosen_align(scene: &Scene<'_>, topic: &TopicSnapshot) -> Align {
    let chosen = scene.state.choices(&topic.name).align;
    chosen.unwrap_or_else(|| lane::natural_align(&topic.partitions))
}

fn find_lane<'a>(scene: &'a Scene<'_>, topic: &str, partition: PartitionIndex) -> Option<&'a Lane> {
    scene
        .picture
        .lanes
        .iter()
        .find(|lane| lane.partition == partition && lane.topic == topic)
        .map(Arc::as_ref)
}

/// What the shapes mean.
fn legend(ui: &mut Ui, detail: Detail, replicated: bool) {
    let theme = Theme::of(ui);
    let entries: &[(Mark, &str)] = match detail {
        Detail::Cells if replicated => &[
            (Mark::Watermark, "high watermark"),
            (Mark::Waiting, "not committed"),
            (Mark::Flag, "group"),
            (Mark::Replica(ReplicaRole::Leader), "leader"),
            (Mark::Replica(ReplicaRole::InSync), "in-sync"),
            (Mark::Replica(ReplicaRole::OutOfSync), "out of ISR"),
            (Mark::Replica(ReplicaRole::Offline), "offline"),
            (Mark::Keys, "colour = key"),
        ],
        Detail::Cells => &[
            (Mark::Keys, "colour = key"),
            (Mark::Waiting, "not committed"),
            (Mark::Watermark, "high watermark"),
            (Mark::Flag, "group's committed offset"),
            (Mark::Tombstone, "tombstone"),
            (Mark::Control, "control"),
        ],
        Detail::Bars => &[
            (Mark::Band, "committed"),
            (Mark::Hatched, "not committed"),
            (Mark::Watermark, "high watermark"),
        ],
        Detail::Heatmap => &[],
    };
    ui.spacing_mut().item_spacing.x = space::XS;
    for (mark, text) in entries {
        let size = lane_paint::mark_size(*mark);
        let words = ui
            .painter()
            .layout_no_wrap((*text).to_owned(), theme::small(), theme.muted);
        let wanted = size.x + words.size().x + theme::lane::LEGEND_LEAVES;
        if ui.available_width() < wanted {
            return;
        }
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        lane_paint::mark(ui.painter(), rect, *mark, theme);
        small(ui, text);
        ui.add_space(space::S);
    }
}
