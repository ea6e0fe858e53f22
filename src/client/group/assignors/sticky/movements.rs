//! Which partitions moved between which members, so that two moves that cancel each other are seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::consumer::Place;

/// From one member to another.
type Pair = (String, String);

#[derive(Default)]
pub(super) struct Movements {
    by_topic: BTreeMap<String, BTreeMap<Pair, BTreeSet<Place>>>,
    by_place: BTreeMap<Place, Pair>,
}

impl Movements {
    /// The partition to move instead of `place`: one that came the other way goes back rather.
    pub fn instead_of(&self, place: &Place, from: &str, to: &str) -> Place {
        let origin = self
            .by_place
            .get(place)
            .map_or(from, |(origin, _)| origin.as_str());
        let back = (to.to_owned(), origin.to_owned());
        let came = self
            .by_topic
            .get(&place.0)
            .and_then(|pairs| pairs.get(&back));
        came.and_then(|places| places.first())
            .unwrap_or(place)
            .clone()
    }

    pub fn add(&mut self, place: &Place, from: &str, to: &str) {
        let mut origin = from.to_owned();
        if let Some(former) = self.by_place.remove(place) {
            self.forget(place, &former);
            origin = former.0;
            if origin == to {
                // It is back where it was.
                return;
            }
        }
        let pair = (origin, to.to_owned());
        self.by_place.insert(place.clone(), pair.clone());
        let pairs = self.by_topic.entry(place.0.clone()).or_default();
        pairs.entry(pair).or_default().insert(place.clone());
    }

    fn forget(&mut self, place: &Place, pair: &Pair) {
        if let Some(pairs) = self.by_topic.get_mut(&place.0)
            && let Some(places) = pairs.get_mut(pair)
        {
            places.remove(place);
            if places.is_empty() {
                pairs.remove(pair);
            }
        }
    }
}
