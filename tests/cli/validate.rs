//! `wasmctl validate`.

use crate::project::{NOTES, Project};

#[test]
fn all_problems_are_told_with_their_places() {
    let project = Project::with_stack("notes", NOTES);
    project.write(
        "bad.yaml",
        &NOTES
            .replace("content:", "contnt:")
            .replace("greeting.value", "greetin.value"),
    );
    insta::assert_snapshot!(project.run(&["validate", "notes"]), @r"
    exit 0
    --- stderr
    1 stack with 2 resources is valid.
    ");
    let text = project.run(&["validate", "bad.yaml"]);
    assert!(text.starts_with("exit 1\n--- stderr\nerror["), "{text}");
    for word in [
        "bad.yaml:13:5",
        "unknown field `contnt`",
        "did you mean `content`?",
        "problems",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn json_has_a_line_for_each_problem() {
    let project = Project::new();
    project.write("bad.yaml", "name: x\nresources:\n  a:\n    type: std/fiel\n");
    insta::assert_snapshot!(project.run(&["validate", "bad.yaml", "--json"]), @r#"
    exit 1
    --- stdout
    {"event":"version","format":1,"wasmctl":"[VERSION]","command":"validate"}
    {"event":"error","code":"unknown-kind","summary":"there is no kind `std/fiel`","place":"bad.yaml:4:11","help":"did you mean `std/file`?"}
    {"event":"done","command":"validate","exit_code":1}
    "#);
}

#[test]
fn a_stack_that_is_not_there_is_named() {
    let project = Project::with_stack("notes", NOTES);
    let text = project.run(&["validate", "note"]);
    assert!(text.contains("there is no stack `note`"), "{text}");
    assert!(text.contains("did you mean `notes`?"), "{text}");
}
