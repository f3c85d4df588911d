//! Who may import whom, who prints and who writes files: reads the sources and compares them with the tables below.
//!
//! `src/lib.rs` says the same in words. When a rule is in the way, change it here and there, with the reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// What everyone may import: names, messages, whole files, units, values. They import one another and nothing else.
const GROUND: &[&str] = &["id", "diagnostic", "disk", "units", "value"];

/// For each room what it may import beside itself and the ground.
///
/// A room is the longest entry that a file's path starts with.
const MAY: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    // Each command is a way in: `serve`, `balance` and `guard` run their libraries, `kinds` reads the list, `state` the record.
    (
        "cli",
        &[
            "engine",
            "apply",
            "plan",
            "state",
            "stack",
            "dotenv",
            "providers",
            "kind",
            "event",
            "ui",
            "serve",
            "balance",
            "guard",
        ],
    ),
    (
        "engine",
        &[
            "apply",
            "plan",
            "state",
            "stack",
            "dotenv",
            "providers",
            "kind",
            "event",
        ],
    ),
    // Steps hold expressions of the stack, which are evaluated once more when what they refer to is known.
    ("apply", &["plan", "state", "stack", "kind", "event", "providers"]),
    ("plan", &["stack", "graph", "state", "kind", "providers"]),
    // One room in two files: a stack owns its graph, and the graph is made of resources.
    // `dotenv` says which names in `.env` are its own, so that `env:` cannot take them.
    ("stack", &["graph", "kind", "providers", "dotenv"]),
    ("graph", &["stack"]),
    ("state", &[]),
    ("dotenv", &[]),
    ("event", &["plan"]),
    ("ui", &["event", "plan"]),
    ("kind", &[]),
    ("providers", &["kind"]),
    ("providers/std", &["kind"]),
    ("providers/local", &["kind", "serve", "balance", "guard"]),
    // Libraries: they know nothing of stacks.
    ("serve", &[]),
    ("balance", &[]),
    ("guard", &[]),
    ("id", &[]),
    ("diagnostic", &[]),
    ("disk", &[]),
    ("units", &[]),
    ("value", &[]),
    // The map names the rooms.
    ("lib", &[]),
];

/// What may be read of the list of kinds by those below `providers`: kinds are looked up by name, none is named.
const LIST: &[&str] = &["KINDS", "PROVIDERS", "kind", "provider", "left_out"];

/// Files that may print, and why they do not go through `ui`.
const MAY_PRINT: &[(&str, &str)] = &[
    ("ui/", "it is what prints"),
    (
        "cli/serve.rs",
        "a host has no run to tell about: an address, then a log",
    ),
    ("cli/balance.rs", "as `serve`"),
    ("cli/guard.rs", "its output is the log file of a process"),
    ("cli/worker.rs", "as `guard`"),
    ("guard/spawn.rs", "standard output is the control line there"),
];

/// Files that may change files, and why they do not go through `disk` and `state`.
const MAY_WRITE: &[(&str, &str)] = &[
    ("disk.rs", "the one way to write a whole file"),
    ("state/", "journal, snapshot, lock"),
    ("dotenv.rs", "removes the file that it made"),
    ("providers/std/file.rs", "makes and removes folders"),
    ("providers/std/command.rs", "keeps what a command printed"),
    ("providers/local/", "its files are its objects"),
    ("serve/cache.rs", "compiled code"),
    ("serve/keyvalue/", "the store"),
    ("guard/", "run folders and logs"),
    ("balance/access.rs", "the access log"),
    ("cli/doctor.rs", "tries whether the folder can be written"),
];

struct SourceFile {
    /// Relative to `src`, as in `stack/load.rs`.
    path: String,
    /// What the program does: no comments, no tests.
    code: String,
}

/// Returns all sources without comments and without their `mod tests`.
fn sources() -> Vec<SourceFile> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
                let code: Vec<&str> = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                found.push(SourceFile {
                    path: path.strip_prefix(&top).unwrap().to_string_lossy().into_owned(),
                    code: code.join("\n"),
                });
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// Returns the room of a module path such as `providers/local/component`.
fn room(path: &str) -> &'static str {
    MAY.iter()
        .map(|(room, _)| *room)
        .filter(|room| path == *room || path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/')))
        .max_by_key(|room| room.len())
        .unwrap_or_else(|| panic!("src/{path} is in no room: add it to the table of tests/layers.rs"))
}

/// Finds the modules that a file names with `crate::`, each as a path such as `providers/local`, with the words it was named by.
fn imports(code: &str) -> Vec<(String, String)> {
    let word = Regex::new(r"crate::(\{[^;]*?\}|[A-Za-z_][A-Za-z0-9_:]*(?:\{[^;]*?\})?)").unwrap();
    let mut found = Vec::new();
    for capture in word.captures_iter(code) {
        let path = &capture[1];
        // `crate::{a, b::c}`: each of them.
        let parts: Vec<&str> = match path.strip_prefix('{') {
            Some(inner) => inner.trim_end_matches('}').split(',').map(str::trim).collect(),
            None => vec![path],
        };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let plain = part.split('{').next().unwrap_or_default();
            found.push((plain.trim_end_matches(':').replace("::", "/"), part.to_owned()));
        }
    }
    found
}

#[test]
fn nobody_imports_what_stands_above() {
    let allowed: BTreeMap<&str, &[&str]> = MAY.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let from = room(module);
        for (path, words) in imports(&source.code) {
            // Macros and re-exports of a single name at the top have no room.
            let head = path.split('/').next().unwrap_or_default();
            if !allowed.contains_key(head) {
                wrong.push(format!("src/{}: `crate::{words}` is in no room", source.path));
                continue;
            }
            let to = room(&path);
            let own = from == to;
            let ground = GROUND.contains(&to);
            let listed = allowed[from].contains(&to) || allowed[from].contains(&head) && to == head;
            if !own && !ground && !listed {
                wrong.push(format!(
                    "src/{}: {from} must not import {to} (`crate::{words}`)",
                    source.path
                ));
            }
            if GROUND.contains(&from) && !ground {
                wrong.push(format!("src/{}: {from} is ground and stands on {to}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_list_of_kinds_is_asked_by_name() {
    let mut wrong = Vec::new();
    let item = Regex::new(r"\bproviders::(\{[^}]*\}|[A-Za-z_]+)").unwrap();
    for source in sources().iter().filter(|source| !source.path.starts_with("providers/")) {
        for capture in item.captures_iter(&source.code) {
            for name in capture[1].trim_matches(['{', '}']).split(',').map(str::trim) {
                if name != "self" && !name.is_empty() && !LIST.contains(&name) {
                    wrong.push(format!("src/{}: names `providers::{name}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_provider_knows_another() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = source
            .path
            .strip_prefix("providers/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(own, _)| own)
        else {
            continue;
        };
        for (path, words) in imports(&source.code) {
            if let Some(other) = path.strip_prefix("providers/")
                && other != own
                && !other.starts_with(&format!("{own}/"))
            {
                wrong.push(format!("src/{}: `crate::{words}`", source.path));
            }
        }
        if source.code.contains("super::super::super::") {
            wrong.push(format!(
                "src/{}: `super::super::super::` leaves the provider",
                source.path
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Finds files outside a list that match a pattern, and entries of the list that nothing matches any more.
fn only_in(pattern: &str, list: &[(&str, &str)]) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut wrong = Vec::new();
    let mut used = vec![false; list.len()];
    for source in sources() {
        for line in source.code.lines().filter(|line| pattern.is_match(line)) {
            match list.iter().position(|(place, _)| source.path.starts_with(place)) {
                Some(index) => used[index] = true,
                None => wrong.push(format!("src/{}: {}", source.path, line.trim())),
            }
        }
    }
    for ((place, reason), used) in list.iter().zip(used) {
        if !used {
            wrong.push(format!(
                "src/{place} does not do it any more ({reason}): take it off the list"
            ));
        }
    }
    wrong
}

#[test]
fn only_ui_prints() {
    let wrong = only_in(r"\be?print(ln)?!|\bio::std(out|err)\(|\bdbg!", MAY_PRINT);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn few_places_change_files() {
    let wrong = only_in(
        r"\bfs::(write|rename|copy|remove_|create_dir|hard_link|set_permissions)|\bremove_(file|dir|dir_all)\(|\bDirBuilder::new|\bcreate_dir(_all)?\(|\bFile::(create|options)\b|\bcreate_new\(|\bOpenOptions::new|\bDatabase::create|redb::Builder|\bBuilder::new\(\)\.create",
        MAY_WRITE,
    );
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let code = "use crate::id::ResourceId;\nuse crate::{plan::Plan, state};\nlet x = crate::stack::load::go();\nuse crate::guard::{self, Spec};";
    let found: Vec<String> = imports(code).into_iter().map(|(path, _)| path).collect();
    assert_eq!(found, ["id/ResourceId", "plan/Plan", "state", "stack/load/go", "guard"]);
    assert_eq!(room("providers/local/component"), "providers/local");
    assert_eq!(room("providers/mod"), "providers");
}
