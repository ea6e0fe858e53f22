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

use crate::storage::{SyncMarks, sync_path};

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
    pub files: Vec<PathBuf>,
    pub result: Result<(), String>,
}

/// The running thread. It ends when this is dropped and its orders are done or abandoned.
#[derive(Debug)]
pub struct FlushThread {
    abandoned: Arc<AtomicBool>,
    marks: SyncMarks,
    orders: Option<mpsc::Sender<FlushOrder>>,
    thread: Option<JoinHandle<()>>,
}

impl FlushThread {
    /// Starts the thread; results go to `done`, and what is synced is noted in `marks`. Its queue is as long as the broker makes it: one order
    /// per second, or one at a time when acks wait for it.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn start(
        name: String,
        marks: SyncMarks,
        done: UnboundedSender<Flushed>,
    ) -> io::Result<FlushThread> {
        let (orders, queue) = mpsc::channel::<FlushOrder>();
        let abandoned = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&abandoned);
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(128 * 1024)
            .spawn(move || {
                for order in queue {
                    let FlushOrder { token, files } = order;
                    let result = sync_all(&files, &gone);
                    let flushed = Flushed {
                        token,
                        files,
                        result,
                    };
                    if done.send(flushed).is_err() {
                        return;
                    }
                }
            })?;
        Ok(FlushThread {
            abandoned,
            marks,
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
        self.marks.borrow_mut().begin_sync(&order.files);
        let orders = self.orders.as_ref().expect("only drop takes it");
        // A thread that is gone has panicked: the broker hears of no flush and acks nothing.
        if orders.send(order).is_err() {
            tracing::error!("the flush thread is gone");
        }
    }

    /// Takes in how an order ended.
    pub fn ended(&self, flushed: &Flushed) {
        let done = flushed.result.is_ok();
        self.marks.borrow_mut().end_sync(&flushed.files, done);
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
        let thread = FlushThread::start("flush-test".into(), SyncMarks::default(), done).unwrap();
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
