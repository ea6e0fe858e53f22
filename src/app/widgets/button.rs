//! Buttons, tabs, chips, the search field, and copying.

use egui::text::{LayoutJob, TextFormat};
use egui::{
    Button, Color32, CornerRadius, Frame, Margin, Response, RichText, Role, Sense, Stroke,
    TextEdit, Ui, WidgetInfo, vec2,
};

use crate::app::theme::{self, Theme, radius, size, space};

/// A button.
pub fn button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text).min_size(vec2(0.0, size::CONTROL)))
}

/// A button that is grey and explains itself when it cannot be used.
pub fn button_if(ui: &mut Ui, can: bool, text: &str, why_not: &str) -> Response {
    ui.add_enabled(can, Button::new(text).min_size(vec2(0.0, size::CONTROL)))
        .on_disabled_hover_text(why_not)
}

/// The one button a place is for.
pub fn primary_button(ui: &mut Ui, text: &str) -> Response {
    filled_button(ui, text, true)
}

/// The one button a place is for, if it can be used now.
pub fn primary_button_if(ui: &mut Ui, can: bool, text: &str) -> Response {
    filled_button(ui, text, can)
}

fn filled_button(ui: &mut Ui, text: &str, can: bool) -> Response {
    let theme = Theme::of(ui);
    ui.add_enabled(
        can,
        Button::new(RichText::new(text).color(theme.on_primary))
            .fill(theme.primary)
            .stroke(Stroke::NONE)
            .min_size(vec2(0.0, size::CONTROL)),
    )
}

/// A button for something that destroys.
pub fn danger_button(ui: &mut Ui, text: &str) -> Response {
    let theme = Theme::of(ui);
    ui.add(Button::new(RichText::new(text).color(theme.bad)).min_size(vec2(0.0, size::CONTROL)))
}

/// Text that can be clicked, without a frame.
pub fn link(ui: &mut Ui, text: &str) -> Response {
    let theme = Theme::of(ui);
    ui.add(Button::new(RichText::new(text).color(theme.accent)).frame(false))
}

/// One of several choices, drawn filled when chosen.
pub fn choice(ui: &mut Ui, chosen: bool, text: &str) -> Response {
    let theme = Theme::of(ui);
    let (fill, ink, line) = if chosen {
        (theme.primary, theme.on_primary, Stroke::NONE)
    } else {
        (theme.card, theme.text, theme.hairline())
    };
    let response = ui.add(
        Button::new(RichText::new(text).color(ink))
            .fill(fill)
            .stroke(line)
            .min_size(vec2(0.0, size::CONTROL)),
    );
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, enabled, chosen, text));
    response
}

/// A row of choices; true when another one was chosen.
pub fn choices<T: PartialEq + Copy>(ui: &mut Ui, current: &mut T, all: &[(T, &str)]) -> bool {
    let mut changed = false;
    ui.horizontal_wrapped(|ui| {
        for (value, text) in all {
            if choice(ui, *current == *value, text).clicked() && *current != *value {
                *current = *value;
                changed = true;
            }
        }
    });
    changed
}

/// One of several things that can be chosen together, with how many of it there are.
pub fn chip(ui: &mut Ui, chosen: bool, text: &str, number: &str) -> Response {
    let theme = Theme::of(ui);
    let (fill, line) = match chosen {
        true => (theme.selected, Stroke::new(size::LINE, theme.accent)),
        false => (theme.card, theme.hairline()),
    };
    let mut words = LayoutJob::default();
    words.append(text, 0.0, TextFormat::simple(theme::body(), theme.text));
    let quiet = TextFormat::simple(theme::mono_small(), theme.muted);
    words.append(number, space::S, quiet);
    let button = Button::new(words).fill(fill).stroke(line);
    let response = ui.add(button.min_size(vec2(0.0, size::CONTROL)));
    let enabled = ui.is_enabled();
    let name = format!("{text}, {number}");
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, enabled, chosen, &name));
    response
}

/// Tabs with a line under the current one; true when another one was chosen.
pub fn tabs<T: PartialEq + Copy>(ui: &mut Ui, current: &mut T, all: &[(T, String)]) -> bool {
    let theme = Theme::of(ui);
    let mut changed = false;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        for (value, text) in all {
            let chosen = *current == *value;
            let galley =
                ui.painter()
                    .layout_no_wrap(text.clone(), theme::body(), Color32::PLACEHOLDER);
            let (rect, response) =
                ui.allocate_exact_size(vec2(galley.size().x, size::CONTROL), Sense::click());
            let ink = if chosen || response.hovered() || response.has_focus() {
                theme.text
            } else {
                theme.muted
            };
            let at = egui::pos2(rect.left(), rect.center().y - galley.size().y / 2.0);
            ui.painter().galley(at, galley, ink);
            if chosen {
                ui.painter().hline(
                    rect.x_range(),
                    rect.bottom(),
                    Stroke::new(size::LINE_STRONG, theme.accent),
                );
            }
            let enabled = ui.is_enabled();
            response.widget_info(|| WidgetInfo::selected(Role::Tab, enabled, chosen, text));
            if response.clicked() && !chosen {
                *current = *value;
                changed = true;
            }
        }
    });
    changed
}

/// Characters a field of one line takes: it lays all of them out anew with every key.
const FIELD_CHARS: usize = 16 * 1024;

/// A field to type a filter or a search into. `name` is also its hint.
pub fn search_field(ui: &mut Ui, text: &mut String, name: &str, width: f32) -> Response {
    ui.add(
        TextEdit::singleline(text)
            .char_limit(FIELD_CHARS)
            .hint_text(RichText::new(name).color(Theme::of(ui).muted))
            .desired_width(width)
            .min_size(vec2(0.0, size::CONTROL))
            .align(egui::Align2::LEFT_CENTER)
            .margin(Margin::symmetric(space::S as i8, space::XS as i8)),
    )
    .accessible_name(name)
}

/// A field for one line of text with an accessible name.
pub fn text_field(ui: &mut Ui, text: &mut String, name: &str, width: f32) -> Response {
    ui.add(
        TextEdit::singleline(text)
            .char_limit(FIELD_CHARS)
            .desired_width(width)
            .min_size(vec2(0.0, size::CONTROL))
            .align(egui::Align2::LEFT_CENTER)
            .font(theme::mono())
            .margin(Margin::symmetric(space::S as i8, space::XS as i8)),
    )
    .accessible_name(name)
}

/// A card: its own ground, a line around, round corners.
pub fn card<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> egui::InnerResponse<R> {
    let theme = Theme::of(ui);
    Frame::new()
        .fill(theme.card)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::same(space::M as i8))
        .show(ui, content)
}

/// A small label with a tinted ground, such as a state.
pub fn badge(ui: &mut Ui, text: &str, color: Color32) -> Response {
    Frame::new()
        .fill(color.gamma_multiply(0.16))
        .stroke(Stroke::new(size::LINE, color.gamma_multiply(0.6)))
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(space::S as i8, 2))
        .show(ui, |ui| {
            ui.add(egui::Label::new(
                RichText::new(text)
                    .font(theme::small_heading())
                    .color(color),
            ))
        })
        .response
}

/// Nothing here: one sentence and one button. True when the button was clicked.
pub fn empty(ui: &mut Ui, sentence: &str, button_text: Option<&str>) -> bool {
    let mut clicked = false;
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.3).min(160.0));
        muted_centered(ui, sentence);
        if let Some(text) = button_text {
            ui.add_space(space::S);
            clicked = primary_button(ui, text).clicked();
        }
    });
    clicked
}

fn muted_centered(ui: &mut Ui, text: &str) {
    let color = Theme::of(ui).muted;
    ui.add(egui::Label::new(
        RichText::new(text).font(theme::body()).color(color),
    ));
}
