//! One broker's card: what it is, and the replicas it holds.

use egui::epaint::RoundedRect;
use egui::epaint::tessellator::path::rounded_rectangle;
use egui::{
    CornerRadius, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2,
    vec2,
};

use super::drag::Dragged;
use super::heatmap;
use super::lanes::{self, Parts};
use super::layout::{Detail, Fit, card_body};
use super::rows::{Row, Urgency};
use crate::app::format;
use crate::app::replicas::{ReplicaRole, is_up};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, cluster as measure, radius, size, space};
use crate::app::widgets::lane::{Metrics, Quad};
use crate::app::widgets::{self, lane_paint};
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot, Lane};

/// Replicas a card's text alternative names one by one.
const DESCRIBED: usize = 24;

/// Everything one card is drawn from.
pub struct Card<'a> {
    pub broker: &'a BrokerSnapshot,
    pub rows: &'a [Row<'a>],
    pub rect: Rect,
    pub fit: &'a Fit,
    /// What the largest log in sight takes on disk, bytes.
    pub largest: u64,
    pub metrics: &'a Metrics,
    /// Milliseconds since the picture was made.
    pub passed_ms: u64,
}

impl Card<'_> {
    /// Draws the card and takes clicks on it.
    pub fn draw(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        self.ground(ui, scene);
        self.head(ui, scene);
        match self.fit.detail {
            Detail::Cells => self.lanes(ui, scene),
            Detail::Bars => self.bars(ui, scene),
            Detail::Heatmap(grid) => heatmap::draw(self, ui, scene, &grid),
        }
        self.left_out(ui);
    }

    fn ground(&self, ui: &Ui, scene: &Scene<'_>) {
        let theme = Theme::of(ui);
        let corner = CornerRadius::same(radius::CARD);
        let painter = ui.painter();
        let selected = scene.state.selection == Selection::Broker(self.broker.id);
        if is_up(&self.broker.state) {
            let edge = if selected { theme.accent } else { theme.line };
            let stroke = Stroke::new(size::LINE, edge);
            painter.rect(self.rect, corner, theme.card, stroke, StrokeKind::Inside);
            return;
        }
        // What does not run is told by its edge, too.
        let edge = match &self.broker.state {
            BrokerState::Killed | BrokerState::Crashed { .. } => theme.bad,
            BrokerState::Stopped => theme.faint,
            _ => theme.warning,
        };
        painter.rect_filled(self.rect, corner, theme.panel);
        let mut outline = Vec::new();
        let edged = self.rect.shrink(size::LINE / 2.0);
        rounded_rectangle(&mut outline, RoundedRect::new(edged, corner));
        outline.extend(outline.first().copied());
        painter.extend(Shape::dashed_line(
            &outline,
            Stroke::new(size::LINE, edge),
            6.0,
            4.0,
        ));
        if selected {
            let around = Stroke::new(size::LINE, theme.accent);
            painter.rect_stroke(self.rect, corner, around, StrokeKind::Outside);
        }
    }

    /// Every replica with its records.
    fn lanes(&self, ui: &Ui, scene: &mut Scene<'_>) {
        let body = card_body(self.rect);
        let (mut quads, mut dim) = (Vec::new(), Vec::new());
        for (nth, row) in self.rows.iter().enumerate() {
            let rect = self.fit.place(body, self.rows.len(), nth);
            let response = self.answer(ui, scene, row, rect);
            self.row_ground(ui, scene, row, rect, response.hovered());
            let parts = Parts::of(rect, self.notes());
            let into = match row.role {
                ReplicaRole::Offline => &mut dim,
                _ => &mut quads,
            };
            into.push(lanes::badge(row.role, parts.badge));
            let lane = find_lane(scene.picture, row);
            lanes::cells(into, row, lane, &parts, self.metrics);
            lanes::flags(into, row, &scene.picture.groups, &parts);
        }
        self.paint(ui, &quads, 1.0);
        self.paint(ui, &dim, measure::DIMMED);
        for (nth, row) in self.rows.iter().enumerate() {
            let rect = self.fit.place(body, self.rows.len(), nth);
            self.row_words(ui, row, &Parts::of(rect, self.notes()));
        }
    }

    fn notes(&self) -> bool {
        self.rect.width() / self.fit.columns as f32 >= measure::NOTES_FROM
    }

    fn row_words(&self, ui: &Ui, row: &Row<'_>, parts: &Parts) {
        let theme = Theme::of(ui);
        let painter = ui.painter();
        let dim = row.role == ReplicaRole::Offline;
        let ink = match row.role {
            ReplicaRole::Leader => theme.on_leader,
            role => lane_paint::role_color(role, theme),
        };
        let at = parts.badge.center();
        let letter = lanes::letter(row.role);
        painter.text(
            at,
            egui::Align2::CENTER_CENTER,
            letter,
            theme::small_heading(),
            ink,
        );
        let name_ink = if dim { theme.muted } else { theme.text };
        let name = widgets::elided(
            ui,
            &row.name(),
            theme::small(),
            name_ink,
            parts.name.width(),
        );
        let top = parts.name.center().y - name.size().y / 2.0;
        painter.galley(pos2(parts.name.left(), top), name, name_ink);
        let right = pos2(parts.number.right(), parts.number.center().y);
        let number = |text: String, font, ink| {
            painter.text(right, egui::Align2::RIGHT_CENTER, text, font, ink);
        };
        let noted = parts.note.width() > 0.0;
        match row.note(self.passed_ms) {
            Some((note, urgency)) if noted => {
                let left = pos2(parts.note.left(), parts.note.center().y);
                let ink = urgency_color(urgency, theme);
                painter.text(left, egui::Align2::LEFT_CENTER, note, theme::small(), ink);
                number(row.end(), theme::mono_small(), theme.muted);
            }
            // Where there is room for one of the two, what is wrong is worth more.
            Some((note, urgency))
                if urgency != Urgency::Plain || row.role == ReplicaRole::Adding =>
            {
                number(note, theme::small(), urgency_color(urgency, theme));
            }
            _ => number(row.end(), theme::mono_small(), theme.muted),
        }
    }

    /// Bars: one picture, whose parts answer by where they lie.
    fn bars(&self, ui: &Ui, scene: &mut Scene<'_>) {
        let body = card_body(self.rect);
        let id = ui.scope_id().with(("replicas", self.broker.id.0));
        let response = ui.interact(body, id, Sense::click_and_drag());
        response.widget_info(|| {
            let words = describe_rows(self.broker, self.rows, self.passed_ms);
            WidgetInfo::labeled(Role::Image, true, words)
        });
        // A drag is known as one only once the pointer has left where it began.
        let began = ui.input(|input| input.pointer.press_origin());
        let pointer = began.or(response.hover_pos());
        let (mut quads, mut dim, mut hit) = (Vec::new(), Vec::new(), None);
        for (nth, row) in self.rows.iter().enumerate() {
            let rect = self.fit.place(body, self.rows.len(), nth);
            let hovered = pointer.is_some_and(|at| rect.contains(at));
            if hovered {
                hit = Some(row);
            }
            self.row_ground(ui, scene, row, rect, hovered);
            let into = match row.role {
                ReplicaRole::Offline => &mut dim,
                _ => &mut quads,
            };
            self.bar(ui, into, row, rect);
        }
        self.paint(ui, &quads, 1.0);
        self.paint(ui, &dim, measure::DIMMED);
        if let Some(row) = hit {
            self.chosen(scene, row, &response);
            response.on_hover_text_at_pointer(row.sentence(self.passed_ms));
        }
    }

    fn bar(&self, ui: &Ui, into: &mut Vec<Quad>, row: &Row<'_>, rect: Rect) {
        let theme = Theme::of(ui);
        let side = (rect.height() - space::XS).min(measure::BADGE[1]).floor();
        let middle = rect.center().y.round();
        let mark = Rect::from_center_size(pos2(rect.left() + side / 2.0, middle), vec2(side, side));
        let name_room = (rect.width() * 0.5).min(measure::NAME);
        let name = widgets::elided(ui, &row.name(), theme::small(), theme.muted, name_room);
        let at = pos2(mark.right() + space::XS, middle - name.size().y / 2.0);
        ui.painter().galley(at, name, theme.muted);
        let height = theme::lane::STRIP;
        let bar = Rect::from_min_max(
            pos2(mark.right() + name_room + space::S, middle - height / 2.0),
            pos2(rect.right(), middle + height / 2.0),
        );
        lanes::bar(into, row, mark, bar);
    }

    pub fn paint(&self, ui: &Ui, quads: &[Quad], share: f32) {
        let mut mesh = lane_paint::mesh(quads, self.metrics, Theme::of(ui));
        if share < 1.0 {
            for vertex in &mut mesh.vertices {
                vertex.color = vertex.color.gamma_multiply(share);
            }
        }
        ui.painter().add(Shape::mesh(mesh));
    }

    fn row_ground(&self, ui: &Ui, scene: &Scene<'_>, row: &Row<'_>, rect: Rect, hovered: bool) {
        let theme = Theme::of(ui);
        let selection = &scene.state.selection;
        let same = selection.topic() == Some(row.topic);
        let partition = selection.partition();
        let selected = same && partition.is_none_or(|index| index == row.partition.index);
        let ground = match (selected, hovered) {
            (true, _) => theme.selected,
            (false, true) => theme.hover,
            (false, false) => return,
        };
        let corner = CornerRadius::same(radius::SMALL);
        let around = rect.expand2(vec2(space::XS, 0.0));
        ui.painter().rect_filled(around, corner, ground);
    }

    /// A row's click, tooltip and text alternative.
    fn answer(&self, ui: &Ui, scene: &mut Scene<'_>, row: &Row<'_>, rect: Rect) -> Response {
        let salt = (self.broker.id.0, row.topic, row.partition.index.0);
        let response = ui.interact(rect, ui.scope_id().with(salt), Sense::click_and_drag());
        let selected = scene.state.selection
            == Selection::Partition(row.topic.to_owned(), row.partition.index);
        let sentence = row.sentence(self.passed_ms);
        response
            .widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, &sentence));
        self.chosen(scene, row, &response);
        response.on_hover_text_at_pointer(sentence)
    }

    pub fn chosen(&self, scene: &mut Scene<'_>, row: &Row<'_>, response: &Response) {
        if response.clicked() {
            let partition = Selection::Partition(row.topic.to_owned(), row.partition.index);
            scene.state.select(partition);
        }
        if response.double_clicked() {
            scene.state.open_topic(row.topic);
        }
        if response.drag_started() && scene.abilities.break_things {
            let partition = row.partition.index;
            response.dnd_set_drag_payload(Dragged::new(row.topic, partition, self.broker.id));
        }
    }

    /// Says how many replicas have no room, for which the legend knows help, and that there are none.
    fn left_out(&self, ui: &Ui) {
        let theme = Theme::of(ui);
        let body = card_body(self.rect);
        let text = match self.rows.len().checked_sub(self.fit.room) {
            Some(more) if more > 0 => format!("+{}", format::count(more as u64)),
            _ if self.rows.is_empty() => "no replicas here".to_owned(),
            _ => return,
        };
        let at = if self.rows.is_empty() {
            body.left_top()
        } else {
            // Left of the button.
            let right = body.right() - measure::BUTTON[0] - space::S;
            pos2(right, self.rect.top() + measure::HEAD / 2.0)
        };
        let align = if self.rows.is_empty() {
            egui::Align2::LEFT_TOP
        } else {
            egui::Align2::RIGHT_CENTER
        };
        ui.painter()
            .text(at, align, text, theme::small(), theme.muted);
    }
}

fn urgency_color(urgency: Urgency, theme: &Theme) -> egui::Color32 {
    match urgency {
        Urgency::Plain => theme.muted,
        Urgency::Warning => theme.warning,
        Urgency::Bad => theme.bad,
    }
}

fn find_lane<'a>(picture: &'a ClusterSnapshot, row: &Row<'_>) -> Option<&'a Lane> {
    let lanes = picture.lanes.iter();
    let mut same =
        lanes.filter(|lane| lane.partition == row.partition.index && lane.topic == row.topic);
    same.next().map(AsRef::as_ref)
}

/// The replicas of a card whose rows are too small to answer one by one.
fn describe_rows(broker: &BrokerSnapshot, rows: &[Row<'_>], passed_ms: u64) -> String {
    let mut roles = Vec::new();
    for role in ReplicaRole::ALL {
        let number = rows.iter().filter(|row| row.role == role).count();
        if number > 0 {
            roles.push(format!("{number} {}", role.word()));
        }
    }
    let replicas = format::counted(rows.len() as u64, "replica");
    let mut text = format!(
        "Replicas on broker {}, {replicas}: {}.",
        broker.id,
        roles.join(", ")
    );
    for row in rows
        .iter()
        .filter(|row| row.role != ReplicaRole::InSync)
        .take(DESCRIBED)
    {
        text.push_str(&format!(" {}.", row.sentence(passed_ms)));
    }
    text
}
