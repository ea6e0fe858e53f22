//! The native window: eframe with OpenGL, and what to say when it cannot open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::{App, theme};
use crate::source::Source;

/// What a Debian-like system needs for the window, beyond a display.
pub const SYSTEM_PACKAGES: &str = "libx11-6 libxcursor1 libxi6 libx11-xcb1 libxkbcommon-x11-0 libwayland-client0 libegl1 libgl1 libgl1-mesa-dri";

/// How the window opens.
#[derive(Debug, Clone, Default)]
pub struct WindowOptions {
    /// File the window's choices are remembered in; `None` remembers nothing.
    pub settings: Option<PathBuf>,
}

impl WindowOptions {
    /// The platform's place for settings.
    pub fn for_this_user() -> WindowOptions {
        let settings = directories::ProjectDirs::from("", "", "klar")
            .map(|dirs| dirs.config_dir().join("window.json"));
        WindowOptions { settings }
    }
}

/// Why the window did not open.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("no display: neither WAYLAND_DISPLAY nor DISPLAY is set")]
    NoDisplay,
    #[error(
        "the window needs a system library that is missing: {message}. On Debian or Ubuntu: sudo apt-get install {SYSTEM_PACKAGES}"
    )]
    MissingLibrary { message: String },
    #[error("the window did not open: {0}")]
    Window(String),
}

/// True when there is a display to open a window on.
pub fn has_display() -> bool {
    if cfg!(any(target_os = "macos", target_os = "windows")) {
        return true;
    }
    ["WAYLAND_DISPLAY", "DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Opens the window and returns when it was closed. Must be called on the main thread.
pub fn run(source: Box<dyn Source>, options: WindowOptions) -> Result<(), RunError> {
    if !has_display() {
        return Err(RunError::NoDisplay);
    }
    // winit panics when a library it loads at run time is missing.
    let outcome = catch_unwind(AssertUnwindSafe(|| open(source, options)));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(classify(error.to_string())),
        Err(panic) => Err(classify(panic_message(panic.as_ref()))),
    }
}

fn classify(message: String) -> RunError {
    const SIGNS: [&str; 5] = [
        "cannot open shared object",
        "could not be loaded",
        "Library",
        "library",
        "libGL",
    ];
    if SIGNS.iter().any(|sign| message.contains(sign)) {
        RunError::MissingLibrary { message }
    } else {
        RunError::Window(message)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it stopped without a message".to_owned())
}

fn open(source: Box<dyn Source>, options: WindowOptions) -> eframe::Result {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("klar")
            .with_app_id("klar")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size([960.0, 600.0]),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "klar",
        native,
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            let app = App::new(source, options.settings);
            app.wake(&creation.egui_ctx);
            Ok(Box::new(Native { app }))
        }),
    )
}

/// What eframe drives.
struct Native {
    app: App,
}

impl eframe::App for Native {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.app.draw(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.app.close();
    }
}
