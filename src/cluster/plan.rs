//! One producer that follows a plan: how many records are due, what they say, how they fared.

use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::producing::{DEBT_MS, fixed, not_taken};
use crate::client::{
    LinksConfig, Machine as _, Producer, ProducerConfig, ProducerRecord, SendError, Template,
};
use crate::ids::Time;
use crate::inspect::{Failure, MAX_PRODUCER_RATE, ProducerPlan, ProducerSnapshot};

/// Records are made in steps at least this far apart, milliseconds.
const STEP_MS: i64 = 5;
/// Records made in one step.
const STEP_RECORDS: u64 = 4_000;
/// The lowest rate, records per second.
const MIN_RATE: f64 = 0.1;

/// A running plan.
pub struct Plan {
    pub machine: Producer,
    number: u64,
    plan: ProducerPlan,
    texts: Texts,
    random: SmallRng,
    /// When the record numbered `base` was due.
    began: Time,
    base: u64,
    /// No earlier than this is more made.
    next_step: Time,
    stopping: bool,
    sent: u64,
    acked: u64,
    failed: u64,
    last_error: Option<Failure>,
    latency_ms: f64,
}

struct Texts {
    key: Option<Template>,
    value: Option<Template>,
    headers: Vec<(Template, Template)>,
}

impl Plan {
    /// A plan that begins now.
    ///
    /// # Errors
    /// A rate out of range, a template that is none, settings that contradict each other.
    pub fn new(
        now: Time,
        number: u64,
        plan: ProducerPlan,
        links: LinksConfig,
    ) -> Result<Plan, Failure> {
        if !(MIN_RATE..=MAX_PRODUCER_RATE).contains(&plan.rate) {
            return Err(Failure {
                name: "RATE_OUT_OF_RANGE".into(),
                what: format!("{} records per second", plan.rate),
                what_to_do: format!("Choose between {MIN_RATE} and {MAX_PRODUCER_RATE}."),
            });
        }
        let texts = Texts::parse(&plan)?;
        let config =
            ProducerConfig::new(links, &plan.settings).map_err(|error| error.to_failure())?;
        let seed = number ^ now.0.unsigned_abs();
        Ok(Plan {
            machine: Producer::new(ProducerConfig { seed, ..config }),
            number,
            plan,
            texts,
            random: SmallRng::seed_from_u64(seed),
            began: now,
            base: 0,
            next_step: now,
            stopping: false,
            sent: 0,
            acked: 0,
            failed: 0,
            last_error: None,
            latency_ms: 0.0,
        })
    }

    pub fn topic(&self) -> &str {
        &self.plan.topic
    }

    /// Makes no more records; those handed over are still delivered.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.machine.flush();
    }

    /// True when nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.stopping && self.machine.is_idle()
    }

    /// Takes deliveries and makes the records that are due; true when a picture would differ.
    pub fn step(&mut self, now: Time) -> bool {
        let mut changed = self.take_deliveries();
        if !self.stopping && now >= self.next_step {
            changed |= self.make_due(now);
        }
        changed
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let made = (!self.stopping).then(|| self.next_step.max(self.due_time(self.sent)));
        made.into_iter().chain(self.machine.next_wakeup()).min()
    }

    pub fn picture(&self) -> ProducerSnapshot {
        ProducerSnapshot {
            id: self.number,
            plan: self.plan.clone(),
            running: !self.is_over(),
            sent: self.sent,
            acked: self.acked,
            failed: self.failed,
            last_error: self.last_error.clone(),
            producer_id: self.machine.producer_id(),
            latency_ms: self.latency_ms,
        }
    }

    fn take_deliveries(&mut self) -> bool {
        let mut any = false;
        while let Some(delivery) = self.machine.poll_delivery() {
            any = true;
            let records = delivery.records.len() as u64;
            match delivery.outcome {
                Ok(_) => {
                    self.acked += records;
                    self.latency_ms = delivery.latency_us as f64 / 1_000.0;
                }
                Err(error) => {
                    self.failed += records;
                    self.last_error = Some(error.to_failure());
                }
            }
        }
        any
    }

    fn make_due(&mut self, now: Time) -> bool {
        self.next_step = now.plus_ms(STEP_MS);
        let due = self.due_count(now).saturating_sub(self.sent);
        let mut made = 0;
        while made < due.min(STEP_RECORDS) && !self.stopping {
            if !self.make_one(now) {
                break;
            }
            made += 1;
            if self.plan.count == Some(self.sent) {
                self.stop();
            }
        }
        self.forgive_debt(now);
        made > 0
    }

    /// Hands one record over; false when there is no room for it.
    fn make_one(&mut self, now: Time) -> bool {
        let record = self
            .texts
            .record(&self.plan, &mut self.random, self.sent, now);
        match self.machine.send(now, record) {
            Ok(_) => self.sent += 1,
            Err(SendError::BufferFull) => return false,
            Err(error) => {
                self.sent += 1;
                self.failed += 1;
                self.last_error = Some(not_taken(&error.to_string()));
            }
        }
        true
    }

    /// How many records are due by now, the first at once.
    fn due_count(&self, now: Time) -> u64 {
        let seconds = now.since_us(self.began) as f64 / 1e6;
        self.base + (seconds * self.plan.rate) as u64 + 1
    }

    /// When the record with this number is due.
    fn due_time(&self, number: u64) -> Time {
        let seconds = number.saturating_sub(self.base) as f64 / self.plan.rate;
        // Rounded up: a wakeup just before the moment would find nothing due.
        Time(self.began.0 + (seconds * 1e6).ceil() as i64)
    }

    fn forgive_debt(&mut self, now: Time) {
        let allowed = self.plan.rate * DEBT_MS as f64 / 1e3;
        let debt = self.due_count(now).saturating_sub(self.sent);
        if debt as f64 > allowed.max(1.0) {
            self.began = now;
            self.base = self.sent;
        }
    }
}

impl Texts {
    fn parse(plan: &ProducerPlan) -> Result<Texts, Failure> {
        let headers = plan.headers.iter();
        Ok(Texts {
            key: plan.key.as_deref().map(parse).transpose()?,
            value: plan.value.as_deref().map(parse).transpose()?,
            headers: headers
                .map(|(key, value)| Ok((parse(key)?, parse(value)?)))
                .collect::<Result<_, Failure>>()?,
        })
    }

    fn record(
        &self,
        plan: &ProducerPlan,
        random: &mut SmallRng,
        number: u64,
        now: Time,
    ) -> ProducerRecord {
        let mut text = |template: &Template| template.render(random, number, now).into_bytes();
        ProducerRecord {
            topic: plan.topic.clone(),
            partition: fixed(&plan.settings),
            key: self.key.as_ref().map(&mut text),
            value: self.value.as_ref().map(&mut text),
            headers: self
                .headers
                .iter()
                .map(|(key, value)| (text(key), Some(text(value))))
                .collect(),
            timestamp_ms: None,
        }
    }
}

fn parse(text: &str) -> Result<Template, Failure> {
    Template::parse(text).map_err(|error| Failure {
        name: "BAD_TEMPLATE".into(),
        what: error.to_string(),
        what_to_do: "Correct the placeholder; braces that are meant as text need no escape.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::ProducerSettings;

    fn plan(rate: f64, count: Option<u64>) -> Result<Plan, Failure> {
        let plan = ProducerPlan {
            name: "test".into(),
            topic: "t".into(),
            key: Some("{n}".into()),
            value: None,
            headers: Vec::new(),
            settings: ProducerSettings::default(),
            rate,
            count,
        };
        Plan::new(Time(0), 1, plan, LinksConfig::new("127.0.0.1", 1, "test"))
    }

    #[test]
    fn records_are_made_at_the_rate() {
        let mut plan = plan(100.0, None).unwrap();
        for ms in 0..1_000 {
            plan.step(Time::from_ms(ms));
        }
        assert_eq!(plan.sent, 100);
    }

    #[test]
    fn a_slow_plan_sleeps_until_its_next_record() {
        let mut plan = plan(0.5, None).unwrap();
        plan.step(Time(0));
        assert_eq!(plan.sent, 1);
        assert_eq!(plan.due_time(plan.sent), Time::from_ms(2_000));
        plan.step(Time::from_ms(2_000));
        assert_eq!(plan.sent, 2);
    }

    #[test]
    fn a_plan_stops_at_its_count_and_a_stall_is_not_made_up_for_all_at_once() {
        let mut counted = plan(1_000.0, Some(3)).unwrap();
        counted.step(Time::from_ms(100));
        assert_eq!((counted.sent, counted.stopping), (3, true));
        let mut stalled = plan(10_000.0, None).unwrap();
        stalled.step(Time::from_ms(60_000));
        assert_eq!(stalled.sent, STEP_RECORDS);
        stalled.step(Time::from_ms(60_005));
        assert!(stalled.sent < STEP_RECORDS + 100);
    }

    #[test]
    fn impossible_plans_are_refused() {
        assert_eq!(plan(0.0, None).err().unwrap().name, "RATE_OUT_OF_RANGE");
        assert_eq!(
            plan(f64::NAN, None).err().unwrap().name,
            "RATE_OUT_OF_RANGE"
        );
    }
}
