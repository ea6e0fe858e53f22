//! The desktop's own dialog for where to save a file, which the window does not wait for.
//!
//! Without one (no portal on this desktop, no `zenity`) the answer is that nothing was chosen.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use rfd::{AsyncFileDialog, FileHandle};

type Choice = Pin<Box<dyn Future<Output = Option<FileHandle>> + Send>>;

/// A dialog that is open beside the window.
pub struct PickFile {
    choice: Choice,
    waker: Waker,
}

/// The answer wants a frame.
struct Repaint(egui::Context);

impl Wake for Repaint {
    fn wake(self: Arc<Self>) {
        self.0.request_repaint();
    }
}

impl PickFile {
    /// Asks where to save, beginning at a proposal. Call on the window's thread: macOS wants it so.
    pub fn open(ctx: &egui::Context, title: &str, proposal: &Path) -> PickFile {
        let mut dialog = AsyncFileDialog::new().set_title(title);
        if let Some(name) = proposal.file_name() {
            dialog = dialog.set_file_name(name.to_string_lossy());
        }
        if let Some(dir) = proposal.parent() {
            dialog = dialog.set_directory(dir);
        }
        PickFile {
            choice: Box::pin(dialog.save_file()),
            waker: Waker::from(Arc::new(Repaint(ctx.clone()))),
        }
    }

    /// What was chosen, once something was, or that it was nothing. Not to be asked again then.
    pub fn answer(&mut self) -> Poll<Option<PathBuf>> {
        let mut context = Context::from_waker(&self.waker);
        let answer = self.choice.as_mut().poll(&mut context);
        answer.map(|file| file.map(|file| file.path().to_path_buf()))
    }
}
