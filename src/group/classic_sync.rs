//! SyncGroup and Heartbeat: the leader says who reads what, and everybody says that it lives.

use bytes::Bytes;

use super::classic::{ClassicGroup, ClassicState, Scope};
use super::turn::{Caller, Reply};
use super::{MAX_GROUP_BYTES, Refusal};
use crate::ids::Time;
use crate::plants::{Plant, planted};
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::sync_group::SyncGroupRequest;

/// What a member is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// A member fetches its assignment; the leader brings everybody's. Without an error it is answered by and by.
    pub(super) fn sync(
        &mut self,
        scope: &mut Scope,
        caller: &Caller,
        request: &SyncGroupRequest,
    ) -> Result<(), Refusal> {
        let id = &request.member_id;
        self.known(id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(Refusal::InconsistentProtocol);
        }
        match self.state {
            ClassicState::Empty | ClassicState::Dead => return Err(Refusal::UnknownMember),
            ClassicState::PreparingRebalance => return Err(Refusal::RebalanceInProgress),
            ClassicState::CompletingRebalance | ClassicState::Stable => {}
        }
        let brought = request.assignments.iter();
        let brought: usize = brought.map(|one| one.assignment.len()).sum();
        if brought > MAX_GROUP_BYTES {
            return Err(Refusal::InvalidRequest(
                "The assignments of the group are larger than 8 MiB.",
            ));
        }
        self.heard(scope.now, id);
        let member = self.members.get_mut(id).expect("it is known");
        if let Some(earlier) = member.awaits_sync.replace(caller.connection) {
            let stale = Reply::Synced(Err(Refusal::RebalanceInProgress));
            scope.turn.reply(earlier, stale);
        }
        let leads = self.leader.as_ref() == Some(id);
        if self.state == ClassicState::CompletingRebalance && leads {
            self.assign(scope, request);
        }
        if self.state == ClassicState::Stable {
            self.answer_syncs(scope);
        }
        Ok(())
    }

    /// Who is not named reads nothing.
    fn assign(&mut self, scope: &mut Scope, request: &SyncGroupRequest) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        if planted(Plant::SharesAssignments) {
            let mut all = request.assignments.iter();
            let own = all.find(|one| one.member_id == request.member_id);
            let shared = own.map(|one| Bytes::copy_from_slice(&one.assignment));
            for member in self.members.values_mut() {
                member.assignment = shared.clone().unwrap_or_default();
            }
        }
        for one in &request.assignments {
            if planted(Plant::SharesAssignments) {
                break;
            }
            if let Some(member) = self.members.get_mut(&one.member_id) {
                member.assignment = Bytes::copy_from_slice(&one.assignment);
            }
        }
        self.become_state(scope, ClassicState::Stable);
        scope.turn.records.push(self.record(scope.name));
    }

    fn answer_syncs(&mut self, scope: &mut Scope) {
        for member in self.members.values_mut() {
            if let Some(to) = member.awaits_sync.take() {
                member.synced = true;
                let synced = Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: member.assignment.clone(),
                };
                scope.turn.reply(to, Reply::Synced(Ok(synced)));
            }
        }
    }

    /// A member says that it lives, and hears whether it is to join again.
    pub(super) fn heartbeat(
        &mut self,
        now: Time,
        request: &HeartbeatRequest,
    ) -> Result<(), Refusal> {
        let id = &request.member_id;
        self.known(id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        self.heard(now, id);
        match self.state {
            ClassicState::PreparingRebalance => Err(Refusal::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}
