//! The file the window's choices are remembered in.
//!
//! One JSON object, written whole to a temporary file and renamed, at most four times a second and when
//! the window closes. A missing, damaged or foreign file means defaults: settings never stop the window.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::state::Remembered;

/// Time between a change and its being written.
const WRITE_AFTER: Duration = Duration::from_millis(250);
/// Bytes of a settings file that are read; a longer one is not ours.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Remembered choices and where they are written.
#[derive(Debug)]
pub struct SettingsFile {
    path: Option<PathBuf>,
    written: Remembered,
    changed: Option<(Instant, Remembered)>,
}

impl SettingsFile {
    /// Reads the file; `None` remembers nothing.
    pub fn open(path: Option<PathBuf>) -> SettingsFile {
        let written = path.as_ref().and_then(read).unwrap_or_default();
        SettingsFile {
            path,
            written,
            changed: None,
        }
    }

    /// What was remembered.
    pub fn remembered(&self) -> Remembered {
        self.written.clone()
    }

    /// Takes note of the present choices and writes them once they have rested. Once a frame.
    pub fn keep(&mut self, now: &Remembered) {
        if self.path.is_none() {
            return;
        }
        match &mut self.changed {
            None if *now != self.written => self.changed = Some((Instant::now(), now.clone())),
            None => {}
            Some((since, kept)) => {
                if kept != now {
                    *kept = now.clone();
                }
                if since.elapsed() >= WRITE_AFTER {
                    self.write();
                }
            }
        }
    }

    /// True while a change waits to be written.
    pub fn is_waiting(&self) -> bool {
        self.changed.is_some()
    }

    /// Writes a waiting change now.
    pub fn write(&mut self) {
        let (Some(path), Some((_, choices))) = (&self.path, self.changed.take()) else {
            return;
        };
        if let Err(error) = write(path, &choices) {
            tracing::warn!(path = %path.display(), %error, "settings were not written");
        }
        self.written = choices;
    }
}

fn read(path: &PathBuf) -> Option<Remembered> {
    if fs::metadata(path).ok()?.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &PathBuf, choices: &Remembered) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(choices)?)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::{ThemeChoice, TopicChoices, TopicTab};

    #[test]
    fn choices_come_back_and_a_damaged_file_means_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("klar").join("window.json");
        let mut file = SettingsFile::open(Some(path.clone()));
        let mut choices = file.remembered();
        assert_eq!(choices, Remembered::default());
        choices.theme = ThemeChoice::Light;
        choices.topics.insert(
            "orders".into(),
            TopicChoices {
                tab: TopicTab::Segments,
                ..TopicChoices::default()
            },
        );
        file.keep(&choices);
        assert!(file.is_waiting());
        file.write();
        assert_eq!(SettingsFile::open(Some(path.clone())).remembered(), choices);
        fs::write(&path, b"{\"theme\":\"purple\"").unwrap();
        assert_eq!(
            SettingsFile::open(Some(path)).remembered(),
            Remembered::default()
        );
    }

    #[test]
    fn a_file_from_another_version_keeps_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("window.json");
        fs::write(&path, br#"{"theme":"dark","from_the_future":[1]}"#).unwrap();
        assert_eq!(
            SettingsFile::open(Some(path)).remembered().theme,
            ThemeChoice::Dark
        );
    }
}
