//! A project in a folder of its own, and the engine called on it as the command line does.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;
use tokio::sync::watch;
use wasmctl::engine::{self, Error, Planned, Report, Request};
use wasmctl::event::Event;
use wasmctl::plan::Verb;

pub struct Project {
    folder: TempDir,
    pub vars: Vec<(String, String)>,
    pub targets: Vec<String>,
    pub env: String,
    pub events: Mutex<Vec<String>>,
    pub refresh: bool,
}

impl Project {
    pub fn new(stack: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self {
            folder,
            vars: Vec::new(),
            targets: Vec::new(),
            env: "default".to_owned(),
            events: Mutex::new(Vec::new()),
            refresh: true,
        };
        project.write("stacks/s/stack.yaml", &format!("name: s\n{stack}"));
        project
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        wasmctl::disk::write_atomically(&path, text.as_bytes(), 0o644).unwrap();
    }

    pub fn stack(&self, text: &str) {
        self.write("stacks/s/stack.yaml", &format!("name: s\n{text}"));
    }

    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    pub fn request(&self, command: &'static str, stack: &str) -> Request {
        Request {
            command,
            root: self.root().canonicalize().unwrap(),
            stack: stack.to_owned(),
            env: self.env.clone(),
            var_files: Vec::new(),
            ambient: Vec::new(),
            vars: self.vars.clone(),
            targets: self.targets.iter().map(|target| target.parse().unwrap()).collect(),
            refresh: self.refresh,
            parallelism: 8,
            dotenv: None,
            passed_on: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            seam: None,
            seed: None,
            now: None,
        }
    }

    fn listen(&self, event: &Event) {
        let text = serde_json::to_string(event).unwrap();
        self.events.lock().unwrap().push(text);
    }

    pub async fn plan_of(&self, stack: &str) -> Result<Planned, Error> {
        engine::plan(&self.request("plan", stack), false, &|event| self.listen(event)).await
    }

    pub async fn plan(&self) -> Planned {
        self.plan_of("s")
            .await
            .unwrap_or_else(|error| panic!("{}", show(&error)))
    }

    pub async fn try_deploy(&self, stack: &str) -> Result<Report, Error> {
        let (_stop, stopped) = watch::channel(false);
        engine::deploy(
            &self.request("deploy", stack),
            None,
            &|event| self.listen(event),
            stopped,
            &mut |_| true,
        )
        .await
    }

    pub async fn deploy(&self) -> Report {
        let report = self
            .try_deploy("s")
            .await
            .unwrap_or_else(|error| panic!("{}", show(&error)));
        assert_eq!(report.exit_code(), 0, "{:#?}", self.events.lock().unwrap());
        report
    }

    pub async fn try_destroy(&self, stack: &str) -> Result<Report, Error> {
        let (_stop, stopped) = watch::channel(false);
        engine::destroy(
            &self.request("destroy", stack),
            &|event| self.listen(event),
            stopped,
            &mut |_| true,
        )
        .await
    }

    pub async fn destroy(&self) -> Report {
        self.try_destroy("s")
            .await
            .unwrap_or_else(|error| panic!("{}", show(&error)))
    }

    /// Lists every file but the stack's own.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.root()).unwrap().display().to_string());
                }
            }
        }
        found.retain(|name| {
            !name.starts_with("stacks/") && !name.starts_with("templates/") && !name.starts_with("env/")
        });
        found.sort();
        found
    }
}

/// Writes a plan as one line an action: `+ a`, `~ b`, `-/+ c`, `- d`.
pub fn actions(planned: &Planned) -> Vec<String> {
    let mut lines: Vec<String> = planned
        .plan
        .actions
        .iter()
        .map(|action| {
            let glyph = match action.verb {
                Verb::Keep => "=",
                Verb::Create => "+",
                Verb::Update => "~",
                Verb::Replace if action.create_first => "+/-",
                Verb::Replace => "-/+",
                Verb::Delete => "-",
            };
            format!("{glyph} {}", action.resource)
        })
        .collect();
    lines.sort();
    lines
}

pub fn show(error: &Error) -> String {
    match error {
        Error::Diagnostics(all) => all
            .0
            .iter()
            .map(|d| {
                let place = d.labels.first().map(|(span, _)| span.to_string()).unwrap_or_default();
                format!(
                    "{place} [{}] {}{}",
                    d.code,
                    d.summary,
                    d.help.as_ref().map(|h| format!(" | {h}")).unwrap_or_default()
                )
            })
            .collect::<Vec<_>>()
            .join("\n"),
        other => format!(
            "{other}{}",
            other.help().map(|help| format!(" | {help}")).unwrap_or_default()
        ),
    }
}
