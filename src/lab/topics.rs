//! Topics as the run knows them: made, grown and deleted while clients use them.

use super::chores::Chore;
use super::clients::Role;
use super::history::{Ended, Place};
use super::schedule::Fault;
use super::world::World;
use crate::client::{AdminRequest, Placement};
use crate::ids::{Offset, PartitionIndex};

impl World {
    /// Has a topic of the schedule made.
    pub(super) fn make_topic(&mut self, number: u32) {
        let topic = &self.schedule.topics[number as usize];
        let request = AdminRequest::CreateTopic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: topic.configs.clone(),
        };
        self.ask(Chore::Make(number), request);
    }

    /// Has the administrator do something.
    fn ask(&mut self, chore: Chore, request: AdminRequest) {
        if let Role::Chores(chores) = &mut self.clients[0].role {
            chores.ask(self.now, chore, request);
        }
        self.pump(0);
    }

    /// The administrator was told that something is done.
    pub(super) fn on_done(&mut self, chore: Chore) {
        match chore {
            Chore::Make(topic) => self.open_partitions(topic, 0),
            Chore::Grow(topic, total) => {
                let known = self.topics.get(&topic).map(Vec::len);
                let more = usize::try_from(total).unwrap_or(0);
                if let Some(known) = known.filter(|known| *known < more) {
                    self.total.insert(topic, total);
                    self.open_partitions(topic, known);
                }
            }
            Chore::Delete(_) | Chore::Try(_) => {}
        }
    }

    /// A topic's partitions exist, from this one on: clients begin to use them.
    fn open_partitions(&mut self, topic: u32, first: usize) {
        let plan = &self.schedule.topics[topic as usize];
        let total = *self.total.entry(topic).or_insert(plan.partitions);
        for index in (0..total).skip(first) {
            let number = self.history.places.len();
            let place = Place(u16::try_from(number).expect("places of the lab are few"));
            self.history
                .places
                .push((plan.name.clone(), PartitionIndex(index)));
            if self.schedule.may_lose_by_election(topic) {
                self.history.unclean.insert(place);
            }
            self.topics.entry(topic).or_default().push(place);
        }
        let mut clients = std::mem::take(&mut self.clients);
        for client in &mut clients {
            self.tell_of_partitions(&mut client.role, topic, first);
        }
        self.clients = clients;
        for number in 1..self.clients.len() {
            self.pump(number);
        }
    }

    /// Has a client use every topic there is.
    pub(super) fn tell_of_topics(&self, role: &mut Role) {
        for topic in self.topics.keys() {
            self.tell_of_partitions(role, *topic, 0);
        }
    }

    fn tell_of_partitions(&self, role: &mut Role, topic: u32, first: usize) {
        let name = &self.schedule.topics[topic as usize].name;
        let places = self.topics.get(&topic).into_iter().flatten();
        for (index, place) in (0..).map(PartitionIndex).zip(places).skip(first) {
            match role {
                Role::Writer(writer) => writer.add_place(self.now, *place, name, index),
                Role::Reader(reader) => reader.add_place(self.now, *place, name, index),
                Role::Member(member) => member.add_place(*place, name, index),
                Role::Chores(_) => {}
            }
        }
    }

    /// Carries out what a schedule has the administrator do.
    pub(super) fn administer(&mut self, fault: &Fault) {
        let name = |topic: u32| self.schedule.topics[topic as usize].name.clone();
        match fault {
            Fault::DeleteTopic { topic } => self.delete_topic(*topic),
            Fault::AddPartitions { topic, more } => {
                let known = self.topics.get(topic).map_or(0, Vec::len);
                let total = i32::try_from(known).unwrap_or(0) + more;
                let topic_name = name(*topic);
                if known > 0 {
                    let request = AdminRequest::AddPartitions {
                        topic: topic_name,
                        total,
                    };
                    self.ask(Chore::Grow(*topic, total), request);
                }
            }
            Fault::SetMinInsync { topic, to } => {
                let value = ("min.insync.replicas".to_owned(), Some(to.to_string()));
                let request = AdminRequest::AlterTopic {
                    topic: name(*topic),
                    configs: vec![value],
                };
                self.ask(Chore::Try("configurations changed"), request);
            }
            Fault::Elect {
                topic,
                partition,
                unclean,
            } => {
                let request = AdminRequest::Placement(Placement::Elect {
                    topic: name(*topic),
                    partition: *partition,
                    unclean: *unclean,
                });
                let done = if *unclean {
                    "elected uncleanly"
                } else {
                    "preferred leader elected"
                };
                self.ask(Chore::Try(done), request);
            }
            Fault::Reassign {
                topic,
                partition,
                replicas,
            } => {
                let request = AdminRequest::Placement(Placement::Reassign {
                    topic: name(*topic),
                    partition: *partition,
                    to: Some(replicas.clone()),
                });
                self.ask(Chore::Try("moves begun"), request);
            }
            other => unreachable!("nothing for an administrator: {other:?}"),
        }
    }

    /// A topic is deleted: nothing is promised of its records from now on.
    fn delete_topic(&mut self, topic: u32) {
        let Some(places) = self.topics.remove(&topic) else {
            return;
        };
        let name = self.schedule.topics[topic as usize].name.clone();
        self.history.gone.extend(places);
        // Its records may be gone although nobody will learn whether it is.
        self.across.may_lose(&name);
        for client in &mut self.clients {
            match &mut client.role {
                Role::Writer(writer) => writer.drop_topic(&name),
                Role::Reader(reader) => reader.drop_topic(&name),
                Role::Member(member) => member.drop_topic(&name),
                Role::Chores(_) => {}
            }
        }
        let request = AdminRequest::DeleteTopic { name };
        self.ask(Chore::Delete(topic), request);
    }

    pub(super) fn delete_records(&mut self, topic: u32, partition: PartitionIndex, percent: u32) {
        let index = usize::try_from(partition.0).unwrap_or(0);
        let places = self.topics.get(&topic);
        let Some(place) = places.and_then(|places| places.get(index)).copied() else {
            return;
        };
        let acked = self.history.sent.iter().filter(|sent| sent.place == place);
        let offsets = acked.filter_map(|sent| match sent.ended {
            Some((_, _, Ended::Acked(Some(offset)))) => Some(offset),
            _ => None,
        });
        let Some(Offset(last)) = offsets.max() else {
            return;
        };
        let before = Offset(last * i64::from(percent) / 100);
        let request = AdminRequest::DeleteRecords {
            topic: self.schedule.topics[topic as usize].name.clone(),
            before: vec![(partition, before)],
        };
        self.ask(Chore::Try("records deleted"), request);
    }
}
