//! Commands about brokers and the links between them.
//!
//! Each is concluded once, when what it asked for has happened or cannot happen any more.

use super::{Brokers, Concluded, Member};
use crate::cluster::MAX_BROKERS;
use crate::ids::BrokerId;
use crate::inspect::{BrokerState, Command, CommandId, EventKind, Failure, MAX_LINK_DELAY_MS};
use crate::links::{End, Wire};
use crate::runtime::bind_row;

/// A command that is done when its broker has come so far.
pub(super) struct Wait {
    pub(super) id: CommandId,
    pub(super) broker: BrokerId,
    pub(super) until: Until,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// `known`: the cluster counts on it.
    Joined {
        known: bool,
    },
    Ended,
}

/// How far a command about a broker has come at once.
enum Step {
    Done(String),
    Waits(BrokerId, Until),
}

/// Why brokers come, go and stand still when somebody asked for it.
pub(super) const ASKED: &str = "somebody asked for it";

/// That a broker was killed, told when it was done: what follows from it may be seen before the broker has ended.
pub(super) fn killed(cause: &str) -> EventKind {
    EventKind::BrokerKilled {
        cause: cause.to_owned(),
    }
}

/// A command about brokers or their links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerCommand {
    Kill(BrokerId),
    Stop(BrokerId),
    Restart(BrokerId),
    Pause(BrokerId),
    Resume(BrokerId),
    Cut {
        from: BrokerId,
        to: BrokerId,
        both_ways: bool,
    },
    Slow {
        a: BrokerId,
        b: BrokerId,
        delay_ms: u32,
    },
    HealOne {
        a: BrokerId,
        b: BrokerId,
    },
    Heal,
    Add,
    PullPlug,
}

impl BrokerCommand {
    /// The command as one about brokers, if it is one.
    pub fn of(command: &Command) -> Option<BrokerCommand> {
        Some(match *command {
            Command::KillBroker { broker } => BrokerCommand::Kill(broker),
            Command::StopBroker { broker } => BrokerCommand::Stop(broker),
            Command::RestartBroker { broker } => BrokerCommand::Restart(broker),
            Command::PauseBroker { broker } => BrokerCommand::Pause(broker),
            Command::ResumeBroker { broker } => BrokerCommand::Resume(broker),
            Command::CutLink {
                from,
                to,
                both_ways,
            } => BrokerCommand::Cut {
                from,
                to,
                both_ways,
            },
            Command::SlowLink { a, b, delay_ms } => BrokerCommand::Slow { a, b, delay_ms },
            Command::HealLink { a, b } => BrokerCommand::HealOne { a, b },
            Command::HealLinks => BrokerCommand::Heal,
            Command::AddBroker => BrokerCommand::Add,
            Command::PullPlug => BrokerCommand::PullPlug,
            _ => return None,
        })
    }
}

impl Brokers {
    /// Runs a command.
    pub fn run(&mut self, id: CommandId, command: BrokerCommand) {
        if self.plug.is_some() {
            let what = "the plug is out: brokers start again in a moment".to_owned();
            let failure = failed("PLUG_IS_OUT", what);
            return self.concluded.push(Concluded::failed(id, failure));
        }
        let step = match command {
            BrokerCommand::PullPlug => return self.pull_plug(id),
            BrokerCommand::Kill(broker) => self.kill(broker),
            BrokerCommand::Stop(broker) => self.stop_one(broker),
            BrokerCommand::Restart(broker) => self.restart(broker),
            BrokerCommand::Pause(broker) => self.pause(broker),
            BrokerCommand::Resume(broker) => self.resume(broker),
            BrokerCommand::Cut {
                from,
                to,
                both_ways,
            } => self.cut(from, to, both_ways),
            BrokerCommand::Slow { a, b, delay_ms } => self.slow(a, b, delay_ms),
            BrokerCommand::HealOne { a, b } => self.heal_one(a, b),
            BrokerCommand::Heal => Ok(self.heal()),
            BrokerCommand::Add => self.add_one(),
        };
        match step {
            Ok(Step::Done(sentence)) => self.concluded.push(Concluded::done(id, sentence)),
            Ok(Step::Waits(broker, until)) => self.waits.push(Wait { id, broker, until }),
            Err(failure) => self.concluded.push(Concluded::failed(id, failure)),
        }
    }

    fn kill(&mut self, id: BrokerId) -> Result<Step, Failure> {
        let member = self.alive(id)?;
        member.again = false;
        if member.kill() {
            self.notes.push((Some(id), killed(ASKED)));
        }
        Ok(Step::Waits(id, Until::Ended))
    }

    fn stop_one(&mut self, id: BrokerId) -> Result<Step, Failure> {
        let others = self.others_run(id);
        let member = self.alive(id)?;
        member.again = false;
        match member.stop(ASKED, others) {
            true => {
                self.mark_resumed(id);
                Ok(Step::Waits(id, Until::Ended))
            }
            false => Err(busy(id)),
        }
    }

    fn restart(&mut self, id: BrokerId) -> Result<Step, Failure> {
        let others = self.others_run(id);
        let member = self.member(id)?;
        if member.is_alive() {
            member.again = member.stop("it is to start again", others);
            if !member.again {
                return Err(busy(id));
            }
            self.mark_resumed(id);
        } else {
            self.start_again(id)?;
        }
        Ok(Step::Waits(id, Until::Joined { known: true }))
    }

    /// Whether there is anybody to hand leaderships over to.
    fn others_run(&self, id: BrokerId) -> bool {
        self.running().any(|other| other != id)
    }

    fn pause(&mut self, id: BrokerId) -> Result<Step, Failure> {
        let member = self.alive(id)?;
        if member.state != BrokerState::Running {
            return Err(not_running(id, &member.state));
        }
        let thread = member.thread.as_mut().expect("a running broker has one");
        if !thread.pause() {
            return Err(busy(id));
        }
        member.state = BrokerState::Paused;
        let cause = ASKED.to_owned();
        self.notes
            .push((Some(id), EventKind::BrokerPaused { cause }));
        Ok(Step::Done(format!("Broker {id} stands still.")))
    }

    fn resume(&mut self, id: BrokerId) -> Result<Step, Failure> {
        let member = self.alive(id)?;
        if member.state != BrokerState::Paused {
            let what = format!("broker {id} does not stand still");
            return Err(failed("BROKER_NOT_PAUSED", what));
        }
        if let Some(thread) = &mut member.thread {
            thread.resume();
        }
        self.mark_resumed(id);
        Ok(Step::Done(format!("Broker {id} goes on.")))
    }

    /// A broker that stood still does not any more.
    fn mark_resumed(&mut self, id: BrokerId) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if member.state == BrokerState::Paused {
            member.state = BrokerState::Running;
            let cause = ASKED.to_owned();
            self.notes
                .push((Some(id), EventKind::BrokerResumed { cause }));
        }
    }

    fn cut(&mut self, from: BrokerId, to: BrokerId, both_ways: bool) -> Result<Step, Failure> {
        self.check_link(from, to)?;
        let kind = |to| EventKind::LinkCut {
            to,
            cause: ASKED.to_owned(),
        };
        self.change_link(from, to, |wire| wire.cut = true, kind);
        if both_ways {
            self.change_link(to, from, |wire| wire.cut = true, kind);
        }
        let sentence = match both_ways {
            true => format!("Nothing gets through between brokers {from} and {to}."),
            false => format!("Nothing from broker {from} reaches broker {to}."),
        };
        Ok(Step::Done(sentence))
    }

    fn slow(&mut self, a: BrokerId, b: BrokerId, delay_ms: u32) -> Result<Step, Failure> {
        self.check_link(a, b)?;
        if delay_ms > MAX_LINK_DELAY_MS {
            let what = format!("a delay of {delay_ms} ms; {MAX_LINK_DELAY_MS} ms is the longest");
            return Err(failed("DELAY_TOO_LONG", what));
        }
        let kind = |to| EventKind::LinkSlowed {
            to,
            delay_ms: u64::from(delay_ms),
            cause: ASKED.to_owned(),
        };
        let change = |wire: &mut Wire| wire.delay_us = u64::from(delay_ms) * 1_000;
        self.change_link(a, b, change, kind);
        self.change_link(b, a, change, kind);
        Ok(Step::Done(format!(
            "Between brokers {a} and {b} everything takes {delay_ms} ms longer, each way."
        )))
    }

    fn heal_one(&mut self, a: BrokerId, b: BrokerId) -> Result<Step, Failure> {
        self.check_link(a, b)?;
        let mut faulty = self.links();
        faulty.retain(|link| [(a, b), (b, a)].contains(&(link.from, link.to)));
        if faulty.is_empty() {
            let sentence = format!("The link between brokers {a} and {b} was as good as new.");
            return Ok(Step::Done(sentence));
        }
        for link in faulty {
            let kind = |to| EventKind::LinkHealed {
                to,
                cause: ASKED.to_owned(),
            };
            let mend = |wire: &mut Wire| *wire = Wire::default();
            self.change_link(link.from, link.to, mend, kind);
        }
        Ok(Step::Done(format!(
            "The link between brokers {a} and {b} is as good as new."
        )))
    }

    fn heal(&mut self) -> Step {
        for link in self.links() {
            let (to, cause) = (link.to, ASKED.to_owned());
            self.notes
                .push((Some(link.from), EventKind::LinkHealed { to, cause }));
        }
        self.links.heal();
        self.tell_neighbours();
        Step::Done("All links between brokers are as good as new.".to_owned())
    }

    fn change_link(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        change: impl FnOnce(&mut Wire),
        kind: impl FnOnce(BrokerId) -> EventKind,
    ) {
        self.links
            .change(End::Broker(from), End::Broker(to), change);
        self.tell_neighbours();
        self.notes.push((Some(from), kind(to)));
    }

    fn check_link(&mut self, a: BrokerId, b: BrokerId) -> Result<(), Failure> {
        self.member(a)?;
        self.member(b)?;
        match a == b {
            true => Err(failed(
                "NO_SUCH_LINK",
                format!("broker {a} needs no link to itself"),
            )),
            false => Ok(()),
        }
    }

    /// Starts one more broker behind the last one's port. It follows the metadata and has no vote.
    fn add_one(&mut self) -> Result<Step, Failure> {
        let most = usize::try_from(MAX_BROKERS).unwrap_or(usize::MAX);
        let last = self.members.values().map(|member| member.port.address());
        let last = last.max_by_key(|address| address.port());
        let Some(last) = last.filter(|_| self.members.len() < most) else {
            let what = format!("there are {most} brokers already");
            return Err(failed("TOO_MANY_BROKERS", what));
        };
        let id = self.recipe.roster.next_broker();
        let wished = last.port().saturating_add(1);
        let bound = bind_row(last.ip(), wished, 1).map_err(|error| error.to_string());
        let (port, listener) = bound
            .and_then(|row| row.into_iter().next().ok_or_else(|| "no port".to_owned()))
            .map_err(|why| did_not_start(id, &why))?;
        self.recipe.roster.brokers.push(id);
        let saved = self.save_roster().map_err(|error| error.to_string());
        saved.map_err(|why| {
            self.recipe.roster.brokers.pop();
            did_not_start(id, &why)
        })?;
        self.found_quorum();
        let cause = ASKED.to_owned();
        let port_number = port.address().port();
        self.add(id, port);
        self.notes.push((
            Some(id),
            EventKind::BrokerAdded {
                port: port_number,
                cause,
            },
        ));
        let launched = self.launch(id, listener, 1);
        launched.map_err(|error| did_not_start(id, &error.to_string()))?;
        Ok(Step::Waits(id, Until::Joined { known: true }))
    }

    /// The first of several brokers was alone until now and asked nobody: it starts anew as a quorum of one voter.
    fn found_quorum(&mut self) {
        if self.recipe.roster.brokers.len() != 2 {
            return;
        }
        for member in self.members.values_mut() {
            member.again |= member.stop("it becomes one of several brokers", false);
        }
    }

    /// Whether a broker may be forgotten as far as this program knows: it does not run and has no vote.
    pub fn check_removable(&mut self, id: BrokerId) -> Result<(), Failure> {
        if self.member(id)?.is_alive() {
            return Err(Failure {
                name: "BROKER_RUNS".into(),
                what: format!("broker {id} runs"),
                what_to_do: format!("Stop it first: `klar ctl stop {id}`."),
            });
        }
        match self.recipe.roster.voters.contains(&id) {
            true => Err(Failure {
                name: "BROKER_VOTES".into(),
                what: format!(
                    "broker {id} is one of those who elect the controller, and they stay the same"
                ),
                what_to_do: "Remove a broker that was added later.".into(),
            }),
            false => Ok(()),
        }
    }

    /// Forgets a broker that the cluster has unregistered, and sets its directory aside.
    pub fn forget(&mut self, id: BrokerId) {
        self.members.remove(&id);
        self.recipe.roster.brokers.retain(|broker| *broker != id);
        self.tell_neighbours();
        let dir = self.dir_of(id);
        let aside = |n: u32| self.recipe.dir.join(format!("removed-broker-{id}-{n}"));
        let aside = (1..).map(aside).find(|path| !path.exists());
        let moved = match (aside, dir.exists()) {
            (Some(aside), true) => std::fs::rename(&dir, aside),
            _ => Ok(()),
        };
        let saved = self.save_roster().map_err(|error| error.to_string());
        for error in [moved.err().map(|e| e.to_string()), saved.err()]
            .into_iter()
            .flatten()
        {
            tracing::warn!("broker {id} is removed, but not from the disk: {error}");
        }
    }

    pub(super) fn member(&mut self, id: BrokerId) -> Result<&mut Member, Failure> {
        self.members.get_mut(&id).ok_or_else(|| {
            let what = format!("there is no broker {id}");
            failed("NO_SUCH_BROKER", what)
        })
    }

    /// A broker that has a thread.
    fn alive(&mut self, id: BrokerId) -> Result<&mut Member, Failure> {
        let member = self.member(id)?;
        match member.is_alive() {
            true => Ok(member),
            false => Err(not_running(id, &member.state)),
        }
    }

    /// Concludes the commands that waited for this.
    pub(super) fn settle(&mut self, broker: BrokerId, reached: Until) {
        let ends = std::mem::discriminant(&reached);
        let over =
            |wait: &mut Wait| wait.broker == broker && std::mem::discriminant(&wait.until) == ends;
        for wait in self.waits.extract_if(.., over) {
            let sentence = match reached {
                Until::Joined { known: true } => format!("Broker {broker} serves."),
                Until::Joined { known: false } => {
                    format!("Broker {broker} runs, but no controller has taken it in yet.")
                }
                Until::Ended => format!("Broker {broker} is gone."),
            };
            self.concluded.push(Concluded::done(wait.id, sentence));
        }
    }

    /// Concludes the commands that waited for what will not come.
    pub(super) fn fail(&mut self, broker: BrokerId, failure: &Failure) {
        for wait in self.waits.extract_if(.., |wait| wait.broker == broker) {
            let failed = Concluded::failed(wait.id, failure.clone());
            self.concluded.push(failed);
        }
    }
}

/// Why a broker does not serve although it was asked to.
pub(super) fn did_not_start(id: BrokerId, why: &str) -> Failure {
    failed(
        "BROKER_DID_NOT_START",
        format!("broker {id} did not start: {why}"),
    )
}

pub(super) fn failed(name: &str, what: String) -> Failure {
    Failure {
        name: name.to_owned(),
        what,
        what_to_do: "Look at the brokers and their states: `klar ctl snapshot` lists them.".into(),
    }
}

fn not_running(id: BrokerId, state: &BrokerState) -> Failure {
    let state = match state {
        BrokerState::Starting => "is starting",
        BrokerState::Running => "runs",
        BrokerState::Stopping => "is stopping",
        BrokerState::Paused => "stands still",
        BrokerState::Stopped => "was stopped",
        BrokerState::Killed => "was killed",
        BrokerState::Crashed { .. } => "crashed",
    };
    Failure {
        name: "BROKER_NOT_RUNNING".into(),
        what: format!("broker {id} {state}"),
        what_to_do: format!("Start it again: `klar ctl restart {id}`."),
    }
}

fn busy(id: BrokerId) -> Failure {
    Failure {
        name: "BROKER_BUSY".into(),
        what: format!("broker {id} takes no more orders right now"),
        what_to_do: "Try again; if it stays so, kill the broker.".into(),
    }
}
