//! `wasmctl deploy`, `plan`, `destroy`: the whole life of a stack.

use crate::project::{NOTES, Project};

#[test]
fn a_stack_lives() {
    let project = Project::with_stack("notes", NOTES);
    insta::assert_snapshot!(project.run(&["plan", "notes"]), @r#"
    exit 0
    --- stdout
      + greeting  std/value
          value: "Hello, World"
      + note[first]  std/file
          content: "Hello, World (first)\n"
          mode: "0644"
          path: "out/first.txt"
      + note[second]  std/file
          content: "Hello, World (second)\n"
          mode: "0644"
          path: "out/second.txt"

    Plan: 3 to create.
    "#);
    let told = project.run(&["deploy", "notes", "--yes"]);
    assert!(
        told.starts_with("exit 0\n--- stdout\npath = out/first.txt\n--- stderr\n"),
        "{told}"
    );
    assert!(told.ends_with("Deployed notes: 3 created in [TIME]\n"), "{told}");
    assert_eq!(project.read("out/second.txt"), "Hello, World (second)\n");
    insta::assert_snapshot!(project.run(&["deploy", "notes", "--yes"]), @r#"
    exit 0
    --- stdout
    path = out/first.txt
    --- stderr
    No changes. 3 resources are as they should be.
    "#);
    insta::assert_snapshot!(project.run(&["plan", "notes", "--var", "who=You"]), @r#"
    exit 0
    --- stdout
      ~ greeting  std/value
          value: "Hello, World" → "Hello, You"
      ~ note[first]  std/file
          content: "Hello, World (first)\n" → "Hello, You (first)\n"
      ~ note[second]  std/file
          content: "Hello, World (second)\n" → "Hello, You (second)\n"

    Plan: 3 to update.
    "#);
    insta::assert_snapshot!(project.read(".env"), @r#"
    # >>> wasmctl (the file is ours) >>>
    INFRA_FOLDER=stacks/notes
    STACK=notes
    STACK_ENV=default
    STACK_SERIAL=1
    NOTE=out/first.txt
    # <<< wasmctl <<<
    "#);
    let told = project.run(&["destroy", "--yes"]);
    assert!(
        told.ends_with(
            "Destroyed 3 resources of notes in [TIME]. Nothing is left: no process, no file, no entry in .env.\n"
        ),
        "{told}"
    );
    for name in ["out/first.txt", ".env", ".wasmctl"] {
        assert!(!project.exists(name), "{name}");
    }
}

#[test]
fn nobody_is_asked_off_a_terminal() {
    let project = Project::with_stack("notes", NOTES);
    insta::assert_snapshot!(project.run(&["deploy", "notes"]), @r#"
    exit 2
    --- stderr
    error[usage]

      x nobody can be asked here: this is no terminal
      help: look at `wasmctl plan`, then say --yes, or set WASMCTL_YES=1 or CI=true
    "#);
    assert!(!project.exists(".wasmctl"));
    for (name, value) in [("WASMCTL_YES", "1"), ("CI", "true")] {
        let output = project.command(&["deploy", "notes"]).env(name, value).output().unwrap();
        assert!(output.status.success(), "{name}: {}", project.told(&output));
    }
    assert_eq!(project.code(&["destroy"]), 2);
}

#[test]
fn exit_codes_tell_differences() {
    let project = Project::with_stack("notes", NOTES);
    assert_eq!(project.code(&["plan", "notes", "--detailed-exitcode"]), 3);
    assert_eq!(project.code(&["deploy", "notes", "--yes"]), 0);
    assert_eq!(project.code(&["plan", "notes", "--detailed-exitcode"]), 0);
    assert_eq!(
        project.code(&["plan", "notes", "--detailed-exitcode", "--refresh=false"]),
        0
    );
    project.write("out/first.txt", "somebody else was here\n");
    assert_eq!(project.code(&["plan", "notes", "--detailed-exitcode"]), 3);
    assert_eq!(
        project.code(&["plan", "notes", "--detailed-exitcode", "--refresh=false"]),
        0
    );
    let told = project.run(&["plan", "notes"]);
    assert!(
        told.contains("changed outside wasmctl, to be put back: content:"),
        "{told}"
    );
}

#[test]
fn json_is_one_event_a_line() {
    let project = Project::with_stack("notes", NOTES);
    let text = project.stdout(&["deploy", "notes", "--yes", "--json"]);
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "version");
    assert_eq!(events[0]["format"], 1);
    let done = events.last().unwrap();
    assert_eq!(done["event"], "done");
    assert_eq!(done["created"], 3);
    assert_eq!(done["exit_code"], 0);
    assert_eq!(done["outputs"]["path"], "out/first.txt");
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in ["planned", "action", "started", "finished"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    project.write("stacks/notes/stack.yaml", &NOTES.replace("std/file", "std/fiel"));
    insta::assert_snapshot!(project.run(&["deploy", "notes", "--yes", "--json"]), @r#"
    exit 1
    --- stdout
    {"event":"version","format":1,"wasmctl":"[VERSION]","command":"deploy"}
    {"event":"error","code":"unknown-kind","summary":"there is no kind `std/fiel`","place":"stacks/notes/stack.yaml:10:11","help":"did you mean `std/file`?"}
    {"event":"done","command":"deploy","exit_code":1}
    "#);
}

#[test]
fn a_saved_plan_is_applied_or_nothing_is() {
    let project = Project::with_stack("notes", NOTES);
    let told = project.run(&["plan", "notes", "--var", "who=You", "--out", "my.plan"]);
    assert!(told.contains("The plan is in my.plan"), "{told}");
    let told = project.run(&["deploy", "--plan", "my.plan", "--yes"]);
    assert!(told.starts_with("exit 0"), "{told}");
    assert_eq!(project.read("out/first.txt"), "Hello, You (first)\n");
    insta::assert_snapshot!(project.run(&["deploy", "--plan", "my.plan", "--yes"]), @r#"
    exit 1
    --- stderr
    error[refused]

      x the state has moved on since the plan was made: it was at 0, and is at 1
      help: plan again, look at it, and deploy that
    "#);
}

#[test]
fn a_failure_names_its_cause_once() {
    let yaml = "name: broken
resources:
  bad:
    type: std/command
    run: [sh, -c, 'echo no luck >&2; exit 7']
  good:
    type: std/file
    path: good.txt
    content: fine
  after:
    type: std/file
    for_each: [a, b, c]
    path: '{{ each.key }}.txt'
    content: '{{ bad.stdout }}'
";
    let project = Project::with_stack("broken", yaml);
    let told = project.run(&["deploy", "broken", "--yes"]);
    assert!(told.starts_with("exit 1\n"), "{told}");
    assert_eq!(told.matches("failed to create").count(), 1, "{told}");
    for word in [
        "bad: failed to create",
        "stacks/broken/stack.yaml:5",
        "3 steps were not tried because `bad` failed",
        "Deploying broken failed: 1 created, 1 failed, 3 not tried",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(project.exists("good.txt"));
    assert_eq!(project.code(&["env", "--check"]), 3);
    assert_eq!(project.code(&["doctor"]), 1);
    project.write("stacks/broken/stack.yaml", &yaml.replace("exit 7", "exit 0"));
    assert_eq!(project.code(&["deploy", "broken", "--yes"]), 0);
    assert_eq!(project.code(&["env", "--check"]), 0);
}

#[test]
fn quiet_prints_data_only() {
    let project = Project::with_stack("notes", NOTES);
    insta::assert_snapshot!(project.run(&["deploy", "notes", "--yes", "-q"]), @r#"
    exit 0
    --- stdout
    path = out/first.txt
    "#);
    insta::assert_snapshot!(project.run(&["destroy", "--yes", "--quiet"]), @r#"exit 0"#);
}

#[test]
fn a_stack_that_was_named_by_its_folder_is_found_again() {
    let project = Project::new();
    project.write("apps/notes/stack.yaml", NOTES);
    let told = project.run(&["deploy", "apps/notes", "--yes"]);
    assert!(told.contains("Deployed notes: "), "{told}");
    assert!(project.stdout(&["status"]).starts_with("notes: "));
    project.stdout(&["destroy", "--yes"]);
    assert!(!project.exists(".env"));
}
