//! What a browse looks for in a record, and what it keeps of one that matches. Pure.

use std::sync::Arc;

use crate::ids::PartitionIndex;
use crate::inspect::{BrowseQuery, BrowseRow, ROW_BYTES};
use crate::wire::records::{Record, murmur2};

/// A filter, prepared once for many records.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Lower case; empty matches everything.
    needle: String,
    in_key: bool,
    in_value: bool,
    in_headers: bool,
}

impl Filter {
    /// What the query looks for. Looking nowhere is looking everywhere.
    pub fn new(query: &BrowseQuery) -> Filter {
        let nowhere = !(query.in_key || query.in_value || query.in_headers);
        Filter {
            needle: query.filter.to_lowercase(),
            in_key: query.in_key || nowhere,
            in_value: query.in_value || nowhere,
            in_headers: query.in_headers || nowhere,
        }
    }

    pub fn matches(&self, record: &Record<'_>) -> bool {
        if self.needle.is_empty() {
            return true;
        }
        let holds = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| self.holds(bytes));
        (self.in_key && holds(record.key))
            || (self.in_value && holds(record.value))
            || (self.in_headers
                && record
                    .headers()
                    .any(|(key, value)| holds(Some(key)) || holds(value)))
    }

    /// Whether the text is in these bytes, whatever the case of its letters.
    fn holds(&self, bytes: &[u8]) -> bool {
        if self.needle.is_ascii() {
            return holds_ascii(bytes, self.needle.as_bytes());
        }
        String::from_utf8_lossy(bytes)
            .to_lowercase()
            .contains(&self.needle)
    }
}

fn holds_ascii(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let other = first.to_ascii_uppercase();
    let Some(last_start) = bytes.len().checked_sub(needle.len()) else {
        return false;
    };
    bytes[..=last_start].iter().enumerate().any(|(at, byte)| {
        (*byte == first || *byte == other)
            && bytes[at..at + needle.len()].eq_ignore_ascii_case(needle)
    })
}

/// The row of a record.
pub fn row_of(partition: PartitionIndex, record: &Record<'_>) -> Arc<BrowseRow> {
    let begin =
        |bytes: Option<&[u8]>| bytes.map(|bytes| bytes[..bytes.len().min(ROW_BYTES)].to_vec());
    let len = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
    Arc::new(BrowseRow {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: begin(record.key),
        key_len: len(record.key),
        value: begin(record.value),
        value_len: len(record.value),
        headers: u32::try_from(record.headers().count()).unwrap_or(u32::MAX),
        key_hash: record.key.map(murmur2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(&BrowseQuery {
            filter: text.into(),
            ..BrowseQuery::default()
        })
    }

    #[test]
    fn text_is_found_whatever_its_case_and_place() {
        for (text, bytes, expected) in [
            ("order", &b"ORDER-17"[..], true),
            ("17", b"order-17", true),
            ("18", b"order-17", false),
            ("longer than it", b"short", false),
            ("GRÜN", "ganz grün".as_bytes(), true),
            ("x", b"", false),
        ] {
            assert_eq!(filter(text).holds(bytes), expected, "{text}");
        }
    }

    #[test]
    fn looking_nowhere_is_looking_everywhere() {
        let everywhere = filter("a");
        assert!(everywhere.in_key && everywhere.in_value && everywhere.in_headers);
    }
}
