//! What the shapes of the cluster's picture mean.

use egui::{Rect, Sense, Ui, UiBuilder, pos2, vec2};

use super::layout::Detail;
use super::tiles::Grid;
use super::wires::request_ink;
use super::{heatmap, lanes};
use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::theme::{self, Theme, cluster as measure, space};
use crate::app::widgets::lane_paint::{self, Mark};
use crate::app::widgets::small;

/// What the number in a card's head means.
const FULL: &str = "+ more than have room: filter by topic";
/// Steps of brightness shown.
const HEATS: usize = 5;

/// What there is to explain.
pub struct Legend {
    pub detail: Detail,
    /// There are several brokers.
    pub several: bool,
    /// A replica is on its way to another broker.
    pub moving: bool,
    /// What the largest log in sight takes on disk, bytes.
    pub largest: u64,
    /// Some replicas have no room.
    pub full: bool,
}

impl Legend {
    /// Draws it into `rect`, as far as it has room.
    pub fn draw(&self, ui: &mut Ui, rect: Rect) {
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            self.roles(ui);
            self.marks(ui);
            if self.full {
                entry(ui, FULL);
            } else if self.several && ui.available_width() > 2.0 * measure::NOTE {
                request(ui, false);
                entry(ui, "request");
                request(ui, true);
                entry(ui, "waits there");
            }
        });
    }

    fn roles(&self, ui: &mut Ui) {
        let roles = [
            (ReplicaRole::Leader, "leader"),
            (ReplicaRole::InSync, "in-sync follower"),
            (ReplicaRole::OutOfSync, "out of ISR"),
            (ReplicaRole::Offline, "offline"),
            (ReplicaRole::Adding, ReplicaRole::Adding.word()),
        ];
        for (role, text) in roles {
            let there = match role {
                ReplicaRole::Leader => true,
                ReplicaRole::Adding => self.moving,
                _ => self.several,
            };
            if there {
                match self.detail {
                    Detail::Heatmap(grid) => tile(ui, role, &grid),
                    Detail::Cells | Detail::Bars => badge(ui, role),
                }
                entry(ui, text);
            }
        }
    }

    fn marks(&self, ui: &mut Ui) {
        let marks: &[(Mark, &str)] = match self.detail {
            Detail::Cells => &[
                (Mark::Watermark, "high watermark"),
                (Mark::Waiting, "not committed"),
                (Mark::Keys, "colour = key"),
            ],
            Detail::Bars => &[(Mark::Band, "committed"), (Mark::Hatched, "not committed")],
            Detail::Heatmap(_) => return self.heat(ui),
        };
        for (mark, text) in marks {
            if ui.available_width() < measure::NOTE + lane_paint::mark_size(*mark).x {
                return;
            }
            let (rect, _) = ui.allocate_exact_size(lane_paint::mark_size(*mark), Sense::hover());
            lane_paint::mark(ui.painter(), rect, *mark, Theme::of(ui));
            entry(ui, text);
        }
    }

    /// From an empty log to the largest.
    fn heat(&self, ui: &mut Ui) {
        let theme = Theme::of(ui);
        let [width, height] = measure::TILE_LEGEND;
        let levels = HEATS as f32;
        let (rect, _) = ui.allocate_exact_size(vec2(width * levels, height), Sense::hover());
        for nth in 0..HEATS {
            let left = rect.left() + width * nth as f32;
            let part = Rect::from_min_size(pos2(left, rect.top()), vec2(width, height));
            let ink = theme.heat(nth as f32 / (levels - 1.0));
            ui.painter().rect_filled(part, 0.0, ink);
        }
        let text = format!("log on disk, 0 to {}", format::bytes(self.largest));
        entry(ui, &text);
    }
}

fn tile(ui: &mut Ui, role: ReplicaRole, grid: &Grid) {
    let side = measure::TILE_LEGEND[1];
    let (rect, _) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    let mut quads = Vec::new();
    heatmap::mark(
        &mut quads,
        role,
        grid,
        Rect::from_min_max(rect.min.round(), rect.max.round()),
    );
    let metrics = lane_paint::metrics(ui.ctx().pixels_per_point());
    let mesh = lane_paint::mesh(&quads, &metrics, Theme::of(ui));
    ui.painter().add(egui::Shape::mesh(mesh));
}

fn entry(ui: &mut Ui, text: &str) {
    small(ui, text);
    ui.add_space(space::S);
}

fn badge(ui: &mut Ui, role: ReplicaRole) {
    let theme = Theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(measure::BADGE.into(), Sense::hover());
    let metrics = lane_paint::metrics(ui.ctx().pixels_per_point());
    let quad = lanes::badge(role, Rect::from_min_max(rect.min.round(), rect.max.round()));
    ui.painter().add(egui::Shape::mesh(lane_paint::mesh(
        &[quad],
        &metrics,
        theme,
    )));
    let ink = match role {
        ReplicaRole::Leader => theme.on_leader,
        role => lane_paint::role_color(role, theme),
    };
    let centred = egui::Align2::CENTER_CENTER;
    ui.painter().text(
        rect.center(),
        centred,
        lanes::letter(role),
        theme::small_heading(),
        ink,
    );
}

fn request(ui: &mut Ui, arrived: bool) {
    let theme = Theme::of(ui);
    let side = measure::REQUEST * 2.0;
    let (rect, _) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    let corners = vec![
        pos2(rect.right(), rect.center().y),
        pos2(rect.left(), rect.top() + 1.0),
        pos2(rect.left(), rect.bottom() - 1.0),
    ];
    let (fill, stroke) = request_ink(arrived, theme);
    ui.painter()
        .add(egui::Shape::convex_polygon(corners, fill, stroke));
}
