//! Every shipped stack, and every stack in the documents.

use wasmctl::stack::catalog;

use crate::blocks::blocks;
use crate::project::Project;
use crate::{read, root};

#[cfg(feature = "local")]
#[test]
fn every_shipped_stack_lives_its_whole_life() {
    for (name, _) in catalog::all(root()) {
        let project = Project::new();
        project.stdout(&["validate", &name]);
        let plan = project.stdout(&["plan", &name]);
        assert!(plan.contains("to create"), "{name}: {plan}");
        if !name.starts_with("local-") {
            continue;
        }
        project.stdout(&["deploy", &name, "--yes"]);
        let again = project.wasmctl(&["plan", &name, "--detailed-exitcode"]);
        assert_eq!(
            again.status.code(),
            Some(0),
            "{name}: {}",
            String::from_utf8_lossy(&again.stdout)
        );
        project.stdout(&["status", &name, "--exit-code"]);
        project.stdout(&["env", "--check"]);
        project.stdout(&["destroy", &name, "--yes"]);
        let left: Vec<_> = std::fs::read_dir(project.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|entry| entry != "stacks")
            .collect();
        assert!(left.is_empty(), "{name} left {left:?}");
    }
}

#[cfg(feature = "local")]
#[test]
fn every_stack_in_the_documents_is_valid_and_can_be_planned() {
    let mut seen = 0;
    for file in ["docs/stack-files.md", "docs/local.md"] {
        let project = Project::new();
        project.write("templates/motd.txt", "Hello, {{ who }}\n");
        let mut stacks = Vec::new();
        for block in blocks(&read(file)).into_iter().filter(|block| block.language == "yaml") {
            let (place, text) = match block.text.strip_prefix("# ").and_then(|rest| rest.split_once('\n')) {
                Some((place, text)) => (place.to_owned(), text.to_owned()),
                None => (format!("block-{}.yaml", block.line), block.text),
            };
            project.write(&place, &text);
            // The rest are fragments, or values of variables.
            if text.starts_with("name: ") {
                stacks.push((block.line, place, text));
            }
        }
        for (line, place, text) in stacks {
            seen += 1;
            // What stands on another stack can only be planned when that one is deployed.
            let output = if text.contains("\non: ") {
                project.wasmctl(&["validate", &place])
            } else {
                project.wasmctl(&["plan", &place, "--refresh=false"])
            };
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{file}:{line}:\n{text}\n{told}");
        }
    }
    assert!(seen >= 6, "only {seen} stacks were found");
}

/// Examples in the help can be typed as they are.
#[cfg(feature = "local")]
#[test]
fn every_stack_in_the_help_exists() {
    let project = Project::new();
    let known = catalog::all(root());
    let name = regex::Regex::new(r"\b(local|aws|azure|aks|kubernetes)-[a-z][a-z-]+[a-z]\b").unwrap();
    let help = project.stdout(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut seen = 0;
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()) {
        let text = project.stdout(&[command, "--help"]);
        for found in name.find_iter(&text) {
            seen += 1;
            assert!(
                known.contains_key(found.as_str()),
                "{command}: there is no stack `{}`",
                found.as_str()
            );
        }
    }
    assert!(seen > 5, "only {seen} names were found");
}
