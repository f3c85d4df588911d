//! `wasmctl status`, `output`, `render`, `env`, `state`, `doctor`: looking at what there is.

use crate::project::{NOTES, Project};

fn deployed() -> Project {
    let project = Project::with_stack("notes", NOTES);
    assert_eq!(project.code(&["deploy", "notes", "--yes"]), 0);
    project
}

#[test]
fn status_tells_how_everything_stands() {
    let project = deployed();
    insta::assert_snapshot!(project.run(&["status"]), @r#"
    exit 0
    --- stdout
    notes: 3 resources recorded, serial 1, the last run was complete
      greeting      std/value  computed
      note[first]   std/file   ready
      note[second]  std/file   ready
    "#);
    std::fs::remove_file(project.path().join("out/first.txt")).unwrap();
    project.write("out/second.txt", "other\n");
    insta::assert_snapshot!(project.run(&["status", "notes", "--exit-code"]), @r#"
    exit 3
    --- stdout
    notes: 3 resources recorded, serial 1, the last run was complete
      greeting      std/value  computed
      note[first]   std/file   gone      to be created
      note[second]  std/file   ready     changed outside wasmctl: content; to be updated
    "#);
    let text = project.run(&["status", "--json"]);
    assert!(
        text.contains(r#"{"event":"resource","resource":"note[first]""#),
        "{text}"
    );
}

#[test]
fn one_output_is_bare() {
    let project = deployed();
    assert_eq!(project.stdout(&["output", "path"]), "out/first.txt\n");
    assert_eq!(project.stdout(&["output", "notes", "path"]), "out/first.txt\n");
    assert_eq!(project.stdout(&["output"]), "path = out/first.txt\n");
    assert_eq!(
        project.stdout(&["output", "notes", "--json"]),
        "{\"path\":\"out/first.txt\"}\n"
    );
    insta::assert_snapshot!(project.run(&["output", "notes", "pat"]), @r#"
    exit 1
    --- stderr
    error[unknown-output]

      x notes has no output `pat`
      help: did you mean `path`?
    "#);
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let yaml = "name: safe
variables:
  password: { type: string, default: hunter2hunter2, sensitive: true }
resources:
  note: { type: std/value, value: 1 }
outputs:
  password: '{{ var.password }}'
  number: '{{ note.value }}'
";
    let project = Project::with_stack("safe", yaml);
    let told = project.run(&["deploy", "safe", "--yes"]);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(project.run(&["output"]), @r#"
    exit 0
    --- stdout
    number = 1
    password = (sensitive)
    "#);
    assert_eq!(project.code(&["output", "safe", "password"]), 1);
    assert_eq!(
        project.stdout(&["output", "safe", "password", "--show-secrets"]),
        "hunter2hunter2\n"
    );
    assert_eq!(project.stdout(&["output", "--json"]), "{\"number\":1}\n");
}

#[test]
fn templates_are_rendered() {
    let yaml = "name: page
resources:
  page:
    type: std/template
    template: page.txt
    vars: { who: World }
outputs:
  text: '{{ page.text }}'
";
    let project = Project::with_stack("page", yaml);
    project.write("templates/page.txt", "Hello, {{ who }}.\n");
    assert_eq!(project.stdout(&["render", "page", "page"]), "Hello, World.\n");
    assert_eq!(project.stdout(&["render", "page"]), "# page\nHello, World.\n");
    insta::assert_snapshot!(project.run(&["render", "page", "pgae"]), @r#"
    exit 1
    --- stderr
    error[no-template]

      x `pgae` is no template of this stack
      help: did you mean `page`?
    "#);
}

#[test]
fn the_environment_in_every_format() {
    let project = deployed();
    assert!(
        project
            .stdout(&["env"])
            .starts_with("INFRA_FOLDER=stacks/notes\nSTACK=notes\nSTACK_ENV=default\n")
    );
    assert!(
        project
            .stdout(&["env", "--format", "sh"])
            .contains("export NOTE=out/first.txt\n")
    );
    let json: serde_json::Value = serde_json::from_str(&project.stdout(&["env", "--format", "json"])).unwrap();
    assert_eq!(json["STACK"], "notes");
    assert_eq!(project.code(&["env", "--check"]), 0);
    assert_eq!(Project::new().code(&["env"]), 1);
}

#[test]
fn the_record_can_be_looked_at_and_mended() {
    let project = deployed();
    insta::assert_snapshot!(project.run(&["state", "list"]), @r#"
    exit 0
    --- stdout
    greeting      std/value
    note[first]   std/file   out/first.txt
    note[second]  std/file   out/second.txt
    "#);
    let shown: serde_json::Value =
        serde_json::from_str(&project.stdout(&["state", "show", "note[first]", "--json"])).unwrap();
    assert_eq!(shown["inputs"]["path"], "out/first.txt");
    insta::assert_snapshot!(project.run(&["state", "show", "note"]), @r#"
    exit 1
    --- stderr
    error[unknown-name]

      x nothing is recorded of `note`
      help: there are `note[first]`, `note[second]`
    "#);
    assert_eq!(project.code(&["state", "mv", "note[first]", "note[third]"]), 0);
    assert!(project.stdout(&["state", "list"]).contains("note[third]"));
    assert_eq!(project.code(&["state", "mv", "notes", "note[third]", "note[first]"]), 0);
    insta::assert_snapshot!(project.run(&["state", "rm", "note[second]"]), @r#"
    exit 0
    --- stderr
    `note[second]` is forgotten. The object itself still exists: out/second.txt
    "#);
    assert!(project.exists("out/second.txt"));
    insta::assert_snapshot!(project.run(&["state", "unlock"]), @r#"
    exit 0
    --- stderr
    Nobody is working on notes: there is no lock to clear.
    "#);
    assert_eq!(project.code(&["state", "show", "not an address"]), 2);
}

#[test]
fn an_object_that_exists_can_be_taken_over() {
    let yaml = "name: take\nresources:\n  note: { type: std/file, path: a.txt, content: here }\n";
    let project = Project::with_stack("take", yaml);
    project.write("a.txt", "here");
    insta::assert_snapshot!(project.run(&["state", "import", "take", "note", "a.txt"]), @r#"
    exit 0
    --- stderr
    `a.txt` is recorded as `note`. `wasmctl plan` says how it differs from what is declared.
    "#);
    assert_eq!(project.code(&["plan", "take", "--detailed-exitcode"]), 0);
}

#[test]
fn a_doctor_finds_nothing_wrong() {
    let project = deployed();
    let told = project.run(&["doctor"]);
    assert!(told.starts_with("exit 0"), "{told}");
    assert!(told.contains("ok       .env: notes is active"), "{told}");
    project.write("stacks/notes/stack.yaml", "name: notes\nresources: 1\n");
    let told = project.run(&["doctor"]);
    assert!(told.starts_with("exit 1"), "{told}");
    assert!(told.contains("`wasmctl validate notes`"), "{told}");
}
