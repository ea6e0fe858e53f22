//! What the shapes of the cluster's picture mean.

use egui::{Rect, Sense, Ui, UiBuilder, pos2, vec2};

use super::lanes;
use super::layout::Detail;
use super::wires::request_ink;
use crate::app::replicas::ReplicaRole;
use crate::app::theme::{self, Theme, cluster as measure, space};
use crate::app::widgets::lane_paint::{self, Mark};
use crate::app::widgets::small;

/// Draws it into `rect`, as far as it has room.
pub fn draw(ui: &mut Ui, rect: Rect, detail: Detail, several: bool, moving: bool) {
    let layout = egui::Layout::left_to_right(egui::Align::Center);
    ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), |ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let roles = [
            (ReplicaRole::Leader, "leader"),
            (ReplicaRole::InSync, "in-sync follower"),
            (ReplicaRole::OutOfSync, "out of ISR"),
            (ReplicaRole::Offline, "offline"),
        ];
        for (role, text) in roles.iter().take(if several { 4 } else { 1 }) {
            badge(ui, *role);
            entry(ui, text);
        }
        if moving {
            badge(ui, ReplicaRole::Adding);
            entry(ui, ReplicaRole::Adding.word());
        }
        let marks: &[(Mark, &str)] = match detail {
            Detail::Cells => &[
                (Mark::Watermark, "high watermark"),
                (Mark::Waiting, "not committed"),
                (Mark::Keys, "colour = key"),
            ],
            Detail::Bars => &[(Mark::Band, "committed"), (Mark::Hatched, "not committed")],
            Detail::Squares => &[],
        };
        for (mark, text) in marks {
            if ui.available_width() < measure::NOTE + lane_paint::mark_size(*mark).x {
                return;
            }
            let (rect, _) = ui.allocate_exact_size(lane_paint::mark_size(*mark), Sense::hover());
            lane_paint::mark(ui.painter(), rect, *mark, Theme::of(ui));
            entry(ui, text);
        }
        if several && ui.available_width() > 2.0 * measure::NOTE {
            request(ui, false);
            entry(ui, "request");
            request(ui, true);
            entry(ui, "waits there");
        }
    });
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
