//! The native window: eframe with OpenGL, and what to say when it cannot open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use super::App;
use super::theme::{self, Theme, size};
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

/// Tells a missing system library by what winit and glutin say about it.
fn classify(message: String) -> RunError {
    const SIGNS: [&str; 5] = [
        "could not be loaded",
        "shared librar",
        "shared object",
        "libEGL",
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
    let mut app = App::new(source, options.settings);
    let size = app.window_size();
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("klar")
            .with_app_id("klar")
            .with_icon(icon())
            .with_inner_size(size)
            .with_min_inner_size(size::WINDOW_MIN),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "klar",
        native,
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            app.wake(&creation.egui_ctx, pace(creation.gl.as_deref()));
            app.set_window_size(size);
            Ok(Box::new(Native { app }))
        }),
    )
}

/// How long news wait for their frame where a CPU rasterises: that costs tens of milliseconds a frame, on
/// cores the brokers need. Input is answered at once all the same.
const PACE_WITHOUT_GPU: Duration = Duration::from_millis(200);
/// What OpenGL renderers that run on a CPU call themselves, in lower case.
const CPU_RENDERERS: [&str; 4] = ["llvmpipe", "softpipe", "swrast", "swiftshader"];

/// How long the window lets news wait before it draws them.
fn pace(gl: Option<&eframe::glow::Context>) -> Duration {
    use eframe::glow::{HasContext as _, RENDERER};
    // SAFETY: eframe made this context current on this thread before it asked for the app.
    let renderer = gl.map(|gl| unsafe { gl.get_parameter_string(RENDERER) });
    pace_of(&renderer.unwrap_or_default())
}

fn pace_of(renderer: &str) -> Duration {
    let renderer = renderer.to_lowercase();
    match CPU_RENDERERS.iter().any(|name| renderer.contains(name)) {
        true => PACE_WITHOUT_GPU,
        false => Duration::ZERO,
    }
}

/// Pixels of the icon's side.
const ICON: usize = 64;

/// The icon: three lanes of cells.
fn icon() -> egui::IconData {
    let theme = Theme::for_mode(true);
    let mut rgba = Vec::with_capacity(ICON * ICON * 4);
    for y in 0..ICON {
        for x in 0..ICON {
            let (lane, column) = (y / 20, x / 15);
            let in_cell = (4..18).contains(&(y % 20)) && (3..14).contains(&(x % 15));
            let filled = lane < 3 && column < 4 - lane % 2 && in_cell;
            let color = if filled {
                theme.keys[(lane * 3 + column) % theme.keys.len()]
            } else {
                theme.panel
            };
            rgba.extend_from_slice(&color.to_array());
        }
    }
    egui::IconData {
        rgba,
        width: ICON as u32,
        height: ICON as u32,
    }
}

/// What eframe drives.
struct Native {
    app: App,
}

impl eframe::App for Native {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let viewport = ui.input(|input| input.viewport().clone());
        let resized = viewport.inner_rect.map(|rect| rect.size());
        let whole = viewport.maximized == Some(true) || viewport.fullscreen == Some(true);
        if let (Some(size), false) = (resized, whole) {
            self.app.set_window_size(size.round().into());
        }
        self.app.draw(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.app.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_wait_only_where_a_cpu_draws() {
        assert!(pace_of("llvmpipe (LLVM 15.0.6, 256 bits)") > Duration::ZERO);
        assert!(pace_of("Google SwiftShader") > Duration::ZERO);
        assert_eq!(pace_of("Mesa Intel(R) UHD Graphics 620"), Duration::ZERO);
    }

    #[test]
    fn a_missing_library_names_the_packages() {
        // What winit 0.30 and xkbcommon-dl 0.4 said when the files were moved away.
        for said in [
            "Library libxkbcommon-x11.so could not be loaded.",
            "winit EventLoopError: os error: Failed to load one of xlib's shared libraries",
        ] {
            let sentence = classify(said.to_owned()).to_string();
            assert!(sentence.contains("libxkbcommon-x11-0"), "{sentence}");
        }
        let other = classify("Failed to open connection to X server".to_owned());
        assert!(matches!(other, RunError::Window(_)));
    }
}
