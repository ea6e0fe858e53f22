//! A classic group's rebalance: everybody joins again, then a new generation begins.

use super::Refusal;
use super::after;
use super::alarms::Alarm;
use super::classic::{ClassicGroup, ClassicState, Initial, Scope};
use super::turn::Reply;
use crate::plants::{Plant, planted};

impl ClassicGroup {
    /// Has everybody join again, unless they are being waited for already.
    pub(super) fn rebalance(&mut self, scope: &mut Scope, why: String) {
        if self.state != ClassicState::PreparingRebalance {
            self.prepare(scope, why);
        }
        self.complete_join_if_all(scope);
    }

    fn prepare(&mut self, scope: &mut Scope, why: String) {
        self.why = why;
        for member in self.members.values_mut() {
            if let Some(to) = member.awaits_sync.take() {
                let again = Reply::Synced(Err(Refusal::RebalanceInProgress));
                scope.turn.reply(to, again);
            }
        }
        let timeout_ms = self.rebalance_timeout_ms();
        let delay_ms = scope.config.initial_rebalance_delay_ms.min(timeout_ms);
        let first = self.state == ClassicState::Empty && delay_ms > 0;
        let until = match first {
            true => after(scope.now, delay_ms),
            false => after(scope.now, timeout_ms),
        };
        self.initial = first.then(|| Initial {
            latest: after(scope.now, timeout_ms),
            grown: false,
        });
        self.wait_until(scope, until);
        self.become_state(scope, ClassicState::PreparingRebalance);
    }

    fn wait_until(&mut self, scope: &mut Scope, until: crate::ids::Time) {
        self.rebalance_until = Some(until);
        scope.set(until, Alarm::Rebalance);
    }

    /// Begins the next generation if everybody is there.
    pub(super) fn complete_join_if_all(&mut self, scope: &mut Scope) {
        let joined = self.members.values().all(|m| m.awaits_join.is_some());
        let waits = self.initial.is_some() || !self.pending.is_empty();
        if self.state == ClassicState::PreparingRebalance && joined && !waits {
            self.complete_join(scope);
        }
    }

    /// The time to join, or to fetch an assignment, is over.
    pub(super) fn on_rebalance_alarm(&mut self, scope: &mut Scope) {
        let due = self.rebalance_until.is_some_and(|at| at <= scope.now);
        if !due {
            return;
        }
        match self.state {
            ClassicState::PreparingRebalance => self.end_joining(scope),
            ClassicState::CompletingRebalance | ClassicState::Stable => self.end_syncing(scope),
            ClassicState::Empty | ClassicState::Dead => self.rebalance_until = None,
        }
    }

    fn end_joining(&mut self, scope: &mut Scope) {
        if let Some(initial) = self.initial.take() {
            let longer = after(scope.now, scope.config.initial_rebalance_delay_ms);
            let until = longer.min(initial.latest);
            if initial.grown && until > scope.now {
                let latest = initial.latest;
                let grown = false;
                self.initial = Some(Initial { latest, grown });
                return self.wait_until(scope, until);
            }
        }
        self.complete_join(scope);
    }

    /// Whoever has not fetched its assignment in time is out.
    fn end_syncing(&mut self, scope: &mut Scope) {
        self.rebalance_until = None;
        let late = self
            .members
            .iter()
            .filter(|(_, m)| !m.synced && m.awaits_sync.is_none());
        let mut late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        if self.state == ClassicState::CompletingRebalance && late.is_empty() {
            // Everybody waits for a leader that is there and does not assign.
            late.extend(self.leader.clone());
        }
        let Some(first) = late.first().cloned() else {
            return;
        };
        for id in &late {
            self.drop_member(scope, id, Refusal::UnknownMember);
        }
        self.rebalance_or_empty(scope, format!("{first} did not sync in time"));
    }

    /// Begins the next generation with who is there.
    fn complete_join(&mut self, scope: &mut Scope) {
        self.initial = None;
        self.members.retain(|id, member| {
            let stays = member.awaits_join.is_some() || member.instance.is_some();
            if !stays {
                scope.forget(&Alarm::Session(id.clone()));
            }
            stays
        });
        if self.members.is_empty() {
            return self.become_empty(scope);
        }
        let joined = self.members.iter().filter(|(_, m)| m.awaits_join.is_some());
        let Some(senior) = joined
            .min_by_key(|(_, m)| m.seniority)
            .map(|(id, _)| id.clone())
        else {
            // Only static members that are away: they are waited for once more.
            let until = after(scope.now, self.rebalance_timeout_ms().max(1));
            return self.wait_until(scope, until);
        };
        let leader = self.leader.take().filter(|id| {
            let member = self.members.get(id);
            member.is_some_and(|m| m.awaits_join.is_some())
        });
        self.leader = Some(leader.unwrap_or(senior));
        if !planted(Plant::ReusesGenerations) || self.generation < 1 {
            self.generation = self.generation.wrapping_add(1).max(1);
        }
        self.protocol = self.best_protocol();
        self.become_state(scope, ClassicState::CompletingRebalance);
        let until = after(scope.now, self.rebalance_timeout_ms());
        self.wait_until(scope, until);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.synced = false;
            if let Some(to) = member.awaits_join.take() {
                member.new_until = None;
                member.session_until = after(scope.now, member.session_timeout_ms);
                scope.turn.reply(to, Reply::Joined(Box::new(joined)));
            }
        }
    }

    /// The last member is gone.
    pub(super) fn become_empty(&mut self, scope: &mut Scope) {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.protocol = None;
        self.leader = None;
        self.rebalance_until = None;
        scope.forget(&Alarm::Rebalance);
        self.initial = None;
        self.become_state(scope, ClassicState::Empty);
        scope.turn.records.push(self.record(scope.name));
    }

    /// After members went: the others join again, if there are any.
    pub(super) fn rebalance_or_empty(&mut self, scope: &mut Scope, why: String) {
        match self.state {
            ClassicState::Empty | ClassicState::Dead => {}
            ClassicState::PreparingRebalance => self.complete_join_if_all(scope),
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.rebalance(scope, why);
            }
        }
    }
}
