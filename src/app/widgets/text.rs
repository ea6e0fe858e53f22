//! Text in the window's few styles, cut with an ellipsis where it does not fit.

use std::sync::Arc;

use egui::text::{LayoutJob, TextWrapping};
use egui::{Color32, FontId, Galley, Label, Response, RichText, Ui};

use crate::app::theme::{self, Theme, space};

/// A page title.
pub fn title(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).text;
    ui.add(Label::new(
        RichText::new(text).font(theme::title()).color(color),
    ))
}

/// A section heading.
pub fn heading(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).text;
    ui.add(Label::new(
        RichText::new(text).font(theme::heading()).color(color),
    ))
}

/// Body text that steps back.
pub fn muted(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).muted;
    ui.add(Label::new(
        RichText::new(text).font(theme::body()).color(color),
    ))
}

/// Small text that steps back.
pub fn small(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).muted;
    ui.add(Label::new(
        RichText::new(text).font(theme::small()).color(color),
    ))
}

/// Small text that steps back and wraps.
pub fn small_wrapped(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).muted;
    ui.add(Label::new(RichText::new(text).font(theme::small()).color(color)).wrap())
}

/// A number, offset, id or bytes.
pub fn mono(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).text;
    ui.add(Label::new(
        RichText::new(text).font(theme::mono()).color(color),
    ))
}

/// A paragraph of plain sentences, wrapped and selectable.
pub fn paragraph(ui: &mut Ui, text: &str) -> Response {
    let color = Theme::of(ui).muted;
    ui.add(
        Label::new(RichText::new(text).font(theme::body()).color(color))
            .wrap()
            .selectable(true),
    )
}

/// A thin line across, with space around it.
pub fn divider(ui: &mut Ui) {
    ui.add_space(space::XS);
    let (rect, _) = ui.allocate_exact_size(
        egui::vec2(ui.available_width(), theme::size::LINE),
        egui::Sense::hover(),
    );
    ui.painter()
        .hline(rect.x_range(), rect.center().y, Theme::of(ui).hairline());
    ui.add_space(space::XS);
}

/// Lays out one line of text no wider than `width`, cut with an ellipsis.
pub fn elided(ui: &Ui, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::single_section(text.to_owned(), egui::TextFormat::simple(font, color));
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    ui.painter().layout_job(job)
}

/// The first of several ways to say something that has room, the longest first; cut is only the last.
pub fn fitting(ui: &Ui, ways: &[String], font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let cut = |text: &String| elided(ui, text, font.clone(), color, width);
    let mut galleys = ways.iter().map(cut);
    let whole = galleys.find(|galley| !galley.elided);
    whole.unwrap_or_else(|| cut(ways.last().unwrap_or(&String::new())))
}
