//! Build script: turns `assets/protocol/` into Rust under `OUT_DIR`.
//!
//! Writes `messages.rs` (structs that decode and encode themselves), `apis.rs` (the API table and the
//! static field tables) and `errors.rs` (the error table). A bad definition fails the build with its
//! file and line. Does nothing at run time.

mod model;
mod parse;
mod structs;
mod tables;

use std::path::{Path, PathBuf};
use std::{env, fs};

use model::Definition;

/// Definitions, one file per API or family of record values.
const DEFINITIONS: &str = "assets/protocol";
/// The error table beside them.
const ERRORS: &str = "errors.txt";

fn main() {
    println!("cargo::rerun-if-changed={DEFINITIONS}");
    println!("cargo::rerun-if-changed=src/wire/codegen");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let definitions = read_definitions(Path::new(DEFINITIONS));
    let write = |name: &str, text: String| {
        fs::write(out.join(name), text).expect("OUT_DIR can be written");
    };
    write("messages.rs", structs::messages(&definitions));
    write("apis.rs", tables::apis(&definitions));
    let errors =
        fs::read_to_string(Path::new(DEFINITIONS).join(ERRORS)).expect("errors.txt is there");
    write("errors.rs", tables::errors(&errors));
}

fn read_definitions(folder: &Path) -> Vec<Definition> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("assets/protocol is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt") && !path.ends_with(ERRORS))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a definition is UTF-8 text");
        match parse::definitions(&text) {
            Ok(found) => all.extend(found),
            Err(why) => panic!("{}: {why}", file.display()),
        }
    }
    all
}
