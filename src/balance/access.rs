//! The access log: one line for each request, in a file that cannot grow without bound.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines waiting to be written; further ones are dropped, because requests do not wait for a disk.
const QUEUE: usize = 16_384;

/// The size at which a file is set aside as `<name>.1`.
const ROTATE: u64 = 50 << 20;

/// Where lines go; clones share it.
#[derive(Clone, Default)]
pub(super) struct AccessLog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    on: AtomicBool,
    to: Mutex<Option<(PathBuf, SyncSender<String>)>>,
}

impl AccessLog {
    /// Whether lines are wanted.
    pub(super) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Writes to `path` from now on, or nowhere.
    ///
    /// # Errors
    /// When the file cannot be opened; the log stays as it was.
    pub(super) fn set(&self, path: Option<&Path>) -> std::io::Result<()> {
        let mut to = self.0.to.lock().unwrap_or_else(PoisonError::into_inner);
        if to.as_ref().map(|(path, _)| path.as_path()) == path {
            return Ok(());
        }
        *to = match path {
            None => None,
            Some(path) => {
                let file = open(path)?;
                let (sender, lines) = sync_channel(QUEUE);
                let owned = path.to_owned();
                std::thread::Builder::new()
                    .name("access-log".to_owned())
                    .spawn(move || write_all(&owned, file, &lines))?;
                Some((path.to_owned(), sender))
            }
        };
        self.0.on.store(to.is_some(), Ordering::Relaxed);
        Ok(())
    }

    /// Passes a line on, or drops it when the disk is too slow.
    pub(super) fn write(&self, line: String) {
        if let Some((_, sender)) = &*self.0.to.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = sender.try_send(line);
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Writes lines until the last sender is gone; flushes when none has come for a moment. A full disk
/// costs lines, never requests.
fn write_all(path: &Path, file: File, lines: &Receiver<String>) {
    let mut size = file.metadata().map_or(0, |meta| meta.len());
    let mut file = BufWriter::new(file);
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                size += line.len() as u64;
                let _ = file.write_all(line.as_bytes());
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = file.flush();
                match lines.recv() {
                    Ok(line) => {
                        size += line.len() as u64;
                        let _ = file.write_all(line.as_bytes());
                    }
                    Err(_) => break,
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if size > ROTATE {
            let _ = file.flush();
            let mut aside = path.as_os_str().to_owned();
            aside.push(".1");
            if std::fs::rename(path, aside).is_ok()
                && let Ok(new) = open(path)
            {
                file = BufWriter::new(new);
            }
            size = 0;
        }
    }
    let _ = file.flush();
}
