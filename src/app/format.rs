//! Numbers, sizes, times and bytes as the window writes them.
//!
//! Numbers keep thousands separators and full 64 bits, sizes are KiB/MiB, times are absolute with
//! milliseconds in the machine's time zone, whose name the timeline shows.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ids::{Time, civil_date};

/// A whole number with thousands separators: `1,042`.
pub fn count(number: u64) -> String {
    group(&number.to_string())
}

/// A signed whole number with thousands separators.
pub fn signed(number: i64) -> String {
    let digits = group(&number.unsigned_abs().to_string());
    if number < 0 {
        format!("\u{2212}{digits}")
    } else {
        digits
    }
}

fn group(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its noun: `1 topic`, `3 topics`.
pub fn counted(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{} {one}s", count(number))
    }
}

/// A number with its noun where the plural is not made with an s: `1 match`, `3 matches`.
pub fn counted_as(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", count(number))
}

/// A size in bytes: `812 B`, `9.4 MiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 99.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A bootstrap string as short as it stays clear: `127.0.0.1:9092,9093` where all hosts are the same.
pub fn bootstrap(addresses: &str) -> String {
    let mut shown = String::new();
    let mut before = "";
    for address in addresses.split(',') {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        if !shown.is_empty() {
            shown.push(',');
        }
        shown.push_str(match host == before && !port.is_empty() {
            true => port,
            false => address,
        });
        before = host;
    }
    shown
}

/// Events a second: `0`, `0.4/s`, `812/s`, `12,400/s`.
pub fn rate(per_second: f64) -> String {
    if per_second <= 0.0 || !per_second.is_finite() {
        "0".to_owned()
    } else if per_second < 9.95 {
        format!("{per_second:.1}/s")
    } else {
        format!("{}/s", count(per_second.round() as u64))
    }
}

/// Bytes a second: `0`, `9.4 MiB/s`.
pub fn byte_rate(per_second: f64) -> String {
    if per_second < 0.5 || !per_second.is_finite() {
        "0".to_owned()
    } else {
        format!("{}/s", bytes(per_second.round() as u64))
    }
}

static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// Writes times in UTC from now on, whatever the machine's zone: for pictures that are the same on every
/// machine. Without effect once a time was written.
pub fn use_utc() {
    let _ = ZONE.set(TimeZone::UTC);
}

fn zone() -> &'static TimeZone {
    ZONE.get_or_init(|| {
        // Tests beside the code are read in UTC.
        if cfg!(test) {
            TimeZone::UTC
        } else {
            TimeZone::try_system().unwrap_or(TimeZone::UTC)
        }
    })
}

/// Milliseconds since the Unix epoch as a clock in this zone would count them.
pub fn local_ms(ms: i64) -> i64 {
    let Ok(moment) = Timestamp::from_millisecond(ms) else {
        return ms;
    };
    let ahead_s = i64::from(zone().to_offset(moment).seconds());
    ms.saturating_add(ahead_s * 1_000)
}

/// Milliseconds since the Unix epoch when a clock in this zone shows `local_ms`: the way back. Where the
/// clock is turned back and shows a time twice, one of the two.
pub fn from_local_ms(local_ms: i64) -> i64 {
    let ahead = |ms: i64| self::local_ms(ms).saturating_sub(ms);
    let guess = local_ms.saturating_sub(ahead(local_ms));
    local_ms.saturating_sub(ahead(guess))
}

/// Name of the zone at a moment: `UTC`, `CET`.
pub fn zone_name(ms: i64) -> String {
    let Ok(moment) = Timestamp::from_millisecond(ms) else {
        return "UTC".to_owned();
    };
    zone().to_offset_info(moment).abbreviation().to_owned()
}

/// Time of day: `22:17:05.413`. `–` for a negative timestamp, which Kafka uses for "none".
pub fn time_of_day(ms: i64) -> String {
    if ms < 0 {
        return "\u{2013}".to_owned();
    }
    let of_day = local_ms(ms).rem_euclid(86_400_000);
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1_000 % 60,
        of_day % 1_000
    )
}

/// Date: `2026-11-21`.
pub fn date(ms: i64) -> String {
    let (year, month, day) = civil_date(local_ms(ms).div_euclid(86_400_000));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Date and time: `2026-11-21 22:17:05.413`.
pub fn date_time(ms: i64) -> String {
    if ms < 0 {
        return "\u{2013}".to_owned();
    }
    format!("{} {}", date(ms), time_of_day(ms))
}

/// A moment seen from `now`: the time alone on the same day, else date and time.
pub fn moment(now: Time, ms: i64) -> String {
    if ms >= 0 && date(ms) == date(now.as_ms()) {
        time_of_day(ms)
    } else {
        date_time(ms)
    }
}

/// A moment seen from `now` where a column has little room: the time on the same day, else the date and
/// the minute.
pub fn short_moment(now: Time, ms: i64) -> String {
    let whole = moment(now, ms);
    let minute = "2026-11-21 22:17".len();
    match whole.len() > "22:17:05.413".len() {
        true => whole.get(..minute).unwrap_or(&whole).to_owned(),
        false => whole,
    }
}

/// How long ago `then` was, in one unit: `now`, `4.2 s ago`, `12 min ago`, `3 h ago`, `2 d ago`.
pub fn ago(now: Time, then: Time) -> String {
    let us = now.since_us(then);
    if us < 100_000 {
        return "now".to_owned();
    }
    match us / 1_000 {
        ms @ 0..MINUTE_MS => format!("{} ago", duration_ms(ms)),
        ms @ MINUTE_MS..HOUR_MS => format!("{} min ago", ms / MINUTE_MS),
        ms @ HOUR_MS..DAY_MS => format!("{} h ago", ms / HOUR_MS),
        ms => format!("{} d ago", ms / DAY_MS),
    }
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A length of time in at most two units: `412 ms`, `4.2 s`, `12 min`, `1 d 12 h`; `≈ 1 d 12 h` when
/// there is more to it.
pub fn duration_ms(ms: u64) -> String {
    let (unit, name, less, less_name) = match ms {
        0..1_000 => return format!("{ms} ms"),
        1_000..MINUTE_MS => return format!("{:.1} s", ms as f64 / 1_000.0),
        MINUTE_MS..HOUR_MS => (MINUTE_MS, "min", 1_000, "s"),
        HOUR_MS..DAY_MS => (HOUR_MS, "h", MINUTE_MS, "min"),
        _ => (DAY_MS, "d", HOUR_MS, "h"),
    };
    let about = if ms.is_multiple_of(less) { "" } else { "≈ " };
    match ms % unit / less {
        0 => format!("{about}{} {name}", ms / unit),
        rest => format!("{about}{} {name} {rest} {less_name}", ms / unit),
    }
}

/// The end of a path in at most so many characters, from a whole name on: `…/klar/broker-2`.
pub fn path_end(path: &str, chars: usize) -> String {
    if path.chars().count() <= chars {
        return path.to_owned();
    }
    let mut ends = path.match_indices('/').map(|(at, _)| &path[at..]);
    let end = ends.find(|end| end.chars().count() < chars);
    let last = path.rfind('/').map_or(path, |at| &path[at..]);
    format!("…{}", end.unwrap_or(last))
}

/// A length of time in milliseconds, however long, below ten of them with one digit more.
pub fn milliseconds(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1_000.0),
        _ => format!("{} ms", count(us / 1_000)),
    }
}

/// Bytes as text if they are UTF-8 without control characters, else as `0x` and hex digits, cut after
/// `limit` characters with `…`.
pub fn text_or_hex(bytes: &[u8], limit: usize) -> String {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        // A preview may end inside a character.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let readable = valid.filter(|text| {
        !text
            .chars()
            .take(limit)
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    });
    match readable {
        Some(text) => {
            let mut cut: String = text
                .chars()
                .take(limit)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            if text.chars().nth(limit).is_some() {
                cut.push('…');
            }
            cut
        }
        None => {
            let shown = bytes.len().min(limit.saturating_sub(2) / 2);
            let mut hex = String::from("0x");
            for byte in &bytes[..shown] {
                hex.push_str(&format!("{byte:02x}"));
            }
            if shown < bytes.len() {
                hex.push('…');
            }
            hex
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_keeps_its_end() {
        let path = "/home/ada/.local/share/klar/broker-2";
        for (chars, expected) in [
            (36, path),
            (20, "…/klar/broker-2"),
            (15, "…/klar/broker-2"),
            (14, "…/broker-2"),
            (3, "…/broker-2"),
        ] {
            assert_eq!(path_end(path, chars), expected);
        }
    }

    #[test]
    fn a_host_is_said_once() {
        for (whole, short) in [
            ("127.0.0.1:9092", "127.0.0.1:9092"),
            ("127.0.0.1:9092,127.0.0.1:9093", "127.0.0.1:9092,9093"),
            ("a:1,b:1,b:2", "a:1,b:1,2"),
            ("[::1]:9092,[::1]:9093", "[::1]:9092,9093"),
        ] {
            assert_eq!(bootstrap(whole), short);
        }
    }

    #[test]
    fn numbers_keep_all_64_bits_and_separators() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(signed(i64::MIN), "\u{2212}9,223,372,036,854,775,808");
        assert_eq!(counted(1, "topic"), "1 topic");
        assert_eq!(counted(0, "topic"), "0 topics");
    }

    #[test]
    fn sizes_are_kib_and_mib() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(150 * 1024), "150 KiB");
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }

    #[test]
    fn times_are_absolute_with_milliseconds() {
        assert_eq!(date_time(0), "1970-01-01 00:00:00.000");
        assert_eq!(date_time(1_795_307_825_413), "2026-11-22 00:37:05.413");
        assert_eq!(date_time(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(date_time(-1), "–");
        let now = Time::from_ms(1_795_307_825_413);
        assert_eq!(moment(now, 1_795_307_800_000), "00:36:40.000");
        assert_eq!(moment(now, 1_795_000_000_000), "2026-11-18 11:06:40.000");
        assert_eq!(short_moment(now, 1_795_307_800_000), "00:36:40.000");
        assert_eq!(short_moment(now, 1_795_000_000_000), "2026-11-18 11:06");
        assert_eq!(short_moment(now, -1), "–");
        assert_eq!(ago(Time(5_000_000), Time(800_000)), "4.2 s ago");
        assert_eq!(ago(now, now.plus_ms(-3_600_000 * 47)), "1 d ago");
    }

    #[test]
    fn lengths_of_time_are_exact_or_say_that_they_are_not() {
        for (ms, expected) in [
            (412, "412 ms"),
            (4_200, "4.2 s"),
            (90_000, "1 min 30 s"),
            (720_000, "12 min"),
            (129_600_000, "1 d 12 h"),
            (604_800_000, "7 d"),
            (86_400_001, "≈ 1 d"),
            (131_000_000, "≈ 1 d 12 h"),
        ] {
            assert_eq!(duration_ms(ms), expected);
        }
    }

    #[test]
    fn rates_fall_to_a_plain_zero() {
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(f64::NAN), "0");
        assert_eq!(rate(0.4), "0.4/s");
        assert_eq!(rate(9.96), "10/s");
        assert_eq!(rate(12_400.0), "12,400/s");
    }

    #[test]
    fn bytes_that_are_not_text_become_hex() {
        assert_eq!(text_or_hex(b"bike-17", 20), "bike-17");
        assert_eq!(text_or_hex("äöü".as_bytes(), 2), "äö…");
        assert_eq!(text_or_hex(&[0, 1, 0xff], 20), "0x0001ff");
        assert_eq!(text_or_hex(&[0xff; 100], 10), "0xffffffff…");
        // A character cut in two by the preview's limit is left out, not shown as hex.
        assert_eq!(text_or_hex(&[b'a', 0xc3], 10), "a");
        assert_eq!(text_or_hex(b"", 10), "");
    }
}
