//! Runs the README from top to bottom in one folder, as a newcomer would.

use regex::Regex;

use crate::blocks::{Block, blocks};
use crate::project::Project;
use crate::{read, root};

const FIRST: &str = "cargo run --release --no-default-features --features local -- ";

/// Replaces what differs from run to run.
fn steady(text: &str) -> String {
    let filters = [
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
        (r"\b\d+(\.\d+)?(ms|s)\b", "[TIME]"),
        (r"[ \t]+\n", "\n"),
    ];
    filters.iter().fold(text.to_owned(), |text, (pattern, instead)| {
        Regex::new(pattern).unwrap().replace_all(&text, *instead).into_owned()
    })
}

/// Whether `said` is what is written, where a line `…` stands for any lines.
fn matches(written: &[&str], said: &[&str]) -> bool {
    match (written, said) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=said.len()).any(|skipped| matches(rest, &said[skipped..])),
        ([line, written @ ..], [same, said @ ..]) if line == same => matches(written, said),
        _ => false,
    }
}

/// What a script of a document becomes in a test. `None` for what a test must not run.
fn mapped(block: &Block) -> Option<String> {
    if block.text.trim() == "make test" {
        let makefile = read("Makefile");
        let target = Regex::new(r"(?m)^test:").unwrap();
        assert!(
            target.is_match(&makefile),
            "README names `make test`, the Makefile does not have it"
        );
        return None;
    }
    let script = block.text.replace(FIRST, "wasmctl ");
    assert!(
        !script.contains("cargo ") && !script.contains("make "),
        "README.md:{}: this test does not know how to run it",
        block.line
    );
    Some(script)
}

#[cfg(feature = "local")]
#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let project = Project::new();
    std::os::unix::fs::symlink(root().join("samples"), project.path().join("samples")).unwrap();
    let mut said = String::new();
    let mut ran = 0;
    for block in blocks(&read("README.md")) {
        match block.language.as_str() {
            "yaml" => {
                let (place, text) = block.text.split_once('\n').unwrap();
                let place = place
                    .strip_prefix("# ")
                    .expect("a stack in the README starts with its path");
                project.write(place, text);
            }
            "sh" => {
                said = mapped(&block).map_or_else(String::new, |script| project.sh(&script));
                ran += 1;
            }
            "text" => {
                assert!(block.follows, "README.md:{}: an output without its command", block.line);
                let (written, said) = (steady(&block.text), steady(&said));
                let lines = |text| str::lines(text).collect::<Vec<_>>();
                assert!(
                    matches(&lines(&written), &lines(&said)),
                    "README.md:{}: it says\n{written}\nbut this came:\n{said}",
                    block.line
                );
            }
            other => panic!("README.md:{}: a block of `{other}`", block.line),
        }
    }
    assert!(ran >= 8, "only {ran} blocks were run");
    assert!(!project.path().join(".wasmctl").exists(), "something was left deployed");
    assert!(!project.path().join(".env").exists());
}

#[test]
fn the_requests_of_the_first_command_are_shared_evenly() {
    // 300 requests, 100 each: the numbers stand in the README as the balancer counts them, and the test above compares them.
    let readme = read("README.md");
    for group in ["instance", "container", "function"] {
        let line = Regex::new(&format!(
            r#"(?m)^wasmctl_balancer_requests_total\{{group="{group}".*\}} 100$"#
        ))
        .unwrap();
        assert!(line.is_match(&readme), "{group}");
    }
}

/// Links inside the repository lead somewhere.
#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#:]+)(#[^)]*)?\)").unwrap();
    for file in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/stack-files.md",
        "docs/state.md",
        "docs/local.md",
        "docs/performance.md",
        "samples/README.md",
        "stacks/README.md",
    ] {
        let folder = root().join(file);
        for found in link.captures_iter(&read(file)) {
            let target = folder.parent().unwrap().join(&found[1]);
            assert!(target.exists(), "{file}: `{}` leads nowhere", &found[1]);
        }
    }
}

#[test]
fn dots_stand_for_any_lines() {
    assert!(matches(&["a", "…", "c"], &["a", "b", "b", "c"]));
    assert!(matches(&["…"], &[]));
    assert!(!matches(&["a", "…", "c"], &["a", "b"]));
    assert_eq!(
        steady("http://127.0.0.1:40123 in 1.5s or 20ms"),
        "http://127.0.0.1:[PORT] in [TIME] or [TIME]"
    );
}
