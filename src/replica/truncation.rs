//! Where two logs of a partition part, and where a follower cuts its own (KIP-101, KIP-279, KIP-595).
//!
//! A pair of leader epoch and offset names one record: whoever has it has everything before it. So two logs
//! are equal up to the end of the newest epoch they share, and it is found by comparing epochs alone.
//! Each cut shortens the follower's log, so asking again ends. Nothing here changes a log.

use crate::ids::{LeaderEpoch, Offset};
use crate::storage::{Epochs, Log};

/// What is to be known of a log to compare it with another.
#[derive(Debug, Clone, Copy)]
pub struct LogFacts<'a> {
    pub start: Offset,
    pub end: Offset,
    pub epochs: &'a Epochs,
}

impl<'a> From<&'a Log> for LogFacts<'a> {
    fn from(log: &'a Log) -> LogFacts<'a> {
        LogFacts {
            start: log.log_start(),
            end: log.log_end(),
            epochs: log.epochs(),
        }
    }
}

/// How a follower must shorten its log to go on as its leader's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Where the log ends afterwards; below its start it is emptied and begins here (`Log::restart_at`).
    pub to: Offset,
    /// The high watermark, if the cut goes below it. Then records that were committed are gone: after an
    /// unclean election, or after every replica lost what it had. Say so.
    pub below_high_watermark: Option<Offset>,
}

/// The largest epoch in the log not after `epoch`, and where it ended. What a leader answers about an epoch that
/// is not newer than its own: of one that left no records here it says what came before (the log's epochs do not
/// hold a leader's epoch before its first record). The end may lie below the log start: a follower that shares
/// nothing above it must not keep what it has below.
pub fn epoch_end(log: LogFacts<'_>, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
    let end = log.epochs.end_of(epoch, log.end);
    end.unwrap_or((log.epochs.latest(), log.end))
}

/// Where the leader's log ends what a fetch from `fetch_offset` on, behind a record of `last_fetched_epoch`,
/// takes for common; `None` if the fetch may go on there. Without an epoch ([`LeaderEpoch::NONE`], an empty
/// log or an old client) nothing can be said.
pub fn divergence(
    log: LogFacts<'_>,
    fetch_offset: Offset,
    last_fetched_epoch: LeaderEpoch,
) -> Option<(LeaderEpoch, Offset)> {
    if last_fetched_epoch < LeaderEpoch(0) {
        return None;
    }
    let (epoch, end) = epoch_end(log, last_fetched_epoch);
    (epoch < last_fetched_epoch || end < fetch_offset).then_some((epoch, end))
}

/// Whether a log has the record before `fetch_offset`, of `last_fetched_epoch`, and so everything in front of it.
/// Not the case where it was deleted and its epoch with it, although nothing diverges that can be seen.
pub(super) fn proves_common(
    log: LogFacts<'_>,
    fetch_offset: Offset,
    last_fetched_epoch: LeaderEpoch,
) -> bool {
    log.epochs.at(fetch_offset + -1) == last_fetched_epoch
}

/// Where a follower whose leader found divergence cuts: the end of the newest epoch both may share. `None` if
/// that would not shorten the log, so that the leader's answer makes no sense.
pub(super) fn cut(
    log: LogFacts<'_>,
    high_watermark: Offset,
    (epoch, end): (LeaderEpoch, Offset),
) -> Option<Cut> {
    // Not clamped to the log start: below it the log begins anew.
    let own_end = match log.epochs.end_of(epoch, log.end) {
        Some((_, own_end)) => own_end,
        None => log.end,
    };
    let to = own_end.min(end);
    let shortens = to < log.end && to >= Offset::ZERO;
    let below = (to < high_watermark).then_some(high_watermark);
    shortens.then_some(Cut {
        to,
        below_high_watermark: below,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(starts: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in starts {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn facts(epochs: &Epochs, start: i64, end: i64) -> LogFacts<'_> {
        LogFacts {
            start: Offset(start),
            end: Offset(end),
            epochs,
        }
    }

    /// Asks and cuts until the leader has nothing to object; the follower's log end after each cut.
    fn converge(leader: LogFacts<'_>, follower: &mut Epochs, end: i64) -> Vec<i64> {
        let mut ends = vec![end];
        loop {
            let end = ends[ends.len() - 1];
            let own = facts(follower, 0, end);
            let Some(told) = divergence(leader, own.end, follower.latest()) else {
                return ends;
            };
            let cut = cut(own, Offset::ZERO, told).expect("the leader's answer makes sense");
            follower.truncate(cut.to);
            ends.push(cut.to.0);
        }
    }

    #[test]
    fn kip_101_a_follower_keeps_what_is_common_and_not_just_its_high_watermark() {
        let leader = epochs(&[(0, 0), (2, 8)]);
        let mut follower = epochs(&[(0, 0)]);
        let ends = converge(facts(&leader, 0, 12), &mut follower, 8);
        assert_eq!(ends, [8]);
        let mut longer = epochs(&[(0, 0)]);
        assert_eq!(converge(facts(&leader, 0, 12), &mut longer, 10), [10, 8]);
    }

    #[test]
    fn kip_279_logs_that_share_no_newest_epoch_go_back_epoch_by_epoch() {
        let leader = epochs(&[(0, 0), (2, 10), (4, 20), (6, 25)]);
        let mut follower = epochs(&[(0, 0), (1, 5), (3, 15), (5, 30)]);
        let ends = converge(facts(&leader, 0, 40), &mut follower, 35);
        assert_eq!(ends, [35, 25, 15, 5]);
        assert_eq!(follower.latest(), LeaderEpoch(0));
    }

    #[test]
    fn a_leader_without_records_of_its_epoch_still_finds_divergence() {
        let leader = epochs(&[(4, 0)]);
        let leader = facts(&leader, 0, 10);
        let told = divergence(leader, Offset(13), LeaderEpoch(5));
        assert_eq!(told, Some((LeaderEpoch(4), Offset(10))));
        let empty = epochs(&[]);
        let told = divergence(facts(&empty, 0, 0), Offset(3), LeaderEpoch(5));
        assert_eq!(told, Some((LeaderEpoch::NONE, Offset(0))));
        let own = epochs(&[(5, 0)]);
        let whole = cut(facts(&own, 0, 3), Offset(2), told.expect("it diverges"));
        let told = Cut {
            to: Offset(0),
            below_high_watermark: Some(Offset(2)),
        };
        assert_eq!(whole, Some(told));
    }

    #[test]
    fn nothing_is_said_of_an_empty_log_and_nothing_done_about_nonsense() {
        let leader = epochs(&[(4, 20)]);
        let leader = facts(&leader, 20, 30);
        assert_eq!(divergence(leader, Offset(0), LeaderEpoch::NONE), None);
        // The epoch went with the log start: only its end is known.
        assert_eq!(divergence(leader, Offset(20), LeaderEpoch(3)), None);
        assert!(!proves_common(leader, Offset(20), LeaderEpoch(3)));
        assert!(proves_common(leader, Offset(21), LeaderEpoch(4)));
        let told = divergence(leader, Offset(25), LeaderEpoch(3));
        assert_eq!(told, Some((LeaderEpoch(3), Offset(20))));
        let own = epochs(&[(4, 0)]);
        let own = facts(&own, 0, 9);
        assert_eq!(cut(own, Offset(9), (LeaderEpoch(4), Offset(9))), None);
        assert_eq!(cut(own, Offset(9), (LeaderEpoch(4), Offset(-1))), None);
    }
}
