//! Pause, slow motion and step: what can be asked of the cluster's time, and how it passes now, in words.
//!
//! One list gives the top bar, the keys and the palette their entries. What holds is read off the picture, so it is
//! shown for exactly as long as it lasts, whoever asked for it.

use std::collections::BTreeSet;

use super::actions::{Action, Keys};
use super::format;
use super::replicas::is_peer;
use super::scene::Scene;
use crate::inspect::{ClusterSnapshot, Command, PaceSnapshot};

/// The speeds the window offers: how many seconds a second of the cluster takes, fastest first.
pub const SLOWDOWNS: [u32; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// A cluster's clock that is less than this behind the machine's is not worth a word, milliseconds.
const BEHIND_SAID_MS: u64 = 100;

/// The speed as a factor: `1×`, `1/20×`.
pub fn speed(slowdown: u32) -> String {
    match slowdown {
        1 => "1×".to_owned(),
        _ => format!("1/{slowdown}×"),
    }
}

/// What is not as it would be by itself: a title, and a sentence with whom it concerns, at length and shorter. Nothing
/// in real time.
pub fn words(picture: &ClusterSnapshot) -> Option<(String, [String; 2])> {
    let pace = &picture.pace;
    if pace.is_real() {
        return None;
    }
    let title = match pace {
        PaceSnapshot {
            searching: true, ..
        } => "Time goes on until a broker sends something".to_owned(),
        PaceSnapshot { paused: true, .. } => "Time stands still".to_owned(),
        PaceSnapshot { slowdown: 1, .. } => "Replication frozen".to_owned(),
        PaceSnapshot { slowdown, .. } => format!("A second takes {slowdown} s"),
    };
    // Each at length and shorter: whom it concerns is said also where what comes next has no room.
    let mut parts: Vec<[String; 2]> = Vec::new();
    let both = |text: &str| [text.to_owned(), text.to_owned()];
    if pace.replication_frozen && (pace.paused || pace.slowdown > 1) {
        parts.push(both("replication is frozen"));
    }
    if let Some(next) = pace.held.first() {
        let count = pace.held.len() as u64;
        let messages = format::counted_as(count, "message waits", "messages wait");
        parts.push([format!("{messages}, next: {}", next.words()), messages]);
    } else if pace.paused {
        parts.push(both("nothing is on its way between brokers"));
    } else if pace.replication_frozen {
        parts.push(both("followers get nothing"));
    }
    if pace.paused || pace.slowdown > 1 {
        parts.extend(outsiders(picture));
    }
    if pace.behind_ms >= BEHIND_SAID_MS {
        let behind = pace.behind_ms as f64 / 1_000.0;
        parts.push(both(&format!(
            "the cluster's clock is {behind:.1} s behind"
        )));
    }
    let joined = |way: usize| {
        parts
            .iter()
            .map(|part| part[way].as_str())
            .collect::<Vec<_>>()
            .join(" · ")
    };
    Some((title, [joined(0), joined(1)]))
}

/// Clients whose time is their own.
fn outsiders(picture: &ClusterSnapshot) -> Option<[String; 2]> {
    let foreign = picture.connections.iter();
    let foreign = foreign.filter(|connection| !connection.own && !is_peer(picture, connection));
    let names: BTreeSet<(&str, &str)> = foreign
        .map(|connection| (connection.client_id.as_str(), connection.software.as_str()))
        .collect();
    let count = names.len() as u64;
    let clients = format::counted_as(count, "foreign client keeps", "foreign clients keep");
    let shorter = format!("{clients} real time");
    (count > 0).then(|| [format!("{shorter} and may give up waiting"), shorter])
}

/// The offered speed nearest to this one.
pub fn nearest(slowdown: u32) -> usize {
    let slower = SLOWDOWNS.partition_point(|offered| *offered < slowdown);
    slower.min(SLOWDOWNS.len() - 1)
}

fn slow_to(scene: &mut Scene<'_>, nth: usize) {
    if let Some(times) = SLOWDOWNS.get(nth) {
        scene.send(Command::SlowTime { times: *times });
    }
}

/// Has time stand still or go on.
pub fn toggle_pause(scene: &mut Scene<'_>) {
    scene.send(match scene.picture.pace.paused {
        true => Command::ResumeTime,
        false => Command::PauseTime,
    });
}

/// The ways back to real time from what holds now, as a button's word and its command.
pub fn ways_back(pace: &PaceSnapshot) -> Vec<(&'static str, Command)> {
    let mut ways = Vec::new();
    if pace.searching {
        ways.push(("Stand still", Command::PauseTime));
    }
    if pace.paused {
        ways.push(("Go on", Command::ResumeTime));
    }
    if pace.slowdown > 1 {
        ways.push(("Full speed", Command::SlowTime { times: 1 }));
    }
    if pace.replication_frozen {
        ways.push(("Thaw replication", Command::ThawReplication));
    }
    ways
}

const fn action(
    name: &'static str,
    keys: Keys,
    can: fn(&Scene<'_>) -> bool,
    run: fn(&mut Scene<'_>),
) -> Action {
    Action {
        name,
        group: "Time",
        keys: Some(keys),
        can,
        run,
    }
}

/// What can be asked of time, in every view.
pub const ACTIONS: &[Action] = &[
    action(
        "Pause time",
        Keys::plain(egui::Key::Space),
        |scene| scene.abilities.turn_time && !scene.picture.pace.paused,
        toggle_pause,
    ),
    action(
        "Let time go on",
        Keys::plain(egui::Key::Space),
        |scene| scene.picture.pace.paused,
        toggle_pause,
    ),
    action(
        "Step one message between brokers",
        Keys::plain(egui::Key::Period),
        |scene| scene.picture.pace.paused || scene.picture.pace.replication_frozen,
        |scene| {
            scene.send(Command::Step);
        },
    ),
    action(
        "Slower",
        Keys::plain(egui::Key::OpenBracket),
        |scene| {
            scene.abilities.turn_time
                && scene.picture.pace.slowdown < SLOWDOWNS[SLOWDOWNS.len() - 1]
        },
        |scene| slow_to(scene, nearest(scene.picture.pace.slowdown) + 1),
    ),
    action(
        "Faster",
        Keys::plain(egui::Key::CloseBracket),
        |scene| scene.picture.pace.slowdown > 1,
        |scene| {
            slow_to(
                scene,
                nearest(scene.picture.pace.slowdown).saturating_sub(1),
            )
        },
    ),
    action(
        "Full speed",
        Keys::shift(egui::Key::CloseBracket),
        |scene| scene.picture.pace.slowdown > 1,
        |scene| slow_to(scene, 0),
    ),
    action(
        "Freeze replication",
        Keys::shift(egui::Key::F),
        |scene| scene.abilities.turn_time && !scene.picture.pace.replication_frozen,
        |scene| {
            scene.send(Command::FreezeReplication);
        },
    ),
    action(
        "Thaw replication",
        Keys::shift(egui::Key::F),
        |scene| scene.picture.pace.replication_frozen,
        |scene| {
            scene.send(Command::ThawReplication);
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_speed_has_a_neighbour_on_the_scale() {
        for (slowdown, expected) in [(1, 0), (3, 2), (20, 4), (999, 9), (1_000, 9)] {
            assert_eq!(nearest(slowdown), expected, "{slowdown}");
        }
        assert_eq!([speed(1), speed(20)], ["1×", "1/20×"]);
    }

    #[test]
    fn each_thing_that_holds_has_its_way_back() {
        let names = |pace: PaceSnapshot| -> Vec<&str> {
            ways_back(&pace).into_iter().map(|(name, _)| name).collect()
        };
        assert!(names(PaceSnapshot::default()).is_empty());
        let all = PaceSnapshot {
            slowdown: 20,
            paused: true,
            replication_frozen: true,
            ..PaceSnapshot::default()
        };
        assert_eq!(names(all), ["Go on", "Full speed", "Thaw replication"]);
    }
}
