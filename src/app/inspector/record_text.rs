//! Record bytes as lines of text a screen can show: escaped, wrapped, with a tone for each stretch.
//!
//! Guarantees: no line is longer than asked nor than [`RUN_BYTES`], whatever the record holds; control,
//! invisible and direction-changing characters and bytes that are not UTF-8 come out as escapes. Pure.

use std::fmt::Write as _;
use std::ops::Range;

/// Bytes one laid-out run of record text has at most: longer ones freeze the layout.
pub const RUN_BYTES: usize = 16 * 1024;
/// Bytes of a record shown at first, and added each time more is asked for.
pub const PART_BYTES: usize = 256 * 1024;

/// What a stretch of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    /// The name in a JSON object.
    Name,
    String,
    Number,
    /// `true`, `false`, `null`.
    Word,
    Punctuation,
    /// Something shown instead of a character that cannot be.
    Escape,
}

/// Text cut into lines that fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    text: String,
    lines: Vec<Range<usize>>,
    /// From which byte on which tone holds.
    tones: Vec<(usize, Tone)>,
}

impl Sheet {
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One line as stretches of one tone each.
    pub fn line(&self, index: usize) -> impl Iterator<Item = (&str, Tone)> {
        let range = self.lines.get(index).cloned().unwrap_or_default();
        let first = self
            .tones
            .partition_point(|(start, _)| *start <= range.start);
        (first.saturating_sub(1)..self.tones.len())
            .map_while(move |at| {
                let (start, tone) = self.tones[at];
                let end = self
                    .tones
                    .get(at + 1)
                    .map_or(self.text.len(), |next| next.0);
                let (start, end) = (start.max(range.start), end.min(range.end));
                (start < range.end).then(|| (&self.text[start..end.max(start)], tone))
            })
            .filter(|(text, _)| !text.is_empty())
    }
}

/// Fills a [`Sheet`], wrapping at a number of characters.
#[derive(Debug)]
pub struct SheetWriter {
    sheet: Sheet,
    columns: usize,
    line_start: usize,
    column: usize,
    indent: usize,
}

impl SheetWriter {
    /// Lines hold at most `columns` characters.
    pub fn new(columns: usize) -> SheetWriter {
        SheetWriter {
            sheet: Sheet::default(),
            // An escape of eight characters must fit, and four bytes a character stay within a run.
            columns: columns.clamp(12, RUN_BYTES / 4),
            line_start: 0,
            column: 0,
            indent: 0,
        }
    }

    /// Ends the line; the next one, and what it wraps into, begins `indent` characters in.
    pub fn end_line(&mut self, indent: usize) {
        self.break_line();
        self.indent = indent.min(self.columns / 2);
        self.start_line();
    }

    fn break_line(&mut self) {
        self.sheet
            .lines
            .push(self.line_start..self.sheet.text.len());
        self.line_start = self.sheet.text.len();
        self.column = 0;
    }

    fn start_line(&mut self) {
        if self.indent > 0 {
            self.tone(Tone::Plain);
            self.sheet
                .text
                .extend(std::iter::repeat_n(' ', self.indent));
            self.column = self.indent;
        }
    }

    fn tone(&mut self, tone: Tone) {
        if self.sheet.tones.last().is_none_or(|last| last.1 != tone) {
            self.sheet.tones.push((self.sheet.text.len(), tone));
        }
    }

    /// Adds characters that need no escaping; they stay together if a line can hold them.
    pub fn word(&mut self, word: &str, tone: Tone) {
        let length = word.chars().count();
        if self.column + length > self.columns && self.column > self.indent {
            self.break_line();
            self.start_line();
        }
        self.tone(tone);
        self.sheet.text.push_str(word);
        self.column += length;
    }

    /// Adds any text, escaping what cannot be shown.
    pub fn text(&mut self, text: &str, tone: Tone, style: EscapeStyle) {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            if self.column >= self.columns {
                self.sheet.text.push_str(&text[plain..at]);
                plain = at;
                self.break_line();
                self.start_line();
                self.tone(tone);
            }
            if must_escape(c) {
                self.sheet.text.push_str(&text[plain..at]);
                plain = at + c.len_utf8();
                self.word(&escape(c, style), Tone::Escape);
                self.tone(tone);
            } else {
                if at == plain {
                    self.tone(tone);
                }
                self.column += 1;
            }
        }
        self.sheet.text.push_str(&text[plain..]);
    }

    /// Adds bytes that may not be UTF-8.
    pub fn bytes(&mut self, bytes: &[u8], tone: Tone, style: EscapeStyle) {
        for chunk in bytes.utf8_chunks() {
            self.text(chunk.valid(), tone, style);
            for byte in chunk.invalid() {
                self.word(&format!("\\x{byte:02x}"), Tone::Escape);
            }
        }
    }

    pub fn finish(mut self) -> Sheet {
        if self.line_start < self.sheet.text.len() || self.sheet.lines.is_empty() {
            self.break_line();
        }
        self.sheet
    }
}

/// How an unprintable character is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapeStyle {
    /// `\u{202e}`
    Braces,
    /// `\u202e`, as JSON has it.
    Json,
}

fn escape(c: char, style: EscapeStyle) -> String {
    let code = u32::from(c);
    match (c, style) {
        ('\n', _) => "\\n".to_owned(),
        ('\r', _) => "\\r".to_owned(),
        ('\t', _) => "\\t".to_owned(),
        (_, EscapeStyle::Braces) if code < 0x80 => format!("\\x{code:02x}"),
        (_, EscapeStyle::Json) if code < 0x1_0000 => format!("\\u{code:04x}"),
        _ => format!("\\u{{{code:04x}}}"),
    }
}

/// Whether a character would vanish, move others about, or break the layout.
pub fn must_escape(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

/// Bytes as lines of text; line feeds break lines.
pub fn text_sheet(bytes: &[u8], columns: usize) -> Sheet {
    let mut writer = SheetWriter::new(columns);
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let ended = lines.peek().is_some();
        // A line feed after a carriage return is one line break, not an escape and a break.
        let line = line.strip_suffix(b"\r").filter(|_| ended).unwrap_or(line);
        writer.bytes(line, Tone::Plain, EscapeStyle::Braces);
        if ended {
            writer.end_line(0);
        }
    }
    writer.finish()
}

/// Bytes on one line of at most `limit` characters: escaped text, or hex digits when it is not text.
/// `whole` is how long the value is altogether; a preview that ends early ends in `…`.
pub fn preview(bytes: &[u8], whole: u64, limit: usize) -> String {
    let (text, cut_char) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) if error.error_len().is_none() && (bytes.len() as u64) < whole => {
            let valid = &bytes[..error.valid_up_to()];
            (std::str::from_utf8(valid).unwrap_or(""), true)
        }
        Err(_) => return hex_preview(bytes, whole, limit),
    };
    let mut line = String::new();
    let mut length = 0;
    for c in text.chars() {
        if length >= limit {
            line.push('…');
            return line;
        }
        if must_escape(c) {
            let escaped = escape(c, EscapeStyle::Braces);
            length += escaped.len();
            line.push_str(&escaped);
        } else {
            length += 1;
            line.push(c);
        }
    }
    if cut_char || (bytes.len() as u64) < whole {
        line.push('…');
    }
    line
}

fn hex_preview(bytes: &[u8], whole: u64, limit: usize) -> String {
    let shown = bytes.len().min(limit.saturating_sub(2) / 2);
    let mut line = String::from("0x");
    for byte in &bytes[..shown] {
        let _ = write!(line, "{byte:02x}");
    }
    if (shown as u64) < whole {
        line.push('…');
    }
    line
}

/// One row of a hex dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexRow {
    pub position: String,
    pub digits: String,
    pub text: String,
}

/// Bytes a row of a hex dump holds when `columns` characters fit.
pub fn hex_bytes_a_row(columns: usize) -> usize {
    // Position, two gaps, three characters a byte and one for its text.
    match columns {
        0..=36 => 4,
        37..=70 => 8,
        _ => 16,
    }
}

/// Rows a hex dump of `length` bytes has.
pub fn hex_rows(length: usize, a_row: usize) -> usize {
    length.div_ceil(a_row)
}

/// One row of a hex dump; short rows are padded so that columns stay in line.
pub fn hex_row(bytes: &[u8], row: usize, a_row: usize) -> HexRow {
    let start = (row * a_row).min(bytes.len());
    let here = &bytes[start..(start + a_row).min(bytes.len())];
    let wide = if bytes.len() > 0x1_0000 { 6 } else { 4 };
    let mut digits = String::with_capacity(a_row * 3);
    let mut text = String::with_capacity(a_row);
    for at in 0..a_row {
        match here.get(at) {
            Some(byte) => {
                let _ = write!(digits, "{byte:02x} ");
                text.push(if byte.is_ascii_graphic() || *byte == b' ' {
                    char::from(*byte)
                } else {
                    '.'
                });
            }
            None => digits.push_str("   "),
        }
    }
    digits.pop();
    HexRow {
        position: format!("{start:0wide$x}"),
        digits,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(sheet: &Sheet) -> Vec<String> {
        (0..sheet.len())
            .map(|index| sheet.line(index).map(|(text, _)| text).collect())
            .collect()
    }

    #[test]
    fn text_is_wrapped_and_escaped() {
        for (bytes, expected) in [
            (&b""[..], vec![""]),
            (b"one\ntwo", vec!["one", "two"]),
            (b"one\r\ntwo\r", vec!["one", "two\\r"]),
            (b"12345678901234567", vec!["123456789012", "34567"]),
            (b"a\tb\x07c", vec!["a\\tb\\x07c"]),
            (b"a\xff\xfeb", vec!["a\\xff\\xfeb"]),
            ("ab\u{202e}cd".as_bytes(), vec!["ab\\u{202e}cd"]),
            ("äöüß".as_bytes(), vec!["äöüß"]),
            (b"12345678\xff\xff", vec!["12345678\\xff", "\\xff"]),
        ] {
            assert_eq!(lines(&text_sheet(bytes, 12)), expected, "{bytes:?}");
        }
    }

    #[test]
    fn escapes_have_their_own_tone() {
        let sheet = text_sheet("ab\u{202e}cd".as_bytes(), 40);
        let spans: Vec<_> = sheet.line(0).collect();
        assert_eq!(
            spans,
            [
                ("ab", Tone::Plain),
                ("\\u{202e}", Tone::Escape),
                ("cd", Tone::Plain)
            ]
        );
    }

    #[test]
    fn no_line_is_longer_than_a_run_even_without_a_break() {
        let long = "ä".repeat(1024 * 1024);
        let sheet = text_sheet(long.as_bytes(), usize::MAX);
        assert!(sheet.len() > 1);
        for index in 0..sheet.len() {
            let bytes: usize = sheet.line(index).map(|(text, _)| text.len()).sum();
            assert!(bytes <= RUN_BYTES);
        }
        assert_eq!(lines(&sheet).concat(), long);
    }

    #[test]
    fn previews_are_one_line() {
        for (bytes, whole, expected) in [
            (&b"bike-17"[..], 7, "bike-17"),
            (b"bike-17", 900, "bike-17…"),
            (b"0123456789abc", 13, "0123456789…"),
            (b"a\nb", 3, "a\\nb"),
            (b"\xff\x00\x01", 3, "0xff0001"),
            (b"\xff\x00\x01\x02\x03\x04", 6, "0xff000102…"),
            (b"a\xc3", 900, "a…"),
            (b"a\xc3", 2, "0x61c3"),
        ] {
            assert_eq!(preview(bytes, whole, 10), expected, "{bytes:?}");
        }
    }

    #[test]
    fn hex_rows_stay_in_line() {
        let row = hex_row(b"{\"order\":1}\n", 1, 8);
        assert_eq!(
            row,
            HexRow {
                position: "0008".into(),
                digits: "3a 31 7d 0a            ".into(),
                text: ":1}.".into()
            }
        );
        assert_eq!(hex_rows(12, 8), 2);
        assert_eq!(hex_rows(0, 8), 0);
        assert_eq!(hex_row(&[0; 0x2_0000], 1, 16).position, "000010");
    }
}
