//! `wasi:keyvalue` that lasts: one store for all instances, kept in a file across restarts.
//!
//! wasmtime's own implementation gives every `open` a copy that ends with the instance; these are the same interfaces
//! (`store`, `atomics`, `batch` of 0.2.0-draft) over [redb](https://docs.rs/redb). Every bucket name opens its own bucket.

mod database;

pub(super) use database::Database;
use database::{Change, Failure};
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "src/serve/wit",
        world: "wasmctl:serve/bindings",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
        trappable_error_type: { "wasi:keyvalue/store.error" => super::Error },
    });
}

use generated::wasi::keyvalue::{atomics, batch, store};

/// Keys in one answer of `list-keys`.
const PAGE: usize = 1_000;

/// A bucket a guest has opened.
#[allow(unreachable_pub, reason = "the generated traits name it")]
pub struct Bucket(Arc<str>);

/// What goes back to the guest when an operation fails.
#[allow(unreachable_pub, reason = "the generated traits name it")]
pub enum Error {
    /// In the words of the guest's interface.
    Guest(store::Error),
    /// A handle that is none: a bug in the guest, which ends it.
    Trap(ResourceTableError),
}

impl From<ResourceTableError> for Error {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error)
    }
}

impl From<Failure> for Error {
    fn from(Failure(reason): Failure) -> Self {
        Self::Guest(store::Error::Other(reason))
    }
}

/// The store and one guest's handles into it.
pub(super) struct View<'a> {
    pub(super) database: &'a Arc<Database>,
    pub(super) table: &'a mut ResourceTable,
}

struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

/// Links the three interfaces.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()> {
    store::add_to_linker::<T, HasView>(linker, view)?;
    atomics::add_to_linker::<T, HasView>(linker, view)?;
    batch::add_to_linker::<T, HasView>(linker, view)
}

impl View<'_> {
    fn name(&self, bucket: &Resource<Bucket>) -> Result<Arc<str>, Error> {
        Ok(Arc::clone(&self.table.get(bucket)?.0))
    }
}

impl store::Host for View<'_> {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        Ok(self.table.push(Bucket(identifier.into()))?)
    }

    fn convert_error(&mut self, error: Error) -> wasmtime::Result<store::Error> {
        match error {
            Error::Guest(error) => Ok(error),
            Error::Trap(error) => Err(error.into()),
        }
    }
}

impl store::HostBucket for View<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.database.get(&self.name(&bucket)?, &key)?)
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        let bucket = self.name(&bucket)?;
        self.database
            .change(Change::Set {
                bucket,
                pairs: vec![(key, value)],
            })
            .await?;
        Ok(())
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Error> {
        let bucket = self.name(&bucket)?;
        self.database
            .change(Change::Delete {
                bucket,
                keys: vec![key],
            })
            .await?;
        Ok(())
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Error> {
        Ok(self.database.exists(&self.name(&bucket)?, &key)?)
    }

    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Result<store::KeyResponse, Error> {
        let skip = usize::try_from(cursor.unwrap_or(0)).unwrap_or(usize::MAX);
        let mut keys = self.database.keys(&self.name(&bucket)?, skip, PAGE + 1)?;
        let more = keys.len() > PAGE;
        keys.truncate(PAGE);
        Ok(store::KeyResponse {
            keys,
            cursor: more.then(|| (skip + PAGE) as u64),
        })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Error> {
        let bucket = self.name(&bucket)?;
        Ok(self.database.change(Change::Increment { bucket, key, delta }).await?)
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        Ok(self.database.get_many(&self.name(&bucket)?, keys)?)
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let bucket = self.name(&bucket)?;
        self.database.change(Change::Set { bucket, pairs }).await?;
        Ok(())
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        let bucket = self.name(&bucket)?;
        self.database.change(Change::Delete { bucket, keys }).await?;
        Ok(())
    }
}
