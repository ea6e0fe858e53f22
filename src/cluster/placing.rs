//! Commands about where replicas are and who leads: each a few Kafka requests, one after the other.
//!
//! A [`Placing`] is the request a command has come to; the answer gives the next one or the command's end. Knows
//! neither connections nor brokers of this program.

use std::fmt::Write as _;

use crate::client::{AdminAnswer, AdminRequest, CallError, Placed, Placement};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{Command, Failure};
use crate::wire::ErrorCode;

/// Partitions a refusal names; of more it says how many.
const NAMED: usize = 3;

/// A partition somebody names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    topic: String,
    partition: PartitionIndex,
}

/// Who shall lead a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    of: Named,
    broker: BrokerId,
    /// Although records may be lost, if nobody else can.
    unclean: bool,
}

/// How far a command has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placing {
    /// Asks where the partition is.
    Find(Wish),
    /// Asks whether its replicas are on their way already.
    LookForMoves(Wish, Placed),
    /// Makes the broker the preferred replica.
    Prefer(Wish, Vec<BrokerId>),
    /// Has the preferred replica lead.
    Elect(Wish),
    Move(Named, Vec<BrokerId>),
    Cancel(Named),
    ListMoves,
    /// Asks whether a broker that shall go hosts anything.
    LookForReplicas(BrokerId),
    Unregister(BrokerId),
}

/// What follows from an answer.
#[derive(Debug, PartialEq)]
pub enum Next {
    Ask(Placing),
    Done(String),
    Failed(Failure),
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl Placing {
    /// What a command begins with, if it is one of these.
    pub fn of(command: &Command) -> Option<Placing> {
        let named = |topic: &String, partition: &PartitionIndex| Named {
            topic: topic.clone(),
            partition: *partition,
        };
        Some(match command {
            Command::ElectLeader {
                topic,
                partition,
                broker,
                unclean,
            } => Placing::Find(Wish {
                of: named(topic, partition),
                broker: *broker,
                unclean: *unclean,
            }),
            Command::MoveReplicas {
                topic,
                partition,
                brokers,
            } => Placing::Move(named(topic, partition), brokers.clone()),
            Command::CancelMove { topic, partition } => Placing::Cancel(named(topic, partition)),
            Command::ListMoves => Placing::ListMoves,
            Command::RemoveBroker { broker } => Placing::LookForReplicas(*broker),
            _ => return None,
        })
    }

    /// What to ask.
    pub fn request(&self) -> AdminRequest {
        let reassign = |of: &Named, to: Option<Vec<BrokerId>>| Placement::Reassign {
            topic: of.topic.clone(),
            partition: of.partition,
            to,
        };
        AdminRequest::Placement(match self {
            Placing::Find(wish) => Placement::Describe {
                topic: Some(wish.of.topic.clone()),
            },
            Placing::LookForMoves(..) | Placing::ListMoves => Placement::Moves,
            Placing::Prefer(wish, order) => reassign(&wish.of, Some(order.clone())),
            Placing::Elect(wish) => Placement::Elect {
                topic: wish.of.topic.clone(),
                partition: wish.of.partition,
                unclean: wish.unclean,
            },
            Placing::Move(of, to) => reassign(of, Some(to.clone())),
            Placing::Cancel(of) => reassign(of, None),
            Placing::LookForReplicas(_) => Placement::Describe { topic: None },
            Placing::Unregister(broker) => Placement::Unregister { broker: *broker },
        })
    }

    /// What follows from the answer.
    pub fn next(self, answer: Result<AdminAnswer, CallError>) -> Next {
        let placed = match answer {
            Ok(AdminAnswer::Placed(placed)) => placed,
            Ok(_) => Vec::new(),
            Err(error) => return self.on_error(&error),
        };
        match self {
            Placing::Find(wish) => wish.on_found(placed),
            Placing::LookForMoves(wish, at) => wish.on_moves(&at, &placed),
            Placing::Prefer(wish, _) => Next::Ask(Placing::Elect(wish)),
            Placing::Elect(wish) => Next::Done(wish.fulfilled()),
            Placing::Move(of, to) => Next::Done(format!(
                "The replicas of {of} move to {}; `klar ctl moves` says how far they are.",
                list(&to)
            )),
            Placing::Cancel(of) => {
                Next::Done(format!("The replicas of {of} stay where they were."))
            }
            Placing::ListMoves => Next::Done(moves(&placed)),
            Placing::LookForReplicas(broker) => on_replicas(broker, &placed),
            Placing::Unregister(broker) => Next::Done(gone(broker)),
        }
    }

    fn on_error(self, error: &CallError) -> Next {
        let code = match error {
            CallError::Broker { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        };
        match (self, code) {
            (Placing::Elect(wish), Some(ErrorCode::ElectionNotNeeded)) => {
                Next::Done(wish.fulfilled())
            }
            // An earlier try's answer was lost, or it never registered.
            (Placing::Unregister(broker), Some(ErrorCode::BrokerIdNotRegistered)) => {
                Next::Done(gone(broker))
            }
            _ => Next::Failed(error.to_failure()),
        }
    }
}

impl Wish {
    fn on_found(self, placed: Vec<Placed>) -> Next {
        let mut all = placed.into_iter();
        let Some(at) = all.find(|placed| placed.partition == self.of.partition) else {
            let what = format!("there is no partition {}", self.of);
            return Next::Failed(failure("NO_SUCH_PARTITION", what, "Check its name."));
        };
        if !at.replicas.contains(&self.broker) {
            let what = format!("broker {} has no replica of {}", self.broker, self.of);
            let what_to_do = "Move a replica there first: `klar ctl move`.";
            return Next::Failed(failure("NO_SUCH_REPLICA", what, what_to_do));
        }
        match at.leader {
            Some(leader) if !at.isr.contains(&self.broker) => {
                let what = format!(
                    "broker {} is not in sync, and broker {leader} leads {}",
                    self.broker, self.of
                );
                let what_to_do = "Wait until it is in sync. Only where nobody can lead is an unclean election held.";
                Next::Failed(failure("NOT_IN_SYNC", what, what_to_do))
            }
            None if !self.unclean => {
                let what = format!("nobody can lead {} without losing records", self.of);
                let what_to_do = "Start a broker that has them, or say --unclean to give them up.";
                Next::Failed(failure("NOT_IN_SYNC", what, what_to_do))
            }
            leader => {
                // Where somebody leads, an in-sync replica takes over without any loss.
                let unclean = leader.is_none();
                Next::Ask(Placing::LookForMoves(Wish { unclean, ..self }, at))
            }
        }
    }

    fn on_moves(self, at: &Placed, moves: &[Placed]) -> Next {
        let here = |placed: &Placed| placed.topic == at.topic && placed.partition == at.partition;
        if moves.iter().any(here) {
            let what = format!("the replicas of {} are on their way", self.of);
            let what_to_do =
                "Wait until they are there, or take that back with `klar ctl cancel-move`.";
            return Next::Failed(failure("REPLICAS_MOVE", what, what_to_do));
        }
        if at.replicas.first() == Some(&self.broker) {
            return Next::Ask(Placing::Elect(self));
        }
        let others = at.replicas.iter().copied();
        let others = others.filter(|id| *id != self.broker);
        let order = std::iter::once(self.broker).chain(others).collect();
        Next::Ask(Placing::Prefer(self, order))
    }

    fn fulfilled(&self) -> String {
        let Wish { of, broker, .. } = self;
        match self.unclean {
            true => format!("{of} has a leader again; records that only others had are lost."),
            false => format!("Broker {broker} leads {of} and is its preferred leader."),
        }
    }
}

fn on_replicas(broker: BrokerId, placed: &[Placed]) -> Next {
    let hosted = placed.iter().filter(|at| at.replicas.contains(&broker));
    let names: Vec<String> = hosted
        .map(|at| format!("{}-{}", at.topic, at.partition))
        .collect();
    if names.is_empty() {
        return Next::Ask(Placing::Unregister(broker));
    }
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = &names[..names.len().min(NAMED)];
    let what = format!(
        "broker {broker} holds replicas of {}{more}",
        named.join(", ")
    );
    let what_to_do = "Move them to other brokers first (`klar ctl move`), or delete their topics.";
    Next::Failed(failure("BROKER_HOLDS_REPLICAS", what, what_to_do))
}

fn moves(moving: &[Placed]) -> String {
    if moving.is_empty() {
        return "No replicas are on their way.".to_owned();
    }
    let mut text = String::new();
    for at in moving {
        let between = if text.is_empty() { "" } else { "\n" };
        let _ = write!(
            text,
            "{between}{}-{}: replicas {}; coming {}; going {}",
            at.topic,
            at.partition,
            list(&at.replicas),
            list(&at.adding),
            list(&at.removing)
        );
    }
    text
}

fn gone(broker: BrokerId) -> String {
    format!("Broker {broker} does not belong to the cluster any more.")
}

fn list(brokers: &[BrokerId]) -> String {
    let numbers: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    match numbers.is_empty() {
        true => "none".to_owned(),
        false => numbers.join(","),
    }
}

fn failure(name: &str, what: String, what_to_do: &str) -> Failure {
    Failure {
        name: name.to_owned(),
        what,
        what_to_do: what_to_do.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[i32]) -> Vec<BrokerId> {
        numbers.iter().copied().map(BrokerId).collect()
    }

    fn at(leader: Option<i32>, replicas: &[i32], isr: &[i32]) -> Placed {
        Placed {
            topic: "t".into(),
            leader: leader.map(BrokerId),
            replicas: ids(replicas),
            isr: ids(isr),
            ..Placed::default()
        }
    }

    /// The reassignment's order and whether the election is unclean; or the refusal's name.
    fn elect(
        broker: i32,
        unclean: bool,
        at: Placed,
        moving: bool,
    ) -> Result<(Vec<BrokerId>, bool), String> {
        let command = Command::ElectLeader {
            topic: "t".into(),
            partition: PartitionIndex(0),
            broker: BrokerId(broker),
            unclean,
        };
        let mut placing = Placing::of(&command).unwrap();
        let mut order = at.replicas.clone();
        loop {
            let answer = match &placing {
                Placing::Find(_) => AdminAnswer::Placed(vec![at.clone()]),
                Placing::LookForMoves(..) if moving => AdminAnswer::Placed(vec![at.clone()]),
                Placing::LookForMoves(..) => AdminAnswer::Placed(Vec::new()),
                Placing::Prefer(_, wanted) => {
                    order.clone_from(wanted);
                    AdminAnswer::Done
                }
                Placing::Elect(wish) => return Ok((order, wish.unclean)),
                other => panic!("{other:?}"),
            };
            placing = match placing.next(Ok(answer)) {
                Next::Ask(next) => next,
                Next::Failed(failure) => return Err(failure.name),
                Next::Done(said) => panic!("{said}"),
            };
        }
    }

    #[test]
    fn a_wished_for_leader_is_made_the_preferred_one_first() {
        let led = || at(Some(1), &[1, 2, 3], &[1, 2]);
        assert_eq!(elect(2, false, led(), false), Ok((ids(&[2, 1, 3]), false)));
        assert_eq!(elect(1, false, led(), false), Ok((ids(&[1, 2, 3]), false)));
        assert_eq!(
            elect(2, true, led(), false),
            Ok((ids(&[2, 1, 3]), false)),
            "in sync: no loss"
        );
        for (broker, moving, why) in [
            (3, false, "NOT_IN_SYNC"),
            (4, false, "NO_SUCH_REPLICA"),
            (2, true, "REPLICAS_MOVE"),
        ] {
            assert_eq!(elect(broker, true, led(), moving), Err(why.to_owned()));
        }
    }

    #[test]
    fn records_are_given_up_only_where_nobody_can_lead_and_when_it_is_said() {
        let dark = || at(None, &[1, 2], &[]);
        assert_eq!(elect(2, false, dark(), false), Err("NOT_IN_SYNC".into()));
        assert_eq!(elect(2, true, dark(), false), Ok((ids(&[2, 1]), true)));
    }

    #[test]
    fn a_broker_goes_only_without_replicas() {
        let remove = || Placing::LookForReplicas(BrokerId(4));
        let hosted = vec![at(Some(1), &[1, 4], &[1, 4]); 5];
        let Next::Failed(failure) = remove().next(Ok(AdminAnswer::Placed(hosted))) else {
            panic!("it holds replicas");
        };
        assert!(
            failure.what.contains("t-0, t-0, t-0 and 2 more"),
            "{}",
            failure.what
        );
        let elsewhere = vec![at(Some(1), &[1], &[1])];
        let next = remove().next(Ok(AdminAnswer::Placed(elsewhere)));
        assert_eq!(next, Next::Ask(Placing::Unregister(BrokerId(4))));
        let code = ErrorCode::BrokerIdNotRegistered.code();
        let again = Placing::Unregister(BrokerId(4)).next(Err(CallError::broker(code, None)));
        assert!(matches!(again, Next::Done(_)));
    }
}
