//! Where a connection's task waits: for bytes of its client, for the broker's answer, or for the end.
//!
//! A slot takes one answer at a time; the order of answers is the order of requests because a
//! connection has one request in flight. It holds no buffer, so that idle connections stay small.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::net::TcpStream;

/// The broker's answer to the request in flight.
#[derive(Debug)]
pub enum Answer {
    /// A whole response, length prefix included.
    Reply(Vec<Bytes>),
    /// acks=0: nothing to write.
    NoReply,
}

/// What ended a wait for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Bytes or the end of the stream can be read.
    Readable,
    /// The broker wants the connection closed.
    Closing,
}

/// One connection's meeting point of its task and its broker.
#[derive(Debug, Default)]
pub struct Slot {
    answer: RefCell<Option<Answer>>,
    closing: RefCell<Option<Box<str>>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    /// Puts the answer to the request in flight and wakes the task.
    pub fn put(&self, answer: Answer) {
        *self.answer.borrow_mut() = Some(answer);
        self.wake();
    }

    /// Asks the task to close the connection.
    pub fn close(&self, why: &str) {
        self.closing.borrow_mut().get_or_insert_with(|| why.into());
        self.wake();
    }

    /// Why the broker wants the connection closed, if it does.
    pub fn closing(&self) -> Option<String> {
        self.closing.borrow().as_deref().map(str::to_owned)
    }

    /// The answer, if it is here already.
    pub fn take(&self) -> Option<Answer> {
        self.answer.borrow_mut().take()
    }

    /// Waits for an answer; `None` when the connection is to be closed instead.
    pub async fn answered(&self) -> Option<Answer> {
        poll_fn(|cx| {
            if let Some(answer) = self.take() {
                return Poll::Ready(Some(answer));
            }
            self.poll_closing(cx).map(|()| None)
        })
        .await
    }

    /// Waits until the client's side has something to read, or the connection is to be closed.
    pub async fn readable_or_closed(&self, stream: &TcpStream) -> io::Result<Ready> {
        poll_fn(|cx| {
            if self.poll_closing(cx).is_ready() {
                return Poll::Ready(Ok(Ready::Closing));
            }
            stream
                .poll_read_ready(cx)
                .map(|ready| ready.map(|()| Ready::Readable))
        })
        .await
    }

    fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.borrow().is_some() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
