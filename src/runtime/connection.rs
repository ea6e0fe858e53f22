//! One client's connection: read a request, let the broker answer, write the answer, again.
//!
//! Guarantees one request in flight, answers in request order, one vectored write per answer, and that
//! the broker always hears of the end. It decides nothing: what bytes mean is the broker's.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::driver::{Driver, Gone};
use super::frame_reader::{FrameError, FrameReader};
use super::kill::Socket;
use super::limits::{HALF_CLOSED_WAIT, PARKED_LOOK, TURN_BYTES};
use super::response::Response;
use super::slot::{Answer, Ready, Slot};
use crate::ids::ConnectionId;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    ClosedByBroker(String),
    #[error("it went away before its answer")]
    Left,
    #[error("writing its answer failed: {0}")]
    Write(io::Error),
    #[error("the broker is gone")]
    BrokerGone,
}

impl From<Gone> for End {
    fn from(_: Gone) -> End {
        End::BrokerGone
    }
}

/// Serves one client until either side ends it.
pub async fn serve(driver: Rc<Driver>, stream: TcpStream, peer: SocketAddr, own: bool) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // A socket that refuses it is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let stream = Socket::new(stream, &driver.switch);
    let Ok((id, slot)) = driver.connect(peer, local, own) else {
        return;
    };
    let end = converse(&driver, &stream, &slot, id).await;
    drop(slot);
    if let End::Frame(error) = &end
        && !matches!(error, FrameError::Closed)
    {
        driver.tell_bad_frame(id, &error.to_string());
    }
    driver.disconnect(id);
    drop(stream);
    match end {
        End::ClosedByBroker(why) => tracing::debug!("closed {peer}: {why}"),
        End::Frame(error) if !error.is_ordinary() => driver.note_refusal(peer, error.to_string()),
        end => tracing::trace!("{peer}: {end}"),
    }
}

/// Requests and answers in turns, until something ends it.
async fn converse(driver: &Driver, stream: &TcpStream, slot: &Slot, id: ConnectionId) -> End {
    let mut reader = FrameReader::default();
    let mut turn = 0;
    loop {
        match exchange(driver, stream, slot, id, &mut reader).await {
            Ok(moved) => turn += moved,
            Err(end) => return slot.closing().map_or(end, End::ClosedByBroker),
        }
        if turn >= TURN_BYTES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// One request and its answer; returns the bytes moved.
async fn exchange(
    driver: &Driver,
    stream: &TcpStream,
    slot: &Slot,
    id: ConnectionId,
    reader: &mut FrameReader,
) -> Result<usize, End> {
    let frame = reader.next(stream, slot, &driver.frames).await?;
    let received = frame.len();
    driver.drive(|broker, now| broker.on_frame(now, id, frame))?;
    let answer = match slot.take() {
        Some(answer) => answer,
        // Boxed, so that the task of an idle connection stays small.
        None => Box::pin(wait_for_answer(stream, slot)).await?,
    };
    let written = match answer {
        Answer::NoReply => 0,
        Answer::Reply(parts) => {
            let _writing = Writing::begin(driver);
            Response::new(parts)
                .write_to(stream)
                .await
                .map_err(End::Write)?
        }
    };
    // A connection that asks much in small pieces gives way, too.
    Ok(received + written + TURN_BYTES / 64)
}

/// Waits for a parked answer. A client that closes meanwhile is forgotten, after a short grace for one
/// that only closed its sending side.
async fn wait_for_answer(stream: &TcpStream, slot: &Slot) -> Result<Answer, End> {
    let mut pipelined = false;
    loop {
        tokio::select! {
            biased;
            answer = slot.answered() => return answer.ok_or(End::Left),
            ready = slot.readable_or_closed(stream), if !pipelined => {
                match ready.map_err(FrameError::Io)? {
                    // The answer or the closing is found by the other branch.
                    Ready::Closing => continue,
                    Ready::Readable if is_read_closed(stream) => {
                        return timeout(HALF_CLOSED_WAIT, slot.answered())
                            .await
                            .ok()
                            .flatten()
                            .ok_or(End::Left);
                    }
                    Ready::Readable => pipelined = true,
                }
            }
            () = tokio::time::sleep(PARKED_LOOK), if pipelined => pipelined = false,
        }
    }
}

/// True when the client will send nothing more, whatever still waits to be read.
fn is_read_closed(stream: &TcpStream) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let ready = std::pin::pin!(stream.ready(tokio::io::Interest::READABLE));
    matches!(ready.poll(&mut context), std::task::Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

/// Counts one answer on its way out.
struct Writing<'a>(&'a Driver);

impl Writing<'_> {
    fn begin(driver: &Driver) -> Writing<'_> {
        driver.writing.set(driver.writing.get() + 1);
        Writing(driver)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.set(self.0.writing.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the future an async function returns.
    fn future_bytes<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connections_task_is_small() {
        let bytes = future_bytes(serve);
        assert!(bytes <= 640, "{bytes} bytes");
    }
}
