//! Tables and pictures that the program makes: compared, or written with `UPDATE_DOCS=1`.

use std::fmt::Write as _;

use wasmctl::providers::KINDS;
use wasmctl::stack::catalog;

use crate::project::Project;
use crate::{read, root};

#[expect(clippy::disallowed_methods, reason = "a test is asked to write by the environment")]
fn updating() -> bool {
    std::env::var("UPDATE_DOCS").is_ok()
}

fn compare(file: &str, want: &str) {
    if updating() {
        wasmctl::disk::write_atomically(&root().join(file), want.as_bytes(), 0o644).unwrap();
    } else {
        assert!(
            read(file) == want,
            "{file} is out of date: run `UPDATE_DOCS=1 cargo test --test docs`"
        );
    }
}

/// Puts a text between the marks `<!-- name… -->` and `<!-- /name -->`.
fn between(document: &str, name: &str, text: &str) -> String {
    let begin = document.find(&format!("<!-- {name}: ")).expect("the mark is there");
    let inside = begin + document[begin..].find("-->\n").expect("the mark ends") + 4;
    let end = inside
        + document[inside..]
            .find(&format!("<!-- /{name} -->"))
            .expect("the end mark is there");
    format!("{}\n{text}\n{}", &document[..inside], &document[end..])
}

fn stacks() -> String {
    let mut table = "| stack | resources | what it is |\n|---|---|---|\n".to_owned();
    for (name, _) in catalog::all(root()) {
        let json = Project::new().stdout(&["graph", &name, "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let nodes = json["nodes"].as_array().unwrap().len();
        let about = json["subtitle"].as_str().unwrap();
        writeln!(table, "| [`{name}`](stacks/{name}/README.md) | {nodes} | {about} |").unwrap();
    }
    table
}

fn kinds() -> String {
    let mut table = "| kind | what it does |\n|---|---|\n".to_owned();
    for kind in KINDS.iter() {
        writeln!(table, "| `{}` | {} |", kind.name, kind.about).unwrap();
    }
    table
}

#[cfg(feature = "local")]
#[test]
fn the_tables_of_the_readme_are_what_the_program_says() {
    let readme = read("README.md");
    let fresh = between(&between(&readme, "stacks", &stacks()), "kinds", &kinds());
    compare("README.md", &fresh);
}

#[cfg(feature = "local")]
#[test]
fn the_picture_is_what_the_program_draws() {
    compare(
        "docs/pictures/local-multi-compute.svg",
        &Project::new().stdout(&["graph", "local-multi-compute"]),
    );
}

#[test]
fn every_shipped_stack_has_a_readme_and_a_description() {
    for (name, _) in catalog::all(root()) {
        assert!(
            read(&format!("stacks/{name}/README.md")).contains(&format!("# {name}")),
            "{name}"
        );
    }
}
