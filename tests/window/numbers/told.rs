//! A picture as `klar ctl snapshot` prints it, and the numbers a window is expected to show of it.
//!
//! Everything is read from the printed JSON: nothing here knows the types the window draws from.

use klar::app::format;
use klar::ids::Time;
use klar::inspect::ClusterSnapshot;
use serde_json::Value;

/// A printed snapshot.
#[derive(Debug, Clone)]
pub struct Told(pub Value);

impl Told {
    /// What would be printed of a picture.
    pub fn of(picture: &ClusterSnapshot) -> Told {
        let printed = serde_json::to_string(picture).unwrap();
        Told(serde_json::from_str(&printed).unwrap())
    }

    pub fn number(&self, field: &str) -> i64 {
        int(&self.0[field])
    }

    pub fn list(&self, field: &str) -> &[Value] {
        self.0[field].as_array().unwrap()
    }

    pub fn broker(&self, id: i64) -> Option<&Value> {
        self.list("brokers").iter().find(|one| one["id"] == id)
    }

    /// Every partition with its topic, those of internal topics only if wanted.
    pub fn partitions(&self, internal: bool) -> Vec<(&Value, &Value)> {
        let topics = self.list("topics").iter();
        let shown = topics.filter(|topic| internal || topic["internal"] == false);
        shown
            .flat_map(|topic| array(&topic["partitions"]).iter().map(move |p| (topic, p)))
            .collect()
    }

    pub fn partition(&self, topic: &str, index: i64) -> Option<(&Value, &Value)> {
        let mut all = self.partitions(true).into_iter();
        all.find(|(t, p)| t["name"] == topic && p["index"] == index)
    }

    /// Partitions without a leader, with too few replicas in sync, and damaged.
    pub fn ills<'a>(&self, of: impl Iterator<Item = &'a Value>) -> [usize; 3] {
        let mut ills = [0; 3];
        for p in of {
            ills[0] += usize::from(p["leader"].is_null());
            ills[1] += usize::from(isr(p) < factor(p));
            ills[2] += usize::from(!p["trouble"].is_null());
        }
        ills
    }

    /// A broker's state in the window's word.
    pub fn state(&self, id: i64) -> String {
        match &self.broker(id).unwrap()["state"] {
            Value::String(word) => word.clone(),
            _ => "crashed".to_owned(),
        }
    }

    pub fn is_up(&self, id: i64) -> bool {
        matches!(self.state(id).as_str(), "running" | "stopping")
    }

    pub fn is_fenced(&self, id: i64) -> bool {
        self.broker(id).unwrap()["registration"]["fenced"] == true
    }

    pub fn is_controller(&self, id: i64) -> bool {
        self.0["controller"] == id
    }

    /// How long ago a broker that does not run ended, as the window says it.
    pub fn ended(&self, id: i64) -> Option<String> {
        let ends = [
            "broker_crashed",
            "broker_killed",
            "broker_paused",
            "broker_stopped",
        ];
        let mut events = self.list("events").iter().rev();
        let ended = events.find(|event| {
            let kind = event["kind"]["kind"].as_str().unwrap();
            event["broker"] == id && ends.contains(&kind)
        })?;
        let (now, then) = (self.number("time"), int(&ended["time"]));
        Some(format::ago(Time(now), Time(then)))
    }

    /// Partitions a broker leads and replicas it holds.
    pub fn held(&self, id: i64, internal: bool) -> (usize, usize) {
        let mut held = (0, 0);
        for (_, p) in self.partitions(internal) {
            held.0 += usize::from(p["leader"] == id);
            held.1 += usize::from(array(&p["replicas"]).iter().any(|r| r["broker"] == id));
        }
        held
    }
}

pub fn int(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn isr(partition: &Value) -> usize {
    array(&partition["isr"]).len()
}

/// Replicas there are to be, without those a reassignment adds.
pub fn factor(partition: &Value) -> usize {
    array(&partition["replicas"]).len() - array(&partition["adding"]).len()
}

pub fn min_in_sync(topic: &Value) -> usize {
    let mut configs = array(&topic["configs"]).iter();
    let found = configs.find(|config| config["name"] == "min.insync.replicas");
    found.unwrap()["value"].as_str().unwrap().parse().unwrap()
}

pub fn role(partition: &Value, replica: &Value) -> &'static str {
    let broker = int(&replica["broker"]);
    let added = array(&partition["adding"]).iter().any(|one| *one == broker);
    match replica["state"].as_str().unwrap() {
        "offline" => "offline",
        "failed" => "failed",
        _ if partition["leader"] == broker => "leader",
        _ if added && replica["in_sync"] == false => "adding",
        "unknown" => "unknown",
        _ if replica["in_sync"] == true => "in-sync",
        _ => "out of ISR",
    }
}

/// What a replica is known to have, or its leader says of its own log.
pub fn known(partition: &Value, replica: &Value, field: &str) -> i64 {
    match int(&replica[field]) {
        own if own < 0 && role(partition, replica) == "leader" => int(&partition[field]),
        own => own,
    }
}

/// How far a replica is behind its leader's log end.
pub fn behind(partition: &Value, replica: &Value) -> Option<i64> {
    let end = int(&replica["log_end"]);
    let comparable = end >= 0 && !partition["leader"].is_null();
    comparable.then(|| int(&partition["log_end"]) - end)
}

/// How far a replica is behind and how far its log goes, as tables say it.
pub fn lag(partition: &Value, replica: &Value) -> (String, String) {
    let lag = match (role(partition, replica), behind(partition, replica)) {
        ("leader", _) | (_, None) => "\u{2013}".to_owned(),
        (_, Some(lacks)) if lacks < 0 => format!("{} ahead", format::signed(-lacks)),
        (_, Some(lacks)) => format::signed(lacks),
    };
    let end = match int(&replica["log_end"]) {
        end if end >= 0 => format::signed(end),
        _ => "unknown".to_owned(),
    };
    (lag, end)
}

/// What is said of one replica, part by part.
pub fn replica_parts(topic: &Value, p: &Value, r: &Value) -> Vec<String> {
    let (role, end) = (role(p, r), known(p, r, "log_end"));
    let mut parts = vec![role.to_owned()];
    parts.push(match end >= 0 {
        true => format!("log end {}", format::signed(end)),
        false => "it has not told of its log".to_owned(),
    });
    let hw = known(p, r, "high_watermark");
    if hw >= 0 {
        parts.push(format!("high watermark {}", format::signed(hw)));
    }
    parts.push(format!("leader epoch {}", int(&p["leader_epoch"])));
    match behind(p, r) {
        Some(lacks) if lacks > 0 && role != "leader" => {
            parts.push(format!("{} behind its leader", format::signed(lacks)));
        }
        Some(lacks) if lacks < 0 && role != "leader" => {
            parts.push(format!("{} more than its leader", format::signed(-lacks)));
        }
        _ => {}
    }
    if let (Some(ms), "in-sync") = (r["leaves_isr_ms"].as_u64(), role) {
        parts.push(format!("leaves the ISR in {}", format::duration_ms(ms)));
    }
    if role == "leader" && isr(p) < min_in_sync(topic) {
        let (in_sync, all) = (isr(p), factor(p));
        parts.push(format!(
            "acks=all is refused with {in_sync} of {all} in sync"
        ));
    }
    if r["from_files"] == true {
        parts.push("read from its files".to_owned());
    }
    if p["leader"].is_null() {
        parts.push("nobody leads the partition".to_owned());
    }
    parts
}
