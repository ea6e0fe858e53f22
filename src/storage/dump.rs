//! `klar dump FILE`: what a file of a data directory says, as text.
//!
//! Goes by the file's name and first bytes; changes nothing and needs no lock. Damage is printed where it
//! lies, and printing goes on as far as lengths can be believed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::beside::metadata_snapshot_id;
use super::broker_dir::{read_clean_stop, read_recovery_points};
use super::disk::{Disk, RealDisk};
use super::epochs::Epochs;
use super::format::{self, Fields, FormatError};
use super::offset_index;
use super::owner;
use super::producers::Producers;
use super::retention::offset_of;
use super::roster::Roster;
use super::scan::Window;
use super::segment::{LOG, OFFSET_INDEX, TIME_INDEX};
use super::time_index;
use crate::ids::{LeaderEpoch, Offset};
use crate::wire::records::{BatchHeader, BatchView, ControlType};

/// Bytes a control record may unpack to.
const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// Why a file was not printed.
#[derive(Debug, Error)]
pub enum DumpError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no file klar writes", path.display())]
    Unknown { path: PathBuf },
    #[error("{} does not check out: {source}", path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// Prints a segment, index, snapshot or checkpoint.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    let unreadable = |source| DumpError::Read {
        path: path.to_owned(),
        source,
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let mut disk = RealDisk::new();
    let len = disk.len(path).map_err(unreadable)?;
    if let Some(id) = metadata_snapshot_id(name) {
        return dump_metadata_snapshot(&mut disk, path, len, id, out);
    }
    if let Some(base) = offset_of(name, LOG) {
        return dump_segment(&mut disk, path, len, base, out);
    }
    let file = std::fs::read(path).map_err(unreadable)?;
    let printed = if let Some(base) = offset_of(name, OFFSET_INDEX) {
        dump_offset_index(&file, base, out)?
    } else if let Some(base) = offset_of(name, TIME_INDEX) {
        dump_time_index(&file, base, out)?
    } else {
        match file.first_chunk::<8>() {
            Some(format::MAGIC_EPOCHS) => dump_epochs(&file, out)?,
            Some(format::MAGIC_LOG_START) => dump_log_start(&file, out)?,
            Some(format::MAGIC_OWNER) => dump_owner(&file, out)?,
            Some(format::MAGIC_PRODUCERS) => dump_producers(&file, out)?,
            Some(format::MAGIC_RECOVERY_POINTS) => dump_recovery_points(&file, out)?,
            Some(format::MAGIC_CLEAN_STOP) => dump_clean_stop(&file, out)?,
            Some(format::MAGIC_IDENTITY) => dump_identity(&file, out)?,
            Some(format::MAGIC_ROSTER) => dump_roster(&file, out)?,
            _ => {
                return Err(DumpError::Unknown {
                    path: path.to_owned(),
                });
            }
        }
    };
    printed.map_err(|source| DumpError::Format {
        path: path.to_owned(),
        source,
    })
}

/// Outside: printing failed. Inside: the file does not check out.
type Printed = io::Result<Result<(), FormatError>>;

fn dump_segment(
    disk: &mut dyn Disk,
    path: &Path,
    len: u64,
    base: Offset,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    writeln!(out, "segment from offset {base}, {len} bytes")?;
    if let Some(end) = dump_batches(disk, path, len, base, out, |_, _| {})? {
        writeln!(out, "ends in front of offset {end}")?;
    }
    Ok(())
}

fn dump_metadata_snapshot(
    disk: &mut dyn Disk,
    path: &Path,
    len: u64,
    (end, epoch): (Offset, LeaderEpoch),
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    writeln!(
        out,
        "metadata snapshot of all in front of offset {end}, epoch {epoch}, {len} bytes"
    )?;
    let (mut sound, mut controls) = (true, Vec::new());
    // Its records are numbered from 0, whatever it contains.
    let read = dump_batches(disk, path, len, Offset::ZERO, out, |batch, due| {
        let header = batch.header();
        let follows = header.base_offset == due && header.leader_epoch == epoch;
        sound &= follows && batch.crc_ok() && controls.last() != Some(&ControlType::SnapshotFooter);
        controls.extend(control_type(batch));
    })?;
    let ends = [ControlType::SnapshotHeader, ControlType::SnapshotFooter];
    match sound && read.is_some() && controls == ends {
        true => writeln!(out, "whole, from header to footer")?,
        false => writeln!(out, "NOT WHOLE: it is never used")?,
    }
    Ok(())
}

/// What a control batch is for.
fn control_type(batch: &BatchView<'_>) -> Option<ControlType> {
    if !batch.header().is_control() {
        return None;
    }
    let mut records = batch.records(MAX_CONTROL_BYTES).ok()?;
    records.next_record().ok()??.control_type()
}

/// Prints each batch and gives it to `each`, with the offset that was due; where the last one ends, if all bytes are
/// batches.
fn dump_batches(
    disk: &mut dyn Disk,
    path: &Path,
    len: u64,
    base: Offset,
    out: &mut dyn Write,
    mut each: impl FnMut(&BatchView<'_>, Offset),
) -> Result<Option<Offset>, DumpError> {
    let mut window = Window::new(disk, path, len);
    let mut position = 0;
    let mut due = base;
    while position < len {
        let batch = window.batch(position).map_err(|source| DumpError::Read {
            path: path.to_owned(),
            source,
        })?;
        match batch {
            Ok(batch) => {
                let crc = if batch.crc_ok() { "ok" } else { "BAD" };
                print_batch(out, position, batch.header(), crc, due)?;
                each(&batch, due);
                due = batch.header().next_offset();
                position += batch.bytes().len() as u64;
            }
            Err(error) => {
                let left = len - position;
                writeln!(out, "@{position} no batch: {error}; {left} bytes left")?;
                return Ok(None);
            }
        }
    }
    Ok(Some(due))
}

fn print_batch(
    out: &mut dyn Write,
    position: u64,
    header: &BatchHeader,
    crc: &str,
    due: Offset,
) -> io::Result<()> {
    let codec = header.codec().map_or("unknown", |codec| codec.name());
    write!(
        out,
        "@{position} offsets {}..{} epoch {} bytes {} records {} {codec} crc {:08x} {crc}",
        header.base_offset,
        header.last_offset(),
        header.leader_epoch,
        header.total_bytes(),
        header.record_count,
        header.crc,
    )?;
    let (first, max) = (header.base_timestamp_ms, header.max_timestamp_ms);
    write!(out, " time {first}..{max}")?;
    if header.has_producer() {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let sequence = header.base_sequence;
        write!(out, " producer {id} epoch {epoch} sequence {sequence}")?;
    }
    let flags = [
        (header.is_log_append_time(), " log-append-time"),
        (header.is_transactional(), " transactional"),
        (header.is_control(), " control"),
        (header.base_offset != due, " OUT OF ORDER"),
    ];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        write!(out, "{flag}")?;
    }
    writeln!(out)
}

fn dump_offset_index(file: &[u8], base: Offset, out: &mut dyn Write) -> Printed {
    let (facts, bytes) = match offset_index::open(file) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    let entries = &file[..bytes];
    writeln!(
        out,
        "offset index, {} entries",
        offset_index::count(entries)
    )?;
    for n in 0..offset_index::count(entries) {
        let (relative, position) = offset_index::entry(entries, n);
        let offset = base + i64::from(relative);
        writeln!(out, "offset {offset} at {position}")?;
    }
    writeln!(
        out,
        "segment: offsets {} to before {}, {} bytes, first timestamp {}, max timestamp {} at offset {}",
        facts.base,
        facts.end,
        facts.bytes,
        facts.first_timestamp_ms,
        facts.max_timestamp_ms,
        facts.max_timestamp_at,
    )?;
    Ok(Ok(()))
}

fn dump_time_index(file: &[u8], base: Offset, out: &mut dyn Write) -> Printed {
    let bytes = match time_index::open(file) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(error)),
    };
    let entries = &file[..bytes];
    writeln!(out, "time index, {} entries", time_index::count(entries))?;
    for n in 0..time_index::count(entries) {
        let (timestamp, relative) = time_index::entry(entries, n);
        let offset = base + i64::from(relative);
        writeln!(out, "nothing after {timestamp} up to offset {offset}")?;
    }
    Ok(Ok(()))
}

fn dump_epochs(file: &[u8], out: &mut dyn Write) -> Printed {
    let epochs = match Epochs::from_file(file) {
        Ok(epochs) => epochs,
        Err(error) => return Ok(Err(error)),
    };
    writeln!(out, "leader epochs")?;
    for (epoch, start) in epochs.starts() {
        writeln!(out, "epoch {epoch} from offset {start}")?;
    }
    Ok(Ok(()))
}

fn dump_log_start(file: &[u8], out: &mut dyn Write) -> Printed {
    let start = format::open(format::MAGIC_LOG_START, file);
    match start.and_then(|body| Fields::new(body).i64()) {
        Ok(start) => writeln!(out, "log start offset {start}").map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn dump_owner(file: &[u8], out: &mut dyn Write) -> Printed {
    match owner::from_file(file) {
        Ok(id) => writeln!(out, "records of the topic with id {id}").map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn dump_producers(file: &[u8], out: &mut dyn Write) -> Printed {
    let producers = match Producers::from_file(file) {
        Ok(producers) => producers,
        Err(error) => return Ok(Err(error)),
    };
    writeln!(out, "producer snapshot, {} producers", producers.count())?;
    for (id, entry) in producers.entries() {
        let seen = entry.last_seen.as_ms();
        writeln!(out, "producer {id} epoch {} last seen {seen}", entry.epoch)?;
        for batch in &entry.batches {
            writeln!(
                out,
                "  sequences {}..{} at offsets {}..{} max timestamp {}",
                batch.first_sequence,
                batch.last_sequence,
                batch.base_offset,
                batch.last_offset,
                batch.max_timestamp_ms,
            )?;
        }
    }
    Ok(Ok(()))
}

fn dump_recovery_points(file: &[u8], out: &mut dyn Write) -> Printed {
    let points = match read_recovery_points(file) {
        Ok(points) => points,
        Err(error) => return Ok(Err(error)),
    };
    writeln!(out, "recovery points, {} logs", points.len())?;
    for (name, point) in points {
        writeln!(out, "{name}: synced in front of offset {point}")?;
    }
    Ok(Ok(()))
}

fn dump_clean_stop(file: &[u8], out: &mut dyn Write) -> Printed {
    let states = match read_clean_stop(file) {
        Ok(states) => states,
        Err(error) => return Ok(Err(error)),
    };
    writeln!(out, "clean stop, {} logs", states.len())?;
    for (name, state) in states {
        let end = state.segments.last().map_or(state.log_start, |s| s.end);
        let segments = state.segments.len();
        writeln!(
            out,
            "{name}: offsets {} to before {end}, {segments} segments",
            state.log_start
        )?;
    }
    Ok(Ok(()))
}

fn dump_roster(file: &[u8], out: &mut dyn Write) -> Printed {
    match format::open(format::MAGIC_ROSTER, file).and_then(Roster::decode) {
        Ok(roster) => {
            for broker in &roster.brokers {
                let votes = match roster.voters.contains(broker) {
                    true => "votes",
                    false => "does not vote",
                };
                writeln!(out, "broker {broker} {votes}")?;
            }
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn dump_identity(file: &[u8], out: &mut dyn Write) -> Printed {
    let body = format::open(format::MAGIC_IDENTITY, file);
    match body.and_then(|body| Fields::new(body).text()) {
        Ok(cluster_id) => writeln!(out, "cluster {cluster_id}").map(Ok),
        Err(error) => Ok(Err(error)),
    }
}
