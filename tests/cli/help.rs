//! Help teaches: every command says what it does and shows how.

use crate::project::Project;

/// The commands that the contract with scripts names.
const COMMANDS: &[&str] = &[
    "deploy",
    "destroy",
    "plan",
    "status",
    "output",
    "render",
    "graph",
    "validate",
    "stacks",
    "kinds",
    "schema",
    "env",
    "doctor",
    "serve",
    "inspect",
    "completions",
    "man",
];

#[test]
fn every_command_says_what_it_does_and_shows_how() {
    let project = Project::new();
    for command in COMMANDS {
        let long = project.stdout(&[command, "--help"]);
        assert!(long.contains("Usage: wasmctl"), "{command}");
        assert!(long.contains("\nExamples:\n  wasmctl "), "{command}: {long}");
        assert!(long.contains("[env: WASMCTL_"), "{command}");
        let short = project.stdout(&[command, "-h"]);
        assert!(short.contains("Global options:"), "{command}: {short}");
    }
    let all = project.stdout(&["--help"]);
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let project = Project::new();
    for args in [
        &["bogus"][..],
        &["kinds", "--bogus"],
        &[],
        &["validate", "--var", "a-b=1"],
    ] {
        assert_eq!(project.code(args), 2, "{args:?}");
    }
    assert_eq!(project.code(&["--dir", "nowhere", "stacks"]), 2);
    assert_eq!(project.code(&["--version"]), 0);
}

#[test]
fn a_reader_that_goes_away_ends_nothing_badly() {
    let project = Project::new();
    for args in [
        &["schema"][..],
        &["kinds", "std/file"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut child = project
            .command(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            output.stderr.is_empty(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{args:?}");
    }
}

#[test]
fn a_full_disk_is_said() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let project = Project::new();
    let output = project.command(&["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("takes no more"));
}

#[test]
fn switches_in_the_environment_take_1_and_0() {
    let project = Project::new();
    let run = |value: &str| {
        project
            .command(&["kinds"])
            .env("WASMCTL_JSON", value)
            .output()
            .unwrap()
            .stdout
    };
    assert!(run("1").starts_with(b"[{"));
    assert!(!run("0").starts_with(b"[{"));
}
