//! Installs the foreign clients below `tests/clients/.installed` and says how to start their drivers.
//! An installation is done again when a file that describes it changes; one that fails is a failed test.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// One client: what it needs from the system, the files that pin its version, the shell commands that
/// install it into the current directory, and the driver's command line. `$DRIVERS` is where the drivers are.
struct Client {
    names: &'static [&'static str],
    /// Programs that must be there, each with the Debian packages that bring it.
    programs: &'static [(&'static str, &'static str)],
    pins: &'static [&'static str],
    install: &'static str,
}

const CLIENTS: &[Client] = &[
    Client {
        names: &["kcat", "confluent", "kafka_python"],
        programs: &[("kcat", "kcat"), ("python3", "python3 python3-venv")],
        pins: &["python/requirements.txt"],
        install: "python3 -m venv venv || \"$ROOT/.ci/packages\" python3-venv && python3 -m venv venv && \
                  venv/bin/python -m pip install -q -r \"$DRIVERS/python/requirements.txt\"",
    },
    Client {
        names: &["java"],
        programs: &[("javac", "default-jdk-headless"), ("mvn", "maven")],
        pins: &[
            "java/pom.xml",
            "java/Admin.java",
            "java/Driver.java",
            "java/Member.java",
        ],
        install: "cp \"$DRIVERS/java/pom.xml\" . && \
                  mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs && \
                  javac -cp 'libs/*' -d classes \"$DRIVERS\"/java/*.java",
    },
    Client {
        names: &["tools"],
        programs: &[("javac", "default-jdk-headless"), ("mvn", "maven")],
        pins: &["tools/pom.xml", "tools/WordCount.java"],
        install: "cp \"$DRIVERS/tools/pom.xml\" . && \
                  mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs && \
                  javac -cp 'libs/*' -d classes \"$DRIVERS\"/tools/*.java",
    },
    Client {
        names: &["sarama", "franz"],
        programs: &[("go", "golang-go")],
        pins: &[
            "go/go.mod",
            "go/go.sum",
            "go/main.go",
            "go/admin.go",
            "go/member/main.go",
        ],
        install: "to=$PWD && cd \"$DRIVERS/go\" && go build -mod=readonly -o \"$to/driver\" . && \
                  go build -mod=readonly -o \"$to/group-member\" ./member",
    },
    Client {
        names: &["kafkajs"],
        programs: &[("node", "nodejs"), ("npm", "npm")],
        pins: &[
            "node/package.json",
            "node/package-lock.json",
            "node/driver.js",
            "node/member.js",
        ],
        install: "cp \"$DRIVERS\"/node/package*.json \"$DRIVERS\"/node/*.js . && \
                  npm ci --no-audit --no-fund --loglevel=error",
    },
];

/// One installation at a time: apt and the package caches do not like company.
static INSTALLING: Mutex<()> = Mutex::new(());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn drivers() -> PathBuf {
    root().join("tests/clients/drivers")
}

/// Where a client is installed; installs it first when needed.
pub fn home(client: &str) -> PathBuf {
    let row = CLIENTS
        .iter()
        .find(|row| row.names.contains(&client))
        .expect("a client of the table");
    installed(row)
}

/// The command that starts this client's driver.
pub fn driver(client: &str) -> Command {
    let home = home(client);
    let (program, arguments): (PathBuf, Vec<String>) = match client {
        "java" => (
            "java".into(),
            vec!["-cp".into(), "libs/*:classes".into(), "Driver".into()],
        ),
        "franz" => (home.join("driver"), vec![]),
        "kafkajs" => ("node".into(), vec!["driver.js".into()]),
        python => {
            let file = match python {
                "kcat" => "kcat.py",
                "confluent" => "confluent.py",
                _ => "pure.py",
            };
            let script = drivers().join("python").join(file).display().to_string();
            (home.join("venv/bin/python"), vec!["-B".into(), script])
        }
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&home);
    command
}

/// The command that runs one of Apache Kafka's own programs by its main class.
pub fn tool(class: &str) -> Command {
    let home = home("tools");
    let mut command = Command::new("java");
    command
        .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Xmx256m"])
        .args(["-cp", "libs/*:classes", class])
        .current_dir(&home);
    command
}

/// The command that starts a member of a consumer group.
pub fn member(client: &str) -> Command {
    let home = home(client);
    let (program, arguments): (PathBuf, Vec<String>) = match client {
        "java" => (
            "java".into(),
            vec!["-cp".into(), "libs/*:classes".into(), "Member".into()],
        ),
        "franz" | "sarama" => (home.join("group-member"), vec![client.into()]),
        "kafkajs" => ("node".into(), vec!["member.js".into()]),
        python => {
            let file = match python {
                "confluent" => "member_confluent.py",
                _ => "member_pure.py",
            };
            let script = drivers().join("python").join(file).display().to_string();
            (home.join("venv/bin/python"), vec!["-B".into(), script])
        }
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&home);
    command
}

/// The directory of an installed client.
fn installed(client: &Client) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let home = root()
        .join("tests/clients/.installed")
        .join(client.names[client.names.len() - 1]);
    let stamp = home.join("stamp");
    let wanted = wanted_stamp(client);
    for (program, packages) in client.programs {
        if !is_there(program) {
            run(
                Command::new(root().join(".ci/packages")).args(packages.split(' ')),
                packages,
            );
        }
    }
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return home;
    }
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    eprintln!("installing {}", client.names.join(", "));
    let mut shell = Command::new("bash");
    shell.args(["-c", client.install]).current_dir(&home);
    shell.env("DRIVERS", drivers()).env("ROOT", root());
    run(&mut shell, client.install);
    fs::write(stamp, wanted).unwrap();
    home
}

fn wanted_stamp(client: &Client) -> String {
    let mut hasher = DefaultHasher::new();
    client.install.hash(&mut hasher);
    for pin in client.pins {
        fs::read(drivers().join(pin)).unwrap().hash(&mut hasher);
    }
    format!("{:016x}\n", hasher.finish())
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).is_file())
}

fn run(command: &mut Command, what: &str) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        status.success(),
        "cannot install a client, this failed ({status}):\n{what}"
    );
}
