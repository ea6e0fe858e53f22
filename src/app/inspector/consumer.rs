//! One of klar's own consumers.

use egui::Ui;

use super::{gone, header};
use crate::app::consumers::{lag, owns, state_word};
use crate::app::panels::consume_running::{buttons, records};
use crate::app::scene::Scene;
use crate::app::{format, widgets};
use crate::inspect::{CommitWhen, ConsumerReads, ConsumerSnapshot};

/// Partitions listed one by one.
const PARTITIONS: usize = 8;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, id: u64) {
    let picture = scene.picture.clone();
    let Some(consumer) = picture.consumers.iter().find(|one| one.id == id) else {
        let sentence = "This consumer has ended.";
        gone(ui, &format!("Consumer {id}"), "consumer", sentence);
        return;
    };
    header(ui, &consumer.client_id, "consumer");
    let since = format::moment(scene.now, consumer.since.as_ms());
    let rate = scene.consumer_rate(consumer);
    widgets::facts(ui, |facts| {
        facts.text("State", state_word(consumer.state));
        facts.mono("Since", &since);
        facts.text("Reads", &consumer.plan.subject());
        membership(facts, consumer);
        partitions(facts, consumer);
        let processed = format::counted(consumer.records, "record");
        let bytes = format::bytes(consumer.bytes);
        facts.mono("Processed", &format!("{processed}, {bytes}"));
        facts.mono("In hand", &format::counted(consumer.in_hand, "record"));
        if consumer.state.is_alive() {
            facts.mono("Rate", &format::rate(rate));
            let behind = lag(consumer, &picture);
            facts.mono("Lag", &behind.map_or("–".to_owned(), format::signed));
        }
        facts.mono(
            "Rate limit",
            &match consumer.plan.rate {
                rate if rate > 0.0 => format::rate(rate),
                _ => "none".to_owned(),
            },
        );
    });
    if let Some(error) = &consumer.last_error {
        widgets::divider(ui);
        widgets::heading(ui, &error.name);
        widgets::paragraph(ui, &error.sentence());
    }
    buttons(ui, scene, consumer);
    if !consumer.newest.is_empty() {
        widgets::divider(ui);
        widgets::heading(ui, "Newest records");
        records(ui, &consumer.newest);
    }
}

/// Each partition with where it goes on, as many as there is room for.
fn partitions(facts: &mut widgets::Facts<'_>, consumer: &ConsumerSnapshot) {
    if consumer.partitions.is_empty() || consumer.partitions.len() > PARTITIONS {
        facts.mono("Owns", &owns(consumer));
        return;
    }
    let offset = |offset: Option<crate::ids::Offset>| {
        offset.map_or("–".to_owned(), |offset| format::signed(offset.0))
    };
    for shown in &consumer.partitions {
        let name = format!("{}-{}", shown.topic, shown.partition);
        let next = offset(shown.position);
        let said = match consumer.plan.group() {
            Some(_) => format!("at {next}, committed {}", offset(shown.committed)),
            None => format!("at {next}"),
        };
        facts.mono(&name, &said);
    }
}

fn membership(facts: &mut widgets::Facts<'_>, consumer: &ConsumerSnapshot) {
    let (ConsumerReads::Group(plan), Some(member)) = (&consumer.plan.reads, &consumer.member)
    else {
        return;
    };
    facts.text("Group", &plan.group);
    facts.text("Member", member.state);
    if !member.id.is_empty() {
        facts.mono("Member id", &member.id);
    }
    if member.leads {
        facts.text("Leader", "yes, it decides who reads what");
    }
    facts.text(
        "Commits",
        &match plan.commit {
            CommitWhen::Before => "before processing".to_owned(),
            CommitWhen::After => "after processing".to_owned(),
            CommitWhen::Interval { ms } => format!("every {}", format::duration_ms(ms.into())),
            CommitWhen::Never => "never".to_owned(),
        },
    );
    facts.mono(
        "Poll",
        &format::counted(plan.max_poll_records.into(), "record"),
    );
}
