//! One worker process: started on the guardian's socket, heard over its control line.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::dir::{RunDir, Spec};
use super::process::ProcessId;
use super::{log, spawn};

/// Something a worker did.
#[derive(Debug)]
pub(super) struct Event {
    /// Which one.
    pub(super) worker: u64,
    /// What.
    pub(super) what: What,
}

/// What a worker did.
#[derive(Debug)]
pub(super) enum What {
    /// It answers.
    Ready,
    /// It took over what has this digest.
    Swapped(String),
    /// It had no request for the time it was given.
    Idle,
    /// Something that the next worker shall know.
    Fact(String, String),
    /// It ended.
    Ended(String),
}

/// A worker as its guardian sees it.
pub(super) struct Worker {
    /// Its number among the workers of this guardian.
    pub(super) number: u64,
    /// Its process.
    pub(super) id: ProcessId,
    /// When it was started.
    pub(super) since: Instant,
    /// Whether it has said that it answers.
    pub(super) ready: bool,
    /// Where the log ended when it was started.
    pub(super) log_start: u64,
    /// When it is killed, if it was asked to end.
    pub(super) deadline: Option<Instant>,
    /// Dropped, it tells the worker that the guardian has died.
    line: OwnedWriteHalf,
}

/// What a process is started for.
pub(super) enum Job<'a> {
    /// To serve.
    Work(&'a Spec, &'a BTreeMap<String, String>),
    /// To wait for the guardian's death.
    StandBy(&'a Spec),
}

impl Worker {
    /// Starts a process. Its events go to `events` until the last one, which says that it ended.
    pub(super) fn start(
        number: u64,
        dir: &RunDir,
        job: &Job<'_>,
        listener: &TcpListener,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = match job {
            Job::Work(spec, facts) => {
                let mut command = Command::new(&spec.program);
                spawn::only(&mut command, &["PATH", "HOME"]);
                command.args(&spec.args).envs(&spec.env);
                for (key, value) in *facts {
                    command.env(format!("WASMCTL_FACT_{}", key.to_ascii_uppercase()), value);
                }
                command
            }
            Job::StandBy(spec) => {
                // The guardian's own program; the worker's need not be the same.
                let own = spawn::program().ok().filter(|program| program.is_file());
                let mut command = Command::new(own.unwrap_or_else(|| spec.program.clone()));
                spawn::only(&mut command, &["PATH", "HOME"]);
                command.args(["guard", "--stand-by"]).arg(dir.path());
                command
            }
        };
        let log = log::open(&dir.log())?;
        let log_start = log.metadata()?.len();
        command
            .env("WASMCTL_RUN_DIR", dir.path())
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(log))
            .current_dir("/");
        let mut command = tokio::process::Command::from(command);
        let mut child = command.spawn()?;
        // The command still holds the worker's end of the line, which must be the worker's alone.
        drop(command);
        let id = child.id().and_then(ProcessId::of).unwrap_or_else(|| ProcessId {
            pid: 0,
            started: String::new(),
        });
        ours.set_nonblocking(true)?;
        let (read, line) = tokio::net::UnixStream::from_std(ours)?.into_split();
        tokio::spawn(async move {
            let mut lines = BufReader::new(read).lines();
            let mut open = true;
            let status = loop {
                tokio::select! {
                    biased;
                    line = lines.next_line(), if open => match line {
                        Ok(Some(line)) => {
                            if let Some(what) = parse(&line) {
                                let _ = events.send(Event { worker: number, what });
                            }
                        }
                        Ok(None) | Err(_) => open = false,
                    },
                    status = child.wait() => break status,
                }
            };
            let how = status.map_or_else(|error| error.to_string(), |status| describe(&status));
            let _ = events.send(Event {
                worker: number,
                what: What::Ended(how),
            });
        });
        Ok(Self {
            number,
            id,
            since: Instant::now(),
            ready: false,
            log_start,
            deadline: None,
            line,
        })
    }

    /// Asks it to finish what it has and end, and sets the time at which it is killed.
    pub(super) async fn relieve(&mut self, spec: &Spec) {
        self.deadline = Some(Instant::now() + spec.drain() + GRACE);
        if spec.retires {
            self.deadline = Some(Instant::now() + spec.drain() + RETIRE + GRACE);
            if self.line.write_all(b"retire\n").await.is_ok() {
                return;
            }
        }
        self.signal(Signal::TERM);
    }

    /// Asks it to end, with what it has finished within the drain time.
    pub(super) fn stop(&mut self, spec: &Spec) {
        self.deadline = Some(Instant::now() + spec.drain() + GRACE);
        self.signal(Signal::TERM);
    }

    /// Sends a signal. Its own child, so its id is its own until it was reaped.
    pub(super) fn signal(&self, signal: Signal) {
        // One that has just ended needs no signal any more.
        let _ = self.id.signal(signal);
    }
}

/// What a process needs beside its drain time to notice and to end.
const GRACE: Duration = Duration::from_secs(2);

/// How long a worker that retires may wait for clients before it starts to drain.
const RETIRE: Duration = Duration::from_secs(3);

fn parse(line: &str) -> Option<What> {
    let mut words = line.splitn(3, ' ');
    Some(match (words.next()?, words.next(), words.next()) {
        ("ready", None, None) => What::Ready,
        ("idle", None, None) => What::Idle,
        ("swapped", Some(digest), None) => What::Swapped(digest.to_owned()),
        ("fact", Some(key), Some(value)) => What::Fact(key.to_owned(), value.to_owned()),
        _ => return None,
    })
}

fn describe(status: &ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
