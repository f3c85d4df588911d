//! `kill -9` of a deploy and of a destroy at **every** journal write: before it, after it, and with its last
//! line torn. The next run converges without a question, to the same objects, and a destroy leaves nothing.
#![allow(missing_docs, clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How many writes a run may have before the test takes it for endless.
const MOST_WRITES: usize = 400;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new(stack: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stacks/s/stack.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        wasmctl::disk::write_atomically(&file, format!("name: s\n{stack}").as_bytes(), 0o644).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, words: &[&str], stop: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmctl"));
        command
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path())
            .env("WASMCTL_DIR", self.path());
        if let Some(stop) = stop {
            command.env("WASMCTL_TEST_STOP", stop);
        }
        command.output().unwrap()
    }

    /// Lists the files that stacks make, with what they say.
    fn made(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(self.path()).unwrap().display().to_string();
                if name.starts_with("stacks")
                    || name.starts_with(".wasmctl")
                    || name == ".env"
                    || name.starts_with(".cache")
                {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((name, std::fs::read_to_string(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

fn ok(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Kills `command` at every write and each time lets `then` say whether all is well. Returns the points.
///
/// How many writes a run has depends on what becomes ready together: the end is where no run gets.
fn at_every_write(prepare: impl Fn() -> World, command: &[&str], then: impl Fn(&World, &str)) -> usize {
    let mut points = 0;
    for write in 1..MOST_WRITES {
        let mut reached = false;
        for at in ["before", "torn", "after"] {
            let world = prepare();
            let point = format!("{write}:{at}");
            let output = world.run(command, Some(&point));
            if !output.status.success() {
                assert_eq!(
                    output.status.code(),
                    None,
                    "{point}: killed by the seam, not ended: {output:?}"
                );
                reached = true;
                points += 1;
            }
            then(&world, &point);
        }
        if !reached {
            return points;
        }
    }
    panic!("the run has more than {MOST_WRITES} writes");
}

const STACK: &str = r#"
resources:
  word: { type: std/value, value: hello }
  id: { type: std/random }
  one: { type: std/file, path: out/one, content: "{{ word.value }}" }
  many:
    type: std/file
    for_each: [a, b, c]
    path: "out/{{ each.key }}"
    content: "{{ one.sha256 }}"
    create_before_destroy: true
  ran:
    type: std/command
    run: "echo made >> made.log; echo ran"
    destroy: "echo gone >> gone.log"
    triggers: { many: "{{ many['a'].sha256 }}" }
  last: { type: std/file, path: out/last, content: "{{ ran.stdout }}" }
outputs: { last: "{{ last.sha256 }}" }
"#;

fn converges(world: &World, point: &str) {
    ok(
        &world.run(&["deploy", "s", "--yes"], None),
        &format!("deploy after a kill at {point}"),
    );
    let plan = world.run(&["plan", "s", "--detailed-exitcode"], None);
    assert_eq!(
        plan.status.code(),
        Some(0),
        "{point}: the plan after is not empty: {plan:?}"
    );
    let made = world.made();
    let names: Vec<&str> = made
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("out/"))
        .collect();
    assert!(
        names.contains(&"out/one") && names.contains(&"out/last"),
        "{point}: {names:?}"
    );
    // A command that ended ran once; only one that was cut off runs again.
    let log = made
        .iter()
        .find(|(name, _)| name == "made.log")
        .map(|(_, text)| text.lines().count());
    assert!(matches!(log, Some(1 | 2)), "{point}: the command ran {log:?} times");
    leaves_nothing(world, point);
}

fn leaves_nothing(world: &World, point: &str) {
    ok(
        &world.run(&["destroy", "s", "--yes"], None),
        &format!("destroy after a kill at {point}"),
    );
    let left: Vec<String> = world
        .made()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !name.ends_with(".log"))
        .collect();
    assert!(left.is_empty(), "{point}: {left:?}");
    assert!(
        !world.path().join(".wasmctl").exists(),
        "{point}: the record is still there"
    );
    assert!(!world.path().join(".env").exists(), "{point}: .env is still there");
}

#[test]
fn a_deploy_killed_at_every_write_converges() {
    let points = at_every_write(|| World::new(STACK), &["deploy", "s", "--yes"], converges);
    println!("a first deploy: {points} points");
    assert!(points > 20);
}

#[test]
fn an_update_killed_at_every_write_converges() {
    let prepare = || {
        let world = World::new(STACK);
        ok(&world.run(&["deploy", "s", "--yes"], None), "the first deploy");
        // Updates, replacements in both orders, deletions and creations at once.
        let changed = STACK
            .replace("hello", "good day")
            .replace("[a, b, c]", "[a, c, d]")
            .replace("out/{{", "out/x{{");
        let file = world.path().join("stacks/s/stack.yaml");
        wasmctl::disk::write_atomically(&file, format!("name: s\n{changed}").as_bytes(), 0o644).unwrap();
        let _ = std::fs::remove_file(world.path().join("made.log"));
        world
    };
    let points = at_every_write(prepare, &["deploy", "s", "--yes"], |world, point| {
        converges_after_change(world, point);
    });
    println!("an update: {points} points");
    assert!(points > 20);
}

fn converges_after_change(world: &World, point: &str) {
    ok(
        &world.run(&["deploy", "s", "--yes"], None),
        &format!("deploy after a kill at {point}"),
    );
    let plan = world.run(&["plan", "s", "--detailed-exitcode"], None);
    assert_eq!(
        plan.status.code(),
        Some(0),
        "{point}: the plan after is not empty: {plan:?}"
    );
    let names: Vec<String> = world
        .made()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("out/"))
        .collect();
    assert!(
        names == ["out/last", "out/one", "out/xa", "out/xc", "out/xd"],
        "{point}: {names:?}"
    );
    leaves_nothing(world, point);
}

#[test]
fn a_destroy_killed_at_every_write_leaves_nothing_in_the_end() {
    let prepare = || {
        let world = World::new(STACK);
        ok(&world.run(&["deploy", "s", "--yes"], None), "the deploy");
        world
    };
    let points = at_every_write(prepare, &["destroy", "s", "--yes"], leaves_nothing);
    println!("a destroy: {points} points");
    assert!(points > 10);
}

/// The same for the stack that ships for this machine: what is killed there leaves processes.
#[cfg(all(feature = "local", target_os = "linux"))]
mod on_this_machine {
    use super::*;

    const STACK: &str = "local-multi-compute";

    /// Lists the processes that belong to a world: `(command, run folder)`.
    fn processes(world: &World) -> Vec<(String, String)> {
        let mine = world.path().canonicalize().unwrap().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let words: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let of_ours = words.iter().any(|word| word.starts_with(&mine));
            if of_ours && words.len() > 2 && words[0].ends_with("wasmctl") {
                found.push((words[1].clone(), words[2..].join(" ")));
            }
        }
        found
    }

    /// Waits until something holds; a process takes a moment to be gone.
    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }

    fn one_of_each(world: &World, point: &str) {
        ok(
            &world.run(&["deploy", STACK, "--yes"], None),
            &format!("deploy after a kill at {point}"),
        );
        let plan = world.run(&["plan", STACK, "--detailed-exitcode"], None);
        assert_eq!(
            plan.status.code(),
            Some(0),
            "{point}: the plan after is not empty: {plan:?}"
        );
        let guardians = || {
            let all = processes(world);
            all.into_iter()
                .filter(|(word, rest)| word == "guard" && !rest.starts_with("--stand-by"))
                .count()
        };
        until(
            &format!("{point}: not four guardians but {:?}", processes(world)),
            || guardians() == 4,
        );
        ok(
            &world.run(&["destroy", STACK, "--yes"], None),
            &format!("destroy after a kill at {point}"),
        );
        nothing_left(world, point);
    }

    fn nothing_left(world: &World, point: &str) {
        until(&format!("{point}: still running: {:?}", processes(world)), || {
            processes(world).is_empty()
        });
        assert!(!world.path().join(".wasmctl").exists(), "{point}: files are left");
        assert!(!world.path().join(".env").exists(), "{point}: .env is left");
    }

    #[test]
    fn a_deploy_killed_at_every_write_runs_everything_once() {
        let points = at_every_write(
            || World::new("resources: {}\n"),
            &["deploy", STACK, "--yes"],
            one_of_each,
        );
        println!("{STACK}, deploy: {points} points");
        assert!(points > 10);
    }

    #[test]
    fn a_destroy_killed_at_every_write_leaves_no_process() {
        let prepare = || {
            let world = World::new("resources: {}\n");
            ok(&world.run(&["deploy", STACK, "--yes"], None), "the deploy");
            world
        };
        let points = at_every_write(prepare, &["destroy", STACK, "--yes"], |world, point| {
            ok(
                &world.run(&["destroy", STACK, "--yes"], None),
                &format!("destroy after a kill at {point}"),
            );
            nothing_left(world, point);
        });
        println!("{STACK}, destroy: {points} points");
        assert!(points > 10);
    }
}
