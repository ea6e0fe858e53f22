//! What is told of groups: ListGroups and DescribeGroups.

use bytes::Bytes;

use super::assignor::Assignor;
use super::classic::{CONSUMER, ClassicGroup, ClassicState, Member};
use super::consumer::{ConsumerGroup, ConsumerMember};
use super::kind::GroupKind;
use super::shard::Shard;

/// One line of ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: String,
    pub protocol_type: String,
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub kind: &'static str,
}

/// A classic group as DescribeGroups tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    pub state: &'static str,
    pub protocol_type: String,
    /// The chosen assignor.
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

/// One of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl Shard {
    /// Every group, by name.
    pub fn list(&self) -> Vec<ListedGroup> {
        let line = |(name, group): (&String, &super::Group)| {
            let (protocol_type, state, kind) = match &group.kind {
                GroupKind::Classic(classic) => {
                    let protocol_type = classic.protocol_type().unwrap_or_default();
                    (protocol_type, classic.state().name(), "classic")
                }
                GroupKind::Consumer(consumer) => (CONSUMER, consumer.state().name(), CONSUMER),
            };
            ListedGroup {
                group: name.clone(),
                protocol_type: protocol_type.to_owned(),
                state,
                kind,
            }
        };
        self.groups.iter().map(line).collect()
    }

    /// A classic group with its members.
    pub fn describe(&self, group: &str) -> Option<DescribedGroup> {
        match &self.groups.get(group)?.kind {
            GroupKind::Classic(classic) => Some(classic.describe()),
            GroupKind::Consumer(_) => None,
        }
    }

    /// Milliseconds after which a member of a group of the new protocol is out if it is not heard.
    pub fn session_timeout_ms(&self, member: &ConsumerMember) -> i32 {
        self.config.session_timeout_ms(member)
    }

    /// The assignor of a group of the new protocol.
    pub fn assignor_of(&self, consumer: &ConsumerGroup) -> Assignor {
        consumer.assignor(&self.config.assignors)
    }
}

impl ClassicGroup {
    fn describe(&self) -> DescribedGroup {
        // What members say and read means something only within a generation.
        let stable = self.state() == ClassicState::Stable;
        let protocol = self.protocol().filter(|_| stable).unwrap_or_default();
        let member = |(id, member): (&String, &Member)| DescribedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
            assignment: match stable {
                true => member.assignment.clone(),
                false => Bytes::new(),
            },
        };
        DescribedGroup {
            state: self.state().name(),
            protocol_type: self.protocol_type().unwrap_or_default().to_owned(),
            protocol: protocol.to_owned(),
            members: self.members().iter().map(member).collect(),
        }
    }
}
