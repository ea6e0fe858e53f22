//! Apache Kafka's own broker as a process, for what is worth measuring beside it. It is installed from Maven Central
//! when it is first wanted; that and running it take `mvn` and `java`.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::raw::Connection;

/// Longest it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Any 16 bytes will do.
const CLUSTER_ID: &str = "a2xhci1iZW5jaC0wMDAwMQ";

/// One broker that is its own controller.
pub struct Apache {
    pub bootstrap: String,
    dir: PathBuf,
    child: Child,
}

impl Apache {
    /// Starts it on an empty directory, with these settings beside what one broker needs.
    pub fn start(dir: &Path, settings: &[&str]) -> io::Result<Apache> {
        let libs = installed()?;
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir)?;
        let (broker, controller) = (free_port()?, free_port()?);
        let mut properties = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\n",
            dir.join("logs").display()
        );
        for setting in settings {
            properties.push_str(setting);
            properties.push('\n');
        }
        let file = dir.join("server.properties");
        fs::write(&file, properties)?;
        let java = |class: &str| {
            let mut command = Command::new("java");
            command
                .args(["-Xmx1g", "-cp"])
                .arg(format!("{}/*", libs.display()))
                .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
                .arg(class)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            command
        };
        let log = || fs::File::create(std::env::temp_dir().join("klar-bench-apache.log"));
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(&file)
            .stderr(log()?)
            .status()?;
        if !formatted.success() {
            return Err(io::Error::other("its directory cannot be formatted"));
        }
        let child = java("kafka.Kafka").arg(&file).stderr(log()?).spawn()?;
        let apache = Apache {
            bootstrap: format!("127.0.0.1:{broker}"),
            dir: dir.to_path_buf(),
            child,
        };
        let begun = Instant::now();
        while Connection::open(&apache.bootstrap)
            .and_then(|mut connection| connection.api_versions())
            .is_err()
        {
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other("Apache Kafka does not start"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(apache)
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Its jars.
fn installed() -> io::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = here.join("target/apache-kafka");
    let libs = home.join("libs");
    let done = home.join("done");
    if done.exists() {
        return Ok(libs);
    }
    fs::create_dir_all(&home)?;
    fs::copy(here.join("apache-kafka.xml"), home.join("pom.xml"))?;
    println!("installing Apache Kafka");
    let copied = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=libs",
        ])
        .current_dir(&home)
        .status()
        .map_err(|error| io::Error::other(format!("mvn (the package maven) is wanted: {error}")))?;
    if !copied.success() {
        return Err(io::Error::other("mvn cannot install Apache Kafka"));
    }
    fs::write(done, "")?;
    Ok(libs)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
