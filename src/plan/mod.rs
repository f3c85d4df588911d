//! What a run would do: actions for people, steps for apply.

mod build;
mod decide;
mod diff;
mod steps;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use build::{Actual, Ask, build, stack_value};
pub(crate) use build::{check, outputs_value};
pub use diff::{diff, observed, shown};
pub use steps::{Desired, Step, StepIndex, Work};

use crate::diagnostic::Diagnostic;
use crate::id::ResourceId;
use crate::stack::scope::Outputs;
pub use crate::state::Operation;
use crate::state::Record;
use crate::value::Value;

/// What a run would do.
#[derive(Debug)]
pub struct Plan {
    /// What people are shown; what is kept and has not drifted is left out.
    pub actions: Vec<Action>,
    /// How many of each sort.
    pub counts: Counts,
    /// What apply does.
    pub steps: Vec<Step>,
    /// For each step, the steps it waits for.
    pub after: Vec<Vec<StepIndex>>,
    /// What references lead to, as far as it is known.
    pub outputs: Outputs,
    /// What is to be recorded although nothing is done: moves, and what the world says of what is kept.
    pub records: Vec<Record>,
    /// Secrets of this run, to be kept out of records and messages.
    pub secrets: Vec<String>,
    /// What is worth knowing.
    pub warnings: Vec<Diagnostic>,
    /// What is kept as it is.
    pub keep: Vec<ResourceId>,
    /// What was declared of what goes, where its deletion needs the secrets in it.
    pub wanted: HashMap<ResourceId, Value>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// What is done about a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It is as it should be.
    Keep,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// A new one takes its place.
    Replace,
    /// It is taken away.
    Delete,
}

/// One action of a plan: what a person is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// What it is about.
    pub resource: ResourceId,
    /// The name of its kind.
    pub kind: Arc<str>,
    /// What is done about it.
    pub verb: Verb,
    /// Why, where the changes alone do not say it: `it was deleted outside wasmctl`,
    /// `its last update was interrupted`, `it is no longer in the stack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Whether the new object is made before the old one goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_first: bool,
    /// What changes, by field. For a create: all inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// What was found to differ from the record, by field: changed by someone else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<FieldChange>,
}

/// How one field changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field as a path: `ports[0].from`.
    pub path: String,
    /// What it was.
    pub before: Shown,
    /// What it will be.
    pub after: Shown,
    /// Whether this change forces a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// There is none.
    Absent,
    /// Free to be shown.
    Known(Json),
    /// `(sensitive)`.
    Secret,
    /// `(known after apply)`.
    Unknown,
}

/// How many actions of each sort a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// To be made.
    pub create: usize,
    /// To be changed in place.
    pub update: usize,
    /// To be replaced.
    pub replace: usize,
    /// To be taken away.
    pub delete: usize,
    /// As they should be.
    pub keep: usize,
}

impl Counts {
    /// Counts one action.
    pub fn add(&mut self, verb: Verb) {
        match verb {
            Verb::Keep => self.keep += 1,
            Verb::Create => self.create += 1,
            Verb::Update => self.update += 1,
            Verb::Replace => self.replace += 1,
            Verb::Delete => self.delete += 1,
        }
    }
}
