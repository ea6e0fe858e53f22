//! What the inspector says of a partition and of a broker.

use egui::Rangef;
use klar::app::format::signed;
use serde_json::Value;

use super::frame::Frame;
use super::rules::{INSPECTOR, TOPIC, Verdict, plural, size};
use super::told::{self, Told, array, int};

/// A partition in the inspector.
pub fn partition_facts(verdict: &mut Verdict, frame: &Frame, told: &Told, index: i64) {
    // Before there is such a partition nothing is said of it.
    let Some((topic, p)) = told.partition(TOPIC, index) else {
        return;
    };
    let list = |field: &str| {
        let ids: Vec<String> = array(&p[field]).iter().map(Value::to_string).collect();
        ids.join(", ")
    };
    let replicas: Vec<String> = array(&p["replicas"])
        .iter()
        .map(|r| r["broker"].to_string())
        .collect();
    let in_sync = match list("isr") {
        none if none.is_empty() => "none".to_owned(),
        some => some,
    };
    let (isr, factor) = (told::isr(p), told::factor(p));
    let thin = isr < factor;
    let leader = p["leader"].as_i64();
    let number = |field: &str| signed(int(&p[field]));
    let facts: [(&'static str, &str, String); 8] = [
        (
            "leader",
            "Leader",
            leader.map_or("none".to_owned(), |id| format!("Broker {id}")),
        ),
        (
            "leader epoch",
            "Leader epoch",
            p["leader_epoch"].to_string(),
        ),
        ("replicas", "Replicas", replicas.join(", ")),
        (
            "ISR",
            "In-sync",
            match thin {
                true => format!("{in_sync} · {isr} of {factor}"),
                false => in_sync,
            },
        ),
        (
            "min.insync.replicas",
            "min.insync",
            told::min_in_sync(topic).to_string(),
        ),
        ("log start", "Log start", number("log_start")),
        ("high watermark", "High watermark", number("high_watermark")),
        ("log end", "Log end", number("log_end")),
    ];
    for (what, label, told) in facts {
        verdict.there(what, frame.fact(label, INSPECTOR), told);
    }
    log_facts(verdict, frame, p);
    for r in array(&p["replicas"]) {
        let (lag, end) = told::lag(p, r);
        let name = format!(
            "Broker {}, {}, log end {end}, behind {lag}",
            r["broker"],
            told::role(p, r)
        );
        let beginning = format!("Broker {}, ", r["broker"]);
        let mut rows = frame.names.iter().map(|said| &said.text);
        let said = rows.find(|text| text.starts_with(&beginning) && text.contains(", log end "));
        verdict.there("lag", said.cloned(), name);
    }
    lag_cells(verdict, frame, p);
}

/// The replicas of a partition as they stand in the inspector's table, as far as they are in sight.
fn lag_cells(verdict: &mut Verdict, frame: &Frame, p: &Value) {
    for row in frame.table(&["broker", "log end", "behind", "state"]) {
        // What stands below the table is no row of it.
        let Ok(id) = row["broker"].parse::<i64>() else {
            continue;
        };
        let mut replicas = array(&p["replicas"]).iter();
        let replica = replicas.find(|r| r["broker"] == id);
        let Some(r) = replica else { continue };
        verdict.same("broker", row["broker"].clone(), r["broker"].to_string());
        let (lag, end) = told::lag(p, r);
        for (what, column, told) in [("log end", "log end", end), ("lag", "behind", lag)] {
            if let Some(drawn) = row.get(column) {
                verdict.same(what, drawn.clone(), told);
            }
        }
    }
}

/// What else is known of its log, as far as it is in sight.
fn log_facts(verdict: &mut Verdict, frame: &Frame, p: &Value) {
    let number = |field: &str| signed(int(&p[field]));
    let segments = array(&p["segments"]).len().to_string();
    let producers = usize::try_from(int(&p["producers"])).unwrap();
    let log = [
        ("producers", "Idempotent by", plural(producers, "producer")),
        ("last stable", "Last stable", number("last_stable")),
        ("size", "Size", size(&p["bytes"])),
        ("segments", "Segments", segments),
    ];
    let epochs = array(&p["epochs"]).iter().map(|began| {
        let from = format!("from offset {}", signed(int(&began[1])));
        (format!("Epoch {}", began[0]), from)
    });
    let log = log.into_iter().map(|(w, l, told)| (w, l.to_owned(), told));
    for (what, label, told) in log.chain(epochs.map(|(l, told)| ("epochs", l, told))) {
        if let Some(said) = frame.fact(&label, INSPECTOR) {
            verdict.same(what, said, told);
        }
    }
}

/// What a broker is to the others, wherever that stands.
pub fn broker_facts(verdict: &mut Verdict, frame: &Frame, told: &Told, id: i64, part: Rangef) {
    let broker = told.broker(id).unwrap();
    verdict.there("broker state", frame.fact("State", part), told.state(id));
    let registration = &broker["registration"];
    let to_others = match registration {
        Value::Null => "not registered",
        one if one["fenced"] == true => "fenced",
        one if one["in_controlled_shutdown"] == true => "handing over",
        _ => "in use",
    };
    let said = frame.fact("To the others", part);
    verdict.there("registration", said, to_others.to_owned());
    if let Some(epoch) = registration["epoch"].as_i64() {
        let said = frame.fact("Broker epoch", part);
        verdict.there("broker epoch", said, signed(epoch));
    }
    let (leads, holds) = told.held(id, true);
    let said = frame.fact("Leads", part);
    verdict.there("leads", said, format!("{leads} of {holds}"));
    let quorum = &told.0["quorum"];
    let mut voters = array(&quorum["replicas"]).iter();
    let place = voters.find(|one| one["broker"] == id);
    let role = match place {
        _ if quorum["leader"] == id => format!("controller, epoch {}", quorum["epoch"]),
        Some(one) if one["voter"] == true => "voter".to_owned(),
        _ => "observer".to_owned(),
    };
    let said = frame.fact("In the quorum", part);
    verdict.there("controller", said, role);
    let lag = place.and_then(|one| one["lag"].as_u64());
    let lag = lag.filter(|lag| *lag > 0).map(|lag| {
        let records = plural(usize::try_from(lag).unwrap(), "record");
        format!("{records} behind")
    });
    verdict.same("metadata lag", frame.fact("Metadata", part), lag);
}

/// What the inspector says of a broker by itself.
pub fn process_facts(verdict: &mut Verdict, frame: &Frame, told: &Told, id: i64) {
    let broker = told.broker(id).unwrap();
    let address = format!("{}:{}", broker["host"].as_str().unwrap(), broker["port"]);
    // What just happened may push them out of sight.
    for (what, label, value) in [
        ("port", "Listens on", address),
        (
            "connections",
            "Connections",
            signed(int(&broker["connections"])),
        ),
        ("log size", "Log size", size(&broker["log_bytes"])),
    ] {
        if let Some(said) = frame.fact(label, INSPECTOR) {
            verdict.same(what, said, value);
        }
    }
    for setting in array(&broker["settings"]) {
        let (name, value) = (setting[0].as_str().unwrap(), setting[1].as_str().unwrap());
        if let Some(said) = frame.below(name, INSPECTOR) {
            verdict.same("setting", said, value.to_owned());
        }
    }
}
