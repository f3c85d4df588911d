//! What instance, container and function have in common: `wasmctl serve` under a guardian.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::running::{self, Running};
use super::{Local, blocking};
use crate::guard::{Mode, Spec};
use crate::id::RemoteId;
use crate::kind::{Attempt, Error, Problem, Result};
use crate::serve::AllowedHost;
use crate::units::{parse_duration, parse_size};

/// A time as it is written in a stack file.
pub(super) const TIME: &str = r"^[0-9]+(\.[0-9]+)?(ms|s|m|min|h)$";
/// A size as it is written in a stack file.
pub(super) const SIZE: &str = r"^[0-9]+(KiB|MiB|GiB|kB|MB|GB)$";

/// The inputs of one of the three, without its type.
pub(super) struct Primitive<'a> {
    /// `instance`, `container` or `function`.
    pub(super) kind: &'static str,
    pub(super) component: &'a str,
    pub(super) folder: Option<&'a str>,
    pub(super) mount: &'a str,
    pub(super) read_only: bool,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) config: &'a BTreeMap<String, String>,
    pub(super) allow_hosts: &'a [String],
    pub(super) memory: &'a str,
    pub(super) timeout: &'a str,
    pub(super) drain: &'a str,
    pub(super) listen: &'a str,
    pub(super) cpu: Option<f64>,
    pub(super) idle: Option<&'a str>,
    pub(super) running: Option<bool>,
}

impl Primitive<'_> {
    /// Finds what is wrong beyond what the fields say.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = running_only(self.running);
        problems.extend(loopback(self.listen));
        for (field, text) in [
            ("timeout", Some(self.timeout)),
            ("drain", Some(self.drain)),
            ("idle", self.idle),
        ] {
            if let Some(Err(reason)) = text.map(parse_duration) {
                problems.push(Problem::new(field, reason));
            }
        }
        match parse_size(self.memory) {
            Err(reason) => problems.push(Problem::new("memory", reason)),
            Ok(bytes) if bytes < 64 << 10 => {
                problems.push(Problem::new(
                    "memory",
                    "is less than 64KiB, one page of WebAssembly memory",
                ));
            }
            Ok(_) => {}
        }
        for (field, map) in [("env", self.env), ("config", self.config)] {
            for (key, value) in map {
                if key.is_empty() || key.contains(['=', '\n', '\0']) {
                    problems.push(Problem::new(field, format!("`{key}` cannot be the name of a variable")));
                } else if value.contains(['\n', '\0']) {
                    let problem = Problem::new(format!("{field}.{key}"), "holds a line break or a NUL byte");
                    problems.push(problem.help("put such a value into a file in the shared folder"));
                }
            }
        }
        for (index, host) in self.allow_hosts.iter().enumerate() {
            if let Err(reason) = host.parse::<AllowedHost>() {
                problems.push(Problem::new(format!("allow_hosts[{index}]"), reason.to_string()));
            }
        }
        if !self.mount.starts_with('/') || self.mount.contains([',', ':']) {
            problems.push(Problem::new(
                "mount",
                format!("`{}` is no absolute path for the guest", self.mount),
            ));
        }
        problems
    }

    /// Says what its guardian is to run.
    fn spec(&self, on: &Local) -> Result<Spec> {
        let component = on.inside(self.component, "component")?;
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut args = vec!["serve".to_owned(), path(component)];
        let mut add = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        if let Some(folder) = self.folder {
            let host = path(on.inside(folder, "folder")?);
            if host.contains([',', ':']) {
                let reason = format!("`{host}` cannot be shared: its path holds a comma or a colon");
                return Err(Error::invalid(reason).field("folder"));
            }
            let suffix = if self.read_only { ":ro" } else { "" };
            add("--dir", format!("{host}::{}{suffix}", self.mount));
        }
        for host in self.allow_hosts {
            add("--allow-host", host.clone());
        }
        add("--timeout", self.timeout.to_owned());
        add("--max-memory", self.memory.to_owned());
        add("--drain", self.drain.to_owned());
        add("--cache", path(on.cache()));
        if let Some(cpu) = self.cpu {
            add("--cpus", cpu.to_string());
        }
        if let Some(idle) = self.idle {
            add("--idle", idle.to_owned());
        }
        args.extend(["--watch", "--listen-fd0", "--control-fd1"].map(str::to_owned));
        // By the environment, which only this user can read; the process list is open to all.
        let lines = |map: &BTreeMap<String, String>| {
            let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
            lines.join("\n")
        };
        let mut guest = self.env.clone();
        guest
            .entry("WASMCTL_PRIMITIVE".to_owned())
            .or_insert_with(|| self.kind.to_owned());
        let mut env = BTreeMap::from([("WASMCTL_SERVE_ENV".to_owned(), lines(&guest))]);
        if !self.config.is_empty() {
            env.insert("WASMCTL_SERVE_CONFIG".to_owned(), lines(self.config));
        }
        Ok(Spec {
            program: on.program()?,
            args,
            env,
            listen: self.listen.to_owned(),
            mode: if self.idle.is_some() {
                Mode::OnDemand
            } else {
                Mode::Always
            },
            drain_ms: milliseconds(self.drain),
            retires: false,
        })
    }

    /// Starts it.
    pub(super) async fn create(&self, on: &Local, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let id = running::id(attempt);
        self.update(on, &id).await?;
        Ok(id)
    }

    /// Has it run as these inputs say, from wherever it is now.
    pub(super) async fn update(&self, on: &Local, id: &RemoteId) -> Result<()> {
        let (dir, spec) = (running::dir(on, id)?, self.spec(on)?);
        let on = Local::new(on.project.clone()).with_program(&spec.program);
        blocking(move || running::ensure(&on, &dir, &spec, &[])).await
    }
}

/// Says how one of the three is.
pub(super) async fn look(on: &Local, id: &RemoteId) -> Result<Running> {
    let dir = running::dir(on, id)?;
    running::look(&dir, None)
}

/// Stops one of the three, or a balancer.
pub(super) async fn stop(on: &Local, id: &RemoteId) -> Result<()> {
    let dir = running::dir(on, id)?;
    blocking(move || running::stop(&dir)).await
}

/// Turns a checked time into milliseconds.
pub(super) fn milliseconds(time: &str) -> u64 {
    parse_duration(time).map_or(10_000, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// `running` is what a read reports and an update restores; nobody declares the opposite.
pub(super) fn running_only(running: Option<bool>) -> Vec<Problem> {
    match running {
        None => Vec::new(),
        Some(_) => {
            let problem = Problem::new("running", "cannot be set: what is declared runs");
            vec![problem.help("leave it out; to stop it, take the resource out of the stack")]
        }
    }
}

/// Finds what is wrong with an address to listen on.
pub(super) fn loopback(listen: &str) -> Vec<Problem> {
    match listen.parse::<std::net::SocketAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => {
            let problem = Problem::new("listen", format!("`{listen}` is no IP address with a port"));
            vec![problem.help("write for example 127.0.0.1:8080, or 127.0.0.1:0 for a free port")]
        }
    }
}

/// Implements [`Kind`](crate::kind::Kind) for one of the three: they differ in their inputs alone.
macro_rules! primitive_kind {
    ($kind:ident, $name:literal, $about:literal) => {
        impl Kind for $kind {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;
            type Provider = Local;
            type Inputs = Inputs;
            type Outputs = Outputs;

            fn check(&self, inputs: &Inputs) -> Vec<Problem> {
                inputs.primitive().check()
            }

            fn timeout(&self, inputs: &Inputs) -> Duration {
                Duration::from_secs(60) + Duration::from_millis(primitive::milliseconds(&inputs.drain))
            }

            async fn create(&self, on: &Local, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
                inputs.primitive().create(on, attempt).await
            }

            async fn read(&self, on: &Local, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
                let outputs = |record: &Record| Outputs {
                    address: record.address.clone(),
                    url: format!("http://{}", record.address),
                    pid: record.guardian.pid,
                    log: running::dir(on, id).map_or_else(|_| String::new(), |dir| running::log(on, &dir)),
                };
                Ok(match primitive::look(on, id).await? {
                    Running::Absent => Observed::Absent,
                    Running::Pending(detail) => Observed::Pending { detail },
                    Running::Broken(detail) => Observed::Broken { detail },
                    Running::Down(record) => Observed::Ready {
                        inputs: Inputs {
                            running: Some(false),
                            ..last.clone()
                        },
                        outputs: outputs(&record),
                    },
                    Running::Up(record) => Observed::Ready {
                        inputs: Inputs {
                            running: None,
                            ..last.clone()
                        },
                        outputs: outputs(&record),
                    },
                })
            }

            async fn update(&self, on: &Local, id: &RemoteId, _from: &Inputs, to: &Inputs) -> Result<()> {
                to.primitive().update(on, id).await
            }

            async fn delete(&self, on: &Local, id: &RemoteId, _last: &Inputs) -> Result<()> {
                primitive::stop(on, id).await
            }
        }
    };
}
pub(super) use primitive_kind;
