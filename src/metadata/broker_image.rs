//! One registered broker as the controller knows it.

use std::collections::VecDeque;

use crate::ids::{BrokerEpoch, BrokerId, IncarnationId};

/// Earlier incarnations remembered for each broker: more than can have a registration under way.
const MAX_RETIRED: usize = 16;

/// One registered broker as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    pub id: BrokerId,
    pub incarnation: IncarnationId,
    pub epoch: BrokerEpoch,
    /// Where it is reached, one per listener.
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// Registered but not to be used: it does not lead, is in no ISR (E5) and clients are not told of it.
    pub fenced: bool,
    /// It is handing its leaderships over to stop.
    pub in_controlled_shutdown: bool,
}

/// One address of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl BrokerImage {
    /// Whether it may lead and be in an ISR: neither fenced nor on its way out.
    pub fn is_live(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// Incarnations of one broker id that are over (E6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Retired(VecDeque<IncarnationId>);

impl Retired {
    pub fn push(&mut self, incarnation: IncarnationId) {
        self.0.push_back(incarnation);
        if self.0.len() > MAX_RETIRED {
            self.0.pop_front();
        }
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = IncarnationId> {
        self.0.iter().copied()
    }

    pub fn contains(&self, incarnation: IncarnationId) -> bool {
        self.0.contains(&incarnation)
    }
}
