//! The state on disk: lock, snapshot, rotation, recovery.
//!
//! `.wasmctl/<stack>/<env>/` holds `state.json` (the snapshot), `journal` (all since), the previous pair of
//! both, and `lock`. A journal says which snapshot it goes on from, so that a kill between any two
//! renames leaves files that fit together in exactly one way.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::State;
use super::journal::{self, Journal, Seam};
use super::record::{FORMAT, Record};
use crate::id::{Lineage, Serial, hex};

/// What can go wrong with the files of a state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {what} `{}`: {}", path.display(), crate::disk::plain(source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another run holds the lock.
    #[error("{holder} is working on this deployment")]
    Locked {
        /// Who holds it.
        holder: Holder,
    },
    /// Neither the snapshot nor what could replace it can be read.
    #[error("the state in `{}` cannot be read: {why}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// It was written by a newer wasmctl.
    #[error("the state in `{}` has format {found}, and this wasmctl knows formats up to {FORMAT}", folder.display())]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl Error {
    /// Says what to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space and run it again: what is recorded is intact".to_owned())
            }
            Self::Io { .. } => None,
            Self::Locked { holder } => Some(format!(
                "wait for it to end, or stop it with `kill -INT {}`; a lock ends with its process, there is nothing to clear",
                holder.pid
            )),
            Self::Damaged { folder, .. } => Some(format!(
                "restore `{}` from a backup; nothing was changed, and wasmctl never takes a damaged state for an empty one",
                folder.display()
            )),
            Self::Newer { .. } => Some("install the newer wasmctl; nothing was changed".to_owned()),
        }
    }
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The command it runs: `deploy`.
    pub command: String,
    /// Since when, as a time with zone.
    pub since: String,
}

impl Holder {
    /// Whether it is a process that lives and is not this one.
    fn is_another_process(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        self.pid != std::process::id() && pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`wasmctl {}` (process {}, since {})",
            self.command, self.pid, self.since
        )
    }
}

/// A lock that is held while this value lives, and by no process after its death.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The folder of a deployment's state.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// A state as it was found, and what had to be said of it.
#[derive(Debug)]
pub struct Opened {
    /// The state.
    pub state: State,
    /// Recoveries, for the user.
    pub notices: Vec<String>,
    /// How many bytes of the current journal are whole; `None` if a new one must be started.
    journal: Option<u64>,
}

impl Opened {
    /// Starts with an empty state.
    #[must_use]
    pub fn fresh(state: State) -> Self {
        Self {
            state,
            notices: Vec::new(),
            journal: None,
        }
    }

    /// Whether nothing is on disk yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.state.serial == 0 && self.journal.is_none()
    }

    /// Whether a journal is there that no snapshot holds yet, or a snapshot that had to be put together.
    #[must_use]
    pub fn needs_writing(&self) -> bool {
        self.journal.is_some() || !self.notices.is_empty()
    }
}

#[derive(Serialize)]
struct SnapshotOut<'a> {
    format: u32,
    sha256: String,
    state: &'a RawValue,
}

#[derive(Deserialize)]
struct SnapshotIn<'a> {
    format: u32,
    sha256: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

enum Snapshot {
    Missing,
    Good(Box<State>),
    Bad(String),
}

struct Journaled {
    base: Serial,
    lineage: Lineage,
    stack: Arc<str>,
    env: Arc<str>,
    replay: journal::Replay,
}

impl Journaled {
    /// Returns the empty state that a first journal goes on from.
    fn beginning(&self) -> State {
        State::new(self.lineage.clone(), Arc::clone(&self.stack), Arc::clone(&self.env))
    }
}

impl Folder {
    /// Names the folder of a deployment.
    #[must_use]
    pub fn of(root: &Path, stack: &str, env: &str) -> Self {
        Self {
            path: root.join(".wasmctl").join(stack).join(env),
        }
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes the lock, making the folder if need be.
    ///
    /// # Errors
    /// Says who holds it.
    pub fn lock(&self, command: &str, now: &str) -> Result<Lock, Error> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.path)
            .map_err(io_error("make the folder", &self.path))?;
        let path = self.file("lock");
        let mut options = File::options();
        options.create(true).read(true).write(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io_error("open", &path))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file);
                    tries += 1;
                    if tries > 20 || holder.is_another_process() {
                        return Err(Error::Locked { holder });
                    }
                    // A process that was just forked has our lock until it becomes another program.
                    #[expect(clippy::disallowed_methods, reason = "the kernel does not say when that is over")]
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                Err(fs::TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
            }
        }
        let holder = Holder {
            pid: std::process::id(),
            command: command.to_owned(),
            since: now.to_owned(),
        };
        // Who holds it is for people; the lock itself does not depend on it, not even on a full disk.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            let text = serde_json::to_vec(&holder).unwrap_or_default();
            file.write_all(&text)
        });
        Ok(Lock { _file: file })
    }

    /// Says who holds the lock, if anyone does.
    ///
    /// # Errors
    /// Says why the file cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>, Error> {
        let path = self.file("lock");
        let mut file = match File::options().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(fs::TryLockError::WouldBlock) => Ok(Some(read_holder(&mut file))),
            Err(fs::TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
        }
    }

    /// Reads the state without changing anything on disk. `None` if there is none.
    ///
    /// # Errors
    /// Says what is damaged where nothing can replace it, or that it is newer than this wasmctl.
    pub fn read(&self) -> Result<Option<Opened>, Error> {
        let current = self.snapshot("state.json")?;
        let journals = [self.journal("journal")?, self.journal("journal.previous")?];
        let mut notices = Vec::new();
        let first = !self.file("state.previous.json").exists();
        let (mut state, recovered) = match current {
            Snapshot::Good(state) => (*state, false),
            // The first run was killed before its first snapshot.
            Snapshot::Missing if first && journals[0].as_ref().is_some_and(|journal| journal.base == 0) => {
                let Some(state) = journals[0].as_ref().map(Journaled::beginning) else {
                    return Ok(None);
                };
                (state, false)
            }
            Snapshot::Missing if first && journals.iter().all(Option::is_none) => return Ok(None),
            Snapshot::Missing | Snapshot::Bad(_) => {
                let why = match &current {
                    Snapshot::Bad(why) => why.clone(),
                    _ => "it is missing".to_owned(),
                };
                (self.recover(&why, &journals, &mut notices)?, true)
            }
        };
        let [current, previous] = &journals;
        let follows = |journal: &Option<Journaled>, state: &State| {
            journal.as_ref().is_some_and(|journal| journal.base == state.serial)
        };
        if !follows(current, &state) && follows(previous, &state) {
            self.fold(&mut state, previous.as_ref(), &mut notices)?;
            state.serial += 1;
        }
        let length = if follows(current, &state) {
            self.fold(&mut state, current.as_ref(), &mut notices)?;
            current.as_ref().map(|journal| journal.replay.length)
        } else {
            None
        };
        if recovered && notices.is_empty() {
            notices.push("the state was put together again from its journal".to_owned());
        }
        Ok(Some(Opened {
            state,
            notices,
            journal: length,
        }))
    }

    fn fold(&self, state: &mut State, journal: Option<&Journaled>, notices: &mut Vec<String>) -> Result<(), Error> {
        let Some(journal) = journal else { return Ok(()) };
        if journal.lineage != state.lineage {
            return Err(self.damaged("the journal belongs to another state".to_owned()));
        }
        journal::fold(state, &journal.replay.records).map_err(|illegal| self.damaged(illegal.to_string()))?;
        if journal.replay.torn {
            notices.push("the last line of the journal was cut off by a kill; it was ignored".to_owned());
        }
        Ok(())
    }

    /// Finds what a lost or damaged snapshot can be rebuilt from.
    fn recover(&self, why: &str, journals: &[Option<Journaled>; 2], notices: &mut Vec<String>) -> Result<State, Error> {
        let previous = match self.snapshot("state.previous.json")? {
            Snapshot::Good(state) => Some(*state),
            Snapshot::Missing | Snapshot::Bad(_) => None,
        };
        let base = match previous {
            Some(state) => Some(state),
            None => journals
                .iter()
                .flatten()
                .find(|journal| journal.base == 0)
                .map(Journaled::beginning),
        };
        let Some(base) = base else {
            return Err(self.damaged(format!("state.json: {why}")));
        };
        let oldest = base.serial;
        let reaches = journals.iter().flatten().any(|journal| journal.base == oldest);
        if !reaches {
            return Err(self.damaged(format!(
                "state.json: {why}, and no journal goes on from snapshot {oldest}"
            )));
        }
        notices.push(format!(
            "`state.json` was unusable ({why}); the state was rebuilt from {} and the journal, nothing is lost",
            if oldest == 0 {
                "the beginning".to_owned()
            } else {
                format!("snapshot {oldest}")
            }
        ));
        Ok(base)
    }

    /// Opens the journal for writing, going on from what was read.
    ///
    /// # Errors
    /// Says why the journal cannot be written.
    pub fn start(
        &self,
        _lock: &Lock,
        opened: Opened,
        now: &str,
        seam: Option<Seam>,
    ) -> Result<(State, Journal), Error> {
        let Opened {
            mut state,
            journal: length,
            ..
        } = opened;
        let path = self.file("journal");
        if length.is_none() && path.exists() {
            // The rename of a rotation that a kill came before: its lines are in the snapshot already.
            fs::rename(&path, self.file("journal.previous")).map_err(io_error("move", &path))?;
        }
        let length = length.unwrap_or(0);
        let mut journal = Journal::open(&path, length, seam).map_err(io_error("open", &path))?;
        if length == 0 {
            let open = Record::Open {
                format: FORMAT,
                lineage: state.lineage.clone(),
                base: state.serial,
                stack: Arc::clone(&state.stack),
                env: Arc::clone(&state.env),
                at: now.to_owned(),
            };
            journal
                .append(&mut state, &open)
                .map_err(|illegal| self.damaged(illegal.to_string()))?;
            sync_folder(&self.path).map_err(io_error("sync", &self.path))?;
        }
        Ok((state, journal))
    }

    /// Writes a snapshot of the state and rotates the journal away. The journal must be synced.
    ///
    /// # Errors
    /// Says why; the old state is then intact, and the journal goes on from it.
    pub fn rotate(&self, _lock: &Lock, state: &mut State) -> Result<(), Error> {
        let mut next = state.clone();
        next.serial += 1;
        let body = serde_json::value::to_raw_value(&next)
            .map_err(|error| self.damaged(format!("it cannot be written: {error}")))?;
        let snapshot = SnapshotOut {
            format: FORMAT,
            sha256: hex(&Sha256::digest(body.get().as_bytes())),
            state: &body,
        };
        let mut bytes =
            serde_json::to_vec(&snapshot).map_err(|error| self.damaged(format!("it cannot be written: {error}")))?;
        bytes.push(b'\n');

        let current = self.file("state.json");
        let fresh = self.file("state.json.new");
        write_synced(&fresh, &bytes).map_err(io_error("write", &fresh))?;
        if current.exists() {
            let kept = self.file("state.previous.new");
            let _ = fs::remove_file(&kept);
            // A link, so that there is no moment without a `state.json`.
            fs::hard_link(&current, &kept).map_err(io_error("keep a copy of", &current))?;
            fs::rename(&kept, self.file("state.previous.json")).map_err(io_error("move", &kept))?;
        }
        fs::rename(&fresh, &current).map_err(io_error("move", &fresh))?;
        let journal = self.file("journal");
        if journal.exists() {
            fs::rename(&journal, self.file("journal.previous")).map_err(io_error("move", &journal))?;
        }
        sync_folder(&self.path).map_err(io_error("sync", &self.path))?;
        state.serial = next.serial;
        Ok(())
    }

    /// Takes the whole folder away, and the folders above it that are then empty.
    ///
    /// The caller must have made sure that the state is empty.
    ///
    /// # Errors
    /// Says what cannot be removed.
    pub fn remove(&self, root: &Path, lock: Lock) -> Result<(), Error> {
        for name in [
            "state.json",
            "journal",
            "state.previous.json",
            "journal.previous",
            "state.json.new",
            "state.previous.new",
        ] {
            match fs::remove_file(self.file(name)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error("remove", &self.file(name))(error)),
            }
        }
        let _ = fs::remove_file(self.file("lock"));
        drop(lock);
        // Anything else in there is not the state's: a folder that is not empty stays.
        let mut folder = self.path.clone();
        while folder.starts_with(root.join(".wasmctl")) && fs::remove_dir(&folder).is_ok() {
            folder.pop();
        }
        Ok(())
    }

    fn damaged(&self, why: String) -> Error {
        Error::Damaged {
            folder: self.path.clone(),
            why,
        }
    }

    fn snapshot(&self, name: &str) -> Result<Snapshot, Error> {
        let path = self.file(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::Missing),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        if bytes.is_empty() {
            return Ok(Snapshot::Bad("it is empty".to_owned()));
        }
        let snapshot: SnapshotIn<'_> = match serde_json::from_slice(&bytes) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                // A newer format may look different altogether; its number is looked for first.
                #[derive(Deserialize)]
                struct Formatted {
                    format: u32,
                }
                return match serde_json::from_slice::<Formatted>(&bytes) {
                    Ok(Formatted { format }) if format > FORMAT => Err(Error::Newer {
                        folder: self.path.clone(),
                        found: format,
                    }),
                    _ => Ok(Snapshot::Bad(format!("it is no whole JSON: {error}"))),
                };
            }
        };
        if snapshot.format > FORMAT {
            return Err(Error::Newer {
                folder: self.path.clone(),
                found: snapshot.format,
            });
        }
        if hex(&Sha256::digest(snapshot.state.get().as_bytes())) != snapshot.sha256 {
            return Ok(Snapshot::Bad("its checksum does not fit".to_owned()));
        }
        match serde_json::from_str::<State>(snapshot.state.get()) {
            Ok(mut state) => {
                state.index();
                Ok(Snapshot::Good(Box::new(state)))
            }
            Err(error) => Ok(Snapshot::Bad(error.to_string())),
        }
    }

    fn journal(&self, name: &str) -> Result<Option<Journaled>, Error> {
        let path = self.file(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let replay = match journal::read(&bytes) {
            Ok(replay) => replay,
            // What is only kept for a recovery may be damaged while nobody needs it.
            Err(_) if name != "journal" => return Ok(None),
            Err(corrupt) => return Err(self.damaged(corrupt.to_string())),
        };
        match replay.records.first() {
            Some(Record::Open { format, .. }) if *format > FORMAT => Err(Error::Newer {
                folder: self.path.clone(),
                found: *format,
            }),
            Some(Record::Open {
                lineage,
                base,
                stack,
                env,
                ..
            }) => Ok(Some(Journaled {
                base: *base,
                lineage: lineage.clone(),
                stack: Arc::clone(stack),
                env: Arc::clone(env),
                replay,
            })),
            // Cut off inside its very first line: nothing was begun.
            None => Ok(None),
            Some(_) if name != "journal" => Ok(None),
            Some(_) => Err(self.damaged("the journal does not say what it goes on from".to_owned())),
        }
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.ok()
        .and_then(|_| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| Holder {
            pid: 0,
            command: "…".to_owned(),
            since: "just now".to_owned(),
        })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
