//! The local socket `klar ctl` talks to: one JSON line in, one JSON line out.
//!
//! Owner-only, in the data directory. Guarantees that a slow or hostile line costs at most
//! [`LINE_BYTES`]; what is asked runs exactly as the window's commands do.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_local;

use super::Request;
use crate::ids::BrokerId;
use crate::inspect::{BrokerFiles, ClusterSnapshot, Command, Done, Failure};

/// The socket's name in the data directory.
pub const SOCKET: &str = "ctl.sock";
/// Where the socket is when the data directory's path is too long for one: a file with its path.
pub const SOCKET_ELSEWHERE: &str = "ctl.path";
/// Longest path a socket may have on every system klar runs on, bytes.
const PATH_BYTES: usize = 100;
/// Longest line one question may have, bytes.
const LINE_BYTES: u64 = 1024 * 1024;
/// How long an asker may take for its line.
const LINE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Conversations at a time.
const CONVERSATIONS: usize = 16;

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The picture the window draws.
    Snapshot,
    /// The files of a broker that does not run.
    Files { broker: BrokerId },
    /// Run a command and tell how it ended.
    Run { command: Command },
}

/// What comes back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Snapshot(Arc<ClusterSnapshot>),
    Files(BrokerFiles),
    Done(Done),
    Failed(Failure),
}

/// What comes back, as the asker reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Files(BrokerFiles),
    Done(Done),
    Failed(Failure),
}

/// The open socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: std::os::unix::net::UnixListener,
    files: Vec<PathBuf>,
}

impl Control {
    /// Opens the socket for `dir`. The directory's lock is ours, so a socket found there is a dead one's.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn open(dir: &Path) -> io::Result<Control> {
        let wished = dir.join(SOCKET);
        let (path, mut files) = if wished.as_os_str().len() <= PATH_BYTES {
            (wished, Vec::new())
        } else {
            let path = std::env::temp_dir().join(format!("klar-{}.sock", std::process::id()));
            let pointer = dir.join(SOCKET_ELSEWHERE);
            std::fs::write(&pointer, path.as_os_str().as_encoded_bytes())?;
            (path, vec![pointer])
        };
        let listener = bind_for_owner(&path)?;
        files.push(path);
        Ok(Control { listener, files })
    }

    /// Answers whoever asks, until dropped.
    pub async fn converse(&self, requests: mpsc::Sender<Request>) {
        let listener = self.listener.try_clone().and_then(UnixListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("`klar ctl` cannot reach this klar: {error}");
                return std::future::pending().await;
            }
        };
        let turns = Arc::new(Semaphore::new(CONVERSATIONS));
        loop {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let requests = requests.clone();
            spawn_local(async move {
                if let Err(error) = answer(stream, requests).await {
                    tracing::debug!("ctl: {error}");
                }
                drop(turn);
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for file in &self.files {
            // Gone already is what we want.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// The socket of the klar that runs on `dir`.
pub fn socket_of(dir: &Path) -> PathBuf {
    match std::fs::read_to_string(dir.join(SOCKET_ELSEWHERE)) {
        Ok(path) => PathBuf::from(path),
        Err(_) => dir.join(SOCKET),
    }
}

/// Binds under another name first, so that the socket is never there with wider permissions.
fn bind_for_owner(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let unfinished = path.with_extension("new");
    for old in [path, &unfinished] {
        match std::fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = std::os::unix::net::UnixListener::bind(&unfinished)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unfinished, path)?;
    Ok(listener)
}

async fn answer(mut stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader.take(LINE_BYTES));
    let mut line = String::new();
    tokio::time::timeout(LINE_WAIT, lines.read_line(&mut line)).await??;
    let mut asker = lines.into_inner().into_inner();
    let (told, stopping) = match serde_json::from_str::<Ask>(&line) {
        Ok(ask) => {
            let stopping = matches!(
                ask,
                Ask::Run {
                    command: Command::Stop
                }
            );
            let told = tokio::select! {
                told = ask_cluster(ask, &requests) => told,
                // Nobody waits any more for what may take as long as time stands still.
                () = hung_up(&mut asker) => return Ok(()),
            };
            (told, stopping)
        }
        Err(error) => (not_understood(&error), false),
    };
    let mut text = serde_json::to_vec(&told).map_err(io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    if stopping {
        // The asker waits for the end of the program, which closes this for us.
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Waits until the asker is gone; what else it says is nothing we know.
async fn hung_up(asker: &mut (impl AsyncRead + Unpin)) {
    let mut more = [0; 64];
    while matches!(asker.read(&mut more).await, Ok(bytes) if bytes > 0) {}
}

async fn ask_cluster(ask: Ask, requests: &mpsc::Sender<Request>) -> Told {
    match ask {
        Ask::Snapshot => {
            let (reply, picture) = oneshot::channel();
            if requests.send(Request::Snapshot(reply)).await.is_err() {
                return going_down();
            }
            let Ok(picture) = picture.await else {
                return going_down();
            };
            Told::Snapshot(picture)
        }
        Ask::Files { broker } => {
            let (reply, files) = oneshot::channel();
            if requests.send(Request::Files(broker, reply)).await.is_err() {
                return going_down();
            }
            match files.await {
                Ok(Ok(files)) => files.await.map_or_else(|_| going_down(), Told::Files),
                Ok(Err(failure)) => Told::Failed(failure),
                Err(_) => going_down(),
            }
        }
        Ask::Run { command } => {
            let (reply, outcome) = oneshot::channel();
            if requests.send(Request::Run(command, reply)).await.is_err() {
                return going_down();
            }
            match outcome.await {
                Ok(Ok(done)) => Told::Done(done),
                Ok(Err(failure)) => Told::Failed(failure),
                Err(_) => going_down(),
            }
        }
    }
}

fn going_down() -> Told {
    Told::Failed(Failure {
        name: "STOPPING".into(),
        what: "klar stops and takes no more commands".into(),
        what_to_do: "Start it again, then ask again.".into(),
    })
}

fn not_understood(error: &serde_json::Error) -> Told {
    Told::Failed(Failure {
        name: "NOT_UNDERSTOOD".into(),
        what: format!("the question is no JSON this version knows: {error}"),
        what_to_do: "Use the ctl of the same klar.".into(),
    })
}
