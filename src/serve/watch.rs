//! Takes over a new version when the component's file changes.
//!
//! The file is looked at a few times a second, which works on every file system (network ones report no events) and for
//! every way of changing it: written over, renamed into place, or a symbolic link that points elsewhere.

use super::control::Events;
use super::host::{Host, read};
use super::talk::Talk;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(meta: Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The state of the file now; nothing when there is none.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(Stamp::from)
}

/// Swaps the host's version whenever the file no longer is as `last` has it; never returns.
pub(super) async fn watch(host: &Host, path: &Path, mut last: Option<Stamp>, events: &Events, talk: &Talk) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let now = stamp(path);
        // A file that is away for a moment is on its way back; the version in memory goes on.
        if now == last || now.is_none() {
            continue;
        }
        last = now;
        let swapped = match read(path) {
            Ok(bytes) => host.swap(bytes).await,
            Err(error) => Err(error),
        };
        match swapped {
            Ok(None) => {}
            Ok(Some(sha256)) => {
                talk.note(format!("serving the new version {sha256}"));
                events.send(&format!("swapped {sha256}")).await;
            }
            // Perhaps it is still being written: then it changes again, and is looked at again.
            Err(error) => talk.note(format!(
                "the old version goes on, because the new one cannot be served: {error}"
            )),
        }
    }
}
