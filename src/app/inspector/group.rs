//! A consumer group's facts, and one member's.

use std::sync::Arc;

use egui::Ui;

use super::{gone, header, what_just_happened};
use crate::app::consumers::numbers;
use crate::app::groups::{self, host, kind_word, lag_total, member_names, state_words};
use crate::app::panels::consume_running::{buttons, state_badge};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::{format, widgets};
use crate::inspect::{ConsumerSnapshot, ConsumerState, GroupMember, GroupSnapshot};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
    let Some(group) = scene.picture.group(name).cloned() else {
        let sentence = "This group is gone: it was deleted, or had no members and no offsets left.";
        gone(ui, name, "group", sentence);
        return;
    };
    header(ui, name, "group");
    widgets::facts(ui, |facts| {
        facts.text("Type", kind_word(group.kind));
        facts.text("State", &state_words(&group.state));
        facts.mono("Since", &format::moment(scene.now, group.since.as_ms()));
        facts.mono("Generation", &group.generation.to_string());
        if !group.assignor.is_empty() {
            facts.text("Assignor", &group.assignor);
        }
        facts.mono("Members", &format::count(group.members.len() as u64));
        let lag = lag_total(&group, scene.picture);
        facts.mono("Lag", &format::signed(lag));
        let receives = groups::receives_total(&group, scene.picture);
        facts.mono("To receive", &format::signed(receives));
        if receives < lag {
            facts.mono("Deleted unread", &format::signed(lag - receives));
        }
        facts.mono("Offsets", &format::count(group.offsets.len() as u64));
        facts.mono("Coordinator", &format!("broker {}", group.coordinator));
        let kept = format!("__consumer_offsets-{}", group.offsets_partition);
        facts.mono("Kept in", &kept);
        if !group.protocol_type.is_empty() {
            facts.text("Protocol", &group.protocol_type);
        }
    });
    what_just_happened(ui, scene, None, |event| event.kind.of_group() == Some(name));
    if scene.state.open_group.as_deref() != Some(name) {
        widgets::divider(ui);
        if widgets::primary_button(ui, "Open group").clicked() {
            scene.state.open_group(name);
        }
    }
}

/// One member of a group.
pub fn member(ui: &mut Ui, scene: &mut Scene<'_>, group: &str, id: &str) {
    let found = scene.picture.group(group).cloned();
    let place = |group: &Arc<GroupSnapshot>| group.members.iter().position(|m| m.id == id);
    let Some((group, at)) = found.and_then(|group| place(&group).map(|at| (group, at))) else {
        gone(
            ui,
            groups::id_end(id),
            "member",
            "This member has left its group.",
        );
        return;
    };
    let member = &group.members[at];
    header(ui, &member_names(&group)[at], "member");
    widgets::facts(ui, |facts| {
        facts.mono("Member id", &member.id);
        facts.text("Client id", &member.client_id);
        if let Some(software) = groups::software(scene.picture, &member.client_id) {
            facts.text("Software", software);
        }
        facts.mono("Host", host(member));
        facts.text("Protocol", groups::kind_word(member.protocol));
        let instance = member.instance.as_deref();
        facts.text(
            "Static",
            instance.unwrap_or("no, it has no group.instance.id"),
        );
        if group.leader.as_deref() == Some(member.id.as_str()) {
            facts.text("Leader", "yes, it decides who reads what");
        }
        facts.text("Subscribed", &member.subscribed.join(", "));
        facts.mono("Owns", &owns(member));
        let session = u64::try_from(member.session_timeout_ms).unwrap_or(0);
        facts.mono("Session", &format::duration_ms(session));
        let rebalance = u64::try_from(member.rebalance_timeout_ms).unwrap_or(0);
        facts.mono("Rebalance", &format::duration_ms(rebalance));
        facts.mono("Generation", &member.epoch.to_string());
    });
    if let Some(own) = scene.picture.own_member(&group.group, id).cloned() {
        own_actions(ui, scene, &own);
        return;
    }
    let sentence = "It has to be heard within its session timeout, and to join again within its rebalance timeout.";
    ui.add_space(crate::app::theme::space::S);
    widgets::paragraph(ui, sentence);
}

/// A member that klar runs itself: how it stands, and what can be done to it.
fn own_actions(ui: &mut Ui, scene: &mut Scene<'_>, own: &ConsumerSnapshot) {
    widgets::divider(ui);
    ui.horizontal(|ui| {
        if widgets::link(ui, "klar's own consumer").clicked() {
            scene.state.select(Selection::Consumer(own.id));
        }
        state_badge(ui, own.state);
    });
    let sentence = match own.state {
        ConsumerState::Crashed => {
            "It is not there any more, but nobody told its coordinator, which waits for it until its session is over."
                .to_owned()
        }
        _ => numbers(scene, own),
    };
    widgets::paragraph(ui, &sentence);
    buttons(ui, scene, own);
}

/// `orders 0, 1; clicks 4`.
fn owns(member: &GroupMember) -> String {
    let topic = |assigned: &crate::inspect::TopicPartitions| {
        let partitions = assigned.partitions.iter().map(ToString::to_string);
        let partitions: Vec<String> = partitions.collect();
        format!("{} {}", assigned.topic, partitions.join(", "))
    };
    match member.assigned.iter().all(|a| a.partitions.is_empty()) {
        true => "nothing".to_owned(),
        false => {
            let topics: Vec<String> = member.assigned.iter().map(topic).collect();
            topics.join("; ")
        }
    }
}
