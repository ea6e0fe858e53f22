//! Writes the structs, their defaults, and how each reads and writes itself.
//!
//! All real work is in `wire::codec`; the generated functions only say in which order and in which
//! versions, so that hundreds of them stay small and compile fast.

use std::fmt::Write as _;

use crate::model::{Definition, Field, Kind, Role, Struct, Versions, snake};

/// All modules, one per definition, and the macros that list every frame body and record value.
pub fn messages(definitions: &[Definition]) -> String {
    let mut out = String::new();
    for definition in definitions {
        module(&mut out, definition);
    }
    every_message(&mut out, definitions);
    every_value(&mut out, definitions);
    out
}

fn module(out: &mut String, definition: &Definition) {
    let _ = write!(
        out,
        "/// {}\npub mod {} {{\n    use super::prelude::*;\n",
        definition.doc,
        snake(&definition.name)
    );
    for structure in &definition.structs {
        Emit {
            definition,
            structure,
            ranged: holds_ranges(definition, &structure.name),
        }
        .all(out);
    }
    for body in &definition.bodies {
        let Versions { from, to } = definition.versions;
        let flexible = definition.flexible_from.unwrap_or(i16::MAX);
        let name = &body.root;
        if body.role == Role::Fields
            && let Some(id) = definition.id
        {
            let _ = writeln!(out, "    impl {name} {{ pub const ID: i16 = {id}; }}");
        }
        let key = definition
            .api
            .as_ref()
            .map_or(String::new(), |api| format!("key {}, ", api.key));
        let _ = writeln!(out, "    message!({name}, {key}{from}, {to}, {flexible});");
    }
    out.push_str("}\n");
}

/// Whether `records` in this struct leave in pieces: those of responses do.
fn holds_ranges(definition: &Definition, name: &str) -> bool {
    let response = definition.bodies.iter().find(|b| b.role == Role::Response);
    response.is_some_and(|body| reaches(definition, &body.root, name))
}

fn reaches(definition: &Definition, from: &str, name: &str) -> bool {
    from == name
        || definition
            .structure(from)
            .fields
            .iter()
            .any(|field| match &field.kind {
                Kind::Struct(inner) => reaches(definition, inner, name),
                _ => false,
            })
}

fn every_message(out: &mut String, definitions: &[Definition]) {
    out.push_str("/// Calls the macro `$row` once, with a row `(module, struct, key, request or response)`\n");
    out.push_str("/// for every request and response: what tests and fuzz targets walk.\n");
    out.push_str("#[macro_export]\nmacro_rules! every_message {\n    ($row:ident) => { $row! {\n");
    for definition in definitions {
        let Some(api) = &definition.api else { continue };
        for body in &definition.bodies {
            let side = if body.role == Role::Request {
                "request"
            } else {
                "response"
            };
            let module = snake(&definition.name);
            let _ = writeln!(
                out,
                "        ({module}, {}, {}, {side})",
                body.root, api.key
            );
        }
    }
    out.push_str("    } };\n}\n");
}

fn every_value(out: &mut String, definitions: &[Definition]) {
    out.push_str(
        "/// Calls the macro `$row` once, with a row `(module, struct)` for every record value.\n",
    );
    out.push_str("#[macro_export]\nmacro_rules! every_value {\n    ($row:ident) => { $row! {\n");
    for definition in definitions.iter().filter(|d| d.api.is_none()) {
        let _ = writeln!(
            out,
            "        ({}, {})",
            snake(&definition.name),
            definition.name
        );
    }
    out.push_str("    } };\n}\n");
}

struct Emit<'a> {
    definition: &'a Definition,
    structure: &'a Struct,
    ranged: bool,
}

impl Emit<'_> {
    fn all(&self, out: &mut String) {
        let plain = self
            .structure
            .fields
            .iter()
            .all(|f| self.default_value(f).is_none());
        let derive = if plain { ", Default" } else { "" };
        let name = &self.structure.name;
        let _ = writeln!(
            out,
            "    #[derive(Debug, Clone, PartialEq{derive})]\n    pub struct {name} {{"
        );
        for field in &self.structure.fields {
            let _ = writeln!(
                out,
                "        pub {}: {},",
                ident(field),
                self.rust_type(field)
            );
        }
        out.push_str("    }\n");
        if !plain {
            self.default_impl(out);
        }
        let _ = writeln!(
            out,
            "    impl Item for {name} {{\n        const SMALLEST: usize = {};",
            self.smallest().max(1)
        );
        self.decode(out);
        self.encode(out);
        out.push_str("    }\n");
    }

    fn default_impl(&self, out: &mut String) {
        let name = &self.structure.name;
        let _ = write!(
            out,
            "    impl Default for {name} {{\n        fn default() -> Self {{ {name} {{ "
        );
        for field in &self.structure.fields {
            let value = self.default_value(field);
            let value = value.as_deref().unwrap_or("Default::default()");
            let _ = write!(out, "{}: {value}, ", ident(field));
        }
        out.push_str("} }\n    }\n");
    }

    fn rust_type(&self, field: &Field) -> String {
        let one = match &field.kind {
            Kind::Bool => "bool",
            Kind::Int8 => "i8",
            Kind::Int16 => "i16",
            Kind::Uint16 => "u16",
            Kind::Int32 => "i32",
            Kind::Int64 => "i64",
            Kind::Float64 => "f64",
            Kind::Uuid => "TopicId",
            Kind::String => "String",
            Kind::Records if self.ranged => "RecordRanges",
            Kind::Bytes | Kind::Records => "Bytes",
            Kind::Struct(name) => name,
        };
        let all = if field.array {
            format!("Vec<{one}>")
        } else {
            one.to_owned()
        };
        if field.nullable.is_some() {
            format!("Option<{all}>")
        } else {
            all
        }
    }

    /// The default as an expression; `None` if Rust's own default is the same.
    fn default_value(&self, field: &Field) -> Option<String> {
        if field.nullable.is_some() {
            return (!field.null_default()).then(|| "Some(Default::default())".to_owned());
        }
        let written = field.default.as_ref()?;
        Some(match &field.kind {
            Kind::String => format!("String::from({written:?})"),
            _ => written.clone(),
        })
    }

    /// An expression that is true if the field differs from its default.
    fn changed(&self, field: &Field) -> String {
        let name = ident(field);
        if field.nullable.is_some() {
            return if field.null_default() {
                format!("self.{name}.is_some()")
            } else {
                format!("self.{name} != Some(Default::default())")
            };
        }
        match (&field.kind, field.array) {
            (Kind::Bool, false) if field.default.as_deref() == Some("true") => {
                format!("!self.{name}")
            }
            (Kind::Bool, false) => format!("self.{name}"),
            (Kind::String | Kind::Bytes | Kind::Records, _) | (_, true) => {
                format!("!self.{name}.is_empty()")
            }
            (Kind::Struct(_) | Kind::Uuid, false) => format!("self.{name} != Default::default()"),
            (Kind::Float64, false) => format!("self.{name} != 0.0"),
            _ => format!("self.{name} != {}", field.default.as_deref().unwrap_or("0")),
        }
    }

    fn decode(&self, out: &mut String) {
        out.push_str("        fn decode(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {\n");
        out.push_str("            let mut x = Self::default();\n");
        for field in self.structure.fields.iter().filter(|f| f.tag.is_none()) {
            let read = format!("x.{} = {};", ident(field), self.read(field));
            let _ = match self.when(field.versions) {
                None => writeln!(out, "            {read}"),
                Some(when) => writeln!(out, "            if {when} {{ {read} }}"),
            };
        }
        let tagged = self.tagged();
        if !tagged.is_empty() {
            out.push_str("            let mut tags = r.open_tags()?;\n");
            out.push_str("            while let Some(tag) = r.next_tag(&mut tags)? {\n");
            out.push_str("                match tag.number {\n");
            for field in tagged {
                let guard = self
                    .when(field.versions)
                    .map_or(String::new(), |w| format!(" if {w}"));
                let _ = writeln!(
                    out,
                    "                    {}{guard} => x.{} = {},",
                    field.tag.unwrap_or(0),
                    ident(field),
                    self.read(field)
                );
            }
            out.push_str("                    _ => r.skip_tag(&tag),\n                }\n");
            out.push_str("                r.close_tag(tag)?;\n            }\n");
        } else if self.definition.flexible_from.is_some() {
            out.push_str("            r.skip_tags()?;\n");
        }
        out.push_str("            let _ = v;\n            Ok(x)\n        }\n");
    }

    fn read(&self, field: &Field) -> String {
        let nullable = self.nullable(field);
        let some = nullable.is_some();
        let null = nullable.unwrap_or_default();
        if field.array {
            return if some {
                format!("r.nullable_array(v, {null})?")
            } else {
                "r.array(v)?".into()
            };
        }
        let name = match &field.kind {
            Kind::Struct(_) if some => return format!("r.nullable_item(v, {null})?"),
            Kind::Struct(_) => return "Item::decode(r, v)?".into(),
            Kind::Records if self.ranged => "ranges",
            kind => primitive(kind),
        };
        if some {
            format!("r.nullable_{name}({null})?")
        } else {
            format!("r.{name}()?")
        }
    }

    fn encode(&self, out: &mut String) {
        out.push_str(
            "        fn encode(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {\n",
        );
        for field in self.structure.fields.iter().filter(|f| f.tag.is_none()) {
            let write = format!("{};", self.write(field));
            self.guarded(out, field, &write);
        }
        let tagged = self.tagged();
        if !tagged.is_empty() {
            out.push_str("            let tags = w.open_tags();\n");
            for field in tagged {
                let number = field.tag.unwrap_or(0);
                let write = format!(
                    "if {} {{ let tag = w.begin_tag(tags, {number}); {}; w.end_tag(tag); }}",
                    self.changed(field),
                    self.write(field)
                );
                self.guarded(out, field, &write);
            }
        } else if self.definition.flexible_from.is_some() {
            out.push_str("            w.no_tags();\n");
        }
        out.push_str("            let _ = v;\n            Ok(())\n        }\n");
    }

    /// Writes `write` for the versions that have the field; elsewhere a value that would be lost is an
    /// error unless the definition says that it may be.
    fn guarded(&self, out: &mut String, field: &Field, write: &str) {
        let Some(when) = self.when(field.versions) else {
            let _ = writeln!(out, "            {write}");
            return;
        };
        let _ = write!(out, "            if {when} {{ {write} }}");
        if !field.ignorable {
            let _ = write!(
                out,
                " else if {} {{ return Err(EncodeError::absent({:?}, v)); }}",
                self.changed(field),
                field.name
            );
        }
        out.push('\n');
    }

    fn write(&self, field: &Field) -> String {
        let name = ident(field);
        let text = &field.name;
        let nullable = self.nullable(field);
        let some = nullable.is_some();
        let null = nullable.unwrap_or_default();
        if field.array {
            return if some {
                format!("w.nullable_array(self.{name}.as_deref(), v, {null}, {text:?})?")
            } else {
                format!("w.array(&self.{name}, v)?")
            };
        }
        match &field.kind {
            Kind::Struct(_) if some => {
                format!("w.nullable_item(self.{name}.as_ref(), v, {null}, {text:?})?")
            }
            Kind::Struct(_) => format!("self.{name}.encode(w, v)?"),
            Kind::String if some => {
                format!("w.nullable_string(self.{name}.as_deref(), {null}, {text:?})?")
            }
            Kind::String => format!("w.string(&self.{name})?"),
            Kind::Bytes | Kind::Records => {
                let what = if self.ranged && field.kind == Kind::Records {
                    "ranges"
                } else {
                    "bytes"
                };
                if some {
                    format!("w.nullable_{what}(self.{name}.as_ref(), {null}, {text:?})?")
                } else {
                    format!("w.{what}(&self.{name})?")
                }
            }
            kind => format!("w.{}(self.{name})", primitive(kind)),
        }
    }

    /// Whether null may be written, as an expression over `v`; `None` if the field is never null.
    fn nullable(&self, field: &Field) -> Option<String> {
        let nullable = field.nullable?;
        Some(if nullable.covers(field.versions) {
            "true".to_owned()
        } else {
            self.when(nullable).unwrap_or_else(|| "true".to_owned())
        })
    }

    /// A condition on `v` for a range; `None` if the struct only lives in that range.
    fn when(&self, versions: Versions) -> Option<String> {
        let own = self.structure.versions;
        match (versions.from > own.from, versions.to < own.to) {
            (false, false) => None,
            (true, false) => Some(format!("v >= {}", versions.from)),
            (false, true) => Some(format!("v <= {}", versions.to)),
            (true, true) if versions.from == versions.to => Some(format!("v == {}", versions.from)),
            (true, true) => Some(format!(
                "({}..={}).contains(&v)",
                versions.from, versions.to
            )),
        }
    }

    fn tagged(&self) -> Vec<&Field> {
        let mut tagged: Vec<_> = self
            .structure
            .fields
            .iter()
            .filter(|f| f.tag.is_some())
            .collect();
        tagged.sort_by_key(|f| f.tag);
        tagged
    }

    /// The fewest bytes one of these takes in any version.
    fn smallest(&self) -> usize {
        let Versions { from, to } = self.structure.versions;
        (from..=to)
            .map(|version| smallest(self.definition, self.structure, version))
            .min()
            .unwrap_or(1)
    }
}

fn smallest(definition: &Definition, structure: &Struct, version: i16) -> usize {
    let flexible = definition.is_flexible(version);
    let here = Versions {
        from: version,
        to: version,
    };
    let mut total = usize::from(flexible);
    for field in &structure.fields {
        if field.tag.is_some() || !field.versions.covers(here) {
            continue;
        }
        total += match &field.kind {
            _ if field.array => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Kind::Bool | Kind::Int8 => 1,
            Kind::Int16 | Kind::Uint16 => 2,
            Kind::Int32 => 4,
            Kind::Int64 | Kind::Float64 => 8,
            Kind::Uuid => 16,
            Kind::String => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Kind::Bytes | Kind::Records => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Kind::Struct(_) if field.nullable.is_some() => 1,
            Kind::Struct(name) => smallest(definition, definition.structure(name), version),
        };
    }
    total
}

fn primitive(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int8 => "i8",
        Kind::Int16 => "i16",
        Kind::Uint16 => "u16",
        Kind::Int32 => "i32",
        Kind::Int64 => "i64",
        Kind::Float64 => "f64",
        Kind::Uuid => "uuid",
        Kind::String => "string",
        Kind::Bytes | Kind::Records => "bytes",
        Kind::Struct(_) => "item",
    }
}

/// A field's name in Rust.
fn ident(field: &Field) -> String {
    match field.name.as_str() {
        "type" | "match" | "ref" | "self" => format!("r#{}", field.name),
        name => name.to_owned(),
    }
}
