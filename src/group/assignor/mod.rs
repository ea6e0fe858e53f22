//! Who is to read what: the assignors a coordinator decides by (KIP-848).
//!
//! An assignor sees every member with the topics it subscribes to and what it was to read so far, and says what each
//! is to read from now on. It knows nothing of who reads what at this moment: getting there is reconciliation's work.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use super::partitions::Partitions;
use crate::ids::TopicId;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Each member about as many partitions as any other, and as few moves as that takes.
    Uniform,
    /// Each member neighbouring partitions of each topic, so that topics keyed alike are read by the same member.
    Range,
}

impl Assignor {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// What each member is to read: one set for each, in their order.
    pub fn assign(
        self,
        members: &[Subscriber],
        topics: &BTreeMap<TopicId, i32>,
    ) -> Vec<Partitions> {
        match self {
            Assignor::Uniform => uniform::assign(members, topics),
            Assignor::Range => range::assign(members, topics),
        }
    }
}

/// A member as assignors see it.
#[derive(Debug, Clone)]
pub struct Subscriber<'a> {
    pub id: &'a str,
    pub instance: Option<&'a str>,
    /// The topics it subscribes to, of those there are.
    pub topics: BTreeSet<TopicId>,
    /// What it was to read so far.
    pub before: &'a Partitions,
}
