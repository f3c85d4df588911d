//! `local/load_balancer`: one address in front of weighted target groups.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::primitive::{self, TIME, milliseconds};
use super::running::{self, Running};
use super::{Local, blocking};
use crate::balance;
use crate::guard::{Mode, Record, RunDir, Spec};
use crate::id::{RemoteId, hex};
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};

/// The configuration in the run folder.
const CONFIG: &str = "balance.json";
/// The access log in the run folder.
const ACCESS: &str = "access.log";

/// A load balancer.
///
/// Weights, targets and checks change while it serves, without a new process. Like an instance it is restarted when it
/// dies, and an update that mends `running: false` starts it again at the same address.
#[derive(Debug, Default)]
pub struct LoadBalancer;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Where to listen; port 0 takes a free one and keeps it.
    #[serde(default = "listen")]
    #[schemars(extend("x-replaces" = true))]
    pub listen: String,
    /// Who answers, and in what proportion.
    pub target_groups: Vec<TargetGroup>,
    /// How long requests in flight may take when a target or the balancer goes.
    #[serde(default = "drain")]
    #[schemars(regex(pattern = TIME))]
    pub drain: String,
    /// How long a target may take to answer.
    #[serde(default = "timeout")]
    #[schemars(regex(pattern = TIME))]
    pub timeout: String,
    /// Whether each request is written down.
    #[serde(default)]
    pub access_log: bool,
    /// Whether it runs: `false` is what a read reports of one that was killed as a whole; not to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
}

/// Targets that share a weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetGroup {
    /// The name in `x-served-by` and in metrics.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub name: String,
    /// Where its targets listen: `address` of a primitive each.
    #[schemars(length(min = 1))]
    pub targets: Vec<String>,
    /// How many turns it has beside the others; 0 takes it out.
    #[serde(default = "one")]
    #[schemars(range(max = 1000))]
    pub weight: u32,
    /// How its targets are checked; without it a target is healthy until a connection fails, as a function needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// A check of targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path that must answer with 2xx or 3xx.
    #[serde(default = "slash")]
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// The time between two checks.
    #[serde(default = "second")]
    #[schemars(regex(pattern = TIME))]
    pub interval: String,
    /// The time a check may take.
    #[serde(default = "second")]
    #[schemars(regex(pattern = TIME))]
    pub timeout: String,
    /// Good checks in a row that bring a target back.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub healthy: u32,
    /// Bad checks in a row that take a target out.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10))]
    pub unhealthy: u32,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The URL that answers.
    #[schemars(extend("x-stable" = true))]
    pub endpoint: String,
    /// Where it listens, `HOST:PORT`.
    #[schemars(extend("x-stable" = true))]
    pub address: String,
    /// The URL of its metrics for Prometheus; `/status` beside it shows the groups.
    pub metrics: String,
    /// The process id of its guardian.
    pub pid: i32,
    /// The file with what it says, relative to the project folder.
    #[schemars(extend("x-stable" = true))]
    pub log: String,
    /// The file with one line for each request, if that is wanted.
    pub access_log: Option<String>,
}

fn listen() -> String {
    "127.0.0.1:0".to_owned()
}

fn drain() -> String {
    "10s".to_owned()
}

fn timeout() -> String {
    "60s".to_owned()
}

fn slash() -> String {
    "/".to_owned()
}

fn second() -> String {
    "1s".to_owned()
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

impl Inputs {
    fn config(&self, dir: &RunDir) -> balance::Config {
        let groups = self.target_groups.iter().map(|group| balance::Group {
            name: group.name.clone(),
            weight: group.weight,
            targets: group.targets.clone(),
            health: group.health.as_ref().map(|health| balance::Health {
                path: health.path.clone(),
                interval_ms: milliseconds(&health.interval).max(1),
                timeout_ms: milliseconds(&health.timeout).max(1),
                healthy: health.healthy,
                unhealthy: health.unhealthy,
            }),
        });
        balance::Config {
            groups: groups.collect(),
            limits: balance::Limits {
                drain_ms: milliseconds(&self.drain),
                response_head_ms: milliseconds(&self.timeout),
                ..balance::Limits::default()
            },
            access_log: self.access_log.then(|| running::file(dir, ACCESS)),
        }
    }

    fn json(&self, dir: &RunDir) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(&self.config(dir))
            .map_err(|error| Error::failed("cannot write the configuration").caused_by(error))
    }

    fn spec(&self, on: &Local, dir: &RunDir) -> Result<Spec> {
        let config = running::file(dir, CONFIG).to_string_lossy().into_owned();
        Ok(Spec {
            program: on.program()?,
            args: ["balance", &config, "--listen-fd0", "--control-fd1"]
                .map(str::to_owned)
                .to_vec(),
            env: std::collections::BTreeMap::new(),
            listen: self.listen.clone(),
            mode: Mode::Always,
            // The balancer reads its own drain time with the rest; this one only bounds it from outside.
            drain_ms: milliseconds(&self.drain),
            retires: true,
        })
    }

    async fn ensure(&self, on: &Local, id: &RemoteId) -> Result<()> {
        let dir = running::dir(on, id)?;
        let (spec, json) = (self.spec(on, &dir)?, self.json(&dir)?);
        let on = Local::new(on.project.clone()).with_program(&spec.program);
        blocking(move || running::ensure(&on, &dir, &spec, &[(CONFIG, json)])).await
    }
}

impl Kind for LoadBalancer {
    const NAME: &'static str = "local/load_balancer";
    const ABOUT: &'static str = "Shares requests among weighted target groups, around whatever is away.";
    type Provider = Local;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        let mut problems = primitive::running_only(inputs.running);
        problems.extend(primitive::loopback(&inputs.listen));
        if let Err(reason) = inputs.config(&RunDir::new("/")).check() {
            problems.push(Problem::new("target_groups", reason));
        }
        if !inputs.target_groups.is_empty() && inputs.target_groups.iter().all(|group| group.weight == 0) {
            problems.push(Problem::new("target_groups", "no target group has a weight above 0"));
        }
        problems
    }

    fn timeout(&self, inputs: &Inputs) -> Duration {
        Duration::from_secs(60) + Duration::from_millis(milliseconds(&inputs.drain))
    }

    async fn create(&self, on: &Local, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let id = running::id(attempt);
        inputs.ensure(on, &id).await?;
        Ok(id)
    }

    async fn read(&self, on: &Local, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        let dir = running::dir(on, id)?;
        // What was last written, not what `last` would give: the one is what the balancer is to take over.
        let config = std::fs::read(running::file(&dir, CONFIG)).unwrap_or_default();
        let digest = hex(&Sha256::digest(&config));
        let ready = |record: &Record, running: Option<bool>| Observed::Ready {
            inputs: Inputs {
                running,
                ..last.clone()
            },
            outputs: Outputs {
                endpoint: format!("http://{}", record.address),
                address: record.address.clone(),
                metrics: record
                    .facts
                    .get("metrics")
                    .map(|address| format!("http://{address}/metrics"))
                    .unwrap_or_default(),
                pid: record.guardian.pid,
                log: running::log(on, &dir),
                access_log: last.access_log.then(|| on.relative(&running::file(&dir, ACCESS))),
            },
        };
        Ok(match running::look(&dir, Some(&digest))? {
            Running::Absent => Observed::Absent,
            Running::Pending(detail) => Observed::Pending { detail },
            Running::Broken(detail) => Observed::Broken { detail },
            Running::Down(record) => ready(&record, Some(false)),
            Running::Up(record) => ready(&record, None),
        })
    }

    async fn update(&self, on: &Local, id: &RemoteId, _from: &Inputs, to: &Inputs) -> Result<()> {
        to.ensure(on, id).await
    }

    async fn delete(&self, on: &Local, id: &RemoteId, _last: &Inputs) -> Result<()> {
        primitive::stop(on, id).await
    }
}
