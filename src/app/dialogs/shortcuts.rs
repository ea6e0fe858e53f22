//! The `?` sheet: every shortcut that exists now, from the same tables that run them.

use egui::{Color32, CornerRadius, Frame, Margin, RichText, ScrollArea, Ui};

use crate::app::actions::{self, VIEW_KEYS};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, radius, space};
use crate::app::views::View;
use crate::app::widgets;

pub fn draw(ui: &mut Ui, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
    widgets::title(ui, "Shortcuts");
    widgets::muted(ui, "None of them fires while you type into a field.");
    ui.add_space(space::S);
    let groups = groups(ui.ctx(), views, scene);
    let room = ui.ctx().content_rect().height() - 160.0;
    ScrollArea::vertical()
        .max_height(room)
        .min_scrolled_height(room)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            let half = groups.iter().map(|(_, rows)| rows.len() + 2).sum::<usize>() / 2;
            ui.columns(2, |columns| {
                let mut drawn = 0;
                for (name, rows) in &groups {
                    let column = usize::from(drawn >= half);
                    group(&mut columns[column], name, rows);
                    drawn += rows.len() + 2;
                }
            });
        });
}

/// Keys as printed, and what they do.
type Rows = Vec<(String, String)>;

fn groups(
    ctx: &egui::Context,
    views: &[Box<dyn View>],
    scene: &Scene<'_>,
) -> Vec<(&'static str, Rows)> {
    let mac = ctx.os().is_mac();
    let mut groups: Vec<(&'static str, Rows)> = Vec::new();
    let mut add = |group: &'static str, keys: String, name: String| match groups
        .iter_mut()
        .find(|(name, _)| *name == group)
    {
        Some((_, rows)) => rows.push((keys, name)),
        None => groups.push((group, vec![(keys, name)])),
    };
    let available = actions::available(views, scene);
    for action in &available {
        if let Some(keys) = action.keys {
            add(action.group, keys.label(mac), action.name.to_owned());
        }
    }
    for (view, key) in views.iter().zip(VIEW_KEYS) {
        add(
            "Views",
            key.symbol_or_name().to_owned(),
            view.name().to_owned(),
        );
    }
    // Where the view's own actions move through its list, they are named above.
    let own = |key: egui::Key| {
        let with = |action: &actions::Action| action.keys.is_some_and(|keys| keys.key == key);
        available.iter().any(with)
    };
    if !own(egui::Key::ArrowDown) {
        add("Lists", "↑ ↓".to_owned(), "Move".to_owned());
    }
    if !own(egui::Key::Enter) {
        add("Lists", "Enter".to_owned(), "Open".to_owned());
    }
    add("Lists", "Tab".to_owned(), "Next control".to_owned());
    groups
}

fn group(ui: &mut Ui, name: &str, rows: &Rows) {
    ui.add_space(space::S);
    widgets::heading(ui, name);
    for (keys, what) in rows {
        ui.horizontal(|ui| {
            ui.spacing_mut().interact_size.y = 22.0;
            ui.allocate_ui(egui::vec2(92.0, 22.0), |ui| {
                ui.set_min_width(92.0);
                ui.spacing_mut().item_spacing.x = space::XS;
                for key in keys.split(' ') {
                    key_cap(ui, key);
                }
            });
            ui.label(what);
        });
    }
}

/// A key as it looks on a keyboard.
pub fn key_cap(ui: &mut Ui, key: &str) {
    let theme = Theme::of(ui);
    Frame::new()
        .fill(theme.card)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::SMALL))
        .inner_margin(Margin::symmetric(6, 1))
        .show(ui, |ui| {
            let color: Color32 = theme.text;
            ui.label(RichText::new(key).font(theme::mono_small()).color(color));
        });
}
