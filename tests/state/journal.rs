//! The journal, cut and bent at every place.

use wasmctl::state::journal::{self, Corrupt};
use wasmctl::state::{Record, State};

use crate::history::{Place, fresh, records};

fn written(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        journal::write_line(record, &mut bytes);
    }
    bytes
}

fn folded(records: &[Record]) -> State {
    let mut state = fresh();
    journal::fold(&mut state, records).unwrap();
    state
}

#[test]
fn every_prefix_is_legal_and_folds_to_a_prefix_of_the_history() {
    let history = records();
    let bytes = written(&history);
    for length in 0..=bytes.len() {
        let replay = journal::read(&bytes[..length]).unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        let whole = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(replay.records, history[..whole], "cut at {length}");
        assert_eq!(replay.torn, length > 0 && bytes[length - 1] != b'\n', "cut at {length}");
        assert_eq!(folded(&replay.records), folded(&history[..whole]));
    }
}

#[test]
fn a_journal_cut_at_every_byte_is_carried_on_from() {
    let place = Place::new();
    let history = records();
    place.run(&history, false);
    let bytes = place.bytes("journal");
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in 0..=bytes.len() {
        place.put("journal", &bytes[..length]);
        let whole = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        let torn = length > 0 && bytes[length - 1] != b'\n';
        match place
            .folder
            .read()
            .unwrap_or_else(|error| panic!("cut at {length}: {error}"))
        {
            // Nothing was begun before the first line was whole.
            None => assert!(length < first, "cut at {length}"),
            Some(opened) => {
                assert_eq!(opened.state, folded(&history[..whole - 1]), "cut at {length}");
                let said = opened.notices.iter().any(|notice| notice.contains("cut off"));
                assert_eq!(said, torn, "cut at {length}: {:?}", opened.notices);
            }
        }
        // What follows is appended after the last whole line, and can be read with it.
        if length % 97 == 0 {
            place.run(&[Record::Started { on: None }], false);
            let opened = place.read();
            let mut want = folded(&history[..whole.saturating_sub(1)]);
            journal::fold(&mut want, &[Record::Started { on: None }]).unwrap();
            assert_eq!((opened.state, opened.notices), (want, Vec::new()), "cut at {length}");
        }
    }
}

#[test]
fn a_bit_that_flipped_is_refused_with_its_line() {
    let history = records();
    let bytes = written(&history);
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for at in 0..bytes.len() {
        // In each line, and the break between the last two as well.
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        match journal::read(&bent) {
            Err(Corrupt { line: said, why }) => {
                assert!(at < last, "byte {at}: {why}");
                // A line break that is gone or new moves the damage to the line it joins or splits.
                assert!(
                    said == line || (bytes[at] == b'\n' && said <= line),
                    "byte {at}: line {said}, not {line}"
                );
            }
            Ok(replay) if at >= last => {
                assert!(replay.torn, "byte {at}");
                assert_eq!(replay.records, history[..history.len() - 1]);
            }
            // The digits of the checksum may be upper case: that is no damage.
            Ok(replay) => assert_eq!(replay.records, history, "byte {at} was taken for sound"),
        }
    }
}

#[test]
fn a_damaged_line_in_the_middle_stops_everything_and_is_named() {
    let place = Place::new();
    place.run(&records(), false);
    let mut bytes = place.bytes("journal");
    let third = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1)
        .unwrap()
        .0
        + 20;
    bytes[third] ^= 4;
    place.put("journal", &bytes);
    assert_eq!(
        place.refusal(),
        "the state in `FOLDER` cannot be read: line 3 of the journal is damaged: its checksum does not fit | restore \
         `FOLDER` from a backup; nothing was changed, and wasmctl never takes a damaged state for an empty one"
    );
}

#[test]
fn a_history_that_cannot_be_is_refused() {
    let place = Place::new();
    place.run(&records(), false);
    let mut bytes = place.bytes("journal");
    journal::write_line(&crate::history::settled("nobody"), &mut bytes);
    place.put("journal", &bytes);
    assert!(
        place.refusal().contains("the journal says `settled` of nobody"),
        "{}",
        place.refusal()
    );
}

#[test]
fn numbers_come_back_as_they_were() {
    for text in [
        "666666766666666666666666666666666666666666666666666666666666666666666612",
        "0.1",
        "1e-7",
        "5e-324",
        "1.7976931348623157e308",
        "123456789012345680",
        "18446744073709551615",
    ] {
        let number: serde_json::Value = serde_json::from_str(text).unwrap();
        let record = Record::Ended {
            outputs: serde_json::json!({ "n": number }).as_object().cloned(),
            complete: true,
        };
        let replay = journal::read(&written(std::slice::from_ref(&record))).unwrap();
        assert_eq!(replay.records, [record], "{text}");
    }
}

#[test]
fn a_record_that_is_refused_changes_nothing() {
    let history = records();
    for (length, _) in history.iter().enumerate() {
        let state = folded(&history[..length]);
        for record in &history {
            let mut tried = state.clone();
            if tried.apply(record).is_err() {
                assert_eq!(tried, state, "{record:?} after {length} records");
            }
        }
    }
}
