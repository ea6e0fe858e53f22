//! A broker's death from outside, as `kill -9` ends a process.
//!
//! Guarantees that nothing the broker wanted done is done after the switch was thrown, and that its
//! sockets are reset instead of closed in good order. It cannot interrupt a call into the broker; the
//! end comes at the call's return, before its effects.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Thrown once by whoever started the broker.
#[derive(Debug, Default)]
pub struct KillSwitch {
    thrown: AtomicBool,
    rung: Notify,
}

impl KillSwitch {
    pub fn throw(&self) {
        self.thrown.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    pub fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::Acquire)
    }

    /// Waits until it is thrown. One at a time may wait.
    pub async fn wait(&self) {
        while !self.is_thrown() {
            self.rung.notified().await;
        }
    }
}

/// A connection that is reset when it is dropped because of a kill.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    switch: Arc<KillSwitch>,
}

impl Socket {
    pub fn new(stream: TcpStream, switch: &Arc<KillSwitch>) -> Socket {
        Socket {
            stream,
            switch: Arc::clone(switch),
        }
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.switch.is_thrown() {
            // Refused, the connection ends in good order, which is all that is lost.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
