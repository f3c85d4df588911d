//! The file behind the store, and the one thread that writes to it.
//!
//! A change is answered when it is on disk. A sync takes milliseconds on some disks, so changes that arrive while one runs
//! are put into the next transaction together: a thousand guests counting at once share a sync, and no thread that
//! serves ever waits for one.

use super::super::Error;
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// (bucket, key) → value.
const TABLE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("wasi:keyvalue");

/// Pages kept in memory; redb's own default is 1 GiB.
const PAGE_CACHE: usize = 8 << 20;

/// Changes in one transaction.
const BATCH: usize = 512;

/// How long to wait for a process that is on its way out and still holds the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an operation failed, for the guest.
#[derive(Debug, Clone)]
pub(in super::super) struct Failure(pub(super) String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A change to the store.
pub(in super::super) enum Change {
    /// Sets all pairs, or none.
    Set {
        bucket: Arc<str>,
        pairs: Vec<(String, Vec<u8>)>,
    },
    /// Deletes all keys, or none; a missing one is no error.
    Delete { bucket: Arc<str>, keys: Vec<String> },
    /// Adds to a decimal number; a missing one counts as 0.
    Increment { bucket: Arc<str>, key: String, delta: u64 },
}

struct Order {
    change: Change,
    done: oneshot::Sender<Result<u64, Failure>>,
}

/// The store of one host.
pub(in super::super) struct Database {
    redb: Arc<redb::Database>,
    orders: Sender<Order>,
}

impl Database {
    /// Opens or creates the file; without a path the store lives in memory.
    ///
    /// # Errors
    /// [`Error::KeyValue`] when the file is none of ours, or another process keeps it open.
    pub(in super::super) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let wrong = |reason: String| Error::KeyValue {
            path: path.unwrap_or(Path::new("(memory)")).into(),
            reason,
        };
        let mut builder = redb::Builder::new();
        builder.set_cache_size(PAGE_CACHE);
        let redb = match path {
            None => builder.create_with_backend(redb::backends::InMemoryBackend::new()),
            Some(path) => {
                let since = Instant::now();
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the other process says nothing when it lets go of its lock"
                )]
                loop {
                    match builder.create(path) {
                        Err(redb::DatabaseError::DatabaseAlreadyOpen) if since.elapsed() < PATIENCE => {
                            std::thread::sleep(Duration::from_millis(20))
                        }
                        result => break result,
                    }
                }
            }
        };
        let redb = redb.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                wrong("another process has it open; give each process a file of its own".into())
            }
            error => wrong(error.to_string()),
        })?;
        let redb = Arc::new(redb);
        // Made now, so that reading never meets a missing table.
        apply(&redb, &[]).map_err(|Failure(reason)| wrong(reason))?;
        let (orders, incoming) = channel();
        let own = Arc::clone(&redb);
        std::thread::Builder::new()
            .name("keyvalue".into())
            .spawn(move || write(&own, &incoming))
            .map_err(|source| Error::System {
                what: "starting the key-value thread",
                source,
            })?;
        Ok(Self { redb, orders })
    }

    /// Makes a change and waits until it is on disk. An increment returns the new number, other changes 0.
    pub(super) async fn change(&self, change: Change) -> Result<u64, Failure> {
        let (done, result) = oneshot::channel();
        let gone = || Failure("the key-value store has stopped".into());
        self.orders.send(Order { change, done }).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let table = self.redb.begin_read()?.open_table(TABLE)?;
        Ok(table.get((bucket, key))?.map(|value| value.value().to_vec()))
    }

    pub(super) fn exists(&self, bucket: &str, key: &str) -> Result<bool, Failure> {
        let table = self.redb.begin_read()?.open_table(TABLE)?;
        Ok(table.get((bucket, key))?.is_some())
    }

    pub(super) fn get_many(&self, bucket: &str, keys: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, Failure> {
        let table = self.redb.begin_read()?.open_table(TABLE)?;
        keys.into_iter()
            .map(|key| {
                let value = table.get((bucket, key.as_str()))?.map(|value| value.value().to_vec());
                Ok(value.map(|value| (key, value)))
            })
            .collect()
    }

    pub(super) fn keys(&self, bucket: &str, skip: usize, count: usize) -> Result<Vec<String>, Failure> {
        let table = self.redb.begin_read()?.open_table(TABLE)?;
        let mut keys = Vec::new();
        let mut skipped = 0;
        for entry in table.range((bucket, "")..)? {
            let entry = entry?;
            let (own, key) = entry.0.value();
            if own != bucket || keys.len() == count {
                break;
            }
            if skipped < skip {
                skipped += 1;
            } else {
                keys.push(key.to_owned());
            }
        }
        Ok(keys)
    }
}

fn write(redb: &redb::Database, orders: &Receiver<Order>) {
    while let Ok(first) = orders.recv() {
        let (changes, waiting): (Vec<_>, Vec<_>) = std::iter::once(first)
            .chain(orders.try_iter().take(BATCH - 1))
            .map(|order| (order.change, order.done))
            .unzip();
        match apply(redb, &changes) {
            Ok(results) => {
                for (done, result) in waiting.into_iter().zip(results) {
                    let _ = done.send(result);
                }
            }
            Err(failure) => {
                for done in waiting {
                    let _ = done.send(Err(failure.clone()));
                }
            }
        }
    }
}

/// One transaction. The outer error undoes everything; an inner one is a single change that could not be made.
fn apply(redb: &redb::Database, changes: &[Change]) -> Result<Vec<Result<u64, Failure>>, Failure> {
    let transaction = redb.begin_write()?;
    let mut results = Vec::with_capacity(changes.len());
    {
        let mut table = transaction.open_table(TABLE)?;
        for change in changes {
            results.push(match change {
                Change::Set { bucket, pairs } => {
                    for (key, value) in pairs {
                        table.insert((&**bucket, key.as_str()), value.as_slice())?;
                    }
                    Ok(0)
                }
                Change::Delete { bucket, keys } => {
                    for key in keys {
                        table.remove((&**bucket, key.as_str()))?;
                    }
                    Ok(0)
                }
                Change::Increment { bucket, key, delta } => {
                    let old = table
                        .get((&**bucket, key.as_str()))?
                        .map(|value| value.value().to_vec());
                    match add(old.as_deref(), *delta) {
                        Ok(sum) => {
                            table.insert((&**bucket, key.as_str()), sum.to_string().as_bytes())?;
                            Ok(sum)
                        }
                        Err(reason) => Err(Failure(format!("{key}: {reason}"))),
                    }
                }
            });
        }
    }
    transaction.commit()?;
    Ok(results)
}

fn add(old: Option<&[u8]>, delta: u64) -> Result<u64, &'static str> {
    let old = match old {
        None => 0,
        Some(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or("its value is no number")?,
    };
    u64::checked_add(old, delta).ok_or("the sum does not fit into 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_survive_and_buckets_are_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kv.redb");
        {
            let database = Database::open(Some(&path)).expect("a new file");
            for expected in 1..=3 {
                let change = Change::Increment {
                    bucket: "a".into(),
                    key: "n".into(),
                    delta: 1,
                };
                assert_eq!(database.change(change).await.expect("increment"), expected);
            }
            let pairs = vec![("n".to_owned(), b"text".to_vec()), ("m".to_owned(), vec![])];
            database
                .change(Change::Set {
                    bucket: "b".into(),
                    pairs,
                })
                .await
                .expect("set");
            let change = Change::Increment {
                bucket: "b".into(),
                key: "n".into(),
                delta: 1,
            };
            assert!(database.change(change).await.is_err(), "text is no number");
        }
        // Waits until the writing thread of the first one has let go of the file.
        let database = Database::open(Some(&path)).expect("the same file");
        assert_eq!(database.get("a", "n").expect("get"), Some(b"3".to_vec()));
        assert_eq!(database.get("b", "n").expect("get"), Some(b"text".to_vec()));
        assert_eq!(database.keys("b", 0, 10).expect("keys"), ["m", "n"]);
        assert_eq!(database.keys("b", 1, 10).expect("keys"), ["n"]);
        assert!(!database.exists("c", "n").expect("exists"));
    }
}
