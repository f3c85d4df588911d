//! The snapshot: cut, emptied, deleted, bent, newer; and a rotation killed between any two of its steps.

use std::os::unix::fs::PermissionsExt as _;

use wasmctl::state::State;
use wasmctl::state::file::Error;

use crate::history::{Place, records, two_runs};

/// What is recorded, whatever number its snapshot has.
fn content(state: &State) -> State {
    let mut state = state.clone();
    state.serial = 0;
    state
}

#[test]
fn a_damaged_snapshot_is_put_together_again_and_said_so() {
    let (place, want) = two_runs();
    let bytes = place.bytes("state.json");
    let mut damages: Vec<(String, Option<Vec<u8>>)> = vec![
        ("deleted".to_owned(), None),
        ("emptied".to_owned(), Some(Vec::new())),
        ("zeroed".to_owned(), Some(vec![0; bytes.len()])),
        ("no JSON".to_owned(), Some(b"hello\n".to_vec())),
        ("other JSON".to_owned(), Some(b"{}\n".to_vec())),
        ("not UTF-8".to_owned(), Some(vec![0xff; 100])),
    ];
    for cut in [1, 2, 10, bytes.len() / 2, bytes.len() - 10, bytes.len() - 2] {
        damages.push((format!("cut at {cut}"), Some(bytes[..cut].to_vec())));
    }
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        damages.push((format!("byte {at} bent"), Some(bent)));
    }
    for (damage, bytes) in damages {
        match &bytes {
            None => std::fs::remove_file(place.file("state.json")).unwrap(),
            Some(bytes) => place.put("state.json", bytes),
        }
        match place.folder.read() {
            Ok(Some(opened)) => {
                assert_eq!(content(&opened.state), content(&want), "{damage}");
                // A blank more or less at the end does no harm and need not be said.
                let sound = damage
                    == format!(
                        "byte {} bent",
                        place.bytes_or_none("state.json").len().saturating_sub(1)
                    );
                assert!(sound || !opened.notices.is_empty(), "{damage}: nothing was said");
            }
            Ok(None) => panic!("{damage}: taken for empty"),
            // A format that became a larger number is one of the future.
            Err(Error::Newer { .. }) => assert!(damage.ends_with("bent"), "{damage}"),
            Err(other) => panic!("{damage}: {other}"),
        }
    }
}

impl Place {
    fn bytes_or_none(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap_or_default()
    }
}

#[test]
fn a_snapshot_that_was_put_together_again_is_written_by_the_next_run() {
    let (place, want) = two_runs();
    place.put("state.json", b"");
    let opened = place.read();
    assert!(opened.needs_writing());
    assert!(opened.notices[0].contains("nothing is lost"), "{:?}", opened.notices);
    let state = place.run(&[], true);
    let again = place.read();
    assert_eq!((content(&again.state), again.notices), (content(&want), Vec::new()));
    assert_eq!(state.serial, again.state.serial);
}

#[test]
fn the_first_snapshot_is_put_together_from_the_beginning() {
    let place = Place::new();
    let want = place.run(&records(), true);
    std::fs::remove_file(place.file("state.json")).unwrap();
    let opened = place.read();
    assert_eq!(content(&opened.state), content(&want));
    assert!(!opened.notices.is_empty());
}

#[test]
fn with_nothing_to_recover_from_it_is_refused_and_nothing_changes() {
    for damage in [&b""[..], b"{", b"\0\0\0\0"] {
        let (place, _) = two_runs();
        place.put("state.json", damage);
        std::fs::remove_file(place.file("state.previous.json")).unwrap();
        std::fs::remove_file(place.file("journal.previous")).unwrap();
        let said = place.refusal();
        assert!(
            said.starts_with("the state in `FOLDER` cannot be read: state.json: "),
            "{said}"
        );
        assert!(said.contains("never takes a damaged state for an empty one"), "{said}");
    }
}

#[test]
fn a_previous_snapshot_without_its_journal_is_not_taken_for_the_present() {
    let (place, _) = two_runs();
    place.put("state.json", b"");
    std::fs::remove_file(place.file("journal.previous")).unwrap();
    let said = place.refusal();
    assert!(said.contains("no journal goes on from snapshot 1"), "{said}");
}

#[test]
fn a_missing_snapshot_beside_a_previous_one_is_not_quietly_old() {
    let (place, _) = two_runs();
    std::fs::remove_file(place.file("state.json")).unwrap();
    std::fs::remove_file(place.file("journal.previous")).unwrap();
    let said = place.refusal();
    assert!(
        said.contains("state.json: it is missing, and no journal goes on from snapshot 1"),
        "{said}"
    );
}

#[test]
fn a_first_run_that_was_killed_is_nothing_to_worry_about() {
    let place = Place::new();
    let want = place.run(&records(), false);
    let opened = place.read();
    assert_eq!((opened.state, opened.notices), (want, Vec::new()));
}

#[test]
fn a_damaged_previous_pair_does_no_harm_while_nobody_needs_it() {
    let (place, want) = two_runs();
    place.put("state.previous.json", b"{");
    place.put("journal.previous", b"00000000 {}\n00000000 {}\n");
    let opened = place.read();
    assert_eq!((&opened.state, &opened.notices), (&want, &Vec::new()));
}

#[test]
fn a_newer_format_is_refused_whatever_it_looks_like() {
    let (place, _) = two_runs();
    for text in [
        r#"{"format":2,"sha256":"","state":{}}"#,
        r#"{"format":7,"objects":"elsewhere"}"#,
    ] {
        place.put("state.json", text.as_bytes());
        let said = place.refusal();
        assert!(said.contains("knows formats up to 1"), "{said}");
        assert!(
            said.contains("install the newer wasmctl; nothing was changed"),
            "{said}"
        );
    }
    let (place, _) = two_runs();
    place.run(&records()[..1], false);
    let text = String::from_utf8(place.bytes("journal")).unwrap();
    let (first, _) = text.split_once('\n').unwrap();
    let body = first[9..].replace("\"format\":1", "\"format\":2");
    let sum = wasmctl::state::journal::checksum(body.as_bytes());
    place.put("journal", &[&sum[..], b" ", body.as_bytes(), b"\n"].concat());
    assert!(place.refusal().contains("has format 2"));
}

#[test]
fn a_journal_of_another_state_is_refused() {
    let (place, _) = two_runs();
    place.run(&records()[..1], false);
    let text = String::from_utf8(place.bytes("journal")).unwrap();
    let body = text.lines().next().unwrap()[9..].replace("\"lineage\":\"lineage\"", "\"lineage\":\"other\"");
    let sum = wasmctl::state::journal::checksum(body.as_bytes());
    place.put("journal", &[&sum[..], b" ", body.as_bytes(), b"\n"].concat());
    assert!(place.refusal().contains("belongs to another state"));
}

/// The files of a folder after each step of a rotation, from what was there before and after it.
#[test]
fn a_rotation_killed_between_any_two_steps_leaves_the_same_state() {
    for first in [true, false] {
        let place = Place::new();
        if !first {
            place.run(&records(), true);
        }
        let want = place.run(&[wasmctl::state::Record::Started { on: None }], false);
        let before: Vec<_> = place.all();
        let get = |all: &[(String, Vec<u8>)], name: &str| {
            all.iter()
                .find(|(file, _)| file == name)
                .map(|(_, bytes)| bytes.clone())
        };
        place.run(&[], true);
        let after: Vec<_> = place.all();
        let fresh = get(&after, "state.json").unwrap();

        let reset = || {
            for (name, _) in place.all() {
                std::fs::remove_file(place.file(&name)).unwrap();
            }
            for (name, bytes) in &before {
                place.put(name, bytes);
            }
        };
        let check = |step: &str| {
            let opened = place.read();
            assert_eq!(content(&opened.state), content(&want), "{step}");
            // The next run works on it as if nothing had happened.
            let state = place.run(&[], true);
            assert_eq!(content(&state), content(&want), "{step}");
            let opened = place.read();
            assert_eq!(
                (content(&opened.state), opened.notices),
                (content(&want), Vec::new()),
                "{step}"
            );
        };
        for half in [0, 1, fresh.len() / 2, fresh.len()] {
            reset();
            place.put("state.json.new", &fresh[..half]);
            check("while the new snapshot was written");
        }
        let old = get(&before, "state.json");
        if let Some(old) = &old {
            reset();
            place.put("state.json.new", &fresh);
            place.put("state.previous.new", old);
            check("after the old one was linked");
        }
        let aside = || {
            if let Some(old) = &old {
                place.put("state.previous.json", old);
            }
        };
        reset();
        place.put("state.json.new", &fresh);
        aside();
        check("after the old one was put aside");

        reset();
        aside();
        place.put("state.json", &fresh);
        check("after the new one took its place");

        reset();
        aside();
        place.put("state.json", &fresh);
        std::fs::rename(place.file("journal"), place.file("journal.previous")).unwrap();
        check("after the journal was put aside");
    }
}

#[test]
fn only_the_owner_may_read_it() {
    let (place, _) = two_runs();
    place.run(&records()[..1], false);
    let mode = |name: &str| std::fs::metadata(place.file(name)).unwrap().permissions().mode() & 0o777;
    for name in [
        "state.json",
        "state.previous.json",
        "journal",
        "journal.previous",
        "lock",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("../.."), 0o700);
}
