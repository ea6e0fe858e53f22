//! What one definition file says, checked and ready to be written out as Rust.
//!
//! Knows nothing of files or of the generated code. A `Versions` range is inclusive; "no limit" does
//! not exist here, the parser has cut every range to its message's.

/// An inclusive range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub from: i16,
    pub to: i16,
}

impl Versions {
    /// Whether every version of `inner` lies in this range.
    pub fn covers(self, inner: Versions) -> bool {
        self.from <= inner.from && inner.to <= self.to
    }

    /// The versions in both ranges.
    pub fn cut_to(self, outer: Versions) -> Option<Versions> {
        let cut = Versions {
            from: self.from.max(outer.from),
            to: self.to.min(outer.to),
        };
        (cut.from <= cut.to).then_some(cut)
    }
}

/// What a field, or each element of an array field, holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
}

/// One field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub array: bool,
    /// The versions that have the field, cut to those of its struct.
    pub versions: Versions,
    /// The versions, among `versions`, in which it may be null.
    pub nullable: Option<Versions>,
    /// Its number, if it travels in the tagged section.
    pub tag: Option<u32>,
    /// The default as written; `None` is zero, empty or false.
    pub default: Option<String>,
    /// Whether a value may be dropped silently when the version lacks the field.
    pub ignorable: bool,
    /// What the number or text stands for (`topicName`, `brokerId`); empty if nothing.
    pub entity: String,
}

impl Field {
    pub fn null_default(&self) -> bool {
        self.default.as_deref() == Some("null")
    }
}

/// A struct: a whole body or a part of one.
#[derive(Debug, Clone)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Request,
    Response,
    /// Not a frame: a value inside a record or inside opaque bytes.
    Fields,
}

/// One body: its root struct's name; the structs themselves are the definition's.
#[derive(Debug, Clone)]
pub struct Body {
    pub role: Role,
    pub root: String,
}

/// What only an API has.
#[derive(Debug, Clone)]
pub struct Api {
    pub key: i16,
    pub on_broker: bool,
    pub on_controller: bool,
    /// Lowest version to advertise, when it is lower than the lowest accepted.
    pub advertised_from: i16,
    /// Highest version to advertise: the last stable one.
    pub advertised_to: i16,
}

/// One definition: an API with its request and response, or one kind of record value.
#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub doc: String,
    pub api: Option<Api>,
    /// A number records of this kind carry; `None` for APIs and for kinds without one.
    pub id: Option<i16>,
    pub versions: Versions,
    /// First version with compact lengths and tagged fields.
    pub flexible_from: Option<i16>,
    pub bodies: Vec<Body>,
    pub structs: Vec<Struct>,
}

impl Definition {
    /// The struct of that name; the parser has checked that it is there.
    pub fn structure(&self, name: &str) -> &Struct {
        self.structs
            .iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("{}: no struct {name}", self.name))
    }

    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }
}

/// `TopicPartition` → `topic_partition`; Kafka's own spelling `KRaft` counts as one word.
pub fn snake(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.replace("KRaft", "Kraft").chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `OFFSET_OUT_OF_RANGE` → `OffsetOutOfRange`.
pub fn camel(upper: &str) -> String {
    upper
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{first}{}", rest.to_lowercase())
        })
        .collect()
}
