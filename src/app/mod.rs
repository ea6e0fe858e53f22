//! The window: the only module that knows egui.
//!
//! It reads one immutable picture a frame, draws it, and sends commands; it never waits for a broker,
//! a disk or a socket, and repaints only for news and input. Reading order: `theme`, `state`, `scene`,
//! `views`, `shell` (the frame around the views), `run` (the native window).

pub mod actions;
pub mod consumers;
pub mod dialogs;
pub mod export;
pub mod faults;
pub mod flights;
pub mod format;
pub mod groups;
pub mod history;
pub mod inspector;
pub mod metrics;
pub mod moves;
pub mod notices;
pub mod pace;
pub mod panels;
mod pick_file;
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

use self::flights::Flights;
use self::history::History;
use self::notices::Notices;
use self::scene::Scene;
use self::settings::SettingsFile;
use self::state::{ThemeChoice, UiState, ViewKey};
use self::views::View;
use crate::ids::Time;
use crate::inspect::{ClusterSnapshot, Focus};
use crate::source::Source;

/// Milliseconds after which the window looks again while rates fall or a notice is up.
const LOOK_AGAIN_MS: u64 = 250;
/// Milliseconds from frame to frame while requests fly.
const FLIGHT_FRAME_MS: u64 = 33;

/// The window's content: state, views, and where pictures come from.
pub struct App {
    source: Box<dyn Source>,
    state: UiState,
    history: History,
    flights: Flights,
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
    Running {
        picture: Time,
        seen: Instant,
        opened: Instant,
    },
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
            flights: Flights::default(),
            notices: Notices::default(),
            views: views::all(),
            dialogs: dialogs::Dialogs::default(),
            settings,
            sent_focus: Focus::default(),
            clock: Clock::Running {
                picture: Time(i64::MIN),
                seen: Instant::now(),
                opened: Instant::now(),
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
        let now = self.now(&picture);
        let wall = self.wall(picture.time);
        self.history.see(now, wall, &picture);
        self.flights.see(wall, &picture);
        self.notices.see(wall, &picture);
        self.state.see(wall, &picture);
        let mut focus = Focus::default();
        let ctx = ui.ctx().clone();
        let mut scene = Scene {
            picture: &picture,
            state: &mut self.state,
            history: &self.history,
            flights: &self.flights,
            notices: &mut self.notices,
            focus: &mut focus,
            now,
            wall,
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
        self.look_again(&ctx, wall);
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

    /// The cluster's time: that of the picture plus what has passed in the cluster since.
    fn now(&mut self, picture: &ClusterSnapshot) -> Time {
        let Clock::Running {
            picture: last,
            seen,
            ..
        } = &mut self.clock
        else {
            return picture.time;
        };
        if *last != picture.time {
            *last = picture.time;
            *seen = Instant::now();
        }
        let passed = seen.elapsed() / picture.pace.slowdown.max(1);
        match picture.pace.paused {
            true => picture.time,
            false => picture.time.plus_us(micros(passed)),
        }
    }

    /// The user's time, which nobody slows down: since the window opened.
    fn wall(&self, picture: Time) -> Time {
        match self.clock {
            Clock::Still => picture,
            Clock::Running { opened, .. } => Time(0).plus_us(micros(opened.elapsed())),
        }
    }

    /// Asks for another frame only while something on screen changes by time alone.
    fn look_again(&self, ctx: &egui::Context, wall: Time) {
        if matches!(self.clock, Clock::Still) {
            return;
        }
        let picture = self.source.latest();
        let wires_shown = self.state.view == ViewKey::Cluster && self.state.open_broker.is_none();
        if wires_shown && self.flights.are_under_way() {
            let pause = match self.state.remembered.reduce_motion {
                true => LOOK_AGAIN_MS,
                false => FLIGHT_FRAME_MS,
            };
            ctx.request_repaint_after(Duration::from_millis(pause));
        }
        // Nothing counts down while time stands still.
        let counts = !picture.deleting.is_empty() || replicas::counts_down(&picture);
        if self.history.is_settling(wall, &picture)
            || self.notices.is_waiting()
            || self.state.undo.is_some()
            || self.settings.is_waiting()
            || counts && !picture.pace.paused
        {
            ctx.request_repaint_after(Duration::from_millis(LOOK_AGAIN_MS));
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
