//! The folder of one guardian: what it is told, and what it tells.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::process::ProcessId;
use crate::id::hex;

/// What a guardian is to keep running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The program of the worker: wasmctl itself.
    pub program: PathBuf,
    /// Its arguments. The process list shows them, so they hold no secret.
    pub args: Vec<String>,
    /// Its whole environment beside `PATH` and `HOME`.
    pub env: BTreeMap<String, String>,
    /// Where to listen, `HOST:PORT`. Port 0 takes a free one, which is kept from then on.
    pub listen: String,
    /// When a worker runs.
    pub mode: Mode,
    /// Milliseconds a worker that is relieved or stopped has to finish.
    pub drain_ms: u64,
    /// Whether the worker understands `retire`. Otherwise it is relieved with SIGTERM.
    pub retires: bool,
}

/// When a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Always.
    Always,
    /// From the first connection until the worker says that it is idle.
    OnDemand,
}

/// What a guardian says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The guardian.
    pub guardian: ProcessId,
    /// The worker that serves or is about to.
    pub worker: Option<ProcessId>,
    /// Where it listens.
    pub address: String,
    /// SHA-256 of the `spec.json` it has acted on.
    pub spec: String,
    /// How far it is with that.
    pub progress: Progress,
    /// SHA-256 of what the worker took over last: a component, a configuration.
    pub swapped: Option<String>,
    /// What workers said with `fact`.
    pub facts: BTreeMap<String, String>,
    /// Deaths of workers in a row.
    pub failures: u32,
    /// What the worker said last before it died, while it is not up again.
    pub detail: Option<String>,
}

/// How far a guardian is with what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The worker has not said `ready` yet.
    Starting,
    /// It serves, or waits for the first connection.
    Ready,
    /// It was ready once; the worker died and is being replaced.
    Recovering,
    /// It stops.
    Stopping,
}

/// A run folder.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Names a run folder, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, for this user alone.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// Whether it exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.symlink_metadata().is_ok()
    }

    /// Removes the folder, and the one above it if that is empty then. One that is not there counts as removed.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove(&self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                // Somebody asked for the lock, or asked to stop once more, while the files went.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries < 5 => tries += 1,
                Err(error) => return Err(error),
            }
        }
        if let Some(above) = self.0.parent() {
            // Not empty: other guardians live there.
            let _ = fs::remove_dir(above);
        }
        Ok(())
    }

    /// Returns the path of the log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Reads what is to run, with the digest of the file. `None` if there is none, or it was cut off by a power failure.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn spec(&self) -> io::Result<Option<(Spec, String)>> {
        let Some(bytes) = read(&self.0.join("spec.json"))? else {
            return Ok(None);
        };
        let Ok(spec) = serde_json::from_slice(&bytes) else {
            return Ok(None);
        };
        Ok(Some((spec, hex(&Sha256::digest(&bytes)))))
    }

    /// Says what is to run and returns the digest of the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_spec(&self, spec: &Spec) -> io::Result<String> {
        let bytes = serde_json::to_vec_pretty(spec)?;
        write_atomically(&self.0.join("spec.json"), &bytes, 0o600, true)?;
        Ok(hex(&Sha256::digest(&bytes)))
    }

    /// Returns the digest that [`write_spec`](Self::write_spec) would return.
    #[must_use]
    pub fn digest(spec: &Spec) -> String {
        // A structure of strings and numbers always becomes JSON.
        hex(&Sha256::digest(serde_json::to_vec_pretty(spec).unwrap_or_default()))
    }

    /// Reads what the guardian says. `None` if none has said anything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self) -> io::Result<Option<Record>> {
        let Some(bytes) = read(&self.0.join("process.json"))? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Says how things are. Not synced: it describes processes, which do not survive a power failure either.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        write_atomically(
            &self.0.join("process.json"),
            &serde_json::to_vec_pretty(record)?,
            0o600,
            false,
        )
    }

    /// Says that the end is wanted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark_stop(&self) -> io::Result<()> {
        write_atomically(&self.0.join("stop"), b"", 0o600, true)
    }

    /// Whether the end is wanted.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.join("stop").symlink_metadata().is_ok()
    }

    /// Writes a further file into the folder, readable by this user alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_atomically(&self.0.join(name), bytes, 0o600, true)
    }

    /// Says that a guardian is about to be started.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(&self) -> io::Result<()> {
        let _ = fs::remove_file(self.0.join("failed"));
        self.write("starting", b"")
    }

    /// Returns how long ago a guardian was said to be about to start, until one has come up.
    #[must_use]
    pub fn announced(&self) -> Option<Duration> {
        let meta = fs::metadata(self.0.join("starting")).ok()?;
        Some(meta.modified().ok()?.elapsed().unwrap_or_default())
    }

    /// Says why the guardian could not come up, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        fs::read_to_string(self.0.join("failed")).ok()
    }

    /// Leaves word of why a guardian could not come up. Best effort: the log has it as well.
    pub fn fail(&self, reason: &str) {
        let _ = write_atomically(&self.0.join("failed"), reason.as_bytes(), 0o600, false);
    }

    /// Ends what [`announce`](Self::announce) began.
    pub(super) fn came_up(&self) {
        for name in ["starting", "failed"] {
            let _ = fs::remove_file(self.0.join(name));
        }
    }

    /// Whether a guardian lives: whether somebody holds the lock.
    ///
    /// # Errors
    /// When the lock cannot be asked for.
    pub fn is_guarded(&self) -> io::Result<bool> {
        let file = match File::open(self.0.join("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Shared, so that two who ask do not take each other for a guardian. A guardian that starts in this very
        // moment tries again.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, if the folder is still there and nobody has it.
    ///
    /// # Errors
    /// When the lock cannot be opened, also because the folder has gone.
    pub(super) fn try_lock(&self) -> io::Result<Option<File>> {
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // The folder may have been removed, and made anew, between opening and locking.
        let (ours, there) = (file.metadata()?, fs::metadata(&path)?);
        Ok((ours.ino() == there.ino() && ours.dev() == there.dev()).then_some(file))
    }

    /// Removes the folder of a guardian that is dead, with a worker that outlived it. `false` if a guardian lives.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn clear(&self) -> io::Result<bool> {
        let lock = match self.try_lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        self.clear_locked()?;
        drop(lock);
        Ok(true)
    }

    /// Removes the folder, and a worker that outlived its guardian. For whoever holds the lock.
    pub(super) fn clear_locked(&self) -> io::Result<()> {
        if let Some(worker) = self.record()?.and_then(|record| record.worker) {
            worker.signal(rustix::process::Signal::KILL)?;
        }
        self.remove()
    }
}

impl Spec {
    /// Returns `drain_ms` as a duration.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Puts a whole file in place of another: readers see the old one or the new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Two threads may write the same file; each has a name of its own.
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}.{turn}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        if durable {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}
