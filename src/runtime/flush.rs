//! The thread that syncs files, because `fdatasync` blocks for milliseconds.
//!
//! One order at a time, in order. A failed sync is reported once and never retried: the broker decides
//! what it means.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use crate::storage::sync_path;

/// Files to sync, and the name under which the broker waits.
#[derive(Debug)]
pub struct FlushOrder {
    pub token: u64,
    pub files: Vec<PathBuf>,
}

/// What became of an order.
#[derive(Debug)]
pub struct Flushed {
    pub token: u64,
    pub result: Result<(), String>,
}

/// The running thread. It ends when this is dropped and its orders are done or abandoned.
#[derive(Debug)]
pub struct FlushThread {
    abandoned: Arc<AtomicBool>,
    orders: Option<mpsc::Sender<FlushOrder>>,
    thread: Option<JoinHandle<()>>,
}

impl FlushThread {
    /// Starts the thread; results go to `done`. Its queue is as long as the broker makes it: one order
    /// per second, or one at a time when acks wait for it.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn start(name: String, done: UnboundedSender<Flushed>) -> io::Result<FlushThread> {
        let (orders, queue) = mpsc::channel::<FlushOrder>();
        let abandoned = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&abandoned);
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(128 * 1024)
            .spawn(move || {
                for order in queue {
                    let result = sync_all(&order.files, &gone);
                    let token = order.token;
                    if done.send(Flushed { token, result }).is_err() {
                        return;
                    }
                }
            })?;
        Ok(FlushThread {
            abandoned,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Syncs nothing more: the broker is dead. Nobody waits for a sync under way.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Queues an order.
    pub fn send(&self, order: FlushOrder) {
        let orders = self.orders.as_ref().expect("only drop takes it");
        // A thread that is gone has panicked: the broker hears of no flush and acks nothing.
        if orders.send(order).is_err() {
            tracing::error!("the flush thread is gone");
        }
    }
}

impl Drop for FlushThread {
    fn drop(&mut self) {
        self.orders = None;
        if self.abandoned.load(Ordering::Acquire) {
            return;
        }
        if let Some(thread) = self.thread.take() {
            // Its panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn sync_all(files: &[PathBuf], abandoned: &AtomicBool) -> Result<(), String> {
    for file in files {
        if abandoned.load(Ordering::Acquire) {
            return Err("the broker is dead".to_owned());
        }
        sync_path(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_answered_in_order_and_a_failure_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::write(&real, b"x").unwrap();
        let (done, mut results) = tokio::sync::mpsc::unbounded_channel();
        let thread = FlushThread::start("flush-test".into(), done).unwrap();
        thread.send(FlushOrder {
            token: 1,
            files: vec![real.clone(), dir.path().join("gone")],
        });
        thread.send(FlushOrder {
            token: 2,
            files: vec![real.join("not-a-directory")],
        });
        let first = results.blocking_recv().unwrap();
        assert_eq!((first.token, first.result), (1, Ok(())));
        let second = results.blocking_recv().unwrap();
        assert!(second.result.unwrap_err().contains("not-a-directory"));
    }
}
