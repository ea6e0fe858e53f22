//! The ideal sink: the least a server can do and still be one. It reads the same frames as a broker, checks
//! each batch's CRC-32C, gives it its offsets, appends it to a file and answers; it serves reads from a map of
//! that file. It has no retention, no recovery, no sessions, no idempotence, no sync and no picture of itself:
//! what a broker costs beyond it is the price of being a broker.
//!
//! Every topic exists, with [`partitions`] partitions. One thread per connection, blocking.
//!
//! Several of them in one process are an ideal chain: the leaders are spread, each sends every frame of records on
//! to all others over loopback as it came, appends it, and answers once they have appended it, too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use memmap2::{Mmap, MmapOptions};

use crate::raw::{Fields, put_str};

/// Partitions of each topic: every broker leads as many.
pub const fn partitions(brokers: u32) -> i32 {
    match brokers {
        1 => 4,
        more => 2 * more as i32,
    }
}

/// Address space mapped for each partition's file, bytes: more than any round writes.
const MAPPED_BYTES: usize = 16 << 30;

/// Key, lowest and highest version of what it answers. All but ApiVersions have no tagged fields.
const APIS: &[(i16, i16, i16)] = &[
    (0, 3, 7),
    (1, 4, 11),
    (2, 1, 1),
    (3, 1, 4),
    (10, 0, 0),
    (18, 0, 3),
];

const NO_COORDINATOR: i16 = 15;
/// Bytes of the length in front of each frame.
const PREFIX_BYTES: usize = 4;

struct Log {
    file: File,
    map: Mmap,
    size: usize,
    end: i64,
    /// First offset and position of each batch.
    batches: Vec<(i64, usize)>,
}

#[derive(Clone)]
struct Sink {
    dir: PathBuf,
    /// Where clients reach this one and all others.
    ports: Vec<u16>,
    /// Where the others take frames that were appended here.
    followers: Vec<u16>,
    logs: Arc<Mutex<BTreeMap<(String, i32), Arc<Mutex<Log>>>>>,
}

/// Serves as `count` sinks until killed; prints the first one's port when clients can connect.
pub fn run(dir: &Path, count: usize) -> io::Result<()> {
    let listen = |_| TcpListener::bind("127.0.0.1:0");
    let for_clients: Vec<_> = (0..count).map(listen).collect::<io::Result<_>>()?;
    let for_leaders: Vec<_> = (0..count).map(listen).collect::<io::Result<_>>()?;
    let ports = ports_of(&for_clients)?;
    let follower_ports = ports_of(&for_leaders)?;
    for (n, (clients, leaders)) in for_clients.into_iter().zip(for_leaders).enumerate() {
        let dir = dir.join(n.to_string());
        std::fs::create_dir_all(&dir)?;
        let mut others = follower_ports.clone();
        others.remove(n);
        let leader = Sink {
            dir,
            ports: ports.clone(),
            followers: others,
            logs: Arc::default(),
        };
        let follower = Sink {
            followers: Vec::new(),
            ..leader.clone()
        };
        std::thread::spawn(move || leader.accept(&clients));
        std::thread::spawn(move || follower.accept(&leaders));
    }
    println!(
        "{{\"ready\":true,\"bootstrap\":\"127.0.0.1:{}\"}}",
        ports[0]
    );
    loop {
        std::thread::park();
    }
}

fn ports_of(listeners: &[TcpListener]) -> io::Result<Vec<u16>> {
    let port = |listener: &TcpListener| Ok(listener.local_addr()?.port());
    listeners.iter().map(port).collect()
}

/// The connections over which one client's frames go on to the other sinks of a chain.
struct Chain {
    followers: Vec<TcpStream>,
    answer: Vec<u8>,
}

impl Chain {
    fn connect(ports: &[u16]) -> io::Result<Chain> {
        let connect = |port: &u16| {
            let stream = TcpStream::connect(("127.0.0.1", *port))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let followers = ports.iter().map(connect).collect::<io::Result<_>>()?;
        Ok(Chain {
            followers,
            answer: Vec::new(),
        })
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut followers = self.followers.iter_mut();
        followers.try_for_each(|stream| stream.write_all(frame))
    }

    /// Waits until every follower has appended what was sent.
    fn wait(&mut self) -> io::Result<()> {
        for stream in &mut self.followers {
            read_frame(stream, &mut self.answer)?;
        }
        Ok(())
    }
}

impl Sink {
    fn accept(&self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let sink = self.clone();
            std::thread::spawn(move || sink.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(mut chain) = Chain::connect(&self.followers) else {
            return;
        };
        let mut frame = Vec::new();
        while read_frame(&mut stream, &mut frame).is_ok() {
            if self.answer(&mut stream, &mut frame, &mut chain).is_err() {
                break;
            }
        }
    }

    fn log(&self, topic: &str, partition: i32) -> io::Result<Arc<Mutex<Log>>> {
        let mut logs = self.logs.lock().expect("no thread panics with it");
        let key = (topic.to_string(), partition);
        if let Some(log) = logs.get(&key) {
            return Ok(log.clone());
        }
        let path = self.dir.join(format!("{topic}-{partition}.log"));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        // Sound here: nothing shortens the file, and only bytes already written are read.
        let map = unsafe { MmapOptions::new().len(MAPPED_BYTES).map(&file)? };
        let log = Arc::new(Mutex::new(Log {
            file,
            map,
            size: 0,
            end: 0,
            batches: Vec::new(),
        }));
        logs.insert(key, log.clone());
        Ok(log)
    }

    fn answer(
        &self,
        stream: &mut TcpStream,
        frame: &mut [u8],
        chain: &mut Chain,
    ) -> io::Result<()> {
        let mut fields = Fields::new(frame);
        fields.skip(PREFIX_BYTES)?;
        let (key, version, correlation) = (fields.i16()?, fields.i16()?, fields.i32()?);
        fields.string()?;
        let body_at = fields.position();
        let mut out = vec![0; 4];
        out.extend(correlation.to_be_bytes());
        match key {
            0 => {
                chain.send(frame)?;
                let acks = self.produce(&mut frame[body_at..], version, &mut out)?;
                chain.wait()?;
                if acks == 0 {
                    return Ok(());
                }
            }
            1 => return self.fetch(stream, &frame[body_at..], version, out),
            2 => self.list_offsets(&frame[body_at..], &mut out)?,
            3 => self.metadata(&frame[body_at..], version, &mut out)?,
            10 => {
                out.extend(NO_COORDINATOR.to_be_bytes());
                out.extend((-1i32).to_be_bytes());
                put_str(&mut out, "");
                out.extend((-1i32).to_be_bytes());
            }
            18 => api_versions(version, &mut out),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        send(stream, out)
    }

    fn produce(&self, body: &mut [u8], version: i16, out: &mut Vec<u8>) -> io::Result<i16> {
        let mut places = Vec::new();
        let mut fields = Fields::new(body);
        fields.string()?;
        let acks = fields.i16()?;
        fields.i32()?;
        for _ in 0..fields.i32()? {
            let topic = fields.string()?.unwrap_or_default();
            for _ in 0..fields.i32()? {
                let partition = fields.i32()?;
                let size = fields.i32()? as usize;
                let at = fields.position();
                fields.skip(size)?;
                places.push((topic.clone(), partition, at, size));
            }
        }
        out.extend((places.len() as i32).to_be_bytes());
        for (topic, partition, at, size) in places {
            let offset = self.append(&topic, partition, &mut body[at..at + size])?;
            put_str(out, &topic);
            out.extend(1i32.to_be_bytes());
            out.extend(partition.to_be_bytes());
            out.extend(0i16.to_be_bytes());
            out.extend(offset.to_be_bytes());
            out.extend((-1i64).to_be_bytes());
            if version >= 5 {
                out.extend(0i64.to_be_bytes());
            }
        }
        out.extend(0i32.to_be_bytes());
        Ok(acks)
    }

    fn append(&self, topic: &str, partition: i32, batch: &mut [u8]) -> io::Result<i64> {
        if batch.len() < 61
            || batch[16] != 2
            || crc32c::crc32c(&batch[21..]).to_be_bytes() != batch[17..21]
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let last_delta = i32::from_be_bytes(batch[23..27].try_into().expect("four bytes"));
        let log = self.log(topic, partition)?;
        let mut log = log.lock().expect("no thread panics with it");
        let offset = log.end;
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        log.file.write_all_at(batch, log.size as u64)?;
        let size = log.size;
        log.batches.push((offset, size));
        log.size += batch.len();
        log.end += i64::from(last_delta) + 1;
        Ok(offset)
    }

    fn fetch(
        &self,
        stream: &mut TcpStream,
        body: &[u8],
        version: i16,
        mut out: Vec<u8>,
    ) -> io::Result<()> {
        let mut fields = Fields::new(body);
        fields.skip(4)?;
        let max_wait_ms = fields.i32()?;
        fields.skip(if version >= 7 {
            4 + 4 + 1 + 4 + 4
        } else {
            4 + 4 + 1
        })?;
        out.extend(0i32.to_be_bytes());
        if version >= 7 {
            out.extend([0; 6]);
        }
        let mut parts = Parts {
            pieces: vec![],
            head: out,
        };
        let mut records = 0;
        let topics = fields.i32()?;
        parts.head.extend(topics.to_be_bytes());
        for _ in 0..topics {
            let topic = fields.string()?.unwrap_or_default();
            put_str(&mut parts.head, &topic);
            let partitions = fields.i32()?;
            parts.head.extend(partitions.to_be_bytes());
            for _ in 0..partitions {
                let partition = fields.i32()?;
                fields.skip(if version >= 9 { 4 } else { 0 })?;
                let offset = fields.i64()?;
                fields.skip(if version >= 5 { 8 } else { 0 })?;
                let max = fields.i32()? as usize;
                let log = self.log(&topic, partition)?;
                records += parts.add(log, partition, offset, max, version);
            }
        }
        if records == 0 {
            std::thread::sleep(std::time::Duration::from_millis(
                max_wait_ms.clamp(0, 50) as u64
            ));
        }
        parts.send(stream)
    }

    fn list_offsets(&self, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut fields = Fields::new(body);
        fields.i32()?;
        let topics = fields.i32()?;
        out.extend(topics.to_be_bytes());
        for _ in 0..topics {
            let topic = fields.string()?.unwrap_or_default();
            put_str(out, &topic);
            let partitions = fields.i32()?;
            out.extend(partitions.to_be_bytes());
            for _ in 0..partitions {
                let (partition, time) = (fields.i32()?, fields.i64()?);
                let log = self.log(&topic, partition)?;
                let end = log.lock().expect("no thread panics with it").end;
                out.extend(partition.to_be_bytes());
                out.extend(0i16.to_be_bytes());
                out.extend((-1i64).to_be_bytes());
                out.extend(if time == -2 { 0 } else { end }.to_be_bytes());
            }
        }
        Ok(())
    }

    fn metadata(&self, body: &[u8], version: i16, out: &mut Vec<u8>) -> io::Result<()> {
        let mut fields = Fields::new(body);
        let mut topics = Vec::new();
        for _ in 0..fields.i32()?.max(0) {
            topics.extend(fields.string()?);
        }
        if version >= 3 {
            out.extend(0i32.to_be_bytes());
        }
        let brokers = self.ports.len() as i32;
        out.extend(brokers.to_be_bytes());
        for (id, port) in (1i32..).zip(&self.ports) {
            out.extend(id.to_be_bytes());
            put_str(out, "127.0.0.1");
            out.extend(i32::from(*port).to_be_bytes());
            out.extend((-1i16).to_be_bytes());
        }
        if version >= 2 {
            put_str(out, "ideal-sink");
        }
        out.extend(1i32.to_be_bytes());
        out.extend((topics.len() as i32).to_be_bytes());
        for topic in topics {
            out.extend(0i16.to_be_bytes());
            put_str(out, &topic);
            out.push(0);
            let partitions = partitions(brokers as u32);
            out.extend(partitions.to_be_bytes());
            for partition in 0..partitions {
                out.extend(0i16.to_be_bytes());
                let leader = partition % brokers + 1;
                // One replica, one in sync: no client looks at the others.
                for field in [partition, leader, 1, leader, 1, leader] {
                    out.extend(field.to_be_bytes());
                }
            }
        }
        Ok(())
    }
}

/// A fetch response: bytes of its own and ranges of the mapped files between them.
struct Parts {
    /// Bytes before the range, then the range.
    pieces: Vec<(Vec<u8>, Arc<Mutex<Log>>, usize, usize)>,
    head: Vec<u8>,
}

impl Parts {
    fn add(
        &mut self,
        log: Arc<Mutex<Log>>,
        partition: i32,
        offset: i64,
        max: usize,
        version: i16,
    ) -> usize {
        let (end, from, length) = {
            let log = log.lock().expect("no thread panics with it");
            let first = log
                .batches
                .partition_point(|(base, _)| *base <= offset)
                .saturating_sub(1);
            let from = log.batches.get(first).map_or(log.size, |batch| batch.1);
            let from = if offset >= log.end { log.size } else { from };
            let past = log
                .batches
                .partition_point(|(_, position)| *position <= from + max);
            let to = log
                .batches
                .get(past.max(first + 2) - 1)
                .map_or(log.size, |batch| batch.1);
            let whole = log.size - from <= max;
            (
                log.end,
                from,
                if whole {
                    log.size - from
                } else {
                    to.saturating_sub(from)
                },
            )
        };
        self.head.extend(partition.to_be_bytes());
        self.head.extend(0i16.to_be_bytes());
        self.head.extend(end.to_be_bytes());
        self.head.extend(end.to_be_bytes());
        if version >= 5 {
            self.head.extend(0i64.to_be_bytes());
        }
        self.head.extend((-1i32).to_be_bytes());
        if version >= 11 {
            self.head.extend((-1i32).to_be_bytes());
        }
        self.head.extend((length as i32).to_be_bytes());
        if length > 0 {
            self.pieces
                .push((std::mem::take(&mut self.head), log, from, length));
        }
        length
    }

    fn send(mut self, stream: &mut TcpStream) -> io::Result<()> {
        let sizes = self
            .pieces
            .iter()
            .map(|piece| piece.0.len() + piece.3)
            .sum::<usize>();
        let total = (sizes + self.head.len() - 4) as i32;
        let first = self
            .pieces
            .first_mut()
            .map_or(&mut self.head, |piece| &mut piece.0);
        first[..4].copy_from_slice(&total.to_be_bytes());
        for (head, log, from, length) in &self.pieces {
            stream.write_all(head)?;
            // Bytes below `size` never change, so the lock is only held to reach the map.
            let range = {
                let log = log.lock().expect("no thread panics with it");
                unsafe { std::slice::from_raw_parts(log.map.as_ptr().add(*from), *length) }
            };
            stream.write_all(range)?;
        }
        stream.write_all(&self.head)
    }
}

fn api_versions(version: i16, out: &mut Vec<u8>) {
    out.extend(0i16.to_be_bytes());
    if version >= 3 {
        out.push(APIS.len() as u8 + 1);
    } else {
        out.extend((APIS.len() as i32).to_be_bytes());
    }
    for (key, min, max) in APIS {
        for field in [key, min, max] {
            out.extend(field.to_be_bytes());
        }
        if version >= 3 {
            out.push(0);
        }
    }
    if version >= 1 {
        out.extend(0i32.to_be_bytes());
    }
    if version >= 3 {
        out.push(0);
    }
}

fn send(stream: &mut TcpStream, mut out: Vec<u8>) -> io::Result<()> {
    let size = out.len() as i32 - 4;
    out[..4].copy_from_slice(&size.to_be_bytes());
    stream.write_all(&out)
}

/// Reads a whole frame with its length in front.
fn read_frame(stream: &mut TcpStream, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut size = [0; PREFIX_BYTES];
    stream.read_exact(&mut size)?;
    frame.resize(PREFIX_BYTES + u32::from_be_bytes(size) as usize, 0);
    frame[..PREFIX_BYTES].copy_from_slice(&size);
    stream.read_exact(&mut frame[PREFIX_BYTES..])
}
