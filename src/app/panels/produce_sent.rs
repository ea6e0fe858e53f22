//! The foot of the produce panel: its buttons, what came of them, and the producers that run.

use std::sync::Arc;

use egui::{Color32, Label, RichText, Ui};

use super::produce_form::{Mode, ProduceForm};
use crate::app::scene::Scene;
use crate::app::sent::Sent;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme};
use crate::app::{format, widgets};
use crate::inspect::{Command, Done, Failure, ProducerSnapshot};

/// Draws the buttons and how the newest send ended.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ProduceForm) {
    buttons(ui, scene, form);
    last_outcome(ui, scene);
}

fn buttons(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ProduceForm) {
    let refusal = form.check().err();
    if let Some(refusal) = &refusal {
        let color: Color32 = Theme::of(ui).warning;
        ui.add(Label::new(RichText::new(refusal).color(color)).wrap());
    }
    ui.horizontal_wrapped(|ui| {
        let text = match form.mode {
            Mode::Once => "Send record",
            Mode::AtRate => "Start producing",
        };
        if widgets::primary_button_if(ui, refusal.is_none(), text).clicked()
            && let Ok(command) = form.command()
        {
            if let Command::Produce(record) = &command {
                form.last = Some(Arc::new(record.clone()));
            }
            send(scene, command);
        }
        if form.last.is_some()
            && widgets::button(ui, "Send again")
                .on_hover_text("Sends the last record once more, as it was")
                .clicked()
            && let Some(last) = form.last.clone()
        {
            send(scene, Command::Produce(last.as_ref().clone()));
        }
        if widgets::button(ui, "Close").clicked() {
            scene.state.producing = false;
        }
    });
}

fn send(scene: &mut Scene<'_>, command: Command) {
    scene.state.produce_sent = scene.send_quietly(command).map(Sent::new);
    if scene.state.produce_sent.is_none() {
        scene.notices.queue_is_full();
    }
}

/// How the newest send from here ended, and a way to the record.
fn last_outcome(ui: &mut Ui, scene: &mut Scene<'_>) {
    let Some(sent) = scene.state.produce_sent.clone() else {
        return;
    };
    match sent.result {
        None => {
            widgets::muted(ui, "Sending…");
        }
        Some(Ok(done)) => {
            widgets::paragraph(ui, &said(scene, &done));
            if let Some((topic, partition, offset)) = done.produced
                && widgets::link(ui, &format!("Show {topic}-{partition} @ {offset}")).clicked()
            {
                scene.state.open_topic(&topic);
                scene
                    .state
                    .select(Selection::Record(topic, partition, offset));
            }
        }
        Some(Err(failure)) => failed(ui, &failure),
    }
}

/// The outcome's sentence, as long as it is true: a producer that was started may have ended.
fn said(scene: &Scene<'_>, done: &Done) -> String {
    let Some(id) = done.producer else {
        return done.sentence.clone();
    };
    match scene.picture.producers.iter().find(|p| p.id == id) {
        Some(producer) if producer.running => done.sentence.clone(),
        Some(producer) => format!("Producer {id} has ended: {}.", delivered(producer)),
        None => format!("Producer {id} has ended."),
    }
}

fn failed(ui: &mut Ui, failure: &Failure) {
    let color = Theme::of(ui).bad;
    let name = RichText::new(&failure.name).font(theme::heading());
    ui.add(Label::new(name.color(color)).wrap());
    widgets::paragraph(ui, &failure.sentence());
}

/// What became of a producer's records: `1,042 acked`, `1,042 acked, 3 failed`.
fn delivered(producer: &ProducerSnapshot) -> String {
    let acked = format!("{} acked", format::count(producer.acked));
    match producer.failed {
        0 => acked,
        failed => format!("{acked}, {} failed", format::count(failed)),
    }
}

/// The producers that run now, each with what went wrong.
pub fn running(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let mut running = picture.producers.iter().filter(|p| p.running).peekable();
    if running.peek().is_none() {
        return;
    }
    widgets::divider(ui);
    widgets::heading(ui, "Running");
    for producer in running {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                if widgets::link(ui, &producer.plan.name).clicked() {
                    scene.state.select(Selection::Producer(producer.id));
                }
                widgets::small(ui, &delivered(producer));
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let stop = widgets::button(ui, "Stop");
                let label = format!("Stop {}", producer.plan.name);
                stop.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
                if stop.clicked() {
                    scene.send(Command::StopProducer { id: producer.id });
                }
            });
        });
        if producer.failed > 0
            && let Some(error) = &producer.last_error
        {
            failed(ui, error);
        }
    }
}
