//! `wasmctl kinds`, `wasmctl schema`.

use crate::project::Project;

#[test]
fn a_kind_explains_itself() {
    let project = Project::new();
    let text = project.stdout(&["kinds", "std/file"]);
    for word in [
        "std/file",
        "Inputs",
        "path",
        "replaces",
        "default \"0644\"",
        "Outputs",
        "sha256",
        "Example",
        "type: std/file",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn an_unknown_kind_gets_a_suggestion() {
    insta::assert_snapshot!(Project::new().run(&["kinds", "std/fiel"]), @r"
    exit 1
    --- stderr
    error[unknown-kind]

      x there is no kind `std/fiel`
      help: did you mean `std/file`?
    ");
}

#[test]
fn the_list_and_its_json_agree() {
    let project = Project::new();
    let list = project.stdout(&["kinds"]);
    let json: serde_json::Value = serde_json::from_str(&project.stdout(&["kinds", "--json"])).unwrap();
    let names: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["name"].as_str().unwrap())
        .collect();
    assert_eq!(list.lines().count(), names.len());
    for name in names {
        assert!(list.contains(name), "{name}");
        assert!(project.stdout(&["kinds", name]).contains("Example"), "{name}");
    }
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value = serde_json::from_str(&Project::new().stdout(&["schema"])).unwrap();
    assert_eq!(schema["type"], "object");
}
