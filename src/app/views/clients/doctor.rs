//! The connection doctor: for each client where it dialed, what Metadata told it, whether it arrived there, and what
//! that means.

use std::time::Duration;

use egui::{Align, Layout as Place, ScrollArea, Ui};

use crate::app::format;
use crate::app::scene::Scene;
use crate::app::theme::{Theme, space};
use crate::app::widgets::{self, Facts};
use crate::ids::Time;
use crate::inspect::{Arrival, AskedApi, Checkup, Finding};

/// Clients that are drawn; the filter finds the others.
const SHOWN_MOST: usize = 64;
/// How soon a client that may yet dial is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Every client that is connected or was lately, the worst off first.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, wanted: &str) {
    scene.focus.counters = true;
    let mut checkups = scene.picture.checkups(scene.now);
    let all = checkups.len();
    checkups.retain(|checkup| matches(checkup, wanted));
    if checkups.is_empty() && all > 0 {
        widgets::empty(ui, "No client matches the filter.", None);
        return;
    }
    if checkups.is_empty() {
        super::nobody_came(ui, scene);
        return;
    }
    let waits = |checkup: &Checkup| matches!(checkup.finding, Finding::Looking | Finding::NotTold);
    if checkups.iter().any(|c| c.open > 0 && waits(c)) {
        ui.ctx().request_repaint_after(LOOK_AGAIN);
    }
    let more = checkups.len().saturating_sub(SHOWN_MOST);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        for checkup in checkups.iter().take(SHOWN_MOST) {
            client(ui, scene.now, checkup);
        }
        if more > 0 {
            widgets::small(ui, &format!("{more} more: narrow the filter to see them."));
        }
    });
}

/// How many clients something is to be mended for.
pub fn troubled(scene: &Scene<'_>) -> usize {
    let checkups = scene.picture.checkups(scene.now);
    checkups.iter().filter(|c| c.finding.is_trouble()).count()
}

fn matches(checkup: &Checkup, wanted: &str) -> bool {
    let texts = [&checkup.client_id, &checkup.host, &checkup.software];
    let mut texts = texts.iter().map(|text| text.to_lowercase());
    wanted.is_empty() || texts.any(|text| text.contains(wanted))
}

fn client(ui: &mut Ui, now: Time, checkup: &Checkup) {
    let theme = Theme::of(ui);
    widgets::card(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            match checkup.client_id.as_str() {
                "" => widgets::muted(ui, "no client id"),
                name => widgets::heading(ui, name),
            };
            widgets::muted(ui, &format!("from {}", checkup.host));
            widgets::muted(ui, &checkup.software);
            ui.with_layout(Place::right_to_left(Align::Center), |ui| {
                let color = match checkup.finding {
                    finding if finding.is_trouble() => theme.bad,
                    Finding::Errors => theme.warning,
                    Finding::Fine => theme.ok,
                    _ => theme.muted,
                };
                widgets::badge(ui, checkup.finding.words(), color);
            });
        });
        widgets::paragraph(ui, &checkup.means);
        ui.add_space(space::XS);
        widgets::facts(ui, |facts| found(facts, now, checkup));
    });
}

fn found(facts: &mut Facts<'_>, now: Time, checkup: &Checkup) {
    if !checkup.remedy.is_empty() {
        facts.text("What to do", &checkup.remedy);
    }
    let (broker, address, since) = &checkup.first_dial;
    let ago = format::ago(now, *since);
    facts.mono("First dial", &format!("{address}, broker {broker}, {ago}"));
    let asked: Vec<String> = checkup.asked.iter().map(asked).collect();
    match asked.is_empty() {
        true => facts.text("Asked", "nothing"),
        false => facts.text("Asked", &asked.join(", ")),
    }
    facts.custom("Metadata told", |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.spacing_mut().interact_size.y = 0.0;
        if checkup.told.is_empty() {
            widgets::muted(ui, "nothing: it did not ask");
        }
        for told in &checkup.told {
            second_dial(ui, now, checkup.finding, told);
        }
    });
    for (why, times) in &checkup.closed {
        let often = match times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        facts.text("Closed by broker", &format!("{why}{often}"));
    }
    let (open, gone) = (checkup.open as u64, checkup.gone as u64);
    let counts = format!(
        "{} open, {} ended",
        format::count(open),
        format::count(gone)
    );
    facts.text("Connections", &counts);
}

/// `Metadata v12 ×4`, with its errors.
fn asked(asked: &AskedApi) -> String {
    let times = format::count(asked.requests);
    let said = format!("{} v{} ×{times}", asked.api, asked.version);
    match (&asked.last_error, asked.errors) {
        (_, 0) => said,
        (Some(name), errors) => format!("{said} ({errors} with errors, last {name})"),
        (None, errors) => format!("{said} ({errors} with errors)"),
    }
}

fn second_dial(ui: &mut Ui, now: Time, finding: Finding, told: &Arrival) {
    let theme = Theme::of(ui);
    let open = if told.open { "" } else { ", since closed" };
    let (words, color) = match told.since {
        Some(since) => {
            let ago = format::ago(now, since);
            (format!("arrived {ago}{open}"), theme.ok)
        }
        None if told.by_first_dial => (format!("works by its first dial{open}"), theme.ok),
        None if finding == Finding::NeverArrived => ("no second dial".to_owned(), theme.bad),
        None => ("not dialed since".to_owned(), theme.muted),
    };
    ui.horizontal(|ui| {
        widgets::mono(ui, &told.address);
        widgets::muted(ui, &format!("broker {}", told.broker));
        ui.add(egui::Label::new(
            egui::RichText::new(words)
                .font(crate::app::theme::body())
                .color(color),
        ));
    });
}
