//! Every colour and size of the window, in both themes, and the fonts.
//!
//! Views name tokens from here, never a colour or a size of their own. Contrast of text (4.5:1) and of
//! shapes (3:1) is tested below. It draws nothing.

use std::sync::Arc;

use egui::style::{Selection, WidgetVisuals, Widgets};
use egui::{
    Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke, Style,
    TextStyle, Vec2, Visuals,
};

/// The colours of one theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub dark: bool,
    pub window: Color32,
    pub panel: Color32,
    pub card: Color32,
    pub line: Color32,
    /// A row or control under the pointer.
    pub hover: Color32,
    /// The selected row.
    pub selected: Color32,
    pub text: Color32,
    pub muted: Color32,
    /// Ornaments, ticks, disabled shapes: never text somebody must read.
    pub faint: Color32,
    /// What can be clicked, and what is in focus.
    pub accent: Color32,
    /// Fill of the one primary button.
    pub primary: Color32,
    pub on_primary: Color32,
    pub ok: Color32,
    pub warning: Color32,
    pub bad: Color32,
    pub offline: Color32,
    /// Record keys: the same key has the same hue everywhere.
    pub keys: [Color32; 8],
    /// Records without a key.
    pub key_null: Color32,
    /// From little to much: each further from the ground than the one before.
    pub heat: [Color32; 3],
    /// Fill of a leader's badge and of its strip.
    pub leader: Color32,
    pub on_leader: Color32,
    /// The high watermark.
    pub watermark: Color32,
    /// Behind a dialog.
    pub veil: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// Light text on dark.
pub static DARK: Theme = Theme {
    dark: true,
    window: rgb(0x0E1116),
    panel: rgb(0x12161C),
    card: rgb(0x171D25),
    line: rgb(0x2A333F),
    hover: rgb(0x1A212A),
    selected: rgb(0x1D2733),
    text: rgb(0xE6EAF0),
    muted: rgb(0x8A96A6),
    faint: rgb(0x566173),
    accent: rgb(0x5AA9FF),
    primary: rgb(0x2463EB),
    on_primary: rgb(0xFFFFFF),
    ok: rgb(0x3FB68B),
    warning: rgb(0xE5A84B),
    bad: rgb(0xEF5B5B),
    offline: rgb(0x566173),
    keys: [
        rgb(0x56B4E9),
        rgb(0xE69F00),
        rgb(0x2BB58A),
        rgb(0xCC79A7),
        rgb(0xE8D44D),
        rgb(0x5B7FE8),
        rgb(0xE0703A),
        rgb(0x9AA7B8),
    ],
    key_null: rgb(0x6B7686),
    heat: [rgb(0x3F6EA2), rgb(0x5AA9FF), rgb(0xEAF4FF)],
    leader: rgb(0xE6EAF0),
    on_leader: rgb(0x12161C),
    watermark: rgb(0xFFFFFF),
    veil: Color32::from_rgba_premultiplied(4, 6, 8, 168),
};

/// Dark text on light.
pub static LIGHT: Theme = Theme {
    dark: false,
    window: rgb(0xFFFFFF),
    panel: rgb(0xF6F7F9),
    card: rgb(0xFFFFFF),
    line: rgb(0xD5DAE1),
    hover: rgb(0xEDF0F4),
    selected: rgb(0xE6EDF9),
    text: rgb(0x14181F),
    muted: rgb(0x5A6675),
    faint: rgb(0x8A94A3),
    accent: rgb(0x1D5FD0),
    primary: rgb(0x1D5FD0),
    on_primary: rgb(0xFFFFFF),
    ok: rgb(0x0F7A55),
    warning: rgb(0x8C6100),
    bad: rgb(0xC23434),
    offline: rgb(0x8A94A3),
    keys: [
        rgb(0x2F8FCB),
        rgb(0xB97F00),
        rgb(0x1E9470),
        rgb(0xB0588A),
        rgb(0xA08F12),
        rgb(0x4063D2),
        rgb(0xC4571F),
        rgb(0x6F7D90),
    ],
    key_null: rgb(0x8A94A3),
    heat: [rgb(0x6890DA), rgb(0x1D5FD0), rgb(0x0B1B3A)],
    leader: rgb(0x2B333E),
    on_leader: rgb(0xFFFFFF),
    watermark: rgb(0x14181F),
    veil: Color32::from_rgba_premultiplied(14, 16, 20, 96),
};

/// Spacing in steps of four points.
pub mod space {
    pub const XS: f32 = 4.0;
    pub const S: f32 = 8.0;
    pub const M: f32 = 12.0;
    pub const L: f32 = 16.0;
    pub const XL: f32 = 24.0;
}

/// Corner radii, points.
pub mod radius {
    pub const SMALL: u8 = 3;
    pub const CONTROL: u8 = 6;
    pub const CARD: u8 = 10;
}

/// Fixed measures of the layout, points.
pub mod size {
    /// The window when it opens for the first time, and the least it can be.
    pub const WINDOW: [f32; 2] = [1440.0, 900.0];
    pub const WINDOW_MIN: [f32; 2] = [960.0, 600.0];
    pub const TOP_BAR: f32 = 44.0;
    pub const NAV: f32 = 196.0;
    pub const NAV_RANGE: std::ops::RangeInclusive<f32> = 160.0..=320.0;
    pub const NAV_ROW: f32 = 30.0;
    pub const NAV_TOPIC_ROW: f32 = 27.0;
    pub const INSPECTOR: f32 = 296.0;
    pub const INSPECTOR_RANGE: std::ops::RangeInclusive<f32> = 240.0..=560.0;
    pub const TIMELINE: f32 = 132.0;
    pub const TIMELINE_RANGE: std::ops::RangeInclusive<f32> = 96.0..=280.0;
    /// Height of a button, a text field, a chip.
    pub const CONTROL: f32 = 28.0;
    /// Height of a table row.
    pub const ROW: f32 = 26.0;
    /// Width of the label column in a list of facts.
    pub const FACT_LABEL: f32 = 108.0;
    pub const LINK_ROW: f32 = 20.0;
    pub const DIALOG: f32 = 560.0;
    pub const DIALOG_WIDE: f32 = 760.0;
    /// Height a list inside a dialog may take.
    pub const DIALOG_LIST: f32 = 440.0;
    /// Width of a configuration's name, and of the way back to the broker's value.
    pub const CONFIG_NAME: f32 = 260.0;
    pub const CONFIG_RESET: f32 = 104.0;
    /// Height of a table's header.
    pub const HEADER: f32 = 26.0;
    /// The least a table's column shrinks to.
    pub const COLUMN_LEAST: f32 = 96.0;
    /// Side of the mark in a record's key colour.
    pub const KEY_MARK: f32 = 9.0;
    /// Width of a filter field.
    pub const FILTER: f32 = 280.0;
    pub const FIELD_NUMBER: f32 = 120.0;
    pub const FIELD_TIME: f32 = 200.0;
    /// Height a list of choices opens to.
    pub const MENU: f32 = 320.0;
    /// The most a record's value takes of the inspector before it scrolls.
    pub const BODY_MOST: f32 = 320.0;
    /// Above and below a curve in a table row.
    pub const CURVE_MARGIN: f32 = 6.0;
    pub const DOT: f32 = 4.0;
    pub const LINE: f32 = 1.0;
    /// A line that marks the current tab or curve.
    pub const LINE_STRONG: f32 = 2.0;
}

/// Measures of the log lanes, points.
pub mod lane {
    pub const LABEL_WIDTH: f32 = 88.0;
    pub const AXIS_HEIGHT: f32 = 24.0;
    pub const TICK_APART: f32 = 80.0;
    /// Kept free right of the log end while following it.
    pub const END_MARGIN: f32 = 96.0;
    pub const ROW_LEAST: f32 = 44.0;
    pub const ROW_MOST: f32 = 172.0;
    pub const CELL: f32 = 9.0;
    pub const CELL_MOST: f32 = 36.0;
    pub const CELL_HEIGHT: f32 = 28.0;
    /// Narrower cells are drawn as a band.
    pub const CELL_LEAST: f32 = 2.0;
    /// From here on cells have a gap and round corners.
    pub const CELL_ROUND: f32 = 5.0;
    /// From here on cells carry glyphs and batch brackets.
    pub const CELL_GLYPH: f32 = 7.0;
    pub const BRACKET: f32 = 5.0;
    /// A replica's strip, and from one to the next.
    pub const STRIP: f32 = 7.0;
    pub const STRIP_PITCH: f32 = 13.0;
    /// A dash of a dashed outline, and the gap behind it.
    pub const DASH: f32 = 4.0;
    pub const TEXT_HEIGHT: f32 = 15.0;
    /// One character of the small fixed-width font.
    pub const MONO_CHAR: f32 = super::font::MONO_SMALL * super::font::MONO_ADVANCE;
    pub const BAR_ROW: f32 = 18.0;
    pub const BAR_HEIGHT: f32 = 10.0;
    /// Side of a heatmap's square.
    pub const HEAT: f32 = 16.0;
    pub const HEAT_MOST: f32 = 40.0;
    pub const MARK_HEIGHT: f32 = 14.0;
    /// Room the legend leaves for the buttons beside it.
    pub const LEGEND_LEAVES: f32 = 308.0;
}

/// Measures of the cluster's picture, points.
pub mod cluster {
    /// Between two brokers' cards.
    pub const GAP: f32 = 12.0;
    pub const GAP_MOST: f32 = 40.0;
    /// A card's head: name, state, buttons.
    pub const HEAD: f32 = 36.0;
    pub const BUTTON: [f32; 2] = [58.0, 24.0];
    /// Where the links between brokers run.
    pub const GUTTER: f32 = 104.0;
    /// The same between two columns of cards, where most links cross.
    pub const GUTTER_WIDE: f32 = 136.0;
    /// Least and most height of a replica's lane.
    pub const LANE: f32 = 17.0;
    pub const LANE_MOST: f32 = 32.0;
    /// The least a replica's lane is wide.
    pub const LANE_WIDTH: f32 = 272.0;
    pub const BAR: f32 = 13.0;
    pub const BAR_WIDTH: f32 = 128.0;
    /// From one tile of the heatmap to the next: the least there is, the least with topics' names, and the most.
    pub const TILE: f32 = 3.0;
    pub const TILE_NAMED: f32 = 7.0;
    pub const TILE_MOST: f32 = 26.0;
    /// Tiles may be so much smaller where that lets topics stand apart.
    pub const TILE_GIVES: f32 = 2.0;
    /// Height of a topic's name above its tiles.
    pub const TILE_NAME: f32 = 15.0;
    /// A tile with a shorter side has no room for a frame, or for an outline of dashes.
    pub const TILE_FRAMED: f32 = 3.0;
    pub const TILE_MARKED: f32 = 8.0;
    /// A step of brightness in the legend; its height is a tile's side there.
    pub const TILE_LEGEND: [f32; 2] = [8.0, 12.0];
    pub const BADGE: [f32; 2] = [18.0, 14.0];
    pub const NAME: f32 = 104.0;
    pub const NUMBER: f32 = 50.0;
    /// What is wrong with a replica, in a word and a number.
    pub const NOTE: f32 = 76.0;
    /// A card narrower than this has no room for notes.
    pub const NOTES_FROM: f32 = 440.0;
    /// A lower picture has no room for metrics that say nothing.
    pub const METRICS_FROM: f32 = 560.0;
    /// A client left of the brokers, and where its wires run.
    pub const CLIENT: [f32; 2] = [148.0, 52.0];
    pub const CLIENT_GUTTER: f32 = 56.0;
    /// A narrower picture has no room for clients.
    pub const CLIENTS_FROM: f32 = 860.0;
    /// How far a link swings out, for each card it passes.
    pub const SWING: f32 = 30.0;
    /// How near a pointer must come to a link.
    pub const REACH: f32 = 7.0;
    /// A request on a link.
    pub const REQUEST: f32 = 5.0;
    /// Share of its colour that what a dead broker holds is drawn in.
    pub const DIMMED: f32 = 0.45;
}

/// Measures of a group's page, points.
pub mod group {
    /// A member's card, and the least it shrinks to.
    pub const MEMBER: f32 = 280.0;
    pub const MEMBER_LEAST: f32 = 180.0;
    /// A partition's column of cells.
    pub const CELL: f32 = 164.0;
    pub const CELL_LEAST: f32 = 108.0;
    pub const CELL_HEIGHT: f32 = 50.0;
    pub const GAP: f32 = 12.0;
    /// Names and offsets above the columns.
    pub const HEAD: f32 = 40.0;
    /// More partitions are drawn as bars.
    pub const CELLS_MOST: usize = 24;
    /// A column of bars.
    pub const BAR_LEAST: f32 = 5.0;
    pub const BAR_MOST: f32 = 28.0;
    pub const BAR_HEIGHT: f32 = 26.0;
    pub const BAR_HEAD: f32 = 18.0;
    /// Height of the bar in a cell.
    pub const METER: f32 = 6.0;
    /// The least the chart of lag is high.
    pub const CHART_LEAST: f32 = 96.0;
    /// A band of the rebalances, and from one to the next.
    pub const BAND: f32 = 16.0;
    pub const BAND_PITCH: f32 = 22.0;
    /// Between the strokes that mark a band nobody owned.
    pub const HATCH: f32 = 6.0;
}

/// Font sizes, points.
pub mod font {
    pub const BODY: f32 = 13.0;
    pub const SMALL: f32 = 11.5;
    pub const HEADING: f32 = 13.0;
    pub const TITLE: f32 = 18.0;
    pub const MONO: f32 = 12.0;
    pub const MONO_SMALL: f32 = 11.0;
    /// Width of one character of the fixed-width font, in font sizes.
    pub const MONO_ADVANCE: f32 = 0.6;
}

/// The family of headings: Inter SemiBold.
pub fn semibold_family() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Body text.
pub fn body() -> FontId {
    FontId::new(font::BODY, FontFamily::Proportional)
}

/// Small text.
pub fn small() -> FontId {
    FontId::new(font::SMALL, FontFamily::Proportional)
}

/// Section headings.
pub fn heading() -> FontId {
    FontId::new(font::HEADING, semibold_family())
}

/// Small semibold text: badges, column group names.
pub fn small_heading() -> FontId {
    FontId::new(font::SMALL, semibold_family())
}

/// Page titles.
pub fn title() -> FontId {
    FontId::new(font::TITLE, semibold_family())
}

/// Numbers, offsets, ids and bytes.
pub fn mono() -> FontId {
    FontId::new(font::MONO, FontFamily::Monospace)
}

/// Small numbers: ticks, file names under lanes.
pub fn mono_small() -> FontId {
    FontId::new(font::MONO_SMALL, FontFamily::Monospace)
}

impl Theme {
    /// The theme `ui` is drawn in.
    pub fn of(ui: &egui::Ui) -> &'static Theme {
        Theme::for_mode(ui.visuals().dark_mode)
    }

    /// The dark or the light theme.
    pub fn for_mode(dark: bool) -> &'static Theme {
        if dark { &DARK } else { &LIGHT }
    }

    /// Colour of a record by the murmur2 of its key; `None` is a null key.
    pub fn key(&self, key_hash: Option<u32>) -> Color32 {
        match key_hash {
            None => self.key_null,
            // The low bits choose the partition: within one partition they are alike, so mix first.
            Some(hash) => self.keys[(hash.wrapping_mul(0x9E37_79B1) >> 29) as usize],
        }
    }

    /// `color` as used for what is not committed yet.
    pub fn not_committed(&self, color: Color32) -> Color32 {
        color.gamma_multiply(if self.dark { 0.38 } else { 0.42 })
    }

    /// How much of the most, 0 to 1, as a colour.
    pub fn heat(&self, share: f32) -> Color32 {
        let [little, some, much] = self.heat;
        match share {
            share if share <= 0.5 => little.lerp_to_gamma(some, share.max(0.0) * 2.0),
            share => some.lerp_to_gamma(much, share.min(1.0) * 2.0 - 1.0),
        }
    }

    /// What lies within a frame of that colour.
    pub fn within(&self, heat: Color32) -> Color32 {
        self.card.lerp_to_gamma(heat, 0.36)
    }

    /// A one pixel line.
    pub fn hairline(&self) -> Stroke {
        Stroke::new(size::LINE, self.line)
    }

    /// Colour of an event's severity.
    pub fn severity(&self, severity: crate::inspect::Severity) -> Color32 {
        use crate::inspect::Severity::*;
        match severity {
            Neutral => self.accent,
            Good => self.ok,
            Warning => self.warning,
            Bad => self.bad,
        }
    }
}

/// Gives `ctx` klar's fonts and both themes. Call once, before the first frame.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(egui::Theme::Dark, style(&DARK));
    ctx.set_style_of(egui::Theme::Light, style(&LIGHT));
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let files: [(&str, &'static [u8]); 3] = [
        (
            "inter",
            include_bytes!("../../assets/fonts/Inter-Regular.otf"),
        ),
        (
            "inter-semibold",
            include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
        ),
        (
            "jetbrains-mono",
            include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf"),
        ),
    ];
    for (name, bytes) in files {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    // Each family falls back to the other font for the few signs it lacks.
    let chains = [
        (FontFamily::Proportional, ["inter", "jetbrains-mono"]),
        (semibold_family(), ["inter-semibold", "jetbrains-mono"]),
        (FontFamily::Monospace, ["jetbrains-mono", "inter"]),
    ];
    for (family, names) in chains {
        fonts
            .families
            .insert(family, names.map(str::to_owned).to_vec());
    }
    fonts
}

fn style(theme: &Theme) -> Style {
    let mut style = Style {
        visuals: visuals(theme),
        animation_time: 0.08,
        ..Style::default()
    };
    style.text_styles = [
        (TextStyle::Body, body()),
        (TextStyle::Button, body()),
        (TextStyle::Small, small()),
        (TextStyle::Heading, title()),
        (TextStyle::Monospace, mono()),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::new(space::S, space::S);
    spacing.button_padding = Vec2::new(10.0, space::XS);
    spacing.interact_size = Vec2::new(size::CONTROL, size::CONTROL);
    spacing.window_margin = Margin::same(space::L as i8);
    spacing.menu_margin = Margin::same(space::XS as i8);
    spacing.icon_width = 16.0;
    spacing.icon_width_inner = 8.0;
    spacing.tooltip_width = 420.0;
    // Dialogs take the height they need instead of beginning to scroll at egui's 400 points.
    spacing.default_area_size = Vec2::from(size::WINDOW);
    spacing.scroll.bar_width = 8.0;
    spacing.scroll.floating_width = 4.0;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.25;
    style
}

fn visuals(theme: &Theme) -> Visuals {
    let mut visuals = if theme.dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    visuals.widgets = widgets(theme);
    visuals.selection = Selection {
        bg_fill: theme.accent.gamma_multiply(0.35),
        stroke: Stroke::new(size::LINE, theme.accent),
    };
    visuals.text_cursor.stroke = Stroke::new(size::LINE_STRONG, theme.accent);
    visuals.weak_text_color = Some(theme.muted);
    visuals.hyperlink_color = theme.accent;
    visuals.faint_bg_color = theme.panel;
    visuals.extreme_bg_color = theme.window;
    visuals.text_edit_bg_color = Some(theme.window);
    visuals.code_bg_color = theme.card;
    visuals.warn_fg_color = theme.warning;
    visuals.error_fg_color = theme.bad;
    visuals.window_corner_radius = CornerRadius::same(radius::CARD);
    visuals.menu_corner_radius = CornerRadius::same(radius::CONTROL);
    visuals.window_shadow = egui::Shadow::NONE;
    visuals.popup_shadow = egui::Shadow::NONE;
    visuals.window_fill = theme.panel;
    visuals.window_stroke = theme.hairline();
    visuals.panel_fill = theme.window;
    visuals.button_frame = true;
    visuals.indent_has_left_vline = false;
    visuals.interact_cursor = Some(egui::CursorIcon::PointingHand);
    visuals
}

fn widgets(theme: &Theme) -> Widgets {
    let one = |fill: Color32, line: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(size::LINE, line),
        corner_radius: CornerRadius::same(radius::CONTROL),
        fg_stroke: Stroke::new(size::LINE, text),
        expansion: 0.0,
    };
    Widgets {
        noninteractive: one(theme.panel, theme.line, theme.text),
        inactive: one(theme.card, theme.line, theme.text),
        hovered: one(theme.hover, theme.faint, theme.text),
        active: one(theme.selected, theme.accent, theme.text),
        open: one(theme.selected, theme.accent, theme.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color32) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(color.r()) + 0.7152 * part(color.g()) + 0.0722 * part(color.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_has_a_contrast_of_four_and_a_half_to_one() {
        for theme in [&DARK, &LIGHT] {
            for ground in [
                theme.window,
                theme.panel,
                theme.card,
                theme.hover,
                theme.selected,
            ] {
                for text in [
                    theme.text,
                    theme.muted,
                    theme.accent,
                    theme.ok,
                    theme.warning,
                    theme.bad,
                ] {
                    let ratio = contrast(text, ground);
                    assert!(
                        ratio >= 4.5,
                        "{text:?} on {ground:?}: {ratio:.2} (dark: {})",
                        theme.dark
                    );
                }
            }
            assert!(contrast(theme.on_primary, theme.primary) >= 4.5);
            assert!(contrast(theme.on_leader, theme.leader) >= 4.5);
        }
    }

    #[test]
    fn shapes_have_a_contrast_of_three_to_one() {
        for theme in [&DARK, &LIGHT] {
            let shapes = theme
                .keys
                .into_iter()
                .chain([theme.key_null, theme.watermark]);
            for shape in shapes {
                let ratio = contrast(shape, theme.window);
                assert!(ratio >= 3.0, "{shape:?}: {ratio:.2} (dark: {})", theme.dark);
            }
        }
    }

    #[test]
    fn every_level_of_heat_stands_out_from_the_card_and_from_the_one_before() {
        for theme in [&DARK, &LIGHT] {
            let levels = (0..=9).map(|level| theme.heat(level as f32 / 9.0));
            let ratios: Vec<f64> = levels.map(|heat| contrast(heat, theme.card)).collect();
            assert!(ratios[0] >= 3.0, "{ratios:.2?} (dark: {})", theme.dark);
            assert!(ratios.is_sorted(), "{ratios:.2?} (dark: {})", theme.dark);
        }
    }

    #[test]
    fn keys_of_one_partition_still_have_several_hues() {
        // Hashes that all fall into partition 1 of 4.
        let hues: std::collections::BTreeSet<[u8; 4]> = (0..64u32)
            .map(|n| DARK.key(Some(n * 4 + 1)).to_array())
            .collect();
        assert!(hues.len() >= 6, "{}", hues.len());
    }
}
