//! A disk that is full: a clear error, and the old state as it was.

use std::path::Path;
use std::process::Command;

use tokio::sync::watch;
use wasmctl::engine::{self, Request};
use wasmctl::state::file::Folder;

/// A small file system of its own, unmounted when the test ends.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"])
            .arg(folder.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn request(root: &Path) -> Request {
    Request {
        command: "deploy",
        root: root.canonicalize().unwrap(),
        stack: "s".to_owned(),
        env: "default".to_owned(),
        var_files: Vec::new(),
        ambient: Vec::new(),
        vars: Vec::new(),
        targets: Vec::new(),
        refresh: true,
        parallelism: 4,
        dotenv: None,
        passed_on: Vec::new(),
        seam: None,
        seed: Some(7),
        now: None,
    }
}

/// Deploys a stack of values with about this many bytes in its state; returns what went wrong.
fn deploy(root: &Path, bytes: usize) -> Result<u8, String> {
    let stack = format!(
        "name: s\nresources:\n  a: {{ type: std/value, value: {} }}\n  b: {{ type: std/value, value: \"{{{{ a.value }}}}\" }}\n",
        "x".repeat(bytes / 4)
    );
    std::fs::create_dir_all(root.join("stacks/s")).unwrap();
    // A stack file of a full disk is written elsewhere, and only linked here.
    let elsewhere = tempfile::tempdir().unwrap();
    let text = elsewhere.path().join("stack.yaml");
    wasmctl::disk::write_atomically(&text, stack.as_bytes(), 0o644).unwrap();
    let link = root.join("stacks/s/stack.yaml");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(&text, &link).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_stop, stopped) = watch::channel(false);
    let done = runtime.block_on(engine::deploy(&request(root), None, &|_| {}, stopped, &mut |_| true));
    done.map(|report| report.exit_code())
        .map_err(|error| format!("{error} | {}", error.help().unwrap_or_default()))
}

#[test]
fn a_full_disk_is_said_and_the_old_state_stays() {
    let Some(small) = Small::mount("256k") else {
        eprintln!("SKIPPED: no tmpfs can be mounted here, so a full disk was not tried");
        return;
    };
    assert_eq!(deploy(small.path(), 4_000), Ok(0));
    let folder = Folder::of(small.path(), "s", "default");
    let before = folder.read().unwrap().unwrap().state;
    let mut refused = 0;
    for kilobytes in [60, 100, 140, 180, 220, 300, 400] {
        match deploy(small.path(), kilobytes << 10) {
            Ok(_) => {}
            Err(said) => {
                refused += 1;
                assert!(said.contains("the disk is full"), "{kilobytes} KB: {said}");
                assert!(
                    said.contains("free some space and run it again"),
                    "{kilobytes} KB: {said}"
                );
            }
        }
        // Whatever was written, it can be read, and it is never taken for empty.
        let opened = folder
            .read()
            .unwrap_or_else(|error| panic!("{kilobytes} KB: {error}"))
            .expect("a state");
        assert_eq!(opened.state.objects.len(), before.objects.len(), "{kilobytes} KB");
        assert_eq!(opened.state.lineage, before.lineage);
    }
    assert!(refused > 2, "the disk was never full");
    // With room again the next run works and says nothing of the past.
    let grown = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(small.path())
        .status();
    assert!(grown.unwrap().success());
    assert_eq!(deploy(small.path(), 4_000), Ok(0));
    let opened = folder.read().unwrap().unwrap();
    assert_eq!((opened.state.objects, opened.notices), (before.objects, Vec::new()));
}

#[test]
fn a_first_run_on_a_full_disk_says_so() {
    let Some(small) = Small::mount("64k") else {
        eprintln!("SKIPPED: no tmpfs can be mounted here, so a full disk was not tried");
        return;
    };
    std::fs::create_dir_all(small.path().join("stacks/s")).unwrap();
    let mut filler = Vec::new();
    // As much as goes in, to the last page.
    loop {
        filler.push(0_u8);
        let path = small.path().join(format!("filler{}", filler.len()));
        if std::fs::copy("/proc/self/exe", &path).is_err() || filler.len() > 100 {
            break;
        }
    }
    let said = deploy(small.path(), 4_000).expect_err("there is no room");
    assert!(said.contains("the disk is full"), "{said}");
    for entry in std::fs::read_dir(small.path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("filler") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    assert_eq!(deploy(small.path(), 4_000), Ok(0));
}
