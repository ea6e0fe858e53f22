//! One of klar's own producers.

use egui::Ui;

use super::{gone, header};
use crate::app::scene::Scene;
use crate::app::theme::Theme;
use crate::app::{format, widgets};
use crate::inspect::Command;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, id: u64) {
    let picture = scene.picture.clone();
    let Some(producer) = picture.producers.iter().find(|p| p.id == id) else {
        gone(
            ui,
            &format!("Producer {id}"),
            "producer",
            "This producer has ended.",
        );
        return;
    };
    header(ui, &producer.plan.name, "producer");
    let theme = Theme::of(ui);
    widgets::facts(ui, |facts| {
        facts.text("Topic", &producer.plan.topic);
        facts.mono("Rate", &format::rate(producer.plan.rate));
        facts.mono("Sent", &format::count(producer.sent));
        facts.mono("Acked", &format::count(producer.acked));
        if producer.failed > 0 {
            facts.coloured("Failed", &format::count(producer.failed), theme.bad);
        }
        facts.mono("Producer id", &producer.producer_id.to_string());
        facts.mono("Send to ack", &format!("{:.1} ms", producer.latency_ms));
    });
    if let Some(error) = &producer.last_error {
        widgets::divider(ui);
        widgets::heading(ui, &error.name);
        widgets::paragraph(ui, &error.sentence());
    }
    if producer.running {
        widgets::divider(ui);
        if widgets::button(ui, "Stop").clicked() {
            scene.send(Command::StopProducer { id });
        }
    }
}
