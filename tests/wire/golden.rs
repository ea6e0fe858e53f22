//! Writes bodies from the field tables: every field set, to values that are never the default.

use klar::wire::fields::{Kind, Row, Shape};

/// What to write where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Two elements in each array, text and bytes everywhere, nothing null.
    Full,
    /// Null wherever the version allows it.
    Null,
    /// Empty arrays, texts and bytes.
    Empty,
    /// As `Full`, with two tagged fields nobody knows in every struct.
    Strange,
}

/// Those that are written back byte for byte.
pub const CONTENTS: [Content; 3] = [Content::Full, Content::Null, Content::Empty];

/// A lie told in place of one of the lengths.
#[derive(Debug, Clone, Copy)]
pub struct Lie {
    /// Which of the lengths, counted from 0.
    pub at: usize,
    pub length: i64,
}

/// A body and how many lengths it holds.
pub struct Golden {
    pub bytes: Vec<u8>,
    pub lengths: usize,
}

/// The body of `shape` in `version`.
pub fn body(shape: &Shape, version: i16, content: Content, lie: Option<Lie>) -> Golden {
    let mut write = Write {
        bytes: Vec::new(),
        flexible: version >= shape.flexible_from,
        version,
        content,
        next: 2,
        lengths: 0,
        lie,
    };
    write.structure(shape.fields);
    Golden {
        bytes: write.bytes,
        lengths: write.lengths,
    }
}

struct Write {
    bytes: Vec<u8>,
    flexible: bool,
    version: i16,
    content: Content,
    /// Values count up from 2, so that none is a default and neighbours differ.
    next: u8,
    lengths: usize,
    lie: Option<Lie>,
}

impl Write {
    fn structure(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.tag < 0) {
            if row.is_in(self.version) {
                self.field(row);
            }
        }
        if self.flexible {
            self.tags(rows);
        }
    }

    fn tags(&mut self, rows: &[Row]) {
        let mut tagged: Vec<&Row> = rows
            .iter()
            .filter(|row| row.tag >= 0 && row.is_in(self.version) && self.differs(row))
            .collect();
        tagged.sort_by_key(|row| row.tag);
        let strange: &[u8] = match self.content {
            Content::Strange => &[99, 1, 7, 100, 0],
            _ => &[],
        };
        let unknown = if strange.is_empty() { 0 } else { 2 };
        self.uvarint(tagged.len() as u64 + unknown);
        for row in tagged {
            self.uvarint(row.tag as u64);
            let before = std::mem::take(&mut self.bytes);
            self.field(row);
            let content = std::mem::replace(&mut self.bytes, before);
            self.uvarint(content.len() as u64);
            self.bytes.extend(content);
        }
        self.bytes.extend(strange);
    }

    /// Whether a tagged field would get a value other than its default, and so is written.
    fn differs(&self, row: &Row) -> bool {
        let nullable = row.may_be_null_in(self.version);
        match self.content {
            Content::Full | Content::Strange => true,
            Content::Null => !nullable,
            Content::Empty => !row.array,
        }
    }

    fn field(&mut self, row: &Row) {
        let null = self.content == Content::Null && row.may_be_null_in(self.version);
        if row.array {
            let count = if self.content == Content::Empty { 0 } else { 2 };
            self.length(if null { -1 } else { count }, false);
            for _ in 0..if null { 0 } else { count } {
                self.value(row, false);
            }
        } else {
            if row.kind == Kind::Struct && row.may_be_null_in(self.version) {
                self.bytes.push(if null { 0xff } else { 1 });
            }
            if !(null && row.kind == Kind::Struct) {
                self.value(row, null);
            }
        }
    }

    fn value(&mut self, row: &Row, null: bool) {
        match row.kind {
            Kind::Bool => self.bytes.push(1),
            Kind::Int8 => self.number(1),
            Kind::Int16 | Kind::Uint16 => self.number(2),
            Kind::Int32 => self.number(4),
            Kind::Int64 => self.number(8),
            Kind::Uuid => self.number(16),
            Kind::Float64 => {
                let value = f64::from(self.count()) + 0.5;
                self.bytes.extend(value.to_be_bytes());
            }
            Kind::String => {
                let text = format!("é{}", self.count());
                self.piece(text.as_bytes(), true, null);
            }
            Kind::Bytes | Kind::Records => {
                let bytes = [self.count(), 0xff, 0];
                self.piece(&bytes, false, null);
            }
            Kind::Struct => self.structure(row.fields),
        }
    }

    fn count(&mut self) -> u8 {
        self.next = if self.next >= 100 { 2 } else { self.next + 1 };
        self.next
    }

    fn number(&mut self, size: usize) {
        let low = self.count();
        self.bytes.extend(std::iter::repeat_n(0, size - 1));
        self.bytes.push(low);
    }

    fn piece(&mut self, bytes: &[u8], short: bool, null: bool) {
        let empty: &[u8] = &[];
        let bytes = if self.content == Content::Empty {
            empty
        } else {
            bytes
        };
        self.length(if null { -1 } else { bytes.len() as i64 }, short);
        if !null {
            self.bytes.extend(bytes);
        }
    }

    fn length(&mut self, honest: i64, short: bool) {
        let lie = self.lie.filter(|lie| lie.at == self.lengths);
        self.lengths += 1;
        let length = lie.map_or(honest, |lie| lie.length);
        if self.flexible {
            self.uvarint((length + 1) as u64);
        } else if short {
            self.bytes.extend((length as i16).to_be_bytes());
        } else {
            self.bytes.extend((length as i32).to_be_bytes());
        }
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}
