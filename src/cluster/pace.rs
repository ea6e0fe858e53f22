//! How time passes in this cluster, and which messages between its brokers wait for a step.
//!
//! Owns the course all its clocks follow and the gate its brokers' messages pass. It decides what the two are; clocks and
//! brokers carry it out.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::watch;

use crate::ids::BrokerId;
use crate::inspect::{Command, EventKind, Failure, HeldMessage, MAX_SLOWDOWN, PaceSnapshot};
use crate::runtime::{Clock, Course, Gate};

/// What a message between brokers takes while time is slowed, microseconds of the cluster's time: about what a
/// network in one building takes. At full speed it is what loopback takes.
const TRANSIT_US: u64 = 500;
/// While a step looks for a message, time goes by this much slower than outside, however slow it was set: a long poll
/// is over soon, and time stands still again soon after a message is sent.
const SEARCH_SLOWDOWN: u32 = 4;

/// A command about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaceCommand {
    Slow(u32),
    Pause,
    Resume,
    Step,
    Freeze,
    Thaw,
}

impl PaceCommand {
    /// The command as one about time, if it is one.
    pub fn of(command: &Command) -> Option<PaceCommand> {
        Some(match command {
            Command::SlowTime { times } => PaceCommand::Slow(*times),
            Command::PauseTime => PaceCommand::Pause,
            Command::ResumeTime => PaceCommand::Resume,
            Command::Step => PaceCommand::Step,
            Command::FreezeReplication => PaceCommand::Freeze,
            Command::ThawReplication => PaceCommand::Thaw,
            _ => return None,
        })
    }
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub sentence: String,
    /// Its event, and the broker that reports it if one does.
    pub noted: Option<(Option<BrokerId>, EventKind)>,
}

/// How time passes.
#[derive(Debug)]
pub struct Pace {
    courses: watch::Sender<Course>,
    clock: Clock,
    slowdown: u32,
    paused: bool,
    /// Time goes on until a broker sends something, which is let through.
    searching: bool,
    frozen: bool,
    /// What waits, in the order in which it came: at most one message per lane and direction.
    held: VecDeque<Held>,
    let_through: BTreeMap<BrokerId, u64>,
}

/// A message that waits at the broker that is to send it or to be answered by it.
#[derive(Debug)]
struct Held {
    at: BrokerId,
    ticket: u64,
    message: HeldMessage,
}

impl Pace {
    /// Real time.
    pub fn new() -> Pace {
        let (courses, followed) = watch::channel(Course::real());
        Pace {
            courses,
            clock: Clock::following(followed),
            slowdown: 1,
            paused: false,
            searching: false,
            frozen: false,
            held: VecDeque::new(),
            let_through: BTreeMap::new(),
        }
    }

    /// What every clock of the cluster follows.
    pub fn courses(&self) -> watch::Receiver<Course> {
        self.courses.subscribe()
    }

    /// What every message between brokers passes.
    pub fn gate(&self) -> Gate {
        Gate {
            transit_us: if self.slowdown == 1 { 0 } else { TRANSIT_US },
            shut: self.paused,
            replication_shut: self.frozen,
            let_through: self.let_through.clone(),
        }
    }

    /// Everything runs as it does by itself.
    pub fn is_real(&self) -> bool {
        self.slowdown == 1 && !self.paused && !self.frozen
    }

    pub fn snapshot(&self) -> PaceSnapshot {
        PaceSnapshot {
            slowdown: self.slowdown,
            paused: self.paused,
            searching: self.searching,
            replication_frozen: self.frozen,
            behind_ms: u64::try_from(self.clock.behind_us() / 1_000).unwrap_or(0),
            held: self.held.iter().map(|held| held.message.clone()).collect(),
        }
    }

    /// Does what is asked; a broker that `stands` still takes nothing.
    ///
    /// # Errors
    /// It makes no sense now.
    pub fn run(
        &mut self,
        command: PaceCommand,
        stands: impl Fn(BrokerId) -> bool,
        cause: &str,
    ) -> Result<Changed, Failure> {
        let cause = cause.to_owned();
        match command {
            PaceCommand::Slow(times) => self.slow(times, cause),
            PaceCommand::Pause if self.paused && !self.searching => {
                Err(refused("ALREADY_PAUSED", "time stands still already"))
            }
            PaceCommand::Pause => {
                self.paused = true;
                self.searching = false;
                self.turn();
                let sentence = "Time stands still for the brokers and klar's own clients.";
                Ok(Changed::noted(sentence, EventKind::TimePaused { cause }))
            }
            PaceCommand::Resume if !self.paused => {
                Err(refused("NOT_PAUSED", "time does not stand still"))
            }
            PaceCommand::Resume => {
                self.paused = false;
                self.searching = false;
                self.turn();
                Ok(Changed::noted(
                    "Time goes on.",
                    EventKind::TimeResumed { cause },
                ))
            }
            PaceCommand::Step => self.step(stands),
            PaceCommand::Freeze if self.frozen => {
                Err(refused("ALREADY_FROZEN", "replication is frozen already"))
            }
            PaceCommand::Freeze => {
                self.frozen = true;
                let sentence = "Replication is frozen: followers get nothing until it goes on.";
                Ok(Changed::noted(
                    sentence,
                    EventKind::ReplicationFrozen { cause },
                ))
            }
            PaceCommand::Thaw if !self.frozen => {
                Err(refused("NOT_FROZEN", "replication is not frozen"))
            }
            PaceCommand::Thaw => {
                self.frozen = false;
                Ok(Changed::noted(
                    "Replication goes on.",
                    EventKind::ReplicationThawed { cause },
                ))
            }
        }
    }

    /// Takes what waits from now on; what a step waited for goes through at once.
    pub fn on_held(&mut self, at: BrokerId, ticket: u64, message: HeldMessage) -> Option<Changed> {
        self.held.push_back(Held {
            at,
            ticket,
            message,
        });
        if !std::mem::take(&mut self.searching) {
            return None;
        }
        self.turn();
        self.let_oldest_through(|_| false)
    }

    /// This does not wait any more.
    pub fn on_let_go(&mut self, at: BrokerId, ticket: u64) {
        self.held
            .retain(|held| (held.at, held.ticket) != (at, ticket));
    }

    /// A broker that starts anew counts its tickets anew.
    pub fn forget(&mut self, broker: BrokerId) {
        self.held.retain(|held| held.at != broker);
        self.let_through.remove(&broker);
    }

    fn slow(&mut self, times: u32, cause: String) -> Result<Changed, Failure> {
        if !(1..=MAX_SLOWDOWN).contains(&times) {
            let what = format!("a second cannot take {times} s, only 1 to {MAX_SLOWDOWN}");
            return Err(refused("SPEED_OUT_OF_RANGE", &what));
        }
        self.slowdown = times;
        self.turn();
        let sentence = match times {
            _ if self.paused => format!("Once time goes on, a second takes {times} s."),
            1 => "Time passes as it does outside.".to_owned(),
            _ => format!("A second of the cluster takes {times} s."),
        };
        Ok(Changed::noted(
            &sentence,
            EventKind::TimeSlowed { times, cause },
        ))
    }

    fn step(&mut self, stands: impl Fn(BrokerId) -> bool) -> Result<Changed, Failure> {
        if !self.paused && !self.frozen {
            let what = "time passes, so there is nothing to step through";
            return Err(refused("NOT_PAUSED", what));
        }
        if let Some(stepped) = self.let_oldest_through(stands) {
            return Ok(stepped);
        }
        if !self.paused {
            return Err(refused("NOTHING_WAITS", "no follower asks for anything"));
        }
        self.searching = true;
        self.turn();
        let sentence = "No message is under way: time goes on until a broker sends one.";
        Ok(Changed {
            sentence: sentence.to_owned(),
            noted: None,
        })
    }

    fn let_oldest_through(&mut self, stands: impl Fn(BrokerId) -> bool) -> Option<Changed> {
        let oldest = self.held.iter().position(|held| !stands(held.at))?;
        let Held {
            at,
            ticket,
            message,
        } = self.held.remove(oldest)?;
        self.let_through.insert(at, ticket);
        let sentence = format!("{}.", message.words());
        let HeldMessage {
            from,
            to,
            api,
            answer,
        } = message;
        let kind = EventKind::MessageStepped { to, api, answer };
        Some(Changed {
            sentence,
            noted: Some((Some(from), kind)),
        })
    }

    /// Has all clocks go on at the pace that holds now.
    fn turn(&mut self) {
        let pace = match (self.paused, self.searching) {
            (false, _) => crate::runtime::Pace::Slowed(self.slowdown),
            (true, true) => crate::runtime::Pace::Slowed(SEARCH_SLOWDOWN),
            (true, false) => crate::runtime::Pace::Still,
        };
        self.courses.send_replace(self.clock.turn(pace));
    }
}

impl Changed {
    fn noted(sentence: &str, kind: EventKind) -> Changed {
        Changed {
            sentence: sentence.to_owned(),
            noted: Some((None, kind)),
        }
    }
}

fn refused(name: &str, what: &str) -> Failure {
    Failure {
        name: name.to_owned(),
        what: what.to_owned(),
        what_to_do: "`klar ctl snapshot` says under `pace` how time passes.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: &str = "a test";

    fn nobody(_: BrokerId) -> bool {
        false
    }

    fn fetch(from: i32, to: i32, answer: bool) -> HeldMessage {
        HeldMessage {
            from: BrokerId(from),
            to: BrokerId(to),
            api: "Fetch v18".into(),
            answer,
        }
    }

    #[test]
    fn a_step_lets_the_oldest_message_through_and_no_other() {
        let mut pace = Pace::new();
        assert!(
            pace.run(PaceCommand::Step, nobody, CAUSE).is_err(),
            "time passes"
        );
        pace.run(PaceCommand::Pause, nobody, CAUSE).unwrap();
        assert!(pace.gate().shut);
        assert_eq!(pace.on_held(BrokerId(2), 1, fetch(2, 1, false)), None);
        pace.on_held(BrokerId(3), 1, fetch(3, 1, false));
        pace.on_held(BrokerId(2), 2, fetch(2, 3, false));
        let stepped = pace.run(PaceCommand::Step, nobody, CAUSE).unwrap();
        assert_eq!(stepped.sentence, "Fetch v18 from broker 2 to broker 1.");
        assert_eq!(pace.gate().let_through, [(BrokerId(2), 1)].into());
        pace.on_let_go(BrokerId(2), 1);
        assert_eq!(
            pace.snapshot().held,
            [fetch(3, 1, false), fetch(2, 3, false)]
        );
        pace.forget(BrokerId(3));
        pace.run(PaceCommand::Step, nobody, CAUSE).unwrap();
        assert_eq!(pace.gate().let_through, [(BrokerId(2), 2)].into());
    }

    #[test]
    fn without_a_message_a_step_has_time_go_on_until_one_is_sent() {
        let mut pace = Pace::new();
        pace.run(PaceCommand::Pause, nobody, CAUSE).unwrap();
        let stood = pace.clock.now();
        let stepped = pace.run(PaceCommand::Step, nobody, CAUSE).unwrap();
        assert_eq!(stepped.noted, None);
        assert!(
            pace.clock.instant_of(stood.plus_ms(1_000)).is_some(),
            "timers run"
        );
        let let_through = pace.on_held(BrokerId(1), 7, fetch(1, 2, true)).unwrap();
        assert_eq!(
            let_through.sentence,
            "The answer to Fetch v18 from broker 1 to broker 2."
        );
        assert_eq!(pace.gate().let_through, [(BrokerId(1), 7)].into());
        let stands = pace.clock.now();
        assert!(pace.clock.instant_of(stands.plus_ms(1)).is_none());
        assert_eq!(pace.on_held(BrokerId(1), 8, fetch(1, 2, true)), None);
    }

    #[test]
    fn a_search_for_a_message_is_told_and_ended_by_a_pause() {
        let mut pace = Pace::new();
        pace.run(PaceCommand::Pause, nobody, CAUSE).unwrap();
        pace.run(PaceCommand::Step, nobody, CAUSE).unwrap();
        assert!(pace.snapshot().searching);
        pace.run(PaceCommand::Pause, nobody, CAUSE).unwrap();
        assert!(!pace.snapshot().searching && pace.snapshot().paused);
        let stands = pace.clock.now();
        assert!(pace.clock.instant_of(stands.plus_ms(1)).is_none());
    }

    #[test]
    fn a_broker_that_stands_still_takes_no_message() {
        let mut pace = Pace::new();
        pace.run(PaceCommand::Pause, nobody, CAUSE).unwrap();
        pace.on_held(BrokerId(2), 1, fetch(2, 1, false));
        pace.on_held(BrokerId(3), 1, fetch(3, 1, false));
        let stands = |id| id == BrokerId(2);
        let stepped = pace.run(PaceCommand::Step, stands, CAUSE).unwrap();
        assert_eq!(stepped.sentence, "Fetch v18 from broker 3 to broker 1.");
        assert_eq!(pace.snapshot().held, [fetch(2, 1, false)]);
    }

    #[test]
    fn a_frozen_replication_can_be_stepped_through_while_time_passes() {
        let mut pace = Pace::new();
        pace.run(PaceCommand::Freeze, nobody, CAUSE).unwrap();
        assert!(pace.run(PaceCommand::Freeze, nobody, CAUSE).is_err());
        assert!(
            pace.run(PaceCommand::Step, nobody, CAUSE).is_err(),
            "nothing waits"
        );
        pace.on_held(BrokerId(2), 1, fetch(2, 1, false));
        assert!(pace.run(PaceCommand::Step, nobody, CAUSE).is_ok());
        pace.run(PaceCommand::Thaw, nobody, CAUSE).unwrap();
        assert!(pace.snapshot().is_real());
    }

    #[test]
    fn a_speed_nobody_can_have_is_refused() {
        for times in [0, MAX_SLOWDOWN + 1] {
            let failure = Pace::new()
                .run(PaceCommand::Slow(times), nobody, CAUSE)
                .unwrap_err();
            assert_eq!(failure.name, "SPEED_OUT_OF_RANGE");
        }
        let mut pace = Pace::new();
        pace.run(PaceCommand::Slow(MAX_SLOWDOWN), nobody, CAUSE)
            .unwrap();
        assert_eq!(pace.gate().transit_us, TRANSIT_US);
        pace.run(PaceCommand::Slow(1), nobody, CAUSE).unwrap();
        assert_eq!(pace.gate(), Gate::default());
    }
}
