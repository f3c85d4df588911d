//! The line to a guardian process: events out, its death in.
//!
//! One event a line: `ready` once the host answers, `swapped SHA256` after a hot swap, `idle` when there was no request for
//! the time asked for, again after each further such time. Nothing is read from it but its end, which means that the guardian has died.

use super::Error;
use super::host::Host;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Both directions of the line.
pub(super) struct Control {
    read: OwnedReadHalf,
    write: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
}

/// The sending side.
#[derive(Clone)]
pub(super) struct Events(Option<Arc<tokio::sync::Mutex<OwnedWriteHalf>>>);

impl Control {
    /// Takes over one end of a socket pair.
    pub(super) fn new(stream: StdStream) -> Result<Self, Error> {
        let wrong = |source| Error::System {
            what: "the control line is no socket",
            source,
        };
        stream.set_nonblocking(true).map_err(wrong)?;
        let (read, write) = UnixStream::from_std(stream).map_err(wrong)?.into_split();
        Ok(Self {
            read,
            write: Arc::new(tokio::sync::Mutex::new(write)),
        })
    }

    /// The sending side of a line, or one that sends nothing.
    pub(super) fn events(control: Option<&Self>) -> Events {
        Events(control.map(|control| Arc::clone(&control.write)))
    }

    /// Returns when the guardian has died.
    pub(super) async fn orphaned(&mut self) {
        let mut ignored = [0; 64];
        while !matches!(self.read.read(&mut ignored).await, Ok(0) | Err(_)) {}
    }
}

impl Events {
    /// Sends one event. A guardian that is gone is noticed by reading, not here.
    pub(super) async fn send(&self, event: &str) {
        if let Some(write) = &self.0 {
            let _ = write.lock().await.write_all(format!("{event}\n").as_bytes()).await;
        }
    }
}

/// Sends `idle` whenever no guest has run for `after`; never returns.
pub(super) async fn watch_idleness(host: &Host, after: Duration, events: &Events) {
    // Ten looks per period: `idle` is at most a tenth late, and serving costs nothing.
    let mut look = tokio::time::interval((after / 10).max(Duration::from_millis(5)));
    let mut seen = host.begun();
    let mut since = tokio::time::Instant::now();
    loop {
        look.tick().await;
        let begun = host.begun();
        if begun != seen || host.in_flight() > 0 {
            seen = begun;
            since = tokio::time::Instant::now();
        } else if since.elapsed() >= after {
            events.send("idle").await;
            since = tokio::time::Instant::now();
        }
    }
}
