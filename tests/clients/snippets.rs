//! The programs of the window's Connect card, each run as a user would paste it: twice, because the first run
//! makes the topic and the second finds it there. Each must end by itself, without an error, and print the
//! record it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::{self, Broker};
use crate::install;

#[test]
fn kcat() {
    runs("kcat", "kcat", |file| {
        let mut command = Command::new("bash");
        command.arg(file);
        command
    });
}

#[test]
fn python() {
    runs("python", "confluent", |file| {
        let mut command = Command::new(install::home("confluent").join("venv/bin/python"));
        command.arg(file);
        command
    });
}

#[test]
fn java() {
    runs("java", "java", |file| {
        let named = file.with_file_name("Hello.java");
        fs::copy(file, &named).unwrap();
        let mut command = Command::new("java");
        command.args(["-cp", "libs/*"]).arg(named);
        command.current_dir(install::home("java"));
        command
    });
}

#[test]
fn go() {
    runs("go", "franz", |file| {
        let module = file.with_extension("module");
        fs::create_dir_all(&module).unwrap();
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/drivers/go");
        for pins in ["go.mod", "go.sum"] {
            fs::copy(drivers.join(pins), module.join(pins)).unwrap();
        }
        fs::copy(file, module.join("main.go")).unwrap();
        let mut command = Command::new("go");
        command.args(["run", "-mod=mod", "."]).current_dir(module);
        command
    });
}

#[test]
fn node() {
    runs("node", "kafkajs", |file| {
        let mut command = Command::new("node");
        command.arg(file);
        command.env("NODE_PATH", install::home("kafkajs").join("node_modules"));
        command
    });
}

fn runs(name: &str, client: &str, command: impl Fn(&Path) -> Command) {
    install::home(client);
    let broker = Broker::get();
    let topic = format!("connect-{name}");
    let file = written(name, &broker.bootstrap, &topic);
    for run in ["first", "second"] {
        let output = command(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the {run} run of the {name} program ended with {}:\n{said}\n{errors}",
            output.status
        );
        let wrote = format!("{run} run of {name} said:\n{said}\n{errors}");
        // kafkajs reads in groups only, so its program prints where the record went instead.
        let proof = match name {
            "node" => said.contains("baseOffset") && said.contains("high"),
            _ => said.contains("qty"),
        };
        assert!(proof, "the {wrote}");
    }
}

/// The program with its blanks filled in, as the card's copy button gives it.
fn written(name: &str, bootstrap: &str, topic: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join(format!("src/app/dialogs/snippets/{name}.txt"));
    let program = fs::read_to_string(program).unwrap();
    let program = program
        .replace("BOOTSTRAP", bootstrap)
        .replace("TOPIC", topic);
    let file = broker::scratch().join(format!("connect-{name}.{}", ending(name)));
    fs::write(&file, program).unwrap();
    file
}

fn ending(name: &str) -> &str {
    match name {
        "python" => "py",
        "java" => "java",
        "go" => "go",
        "node" => "js",
        _ => "sh",
    }
}
