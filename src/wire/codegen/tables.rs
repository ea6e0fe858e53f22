//! Writes the API table, the static field tables and the error table.
//!
//! A struct used in several places is written out in each: field tables are trees without sharing, so
//! that walking one needs no lookup.

use std::fmt::Write as _;

use crate::model::{Definition, Field, Kind, Role, Versions, camel};

/// `ApiKey`, `APIS` and one static `Shape` per request, response and record value.
pub fn apis(definitions: &[Definition]) -> String {
    let mut out = String::new();
    let mut apis: Vec<_> = definitions
        .iter()
        .filter_map(|definition| Some((definition, definition.api.as_ref()?)))
        .collect();
    apis.sort_by_key(|(_, api)| api.key);

    out.push_str("/// Which request or response a frame carries.\n");
    out.push_str("#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n");
    out.push_str("#[repr(i16)]\npub enum ApiKey {\n");
    for (definition, api) in &apis {
        let _ = writeln!(
            out,
            "    /// {}\n    {} = {},",
            definition.doc, definition.name, api.key
        );
    }
    out.push_str("}\n\n/// Every API with a definition, by key.\n");
    out.push_str("pub static APIS: &[Api] = &[\n");
    for (definition, api) in &apis {
        let _ = writeln!(
            out,
            "    Api {{ key: ApiKey::{name}, name: {name:?}, doc: {:?}, min: {}, max: {}, \
             advertised_min: {}, advertised_max: {}, flexible_from: {}, on_broker: {}, \
             on_controller: {}, request: &{}, response: &{} }},",
            definition.doc,
            definition.versions.from,
            definition.versions.to,
            api.advertised_from,
            api.advertised_to,
            definition.flexible_from.unwrap_or(i16::MAX),
            api.on_broker,
            api.on_controller,
            shape_name(definition, Role::Request),
            shape_name(definition, Role::Response),
            name = definition.name,
        );
    }
    out.push_str("];\n\n");
    for definition in definitions {
        shapes(&mut out, definition);
    }
    record_shapes(&mut out, definitions);
    out
}

fn shape_name(definition: &Definition, role: Role) -> String {
    let body = definition.bodies.iter().find(|body| body.role == role);
    let root = &body
        .expect("an api has both, a record value its fields")
        .root;
    crate::model::snake(root).to_uppercase()
}

fn shapes(out: &mut String, definition: &Definition) {
    for body in &definition.bodies {
        let _ = writeln!(
            out,
            "static {}: Shape = Shape {{ name: {:?}, min: {}, max: {}, flexible_from: {}, fields: {} }};",
            shape_name(definition, body.role),
            body.root,
            definition.versions.from,
            definition.versions.to,
            definition.flexible_from.unwrap_or(i16::MAX),
            rows(definition, &body.root),
        );
    }
}

/// The record values' shapes, which no API row refers to.
fn record_shapes(out: &mut String, definitions: &[Definition]) {
    out.push_str("/// The values found inside records and opaque bytes, by name.\n");
    out.push_str("pub static RECORD_VALUES: &[&Shape] = &[\n");
    for definition in definitions.iter().filter(|d| d.api.is_none()) {
        let _ = writeln!(out, "    &{},", shape_name(definition, Role::Fields));
    }
    out.push_str("];\n");
}

fn rows(definition: &Definition, structure: &str) -> String {
    let mut out = String::from("&[");
    for field in &definition.structure(structure).fields {
        let _ = write!(
            out,
            "Row {{ name: {:?}, kind: Kind::{}, array: {}, from: {}, to: {}, {}, tag: {}, \
             entity: {:?}, fields: {} }}, ",
            field.name,
            kind(field),
            field.array,
            field.versions.from,
            field.versions.to,
            null_range(field),
            field.tag.map_or(-1, |tag| tag as i32),
            field.entity,
            match &field.kind {
                Kind::Struct(name) => rows(definition, name),
                _ => "&[]".to_owned(),
            },
        );
    }
    out.push(']');
    out
}

fn null_range(field: &Field) -> String {
    let never = Versions { from: 1, to: 0 };
    let Versions { from, to } = field.nullable.unwrap_or(never);
    format!("null_from: {from}, null_to: {to}")
}

fn kind(field: &Field) -> &'static str {
    match &field.kind {
        Kind::Bool => "Bool",
        Kind::Int8 => "Int8",
        Kind::Int16 => "Int16",
        Kind::Uint16 => "Uint16",
        Kind::Int32 => "Int32",
        Kind::Int64 => "Int64",
        Kind::Float64 => "Float64",
        Kind::Uuid => "Uuid",
        Kind::String => "String",
        Kind::Bytes => "Bytes",
        Kind::Records => "Records",
        Kind::Struct(_) => "Struct",
    }
}

/// `ErrorCode` and its table, from lines `code NAME retriable|final message`.
pub fn errors(text: &str) -> String {
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.splitn(4, ' ').collect())
        .collect();
    let mut out = String::from("/// Every error Kafka's protocol knows.\n");
    out.push_str("#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n");
    out.push_str("#[repr(i16)]\npub enum ErrorCode {\n");
    for row in &rows {
        let [code, name, _, message] = row[..] else {
            panic!("errors.txt: expected four columns: {row:?}");
        };
        let _ = writeln!(out, "    /// {message}\n    {} = {code},", camel(name));
    }
    out.push_str(
        "}\n\n/// All of them, in order of their numbers.\npub static ERRORS: &[ErrorRow] = &[\n",
    );
    for row in &rows {
        let retriable = match row[2] {
            "retriable" => true,
            "final" => false,
            other => panic!("errors.txt: expected retriable or final, not {other}"),
        };
        let _ = writeln!(
            out,
            "    ErrorRow {{ error: ErrorCode::{}, name: {:?}, retriable: {retriable}, message: {:?} }},",
            camel(row[1]),
            row[1],
            row[3]
        );
    }
    out.push_str("];\n");
    out
}
