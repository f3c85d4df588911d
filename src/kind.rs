//! The contract between the engine and what it manages: `Kind`, `Computed`, `Provider`.
//!
//! A kind is one file with one implementation and one line in [`KINDS`](crate::providers::KINDS);
//! checking, help, schema, planning, retries, progress and the crash and conformance tests follow
//! from that line. Kinds *submit* and *observe*; only the engine waits, retries and records.

mod bound;
mod error;
mod project;
mod shape;

use std::any::Any;
use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use bound::{BoundKind, ProviderRegistration, Providers, Registration, Role, Seen, computed, object, provider};
pub use error::{Class, Error, Problem, Result};
pub use project::{Project, Templates};
pub(crate) use project::{inside, relative};
pub use shape::{Field, Shape, Type, join};

use crate::id::{RemoteId, Token};

/// A connected account, or this machine: what the kinds of one family work on.
pub trait Provider: Any + Send + Sync + Sized {
    /// The name under `providers:`, and what stands before the `/` in the names of its kinds.
    const NAME: &'static str;
    /// What can be set under `providers:`.
    type Config: DeserializeOwned + JsonSchema;

    /// Connects. Called once a run, and only if a step or a read needs it.
    fn connect(config: Self::Config, project: &Project) -> impl Future<Output = Result<Self>> + Send;

    /// Names the account (subscription, cluster) so that a later run in another one is refused.
    fn account(&self) -> Option<String> {
        None
    }

    /// Lists what still exists that this deployment made, found without the state: by tag, label or
    /// folder. Called at the end of a destroy; an empty list is the proof.
    fn sweep(&self) -> impl Future<Output = Result<Vec<String>>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// A kind of resource a stack can declare, such as `local/instance`.
///
/// # Guarantees of the engine
/// The token of a `create` is on disk before the call; the returned id is on disk before anyone
/// waits. Calls for one resource never overlap. `Inputs` have passed [`check`](Kind::check).
///
/// # Assumptions about a kind
/// Every method submits or observes and returns at once (well under a second plus the network).
/// Every method is idempotent: after a crash the engine repeats the last call. `create` with a token
/// that already made an object returns that object. Finding somebody else's object is an error of
/// class [`Class::Conflict`], never an adoption.
///
/// # Errors
/// An [`Error`] carries a [`Class`], which alone decides whether the engine tries again.
pub trait Kind: Default + Send + Sync + 'static {
    /// The name in a stack file, `provider/noun`.
    const NAME: &'static str;
    /// One sentence for `wasmctl kinds`.
    const ABOUT: &'static str;
    /// What it works on.
    type Provider: Provider;
    /// What a stack says of it. Each field is documented; `x-replaces` marks a field whose change
    /// replaces the object, `x-sensitive` one that is never recorded, `x-public` one that must not
    /// hold a secret because the system shows it (a process list).
    type Inputs: Serialize + DeserializeOwned + JsonSchema + PartialEq + Send + Sync;
    /// What other resources may refer to. `x-stable` marks a field that an update in place keeps.
    type Outputs: Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// Whether an object remains that can be read and deleted. A gate only waits.
    const LASTS: bool = true;
    /// Whether deletion needs the inputs as they were, secrets included.
    const DELETES_BY_INPUTS: bool = false;

    /// What it takes to get from one set of inputs to the other, beyond what the fields say. Pure.
    fn change(&self, from: &Self::Inputs, to: &Self::Inputs) -> Change {
        if from == to { Change::None } else { Change::Update }
    }

    /// Finds what is wrong across fields. Pure; asked as soon as all inputs are known.
    fn check(&self, _inputs: &Self::Inputs) -> Vec<Problem> {
        Vec::new()
    }

    /// How long the engine waits for one step unless the stack says otherwise.
    fn timeout(&self, _inputs: &Self::Inputs) -> Duration {
        Duration::from_secs(10 * 60)
    }

    /// Starts creation. The same token never yields a second object.
    fn create(
        &self,
        on: &Self::Provider,
        inputs: &Self::Inputs,
        token: &Attempt<'_>,
    ) -> impl Future<Output = Result<RemoteId>> + Send;

    /// Reports the object as it is now.
    ///
    /// Where the live value merely *spells* `last` differently, it returns `last`, so that only real
    /// drift shows.
    fn read(
        &self,
        on: &Self::Provider,
        id: &RemoteId,
        last: &Self::Inputs,
    ) -> impl Future<Output = Result<Observed<Self>>> + Send;

    /// Reports many objects. A kind whose provider has a bulk call overrides it.
    fn read_many(
        &self,
        on: &Self::Provider,
        asked: Vec<(RemoteId, Self::Inputs)>,
    ) -> impl Future<Output = Vec<Result<Observed<Self>>>> + Send {
        async move {
            use futures_util::StreamExt as _;
            futures_util::stream::iter(
                asked
                    .into_iter()
                    .map(|(id, last)| async move { self.read(on, &id, &last).await }),
            )
            .buffered(16)
            .collect()
            .await
        }
    }

    /// Starts an update in place.
    fn update(
        &self,
        on: &Self::Provider,
        id: &RemoteId,
        from: &Self::Inputs,
        to: &Self::Inputs,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Starts deletion. What is already gone counts as deleted; what is not ours stays.
    ///
    /// The engine then reads until the object is `Absent`. One that is seen `Ready` or `Broken` again
    /// is asked to go once more.
    fn delete(
        &self,
        on: &Self::Provider,
        id: &RemoteId,
        last: &Self::Inputs,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Finds the id of an existing object for `wasmctl state import`, from what a person would call it.
    fn import(&self, _on: &Self::Provider, name: &str) -> impl Future<Output = Result<RemoteId>> + Send {
        let id = RemoteId::new(name);
        async move { Ok(id) }
    }
}

/// A kind without an object behind it: its outputs follow from its inputs and its token.
///
/// It is computed at plan as soon as its inputs are known, so that what depends on it is planned with
/// values; and computing it costs no sync of the journal.
pub trait Computed: Default + Send + Sync + 'static {
    /// The name in a stack file, `provider/noun`.
    const NAME: &'static str;
    /// One sentence for `wasmctl kinds`.
    const ABOUT: &'static str;
    /// What it may read.
    type Provider: Provider;
    /// What a stack says of it; see [`Kind::Inputs`].
    type Inputs: Serialize + DeserializeOwned + JsonSchema + PartialEq + Send + Sync;
    /// What other resources may refer to.
    type Outputs: Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// Whether the outputs depend on the token: then they are only known after the first apply.
    const DRAWS: bool = false;

    /// Finds what is wrong across fields. Pure.
    fn check(&self, _inputs: &Self::Inputs) -> Vec<Problem> {
        Vec::new()
    }

    /// Computes the outputs. The same arguments give the same outputs.
    ///
    /// # Errors
    /// Says what is wrong with the inputs.
    fn compute(&self, on: &Self::Provider, inputs: &Self::Inputs, token: &Token) -> Result<Self::Outputs>;
}

/// What it takes to get from one set of inputs to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// An update in place.
    Update,
    /// A new object in place of the old one.
    Replace {
        /// The reason, as a sentence without a full stop: `a volume cannot shrink`.
        because: String,
    },
}

/// One try at creating something.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The identity of this creation.
    pub token: &'a Token,
    /// Whether an earlier run may already have got as far as the effect. Only then may an object that
    /// cannot carry the token, but is exactly as asked for, be taken for ours.
    pub resumed: bool,
    /// The address of the resource, for names and tags that people read.
    pub address: &'a str,
    /// The secrets among the inputs: none of them may be in anything the kind keeps for itself.
    pub secrets: &'a [String],
}

/// What a read found.
#[derive(Debug)]
pub enum Observed<K: Kind> {
    /// There is no such object.
    Absent,
    /// It exists and is on its way.
    Pending {
        /// What it waits for, in a few words.
        detail: String,
    },
    /// It is as it should be, or differs in its inputs.
    Ready {
        /// The inputs as they are in the world.
        inputs: K::Inputs,
        /// The outputs.
        outputs: K::Outputs,
    },
    /// It exists and will not become ready by waiting.
    Broken {
        /// What is wrong with it.
        detail: String,
    },
}
