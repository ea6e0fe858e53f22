//! A key or a value of the produce panel: a text field, or what is too long for one.

use egui::{Event, Label, RichText, ScrollArea, TextEdit, Ui};

use super::produce_form::{Encoding, Field, TYPED_BYTES};
use crate::app::inspector::record_text::preview;
use crate::app::theme::{self, Theme, space};
use crate::app::{format, widgets};

/// Characters shown of bytes that are too long for the field.
const PREVIEW_CHARS: usize = 240;
/// Bytes looked at for them: four a character.
const PREVIEW_BYTES: usize = 4 * PREVIEW_CHARS;
/// Characters that write one byte as hex, its space included.
const HEX_CHARS: usize = 3;

/// Draws a field of so many lines with the ways its text becomes bytes.
pub fn draw(ui: &mut Ui, name: &str, field: &mut Field, lines: usize, null_name: &str) {
    encodings(ui, name, field, null_name);
    if field.encoding == Encoding::Null {
        return;
    }
    if field.held().is_some() {
        held(ui, name, field);
        return;
    }
    let id = ui.make_persistent_id(("record field", name));
    take_long_paste(ui, id, field);
    let limit = match field.encoding {
        Encoding::Hex => HEX_CHARS * TYPED_BYTES,
        _ => TYPED_BYTES,
    };
    let edit = if lines == 1 {
        TextEdit::singleline(&mut field.text)
    } else {
        TextEdit::multiline(&mut field.text).desired_rows(lines)
    };
    let edit = edit
        .id(id)
        .font(theme::mono())
        .char_limit(limit)
        .desired_width(f32::INFINITY);
    let label = format!("Record {}", name.to_lowercase());
    if lines == 1 {
        ui.add(edit).accessible_name(label);
    } else {
        let height = lines as f32 * (theme::font::MONO + space::XS) + space::S;
        ScrollArea::vertical()
            .id_salt(("record field scroll", name))
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, |ui| ui.add(edit).accessible_name(label));
    }
    if field.text.len() >= limit {
        let most = format::bytes(TYPED_BYTES as u64);
        widgets::small(
            ui,
            &format!("No more than {most} fits here: paste a longer one whole."),
        );
    }
}

/// A paste that is longer than can be typed becomes the field's bytes; a text field would cut it.
fn take_long_paste(ui: &Ui, id: egui::Id, field: &mut Field) {
    if !ui.memory(|memory| memory.has_focus(id)) {
        return;
    }
    ui.input_mut(|input| {
        input.events.retain(|event| match event {
            Event::Paste(text) => !field.paste(text),
            _ => true,
        });
    });
}

fn encodings(ui: &mut Ui, name: &str, field: &mut Field, null_name: &str) {
    ui.horizontal(|ui| {
        widgets::heading(ui, name);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            for (encoding, text) in [
                (Encoding::Null, null_name),
                (Encoding::Hex, "Hex"),
                (Encoding::Text, "Text"),
            ] {
                let chosen = field.encoding == encoding;
                let response = small_choice(ui, chosen, text);
                let label = format!("{name} as {text}");
                response.widget_info(|| {
                    egui::WidgetInfo::selected(egui::Role::RadioButton, true, chosen, &label)
                });
                if response.clicked() {
                    field.encoding = encoding;
                }
            }
        });
    });
}

fn small_choice(ui: &mut Ui, chosen: bool, text: &str) -> egui::Response {
    let theme = Theme::of(ui);
    let ink = if chosen { theme.accent } else { theme.muted };
    ui.add(egui::Button::new(RichText::new(text).font(theme::small()).color(ink)).frame(false))
}

/// Bytes that are too long for a text field: their size, their beginning, and a way to type instead.
fn held(ui: &mut Ui, name: &str, field: &mut Field) {
    let Some(bytes) = field.held() else { return };
    let size = bytes.len() as u64;
    let beginning = preview(
        &bytes[..bytes.len().min(PREVIEW_BYTES)],
        size,
        PREVIEW_CHARS,
    );
    widgets::card(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            let text = format!("{}, sent unchanged", format::bytes(size));
            ui.label(text);
            let replace = widgets::link(ui, "Replace");
            let label = format!("Replace the record {}", name.to_lowercase());
            replace.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
            if replace.clicked() {
                *field = Field::default();
            }
        });
        let color = Theme::of(ui).muted;
        let text = RichText::new(beginning)
            .font(theme::mono_small())
            .color(color);
        ui.add(Label::new(text).wrap());
    });
}
