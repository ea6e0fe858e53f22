//! Cuts what a socket delivers into frames.
//!
//! Guarantees that memory grows with what was received, never with what was declared; that an idle
//! connection owns no buffer; that a foreign protocol is named at its fourth byte. It does not look
//! into a frame further than its API key, and not even that far into the answers of other brokers.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::budget::{FrameBudget, Lease};
use super::limits::*;
use super::opening::foreign_protocol;
use super::slot::{Ready, Slot};

/// API key of Produce, the one API whose requests may be as long as the broker's setting says.
const PRODUCE: i16 = 0;
/// Bytes of the length in front of each frame.
const PREFIX_BYTES: usize = 4;

/// What all connections of a broker read with.
#[derive(Debug)]
pub struct Shared {
    scratch: RefCell<Box<[u8]>>,
    budget: Rc<FrameBudget>,
    /// `socket.request.max.bytes`, or what is taken from another broker.
    max_bytes: usize,
    expects: Expects,
}

/// What frames are, which decides what their first bytes may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// From anybody: a foreign protocol is named, a long frame must be a Produce.
    Requests,
    /// From a broker that was asked something.
    Answers,
}

/// Why a connection's frames ended.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The client closed between two frames, or the broker wants the connection closed.
    #[error("the client closed the connection")]
    Closed,
    #[error("the client closed the connection inside a request of {declared} bytes")]
    ClosedInside { declared: usize },
    #[error("it spoke {0}, this port speaks Kafka's protocol")]
    Foreign(&'static str),
    #[error("it declared a request of {declared} bytes, the limit is {limit}")]
    TooLong { declared: i64, limit: usize },
    #[error("it sent nothing of a request of {declared} bytes for {} s", FRAME_STALL.as_secs())]
    Stalled { declared: usize },
    #[error("it sent a request of {declared} bytes too slowly while others waited for memory")]
    TooSlow { declared: usize },
    #[error("a request of {declared} bytes found no memory within {} s", BUDGET_WAIT.as_secs())]
    NoMemory { declared: usize },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameError {
    /// True when the client did nothing wrong.
    pub fn is_ordinary(&self) -> bool {
        matches!(
            self,
            FrameError::Closed | FrameError::ClosedInside { .. } | FrameError::Io(_)
        )
    }
}

/// One connection's place between two frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Received beyond the last frame handed out; less than a prefix when nothing else is known.
    ahead: Bytes,
    partial: Option<Box<Partial>>,
    /// The longest frame this client has really sent, bytes.
    proven: usize,
    /// How long frames are lately: as the last one or half of what it was before, bytes.
    usual: usize,
    /// The first four bytes have been seen.
    opened: bool,
}

/// A frame under way.
#[derive(Debug)]
struct Partial {
    buffer: BytesMut,
    declared: usize,
    expects: Expects,
    lease: Lease,
    pace: Pace,
}

/// How fast a frame comes: bytes received at two moments, the older at least a window ago.
#[derive(Debug)]
struct Pace {
    older: (Instant, usize),
    newer: (Instant, usize),
}

impl Shared {
    /// For the requests of clients and other brokers.
    pub fn new(request_max_bytes: usize) -> Shared {
        Shared::of(
            Expects::Requests,
            request_max_bytes,
            FrameBudget::new(FRAMES_BUDGET_BYTES),
        )
    }

    /// For answers of other brokers, with a budget of their own: clients cannot starve replication.
    pub fn for_answers() -> Shared {
        let budget = FrameBudget::new(FRAMES_BUDGET_BYTES);
        Shared::of(Expects::Answers, PEER_ANSWER_BYTES, budget)
    }

    fn of(expects: Expects, max_bytes: usize, budget: Rc<FrameBudget>) -> Shared {
        Shared {
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            budget,
            max_bytes,
            expects,
        }
    }
}

impl FrameReader {
    /// The next frame without its length prefix. Cancel-safe: what was received stays here.
    pub async fn next(
        &mut self,
        stream: &TcpStream,
        slot: &Slot,
        shared: &Shared,
    ) -> Result<Bytes, FrameError> {
        loop {
            if let Some(frame) = self.take_ahead(shared)? {
                return Ok(frame);
            }
            if self.partial.is_some() {
                // Boxed, so that the task of an idle connection stays small.
                return Box::pin(self.finish_partial(stream, slot, shared)).await;
            }
            match slot.readable_or_closed(stream).await? {
                Ready::Closing => return Err(FrameError::Closed),
                Ready::Readable => {}
            }
            if let Some(frame) = self.receive(stream, shared)? {
                return Ok(frame);
            }
        }
    }

    /// Reads once through the shared buffer. The common case, one whole frame in one read, is one copy.
    fn receive(
        &mut self,
        stream: &TcpStream,
        shared: &Shared,
    ) -> Result<Option<Bytes>, FrameError> {
        let mut scratch = shared.scratch.borrow_mut();
        // Of a long frame little comes this way: the rest is read to where it stays.
        let room = match self.usual > SCRATCH_BYTES {
            true => LONG_FRAME_HEAD_BYTES,
            false => SCRATCH_BYTES,
        };
        let received = match stream.try_read(&mut scratch[..room]) {
            Ok(0) if self.ahead.is_empty() => return Err(FrameError::Closed),
            Ok(0) => return Err(FrameError::ClosedInside { declared: 0 }),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let chunk = &scratch[..received];
        if self.ahead.is_empty() && chunk.len() >= PREFIX_BYTES {
            let declared = self.declared(chunk, shared)?;
            if chunk.len() == PREFIX_BYTES + declared {
                self.note_frame(declared);
                return Ok(Some(Bytes::copy_from_slice(&chunk[PREFIX_BYTES..])));
            }
        }
        if self.ahead.is_empty() {
            self.ahead = Bytes::copy_from_slice(chunk);
        } else {
            let mut joined = BytesMut::with_capacity(self.ahead.len() + chunk.len());
            joined.extend_from_slice(&self.ahead);
            joined.extend_from_slice(chunk);
            self.ahead = joined.freeze();
        }
        Ok(None)
    }

    /// Takes a whole frame from what was read ahead, or makes it the beginning of a partial one.
    fn take_ahead(&mut self, shared: &Shared) -> Result<Option<Bytes>, FrameError> {
        if self.ahead.len() < PREFIX_BYTES {
            return Ok(None);
        }
        let declared = self.declared(&self.ahead.clone(), shared)?;
        self.ahead.advance(PREFIX_BYTES);
        if self.ahead.len() >= declared {
            // Copied, so that a small frame kept for long does not keep its neighbours.
            let frame = Bytes::copy_from_slice(&self.ahead[..declared]);
            self.ahead.advance(declared);
            if self.ahead.is_empty() {
                self.ahead = Bytes::new();
            }
            self.note_frame(declared);
            return Ok(Some(frame));
        }
        let begun = std::mem::take(&mut self.ahead);
        self.partial = Some(Box::new(Partial {
            buffer: BytesMut::from(&begun[..]),
            declared,
            expects: shared.expects,
            lease: Lease::empty(&shared.budget),
            pace: Pace::begin(begun.len()),
        }));
        Ok(None)
    }

    /// The length a frame declares, if it may be that long.
    fn declared(&mut self, bytes: &[u8], shared: &Shared) -> Result<usize, FrameError> {
        let prefix = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if !self.opened && shared.expects == Expects::Requests {
            if let Some(name) = foreign_protocol(prefix) {
                return Err(FrameError::Foreign(name));
            }
            self.opened = true;
        }
        let declared = i32::from_be_bytes(prefix);
        match usize::try_from(declared) {
            Ok(length) if length <= shared.max_bytes => Ok(length),
            _ => Err(FrameError::TooLong {
                declared: i64::from(declared),
                limit: shared.max_bytes,
            }),
        }
    }

    /// Receives the rest of the frame under way, straight into its own buffer.
    async fn finish_partial(
        &mut self,
        stream: &TcpStream,
        slot: &Slot,
        shared: &Shared,
    ) -> Result<Bytes, FrameError> {
        let proven = self.proven;
        let partial = self
            .partial
            .as_mut()
            .expect("called with a frame under way");
        while partial.buffer.len() < partial.declared {
            partial.make_room(proven).await?;
            match partial.receive(stream) {
                Ok(0) => {
                    return Err(FrameError::ClosedInside {
                        declared: partial.declared,
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    partial.wait(stream, slot, &shared.budget).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let partial = self.partial.take().expect("still under way");
        self.note_frame(partial.declared);
        Ok(partial.buffer.freeze())
    }

    fn note_frame(&mut self, bytes: usize) {
        self.proven = self.proven.max(bytes);
        self.usual = bytes.max(self.usual / 2);
    }
}

impl Partial {
    /// Makes sure there is room for more: four times what has come, or what this client has proven to
    /// send, never more than declared.
    async fn make_room(&mut self, proven: usize) -> Result<(), FrameError> {
        let received = self.buffer.len();
        if received < self.buffer.capacity() {
            return Ok(());
        }
        self.check_api()?;
        let unproven = received.saturating_mul(4).max(FREE_FRAME_BYTES);
        let target = self.declared.min(unproven.max(proven));
        let granted = target <= FREE_FRAME_BYTES || self.lease.grow_to(target, BUDGET_WAIT).await;
        if !granted {
            return Err(FrameError::NoMemory {
                declared: self.declared,
            });
        }
        // Time spent waiting for memory is not the client's.
        self.pace = Pace::begin(received);
        let mut larger = BytesMut::with_capacity(target);
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
        Ok(())
    }

    /// Refuses a long frame whose API has only short ones.
    fn check_api(&self) -> Result<(), FrameError> {
        let short = self.declared <= UNKNOWN_FRAME_BYTES || self.buffer.len() < 2;
        if short || self.expects == Expects::Answers {
            return Ok(());
        }
        let api = i16::from_be_bytes([self.buffer[0], self.buffer[1]]);
        if api == PRODUCE || self.declared <= PLAIN_FRAME_BYTES {
            return Ok(());
        }
        Err(FrameError::TooLong {
            declared: i64::try_from(self.declared).unwrap_or(i64::MAX),
            limit: PLAIN_FRAME_BYTES,
        })
    }

    fn receive(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let room =
            (self.buffer.capacity() - self.buffer.len()).min(self.declared - self.buffer.len());
        stream.try_read_buf(&mut (&mut self.buffer).limit(room))
    }

    /// Waits for more bytes, unless the client sends nothing, or too little while others need memory.
    async fn wait(
        &mut self,
        stream: &TcpStream,
        slot: &Slot,
        budget: &FrameBudget,
    ) -> Result<(), FrameError> {
        let declared = self.declared;
        let deadline = Instant::now() + FRAME_STALL;
        loop {
            if self.is_slow() && budget.under_pressure() {
                return Err(FrameError::TooSlow { declared });
            }
            tokio::select! {
                ready = slot.readable_or_closed(stream) => return match ready? {
                    Ready::Readable => Ok(()),
                    Ready::Closing => Err(FrameError::Closed),
                },
                () = tokio::time::sleep_until(deadline) => {
                    return Err(FrameError::Stalled { declared });
                }
                () = budget.pressed() => {}
                () = tokio::time::sleep(PACE_WINDOW), if budget.under_pressure() => {}
            }
        }
    }

    /// Whether it holds memory and comes too slowly to keep it while others wait.
    fn is_slow(&mut self) -> bool {
        let held = self.lease.bytes() as u64;
        let needed = SLOW_FRAME_RATE.max(held / PRESSED_FILL_S);
        held > 0
            && self
                .pace
                .is_below(needed, Instant::now(), self.buffer.len())
    }
}

impl Pace {
    fn begin(received: usize) -> Pace {
        let now = (Instant::now(), received);
        Pace {
            older: now,
            newer: now,
        }
    }

    /// Whether less than `needed` bytes per second came lately. Nothing is said of the first window.
    fn is_below(&mut self, needed: u64, now: Instant, received: usize) -> bool {
        if now - self.newer.0 >= PACE_WINDOW {
            self.older = self.newer;
            self.newer = (now, received);
        }
        let (since, before) = self.older;
        let expected = u128::from(needed) * (now - since).as_millis() / 1000;
        now - since >= PACE_WINDOW && ((received - before) as u128) < expected
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    /// Kafka's default of `socket.request.max.bytes`.
    const REQUEST_MAX_BYTES: usize = 104_857_600;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    /// A Produce body of `len` bytes that differ.
    fn body(len: usize) -> Vec<u8> {
        let mut body: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        body[..2].fill(0);
        body
    }

    /// Sends `bytes` in pieces of `step`, reads until an error, returns the frames and the error.
    async fn read_all(bytes: Vec<u8>, step: usize, shared: &Shared) -> (Vec<Bytes>, FrameError) {
        let (mut client, server) = pair().await;
        let sending = async move {
            for piece in bytes.chunks(step) {
                // A refused client's socket may be closed already.
                if client.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            let slot = Slot::default();
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            loop {
                match reader.next(&server, &slot, shared).await {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return (frames, error),
                }
            }
        };
        let ((), read) = tokio::join!(sending, reading);
        read
    }

    #[tokio::test]
    async fn frames_of_all_sizes_arrive_whole_however_they_are_cut() {
        let bodies: Vec<Vec<u8>> = [8, 9, 70_000, 12, 300_000, 8, 65_532, 65_536, 2_000_000]
            .map(body)
            .into();
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        for step in [7_919, 65_540, 1_000_000, bytes.len()] {
            let shared = Shared::new(REQUEST_MAX_BYTES);
            let (frames, end) = read_all(bytes.clone(), step, &shared).await;
            assert!(matches!(end, FrameError::Closed), "{end}");
            assert!(frames.iter().eq(bodies.iter()), "step {step}");
        }
    }

    #[tokio::test]
    async fn a_frame_byte_by_byte_is_still_one_frame() {
        let shared = Shared::new(REQUEST_MAX_BYTES);
        let (frames, _) = read_all(framed(&body(40)), 1, &shared).await;
        assert_eq!(frames, [body(40)]);
    }

    #[tokio::test]
    async fn foreign_protocols_and_long_frames_are_refused_at_their_fourth_byte() {
        let shared = Shared::new(1_000_000);
        let cases: [(&[u8], &str); 4] = [
            (b"GET ", "HTTP"),
            (&[0x16, 3, 1, 2], "TLS"),
            (&[0, 0x10, 0, 0], "1048576 bytes, the limit is 1000000"),
            (&[0xff, 0xff, 0xff, 0xff], "-1 bytes"),
        ];
        for (bytes, expected) in cases {
            let (frames, error) = read_all(bytes.to_vec(), 4, &shared).await;
            assert!(frames.is_empty());
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.is_ordinary());
        }
    }

    #[tokio::test]
    async fn a_long_frame_of_an_api_with_short_ones_is_refused_once_its_header_is_there() {
        let shared = Shared::new(REQUEST_MAX_BYTES);
        let mut bytes = (PLAIN_FRAME_BYTES as u32 + 1).to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 3, 0, 12, 0, 0, 0, 1]);
        let (_, error) = read_all(bytes, 12, &shared).await;
        assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_answer_may_be_long_and_begin_with_any_number() {
        let shared = Shared::for_answers();
        let long = vec![3; PLAIN_FRAME_BYTES + 1];
        let mut bytes = framed(&long);
        // A length that would be a foreign greeting among requests.
        bytes.extend_from_slice(b"GET ");
        let (frames, end) = read_all(bytes, 1_000_000, &shared).await;
        assert_eq!(frames, [long]);
        assert!(matches!(end, FrameError::TooLong { .. }), "{end}");
    }

    #[tokio::test]
    async fn what_is_only_declared_is_not_allocated() {
        let (mut client, server) = pair().await;
        let shared = Shared::new(REQUEST_MAX_BYTES);
        let slot = Slot::default();
        let mut reader = FrameReader::default();
        let mut bytes = (REQUEST_MAX_BYTES as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&body(20_000));
        client.write_all(&bytes).await.unwrap();
        let waited = tokio::time::timeout(
            Duration::from_millis(50),
            reader.next(&server, &slot, &shared),
        );
        assert!(waited.await.is_err(), "the rest never comes");
        let partial = reader.partial.as_ref().unwrap();
        assert_eq!(partial.buffer.len(), 20_000);
        assert!(partial.buffer.capacity() <= 4 * 20_000);
        assert!(partial.lease.bytes() >= partial.buffer.capacity());
    }

    #[test]
    fn a_frame_that_came_quickly_once_is_slow_a_window_after_it_stalled() {
        let mut pace = Pace::begin(0);
        let begun = pace.older.0;
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let received = 17 << 20;
        assert!(!pace.is_below(SLOW_FRAME_RATE, at(900), received));
        assert!(!pace.is_below(SLOW_FRAME_RATE, at(1_100), received));
        assert!(!pace.is_below(SLOW_FRAME_RATE, at(1_900), received + 1));
        assert!(pace.is_below(SLOW_FRAME_RATE, at(2_200), received + 2));
        // One that goes on is not.
        let mut pace = Pace::begin(0);
        let begun = pace.older.0;
        for tenth in 0..100 {
            let now = begun + Duration::from_millis(100 * tenth);
            assert!(!pace.is_below(SLOW_FRAME_RATE, now, 7_000 * tenth as usize));
        }
    }

    /// Three clients send the beginning of a long frame and then a byte now and then.
    #[tokio::test]
    async fn clients_that_hold_memory_and_stall_give_way_to_one_that_sends() {
        let shared = Shared::of(
            Expects::Requests,
            REQUEST_MAX_BYTES,
            FrameBudget::new(1_000_000),
        );
        let stall = async || {
            let (mut client, server) = pair().await;
            let mut begin = (10_000_000u32).to_be_bytes().to_vec();
            begin.extend_from_slice(&body(200_000));
            client.write_all(&begin).await.unwrap();
            let trickle = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _ = client.write_all(&[0]).await;
                }
            };
            let slot = Slot::default();
            let mut reader = FrameReader::default();
            tokio::select! {
                () = trickle => {}
                read = reader.next(&server, &slot, &shared) => {
                    let error = read.expect_err("it never comes whole");
                    assert!(matches!(error, FrameError::TooSlow { .. }), "{error}");
                    drop(reader);
                    std::future::pending::<()>().await;
                }
            }
        };
        let honest = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(
                shared.budget.under_pressure()
                    || !Lease::empty(&shared.budget).try_grow_to(300_000)
            );
            let read = read_all(framed(&body(500_000)), 50_000, &shared);
            tokio::time::timeout(Duration::from_secs(5), read).await
        };
        tokio::select! {
            _ = async { tokio::join!(stall(), stall(), stall()) } => unreachable!("they never end"),
            read = honest => {
                let (frames, _) = read.expect("it need not wait long");
                assert_eq!(frames.len(), 1);
            }
        }
    }

    #[test]
    fn an_idle_reader_is_small() {
        assert!(size_of::<FrameReader>() <= 64);
    }
}
