//! Properties that hold for every graph, every order and every failure.
#![allow(missing_docs)]

#[path = "engine/project.rs"]
#[allow(dead_code, unreachable_pub)]
mod project;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::Config;
use wasmctl::apply::Schedule;
use wasmctl::state::{State, journal};

use project::{Project, actions};

/// A graph without circles: each node needs only nodes before it, shuffled by `names`.
fn graph(most: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..most).prop_map(|nodes| {
        nodes
            .into_iter()
            .enumerate()
            .map(|(node, picks)| {
                if node == 0 {
                    Vec::new()
                } else {
                    picks.iter().map(|pick| pick.index(node)).collect()
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    /// Dependencies first, once each, dependents of a failure skipped, and it always ends.
    #[test]
    fn a_schedule_keeps_its_order(after in graph(60), picks in prop::collection::vec(any::<prop::sample::Index>(), 200), failing in prop::collection::btree_set(0_usize..60, 0..6)) {
        let mut schedule = Schedule::new(&after).unwrap();
        let (mut started, mut finished, mut failed, mut skipped) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut in_flight: Vec<usize> = Vec::new();
        for pick in picks.iter().cycle().take(10_000) {
            while let Some(step) = schedule.pop() {
                for before in &after[step] {
                    prop_assert!(finished.contains(before), "{step} before {before}");
                }
                prop_assert!(!started.contains(&step), "{step} twice");
                started.push(step);
                in_flight.push(step);
            }
            if in_flight.is_empty() {
                break;
            }
            let step = in_flight.swap_remove(pick.index(in_flight.len()));
            if failing.contains(&step) {
                failed.insert(step);
                skipped.extend(schedule.fail(step));
            } else {
                finished.insert(step);
                schedule.finish(step);
            }
        }
        prop_assert!(schedule.is_over());
        prop_assert_eq!(finished.len() + failed.len() + skipped.len(), after.len());
        for step in &skipped {
            let cause = after[*step].iter().any(|before| failed.contains(before) || skipped.contains(before));
            prop_assert!(cause, "{} skipped for nothing", step);
        }
    }
}

/// A stack whose resources refer to each other as the graph says; `salt` changes some of them.
fn stack(after: &[Vec<usize>], salt: &[u8]) -> String {
    let mut text = String::from("resources:\n");
    for (node, needs) in after.iter().enumerate() {
        let salt = salt.get(node).copied().unwrap_or_default();
        let mut words = format!("{salt}");
        for need in needs {
            let _ = match need % 3 {
                0 => write!(words, " {{{{ n{need}.value }}}}"),
                1 => write!(words, " {{{{ n{need}.sha256 }}}}"),
                _ => write!(words, " {{{{ n{need}['a'].value }}}}{{{{ n{need}.b.value }}}}"),
            };
        }
        let first = if salt.is_multiple_of(5) {
            ", create_before_destroy: true"
        } else {
            ""
        };
        let _ = match node % 3 {
            0 => writeln!(text, "  n{node}: {{ type: std/value, value: \"{words}\" }}"),
            // Every seventh salt moves the file, which replaces it.
            1 => writeln!(
                text,
                "  n{node}: {{ type: std/file, path: \"out/{node}-{}\", content: \"{words}\"{first} }}",
                salt / 7
            ),
            _ => writeln!(
                text,
                "  n{node}: {{ type: std/value, for_each: [a, b], value: \"{{{{ each.key }}}} {words}\" }}"
            ),
        };
    }
    text
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    /// The plan after an apply is empty, whatever changed in between; a destroy leaves nothing; and every
    /// prefix of the journal is legal.
    #[test]
    fn a_plan_after_apply_is_empty(before in graph(14), after in graph(14), salt in prop::collection::vec(any::<u8>(), 14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let project = Project::new(&stack(&before, &[]));
            project.deploy().await;
            let planned = project.plan().await;
            assert_eq!(actions(&planned), Vec::<String>::new());
            project.stack(&stack(&after, &salt));
            project.deploy().await;
            let planned = project.plan().await;
            assert_eq!(actions(&planned), Vec::<String>::new());
            prefixes_are_legal(&project);
            let report = project.destroy().await;
            assert_eq!(report.exit_code(), 0);
            assert_eq!(project.files(), Vec::<String>::new());
        });
    }
}

fn prefixes_are_legal(project: &Project) {
    let bytes = std::fs::read(project.path(".wasmctl/s/default/journal.previous")).unwrap();
    let replay = journal::read(&bytes).unwrap();
    let snapshot = project.read(".wasmctl/s/default/state.previous.json");
    for end in 0..=replay.records.len() {
        let mut state: State = match &snapshot {
            Some(text) => {
                let whole: serde_json::Value = serde_json::from_str(text).unwrap();
                serde_json::from_value(whole["state"].clone()).unwrap()
            }
            None => State::new(wasmctl::id::Lineage::new("x"), "s".into(), "default".into()),
        };
        state.index();
        journal::fold(&mut state, &replay.records[..end]).unwrap();
    }
}
