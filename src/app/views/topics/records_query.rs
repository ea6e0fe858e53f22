//! What the Records tab asks for, from what is typed and chosen; how its progress reads as a sentence.
//!
//! Pure but for the machine's time zone: the present moment is passed in.

use crate::app::format;
use crate::app::state::{BrowseStart, RecordsChoices};
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{Browse, BrowseFrom, BrowseQuery, BrowseState};

/// Matches one request brings before it stops and offers to continue.
pub const ROWS_AT_A_TIME: usize = 500;

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// The query for a topic; `Err` says which field cannot be read.
pub fn query(
    topic: &str,
    choices: &RecordsChoices,
    filter: &str,
    now_ms: i64,
) -> Result<BrowseQuery, &'static str> {
    let from = match choices.start {
        BrowseStart::Newest => BrowseFrom::Newest,
        BrowseStart::Earliest => BrowseFrom::Earliest,
        BrowseStart::LiveTail => BrowseFrom::LiveTail,
        BrowseStart::Offset => BrowseFrom::Offset(
            parse_offset(&choices.offset).ok_or("An offset is a whole number, such as 1,042.")?,
        ),
        BrowseStart::Time => BrowseFrom::TimeMs(
            parse_time(&choices.time, now_ms)
                .ok_or("A time is 14:05, 2026-11-22 14:05:30.250 or milliseconds since 1970.")?,
        ),
    };
    Ok(BrowseQuery {
        topic: topic.to_owned(),
        partition: choices.partition.map(PartitionIndex),
        from,
        filter: filter.trim().to_owned(),
        in_key: choices.in_key,
        in_value: choices.in_value,
        in_headers: choices.in_headers,
        limit: ROWS_AT_A_TIME,
    })
}

/// An offset, with or without separators.
fn parse_offset(text: &str) -> Option<Offset> {
    let digits: String = text
        .trim()
        .chars()
        .filter(|c| !matches!(c, ',' | '_' | ' ' | '\''))
        .collect();
    let offset: i64 = digits.parse().ok()?;
    (offset >= 0).then_some(Offset(offset))
}

/// Milliseconds since 1970 from a time of day (today's), a date, both, or the number itself.
pub fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim();
    if text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let midnight = format::local_ms(now_ms).div_euclid(DAY_MS) * DAY_MS;
    let local = match text.split_once([' ', 'T']) {
        Some((date, time)) => parse_date(date)? + parse_time_of_day(time.trim())?,
        None if text.contains(':') => midnight + parse_time_of_day(text)?,
        None => parse_date(text)?,
    };
    Some(format::from_local_ms(local))
}

/// Milliseconds at the beginning of a day written as `2026-11-22`.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    let years: i64 = (1970..year)
        .map(|year| 365 + i64::from(is_leap(year)))
        .sum();
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    Some((years + months + day - 1) * DAY_MS)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Milliseconds of the day from `14:05`, `14:05:30` or `14:05:30.250`.
fn parse_time_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let in_range =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    if !in_range || parts.next().is_some() || fraction.is_empty() {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded: String = fraction.chars().chain("00".chars()).take(3).collect();
    let ms: i64 = padded.parse().ok()?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

/// How far a search is: always how much was scanned, never "none" before everything was read.
pub fn progress(browse: &Browse) -> String {
    let filtered = !browse.query.filter.is_empty();
    let found = if filtered {
        format::counted_as(browse.rows.len() as u64, "match", "matches")
    } else {
        format::counted(browse.rows.len() as u64, "record")
    };
    if browse.query.from == BrowseFrom::LiveTail {
        let heard = format!("{} · {} seen since", found, format::count(browse.scanned));
        return match browse.state {
            BrowseState::Paused => format!("{heard} · paused"),
            _ => format!("{heard} · listening"),
        };
    }
    let scanned = format!(
        "{found} · scanned {} of {}",
        format::count(browse.scanned),
        format::count(browse.of)
    );
    match browse.state {
        BrowseState::Running => format!("{scanned} …"),
        BrowseState::Paused => format!("{scanned} · stopped"),
        BrowseState::LimitReached => format!("{scanned} · more to scan"),
        BrowseState::Complete => format!("{scanned} · all read"),
        BrowseState::Failed(_) => format!("{scanned} · failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_with_separators() {
        for (text, expected) in [
            ("1042", Some(1_042)),
            (" 1,042 ", Some(1_042)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-1", None),
            ("", None),
            ("ten", None),
        ] {
            assert_eq!(
                parse_offset(text).map(|offset| offset.0),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn times_are_read_in_every_form_the_window_writes() {
        let now = 1_795_307_825_413;
        for (text, expected) in [
            ("2026-11-22 00:37:05.413", Some(now)),
            ("2026-11-22T00:37:05.413", Some(now)),
            ("00:37:05.413", Some(now)),
            ("00:37:05", Some(now - 413)),
            ("00:37", Some(now - 5_413)),
            ("00:37:05.4", Some(now - 13)),
            ("1795307825413", Some(now)),
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(951_782_400_000)),
            ("2001-02-29", None),
            ("24:00", None),
            ("12:60", None),
            ("12:00:00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text, now), expected, "{text}");
        }
    }

    #[test]
    fn a_query_says_which_field_cannot_be_read() {
        let mut choices = RecordsChoices {
            start: BrowseStart::Offset,
            offset: "x".into(),
            ..RecordsChoices::default()
        };
        assert!(query("orders", &choices, "", 0).is_err());
        choices.offset = "7".into();
        choices.partition = Some(2);
        let asked = query("orders", &choices, " bike ", 0).unwrap();
        assert_eq!(asked.from, BrowseFrom::Offset(Offset(7)));
        assert_eq!(asked.partition, Some(PartitionIndex(2)));
        assert_eq!(asked.filter, "bike");
        assert!(asked.in_key && asked.in_value && asked.in_headers);
    }

    #[test]
    fn progress_always_says_how_much_was_scanned() {
        let browse = |state, filter: &str, from| Browse {
            query: BrowseQuery {
                filter: filter.into(),
                from,
                ..BrowseQuery::default()
            },
            rows: Vec::new(),
            scanned: 1_204,
            of: 98_231,
            bytes_scanned: 0,
            state,
        };
        for (state, filter, from, expected) in [
            (
                BrowseState::Running,
                "bike",
                BrowseFrom::Newest,
                "0 matches · scanned 1,204 of 98,231 …",
            ),
            (
                BrowseState::Complete,
                "",
                BrowseFrom::Newest,
                "0 records · scanned 1,204 of 98,231 · all read",
            ),
            (
                BrowseState::Paused,
                "",
                BrowseFrom::LiveTail,
                "0 records · 1,204 seen since · paused",
            ),
        ] {
            assert_eq!(progress(&browse(state, filter, from)), expected);
        }
    }
}
