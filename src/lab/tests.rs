//! The simulator on itself: the same schedule does the same, files keep schedules, a quiet run is fine.

use super::*;

fn profile(name: &str) -> &'static Profile {
    PROFILES.iter().find(|p| p.name == name).unwrap()
}

fn fine(profile_name: &str, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let schedule = plan(seed, profile(profile_name));
        let report = run(&schedule, Watch::default());
        let what: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(report.is_fine(), "seed {seed}: {}", what.join("\n"));
        assert!(report.tally.get("records acknowledged") > 0, "seed {seed}");
    }
}

#[test]
fn calm_runs_are_fine() {
    fine("calm", 0..3);
}

#[test]
fn a_few_seeds_of_everything_are_fine() {
    fine("swarm", 0..6);
}

#[test]
fn the_same_schedule_does_the_same() {
    let schedule = plan(11, profile("swarm"));
    let hashes = [(); 2].map(|()| run(&schedule, Watch::default()).hash);
    assert_eq!(hashes[0], hashes[1]);
    let other = plan(12, profile("swarm"));
    assert_ne!(run(&other, Watch::default()).hash, hashes[0]);
}

#[test]
fn a_schedule_survives_its_file() {
    for profile in PROFILES {
        let schedule = plan(3, profile);
        let text = schedule.to_json();
        assert_eq!(Schedule::from_json(&text).unwrap(), schedule, "{text}");
    }
    let newer = plan(3, &PROFILES[0])
        .to_json()
        .replace("\"version\": 1", "\"version\": 2");
    assert!(matches!(
        Schedule::from_json(&newer),
        Err(ScheduleError::Version(2))
    ));
}

#[test]
fn a_run_stops_where_it_is_told_to() {
    let watch = Watch {
        until: Some(100),
        tell: None,
    };
    let report = run(&plan(1, &PROFILES[0]), watch);
    assert_eq!(report.events, 100);
}
