//! TCP connections of klar's own clients: carries out what their machines want, reports what happens.
//!
//! A machine's frames arrive in order; a reader waits when the cluster's loop is busy, so nothing piles
//! up. What the bytes mean is the machines' business.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};

use crate::client::{Action, Address, LinkId};
use crate::runtime::Response;

/// One of klar's own clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    Admin,
    /// Changes what groups have committed.
    Groups,
    /// Asks for offsets by time.
    Offsets,
    Browse(u64),
    /// Sends records one by one.
    Single(u64),
    /// Follows a plan.
    Producer(u64),
    /// A member of a group, or a reader of partitions.
    Consumer(u64),
}

/// What happened on a connection.
#[derive(Debug)]
pub enum WireEvent {
    Connected,
    Frame(Bytes),
    Disconnected { why: String },
}

/// An event with the connection it is about.
pub type Happened = (Client, LinkId, WireEvent);

/// Events the loop has not taken yet.
pub const EVENTS_QUEUED: usize = 256;
/// The longest answer taken from a broker, bytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024 * 1024;
/// What is reserved for an answer before its bytes come, bytes.
const FIRST_BYTES: usize = 64 * 1024;

/// All open connections.
pub struct Wires {
    open: BTreeMap<(Client, LinkId), Wire>,
    events: mpsc::Sender<Happened>,
    /// Tells each broker, by its port, which connections are klar's own before they knock.
    own: BTreeMap<u16, mpsc::Sender<SocketAddr>>,
}

/// One connection's task; dropping it closes the connection.
struct Wire {
    outgoing: mpsc::UnboundedSender<Vec<Bytes>>,
    task: AbortHandle,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wires {
    pub fn new(events: mpsc::Sender<Happened>) -> Wires {
        Wires {
            open: BTreeMap::new(),
            events,
            own: BTreeMap::new(),
        }
    }

    /// From now on the broker on this port is told here.
    pub fn know_own(&mut self, port: u16, own: mpsc::Sender<SocketAddr>) {
        self.own.insert(port, own);
    }

    /// Does what a machine wants done.
    pub fn carry_out(&mut self, client: Client, action: Action) {
        match action {
            Action::Connect { link, to } => self.connect(client, link, to),
            Action::Send { link, parts } => {
                if let Some(wire) = self.open.get(&(client, link)) {
                    // A connection that is gone says so by an event.
                    let _ = wire.outgoing.send(parts);
                }
            }
            Action::Close { link } => {
                self.open.remove(&(client, link));
            }
        }
    }

    /// Closes all connections of a client that is no more.
    pub fn forget(&mut self, client: Client) {
        self.open.retain(|(of, _), _| *of != client);
    }

    /// True when the event is about a connection that was not closed meanwhile.
    pub fn is_open(&mut self, happened: &Happened) -> bool {
        let (client, link, event) = happened;
        match event {
            WireEvent::Disconnected { .. } => self.open.remove(&(*client, *link)).is_some(),
            _ => self.open.contains_key(&(*client, *link)),
        }
    }

    fn connect(&mut self, client: Client, link: LinkId, to: Address) {
        // As long as the machine makes it: it has few requests under way at a time.
        let (outgoing, queue) = mpsc::unbounded_channel();
        let events = self.events.clone();
        let own = self.own.get(&to.port).cloned();
        let task = spawn_local(async move {
            let ended = converse(client, link, &to, queue, &events, own).await;
            let why = match ended {
                Ok(()) => "the broker closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // Nobody listens when the program ends.
            let _ = events
                .send((client, link, WireEvent::Disconnected { why }))
                .await;
        });
        let task = task.abort_handle();
        self.open.insert((client, link), Wire { outgoing, task });
    }
}

async fn converse(
    client: Client,
    link: LinkId,
    to: &Address,
    queue: mpsc::UnboundedReceiver<Vec<Bytes>>,
    events: &mpsc::Sender<Happened>,
    own: Option<mpsc::Sender<SocketAddr>>,
) -> io::Result<()> {
    let stream = dial(to, own).await?;
    let connected = events.send((client, link, WireEvent::Connected)).await;
    if connected.is_err() {
        return Ok(());
    }
    tokio::select! {
        ended = read(&stream, client, link, events) => ended,
        ended = write(&stream, queue) => ended,
    }
}

/// Connects from an address the broker was told of first.
async fn dial(to: &Address, own: Option<mpsc::Sender<SocketAddr>>) -> io::Result<TcpStream> {
    let host: IpAddr = to.host.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is no IP address", to.host),
        )
    })?;
    let socket = match host {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The broker runs on this machine, so its address is one of ours.
    socket.bind(SocketAddr::new(host, 0))?;
    if let Some(own) = own {
        // A broker that does not take it now, or is gone, shows this connection as a foreign one.
        let _ = own.try_send(socket.local_addr()?);
    }
    let stream = socket.connect(SocketAddr::new(host, to.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn write(
    stream: &TcpStream,
    mut queue: mpsc::UnboundedReceiver<Vec<Bytes>>,
) -> io::Result<()> {
    while let Some(parts) = queue.recv().await {
        Response::new(parts).write_to(stream).await?;
    }
    Ok(())
}

async fn read(
    stream: &TcpStream,
    client: Client,
    link: LinkId,
    events: &mpsc::Sender<Happened>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = take_frame(&mut buffer)? {
            let sent = events.send((client, link, WireEvent::Frame(frame))).await;
            if sent.is_err() {
                return Ok(());
            }
        }
        stream.readable().await?;
        if buffer.capacity() == buffer.len() {
            buffer.reserve(FIRST_BYTES.max(buffer.len()));
        }
        let room = buffer.capacity() - buffer.len();
        match stream.try_read_buf(&mut (&mut buffer).limit(room)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A whole frame without its length, if one is there.
fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(prefix) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let declared = i32::from_be_bytes(*prefix);
    let length = usize::try_from(declared)
        .ok()
        .filter(|length| *length <= ANSWER_MAX_BYTES)
        .ok_or_else(|| io::Error::other(format!("an answer of {declared} bytes")))?;
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let frame = buffer.split_to(4 + length).freeze().slice(4..);
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_their_lengths_say() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0, 0, 0][..]);
        assert_eq!(take_frame(&mut buffer).unwrap().unwrap(), [7, 8][..]);
        assert!(take_frame(&mut buffer).unwrap().is_none());
        buffer.put_slice(&[0]);
        assert!(take_frame(&mut buffer).unwrap().unwrap().is_empty());
        assert!(take_frame(&mut BytesMut::from(&[255, 0, 0, 0][..])).is_err());
    }
}
