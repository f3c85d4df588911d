//! What the host and its guests have to say, on its way to whoever listens.
//!
//! Threads that serve never wait for a slow terminal: lines go through a bounded queue to one thread, and when that is
//! full they are counted and dropped.

use super::options::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

/// Lines waiting to be written before further ones are dropped.
const QUEUE: usize = 4_096;

/// The longest piece of guest output passed on as one line.
const LINE: usize = 8 << 10;

/// The sending end of the queue; clones share it.
#[derive(Clone)]
pub(super) struct Talk {
    queue: SyncSender<Report>,
    dropped: Arc<AtomicU64>,
}

impl Talk {
    /// Starts the thread that calls `report`; it ends when the last sending end is gone.
    pub(super) fn start(report: Arc<dyn Fn(Report) + Send + Sync>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, reports) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("talk".into()).spawn(move || {
            for item in reports {
                report(item);
                match counter.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lost => report(Report::Note(format!(
                        "{lost} lines were dropped because they came faster than they could be written"
                    ))),
                }
            }
        })?;
        Ok((Self { queue, dropped }, thread))
    }

    /// Passes a report on, or drops it when the queue is full.
    pub(super) fn say(&self, report: Report) {
        if self.queue.try_send(report).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Passes a note on.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.say(Report::Note(text.into()));
    }
}

/// A guest's stdout or stderr.
#[derive(Clone)]
pub(super) struct GuestOutput {
    talk: Talk,
    stream: &'static str,
}

impl GuestOutput {
    /// Output of the stream called `stream`.
    pub(super) fn new(talk: Talk, stream: &'static str) -> Self {
        Self { talk, stream }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and its interfaces are not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines {
            output: self.clone(),
            line: Vec::new(),
        })
    }
}

struct Lines {
    output: GuestOutput,
    line: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
        self.line.clear();
        self.output.talk.say(Report::Guest {
            stream: self.output.stream,
            line,
        });
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: bytes::Bytes) -> Result<(), StreamError> {
        for &byte in &bytes {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
                if self.line.len() >= LINE {
                    self.end_line();
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}
