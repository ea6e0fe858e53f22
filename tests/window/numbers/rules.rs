//! Compares what a frame says with what the snapshot tells, sentence by sentence and cell by cell.

use std::collections::BTreeMap;

use egui::Rangef;
use klar::app::format::{bytes, count, signed};
use serde_json::Value;

use super::frame::{Frame, Said};
use super::inspector::{broker_facts, partition_facts, process_facts};
use super::tables::{lanes, page, storage, topics};
use super::told::{self, Told, array, int};

/// Where the inspector lies in a window of 1440 points, across.
pub const INSPECTOR: Rangef = Rangef {
    min: 1_140.0,
    max: 1_440.0,
};
/// Where the view in the middle lies.
pub const MIDDLE: Rangef = Rangef {
    min: 180.0,
    max: 1_140.0,
};
/// Where the timeline begins, down.
const TIMELINE: f32 = 770.0;

/// What was compared, and what was not as it should be.
#[derive(Debug, Default)]
pub struct Verdict {
    pub faults: Vec<String>,
    /// How often each kind of number was compared.
    pub compared: BTreeMap<&'static str, usize>,
    /// What was drawn of it, as it was read.
    pub said: Vec<String>,
}

impl Verdict {
    /// Something drawn, beside what was told.
    pub fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &'static str, drawn: T, told: T) {
        *self.compared.entry(what).or_default() += 1;
        self.said.push(format!("{drawn:?}"));
        if drawn != told {
            let fault = format!("{what}: the window says {drawn:?}, the snapshot {told:?}");
            self.faults.push(fault);
        }
    }

    /// Finds numbers that stand for themselves in the view or the inspector and were compared with nothing.
    fn leaves_none_out(&mut self, frame: &Frame, shown: Shown) {
        for painted in &frame.painted {
            let (text, x) = (painted.text.as_str(), painted.at.left());
            // The scale above lanes says where offsets lie; the lanes' own numbers are in their text alternative.
            let scale = matches!(shown, Shown::Log(_)) && MIDDLE.contains(x);
            let below = painted.at.top() > TIMELINE;
            let number = text.trim_start_matches(['\u{2212}', '+']);
            let number = number.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
            let is_number = number.starts_with(|c: char| c.is_ascii_digit())
                && number
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b",.".contains(&b));
            let in_sight = MIDDLE.contains(x) || INSPECTOR.contains(x);
            if !is_number || scale || below || !in_sight || is_of_time(text) {
                continue;
            }
            let quoted = format!("\"{text}\"");
            if !self.said.iter().any(|said| said.contains(&quoted)) {
                let fault = format!(
                    "nobody compares {text:?}, at {:?} of {shown:?}",
                    painted.at.min
                );
                self.faults.push(fault);
            }
        }
    }

    /// Something that must be drawn.
    pub fn there(&mut self, what: &'static str, drawn: Option<String>, told: String) {
        self.same(what, drawn, Some(told));
    }
}

/// It says how much happened in a time, or how long something took: what several pictures tell together.
fn is_of_time(text: &str) -> bool {
    [" ms", " s", " min", "/s"]
        .iter()
        .any(|end| text.ends_with(end))
}

/// What a frame shows in its middle and at its right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All brokers, and a partition of `orders`.
    Cluster(i64),
    /// All brokers, and one of them.
    Broker(i64),
    /// A broker's page.
    Page(i64),
    /// The list of topics, and a broker.
    Topics(i64),
    /// The lanes of `orders`, and one of its partitions.
    Log(i64),
    /// What logs take on disk, and a partition of `orders`.
    Storage(i64),
}

pub const TOPIC: &str = "orders";

/// Everything a frame says of `told`, whatever it shows, and what it must say because it shows that.
pub fn judge(frame: &Frame, told: &Told, shown: Shown) -> Verdict {
    let mut verdict = Verdict::default();
    everywhere(&mut verdict, frame, told);
    match shown {
        Shown::Cluster(index) => {
            cluster(&mut verdict, frame, told);
            partition_facts(&mut verdict, frame, told, index);
        }
        Shown::Broker(id) => {
            cluster(&mut verdict, frame, told);
            broker_facts(&mut verdict, frame, told, id, INSPECTOR);
            process_facts(&mut verdict, frame, told, id);
        }
        Shown::Page(id) => {
            broker_facts(&mut verdict, frame, told, id, MIDDLE);
            page(&mut verdict, frame, told, id);
        }
        Shown::Topics(id) => {
            topics(&mut verdict, frame, told);
            broker_facts(&mut verdict, frame, told, id, INSPECTOR);
            process_facts(&mut verdict, frame, told, id);
        }
        Shown::Log(index) => {
            lanes(&mut verdict, frame, told);
            partition_facts(&mut verdict, frame, told, index);
        }
        Shown::Storage(index) => {
            storage(&mut verdict, frame, told);
            partition_facts(&mut verdict, frame, told, index);
        }
    }
    verdict.leaves_none_out(frame, shown);
    verdict
}

/// The top bar, the navigation and the timeline.
fn everywhere(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let health = after(frame, "Health: ").map(str::to_owned);
    verdict.there("health", health, told_health(told));
    let total = told.list("brokers").iter().map(|b| int(&b["log_bytes"]));
    let total = bytes(u64::try_from(total.sum::<i64>()).unwrap());
    let own_topics = told.list("topics").iter();
    let own_topics = own_topics.filter(|topic| topic["internal"] == false);
    let numbers = [
        (
            "brokers",
            "Cluster, ",
            told.list("brokers").len().to_string(),
        ),
        ("topics", "Topics, ", own_topics.count().to_string()),
        ("log size of all", "Storage, ", total),
        (
            "event number",
            "Timeline, ",
            signed(told.number("event_number")),
        ),
    ];
    for (what, name, number) in numbers {
        verdict.there(what, after(frame, name).map(str::to_owned), number);
    }
    for broker in told.list("brokers") {
        let id = int(&broker["id"]);
        let word = match told.state(id).as_str() {
            "running" if told.is_controller(id) => "controller".to_owned(),
            "running" if told.is_fenced(id) => "fenced".to_owned(),
            "running" => format!(":{}", broker["port"]),
            state => state.to_owned(),
        };
        let name = format!("Broker {id}, {word}");
        let said = frame.names.iter().any(|said| said.text == name);
        verdict.same("broker state", said.then_some(name.clone()), Some(name));
    }
    let events = format!("{} events", told.list("events").len());
    let said = after(frame, "Timeline: ").and_then(|rest| rest.split(", ").next());
    verdict.there("events", said.map(str::to_owned), events);
}

fn told_health(told: &Told) -> String {
    let brokers = told.list("brokers");
    let up = brokers.iter().filter(|b| told.is_up(int(&b["id"]))).count();
    let mut words = vec![format!("{up} of {} brokers", brokers.len())];
    words.push(match told.0["controller"].as_i64() {
        Some(id) => format!("controller {id}"),
        None => "no controller".to_owned(),
    });
    let all = told.partitions(true);
    let ills = told.ills(all.into_iter().map(|(_, p)| p));
    let names = ["without leader", "under-replicated", "in trouble"];
    let ills = ills.into_iter().zip(names).filter(|(n, _)| *n > 0);
    words.extend(ills.map(|(number, name)| format!("{number} {name}")));
    words.join(" · ")
}

/// What follows the beginning of the first name that begins so.
pub fn after<'a>(frame: &'a Frame, beginning: &str) -> Option<&'a str> {
    let mut names = frame.names.iter();
    names.find_map(|said| said.text.strip_prefix(beginning))
}

/// All brokers with their replicas and links.
fn cluster(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let partitions = told.partitions(true).len();
    let (topics, partitions) = (
        plural(told.list("topics").len(), "topic"),
        plural(partitions, "partition"),
    );
    let head = format!("{topics} · {partitions}");
    let said = frame.painted.iter().any(|said| said.text == head);
    verdict.same("topics", said.then_some(&head), Some(&head));
    for broker in told.list("brokers") {
        let id = int(&broker["id"]);
        let beginning = format!("Broker {id} in the cluster: ");
        let said = after(frame, &beginning).map(str::to_owned);
        verdict.there("broker head", said, told_head(told, id));
    }
    if let Some(epoch) = told.0["quorum"]["epoch"].as_i64()
        && told.0["controller"].is_i64()
    {
        let badge = format!("Controller · epoch {epoch}");
        let said = frame.painted.iter().any(|said| said.text == badge);
        verdict.same("controller", said.then_some(&badge), Some(&badge));
    }
    for (topic, p) in told.partitions(false) {
        for r in array(&p["replicas"]) {
            replica(verdict, frame, topic, p, r);
        }
    }
    links(verdict, frame, told);
    gauges(verdict, frame, told);
}

pub fn plural(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number as u64))
}

fn told_head(told: &Told, id: i64) -> String {
    let mut parts = vec![told.state(id)];
    if !told.is_up(id) {
        parts.extend(told.ended(id));
    }
    if told.is_fenced(id) {
        parts.push("fenced".to_owned());
    }
    if told.is_controller(id) {
        parts.push("controller".to_owned());
    }
    let mut rows = Vec::new();
    for (_, p) in told.partitions(false) {
        let held = array(&p["replicas"]).iter().filter(|r| r["broker"] == id);
        rows.extend(held.map(|r| told::role(p, r)));
    }
    let leads = rows.iter().filter(|role| **role == "leader").count();
    let replicas = plural(rows.len(), "replica");
    parts.push(format!("leads {leads} of its {replicas}"));
    parts.join(", ")
}

/// A replica's sentence, and what is painted in its row.
fn replica(verdict: &mut Verdict, frame: &Frame, topic: &Value, p: &Value, r: &Value) {
    let name = format!("{}-{}", topic["name"].as_str().unwrap(), p["index"]);
    let beginning = format!("{name} on broker {}: ", r["broker"]);
    let mut names = frame.names.iter();
    let said = names.find(|said| said.text.starts_with(&beginning));
    let parts = said.map(|said| said.text[beginning.len()..].to_owned());
    let expected = told::replica_parts(topic, p, r);
    verdict.there("replica", parts, expected.join(", "));
    for (kind, sign) in [
        ("log end", "log end "),
        ("high watermark", "high watermark "),
        ("leader epoch", "leader epoch "),
        ("behind", " behind its leader"),
    ] {
        let told = expected.iter().any(|part| part.contains(sign));
        *verdict.compared.entry(kind).or_default() += usize::from(told);
    }
    if let Some(said) = said {
        painted_row(verdict, frame, said, p, r);
    }
}

/// The numbers painted in a replica's row are its log end and what its note counts.
fn painted_row(verdict: &mut Verdict, frame: &Frame, said: &Said, p: &Value, r: &Value) {
    let end = told::known(p, r, "log_end");
    let waiting = int(&p["log_end"]) - int(&p["high_watermark"]);
    let lacks = told::behind(p, r).unwrap_or(0);
    let by = match lacks > 0 {
        true => format!("\u{2212}{}", signed(lacks)),
        false => format!("+{}", signed(-lacks)),
    };
    for painted in frame.within(said.at) {
        let text = painted.text.as_str();
        let number = text.trim_start_matches(['\u{2212}', '+']);
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b',') {
            let told = match text == number {
                true => signed(end),
                false => by.clone(),
            };
            verdict.same("painted offset", text.to_owned(), told);
        } else if text.ends_with(" waiting") {
            let told = format!("{} waiting", signed(waiting));
            verdict.same("waiting", text.to_owned(), told);
        } else if text.starts_with("ISR ") && text.contains('/') {
            let told = format!("ISR {}/{}", told::isr(p), told::factor(p));
            verdict.same("ISR", text.to_owned(), told);
        }
    }
}

fn links(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let ids: Vec<i64> = told.list("brokers").iter().map(|b| int(&b["id"])).collect();
    for (nth, a) in ids.iter().enumerate() {
        for b in &ids[nth + 1..] {
            let beginning = format!("Link between broker {a} and broker {b}: ");
            // Behind the first sentence stand the requests under way.
            let said = after(frame, &beginning).map(|rest| match rest.split_once(". ") {
                Some((first, _)) => first.to_owned(),
                None => rest.to_owned(),
            });
            verdict.there("link", said, told_link(told, *a, *b));
        }
    }
}

fn told_link(told: &Told, a: i64, b: i64) -> String {
    let mut said = Vec::new();
    for (from, to) in [(a, b), (b, a)] {
        let mut links = told.list("links").iter();
        let link = links.find(|link| link["from"] == from && link["to"] == to);
        match link.map(|link| (&link["cut"], int(&link["delay_ms"]))) {
            Some((Value::Bool(true), _)) => {
                said.push(format!("nothing arrives from {from} at {to}"));
            }
            Some((_, ms)) if ms > 0 => said.push(format!("{ms} ms longer from {from} to {to}")),
            _ => {}
        }
    }
    let mut ends = [a, b].into_iter();
    let down = ends.find(|id| !told.is_up(*id) && told.state(*id) != "starting");
    said.extend(down.map(|id| format!("broker {id} is {}", told.state(id))));
    match said.is_empty() {
        true => "as good as new".to_owned(),
        false => said.join(", "),
    }
}

/// What the strip above the picture counts in the picture itself: the number behind the arrow, or the only one.
fn gauges(verdict: &mut Verdict, frame: &Frame, told: &Told) {
    let all = told.partitions(true);
    let [leaderless, thin, _] = told.ills(all.into_iter().map(|(_, p)| p));
    let ids = told.list("brokers").iter().map(|b| int(&b["id"]));
    let fenced = ids.filter(|id| told.is_fenced(*id)).count();
    for (name, number) in [
        ("Under-replicated ", thin),
        ("Offline ", leaderless),
        ("Fenced ", fenced),
    ] {
        // Where there is little room, what is 0 and was 0 is left out.
        let now = after(frame, name).and_then(|value| value.rsplit(" → ").next());
        let now = now.map_or("0".to_owned(), str::to_owned);
        verdict.same("gauge", now, number.to_string());
        let drawn = after(frame, name);
        verdict.said.push(format!("{drawn:?}"));
    }
    // These count what happened since the last fault.
    for name in [
        "ISR shrinks ",
        "ISR expands ",
        "Elections ",
        "Failed produces ",
    ] {
        let drawn = after(frame, name);
        verdict.said.push(format!("{drawn:?}"));
    }
}

pub fn size(value: &Value) -> String {
    bytes(value.as_u64().unwrap())
}
