//! What one frame says: the texts that were painted with their places, and the names of its controls.

use std::collections::BTreeMap;

use egui::epaint::Shape;
use egui::{Pos2, Rangef, Rect};
use egui_kittest::kittest::NodeT as _;

use crate::rig::Window;

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub text: String,
    pub at: Rect,
}

/// Everything a frame says.
#[derive(Debug, Default)]
pub struct Frame {
    /// What is to be seen, word for word.
    pub painted: Vec<Said>,
    /// What is told to those who cannot see it.
    pub names: Vec<Said>,
}

impl Frame {
    /// Reads the frame the window drew last.
    pub fn of(window: &Window) -> Frame {
        let mut frame = Frame::default();
        for one in &window.output().shapes {
            gather(&one.shape, one.clip_rect, &mut frame.painted);
        }
        for node in window.root().children_recursive() {
            let node = node.accesskit_node();
            let text = node.label().or_else(|| node.value()).unwrap_or_default();
            let Some(bounds) = node.bounding_box() else {
                continue;
            };
            let corner = |x: f64, y: f64| Pos2::new(x as f32, y as f32);
            let at = Rect::from_min_max(corner(bounds.x0, bounds.y0), corner(bounds.x1, bounds.y1));
            frame.names.push(Said { text, at });
        }
        frame
    }
}

fn gather(shape: &Shape, clip: Rect, into: &mut Vec<Said>) {
    match shape {
        Shape::Vec(shapes) => {
            for shape in shapes {
                gather(shape, clip, into);
            }
        }
        Shape::Text(text) => {
            let at = text.galley.rect.translate(text.pos.to_vec2());
            // What lies outside is cut off by the part of the window it is in.
            if clip.intersects(at) {
                into.push(Said {
                    text: text.galley.text().to_owned(),
                    at,
                });
            }
        }
        _ => {}
    }
}

/// A row of a table: what stands under each column's name.
pub type Cells = BTreeMap<&'static str, String>;

/// Points by which what stands in one line or one column may be off.
const OFF: f32 = 4.0;

impl Frame {
    /// What stands right of a label, in this part of the window across.
    pub fn fact(&self, label: &str, part: Rangef) -> Option<String> {
        let mut labels = self.painted.iter();
        let label = labels.find(|said| said.text == label && part.contains(said.at.left()))?;
        let beside = self.painted.iter().filter(|said| {
            let gap = said.at.left() - label.at.right();
            gap > 0.0 && gap < 140.0 && (said.at.top() - label.at.top()).abs() < OFF
        });
        let nearest = beside.min_by(|a, b| a.at.left().total_cmp(&b.at.left()))?;
        Some(nearest.text.clone())
    }

    /// What stands below a label and begins where it does, in this part of the window across.
    pub fn below(&self, label: &str, part: Rangef) -> Option<String> {
        let mut labels = self.painted.iter();
        let label = labels.find(|said| said.text == label && part.contains(said.at.left()))?;
        let under = self.painted.iter().filter(|said| {
            let gap = said.at.top() - label.at.bottom();
            gap > -OFF && gap < 12.0 && (said.at.left() - label.at.left()).abs() < 1.5
        });
        let nearest = under.min_by(|a, b| a.at.top().total_cmp(&b.at.top()))?;
        Some(nearest.text.clone())
    }

    /// The rows of the table with these columns.
    pub fn table(&self, columns: &[&'static str]) -> Vec<Cells> {
        let Some(header) = self.header(columns) else {
            return Vec::new();
        };
        let edges: Vec<(&'static str, Rect)> = columns.iter().copied().zip(header).collect();
        let (left, right) = (edges[0].1.left(), edges[edges.len() - 1].1.right());
        let mut rows: Vec<(f32, Cells)> = Vec::new();
        for said in &self.painted {
            let below = said.at.top() > edges[0].1.bottom();
            if !below || said.at.left() < left - OFF || said.at.left() > right {
                continue;
            }
            let aligned = |place: &&(&str, Rect)| {
                let (starts, ends) = (
                    said.at.left() - place.1.left(),
                    said.at.right() - place.1.right(),
                );
                starts.abs() < 1.5 || ends.abs() < 1.5
            };
            let Some((column, _)) = edges.iter().find(aligned) else {
                continue;
            };
            let middle = said.at.center().y;
            let same = |row: &&mut (f32, Cells)| (row.0 - middle).abs() < OFF;
            match rows.iter_mut().find(same) {
                Some((_, cells)) => drop(cells.insert(column, said.text.clone())),
                None => rows.push((middle, Cells::from([(*column, said.text.clone())]))),
            }
        }
        let whole = rows.into_iter().map(|(_, cells)| cells);
        whole
            .filter(|cells| cells.contains_key(columns[0]))
            .collect()
    }

    /// Where the names of the columns stand, all in one line.
    fn header(&self, columns: &[&str]) -> Option<Vec<Rect>> {
        let name = |said: &Said| said.text.trim_end_matches([' ', '↓', '↑']).to_owned();
        let firsts = self.painted.iter().filter(|said| name(said) == columns[0]);
        for first in firsts {
            let line = columns.iter().map(|column| {
                let mut all = self.painted.iter();
                let found = all.find(|said| {
                    let same_line = (said.at.center().y - first.at.center().y).abs() < OFF;
                    name(said) == *column && same_line && said.at.left() >= first.at.left()
                });
                found.map(|said| said.at)
            });
            if let Some(line) = line.collect() {
                return Some(line);
            }
        }
        None
    }

    /// What is painted within a part of the window.
    pub fn within(&self, part: Rect) -> impl Iterator<Item = &Said> {
        let inside = move |said: &&Said| part.expand(1.0).contains(said.at.center());
        self.painted.iter().filter(inside)
    }
}
