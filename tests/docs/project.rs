//! A project in a folder of its own; what runs in it is destroyed with it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // So that nothing is taken for a project above it.
        std::fs::create_dir(dir.path().join("stacks")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        wasmctl::disk::write_atomically(&path, text.as_bytes(), 0o644).unwrap();
    }

    fn prepared(&self, program: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_wasmctl"));
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", binary.parent().unwrap().display()),
            )
            .env("HOME", self.path())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs wasmctl.
    pub(crate) fn wasmctl(&self, args: &[&str]) -> Output {
        self.prepared(env!("CARGO_BIN_EXE_wasmctl"))
            .args(args)
            .output()
            .unwrap()
    }

    /// Runs wasmctl and returns standard output; panics unless it ends well.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.wasmctl(args);
        assert!(
            output.status.success(),
            "wasmctl {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script and returns all it says; panics unless it ends well.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self
            .prepared("sh")
            .args(["-ec", &format!("exec 2>&1\n{script}")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{script}\nended with {}:\n{said}",
            output.status
        );
        said
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A test that failed half-way leaves no process behind.
        for entry in std::fs::read_dir(self.path().join(".wasmctl"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let _ = self.wasmctl(&["destroy", &name, "--yes", "--quiet"]);
        }
    }
}
