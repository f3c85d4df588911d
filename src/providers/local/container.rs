//! `local/container`: a long-running process with limits and a read-only view of the folder.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Local;
use super::primitive::{self, Primitive, primitive_kind};
use super::running::{self, Running};
use crate::guard::Record;
use crate::id::RemoteId;
use crate::kind::{Attempt, Kind, Observed, Problem, Result};

/// A process that serves a component within limits of memory and CPU.
///
/// Its guardian restarts it when it dies. When both were killed, or the machine was started anew, a read reports
/// `running: false`, and the update that mends it starts it again at the same address. A changed component file is taken over while it
/// serves; other changes start a new process on the same socket before the old one goes.
#[derive(Debug, Default)]
pub struct Container;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The component file, relative to the project folder: `path` of a `local/component`.
    #[schemars(length(min = 1))]
    pub component: String,
    /// The folder that the guest sees, read-only: `path` of a `local/shared_folder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Where the guest sees it.
    #[serde(default = "mount")]
    pub mount: String,
    /// The guest's environment; `WASMCTL_PRIMITIVE=container` is added.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the guest reads with `wasi:config`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Where the guest may send requests; nowhere without it.
    #[serde(default)]
    #[schemars(extend("x-public" = true))]
    pub allow_hosts: Vec<String>,
    /// The most memory of one guest, over all its memories.
    #[serde(default = "memory")]
    #[schemars(regex(pattern = primitive::SIZE))]
    pub memory: String,
    /// How many CPUs all requests together may use on average.
    #[serde(default = "cpu")]
    #[schemars(range(min = 0.05, max = 1024.0))]
    pub cpu: f64,
    /// The most time for one request.
    #[serde(default = "timeout")]
    #[schemars(regex(pattern = primitive::TIME))]
    pub timeout: String,
    /// How long a process that is replaced or stopped may finish requests.
    #[serde(default = "drain")]
    #[schemars(regex(pattern = primitive::TIME))]
    pub drain: String,
    /// Where to listen; port 0 takes a free one and keeps it.
    #[serde(default = "listen")]
    #[schemars(extend("x-replaces" = true))]
    pub listen: String,
    /// Whether it runs: `false` is what a read reports of one that was killed as a whole; not to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// Where it listens, `HOST:PORT`.
    #[schemars(extend("x-stable" = true))]
    pub address: String,
    /// The same as a URL.
    #[schemars(extend("x-stable" = true))]
    pub url: String,
    /// The process id of its guardian.
    pub pid: i32,
    /// The file with what it says, relative to the project folder.
    #[schemars(extend("x-stable" = true))]
    pub log: String,
}

fn mount() -> String {
    "/shared".to_owned()
}

fn memory() -> String {
    "256MiB".to_owned()
}

fn timeout() -> String {
    "30s".to_owned()
}

fn drain() -> String {
    "10s".to_owned()
}

fn listen() -> String {
    "127.0.0.1:0".to_owned()
}

fn cpu() -> f64 {
    1.0
}

impl Inputs {
    fn primitive(&self) -> Primitive<'_> {
        Primitive {
            kind: "container",
            component: &self.component,
            folder: self.folder.as_deref(),
            mount: &self.mount,
            read_only: true,
            env: &self.env,
            config: &self.config,
            allow_hosts: &self.allow_hosts,
            memory: &self.memory,
            timeout: &self.timeout,
            drain: &self.drain,
            listen: &self.listen,
            cpu: Some(self.cpu),
            idle: None,
            running: self.running,
        }
    }
}

primitive_kind!(
    Container,
    "local/container",
    "Serves a component from a long-running process with limits and a read-only view of the folder."
);
