//! The window: the only module that knows egui.
//!
//! It reads one immutable picture a frame, draws it, and sends commands; it never waits for a broker,
//! a disk or a socket, and repaints only for news and input. Reading order: `theme`, `state`, `scene`,
//! `views`, `shell` (the frame around the views), `run` (the native window).

pub mod actions;
pub mod dialogs;
pub mod faults;
pub mod format;
pub mod history;
pub mod inspector;
pub mod metrics;
pub mod moves;
pub mod notices;
pub mod panels;
pub mod replicas;
pub mod run;
pub mod scene;
pub mod sent;
pub mod settings;
pub mod shell;
pub mod state;
pub mod theme;
pub mod views;
pub mod widgets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use run::{RunError, WindowOptions, run};

use self::history::History;
use self::notices::Notices;
use self::scene::Scene;
use self::settings::SettingsFile;
use self::state::{ThemeChoice, UiState};
use self::views::View;
use crate::ids::Time;
use crate::inspect::Focus;
use crate::source::Source;

/// Milliseconds after which the window looks again while rates fall or a notice is up.
const LOOK_AGAIN_MS: u64 = 250;

/// The window's content: state, views, and where pictures come from.
pub struct App {
    source: Box<dyn Source>,
    state: UiState,
    history: History,
    notices: Notices,
    views: Vec<Box<dyn View>>,
    dialogs: dialogs::Dialogs,
    settings: SettingsFile,
    sent_focus: Focus,
    clock: Clock,
}

/// How the window knows what time it is.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// The newest picture's time plus what has passed since it came, so that rates fall to zero when
    /// nothing is published any more.
    Running { picture: Time, seen: Instant },
    /// The picture's time: tests and still pictures.
    Still,
}

impl App {
    /// A window on `source`; `settings` is the file choices are remembered in, `None` remembers nothing.
    pub fn new(source: Box<dyn Source>, settings: Option<PathBuf>) -> App {
        let settings = SettingsFile::open(settings);
        App {
            state: UiState::new(settings.remembered()),
            source,
            history: History::default(),
            notices: Notices::default(),
            views: views::all(),
            dialogs: dialogs::Dialogs::default(),
            settings,
            sent_focus: Focus::default(),
            clock: Clock::Running {
                picture: Time(i64::MIN),
                seen: Instant::now(),
            },
        }
    }

    /// The same window with a clock that stands at the picture's time: what tests draw.
    pub fn with_still_clock(mut self) -> App {
        self.clock = Clock::Still;
        self
    }

    /// Wakes `ctx` at most `pace` after the source has news. Call once.
    pub fn wake(&self, ctx: &egui::Context, pace: Duration) {
        let ctx = ctx.clone();
        self.source
            .on_news(Box::new(move || ctx.request_repaint_after(pace)));
    }

    /// What the user looks at.
    pub fn state_mut(&mut self) -> &mut UiState {
        &mut self.state
    }

    /// Remembers the window's size, points.
    pub fn set_window_size(&mut self, size: [f32; 2]) {
        self.state.remembered.window = size;
    }

    /// The size the window had, points.
    pub fn window_size(&self) -> [f32; 2] {
        self.state.remembered.window
    }

    /// Past pictures, for rates and curves.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    /// Notices in the corner.
    pub fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Draws one frame into `ui`, which is the whole window.
    pub fn draw(&mut self, ui: &mut egui::Ui) {
        self.apply_theme(ui.ctx());
        let picture = self.source.latest();
        let now = self.now(picture.time);
        self.history.see(now, &picture);
        self.notices.see(now, &picture);
        self.state.see(now, &picture);
        let mut focus = Focus::default();
        let ctx = ui.ctx().clone();
        let mut scene = Scene {
            picture: &picture,
            state: &mut self.state,
            history: &self.history,
            notices: &mut self.notices,
            focus: &mut focus,
            now,
            abilities: self.source.abilities(),
            dark: ctx.theme() == egui::Theme::Dark,
            ctx: &ctx,
            source: self.source.as_ref(),
        };
        actions::run_pressed(&ctx, &self.views, &mut scene);
        shell::draw(ui, &mut self.views, &mut scene);
        self.dialogs.draw(&ctx, &self.views, &mut scene);
        shell::notices(&ctx, &mut scene);
        if focus != self.sent_focus {
            self.source.set_focus(focus.clone());
            self.sent_focus = focus;
        }
        self.settings.keep(&self.state.remembered);
        self.look_again(&ctx, now);
    }

    /// Writes remembered choices that are not written yet. Call when the window closes.
    pub fn close(&mut self) {
        self.settings.write();
    }

    fn apply_theme(&self, ctx: &egui::Context) {
        let preference = match self.state.remembered.theme {
            ThemeChoice::System => egui::ThemePreference::System,
            ThemeChoice::Dark => egui::ThemePreference::Dark,
            ThemeChoice::Light => egui::ThemePreference::Light,
        };
        if ctx.options(|options| options.theme_preference) != preference {
            ctx.set_theme(preference);
        }
    }

    fn now(&mut self, picture: Time) -> Time {
        match &mut self.clock {
            Clock::Still => picture,
            Clock::Running {
                picture: last,
                seen,
            } => {
                if *last != picture {
                    *last = picture;
                    *seen = Instant::now();
                }
                let passed = i64::try_from(seen.elapsed().as_micros()).unwrap_or(i64::MAX);
                Time(picture.0.saturating_add(passed))
            }
        }
    }

    /// Asks for another frame only while something on screen changes by time alone.
    fn look_again(&self, ctx: &egui::Context, now: Time) {
        if matches!(self.clock, Clock::Still) {
            return;
        }
        let picture = self.source.latest();
        if self.history.is_settling(now, &picture)
            || self.notices.is_waiting()
            || self.state.undo.is_some()
            || !picture.deleting.is_empty()
            || self.settings.is_waiting()
            || replicas::counts_down(&picture)
        {
            ctx.request_repaint_after(Duration::from_millis(LOOK_AGAIN_MS));
        }
    }
}
