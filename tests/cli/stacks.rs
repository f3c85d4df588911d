//! `wasmctl stacks`.

use crate::project::{NOTES, Project};

#[test]
fn stacks_of_the_project_are_listed() {
    let project = Project::with_stack("notes", NOTES);
    let text = project.stdout(&["stacks"]);
    assert!(text.contains("notes"), "{text}");
    assert!(text.contains("Two notes and a greeting.  [this project]"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&project.stdout(&["stacks", "--json"])).unwrap();
    let notes = json
        .as_array()
        .unwrap()
        .iter()
        .find(|stack| stack["name"] == "notes")
        .unwrap();
    assert_eq!(notes["folder"], "stacks/notes");
    assert_eq!(notes["valid"], true);
}

#[test]
fn the_nearest_project_is_taken() {
    let project = Project::with_stack("notes", NOTES);
    project.write("deep/down/file", "");
    let output = project
        .command(&["stacks"])
        .current_dir(project.path().join("deep/down"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("notes"));
}
