//! Writes a response's parts to its socket.
//!
//! One vectored write takes the whole response when the socket has room; a slow reader gets it in
//! turns and is cut off when it takes nothing for [`WRITE_STALL`]. Parts are never copied.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::limits::{TURN_BYTES, WRITE_PARTS, WRITE_STALL};

/// What is left of one response.
#[derive(Debug)]
pub struct Response {
    parts: Vec<Bytes>,
    /// The first part not wholly written.
    next: usize,
}

impl Response {
    pub fn new(parts: Vec<Bytes>) -> Response {
        let mut response = Response { parts, next: 0 };
        response.skip_empty();
        response
    }

    /// Writes everything, waiting as often as the socket wants.
    ///
    /// # Errors
    /// The socket's, and `TimedOut` when the client takes nothing for too long.
    pub async fn write_to(mut self, stream: &TcpStream) -> io::Result<usize> {
        let written = match self.try_write(stream) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if self.is_done() {
            return Ok(written);
        }
        // What waits for a slow reader is boxed, so that the task of an idle connection stays small.
        Box::pin(self.write_rest(stream, written)).await
    }

    async fn write_rest(mut self, stream: &TcpStream, mut written: usize) -> io::Result<usize> {
        let mut turn = written;
        while !self.is_done() {
            match self.try_write(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    written += taken;
                    turn += taken;
                    if turn >= TURN_BYTES && !self.is_done() {
                        turn = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    turn = 0;
                    timeout(WRITE_STALL, stream.writable()).await??;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn is_done(&self) -> bool {
        self.next == self.parts.len()
    }

    fn try_write(&mut self, stream: &TcpStream) -> io::Result<usize> {
        if self.is_done() {
            return Ok(0);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_PARTS];
        let mut used = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts[self.next..]) {
            *slice = IoSlice::new(part);
            used += 1;
        }
        let taken = stream.try_write_vectored(&slices[..used])?;
        self.advance(taken);
        Ok(taken)
    }

    fn advance(&mut self, mut taken: usize) {
        while taken > 0 {
            let part = &mut self.parts[self.next];
            if taken < part.len() {
                part.advance(taken);
                return;
            }
            taken -= part.len();
            *part = Bytes::new();
            self.next += 1;
        }
        self.skip_empty();
    }

    fn skip_empty(&mut self) {
        while self.next < self.parts.len() && self.parts[self.next].is_empty() {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_response_larger_than_the_socket_arrives_whole_and_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (writer, _) = listener.accept().await.unwrap();
        let parts: Vec<Bytes> = (0..300u32)
            .map(|part| Bytes::from(vec![part as u8; (part as usize * 137) % 90_000]))
            .collect();
        let expected = parts.concat();
        let mut got = vec![0; expected.len()];
        let (written, read) = tokio::join!(
            Response::new(parts).write_to(&writer),
            reader.read_exact(&mut got)
        );
        assert_eq!(written.unwrap(), expected.len());
        read.unwrap();
        assert!(got == expected);
    }

    #[test]
    fn empty_parts_are_never_offered_to_the_socket() {
        let mut response =
            Response::new(vec![Bytes::new(), Bytes::from_static(b"ab"), Bytes::new()]);
        assert_eq!(response.next, 1);
        response.advance(1);
        assert!(!response.is_done());
        response.advance(1);
        assert!(response.is_done());
    }
}
