//! What a journal can say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Object;
use crate::id::{Lineage, RemoteId, ResourceId, Serial, Token};

/// The format of journal and snapshot that this version writes.
pub const FORMAT: u32 = 1;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Makes an object.
    Create,
    /// Changes it in place.
    Update,
    /// Takes it away.
    Delete,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The first line: what the journal goes on from.
    Open {
        /// See [`FORMAT`].
        format: u32,
        /// The state it belongs to.
        lineage: Lineage,
        /// The snapshot it goes on from; 0 is the empty state.
        base: Serial,
        /// The stack.
        stack: Arc<str>,
        /// The environment.
        env: Arc<str>,
        /// When it was opened, for people.
        at: String,
    },
    /// A run that will change something started.
    Started {
        /// The stack it stands on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
    /// A step is about to have an effect. On disk before the effect.
    Begin {
        /// What it is about.
        resource: ResourceId,
        /// Which object.
        token: Token,
        /// What is done.
        operation: Operation,
        /// The name of its kind.
        kind: Arc<str>,
        /// What it is made from; nothing for a delete.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        inputs: Json,
        /// What it needs directly.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        needs: Vec<ResourceId>,
        /// Whether the stack forbids to take it away.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        protected: bool,
    },
    /// The provider took a creation on. On disk before anyone waits.
    Accepted {
        /// Which object.
        token: Token,
        /// What the provider calls it.
        id: RemoteId,
    },
    /// A step is done. For a delete: the object is gone.
    Settled {
        /// Which object.
        token: Token,
        /// What it is made from, where that differs from what `begin` said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs: Option<Json>,
        /// What others may refer to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Json>,
    },
    /// A step was refused for good.
    Failed {
        /// Which object.
        token: Token,
        /// Why, for people.
        error: String,
    },
    /// A value was computed: begin, accepted and settled in one, because nothing had an effect.
    Computed {
        /// What it is about.
        resource: ResourceId,
        /// Which object.
        token: Token,
        /// The name of its kind.
        kind: Arc<str>,
        /// What it is computed from.
        inputs: Json,
        /// The result.
        outputs: Json,
        /// What it needs directly.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        needs: Vec<ResourceId>,
    },
    /// An object was found to differ from the record, and that is how it shall be.
    Observed {
        /// What it is about.
        resource: ResourceId,
        /// Which object.
        token: Token,
        /// What it is made from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs: Option<Json>,
        /// What others may refer to.
        outputs: Json,
    },
    /// What the stack says of an object changed without changing the object.
    Described {
        /// What it is about.
        resource: ResourceId,
        /// What it needs directly.
        needs: Vec<ResourceId>,
        /// Whether the stack forbids to take it away.
        protected: bool,
    },
    /// An object is about to be replaced and will go when its successor is there.
    Deposed {
        /// What it is about.
        resource: ResourceId,
    },
    /// An object is no longer our business.
    Forgotten {
        /// What it is about.
        resource: ResourceId,
    },
    /// A resource has a new address.
    Moved {
        /// The old address.
        from: ResourceId,
        /// The new one.
        to: ResourceId,
    },
    /// An existing object became ours.
    Imported {
        /// What it is about.
        resource: ResourceId,
        /// The object.
        object: Box<Object>,
    },
    /// A provider's account was used for the first time.
    Account {
        /// The provider.
        provider: String,
        /// The account.
        account: String,
    },
    /// A run that changed something ended.
    Ended {
        /// The outputs of the stack, if they could be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<serde_json::Map<String, Json>>,
        /// Whether all of it was done.
        complete: bool,
    },
}
