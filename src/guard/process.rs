//! Processes by id and start time: an id alone may belong to another process by now.
//!
//! The one place that knows `/proc`.

use std::io;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// A process, recognised again after its id was given to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its id.
    pub pid: i32,
    /// When it started, in the words of the system; with the boot it started in, where that is known.
    pub started: String,
}

impl ProcessId {
    /// Returns this process.
    #[must_use]
    pub fn current() -> Self {
        let pid = rustix::process::getpid().as_raw_pid();
        Self {
            pid,
            started: started(pid).unwrap_or_default(),
        }
    }

    /// Returns the process that has this id now; `None` if there is none, or it has ended and only waits to be reaped.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self {
            pid,
            started: started(pid)?,
        })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Sends it a signal; `false` if it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(false);
        };
        match send(self, pid, signal) {
            Ok(sent) => Ok(sent),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opened before the start time is compared, the descriptor stays with that process whatever becomes of the id.
#[cfg(target_os = "linux")]
fn send(process: &ProcessId, pid: Pid, signal: Signal) -> rustix::io::Result<bool> {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        // A kernel or sandbox without such descriptors.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            return if process.is_alive() {
                rustix::process::kill_process(pid, signal).map(|()| true)
            } else {
                Ok(false)
            };
        }
        Err(error) => return Err(error),
    };
    if !process.is_alive() {
        return Ok(false);
    }
    pidfd_send_signal(descriptor, signal).map(|()| true)
}

#[cfg(not(target_os = "linux"))]
fn send(process: &ProcessId, pid: Pid, signal: Signal) -> rustix::io::Result<bool> {
    if !process.is_alive() {
        return Ok(false);
    }
    rustix::process::kill_process(pid, signal).map(|()| true)
}

/// Returns when a process started, as `boot/ticks`.
#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<String> {
    use std::sync::LazyLock;
    /// Ticks count from the boot, so the same number may come again after the next one.
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.split('-').next().unwrap_or_default().to_owned()
    });
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = start_ticks(&stat)?;
    Some(format!("{}/{ticks}", *BOOT))
}

/// Reads field 22 of a `stat` line; nothing for a process that has ended. The name in field 2 may hold anything.
#[cfg(target_os = "linux")]
fn start_ticks(stat: &str) -> Option<&str> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    match fields.next()? {
        "Z" | "X" | "x" => None,
        _ => fields.nth(18),
    }
}

#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "state=,lstart=", "-p", &pid.to_string()])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, started) = text.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let line = |name: &str, state: &str| {
            format!("7 ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9\n")
        };
        assert_eq!(start_ticks(&line("wasmctl", "S")), Some("4711"));
        assert_eq!(start_ticks(&line("a) R (b", "R")), Some("4711"));
        assert_eq!(start_ticks(&line("wasmctl", "Z")), None);
        assert_eq!(start_ticks(""), None);
    }

    #[test]
    fn a_process_is_told_from_another_one_with_its_id() {
        let me = ProcessId::current();
        assert!(me.is_alive());
        let other = ProcessId {
            started: "another time".to_owned(),
            ..me.clone()
        };
        assert!(!other.is_alive());
        assert!(!other.signal(Signal::KILL).unwrap());
    }
}
