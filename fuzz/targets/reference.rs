//! Any text as a leaf of a stack file: no panic, and every place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmctl::stack::reference::{Reference, Segment, exactly_one, find_all};
use wasmctl::stack::template::parse_leaf;

fn inside(text: &str, reference: &Reference) {
    let words = text
        .get(reference.range.clone())
        .expect("a place inside the text, between characters");
    assert!(words.starts_with(&reference.root.to_string()), "{words}");
    for segment in &reference.path {
        if let Segment::Dynamic(inner) = segment {
            inside(text, inner);
        }
    }
}

fuzz_target!(|text: &str| {
    if let Some(reference) = exactly_one(text) {
        inside(text, &reference);
        // What is written back means the same.
        let written = format!("{{{{ {reference} }}}}");
        let again = exactly_one(&written);
        assert_eq!(again.map(|again| again.to_string()), Some(reference.to_string()));
    }
    for reference in find_all(text, &["a", "b", "var", "each", "on", "stack", "x1", "_"]) {
        inside(text, &reference);
    }
    if let Ok(leaf) = parse_leaf(text) {
        for reference in &leaf.references {
            inside(text, reference);
        }
    }
});
