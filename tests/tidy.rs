//! Rules about the source that neither the compiler nor clippy holds: who may import whom, how long a
//! file may grow, which names say nothing, where a lock or a colour may stand, and that
//! ARCHITECTURE.md speaks of every module. It reads text; it does not know types.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code a file may have: blank lines, comments and tests are not counted.
const MAX_CODE_LINES: usize = 500;

/// Names that say nothing about what a thing does (matched as whole words of a name).
const BANNED: &[&str] = &[
    "manager",
    "handler",
    "helper",
    "helpers",
    "util",
    "utils",
    "common",
    "misc",
    "processor",
    "data",
    "info",
];

/// Files allowed to hold a lock. None: threads talk through channels and immutable pictures.
const LOCKS_ALLOWED: &[&str] = &[];

/// Who may import whom. A module may always import itself; `main` is the thin program on top.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("plants", &[]),
    ("inspect", &["ids"]),
    ("wire", &["ids"]),
    ("links", &["ids"]),
    ("storage", &["ids", "plants", "wire"]),
    ("metadata", &["ids", "plants", "wire"]),
    ("quorum", &["ids", "plants", "wire"]),
    ("group", &["ids", "plants", "wire", "metadata"]),
    ("txn", &["ids", "wire", "metadata"]),
    ("replica", &["ids", "plants", "wire", "storage"]),
    (
        "broker",
        &[
            "ids", "plants", "inspect", "wire", "links", "storage", "metadata", "quorum", "group",
            "txn", "replica",
        ],
    ),
    (
        "runtime",
        &["ids", "inspect", "wire", "links", "storage", "broker"],
    ),
    // The producer of the panels is described by `inspect::ProducerPlan`, plain data like `ids`.
    ("client", &["ids", "inspect", "wire"]),
    (
        "cluster",
        &[
            "ids", "inspect", "wire", "links", "storage", "broker", "runtime", "client",
        ],
    ),
    (
        "lab",
        &[
            "ids", "plants", "inspect", "wire", "links", "storage", "broker", "client",
        ],
    ),
    (
        "source",
        &["ids", "inspect", "wire", "client", "cluster", "lab"],
    ),
    ("lessons", &["ids", "inspect"]),
    ("app", &["ids", "inspect", "source", "lessons"]),
    // What the command line asks for; it starts everything and prints.
    (
        "cli",
        &[
            "ids", "plants", "inspect", "wire", "storage", "broker", "runtime", "cluster", "lab",
            "source", "app",
        ],
    ),
    (
        "main",
        &[
            "cli", "app", "cluster", "source", "storage", "inspect", "ids", "runtime",
        ],
    ),
];

/// Words a module's code may not contain.
const NEVER: &[(&str, &[&str])] = &[
    (
        "broker",
        &[
            "tokio",
            "std::thread",
            "Instant",
            "SystemTime",
            "TcpStream",
            "TcpListener",
        ],
    ),
    (
        "client",
        &[
            "tokio",
            "std::thread",
            "Instant",
            "SystemTime",
            "TcpStream",
            "TcpListener",
        ],
    ),
    (
        "lab",
        &["tokio", "std::thread", "std::net", "Instant", "SystemTime"],
    ),
];

/// Crates that belong to one module alone.
const CRATE_ONLY_IN: &[(&str, &[&str])] = &[
    ("egui", &["app"]),
    ("eframe", &["app"]),
    ("egui_plot", &["app"]),
    ("rfd", &["app"]),
    ("memmap2", &["storage"]),
    ("tokio", &["runtime", "cluster", "source", "cli", "main"]),
    ("socket2", &["runtime", "cluster"]),
];

/// One source file: its path below `src/`, its top module, its text, and its code without comments,
/// string contents and tests.
struct Source {
    path: String,
    module: String,
    text: String,
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("cannot list {}: {e}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every file below `src/` that is not itself a test.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    let mut sources = Vec::new();
    for path in paths {
        let relative = path
            .strip_prefix(&src)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        if is_test_file(&relative) {
            continue;
        }
        let module = relative
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_string();
        let text = fs::read_to_string(&path).unwrap();
        let code = without_tests(&without_comments(&text));
        sources.push(Source {
            path: relative,
            module,
            text,
            code,
        });
    }
    assert!(
        sources.len() > 10,
        "found only {} files below src",
        sources.len()
    );
    sources
}

fn is_test_file(relative: &str) -> bool {
    relative.ends_with("tests.rs")
        || relative.split('/').any(|part| part == "tests")
        || relative.ends_with("_test.rs")
}

/// Blanks comments and the contents of strings, keeping every line break, so that words in them are not
/// mistaken for code.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped_end(bytes, at);
        if end > at {
            out.extend(bytes[at..end].iter().filter(|b| **b == b'\n'));
            out.push(b' ');
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).expect("only whole characters are dropped")
}

/// Where the comment, string or character literal that starts at `at` ends; `at` if none starts there.
fn skipped_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return find(bytes, at + 2, b"*/");
    }
    if !after_word && (rest.starts_with(b"r\"") || rest.starts_with(b"r#\"")) {
        let closing: &[u8] = if rest[1] == b'"' { b"\"" } else { b"\"#" };
        return find(bytes, at + 1 + closing.len(), closing);
    }
    match rest[0] {
        b'"' => quoted_end(bytes, at + 1, b'"'),
        b'\'' if rest.get(1) == Some(&b'\\') => quoted_end(bytes, at + 1, b'\''),
        b'\'' if rest.len() > 2 && rest[1] < 128 && rest[2] == b'\'' => at + 3,
        _ => at,
    }
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let from = from.min(bytes.len());
    bytes[from..]
        .windows(what.len())
        .position(|window| window == what)
        .map_or(bytes.len(), |position| from + position + what.len())
}

fn quoted_end(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Tests stand last in a file: everything from `#[cfg(test)]` before an inline `mod` on is cut.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let inline_tests = line.trim() == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.contains("mod ") && next.contains('{'));
        if inline_tests {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte positions where `word` stands as a whole word.
fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || !is_word_byte(bytes[at - 1]))
        .filter(|at| bytes.get(at + word.len()).is_none_or(|b| !is_word_byte(*b)))
        .collect()
}

fn leading_word(text: &str) -> &str {
    let end = text
        .bytes()
        .position(|b| !is_word_byte(b))
        .unwrap_or(text.len());
    &text[..end]
}

/// The modules named right after `crate::` (or `klar::` in main), also inside `{…}` groups.
fn imported_modules(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate", "klar"] {
        for at in words(code, prefix) {
            let Some(rest) = code[at + prefix.len()..].strip_prefix("::") else {
                continue;
            };
            match rest.strip_prefix('{') {
                Some(group) => found.extend(first_words_of_group(group)),
                None => {
                    found.insert(leading_word(rest).to_string());
                }
            }
        }
    }
    found
}

fn first_words_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut item = String::new();
    let mut items = Vec::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(character),
            _ => {}
        }
    }
    items.push(item);
    items
        .iter()
        .map(|item| leading_word(item.trim()).to_string())
        .filter(|w| !w.is_empty())
        .collect()
}

fn fail_on(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}\n  {}\n", broken.join("\n  "));
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let Some(allowed) = table.get(source.module.as_str()) else {
            broken.push(format!(
                "{}: module `{}` has no row",
                source.path, source.module
            ));
            continue;
        };
        for name in imported_modules(&source.code) {
            let is_module = table.contains_key(name.as_str());
            if is_module && name != source.module && !allowed.contains(&name.as_str()) {
                broken.push(format!("{}: imports `{name}`", source.path));
            }
        }
    }
    fail_on(broken, "the import table of tests/tidy.rs forbids:");
}

#[test]
fn crates_and_words_stay_in_their_modules() {
    let mut broken = Vec::new();
    for source in sources() {
        let module = source.module.as_str();
        for (name, homes) in CRATE_ONLY_IN {
            let uses = words(&source.code, name)
                .iter()
                .any(|at| source.code[at + name.len()..].starts_with("::"));
            if uses && !homes.contains(&module) && module != "lib" {
                broken.push(format!("{}: uses the crate `{name}`", source.path));
            }
        }
        let never = NEVER
            .iter()
            .find(|(name, _)| *name == module)
            .map_or(&[][..], |row| row.1);
        for word in never
            .iter()
            .filter(|word| !words(&source.code, word).is_empty())
        {
            broken.push(format!("{}: says `{word}`", source.path));
        }
    }
    fail_on(broken, "belongs to another module:");
}

#[test]
fn files_stay_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source
            .code
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        if lines > MAX_CODE_LINES {
            broken.push(format!("{}: {lines} lines of code", source.path));
        }
    }
    fail_on(
        broken,
        &format!("files with more than {MAX_CODE_LINES} lines of code:"),
    );
}

#[test]
fn files_say_what_they_are() {
    let mut broken = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            broken.push(format!("{}: does not start with `//!`", source.path));
        }
        let api = source.path.starts_with("broker/api/") && !source.path.ends_with("/mod.rs");
        if api && !source.text.contains("Differs from Apache Kafka:") {
            broken.push(format!("{}: no `Differs from Apache Kafka:`", source.path));
        }
    }
    fail_on(broken, "headers:");
}

/// `DeleteRecordsHandler` and `delete_records_handler` are both `delete records handler`.
fn parts_of_name(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character == '.' || character.is_uppercase() {
            parts.push(String::new());
        }
        if character.is_alphanumeric() {
            parts.last_mut().unwrap().extend(character.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn names_say_something() {
    let mut broken = Vec::new();
    for source in sources() {
        for part in source
            .path
            .trim_end_matches(".rs")
            .split('/')
            .flat_map(parts_of_name)
        {
            if BANNED.contains(&part.as_str()) {
                broken.push(format!("{}: a file named `{part}`", source.path));
            }
        }
        for keyword in ["struct", "enum", "trait", "type", "mod"] {
            for at in words(&source.code, keyword) {
                let name = leading_word(source.code[at + keyword.len()..].trim_start());
                if parts_of_name(name)
                    .iter()
                    .any(|part| BANNED.contains(&part.as_str()))
                {
                    broken.push(format!("{}: {keyword} {name}", source.path));
                }
            }
        }
        for at in words(&source.code, "fn") {
            let name = leading_word(source.code[at + 2..].trim_start());
            if BANNED.contains(&name) {
                broken.push(format!("{}: fn {name}", source.path));
            }
        }
    }
    fail_on(broken, "names that say nothing:");
}

#[test]
fn locks_stand_only_where_listed() {
    let mut broken = Vec::new();
    for source in sources() {
        let locks = ["Mutex", "RwLock", "ReentrantLock"];
        let uses = locks
            .iter()
            .any(|word| !words(&source.code, word).is_empty());
        if uses && !LOCKS_ALLOWED.contains(&source.path.as_str()) {
            broken.push(source.path);
        }
    }
    fail_on(broken, "a lock outside LOCKS_ALLOWED:");
}

#[test]
fn colours_stand_only_in_the_theme() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module == "app") {
        if source.path == "app/theme.rs" || source.path.starts_with("app/theme/") {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            let constant = words(line, "Color32").iter().any(|at| {
                let rest = &line[at + "Color32".len()..];
                rest.starts_with("::")
                    && !["::TRANSPARENT", "::PLACEHOLDER"]
                        .iter()
                        .any(|c| rest.starts_with(c))
            });
            if constant || line.contains("Rgba::") || line.contains("hex_color!") {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    fail_on(broken, "a colour outside src/app/theme.rs:");
}

#[test]
fn architecture_names_every_module() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let modules: BTreeSet<String> = sources()
        .into_iter()
        .map(|source| source.module)
        .filter(|module| module != "lib" && module != "main")
        .collect();
    let mut broken = Vec::new();
    for module in modules {
        let heading = format!("### `{module}`");
        let Some(at) = text.find(&heading) else {
            broken.push(format!("no section `{heading}`"));
            continue;
        };
        let section = &text[at + heading.len()..];
        let section = &section[..section.find("\n#").unwrap_or(section.len())];
        for part in ["**Holds:**", "**Absent on purpose:**"] {
            if !section.contains(part) {
                broken.push(format!("the section of `{module}` has no {part}"));
            }
        }
    }
    fail_on(broken, "ARCHITECTURE.md:");
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let text = "//! crate::app\nuse crate::{ids::{A, B}, wire};\nlet s = \"crate::broker\"; // crate::x\n\
                let q = '\"'; crate::storage::open();\n#[cfg(test)]\nmod tests {\n use crate::app;\n}\n";
    let code = without_tests(&without_comments(text));
    let found: Vec<_> = imported_modules(&code).into_iter().collect();
    assert_eq!(found, ["ids", "storage", "wire"]);
    assert_eq!(
        parts_of_name("DeleteRecordsHandler"),
        ["delete", "records", "handler"]
    );
    assert_eq!(parts_of_name("metadata"), ["metadata"]);
}
