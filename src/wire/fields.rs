//! Any frame as a tree: each field's name, where its bytes are, and what they say.
//!
//! Walks the static tables generated from the same definitions as the structs. Works on malformed frames
//! too: the tree then ends where the bytes stop making sense, and says why. Builds at most
//! [`MAX_NODES`] nodes, so that a hostile frame costs the window no more than an honest one.

use std::ops::Range;

use bytes::Bytes;

use super::{ApiKey, DecodeError, Reader, apis, response};
use crate::ids::TopicId;

/// How many nodes one tree may have; further elements are left out.
pub const MAX_NODES: usize = 10_000;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Struct,
}

/// One field of a request, a response or a record value, in all its versions.
#[derive(Debug)]
pub struct Row {
    /// Kafka's name for it: `throttle_time_ms`.
    pub name: &'static str,
    pub kind: Kind,
    pub array: bool,
    /// First version that has it.
    pub from: i16,
    /// Last version that has it.
    pub to: i16,
    /// First version in which it may be null; above `null_to` if there is none.
    pub null_from: i16,
    pub null_to: i16,
    /// Its number in the tagged section, or −1.
    pub tag: i32,
    /// What it names (`topicName`, `brokerId`, `groupId` …); empty if nothing.
    pub entity: &'static str,
    /// A struct's fields.
    pub fields: &'static [Row],
}

impl Row {
    pub fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }

    pub fn may_be_null_in(&self, version: i16) -> bool {
        self.null_from <= version && version <= self.null_to
    }
}

/// A request, a response or a record value, in all its versions.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` if there is none.
    pub flexible_from: i16,
    pub fields: &'static [Row],
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uuid(TopicId),
    Text(String),
    /// Opaque bytes or records: the node's range holds them.
    Bytes,
    /// So many elements; fewer children if the tree is cut short.
    Array(usize),
    Struct,
}

/// One field of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: &'static str,
    /// Its place in the array it is an element of.
    pub index: Option<usize>,
    /// Its bytes, counted from the start of the frame, lengths included.
    pub range: Range<usize>,
    pub value: Value,
    pub entity: &'static str,
    pub children: Vec<Node>,
}

/// A frame as a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// `header` and `body`, as far as they could be read.
    pub nodes: Vec<Node>,
    /// Why reading ended before the frame did.
    pub problem: Option<DecodeError>,
    /// Whether elements were left out because there were too many.
    pub cut_short: bool,
}

/// Name of a tagged field no table knows.
const UNKNOWN_TAG: &str = "unknown tagged field";

/// Describes a whole frame without its length prefix: header and body of a request or response of `key`
/// in `version`.
pub fn describe(key: ApiKey, version: i16, side: Side, frame: &Bytes) -> Tree {
    let api = apis::api(key);
    let (header, shape, tags) = match side {
        Side::Request => (REQUEST_HEADER, api.request, api.is_flexible(version)),
        Side::Response => (
            RESPONSE_HEADER,
            api.response,
            response::has_tags(key, version),
        ),
    };
    let mut walk = Walk {
        reader: Reader::new(frame.clone()),
        nodes_left: MAX_NODES,
    };
    let mut nodes = Vec::new();
    let problem = walk
        .part("header", header, version, tags, &mut nodes)
        .and_then(|()| {
            walk.reader
                .begin(version, shape.min, shape.max, shape.flexible_from)?;
            let flexible = version >= shape.flexible_from;
            walk.part("body", shape.fields, version, flexible, &mut nodes)
        })
        .err();
    Tree {
        nodes,
        problem,
        cut_short: walk.nodes_left == 0,
    }
}

/// Describes a value found inside a record or inside opaque bytes, by its shape.
pub fn describe_value(shape: &'static Shape, version: i16, bytes: &Bytes) -> Tree {
    let mut walk = Walk {
        reader: Reader::new(bytes.clone()),
        nodes_left: MAX_NODES,
    };
    let mut nodes = Vec::new();
    let problem = walk
        .reader
        .begin(version, shape.min, shape.max, shape.flexible_from)
        .and_then(|()| {
            let flexible = version >= shape.flexible_from;
            walk.part(shape.name, shape.fields, version, flexible, &mut nodes)
        })
        .err();
    Tree {
        nodes,
        problem,
        cut_short: walk.nodes_left == 0,
    }
}

struct Walk {
    reader: Reader,
    nodes_left: usize,
}

impl Walk {
    /// A header or body as one node, kept even if it could not be read to its end.
    fn part(
        &mut self,
        name: &'static str,
        rows: &'static [Row],
        version: i16,
        flexible: bool,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        let start = self.reader.position();
        let mut children = Vec::new();
        // A header's client id keeps its 16-bit length, so the format changes only before the tags.
        let body = name != "header";
        self.reader.set_flexible(flexible && body);
        let mut result = self.plain_fields(rows, version, &mut children);
        if result.is_ok() {
            self.reader.set_flexible(flexible);
            result = self.tagged_fields(rows, version, &mut children);
        }
        nodes.push(Node {
            name,
            index: None,
            range: start..self.reader.position(),
            value: Value::Struct,
            entity: "",
            children,
        });
        result
    }

    fn plain_fields(
        &mut self,
        rows: &'static [Row],
        version: i16,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        for row in rows {
            if row.tag < 0 && row.is_in(version) {
                self.field(row, version, nodes)?;
            }
        }
        Ok(())
    }

    fn tagged_fields(
        &mut self,
        rows: &'static [Row],
        version: i16,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        let mut tags = self.reader.open_tags()?;
        while let Some(tag) = self.reader.next_tag(&mut tags)? {
            let known = rows
                .iter()
                .find(|row| u32::try_from(row.tag) == Ok(tag.number) && row.is_in(version));
            if let Some(row) = known {
                self.field(row, version, nodes)?;
            } else {
                let start = self.reader.position();
                self.reader.skip_tag(&tag);
                self.leaf(UNKNOWN_TAG, "", start, Value::Bytes, nodes);
            }
            self.reader.close_tag(tag)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        row: &'static Row,
        version: i16,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        let start = self.reader.position();
        if row.array {
            return self.array(row, version, nodes);
        }
        if row.kind == Kind::Struct {
            if row.may_be_null_in(version) && self.reader.i8()? < 0 {
                self.leaf(row.name, row.entity, start, Value::Null, nodes);
                return Ok(());
            }
            return self.element(row, None, version, start, nodes);
        }
        let value = self.value(row.kind, row.may_be_null_in(version))?;
        self.leaf(row.name, row.entity, start, value, nodes);
        Ok(())
    }

    fn array(
        &mut self,
        row: &'static Row,
        version: i16,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        let start = self.reader.position();
        let Some(count) = self.reader.length(false)? else {
            self.leaf(row.name, row.entity, start, Value::Null, nodes);
            return if row.may_be_null_in(version) {
                Ok(())
            } else {
                Err(DecodeError::Null { at: start })
            };
        };
        let remaining = self.reader.remaining();
        if count > remaining {
            return Err(DecodeError::BadCount {
                at: start,
                count,
                remaining,
            });
        }
        let mut children = Vec::new();
        let mut result = Ok(());
        for index in 0..count {
            let at = self.reader.position();
            result = if row.kind == Kind::Struct {
                self.element(row, Some(index), version, at, &mut children)
            } else {
                self.value(row.kind, false).map(|value| {
                    self.leaf(row.name, row.entity, at, value, &mut children);
                    if let Some(last) = children.last_mut() {
                        last.index = Some(index);
                    }
                })
            };
            if result.is_err() {
                break;
            }
        }
        self.leaf(row.name, row.entity, start, Value::Array(count), nodes);
        adopt(nodes, start, children);
        result
    }

    /// A struct, alone or as an element; kept even if it could not be read to its end.
    fn element(
        &mut self,
        row: &'static Row,
        index: Option<usize>,
        version: i16,
        start: usize,
        nodes: &mut Vec<Node>,
    ) -> Result<(), DecodeError> {
        let mut children = Vec::new();
        let result = self
            .plain_fields(row.fields, version, &mut children)
            .and_then(|()| self.tagged_fields(row.fields, version, &mut children));
        if self.leaf(row.name, row.entity, start, Value::Struct, nodes) {
            let node = nodes.last_mut().expect("a node was just added");
            node.index = index;
            node.children = children;
        }
        result
    }

    fn value(&mut self, kind: Kind, null: bool) -> Result<Value, DecodeError> {
        let reader = &mut self.reader;
        Ok(match kind {
            Kind::Bool => Value::Bool(reader.bool()?),
            Kind::Int8 => Value::Int(reader.i8()?.into()),
            Kind::Int16 => Value::Int(reader.i16()?.into()),
            Kind::Uint16 => Value::Int(reader.u16()?.into()),
            Kind::Int32 => Value::Int(reader.i32()?.into()),
            Kind::Int64 => Value::Int(reader.i64()?),
            Kind::Float64 => Value::Float(reader.f64()?),
            Kind::Uuid => Value::Uuid(reader.uuid()?),
            Kind::String => reader
                .nullable_string(null)?
                .map_or(Value::Null, Value::Text),
            Kind::Bytes | Kind::Records => reader
                .nullable_bytes(null)?
                .map_or(Value::Null, |_| Value::Bytes),
            Kind::Struct => Value::Struct,
        })
    }

    /// Adds a node from `start` to here; whether there was room for it.
    fn leaf(
        &mut self,
        name: &'static str,
        entity: &'static str,
        start: usize,
        value: Value,
        nodes: &mut Vec<Node>,
    ) -> bool {
        if self.nodes_left == 0 {
            return false;
        }
        self.nodes_left -= 1;
        nodes.push(Node {
            name,
            index: None,
            range: start..self.reader.position(),
            value,
            entity,
            children: Vec::new(),
        });
        true
    }
}

/// Gives the node that starts at `start`, if it found room, its children.
fn adopt(nodes: &mut [Node], start: usize, children: Vec<Node>) {
    if let Some(last) = nodes.last_mut().filter(|node| node.range.start == start) {
        last.children = children;
    }
}

const fn header_row(name: &'static str, kind: Kind, null_from: i16) -> Row {
    Row {
        name,
        kind,
        array: false,
        from: 0,
        to: i16::MAX,
        null_from,
        null_to: i16::MAX - 1,
        tag: -1,
        entity: "",
        fields: &[],
    }
}

static REQUEST_HEADER: &[Row] = &[
    header_row("request_api_key", Kind::Int16, i16::MAX),
    header_row("request_api_version", Kind::Int16, i16::MAX),
    header_row("correlation_id", Kind::Int32, i16::MAX),
    header_row("client_id", Kind::String, 0),
];

static RESPONSE_HEADER: &[Row] = &[header_row("correlation_id", Kind::Int32, i16::MAX)];
