//! A history with every sort of record, and a folder that holds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use wasmctl::id::{Lineage, RemoteId, ResourceId, Token};
use wasmctl::plan::Operation;
use wasmctl::state::file::{Folder, Opened};
use wasmctl::state::journal::Journal;
use wasmctl::state::{Object, Record, State};

pub const NOW: &str = "2026-01-01T00:00:00Z";

pub fn fresh() -> State {
    State::new(Lineage::new("lineage"), "s".into(), "default".into())
}

pub fn begin(name: &str, token: &str, operation: Operation) -> Record {
    Record::Begin {
        resource: ResourceId::plain(name),
        token: Token::new(token),
        operation,
        kind: Arc::from("std/file"),
        inputs: if operation == Operation::Delete {
            json!(null)
        } else {
            json!({"path": name, "content": "größe\n"})
        },
        needs: vec![ResourceId::keyed("other", "x y")],
        protected: false,
    }
}

pub fn settled(token: &str) -> Record {
    Record::Settled {
        token: Token::new(token),
        inputs: None,
        outputs: Some(json!({"sha256": "abc"})),
    }
}

/// Records that follow on an empty state, with every sort among them.
pub fn records() -> Vec<Record> {
    let token = Token::new;
    vec![
        Record::Started {
            on: Some("base".to_owned()),
        },
        Record::Account {
            provider: "aws".to_owned(),
            account: "1234".to_owned(),
        },
        begin("a", "t1", Operation::Create),
        begin("b", "t2", Operation::Create),
        Record::Accepted {
            token: token("t1"),
            id: RemoteId::new("a.txt"),
        },
        settled("t1"),
        Record::Failed {
            token: token("t2"),
            error: "no \"room\"\n".to_owned(),
        },
        begin("a", "t1", Operation::Update),
        settled("t1"),
        Record::Observed {
            resource: ResourceId::plain("a"),
            token: token("t1"),
            inputs: None,
            outputs: json!({"sha256": "def"}),
        },
        Record::Described {
            resource: ResourceId::plain("a"),
            needs: Vec::new(),
            protected: true,
        },
        Record::Moved {
            from: ResourceId::plain("a"),
            to: ResourceId::keyed("many", "[é]"),
        },
        Record::Deposed {
            resource: ResourceId::keyed("many", "[é]"),
        },
        begin("many", "t3", Operation::Create),
        Record::Accepted {
            token: token("t3"),
            id: RemoteId::new("b.txt"),
        },
        settled("t3"),
        begin("many", "t1", Operation::Delete),
        settled("t1"),
        Record::Computed {
            resource: ResourceId::plain("v"),
            token: token("t4"),
            kind: Arc::from("std/value"),
            inputs: json!({"value": [1, 2.5, null, true]}),
            outputs: json!({"value": [1, 2.5, null, true]}),
            needs: vec![ResourceId::plain("many")],
        },
        Record::Imported {
            resource: ResourceId::plain("i"),
            object: Box::new(Object {
                kind: "std/file".into(),
                token: token("t5"),
                id: Some(RemoteId::new("i.txt")),
                inputs: json!({}),
                outputs: json!({}),
                needs: Vec::new(),
                protected: false,
                phase: wasmctl::state::Phase::Settled,
            }),
        },
        Record::Forgotten {
            resource: ResourceId::plain("i"),
        },
        begin("z", "t6", Operation::Create),
        Record::Ended {
            outputs: Some(json!({"url": "http://x"}).as_object().unwrap().clone()),
            complete: false,
        },
    ]
}

/// A deployment's folder in a project of its own.
pub struct Place {
    root: TempDir,
    pub folder: Folder,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::of(root.path(), "s", "default");
        Self { root, folder }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        wasmctl::disk::write_atomically(&self.file(name), bytes, 0o600).unwrap();
    }

    /// Makes one run: appends these records and rotates, unless it is to be killed before that.
    pub fn run(&self, records: &[Record], rotate: bool) -> State {
        let lock = self.folder.lock("deploy", NOW).unwrap();
        let opened = self.folder.read().unwrap().unwrap_or_else(|| Opened::fresh(fresh()));
        let (mut state, mut journal): (State, Journal) = self.folder.start(&lock, opened, NOW, None).unwrap();
        for record in records {
            journal.append(&mut state, record).unwrap();
        }
        journal.sync().unwrap();
        drop(journal);
        if rotate {
            self.folder.rotate(&lock, &mut state).unwrap();
        }
        state
    }

    pub fn read(&self) -> Opened {
        self.folder.read().unwrap().expect("a state")
    }

    /// Says why the state cannot be read, and makes sure that saying so changes nothing.
    pub fn refusal(&self) -> String {
        let before = self.all();
        let error = self.folder.read().expect_err("it must be refused");
        assert_eq!(before, self.all());
        format!("{error} | {}", error.help().unwrap_or_default())
            .replace(&self.folder.path().display().to_string(), "FOLDER")
    }

    pub fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .flatten()
            .map(|entry| {
                (
                    entry.file_name().to_string_lossy().into_owned(),
                    std::fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        all.sort();
        all
    }
}

/// Two runs that change something: a snapshot, the one before it, and both journals that are past.
pub fn two_runs() -> (Place, State) {
    let place = Place::new();
    place.run(&records(), true);
    let computed = |name: &str| Record::Computed {
        resource: ResourceId::plain(name),
        token: Token::new(format!("token-{name}")),
        kind: "std/value".into(),
        inputs: json!({"value": name}),
        outputs: json!({"value": name}),
        needs: Vec::new(),
    };
    let state = place.run(&[computed("x"), computed("y")], true);
    (place, state)
}
