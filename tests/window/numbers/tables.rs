//! What the tables of the views say, and the text alternative of the lanes.

use klar::app::format::{bytes, count, signed};
use serde_json::Value;

use super::frame::{Cells, Frame};
use super::rules::{MIDDLE, TOPIC, Verdict, after, plural, size};
use super::told::{self, Told, array, int};

/// A broker's page: its numbers and the replicas it holds.
pub fn page(verdict: &mut Verdict, frame: &Frame, told: &Told, id: i64) {
    let broker = told.broker(id).unwrap();
    let said = frame.fact("Log size", MIDDLE);
    verdict.there("log size", said, size(&broker["log_bytes"]));
    let (_, holds) = told.held(id, true);
    let connections = told.list("connections").iter();
    let connections = connections.filter(|one| one["broker"] == id).count();
    let tabs = [
        format!("Replicas {holds}"),
        format!("Connections {}", count(connections as u64)),
    ];
    for tab in tabs {
        let said = frame.painted.iter().any(|said| said.text == tab);
        verdict.same("tab", said.then_some(&tab), Some(&tab));
    }
    let columns = [
        "partition",
        "role",
        "log start",
        "log end",
        "HW",
        "size",
        "segments",
        "in sync",
    ];
    let rows = frame.table(&columns);
    for (topic, p) in told.partitions(true) {
        let name = format!("{}-{}", topic["name"].as_str().unwrap(), p["index"]);
        for r in array(&p["replicas"]).iter().filter(|r| r["broker"] == id) {
            let row = rows.iter().find(|row| row["partition"] == name);
            held(verdict, row, topic, p, r);
        }
    }
}

/// One row of a page: what the broker's own log has.
fn held(verdict: &mut Verdict, row: Option<&Cells>, topic: &Value, p: &Value, r: &Value) {
    let offset = |field: &str| match told::known(p, r, field) {
        known if known >= 0 => signed(known),
        _ => "\u{2013}".to_owned(),
    };
    let role = told::role(p, r);
    let leads = role == "leader";
    let own = &r["size"];
    let (taken, segments) = match own {
        Value::Null if leads => (size(&p["bytes"]), array(&p["segments"]).len().to_string()),
        Value::Null => ("\u{2013}".to_owned(), "\u{2013}".to_owned()),
        own => (size(&own["bytes"]), own["segments"].to_string()),
    };
    let in_isr = array(&p["isr"]).contains(&r["broker"]);
    let told = [
        ("role", "role", role.to_owned()),
        ("log start", "log start", offset("log_start")),
        ("log end", "log end", offset("log_end")),
        ("high watermark", "HW", offset("high_watermark")),
        ("size", "size", taken),
        ("segments", "segments", segments),
        (
            "ISR",
            "in sync",
            if in_isr { "yes" } else { "no" }.to_owned(),
        ),
    ];
    for (what, column, told) in told {
        let drawn = row.and_then(|row| row.get(column)).cloned();
        verdict.there(what, drawn, told);
    }
    debug_assert!(topic["name"].is_string());
}

/// The list of topics.
pub fn topics(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let columns = [
        "topic",
        "partitions",
        "records",
        "records in",
        "bytes in",
        "size",
        "newest record",
        "replicas",
    ];
    let rows = frame.table(&columns);
    let topics = plural(told.list("topics").len(), "topic");
    let said = frame.painted.iter().any(|said| said.text == topics);
    verdict.same("topics", said.then_some(&topics), Some(&topics));
    let shown = told.list("topics").iter();
    for topic in shown.filter(|topic| topic["internal"] == false) {
        let partitions = array(&topic["partitions"]);
        let sum = |field: &str| partitions.iter().map(|p| int(&p[field])).sum::<i64>();
        let taken = u64::try_from(sum("bytes")).unwrap();
        let [leaderless, thin, hurt] = told.ills(partitions.iter());
        let replicas = match (leaderless, thin, hurt) {
            (0, 0, 0) => "all in sync".to_owned(),
            (0, 0, hurt) => format!("{hurt} in trouble"),
            (0, thin, _) => format!("{thin} under-replicated"),
            (leaderless, ..) => format!("{leaderless} without leader"),
        };
        let row = rows.iter().find(|row| topic["name"] == row["topic"]);
        for (what, column, told) in [
            ("partitions", "partitions", partitions.len().to_string()),
            (
                "records",
                "records",
                signed(sum("log_end") - sum("log_start")),
            ),
            ("size", "size", bytes(taken)),
            ("ISR", "replicas", replicas),
        ] {
            let drawn = row.and_then(|row| row.get(column)).cloned();
            verdict.there(what, drawn, told);
        }
        for rate in ["records in", "bytes in"] {
            let drawn = row.and_then(|row| row.get(rate)).cloned();
            verdict.said.push(format!("{drawn:?}"));
        }
    }
}

/// The text alternative of a topic's lanes.
pub fn lanes(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let mut topics = told.list("topics").iter();
    let Some(topic) = topics.find(|topic| topic["name"] == TOPIC) else {
        return;
    };
    let partitions = array(&topic["partitions"]);
    // Lanes without a record are one sentence.
    if partitions.iter().all(|p| int(&p["log_end"]) <= 0) {
        return;
    }
    let mut text = format!("{}.", plural(partitions.len(), "partition"));
    for p in partitions {
        text.push_str(&format!(
            " Partition {}: offsets {} to {}, high watermark {}, {}.",
            p["index"],
            signed(int(&p["log_start"])),
            signed(int(&p["log_end"])),
            signed(int(&p["high_watermark"])),
            plural(array(&p["segments"]).len(), "segment")
        ));
        let replicas = array(&p["replicas"]).iter().map(|r| {
            let (broker, role) = (&r["broker"], told::role(p, r));
            match int(&r["log_end"]) {
                end if end >= 0 => format!("broker {broker} {role} to {}", signed(end)),
                _ => format!("broker {broker} {role}"),
            }
        });
        let replicas: Vec<String> = replicas.collect();
        text.push_str(&format!(" Replicas: {}.", replicas.join(", ")));
    }
    let beginning = format!("Log lanes of {TOPIC}, ");
    let said = after(frame, &beginning).map(str::to_owned);
    verdict.there("lanes", said, text);
}

/// What logs take on disk.
pub fn storage(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let rows = frame.table(&[
        "partition",
        "segments by size",
        "size",
        "records",
        "segments",
    ]);
    for (topic, p) in told.partitions(true) {
        let name = format!("{}-{}", topic["name"].as_str().unwrap(), p["index"]);
        let row = rows.iter().find(|row| row["partition"] == name);
        let records = int(&p["log_end"]) - int(&p["log_start"]);
        let segments = array(&p["segments"]).len().to_string();
        for (what, column, told) in [
            ("size", "size", size(&p["bytes"])),
            ("records", "records", signed(records)),
            ("segments", "segments", segments),
        ] {
            let drawn = row.and_then(|row| row.get(column)).cloned();
            verdict.there(what, drawn, told);
        }
    }
}
