//! Brokers die and links are cut under a steady load: nothing acked is lost, doubled or out of order.
//!
//! librdkafka writes numbered records, idempotent and with acks=all, to a topic of three replicas of which two must
//! be in sync. Every 15 s a broker is killed, every other time the controller, and comes back 6 s later; every 20 s
//! the link between two brokers is cut for 2.5 s, also while the third is dead. franz-go then reads everything.
//! `make failover` does it for ten minutes and prints how long the dead one's partitions were without a leader.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::broker::{self, BROKERS, Broker};
use crate::driver::Driver;
use crate::install;

const TOPIC: &str = "failover";
const PARTITIONS: usize = 9;
/// Records a second over all partitions.
const RATE: u64 = 20_000;
const KILLS: Every = Every {
    first_ms: 5_000,
    ms: 15_000,
    lasts_ms: 6_000,
};
/// At 2, 7 or 12 s after a kill.
const CUTS: Every = Every {
    first_ms: 12_000,
    ms: 20_000,
    lasts_ms: 2_500,
};
/// No fault begins this shortly before the end.
const QUIET_MS: u64 = 8_000;
/// Longest until everything is in sync again after the last fault, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn nothing_acked_is_lost() {
    Trial::run(30);
}

#[test]
#[ignore = "takes ten minutes: make failover"]
fn for_as_long_as_told() {
    let seconds = std::env::var("KLAR_FAILOVER_SECONDS").expect("KLAR_FAILOVER_SECONDS");
    Trial::run(seconds.parse().expect("seconds")).print();
}

struct Every {
    first_ms: u64,
    ms: u64,
    lasts_ms: u64,
}

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Kill,
    Restart,
    Cut,
    Heal,
}

/// One broker's end, and what it led: partition and leader epoch.
pub struct Kill {
    at_us: u64,
    controller: bool,
    led: Vec<(usize, i32)>,
    /// Milliseconds until the next leader of each was elected, as the brokers recorded it.
    elected_ms: Vec<u64>,
}

/// A run of records of one partition whose numbers and offsets grow by one.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u64,
    offset: u64,
    count: u64,
}

/// Runs by partition, each with when it was acked or the epoch it was written in.
type Runs = BTreeMap<usize, Vec<(Run, i64)>>;

struct Trial {
    sent: u64,
    kills: Vec<Kill>,
    cuts: usize,
    /// With when each was acked, microseconds since the Unix epoch.
    acked: Runs,
    /// With the leader epoch.
    read: Runs,
}

impl Trial {
    fn run(seconds: u64) -> Trial {
        let klar = Broker::start("failover", &["leader.imbalance.check.interval.seconds=3"]);
        let reader = Driver::of("franz");
        reader.create(&klar, TOPIC, PARTITIONS);
        let log = broker::scratch().join("failover.acks");
        let mut load = load(&klar, TOPIC, PARTITIONS, RATE, seconds, &log);
        let began = Instant::now();
        let mut faults = Faults::new(TOPIC);
        for (at_ms, step) in steps(seconds * 1000) {
            let at = Duration::from_millis(at_ms);
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            faults.take(&klar, step);
        }
        assert!(load.wait().unwrap().success(), "the load ends");
        until_in_sync(&klar);

        let (sent, acked) = acks(&fs::read_to_string(log).unwrap());
        let read = by_partition(&reader.runs(&klar, TOPIC, &crate::partitions(PARTITIONS)));
        let trial = Trial {
            sent,
            kills: faults.kills,
            cuts: faults.cuts,
            acked,
            read,
        };
        trial.check();
        trial
    }

    fn check(&self) {
        assert!(!self.kills.is_empty(), "nobody was killed");
        for (partition, read) in &self.read {
            let (mut number, mut offset) = (0, 0);
            for (run, _) in read {
                assert_eq!(run.offset, offset, "partition {partition}: offsets");
                assert_eq!(
                    run.number, number,
                    "partition {partition}: numbers at {offset}"
                );
                number += run.count;
                offset += run.count;
            }
        }
        for (partition, acked) in &self.acked {
            for (run, _) in acked {
                let at = self.read_at(*partition, run.offset + run.count - 1);
                assert!(
                    at.is_some(),
                    "partition {partition}: acked and lost: {run:?}"
                );
                // Numbers are offsets, as checked above.
                assert_eq!(
                    run.number, run.offset,
                    "partition {partition}: acked elsewhere"
                );
            }
        }
        assert_eq!(count(&self.acked), self.sent, "records acked");
        assert_eq!(count(&self.read), self.sent, "records read");
    }

    /// The leader epoch of the record at an offset.
    fn read_at(&self, partition: usize, offset: u64) -> Option<i64> {
        let runs = self.read.get(&partition)?;
        let next = runs.partition_point(|(run, _)| run.offset <= offset);
        let (run, epoch) = runs.get(next.checked_sub(1)?)?;
        (offset < run.offset + run.count).then_some(*epoch)
    }

    /// Milliseconds from a kill to the first record acked by a partition's next leader.
    fn outages_ms(&self, kill: &Kill) -> Vec<u64> {
        let outage = |(partition, epoch): &(usize, i32)| {
            let mut acked = self.acked[partition].iter();
            let (_, when) = acked.find(|(run, when)| {
                let last = run.offset + run.count - 1;
                *when as u64 >= kill.at_us && self.read_at(*partition, last) > Some((*epoch).into())
            })?;
            Some((*when as u64 - kill.at_us) / 1000)
        };
        kill.led.iter().filter_map(outage).collect()
    }

    fn print(&self) {
        let controllers = self.kills.iter().filter(|kill| kill.controller).count();
        println!(
            "{} records, all acked and read once, in order; {} kills ({controllers} of the controller), {} cuts",
            self.sent,
            self.kills.len(),
            self.cuts
        );
        let outages = |kills: &dyn Fn(&Kill) -> bool| {
            let chosen = self.kills.iter().filter(|kill| kills(kill));
            let mut all: Vec<u64> = chosen.flat_map(|kill| self.outages_ms(kill)).collect();
            all.sort_unstable();
            all
        };
        let elected = self.kills.iter().flat_map(|kill| &kill.elected_ms);
        let mut elected: Vec<u64> = elected.copied().collect();
        elected.sort_unstable();
        if let Some(longest) = elected.last() {
            println!(
                "from a kill to the next leader's election, ms ({} partitions): p50 {} p99 {} longest {longest}",
                elected.len(),
                percentile(&elected, 50),
                percentile(&elected, 99),
            );
        }
        for (what, outages) in [
            ("all kills", outages(&|_| true)),
            ("the controller", outages(&|kill| kill.controller)),
            ("another", outages(&|kill| !kill.controller)),
        ] {
            let Some(longest) = outages.last() else {
                continue;
            };
            println!(
                "from a kill to the next leader's first ack, ms ({what}, {} partitions): p50 {} p99 {} longest {longest}",
                outages.len(),
                percentile(&outages, 50),
                percentile(&outages, 99),
            );
        }
    }
}

/// Carries out faults and remembers them.
pub struct Faults {
    /// Its leaders are killed.
    topic: &'static str,
    pub kills: Vec<Kill>,
    dead: Option<u64>,
    pub cuts: usize,
}

impl Faults {
    pub fn new(topic: &'static str) -> Faults {
        Faults {
            topic,
            kills: Vec::new(),
            dead: None,
            cuts: 0,
        }
    }

    pub fn take(&mut self, klar: &Broker, step: Step) {
        match step {
            Step::Kill => self.kill(klar),
            Step::Restart => {
                let elected_ms = self.elections_ms(klar).expect("a kill is an event");
                if let Some(kill) = self.kills.last_mut() {
                    kill.elected_ms = elected_ms;
                }
                let dead = self.dead.take().expect("a restart follows a kill");
                klar.ctl_ok(&["restart", &dead.to_string()]);
            }
            Step::Cut => {
                let [a, b] = [["1", "2"], ["2", "3"], ["3", "1"]][self.cuts % BROKERS];
                klar.ctl_ok(&["cut", a, b]);
                self.cuts += 1;
            }
            Step::Heal => {
                klar.ctl_ok(&["heal"]);
            }
        }
    }

    /// Kills the controller or the broker that leads most.
    fn kill(&mut self, klar: &Broker) {
        let snapshot = klar.snapshot();
        let controller = snapshot["controller"].as_u64();
        let mut led: BTreeMap<u64, Vec<(usize, i32)>> = BTreeMap::new();
        for partition in partitions_of(&snapshot, self.topic) {
            if let Some(leader) = partition["leader"].as_u64() {
                let index = partition["index"].as_u64().unwrap() as usize;
                let epoch = partition["leader_epoch"].as_i64().unwrap() as i32;
                led.entry(leader).or_default().push((index, epoch));
            }
        }
        let busiest = led.iter().max_by_key(|(_, led)| led.len()).map(|(b, _)| *b);
        let victim = match self.kills.len() % 2 {
            0 => controller.or(busiest),
            _ => busiest,
        };
        let victim = victim.expect("somebody leads");
        let at_us = now_us();
        klar.ctl_ok(&["kill", &victim.to_string()]);
        self.dead = Some(victim);
        self.kills.push(Kill {
            at_us,
            controller: controller == Some(victim),
            led: led.remove(&victim).unwrap_or_default(),
            elected_ms: Vec::new(),
        });
    }

    /// When the broker that is about to start again was followed as a leader.
    fn elections_ms(&self, klar: &Broker) -> Option<Vec<u64>> {
        let snapshot = klar.snapshot();
        let events = snapshot["events"].as_array()?;
        let dead = self.dead?;
        let kind = |event: &serde_json::Value| event["kind"]["kind"].as_str().map(str::to_owned);
        let is_kill = |event: &&serde_json::Value| {
            event["broker"] == dead && kind(event).as_deref() == Some("broker_killed")
        };
        let killed = events.iter().rfind(is_kill)?["time"].as_u64()?;
        let elected = events.iter().filter(|event| {
            let kind_is = kind(event).as_deref() == Some("leader_elected");
            kind_is && event["kind"]["from"] == dead && event["kind"]["to"].is_number()
        });
        let times = elected.filter_map(|event| event["time"].as_u64()?.checked_sub(killed));
        Some(times.map(|us| us / 1000).collect())
    }
}

/// Every fault and its end, in order.
pub fn steps(length_ms: u64) -> Vec<(u64, Step)> {
    let mut steps = Vec::new();
    for (every, begin, end) in [
        (KILLS, Step::Kill, Step::Restart),
        (CUTS, Step::Cut, Step::Heal),
    ] {
        let mut at_ms = every.first_ms;
        while at_ms + QUIET_MS <= length_ms {
            steps.push((at_ms, begin));
            steps.push((at_ms + every.lasts_ms, end));
            at_ms += every.ms;
        }
    }
    steps.sort_by_key(|(at_ms, _)| *at_ms);
    steps
}

/// A steady load of numbered records, and where it writes down what was acked.
pub fn load(
    klar: &Broker,
    topic: &str,
    partitions: usize,
    rate: u64,
    seconds: u64,
    log: &Path,
) -> std::process::Child {
    let script = install::drivers().join("python/load.py");
    Command::new(install::home("confluent").join("venv/bin/python"))
        .arg("-B")
        .arg(script)
        .args([&klar.bootstrap, topic])
        .args([partitions as u64, rate, seconds].map(|number| number.to_string()))
        .arg(log)
        .spawn()
        .unwrap()
}

fn partitions_of<'a>(snapshot: &'a serde_json::Value, topic: &str) -> &'a [serde_json::Value] {
    let mut topics = snapshot["topics"].as_array().unwrap().iter();
    let topic = topics.find(|one| one["name"] == topic).expect("the topic");
    topic["partitions"].as_array().unwrap()
}

/// Waits until every replica of the topic is in sync.
fn until_in_sync(klar: &Broker) {
    let began = Instant::now();
    loop {
        let snapshot = klar.snapshot();
        let partitions = partitions_of(&snapshot, TOPIC);
        let whole =
            |partition: &serde_json::Value| partition["isr"].as_array().unwrap().len() == BROKERS;
        if partitions.iter().all(whole) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not in sync: {partitions:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the load wrote down: how many records it handed over, and the acks.
fn acks(text: &str) -> (u64, Runs) {
    let mut sent = None;
    let mut acked = String::new();
    for line in text.lines() {
        match line.split_once('\t').unwrap() {
            ("acked", run) => acked.extend([run, "\n"]),
            ("sent", count) => sent = Some(count.parse().unwrap()),
            _ => panic!("given up: {line}"),
        }
    }
    (
        sent.expect("the load came to its end"),
        by_partition(&acked),
    )
}

/// Lines of `partition number offset count when-or-epoch`.
fn by_partition(text: &str) -> Runs {
    let mut runs = Runs::new();
    for line in text.lines() {
        let words: Vec<i64> = line.split('\t').map(|word| word.parse().unwrap()).collect();
        let [partition, number, offset, count, mark] = words[..] else {
            panic!("{line}");
        };
        let [number, offset, count] =
            [number, offset, count].map(|n| u64::try_from(n).expect("not negative"));
        let run = Run {
            number,
            offset,
            count,
        };
        runs.entry(partition as usize)
            .or_default()
            .push((run, mark));
    }
    runs
}

fn count(runs: &Runs) -> u64 {
    runs.values().flatten().map(|(run, _)| run.count).sum()
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).expect("before the year 586,000")
}
