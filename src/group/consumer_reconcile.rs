//! A member's way from what it owns to what it is to own (KIP-848).
//!
//! First it gives up what it is not to have: until it says that it did, it stays in its epoch. Then it goes over to the
//! target's epoch and gets what nobody else has; what others still have it gets later, when they gave it up. So a
//! partition is never two members' (C3), and everybody arrives once everybody was heard often enough (C4).

use super::consumer_record::{Current, MemberState};
use super::partitions::Partitions;
use crate::ids::TopicId;

/// Where a member is to go.
pub(super) struct Target<'a> {
    pub epoch: i32,
    pub partitions: &'a Partitions,
}

/// What a member owns from now on. `owned` is what it says it owns, if it says so.
pub(super) fn reconcile(
    current: &Current,
    target: &Target,
    is_free: impl Fn(TopicId, i32) -> bool,
    owned: Option<&Partitions>,
) -> Current {
    let still_owns = |revoking: &Partitions| owned.is_none_or(|owned| owned.overlaps(revoking));
    let epoch = match current.state {
        MemberState::Stable if current.epoch == target.epoch => return current.clone(),
        MemberState::UnrevokedPartitions if still_owns(&current.revoking) => {
            return current.clone();
        }
        // It did what its epoch asked of it. The target may be further on by now.
        MemberState::UnrevokedPartitions => current.epoch + 1,
        MemberState::Stable | MemberState::UnreleasedPartitions => current.epoch,
    };
    let mut assigned = current.assigned.in_both(target.partitions);
    let revoking = current.assigned.without(&assigned);
    if !revoking.is_empty() && still_owns(&revoking) {
        return Current {
            epoch,
            previous_epoch: current.epoch,
            state: MemberState::UnrevokedPartitions,
            assigned,
            revoking,
        };
    }
    let mut state = MemberState::Stable;
    for (topic, index) in target.partitions.without(&assigned).iter() {
        match is_free(topic, index) {
            true => assigned.insert(topic, index),
            false => state = MemberState::UnreleasedPartitions,
        }
    }
    Current {
        epoch: target.epoch,
        previous_epoch: current.epoch,
        state,
        assigned,
        revoking: Partitions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId([1; 16]);

    fn set(indexes: &[i32]) -> Partitions {
        indexes.iter().map(|index| (T, *index)).collect()
    }

    fn at(epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) -> Current {
        Current {
            epoch,
            previous_epoch: 0,
            state,
            assigned: set(assigned),
            revoking: set(revoking),
        }
    }

    /// A member, its target, what is free, what it says it owns; where it comes to.
    type Case<'a> = (Current, &'a [i32], &'a [i32], Option<&'a [i32]>, Current);

    fn check(target_epoch: i32, cases: &[Case]) {
        for (current, target, free, owned, wanted) in cases {
            let (free, owned) = (set(free), owned.map(set));
            let target = Target {
                epoch: target_epoch,
                partitions: &set(target),
            };
            let is_free = |topic, index| free.contains(topic, index);
            let got = reconcile(current, &target, is_free, owned.as_ref());
            let expected = Current {
                previous_epoch: got.previous_epoch,
                ..wanted.clone()
            };
            assert_eq!(got, expected, "{current:?} towards {target_epoch}");
        }
    }

    fn stable(epoch: i32, assigned: &[i32]) -> Current {
        at(epoch, MemberState::Stable, assigned, &[])
    }

    fn waits(epoch: i32, assigned: &[i32]) -> Current {
        at(epoch, MemberState::UnreleasedPartitions, assigned, &[])
    }

    fn gives_up(epoch: i32, assigned: &[i32], revoking: &[i32]) -> Current {
        at(epoch, MemberState::UnrevokedPartitions, assigned, revoking)
    }

    #[test]
    fn a_member_goes_on_at_once_where_it_has_nothing_to_give_up() {
        check(
            4,
            &[
                (stable(4, &[1]), &[1], &[], None, stable(4, &[1])),
                // New partitions that are free, and ones that are not.
                (stable(3, &[1]), &[1, 2], &[2], None, stable(4, &[1, 2])),
                (stable(3, &[1]), &[1, 2], &[], None, waits(4, &[1])),
                (stable(3, &[]), &[1, 2], &[2], None, waits(4, &[2])),
                // They came free.
                (waits(4, &[1]), &[1, 2], &[2], None, stable(4, &[1, 2])),
                (waits(4, &[1]), &[1, 2], &[], None, waits(4, &[1])),
                // It does not have what it would be asked to give up.
                (stable(3, &[1]), &[], &[], Some(&[]), stable(4, &[])),
            ],
        );
    }

    #[test]
    fn a_member_stays_in_its_epoch_and_gets_nothing_until_it_says_that_it_gave_up_the_rest() {
        let (has, target): (&[i32], &[i32]) = (&[1, 2], &[1, 3]);
        let asked = gives_up(3, &[1], &[2]);
        check(
            4,
            &[
                (stable(3, has), target, &[3], None, asked.clone()),
                (stable(3, has), target, &[3], Some(has), asked.clone()),
                (asked.clone(), target, &[3], None, asked.clone()),
                (asked.clone(), target, &[3], Some(&[2]), asked.clone()),
                (asked.clone(), target, &[3], Some(&[1]), stable(4, &[1, 3])),
            ],
        );
        // The target has moved on meanwhile: one epoch on, and more to give up.
        check(
            5,
            &[
                (asked.clone(), &[], &[], Some(&[1]), gives_up(4, &[], &[1])),
                (waits(4, &[1]), &[], &[], None, gives_up(4, &[], &[1])),
            ],
        );
    }
}
