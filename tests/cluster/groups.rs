//! `klar ctl groups`: groups are listed, their offsets moved and deleted, all as Kafka requests to the coordinator.

use crate::program::{Klar, fresh_dir};

/// A klar with a topic of two partitions, five records in the first.
fn with_records(dir: &std::path::Path) -> Klar {
    let klar = Klar::on(dir);
    klar.ctl_ok(&["topics", "create", "orders", "--partitions", "2"]);
    for n in 0..5 {
        let timestamp = (1_700_000_000_000_i64 + n * 1_000).to_string();
        let arguments = ["--key", "k", "--value", "v", "--timestamp", &timestamp];
        klar.ctl_ok(&[&["produce", "orders"][..], &arguments].concat());
    }
    klar
}

#[test]
fn a_group_is_made_moved_described_and_deleted() {
    let dir = fresh_dir();
    let klar = with_records(dir.path());
    let snapshot = klar.snapshot();
    let topics = snapshot["topics"].as_array().unwrap();
    let orders = topics.iter().find(|t| t["name"] == "orders").unwrap();
    let ends = [0, 1].map(|p| orders["partitions"][p]["log_end"].as_i64().unwrap());
    let full = if ends[0] == 5 { 0 } else { 1 };
    assert_eq!(ends[full], 5);
    let reset = |to: &[&str]| {
        let reset = ["groups", "reset", "billing", "--topic", "orders"];
        klar.ctl_ok(&[&reset[..], to].concat())
    };
    // The first offsets a group ever has come from here, too.
    let said = reset(&["--to-latest"]);
    assert!(
        said.contains("Group billing goes on from 2 offsets."),
        "{said}"
    );
    let listed = klar.ctl_ok(&["groups", "list"]);
    assert!(
        listed.starts_with("billing\tclassic\tEmpty\t0 members\tlag 0\t"),
        "{listed}"
    );
    let said = reset(&["--shift-by", "-2", "--dry-run"]);
    assert!(
        said.contains(&format!("orders-{full}\tnow 5\tbecomes 3\tre-read 2")),
        "{said}"
    );
    assert!(said.contains("dry run"), "{said}");
    reset(&["--to-time-ms", "1700000001500"]);
    let told = klar.ctl_ok(&["groups", "describe", "billing"]);
    let line = format!("orders-{full}\tcommitted 2\tend 5\tlag 3\t-");
    assert!(told.contains(&line), "{told}");
    let group = &klar.snapshot()["groups"][0];
    assert_eq!(group["offsets"][full]["committed"], 2);
    let partition = format!("orders-{full}");
    let refused = klar.ctl(&["groups", "delete-offsets", "billing", &partition]);
    assert!(!refused.status.success(), "it wants to be told --yes");
    klar.ctl_ok(&["groups", "delete-offsets", "billing", &partition, "--yes"]);
    let told = klar.ctl_ok(&["groups", "describe", "billing"]);
    assert!(told.contains(&format!("orders-{}\t", 1 - full)), "{told}");
    assert!(!told.contains(&format!("{partition}\t")), "{told}");
    klar.ctl_ok(&["groups", "delete", "billing", "--yes"]);
    assert_eq!(klar.ctl_ok(&["groups", "list"]), "");
    let again = klar.ctl(&["groups", "delete", "billing", "--yes"]);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("GROUP_ID_NOT_FOUND (69)"), "{said}");
}
