//! Any bytes as a journal: read, folded, and what was read written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmctl::id::Lineage;
use wasmctl::state::{State, journal};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Most bytes fail at the checksum; the same lines with the right one go further.
    let mut summed = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        summed.extend_from_slice(&journal::checksum(body));
        summed.push(b' ');
        summed.extend_from_slice(line);
    }
    check(&summed);
});

fn check(bytes: &[u8]) {
    let Ok(replay) = journal::read(bytes) else { return };
    assert!(replay.length as usize <= bytes.len());
    assert_eq!(replay.torn, replay.length as usize != bytes.len());
    let mut written = Vec::new();
    for record in &replay.records {
        journal::write_line(record, &mut written);
    }
    let again = journal::read(&written).expect("what was written can be read");
    assert_eq!(again.records, replay.records);
    assert!(!again.torn);

    let mut state = State::new(Lineage::new("fuzz"), "s".into(), "default".into());
    for record in &replay.records {
        let before = state.clone();
        if state.apply(record).is_err() {
            assert_eq!(state, before, "a record that is refused changes nothing");
            break;
        }
    }
    // A state that was folded can be written as a snapshot and read back.
    let text = serde_json::to_string(&state).expect("a state serialises");
    let mut back: State = serde_json::from_str(&text).expect("a state reads back");
    back.index();
    assert_eq!(back, state);
}
