//! Commands about consumer groups: offsets committed and deleted, groups deleted, offsets found by time.
//!
//! Each ends in exactly one outcome. What is changed is asked of the group's coordinator by `group_admin`, offsets by
//! time of the partitions' leaders by klar's own consumer.

use std::collections::BTreeMap;

use super::commands::Concluded;
use super::group_admin::{Change, GroupAdmin};
use super::wires::Client;
use crate::client::{
    CallError, Consumer, ConsumerConfig, ConsumerEvent, LinksConfig, Machine as _, OffsetQuery,
    Start,
};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{Command, CommandId, Done, Failure};

/// The clients and what they were asked.
pub struct Groups {
    pub admin: GroupAdmin,
    pub finder: Consumer,
    asked: BTreeMap<OffsetQuery, CommandId>,
    finding: BTreeMap<CommandId, Finding>,
    concluded: Vec<Concluded>,
}

/// Offsets of one command as far as they came.
#[derive(Default)]
struct Finding {
    awaited: usize,
    found: Vec<(String, PartitionIndex, Offset)>,
    failed: Option<CallError>,
}

impl Groups {
    pub fn new(links: LinksConfig) -> Groups {
        Groups {
            admin: GroupAdmin::new(links.clone()),
            finder: Consumer::new(ConsumerConfig::new(links)),
            asked: BTreeMap::new(),
            finding: BTreeMap::new(),
            concluded: Vec::new(),
        }
    }

    /// Brokers to begin with from now on.
    pub fn know_brokers(&mut self, links: LinksConfig) {
        self.admin.know_brokers(links);
    }

    /// Starts a command; whose client carries it out.
    pub fn run(&mut self, now: Time, id: CommandId, command: Command) -> Client {
        let change = match command {
            Command::CommitOffsets { group, offsets } => (group, Change::Commit(offsets)),
            Command::DeleteOffsets { group, partitions } => (group, Change::Forget(partitions)),
            Command::DeleteGroup { group } => (group, Change::Delete),
            Command::FindOffsets {
                time_ms,
                partitions,
            } => {
                self.find(now, id, time_ms, partitions);
                return Client::Offsets;
            }
            _ => unreachable!("no command about groups"),
        };
        self.admin.ask(now, id, change);
        Client::Groups
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let both = [self.admin.next_wakeup(), self.finder.next_wakeup()];
        both.into_iter().flatten().min()
    }

    /// Commands that ended since the last call; `None` without any.
    pub fn take_concluded(&mut self) -> Option<Vec<Concluded>> {
        while let Some(event) = self.finder.poll_event() {
            if let ConsumerEvent::Offset {
                query,
                topic,
                partition,
                answer,
            } = event
            {
                self.on_found(query, (topic, partition), answer);
            }
        }
        for (id, sentence) in self.admin.take_ended() {
            self.concluded.push(match sentence {
                Ok(sentence) => Concluded::done(id, sentence),
                Err(failure) => Concluded::failed(id, failure),
            });
        }
        let concluded = std::mem::take(&mut self.concluded);
        (!concluded.is_empty()).then_some(concluded)
    }

    fn find(
        &mut self,
        now: Time,
        id: CommandId,
        time_ms: i64,
        partitions: Vec<(String, PartitionIndex)>,
    ) {
        let finding = Finding {
            awaited: partitions.len(),
            ..Finding::default()
        };
        self.finding.insert(id, finding);
        for (topic, partition) in partitions {
            let start = Start::TimeMs(time_ms);
            let query = self.finder.ask_offset(now, &topic, partition, start);
            self.asked.insert(query, id);
        }
        self.conclude(id);
    }

    fn on_found(
        &mut self,
        query: OffsetQuery,
        (topic, partition): (String, PartitionIndex),
        answer: Result<Offset, CallError>,
    ) {
        let Some(id) = self.asked.remove(&query) else {
            return;
        };
        if let Some(finding) = self.finding.get_mut(&id) {
            finding.awaited -= 1;
            match answer {
                Ok(offset) => finding.found.push((topic, partition, offset)),
                Err(error) => finding.failed = Some(error),
            }
        }
        if !self.asked.values().any(|of| *of == id) {
            self.conclude(id);
        }
    }

    /// Ends a command that waits for nothing more.
    fn conclude(&mut self, id: CommandId) {
        let is_over = |finding: &Finding| finding.awaited == 0;
        if !self.finding.get(&id).is_some_and(is_over) {
            return;
        }
        let Some(Finding {
            mut found, failed, ..
        }) = self.finding.remove(&id)
        else {
            return;
        };
        found.sort();
        let result: Result<Done, Failure> = match failed {
            Some(error) => Err(error.to_failure()),
            None => Ok(Done {
                sentence: format!("Found {} offsets.", found.len()),
                offsets: found,
                ..Done::default()
            }),
        };
        self.concluded.push(Concluded { id, result });
    }
}
