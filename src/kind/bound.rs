//! Kinds without their types: what the engine holds, over JSON.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Attempt, Change, Computed, Error, Kind, Observed, Problem, Project, Provider, Result, Shape};
use crate::id::{RemoteId, Token};

/// The connected providers of a run, by name.
pub type Providers = BTreeMap<&'static str, Arc<dyn ConnectedProvider>>;

/// A provider without its type.
pub trait ConnectedProvider: Send + Sync {
    /// See [`Provider::account`].
    fn account(&self) -> Option<String>;
    /// See [`Provider::sweep`].
    fn sweep(&self) -> BoxFuture<'_, Result<Vec<String>>>;
    /// Gives the provider back its type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<P: Provider> ConnectedProvider for P {
    fn account(&self) -> Option<String> {
        Provider::account(self)
    }

    fn sweep(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(Provider::sweep(self))
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// What a read found, over JSON; see [`Observed`].
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// There is no such object.
    Absent,
    /// It is on its way.
    Pending {
        /// What it waits for.
        detail: String,
    },
    /// It is there.
    Ready {
        /// Inputs as they are in the world.
        inputs: Value,
        /// Outputs.
        outputs: Value,
    },
    /// It will not become ready by waiting.
    Broken {
        /// What is wrong with it.
        detail: String,
    },
}

/// A kind bound to a connected provider; the methods are those of [`Kind`].
#[expect(missing_docs, reason = "each method is documented where it is written: on Kind")]
pub trait BoundKind: Send + Sync {
    fn create<'a>(&'a self, inputs: &'a Value, attempt: Attempt<'a>) -> BoxFuture<'a, Result<RemoteId>>;
    fn read<'a>(&'a self, id: &'a RemoteId, last: &'a Value) -> BoxFuture<'a, Result<Seen>>;
    fn read_many(&self, asked: Vec<(RemoteId, Value)>) -> BoxFuture<'_, Vec<Result<Seen>>>;
    fn update<'a>(&'a self, id: &'a RemoteId, from: &'a Value, to: &'a Value) -> BoxFuture<'a, Result<()>>;
    fn delete<'a>(&'a self, id: &'a RemoteId, last: &'a Value) -> BoxFuture<'a, Result<()>>;
    fn import<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<RemoteId>>;
}

struct Bound<K: Kind> {
    kind: K,
    on: Arc<K::Provider>,
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|error| Error::invalid(format!("the recorded inputs do not fit: {error}")))
}

fn json<T: Serialize>(value: T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::failed(format!("cannot be written as JSON: {error}")))
}

fn seen<K: Kind>(observed: Observed<K>) -> Result<Seen> {
    Ok(match observed {
        Observed::Absent => Seen::Absent,
        Observed::Pending { detail } => Seen::Pending { detail },
        Observed::Ready { inputs, outputs } => Seen::Ready {
            inputs: json(inputs)?,
            outputs: json(outputs)?,
        },
        Observed::Broken { detail } => Seen::Broken { detail },
    })
}

impl<K: Kind> BoundKind for Bound<K> {
    fn create<'a>(&'a self, inputs: &'a Value, attempt: Attempt<'a>) -> BoxFuture<'a, Result<RemoteId>> {
        Box::pin(async move { self.kind.create(&self.on, &typed(inputs)?, &attempt).await })
    }

    fn read<'a>(&'a self, id: &'a RemoteId, last: &'a Value) -> BoxFuture<'a, Result<Seen>> {
        Box::pin(async move { seen(self.kind.read(&self.on, id, &typed(last)?).await?) })
    }

    fn read_many(&self, asked: Vec<(RemoteId, Value)>) -> BoxFuture<'_, Vec<Result<Seen>>> {
        Box::pin(async move {
            // An entry that no longer fits its type fails alone; the others are still read together.
            let mut answers = Vec::with_capacity(asked.len());
            let mut fitting = Vec::with_capacity(asked.len());
            for (id, last) in asked {
                match typed(&last) {
                    Ok(last) => {
                        answers.push(None);
                        fitting.push((id, last));
                    }
                    Err(error) => answers.push(Some(Err(error))),
                }
            }
            let mut read = self.kind.read_many(&self.on, fitting).await.into_iter();
            answers
                .into_iter()
                .map(|answer| {
                    answer.unwrap_or_else(|| {
                        read.next()
                            .unwrap_or_else(|| Err(Error::failed(format!("{} left out an answer", K::NAME))))
                            .and_then(seen)
                    })
                })
                .collect()
        })
    }

    fn update<'a>(&'a self, id: &'a RemoteId, from: &'a Value, to: &'a Value) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.kind.update(&self.on, id, &typed(from)?, &typed(to)?).await })
    }

    fn delete<'a>(&'a self, id: &'a RemoteId, last: &'a Value) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.kind.delete(&self.on, id, &typed(last)?).await })
    }

    fn import<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<RemoteId>> {
        Box::pin(self.kind.import(&self.on, name))
    }
}

/// What stands behind a kind.
#[derive(Clone, Copy)]
pub enum Role {
    /// An object that is created, read, updated and deleted.
    Object {
        /// Binds the kind to its provider; `None` if that is not connected.
        bind: fn(&Providers) -> Option<Arc<dyn BoundKind>>,
        /// See [`Kind::change`].
        change: fn(&Value, &Value) -> Result<Change>,
        /// See [`Kind::timeout`].
        timeout: fn(&Value) -> Result<Duration>,
        /// See [`Kind::LASTS`].
        lasts: bool,
        /// See [`Kind::DELETES_BY_INPUTS`].
        deletes_by_inputs: bool,
    },
    /// Outputs that follow from the inputs.
    Computed {
        /// See [`Computed::compute`].
        compute: fn(&Providers, &Value, &Token) -> Result<Value>,
        /// See [`Computed::DRAWS`].
        draws: bool,
    },
}

/// A kind as the list of kinds has it.
pub struct Registration {
    /// Its name in a stack file.
    pub name: &'static str,
    /// One sentence about it.
    pub about: &'static str,
    /// The name of its provider.
    pub provider: &'static str,
    /// The shape of its inputs.
    pub inputs: LazyLock<Shape>,
    /// The shape of its outputs.
    pub outputs: LazyLock<Shape>,
    /// The JSON Schema of its inputs.
    pub schema: fn() -> schemars::Schema,
    /// See [`Kind::check`]; also fails on inputs that do not fit the type.
    pub check: fn(&Value) -> Result<Vec<Problem>>,
    /// What stands behind it.
    pub role: Role,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Registers a kind of object.
#[must_use]
pub const fn object<K: Kind>() -> Registration {
    Registration {
        name: K::NAME,
        about: K::ABOUT,
        provider: <K::Provider as Provider>::NAME,
        inputs: LazyLock::new(Shape::of::<K::Inputs>),
        outputs: LazyLock::new(Shape::of::<K::Outputs>),
        schema: || schemars::schema_for!(K::Inputs),
        check: |inputs| Ok(K::default().check(&typed(inputs)?)),
        role: Role::Object {
            bind: |providers| {
                Some(Arc::new(Bound {
                    kind: K::default(),
                    on: connected::<K::Provider>(providers)?,
                }))
            },
            change: |from, to| Ok(K::default().change(&typed(from)?, &typed(to)?)),
            timeout: |inputs| Ok(K::default().timeout(&typed(inputs)?)),
            lasts: K::LASTS,
            deletes_by_inputs: K::DELETES_BY_INPUTS,
        },
    }
}

/// Registers a kind that is computed.
#[must_use]
pub const fn computed<K: Computed>() -> Registration {
    Registration {
        name: K::NAME,
        about: K::ABOUT,
        provider: <K::Provider as Provider>::NAME,
        inputs: LazyLock::new(Shape::of::<K::Inputs>),
        outputs: LazyLock::new(Shape::of::<K::Outputs>),
        schema: || schemars::schema_for!(K::Inputs),
        check: |inputs| Ok(K::default().check(&typed(inputs)?)),
        role: Role::Computed {
            compute: |providers, inputs, token| {
                let on = connected::<K::Provider>(providers)
                    .ok_or_else(|| Error::failed(format!("the provider of {} is not connected", K::NAME)))?;
                json(K::default().compute(&on, &typed(inputs)?, token)?)
            },
            draws: K::DRAWS,
        },
    }
}

fn connected<P: Provider>(providers: &Providers) -> Option<Arc<P>> {
    Arc::clone(providers.get(P::NAME)?).into_any().downcast().ok()
}

/// A provider as the list of providers has it.
pub struct ProviderRegistration {
    /// Its name under `providers:`.
    pub name: &'static str,
    /// The shape of its settings.
    pub config: LazyLock<Shape>,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
    /// Connects it.
    pub connect: fn(Value, Project) -> BoxFuture<'static, Result<Arc<dyn ConnectedProvider>>>,
}

impl std::fmt::Debug for ProviderRegistration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Registers a provider.
#[must_use]
pub const fn provider<P: Provider>() -> ProviderRegistration {
    ProviderRegistration {
        name: P::NAME,
        config: LazyLock::new(Shape::of::<P::Config>),
        schema: || schemars::schema_for!(P::Config),
        connect: |config, project| {
            Box::pin(async move {
                let config = typed::<P::Config>(&config)?;
                Ok(Arc::new(P::connect(config, &project).await?) as Arc<dyn ConnectedProvider>)
            })
        },
    }
}
