//! Brokers and clients in one thread, on virtual time, from one seed: the simulator. *Pure.*
//!
//! A [`Schedule`] says everything: who takes part, what clients do, which faults strike when. [`plan`] makes
//! one from a seed, [`run`] carries it out with the very [`Broker`](crate::broker::Broker) that live mode runs and
//! the very clients of [`client`](crate::client), over encoded frames, and reports what broke. The same schedule
//! always gives the same trace hash. After the last fault everything is healed and must come to rest, and what
//! clients were told is checked against what can then be read ([`check`], usable on any history).
//!
//! Reading order: `schedule`, `plan`, `world` (the loop), `seat` (one broker's place), `connections`, `faults`, `rot`,
//! `clients`, `history`, `checker`, `across` and `in_sync` (what holds between brokers), `shrink`.
//! No threads, sockets or clocks: running many seeds at once is the caller's business.

mod across;
mod checker;
mod chores;
mod clients;
mod connections;
mod deliver;
mod dice;
mod drive;
mod ending;
mod faults;
mod group_history;
mod history;
mod in_sync;
mod member;
mod payload;
mod plan;
mod plan_chores;
mod plan_members;
#[cfg(any(test, feature = "plants"))]
mod plants;
mod reader;
mod report;
mod rot;
mod schedule;
mod seat;
mod shrink;
mod snoop;
mod topics;
mod trace;
mod world;
mod writer;

#[cfg(test)]
mod tests;

pub use checker::{Anomaly, AnomalyKind, Promise, check};
pub use history::{Ended, History, Place, Poll, Sent};
pub use plan::{PROFILES, Profile, plan};
#[cfg(any(test, feature = "plants"))]
pub use plants::{Caught, PLANTS, Row as PlantRow};
pub use report::{Report, SOMETIMES, Tally, Violation};
pub use schedule::{
    DiskError, DiskVerb, Fault, Planned, ReaderPlan, Schedule, ScheduleError, TopicPlan, WriterPlan,
};
pub use shrink::shrink;
pub use trace::Watch;

/// Carries a schedule out and checks it. A panic, the lab's own included, is a violation.
pub fn run(schedule: &Schedule, watch: Watch) -> Report {
    let world = world::World::new(schedule, watch);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    ran.unwrap_or_else(|payload| Report {
        seed: schedule.seed,
        violations: vec![Violation {
            event: 0,
            kind: "panic of the lab".to_owned(),
            what: world::panic_message(payload.as_ref()),
        }],
        events: 0,
        hash: 0,
        tally: Tally::default(),
    })
}
