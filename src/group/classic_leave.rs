//! LeaveGroup, and sessions that end by themselves.

use super::Refusal;
use super::alarms::Alarm;
use super::classic::{ClassicGroup, ClassicState, Scope};
use super::classic_join::with_reason;
use super::turn::Reply;

/// Who is to leave: by member id, or a static member by its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    pub member_id: String,
    pub instance: Option<String>,
    pub reason: Option<String>,
}

impl ClassicGroup {
    /// Members leave: one result for each.
    pub(super) fn leave(
        &mut self,
        scope: &mut Scope,
        leavers: &[Leaver],
    ) -> Vec<Result<(), Refusal>> {
        let mut results = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            results.push(self.leave_one(scope, leaver));
        }
        results
    }

    fn leave_one(&mut self, scope: &mut Scope, leaver: &Leaver) -> Result<(), Refusal> {
        let id = match &leaver.instance {
            Some(instance) => {
                let current = self.by_instance(instance).ok_or(Refusal::UnknownMember)?;
                // A tool that removes a static member need not know its member id.
                match leaver.member_id.is_empty() || leaver.member_id == current {
                    true => current.to_owned(),
                    false => return Err(Refusal::FencedInstance),
                }
            }
            None => leaver.member_id.clone(),
        };
        if self.pending.remove(&id).is_some() {
            scope.forget(&Alarm::Pending(id));
            self.complete_join_if_all(scope);
            return Ok(());
        }
        self.known(&id, None)?;
        self.drop_member(scope, &id, Refusal::UnknownMember);
        let why = with_reason(format!("{id} left"), leaver.reason.as_deref());
        self.rebalance_or_empty(scope, why);
        Ok(())
    }

    /// Takes a member out; whoever waits for its answer is told why there is none.
    pub(super) fn drop_member(&mut self, scope: &mut Scope, id: &str, refusal: Refusal) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        scope.forget(&Alarm::Session(id.to_owned()));
        if let Some(to) = member.awaits_join {
            scope
                .turn
                .reply(to, Reply::NotJoined(refusal, id.to_owned()));
        }
        if let Some(to) = member.awaits_sync {
            scope.turn.reply(to, Reply::Synced(Err(refusal)));
        }
        if self.leader.as_deref() == Some(id) && self.state != ClassicState::PreparingRebalance {
            // Only until the rebalance that follows has chosen another.
            self.leader = None;
        }
    }

    /// Looks whether a member's session is over.
    pub(super) fn on_session_alarm(&mut self, scope: &mut Scope, id: &str) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let waits = member.awaits_join.is_some() || member.awaits_sync.is_some();
        let too_new = member.new_until.is_some_and(|until| until <= scope.now);
        let until = match waits && !too_new {
            // Its request is here: it will be heard of when that is answered.
            true => super::after(scope.now, member.session_timeout_ms.max(1)),
            false => member.session_until,
        };
        if until > scope.now {
            return scope.set(until, Alarm::Session(id.to_owned()));
        }
        let timeout_ms = member.session_timeout_ms;
        self.drop_member(scope, id, Refusal::UnknownMember);
        let why = format!("{id} was not heard for session.timeout.ms = {timeout_ms}");
        self.rebalance_or_empty(scope, why);
    }

    /// Looks whether a member id given out is still to be waited for.
    pub(super) fn on_pending_alarm(&mut self, scope: &mut Scope, id: &str) {
        if self
            .pending
            .get(id)
            .is_some_and(|until| *until <= scope.now)
        {
            self.pending.remove(id);
            self.complete_join_if_all(scope);
        }
    }
}
