//! A project folder with the local provider connected, and what a deployment would do with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmctl::guard::{Record, RunDir};
use wasmctl::id::{Lineage, RemoteId, Token};
use wasmctl::kind::{Attempt, BoundKind, Project, Provider as _, Providers, Role, Seen, Templates};
use wasmctl::providers::local::Local;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Echo;

impl Templates for Echo {
    fn render(&self, name: &str, vars: &Value) -> Result<String, String> {
        Ok(format!("{name} {vars}"))
    }
}

pub struct World {
    folder: tempfile::TempDir,
    local: Arc<Local>,
    providers: Providers,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Project {
            root: folder.path().canonicalize().unwrap(),
            stack: "test".into(),
            env: "default".into(),
            lineage: Lineage::new("test"),
            templates: Arc::new(Echo),
            passed_on: Default::default(),
        };
        let local = Arc::new(Local::new(project.clone()).with_program(env!("CARGO_BIN_EXE_wasmctl")));
        let mut providers = Providers::new();
        let std = wasmctl::providers::std::Std::new(project);
        providers.insert("std", Arc::new(std));
        providers.insert("local", local.clone());
        Self {
            folder,
            local,
            providers,
        }
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn kind(&self, name: &str) -> Arc<dyn BoundKind> {
        let Role::Object { bind, .. } = wasmctl::providers::kind(name).unwrap().role else {
            panic!("{name}")
        };
        bind(&self.providers).unwrap()
    }

    /// Creates and waits until it is ready.
    pub async fn create(&self, kind: &str, address: &str, inputs: &Value) -> (RemoteId, Value) {
        let token = Token::new(format!("{address:0<24}"));
        let id = self.try_create(kind, address, &token, inputs).await.unwrap();
        let outputs = self.ready(kind, &id, inputs).await;
        (id, outputs)
    }

    pub async fn try_create(
        &self,
        kind: &str,
        address: &str,
        token: &Token,
        inputs: &Value,
    ) -> Result<RemoteId, wasmctl::kind::Error> {
        let attempt = Attempt {
            secrets: &[],
            token,
            resumed: true,
            address,
        };
        self.kind(kind).create(inputs, attempt).await
    }

    /// Waits until it is ready and returns its outputs.
    pub async fn ready(&self, kind: &str, id: &RemoteId, inputs: &Value) -> Value {
        let bound = self.kind(kind);
        let last = std::cell::RefCell::new(None);
        until(
            "ready",
            || format!("{:?}", last.borrow()),
            async || {
                let seen = bound.read(id, inputs).await.unwrap();
                assert!(!matches!(seen, Seen::Broken { .. }), "{seen:?}");
                last.replace(Some(seen.clone()));
                match seen {
                    Seen::Ready { inputs, outputs } if inputs.get("running") != Some(&Value::Bool(false)) => {
                        Some(outputs)
                    }
                    _ => None,
                }
            },
        )
        .await
        .unwrap()
    }

    pub async fn delete(&self, kind: &str, id: &RemoteId, inputs: &Value) {
        let bound = self.kind(kind);
        bound.delete(id, inputs).await.unwrap();
        bound.delete(id, inputs).await.unwrap();
        until("gone", String::new, async || {
            match bound.read(id, inputs).await.unwrap() {
                Seen::Absent => Some(()),
                Seen::Pending { .. } => None,
                seen => {
                    bound.delete(id, inputs).await.unwrap();
                    let _ = seen;
                    None
                }
            }
        })
        .await
        .unwrap();
        bound.delete(id, inputs).await.unwrap();
    }

    pub async fn sweep(&self) -> Vec<String> {
        self.local.sweep().await.unwrap()
    }

    pub fn run_dir(&self, id: &RemoteId) -> RunDir {
        RunDir::new(self.root().join(".wasmctl/test/default/run").join(id.as_str()))
    }

    pub fn record(&self, id: &RemoteId) -> Record {
        self.run_dir(id).record().unwrap().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Ok(entries) = std::fs::read_dir(self.root().join(".wasmctl/test/default/run")) else {
            return;
        };
        for entry in entries.flatten() {
            stop(&entry.path());
        }
    }
}

/// Ends what runs in a folder, whatever state a failed test left it in.
pub fn stop(path: &Path) {
    let dir = RunDir::new(path);
    let _ = dir.mark_stop();
    if let Ok(Some(record)) = dir.record() {
        let _ = record.guardian.signal(rustix::process::Signal::TERM);
        if let Some(worker) = record.worker {
            let _ = worker.signal(rustix::process::Signal::TERM);
        }
    }
}

/// Asks until there is an answer; fails with what was seen last after [`PATIENCE`].
pub async fn until<T>(what: &str, seen: impl Fn() -> String, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    loop {
        tick.tick().await;
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        assert!(start.elapsed() < PATIENCE, "not {what} in time {}", seen());
    }
}
