//! `klar ctl doctor`: where each client dialed, which addresses Metadata told it, whether it arrived there.

use serde::Deserialize;

use super::control::{CtlError, print_line};
use crate::ids::Time;
use crate::inspect::{Arrival, AskedApi, Checkup, ClusterSnapshot, ConnectionSnapshot};

/// The part of a snapshot that clients are judged by.
#[derive(Debug, Deserialize)]
struct Picture {
    time: Time,
    connections: Vec<ConnectionSnapshot>,
    gone: Vec<ConnectionSnapshot>,
}

/// Prints what the brokers recorded of every client, or of those with a client id, the worst off first.
pub fn print(snapshot: &str, client_id: Option<&str>) -> Result<(), CtlError> {
    let picture: Picture = serde_json::from_str(snapshot).map_err(CtlError::Strange)?;
    let picture = ClusterSnapshot {
        time: picture.time,
        connections: picture.connections,
        gone: picture.gone,
        ..ClusterSnapshot::default()
    };
    let mut checkups = picture.checkups(picture.time);
    if let Some(client_id) = client_id {
        checkups.retain(|checkup| checkup.client_id == client_id);
        if checkups.is_empty() {
            let why = format!("no client {client_id} is connected or was lately");
            return Err(CtlError::Usage(why));
        }
    }
    checkups.iter().try_for_each(one)
}

fn one(checkup: &Checkup) -> Result<(), CtlError> {
    let or_dash = |text: &str| match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    };
    print_line(&format!(
        "{}\t{}\t{}\t{}\t{} open\t{} ended",
        or_dash(&checkup.client_id),
        checkup.host,
        or_dash(&checkup.software),
        checkup.finding.words(),
        checkup.open,
        checkup.gone
    ))?;
    let (broker, address, since) = &checkup.first_dial;
    print_line(&format!(
        "first dial\t{address}\tbroker {broker}\t{}",
        since.iso()
    ))?;
    for asked in &checkup.asked {
        print_line(&asked_line(asked))?;
    }
    for told in &checkup.told {
        print_line(&told_line(told))?;
    }
    for (why, times) in &checkup.closed {
        print_line(&format!("closed\t{times} times\t{why}"))?;
    }
    print_line(&format!("means\t{}", checkup.means))?;
    match checkup.remedy.as_str() {
        "" => Ok(()),
        remedy => print_line(&format!("to do\t{remedy}")),
    }
}

fn asked_line(asked: &AskedApi) -> String {
    format!(
        "asked\t{} v{}\t{} requests\t{} errors\t{}",
        asked.api,
        asked.version,
        asked.requests,
        asked.errors,
        asked.last_error.as_deref().unwrap_or("-")
    )
}

fn told_line(told: &Arrival) -> String {
    let arrived = match told.since {
        Some(since) => format!("arrived {}", since.iso()),
        None if told.by_first_dial => "works by its first dial".to_owned(),
        None => "not dialed since".to_owned(),
    };
    format!("told\t{}\tbroker {}\t{arrived}", told.address, told.broker)
}
