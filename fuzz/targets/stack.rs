//! Any bytes as a stack file: loaded and planned offline, as `wasmctl plan --refresh=false` does.
#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wasmctl::engine::{self, Request};

thread_local! {
    static PROJECT: RefCell<Option<(TempDir, Runtime)>> = const { RefCell::new(None) };
}

fn project() -> (TempDir, Runtime) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(folder.path().join("stacks/s")).expect("a folder");
    fs::create_dir_all(folder.path().join("templates")).expect("a folder");
    fs::write(
        folder.path().join("templates/a.txt"),
        "{{ a | default(value=\"-\") }}\n",
    )
    .expect("a template");
    fs::write(
        folder.path().join("stacks/f.yaml"),
        "variables: { f: { default: 1 } }\n",
    )
    .expect("a fragment");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    (folder, runtime)
}

fuzz_target!(|bytes: &[u8]| {
    PROJECT.with_borrow_mut(|cell| {
        let (folder, runtime) = cell.get_or_insert_with(project);
        fs::write(folder.path().join("stacks/s/stack.yaml"), bytes).expect("a stack file");
        let request = Request {
            command: "plan",
            root: folder.path().to_owned(),
            stack: "s".to_owned(),
            env: "default".to_owned(),
            var_files: Vec::new(),
            ambient: Vec::new(),
            vars: Vec::new(),
            targets: Vec::new(),
            refresh: false,
            parallelism: 1,
            dotenv: None,
            passed_on: Vec::new(),
            seam: None,
            seed: Some(1),
            now: None,
        };
        match runtime.block_on(engine::plan(&request, false, &|_| {})) {
            Ok(planned) => {
                for notice in &planned.notices {
                    let _ = format!("{notice}");
                }
                let _ = planned.outputs();
            }
            Err(engine::Error::Diagnostics(found)) => {
                assert!(found.has_errors());
                for diagnostic in &found.0 {
                    assert!(!diagnostic.summary.is_empty());
                    for (span, _) in &diagnostic.labels {
                        let range = span.range();
                        assert!(range.start <= range.end && range.end <= span.source.text.len());
                        let _ = span.line_column();
                    }
                }
            }
            Err(other) => assert!(!other.is_bug(), "{other}"),
        }
        assert!(!folder.path().join(".wasmctl").exists(), "a plan leaves nothing behind");
        assert!(!folder.path().join(".env").exists(), "a plan leaves nothing behind");
    });
});
