//! A record's bytes as indented JSON lines, without understanding more of them than their grammar.
//!
//! Guarantees: every token is shown as it was sent, so 64-bit integers, duplicate names and odd number
//! forms survive; bytes that are not JSON are refused with the position where they stop being it.
//! Does not check that escapes inside strings are meaningful. Pure.

use super::record_text::{EscapeStyle, Sheet, SheetWriter, Tone};

/// Levels of nesting followed.
pub const MAX_DEPTH: usize = 512;
/// Characters one level is indented by.
const INDENT: usize = 2;

/// Where and why bytes are not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    #[error("not JSON: it ends too early, at byte {at}")]
    Ends { at: usize },
    #[error("not JSON: byte {at} does not belong there")]
    Unexpected { at: usize },
    #[error("JSON nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Bytes as indented lines. With `cut`, the bytes are only the beginning and may end anywhere.
pub fn json_sheet(bytes: &[u8], columns: usize, cut: bool) -> Result<Sheet, NotJson> {
    let mut printer = Printer {
        bytes,
        at: 0,
        out: SheetWriter::new(columns),
        open: Vec::new(),
    };
    match printer.document() {
        Err(NotJson::Ends { .. }) if cut => printer.unfinished(),
        other => other?,
    }
    Ok(printer.out.finish())
}

/// Whether bytes look like a JSON object or array: what is shown as JSON at first.
pub fn looks_like_json(bytes: &[u8]) -> bool {
    let mut significant = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match significant.next() {
        Some(b'{') => matches!(significant.next(), Some(b'"' | b'}')),
        Some(b'[') => significant.next().is_some(),
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

struct Printer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: SheetWriter,
    open: Vec<Open>,
}

impl<'a> Printer<'a> {
    fn document(&mut self) -> Result<(), NotJson> {
        loop {
            let opened = self.value()?;
            if opened {
                continue;
            }
            if self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Prints the token in whose middle the bytes end, and that more follows.
    fn unfinished(&mut self) {
        self.skip_space();
        let rest = &self.bytes[self.at..];
        // A character of several bytes may be cut in two as well.
        let whole = match std::str::from_utf8(rest) {
            Err(error) if error.error_len().is_none() => &rest[..error.valid_up_to()],
            _ => rest,
        };
        self.print_string(whole, Tone::String);
        self.out.word("…", Tone::Punctuation);
    }

    /// Prints a whole scalar or the opening of a container. True if a container was opened and its
    /// first value comes next.
    fn value(&mut self) -> Result<bool, NotJson> {
        match self.next_significant()? {
            b'{' => self.open(Open::Object, "{", b'}', "{}"),
            b'[' => self.open(Open::Array, "[", b']', "[]"),
            b'"' => {
                let text = self.string()?;
                self.print_string(text, Tone::String);
                Ok(false)
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                self.out.word(number, Tone::Number);
                Ok(false)
            }
            _ => {
                for word in ["true", "false", "null"] {
                    if self.bytes[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        self.out.word(word, Tone::Word);
                        return Ok(false);
                    }
                    if word.as_bytes().starts_with(&self.bytes[self.at..]) {
                        return Err(NotJson::Ends {
                            at: self.bytes.len(),
                        });
                    }
                }
                Err(NotJson::Unexpected { at: self.at })
            }
        }
    }

    fn open(
        &mut self,
        kind: Open,
        sign: &str,
        close: u8,
        empty: &'static str,
    ) -> Result<bool, NotJson> {
        self.at += 1;
        if self.next_significant()? == close {
            self.at += 1;
            self.out.word(empty, Tone::Punctuation);
            return Ok(false);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(NotJson::TooDeep);
        }
        self.out.word(sign, Tone::Punctuation);
        self.open.push(kind);
        self.begin_entry()?;
        Ok(true)
    }

    /// Begins the line of the next value, with its name in an object.
    fn begin_entry(&mut self) -> Result<(), NotJson> {
        self.out.end_line(self.open.len() * INDENT);
        if self.open.last() == Some(&Open::Object) {
            if self.next_significant()? != b'"' {
                return Err(NotJson::Unexpected { at: self.at });
            }
            let name = self.string()?;
            self.print_string(name, Tone::Name);
            if self.next_significant()? != b':' {
                return Err(NotJson::Unexpected { at: self.at });
            }
            self.at += 1;
            self.out.word(": ", Tone::Punctuation);
        }
        Ok(())
    }

    /// Closes what ends here. True at the end of the document.
    fn after_value(&mut self) -> Result<bool, NotJson> {
        loop {
            let Some(kind) = self.open.last().copied() else {
                self.skip_space();
                return match self.at == self.bytes.len() {
                    true => Ok(true),
                    false => Err(NotJson::Unexpected { at: self.at }),
                };
            };
            match (self.next_significant()?, kind) {
                (b',', _) => {
                    self.at += 1;
                    self.out.word(",", Tone::Punctuation);
                    self.begin_entry()?;
                    return Ok(false);
                }
                (b'}', Open::Object) => self.close("}"),
                (b']', Open::Array) => self.close("]"),
                _ => return Err(NotJson::Unexpected { at: self.at }),
            }
        }
    }

    fn close(&mut self, sign: &str) {
        self.at += 1;
        self.open.pop();
        self.out.end_line(self.open.len() * INDENT);
        self.out.word(sign, Tone::Punctuation);
    }

    fn skip_space(&mut self) {
        while self
            .bytes
            .get(self.at)
            .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        {
            self.at += 1;
        }
    }

    fn next_significant(&mut self) -> Result<u8, NotJson> {
        self.skip_space();
        self.bytes
            .get(self.at)
            .copied()
            .ok_or(NotJson::Ends { at: self.at })
    }

    /// The string that begins here, quotes included.
    fn string(&mut self) -> Result<&'a [u8], NotJson> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.bytes.get(at) {
                None => {
                    return Err(NotJson::Ends {
                        at: self.bytes.len(),
                    });
                }
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(byte) if *byte < 0x20 => return Err(NotJson::Unexpected { at }),
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        Ok(&self.bytes[start..self.at])
    }

    fn print_string(&mut self, text: &[u8], tone: Tone) {
        self.out.bytes(text, tone, EscapeStyle::Json);
    }

    fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest
            .iter()
            .take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
            .count();
        self.at += length;
        let number =
            std::str::from_utf8(&rest[..length]).map_err(|_| NotJson::Unexpected { at: start })?;
        let unfinished = number.ends_with(['-', '+', '.', 'e', 'E']);
        match is_number(number) {
            true => Ok(number),
            false if unfinished && self.at == self.bytes.len() => {
                let at = std::mem::replace(&mut self.at, start);
                Err(NotJson::Ends { at })
            }
            false => Err(NotJson::Unexpected { at: start }),
        }
    }
}

/// Whether text is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretty(text: &str) -> Result<String, NotJson> {
        let sheet = json_sheet(text.as_bytes(), 60, false)?;
        let lines: Vec<String> = (0..sheet.len())
            .map(|index| sheet.line(index).map(|(text, _)| text).collect())
            .collect();
        Ok(lines.join("\n"))
    }

    #[test]
    fn json_is_indented_and_nothing_else() {
        for (text, expected) in [
            ("1", "1"),
            (" null ", "null"),
            ("{}", "{}"),
            ("[ ]", "[]"),
            (
                r#"{"order":80117,"sku":"bike-17","qty":2}"#,
                "{\n  \"order\": 80117,\n  \"sku\": \"bike-17\",\n  \"qty\": 2\n}",
            ),
            ("[1,[true,{}]]", "[\n  1,\n  [\n    true,\n    {}\n  ]\n]"),
            // 64-bit integers and more stay as they were written; so do duplicate names.
            (
                r#"{"a":18446744073709551615,"a":1.50e+3}"#,
                "{\n  \"a\": 18446744073709551615,\n  \"a\": 1.50e+3\n}",
            ),
            ("\"a\u{202e}b\"", "\"a\\u202eb\""),
        ] {
            assert_eq!(pretty(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        for (text, at) in [
            ("{\"a\":1}x", 7),
            ("{a:1}", 1),
            ("[1 2]", 3),
            ("01", 0),
            ("[1,]", 3),
            ("\"a\nb\"", 2),
            ("{\"a\" 1}", 5),
            ("[1}", 2),
        ] {
            assert_eq!(pretty(text), Err(NotJson::Unexpected { at }), "{text}");
        }
        for text in ["", "{", "[1,", "\"ab", "tru", "-", "{\"a\":"] {
            assert!(matches!(pretty(text), Err(NotJson::Ends { .. })), "{text}");
        }
        assert_eq!(pretty(&"[".repeat(600)), Err(NotJson::TooDeep));
    }

    #[test]
    fn a_cut_document_is_shown_as_far_as_it_goes() {
        for (text, last) in [
            (&br#"{"a":1,"b":"lon"#[..], "  \"b\": \"lon…"),
            (b"{\"b\":\"l\xc3", "  \"b\": \"l…"),
            (br#"{"nam"#, "  \"nam…"),
            (b"[12", "  12…"),
            (b"[-", "  -…"),
            (b"[tru", "  tru…"),
            (b"[1,", "  …"),
        ] {
            let sheet = json_sheet(text, 60, true).unwrap();
            let line: String = sheet.line(sheet.len() - 1).map(|(text, _)| text).collect();
            assert_eq!(line, last);
        }
        // A value that is one long string is shown as well.
        let long = format!("{{\"body\":\"{}", "x".repeat(10_000));
        assert!(json_sheet(long.as_bytes(), 60, true).unwrap().len() > 160);
        assert!(json_sheet(b"{x", 60, true).is_err());
    }

    #[test]
    fn names_strings_and_numbers_differ_in_tone() {
        let sheet = json_sheet(br#"{"a":"b","c":1}"#, 60, false).unwrap();
        let tones: Vec<Tone> = (0..sheet.len())
            .flat_map(|index| sheet.line(index).map(|(_, tone)| tone).collect::<Vec<_>>())
            .collect();
        for tone in [Tone::Name, Tone::String, Tone::Number, Tone::Punctuation] {
            assert!(tones.contains(&tone), "{tone:?}");
        }
    }

    #[test]
    fn only_objects_and_arrays_look_like_json() {
        for (text, expected) in [
            ("{\"a\":1}", true),
            (" [1]", true),
            ("{}", true),
            ("{name}", false),
            ("12", false),
            ("plain", false),
            ("", false),
        ] {
            assert_eq!(looks_like_json(text.as_bytes()), expected, "{text}");
        }
    }
}
