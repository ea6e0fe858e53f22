//! Opens the window on made-up pictures, without a display, and writes what it looks like.

use std::path::{Path, PathBuf};

use egui::{Theme, Ui, UiBuilder, Vec2};
use egui_kittest::Harness;
use klar::app::state::{ThemeChoice, UiState, ViewKey};
use klar::app::{App, theme};
use klar::ids::Time;

use crate::fixture::{Fixture, NOW_MS};
use crate::raster::Raster;

/// A window under test.
pub type Window = Harness<'static, App>;

/// Sizes pictures are made in, points.
pub const SIZES: [Vec2; 2] = [Vec2::new(1440.0, 900.0), Vec2::new(1280.0, 720.0)];

/// Opens a window on `fixture`, changed by `setup` before its first frame.
pub fn open(fixture: &Fixture, size: Vec2, dark: bool, setup: impl FnOnce(&mut UiState)) -> Window {
    klar::app::format::use_utc();
    let mut app = App::new(Box::new(fixture.clone()), None).with_still_clock();
    // Five minutes of history, as if the window had been open.
    for half_second in (0..=600).rev() {
        let ms = NOW_MS - half_second * 500;
        let picture = std::sync::Arc::new(fixture.at(ms));
        let at = Time::from_ms(ms);
        app.history_mut().see(at, at, &picture);
    }
    let state = app.state_mut();
    state.remembered.theme = if dark {
        ThemeChoice::Dark
    } else {
        ThemeChoice::Light
    };
    // Most tests are about topics; the view a window opens with is its own test.
    state.go_to(ViewKey::Topics);
    setup(state);
    let mut window = window_on(app, size, dark);
    window.run();
    window
}

/// A window on an app as it is.
pub fn window_on(app: App, size: Vec2, dark: bool) -> Window {
    klar::app::format::use_utc();
    Harness::builder()
        .with_size(size)
        .with_theme(if dark { Theme::Dark } else { Theme::Light })
        .with_max_steps(12)
        .with_render_cursor(false)
        .with_context_setup(theme::install)
        .renderer(Raster::default())
        .build_ui_state(draw, app)
}

/// Draws the window over everything: the harness leaves a margin of its own.
fn draw(ui: &mut Ui, app: &mut App) {
    let whole = ui.ctx().content_rect();
    let mut all = ui.new_child(UiBuilder::new().max_rect(whole));
    all.set_clip_rect(whole);
    app.draw(&mut all);
}

/// Clicks at a point, whatever lies there.
pub fn click_at(window: &mut Window, at: egui::Pos2) {
    window.hover_at(at);
    window.run();
    window.drag_at(at);
    window.drop_at(at);
    window.run();
}

/// Clicks twice at a point. In one frame: those of a test are a quarter of a second apart.
pub fn double_click(window: &mut Window, at: egui::Pos2) {
    window.hover_at(at);
    window.run();
    let clicks = [true, false, true, false].map(|pressed| egui::Event::PointerButton {
        pos: at,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: egui::Modifiers::NONE,
    });
    window.input_mut().events.extend(clicks);
    window.run();
}

/// Writes `screenshots/<view>-<theme>-<size>.png` in both themes and sizes.
pub fn pictures(view: &str, fixture: &Fixture, act: impl Fn(&mut Window)) {
    for dark in [true, false] {
        for size in SIZES {
            let mut window = open(fixture, size, dark, |_| {});
            act(&mut window);
            window.run();
            save(&mut window, view, dark, size);
        }
    }
}

/// Writes one picture of what the window shows now.
pub fn save(window: &mut Window, view: &str, dark: bool, size: Vec2) {
    let image = window.render().unwrap();
    image.save(file(view, dark, size)).unwrap();
}

/// The file of a picture.
pub fn file(view: &str, dark: bool, size: Vec2) -> PathBuf {
    let theme = if dark { "dark" } else { "light" };
    let name = format!("{view}-{theme}-{}x{}.png", size.x, size.y);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}
