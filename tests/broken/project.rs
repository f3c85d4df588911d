//! A project in a folder of its own, planned as the command line plans it, and what it was told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wasmctl::diagnostic::{Diagnostic, Severity};
use wasmctl::engine::{self, Error, Planned, Request};

pub struct Project {
    folder: TempDir,
    pub request: Request,
}

impl Project {
    /// Makes a project with one stack `s`, whose whole text this is.
    pub fn new(stack: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = Request {
            command: "plan",
            root: folder.path().canonicalize().unwrap(),
            stack: "s".to_owned(),
            env: "default".to_owned(),
            var_files: Vec::new(),
            ambient: Vec::new(),
            vars: Vec::new(),
            targets: Vec::new(),
            refresh: true,
            parallelism: 8,
            dotenv: None,
            passed_on: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            seam: None,
            seed: None,
            now: None,
        };
        let project = Self { folder, request };
        project.file("stacks/s/stack.yaml", stack);
        project
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        wasmctl::disk::write_atomically(&path, text.as_ref(), 0o644).unwrap();
    }

    pub fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(name, text);
        self
    }

    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.request.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn ambient(mut self, name: &str, value: &str) -> Self {
        self.request.ambient.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn var_file(mut self, name: &str) -> Self {
        self.request.var_files.push(name.into());
        self
    }

    pub fn plan(&self) -> Result<Planned, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(engine::plan(&self.request, false, &|_| {}))
    }

    /// Plans it and writes down all that was said.
    pub fn told(&self) -> String {
        match self.plan() {
            Ok(planned) => {
                let mut told = format!("planned: {} to make\n", planned.plan.counts.create);
                let notices: Vec<_> = planned.notices.iter().collect();
                write_all(&mut told, &notices);
                told
            }
            Err(Error::Diagnostics(all)) => {
                let mut told = String::new();
                write_all(&mut told, &all.0.iter().collect::<Vec<_>>());
                told
            }
            Err(other) => {
                let help = other
                    .help()
                    .map(|help| format!("    help: {help}\n"))
                    .unwrap_or_default();
                format!("error: {other}\n{help}")
            }
        }
        .replace(&self.request.root.display().to_string(), "ROOT")
    }

    /// Lists all that lies in the project folder: kind, size and time of change.
    pub fn listing(&self) -> BTreeMap<PathBuf, (bool, u64, i64, i64)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let metadata = entry.path().symlink_metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                let stamp = (
                    metadata.is_dir(),
                    metadata.len(),
                    metadata.mtime(),
                    metadata.mtime_nsec(),
                );
                found.insert(entry.path(), stamp);
            }
        }
        found
    }
}

/// How many problems an expectation spells out.
const SPELLED_OUT: usize = 30;

fn write_all(told: &mut String, all: &[&Diagnostic]) {
    for diagnostic in all.iter().take(SPELLED_OUT) {
        write_one(told, diagnostic);
    }
    if all.len() > SPELLED_OUT {
        let _ = writeln!(told, "and {} more", all.len() - SPELLED_OUT);
    }
}

fn short(text: &str) -> String {
    let one_line = text.lines().next().unwrap_or_default();
    let cut: String = one_line.chars().take(60).collect();
    if cut.len() < text.trim_end().len() {
        format!("{cut}…")
    } else {
        cut
    }
}

fn write_one(told: &mut String, diagnostic: &Diagnostic) {
    let mut labels = diagnostic.labels.iter();
    let severity = if diagnostic.severity == Severity::Warning {
        "warning "
    } else {
        ""
    };
    let first = labels.next();
    let place = first.map(|(span, _)| format!("{span} ")).unwrap_or_default();
    let _ = writeln!(told, "{severity}{place}[{}] {}", diagnostic.code, diagnostic.summary);
    if let Some((span, label)) = first {
        let _ = writeln!(told, "    ^ {} -- {label}", short(span.text()));
    }
    for (span, label) in labels {
        let _ = writeln!(told, "    ^ {} at {span} -- {label}", short(span.text()));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(told, "    help: {help}");
    }
}
