//! A project in a folder of its own, and the binary run in it with an empty environment.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use regex::Regex;

/// What differs from run to run, and what stands for it.
static FILTERS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\b\d+h \d\dm\b|\b\d+m \d\ds\b|\b\d+(\.\d+)?s\b|\b\d+ms\b", "[TIME]"),
        (r#""elapsed_ms":\d+"#, r#""elapsed_ms":0"#),
        (r#""wasmctl":"[^"]+""#, r#""wasmctl":"[VERSION]""#),
        (r"[ \t]+\n", "\n"),
    ]
    .into_iter()
    .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
    .collect()
});

/// A project folder that goes away with the test.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// Makes an empty project.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Makes a project with one stack.
    pub(crate) fn with_stack(name: &str, yaml: &str) -> Self {
        let project = Self::new();
        project.write(&format!("stacks/{name}/stack.yaml"), yaml);
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    /// Prepares a run: nothing of the environment but `PATH` and `HOME`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmctl"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs and returns all that was said, with what differs from run to run replaced.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.told(&self.command(args).output().unwrap())
    }

    /// Runs and returns standard output; panics unless the exit code is 0.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{}", self.told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs and returns the exit code.
    pub(crate) fn code(&self, args: &[&str]) -> i32 {
        self.command(args).output().unwrap().status.code().unwrap()
    }

    /// Writes down how a run ended and what it said.
    pub(crate) fn told(&self, output: &Output) -> String {
        let mut text = format!("exit {}\n", output.status.code().unwrap_or(-1));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
            }
        }
        let path = self.path().to_string_lossy();
        let real = self.path().canonicalize().unwrap();
        text = text
            .replace(&*real.to_string_lossy(), "[PROJECT]")
            .replace(&*path, "[PROJECT]");
        FILTERS.iter().fold(text, |text, (pattern, instead)| {
            pattern.replace_all(&text, *instead).into_owned()
        })
    }
}

/// A stack of the engine's own kinds.
pub(crate) const NOTES: &str = r#"name: notes
description: Two notes and a greeting.
variables:
  who: { type: string, default: World }
resources:
  greeting:
    type: std/value
    value: "Hello, {{ var.who }}"
  note:
    type: std/file
    for_each: [first, second]
    path: "out/{{ each.key }}.txt"
    content: "{{ greeting.value }} ({{ each.key }})\n"
outputs:
  path: "{{ note[\"first\"].path }}"
env:
  NOTE: "{{ note[\"first\"].path }}"
"#;
