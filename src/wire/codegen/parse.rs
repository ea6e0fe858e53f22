//! Reads the definition files. `assets/protocol/README.md` describes the notation.
//!
//! Every mistake in a file is an error that names file and line; nothing is guessed.

use crate::model::{Api, Body, Definition, Field, Kind, Role, Struct, Versions};

const INDENT: usize = 4;

struct Line<'a> {
    number: usize,
    depth: usize,
    text: &'a str,
}

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

/// All definitions of one file, in its order.
pub fn definitions(text: &str) -> Result<Vec<Definition>, String> {
    let mut parser = Parser {
        lines: lines(text)?,
        at: 0,
    };
    let mut all = Vec::new();
    while parser.at < parser.lines.len() {
        all.push(parser.definition()?);
    }
    Ok(all)
}

fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let text = raw.trim();
        let spaces = raw.len() - raw.trim_start().len();
        if text.is_empty() {
            continue;
        }
        if spaces % INDENT != 0 {
            return Err(format!("line {}: indent by {INDENT} spaces", index + 1));
        }
        lines.push(Line {
            number: index + 1,
            depth: spaces / INDENT,
            text,
        });
    }
    Ok(lines)
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Line<'a>> {
        self.lines.get(self.at)
    }

    fn fail<T>(&self, why: &str) -> Result<T, String> {
        let line = &self.lines[self.at.min(self.lines.len() - 1)];
        Err(format!("line {}: {why}: {}", line.number, line.text))
    }

    /// The words after `word`, if the next line is at the margin and starts with it.
    fn margin(&mut self, word: &str) -> Option<&'a str> {
        let line = self.peek()?;
        let rest = line.text.strip_prefix(word)?;
        if line.depth != 0 || !(rest.is_empty() || rest.starts_with(' ')) {
            return None;
        }
        let rest = rest.trim();
        self.at += 1;
        Some(rest)
    }

    fn definition(&mut self) -> Result<Definition, String> {
        let mut doc = "";
        while let Some(comment) = self.margin("#") {
            doc = comment;
        }
        let api = self.margin("api");
        let Some(heading) = api.or_else(|| self.margin("data")) else {
            return self.fail("expected `api` or `data`");
        };
        let (name, number) = match heading.split_once(' ') {
            Some((name, number)) => (name, number.parse::<i16>().ok()),
            None => (heading, None),
        };
        let listeners = self.margin("listeners").unwrap_or("");
        let Some(versions) = self.margin("versions").and_then(|v| range(v, None)) else {
            return self.fail("expected `versions`");
        };
        let from = |word: Option<&str>| word.and_then(|w| w.trim_end_matches('+').parse().ok());
        let mut definition = Definition {
            name: name.to_owned(),
            doc: doc.to_owned(),
            api: None,
            id: number,
            versions,
            flexible_from: from(self.margin("flexible")),
            bodies: Vec::new(),
            structs: Vec::new(),
        };
        let unstable: Option<i16> = from(self.margin("unstable"));
        let advertised: Option<i16> = from(self.margin("advertised-from"));
        if api.is_some() {
            let Some(key) = number else {
                return self.fail("an api needs its key");
            };
            definition.api = Some(Api {
                key,
                on_broker: listeners.split(' ').any(|l| l == "broker"),
                on_controller: listeners.split(' ').any(|l| l == "controller"),
                advertised_from: advertised.unwrap_or(versions.from),
                advertised_to: unstable.map_or(versions.to, |first| first - 1),
            });
            definition.id = None;
            self.body(&mut definition, "request", Role::Request, "Request")?;
            self.body(&mut definition, "response", Role::Response, "Response")?;
        } else {
            self.body(&mut definition, "fields", Role::Fields, "")?;
        }
        check_names(&definition)?;
        Ok(definition)
    }

    fn body(
        &mut self,
        definition: &mut Definition,
        word: &str,
        role: Role,
        suffix: &str,
    ) -> Result<(), String> {
        if self.margin(word).is_none() {
            return self.fail(&format!("expected `{word}`"));
        }
        let root = format!("{}{suffix}", definition.name);
        let versions = definition.versions;
        let fields = self.fields(1, versions, &mut definition.structs)?;
        definition.structs.push(Struct {
            name: root.clone(),
            versions,
            fields,
        });
        definition.bodies.push(Body { role, root });
        while let Some(line) = self.peek().filter(|line| line.depth == 1) {
            let Some(heading) = line.text.strip_prefix("struct ") else {
                return self.fail("expected a field or `struct`");
            };
            let mut words = heading.split(' ');
            let name = words.next().unwrap_or("").to_owned();
            let own = words.next().and_then(|v| range(v, Some(versions)));
            let versions = own.unwrap_or(versions);
            self.at += 1;
            let fields = self.fields(2, versions, &mut definition.structs)?;
            definition.structs.push(Struct {
                name,
                versions,
                fields,
            });
        }
        Ok(())
    }

    /// The fields at `depth`; structs described below a field are added to `structs`.
    fn fields(
        &mut self,
        depth: usize,
        versions: Versions,
        structs: &mut Vec<Struct>,
    ) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        while let Some(line) = self.peek() {
            if line.depth != depth || line.text.starts_with("struct ") {
                break;
            }
            let field = match field(line.text, versions) {
                Ok(field) => field,
                Err(why) => return self.fail(&why),
            };
            self.at += 1;
            if self.peek().is_some_and(|next| next.depth == depth + 1) {
                let Kind::Struct(name) = field.kind.clone() else {
                    return self.fail("only a struct has fields");
                };
                let inner = self.fields(depth + 1, field.versions, structs)?;
                structs.push(Struct {
                    name,
                    versions: field.versions,
                    fields: inner,
                });
            }
            fields.push(field);
        }
        Ok(fields)
    }
}

/// Reads `name: type [versions] [null versions] [tag n] [= default] [ignorable] [of entity]`.
fn field(text: &str, outer: Versions) -> Result<Field, String> {
    let (name, rest) = text.split_once(": ").ok_or("expected `name: type`")?;
    let mut words = rest.split(' ').peekable();
    let written = words.next().unwrap_or("");
    let always_nullable = written.ends_with('?');
    let bare = written.trim_end_matches('?');
    let array = bare.starts_with("[]");
    let mut field = Field {
        name: name.to_owned(),
        kind: kind(bare.trim_start_matches("[]"))?,
        array,
        versions: outer,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        entity: String::new(),
    };
    if let Some(versions) = words.peek().and_then(|w| range(w, Some(outer))) {
        field.versions = versions;
        words.next();
    }
    if always_nullable {
        field.nullable = Some(field.versions);
    }
    while let Some(word) = words.next() {
        let mut argument = || words.next().ok_or(format!("`{word}` needs a value"));
        match word {
            "null" => {
                let range = range(argument()?, Some(outer)).ok_or("bad versions after `null`")?;
                field.nullable = range.cut_to(field.versions);
            }
            "tag" => field.tag = Some(argument()?.parse().map_err(|_| "bad tag")?),
            "=" => field.default = Some(argument()?.to_owned()),
            "of" => field.entity = argument()?.to_owned(),
            "ignorable" => field.ignorable = true,
            _ => return Err(format!("unknown word `{word}`")),
        }
    }
    Ok(field)
}

fn kind(name: &str) -> Result<Kind, String> {
    Ok(match name {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        _ if name.starts_with(char::is_uppercase) => Kind::Struct(name.to_owned()),
        _ => return Err(format!("unknown type `{name}`")),
    })
}

/// Reads `3`, `3-5` or `3+` (up to the end of `outer`); `None` if it is not a range inside `outer`.
fn range(text: &str, outer: Option<Versions>) -> Option<Versions> {
    let versions = if let Some(from) = text.strip_suffix('+') {
        Versions {
            from: from.parse().ok()?,
            to: outer?.to,
        }
    } else if let Some((from, to)) = text.split_once('-') {
        Versions {
            from: from.parse().ok()?,
            to: to.parse().ok()?,
        }
    } else {
        let only = text.parse().ok()?;
        Versions {
            from: only,
            to: only,
        }
    };
    let inside = outer.is_none_or(|outer| outer.covers(versions));
    (versions.from <= versions.to && inside).then_some(versions)
}

/// Every struct is described exactly once and every struct a field names is described.
fn check_names(definition: &Definition) -> Result<(), String> {
    for structure in &definition.structs {
        let same = definition
            .structs
            .iter()
            .filter(|s| s.name == structure.name);
        if same.count() != 1 {
            return Err(format!("struct {} is described twice", structure.name));
        }
        for field in &structure.fields {
            if let Kind::Struct(name) = &field.kind
                && !definition.structs.iter().any(|s| s.name == *name)
            {
                return Err(format!("struct {name} is not described"));
            }
            if field.tag.is_some() && !definition.is_flexible(field.versions.from) {
                return Err(format!("{} has a tag where there are none", field.name));
            }
        }
    }
    Ok(())
}
