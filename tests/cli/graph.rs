//! `wasmctl graph`.

use crate::project::{NOTES, Project};

#[test]
fn a_picture_in_every_format() {
    let project = Project::with_stack("notes", NOTES);
    assert!(project.stdout(&["graph", "notes"]).starts_with("<svg "));
    assert!(
        project
            .stdout(&["graph", "notes", "--format", "dot"])
            .contains("n0 -> n1;")
    );
    insta::assert_snapshot!(project.stdout(&["graph", "notes", "--format", "mermaid"]), @r#"
    ---
    title: "notes"
    ---
    flowchart TB
        n0["<b>greeting</b><br/><small>std/value</small>"]
        n1["<b>note</b> ×2<br/><small>std/file</small>"]
        o0(["path"])
        n1 -.-> o0
        n0 --> n1
    "#);
    let json: serde_json::Value =
        serde_json::from_str(&project.stdout(&["graph", "notes", "--format", "json"])).unwrap();
    assert_eq!(json["nodes"][1]["instances"], 2);
}

#[test]
fn a_picture_goes_to_a_file() {
    let project = Project::with_stack("notes", NOTES);
    insta::assert_snapshot!(project.run(&["graph", "notes", "--out", "a.svg"]), @r"
    exit 0
    --- stderr
    The picture is in a.svg.
    ");
    assert!(project.read("a.svg").ends_with("</svg>\n"));
    assert!(project.exists("a.svg"));
    assert_eq!(project.code(&["graph", "notes", "--out", "none/a.svg"]), 1);
}
