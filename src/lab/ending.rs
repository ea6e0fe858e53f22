//! How a run ends: when every call is answered and every group has what it is to have, everything is read.

use std::collections::BTreeMap;

use super::clients::{Client, Role};
use super::faults::{LAST_CALL_MS, PROBE_MS};
use super::group_history::Group;
use super::history::{Ended, Place};
use super::reader::Reader;
use super::schedule::ReaderPlan;
use super::world::{Part, World};
use crate::inspect::Focus;

impl World {
    /// Goes on to the next part of the run when this one is done.
    pub(super) fn look_at_progress(&mut self) {
        match self.part {
            Part::Settling => {
                let idle = |client: &Client| match &client.role {
                    Role::Writer(writer) => writer.is_idle(),
                    Role::Chores(chores) => chores.is_idle(),
                    Role::Reader(_) => true,
                    Role::Member(member) => member.is_settled(),
                };
                let idle = self.clients.iter().all(idle) && self.groups_are_whole();
                if idle && self.leaders_are_known() {
                    self.begin_reading();
                }
            }
            Part::Reading => {
                let last = self.clients.last().map(|client| &client.role);
                if let Some(Role::Reader(reader)) = last
                    && reader.unread().is_empty()
                {
                    self.part = Part::Over;
                }
            }
            Part::Faults | Part::Over => {}
        }
    }

    /// Whether all brokers that run name the same leaders. One that has not heard of its successor yet would tell the
    /// last reader of an end in front of what the successor acknowledged.
    fn leaders_are_known(&mut self) -> bool {
        let mut known = BTreeMap::new();
        let brokers = self.seats.values_mut().filter_map(|s| s.broker.as_mut());
        for broker in brokers {
            for topic in broker.picture(self.now, &Focus::default()).topics.iter() {
                for partition in &topic.partitions {
                    let leader = (partition.leader, partition.leader_epoch);
                    let place = (topic.name.clone(), partition.index);
                    if *known.entry(place).or_insert(leader) != leader {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn begin_reading(&mut self) {
        let probe = self.named;
        let of_probe = self.history.sent.iter().filter(|sent| sent.writer == probe);
        let mut stuck = of_probe.filter(|s| !matches!(s.ended, Some((_, _, Ended::Acked(_)))));
        if let Some(sent) = stuck.next() {
            let (place, of) = (self.history.name(sent.place), sent.place);
            self.trace_place(of);
            let what = format!("{place} takes no record {PROBE_MS} ms after everything was healed");
            self.violation("no progress", what);
            return;
        }
        self.trace
            .event(self.now, &[14], None, || "every call has ended".to_owned());
        self.part = Part::Reading;
        self.retire_readers();
        let plan = ReaderPlan {
            max_wait_ms: 50,
            partition_max_bytes: 1 << 20,
            request_timeout_ms: LAST_CALL_MS,
        };
        self.named += 1;
        let reader = Reader::new(&plan, self.named, self.schedule.brokers, true);
        let mut role = Role::Reader(Box::new(reader));
        self.tell_of_topics(&mut role);
        self.clients.push(Client::new(role));
        self.pump(self.clients.len() - 1);
    }

    /// Puts into the trace what every broker says of a partition.
    fn trace_place(&mut self, place: Place) {
        let Some((topic, index)) = self.history.places.get(usize::from(place.0)).cloned() else {
            return;
        };
        for (id, seat) in &mut self.seats {
            let Some(broker) = seat.broker.as_mut() else {
                continue;
            };
            let topics = broker.picture(self.now, &Focus::default()).topics;
            let of_topic = topics.iter().filter(|t| t.name == topic);
            for partition in of_topic.flat_map(|t| &t.partitions) {
                if partition.index == index {
                    let line = format!("broker {id}: {partition:?}");
                    self.trace.text(self.now, &line);
                }
            }
        }
    }

    /// Nobody else reads on: a record acknowledged by its leader alone may become readable behind what the last
    /// reader takes for the end.
    fn retire_readers(&mut self) {
        for client in &mut self.clients {
            match &mut client.role {
                Role::Reader(reader) => reader.drop_all(),
                Role::Member(member) => member.retire(),
                Role::Writer(_) | Role::Chores(_) => {}
            }
        }
    }

    /// Whether each group has every partition there is. A static leader that comes back is told to leave the assignment
    /// as it is (KIP-814), and so may miss what was made or grew meanwhile, as in Kafka.
    fn groups_are_whole(&self) -> bool {
        let mut owned: BTreeMap<Group, Vec<Place>> = BTreeMap::new();
        for client in &self.clients {
            if let Role::Member(member) = &client.role {
                owned
                    .entry(member.group)
                    .or_default()
                    .extend(member.owned());
            }
        }
        let mut all: Vec<Place> = self.topics.values().flatten().copied().collect();
        all.sort_unstable();
        owned.into_iter().all(|(group, mut of_group)| {
            of_group.sort_unstable();
            let mut members = self.schedule.members.iter();
            let fixed = members.any(|member| member.group == group.0 && member.is_static);
            of_group == all || fixed
        })
    }

    /// The run has taken too long.
    pub(super) fn overdue(&mut self) {
        let mut what = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            match &client.role {
                Role::Writer(writer) if !writer.is_idle() => {
                    what.push(format!("writer {number} waits for answers"));
                }
                Role::Member(member) if self.part == Part::Settling => {
                    what.push(member.describe());
                }
                Role::Chores(chores) if !chores.is_idle() => {
                    what.push(format!("the administrator waits: {:?}", chores.open()));
                }
                Role::Reader(reader) if self.part == Part::Reading => {
                    let unread = reader.unread();
                    if number + 1 == self.clients.len() {
                        what.push(format!("not read to the end: {}", unread.join(", ")));
                    }
                }
                _ => {}
            }
        }
        if self.part == Part::Settling && !self.groups_are_whole() {
            let all = self.topics.values().flatten();
            let all: Vec<String> = all.map(|place| self.history.name(*place)).collect();
            what.push(format!("groups are to have {}", all.join(", ")));
        }
        self.violation("stuck", what.join("; "));
    }
}
