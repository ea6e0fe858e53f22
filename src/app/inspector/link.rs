//! The link between two brokers: what it lets through each way, and what waits on it.

use egui::Ui;

use super::{header, offers, what_just_happened};
use crate::app::scene::Scene;
use crate::app::theme::Theme;
use crate::app::views::cluster::links::{Link, Way, flows};
use crate::app::{format, widgets};
use crate::ids::BrokerId;
use crate::inspect::EventSubject;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, a: BrokerId, b: BrokerId) {
    scene.focus.counters = true;
    let picture = scene.picture.clone();
    let link = Link::between(&picture, a, b);
    header(ui, &format!("Broker {a} – broker {b}"), "link");
    let theme = Theme::of(ui);
    widgets::facts(ui, |facts| {
        for (from, to, way) in [(a, b, link.there), (b, a, link.back)] {
            let name = format!("From {from} to {to}");
            match way {
                Way { cut: true, .. } => facts.coloured(&name, "cut: nothing arrives", theme.bad),
                Way { delay_ms: 0, .. } => facts.text(&name, "as good as new"),
                Way { delay_ms, .. } => {
                    let words = format!("{} longer", format::duration_ms(delay_ms));
                    facts.coloured(&name, &words, theme.warning);
                }
            }
        }
        if let Some(down) = &link.down {
            facts.coloured("Away", down, theme.warning);
        }
    });
    offers(ui, scene);
    let flows = flows(&picture, a, b, scene.now);
    if !flows.is_empty() {
        widgets::divider(ui);
        widgets::heading(ui, "Requests without an answer");
        for flow in flows {
            let more = if flow.count > 1 {
                format!(" (one of {})", flow.count)
            } else {
                String::new()
            };
            widgets::paragraph(ui, &format!("{}{more}.", flow.words));
        }
    }
    let link = EventSubject::Link(a, b);
    what_just_happened(ui, scene, None, |event| link.is_of(event));
}
