//! One run at a time, and none that a dead process holds up.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wasmctl::state::file::{Error, Folder};

use crate::history::{NOW, Place};

/// Starts this test again as another process, which takes the lock of a folder and keeps it.
fn holder(place: &Place) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::hold", "--ignored", "--nocapture"])
        .env("WASMCTL_TEST_ROOT", place.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !place.file("held").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the other process did not take the lock"
        );
        std::thread::yield_now();
    }
    child
}

#[test]
#[ignore = "the other process of the tests here"]
fn hold() {
    let Some(root) = std::env::var_os("WASMCTL_TEST_ROOT") else {
        return;
    };
    let folder = Folder::of(root.as_ref(), "s", "default");
    let _lock = folder.lock("deploy", NOW).unwrap();
    std::fs::File::create(folder.path().join("held")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_second_run_is_told_who_is_at_work_and_since_when() {
    let place = Place::new();
    let mut child = holder(&place);
    let error = place.folder.lock("destroy", "later").expect_err("it is held");
    assert_eq!(
        error.to_string(),
        format!(
            "`wasmctl deploy` (process {}, since {NOW}) is working on this deployment",
            child.id()
        )
    );
    let help = error.help().unwrap();
    assert!(help.contains(&format!("kill -INT {}", child.id())), "{help}");
    assert_eq!(place.folder.holder().unwrap().unwrap().pid, child.id());

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.folder.holder().unwrap(), None);
    place.folder.lock("destroy", "later").unwrap();
}

#[test]
fn a_lock_ends_with_its_value() {
    let place = Place::new();
    let lock = place.folder.lock("deploy", NOW).unwrap();
    assert!(matches!(place.folder.lock("deploy", NOW), Err(Error::Locked { .. })));
    drop(lock);
    place.folder.lock("deploy", NOW).unwrap();
}

#[test]
fn a_lock_file_with_nonsense_in_it_is_no_lock() {
    let place = Place::new();
    drop(place.folder.lock("deploy", NOW).unwrap());
    for nonsense in [&b""[..], b"{", b"\xff\xff", b"{\"pid\":1}"] {
        place.put("lock", nonsense);
        assert_eq!(place.folder.holder().unwrap(), None);
        drop(place.folder.lock("deploy", NOW).unwrap());
    }
}

#[test]
fn where_no_state_is_nobody_holds_it() {
    assert_eq!(Place::new().folder.holder().unwrap(), None);
}
