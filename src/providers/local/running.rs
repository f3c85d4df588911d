//! What the kinds with a process have in common: starting, watching, changing and stopping a guardian.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::{Local, cannot};
use crate::guard::{self, Progress, Record, RunDir, Spec};
use crate::id::RemoteId;
use crate::kind::{Attempt, Error, Result};

/// So many deaths in a row and the worker is taken for broken.
const HOPELESS: u32 = 3;

/// A guardian that has said nothing for this long has not come up.
const SILENT: Duration = Duration::from_secs(10);

/// How a process is.
pub(super) enum Running {
    /// There is no trace of it.
    Absent,
    /// It is on its way, up or down.
    Pending(String),
    /// It will not come up, or something of it was left behind.
    Broken(String),
    /// It should run, and neither it nor its guardian does. An update starts them again at the same address.
    Down(Record),
    /// It serves.
    Up(Record),
}

/// Names the run folder of a creation. The address makes it readable, the token makes it its own.
pub(super) fn id(attempt: &Attempt<'_>) -> RemoteId {
    let readable: String = attempt
        .address
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(40)
        .collect();
    RemoteId::new(format!("{readable}-{}", attempt.token))
}

/// Returns the run folder behind an id.
pub(super) fn dir(on: &Local, id: &RemoteId) -> Result<RunDir> {
    let name = id.as_str();
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !plain {
        return Err(Error::invalid(format!("`{name}` is no name of a process folder")));
    }
    Ok(RunDir::new(on.run().join(name)))
}

/// Sees to it that a guardian acts on `spec`, with `files` beside it. Starts one where there is none.
pub(super) fn ensure(on: &Local, dir: &RunDir, spec: &Spec, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let failed = |error| cannot("prepare", dir.path())(error);
    dir.create().map_err(failed)?;
    for (name, bytes) in files {
        if std::fs::read(dir.path().join(name)).is_ok_and(|there| there == *bytes) {
            continue;
        }
        dir.write(name, bytes)
            .map_err(|error| cannot("write", &dir.path().join(name))(error))?;
    }
    let before = dir.spec().map_err(|error| cannot("read", dir.path())(error))?;
    let changed = before.is_none_or(|(before, _)| before != *spec);
    if changed {
        dir.write_spec(spec)
            .map_err(|error| cannot("write", dir.path())(error))?;
    }
    if !dir
        .is_guarded()
        .map_err(|error| cannot("ask for the lock in", dir.path())(error))?
    {
        dir.announce().map_err(|error| cannot("write", dir.path())(error))?;
        return guard::spawn(&on.program()?, dir, None)
            .map_err(|error| Error::failed("cannot start the guardian process").caused_by(error));
    }
    if changed && let Ok(Some(record)) = dir.record() {
        // A guardian that has just started reads the new one anyway, and every one looks once a second.
        let _ = record.guardian.signal(Signal::HUP);
    }
    Ok(())
}

/// Says how a process is. `swapped` is the digest of what the worker must have taken over, where that matters.
pub(super) fn look(dir: &RunDir, swapped: Option<&str>) -> Result<Running> {
    if !dir.exists() {
        return Ok(Running::Absent);
    }
    let reads = |error| cannot("read", dir.path())(error);
    let guarded = dir.is_guarded().map_err(reads)?;
    if dir.is_stopped() {
        return Ok(match (guarded, dir.exists()) {
            (_, false) => Running::Absent,
            (true, _) => Running::Pending("finishes the requests in flight".to_owned()),
            (false, _) => Running::Broken("it was stopped, but its folder was left behind".to_owned()),
        });
    }
    let record = dir.record().map_err(reads)?;
    if !guarded {
        if let Some(reason) = dir.failure() {
            return Ok(Running::Broken(reason));
        }
        if dir.announced().is_some_and(|age| age < SILENT) {
            return Ok(Running::Pending("its guardian starts".to_owned()));
        }
        return Ok(match record {
            Some(record) => Running::Down(record),
            None => Running::Broken("its guardian never came up".to_owned()),
        });
    }
    let Some(record) = record.filter(|record| record.guardian.is_alive()) else {
        return Ok(Running::Pending("its guardian starts".to_owned()));
    };
    let wanted = dir.spec().map_err(reads)?.map(|(_, digest)| digest);
    if wanted.as_ref() != Some(&record.spec) {
        return Ok(Running::Pending("takes over its new settings".to_owned()));
    }
    let why = || record.detail.clone().unwrap_or_else(|| "starts".to_owned());
    Ok(match record.progress {
        Progress::Starting | Progress::Recovering if record.failures >= HOPELESS => {
            Running::Broken(format!("it does not start: it {}", why()))
        }
        Progress::Starting => Running::Pending(why()),
        Progress::Stopping => Running::Pending("stops".to_owned()),
        _ if swapped.is_some() && record.swapped.as_deref() != swapped => {
            Running::Pending("takes over its new configuration".to_owned())
        }
        // Its guardian is about to mend it, which is no affair of a deployment.
        Progress::Ready | Progress::Recovering => Running::Up(record),
    })
}

/// Asks a process to finish and go. What its guardian left behind is removed.
pub(super) fn stop(dir: &RunDir) -> Result<()> {
    match end(dir) {
        // Its guardian is just removing it. Should anything stay, a read finds it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| cannot("stop what runs in", dir.path())(error)),
    }
}

fn end(dir: &RunDir) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    if !dir.is_stopped() {
        dir.mark_stop()?;
    }
    // Nobody holds the lock: nobody would remove the folder.
    if dir.clear()? {
        return Ok(());
    }
    if let Some(record) = dir.record()? {
        record.guardian.signal(Signal::TERM)?;
    }
    Ok(())
}

/// Returns the log of a process, relative to the project folder.
pub(super) fn log(on: &Local, dir: &RunDir) -> String {
    on.relative(&dir.log())
}

/// Returns a file of a run folder.
pub(super) fn file(dir: &RunDir, name: &str) -> PathBuf {
    dir.path().join(name)
}
