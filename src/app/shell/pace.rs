//! The top bar's control of time: pause or go on, step, speed.

use egui::{
    Align, Color32, CornerRadius, Layout, Rect, Response, RichText, Role, Sense, Slider, Ui,
    WidgetInfo, pos2, vec2,
};

use super::topbar::chip;
use crate::app::pace::{self, SLOWDOWNS};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::widgets;
use crate::inspect::Command;

/// What the control takes without its slider, points.
pub const NARROW: f32 = 124.0;
/// What it takes with it.
pub const WIDE: f32 = NARROW + SLIDER + 16.0;

const SLIDER: f32 = 96.0;
const ICON: [f32; 2] = [22.0, 24.0];

/// A sign on a button.
#[derive(Clone, Copy)]
enum Sign {
    Pause,
    Play,
    Step,
}

/// Draws it as wide as there is room for.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, room: f32) {
    if !scene.abilities.turn_time || room < NARROW {
        return;
    }
    chip(ui, |ui| {
        // The bar is laid out from its right end; this reads from the left as any other.
        let width = if room >= WIDE { WIDE } else { NARROW } - 2.0 * space::S;
        let left_to_right = Layout::left_to_right(Align::Center);
        let size = vec2(width, size::CONTROL - 2.0);
        ui.allocate_ui_with_layout(size, left_to_right, |ui| controls(ui, scene, room));
    });
}

fn controls(ui: &mut Ui, scene: &mut Scene<'_>, room: f32) {
    let pace = scene.picture.pace.clone();
    ui.spacing_mut().item_spacing.x = space::XS;
    let (sign, name) = match pace.paused {
        true => (Sign::Play, "Let time go on"),
        false => (Sign::Pause, "Pause time"),
    };
    if icon(ui, sign, true, name, "Space").clicked() {
        pace::toggle_pause(scene);
    }
    let steps = pace.paused || pace.replication_frozen;
    let step = icon(
        ui,
        Sign::Step,
        steps,
        "Step one message between brokers",
        ".",
    );
    if step.clicked() && steps {
        scene.send(Command::Step);
    }
    if room >= WIDE {
        slider(ui, scene, pace.slowdown);
    }
    let color = match pace.slowdown {
        1 => Theme::of(ui).text,
        _ => Theme::of(ui).warning,
    };
    let text = RichText::new(pace::speed(pace.slowdown)).font(theme::mono());
    let label = ui.add_sized(
        vec2(58.0, size::CONTROL - 2.0),
        egui::Label::new(text.color(color)),
    );
    label.on_hover_text(hover(pace.behind_ms));
}

fn hover(behind_ms: u64) -> String {
    let keys = "Speed of the brokers' time and that of klar's own clients: [ slower, ] faster.";
    match behind_ms {
        0 => keys.to_owned(),
        _ => format!(
            "{keys} The cluster's clock is {:.1} s behind this machine's because of it.",
            behind_ms as f64 / 1_000.0
        ),
    }
}

/// From 1/1000 at the left to real time at the right.
fn slider(ui: &mut Ui, scene: &mut Scene<'_>, slowdown: u32) {
    let last = SLOWDOWNS.len() - 1;
    let mut place = last - pace::nearest(slowdown);
    // While it is held it stands where the hand is, not where the cluster is.
    let held = ui.scope_id().with("held speed");
    if let Some(chosen) = ui.data(|data| data.get_temp::<usize>(held)) {
        place = chosen;
    }
    ui.spacing_mut().slider_width = SLIDER;
    let theme = Theme::of(ui);
    ui.visuals_mut().widgets.inactive.bg_fill = theme.line;
    let response = ui.add(Slider::new(&mut place, 0..=last).show_value(false));
    let text = format!("Speed {}", pace::speed(SLOWDOWNS[last - place]));
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, &text));
    if response.dragged() {
        ui.data_mut(|data| data.insert_temp(held, place));
    } else {
        ui.data_mut(|data| data.remove_temp::<usize>(held));
    }
    let times = SLOWDOWNS[last - place];
    let decided = response.drag_stopped() || response.changed() && !response.dragged();
    if decided && times != slowdown {
        scene.send(Command::SlowTime { times });
    }
    response.on_hover_text(text);
}

fn icon(ui: &mut Ui, sign: Sign, can: bool, name: &str, key: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(ICON.into(), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, can, name));
    let theme = Theme::of(ui);
    let ink = match (can, response.hovered()) {
        (false, _) => theme.faint,
        (true, true) => theme.accent,
        (true, false) => theme.text,
    };
    widgets::focus_ring(ui, &response, rect);
    paint(
        ui,
        sign,
        Rect::from_center_size(rect.center(), vec2(10.0, 10.0)),
        ink,
    );
    response.on_hover_text(format!("{name} ({key})"))
}

fn paint(ui: &Ui, sign: Sign, at: Rect, ink: Color32) {
    let painter = ui.painter();
    let bar = |left: f32| {
        let bar = Rect::from_min_size(pos2(left, at.top()), vec2(3.0, at.height()));
        painter.rect_filled(bar, CornerRadius::same(1), ink);
    };
    let triangle = |right: f32| {
        let corners = vec![at.left_top(), pos2(right, at.center().y), at.left_bottom()];
        painter.add(egui::Shape::convex_polygon(
            corners,
            ink,
            egui::Stroke::NONE,
        ));
    };
    match sign {
        Sign::Pause => {
            bar(at.left() + 0.5);
            bar(at.right() - 3.5);
        }
        Sign::Play => triangle(at.right()),
        Sign::Step => {
            triangle(at.right() - 3.0);
            bar(at.right() - 2.0);
        }
    }
}
