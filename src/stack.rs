//! Stack files: from YAML to resources, variables and expressions, everything checked before failing.

pub mod catalog;
mod check;
pub mod document;
pub mod expr;
mod fields;
mod load;
mod not_yaml;
pub mod reference;
pub mod scope;
pub mod template;
mod variable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

pub(crate) use check::problem;
pub use expr::Expr;
pub use load::{Load, load};
pub use variable::{Given, Setting, Variable, VariableType};

use crate::diagnostic::{Source, Spanned};
use crate::graph::Graph;
use crate::id::ResourceId;
use crate::kind::Registration;
use crate::value::Value;

/// A stack as its files declare it, checked as far as files go.
#[derive(Debug)]
pub struct Stack {
    /// Its name.
    pub name: Arc<str>,
    /// One sentence about it.
    pub description: Option<String>,
    /// Its folder as the user would write it.
    pub folder: String,
    /// Every file it was read from.
    pub sources: Vec<Arc<Source>>,
    /// The environment it is loaded for.
    pub env: Arc<str>,
    /// Its variables.
    pub variables: IndexMap<String, Variable>,
    /// What the variables are.
    pub values: BTreeMap<String, Value>,
    /// Settings of providers, by name.
    pub providers: BTreeMap<String, Expr>,
    /// Its resources, in the order of the files.
    pub resources: IndexMap<Arc<str>, Resource>,
    /// What a deploy prints.
    pub outputs: IndexMap<String, Expr>,
    /// What `.env` says beside the name of the stack.
    pub env_entries: IndexMap<String, Expr>,
    /// The stack it stands on.
    pub on: Option<Spanned<String>>,
    /// Resources that have a new address.
    pub moved: Vec<Moved>,
    /// Which resource needs which, and in what order they come.
    pub graph: Graph,
}

/// A declared resource.
#[derive(Debug)]
pub struct Resource {
    /// Its name.
    pub name: Spanned<Arc<str>>,
    /// Its kind.
    pub kind: Spanned<&'static Registration>,
    /// What it is repeated over.
    pub for_each: Option<Expr>,
    /// Whether it exists.
    pub when: Option<Expr>,
    /// What must come first although nothing of it is used.
    pub depends_on: Vec<Spanned<ResourceId>>,
    /// Whether a plan that would take it away is refused.
    pub prevent_destroy: bool,
    /// Fields whose changes do not count.
    pub ignore_changes: Vec<Spanned<String>>,
    /// Whether a replacement is made before the old one goes.
    pub create_before_destroy: bool,
    /// How long one step may take.
    pub timeout: Option<Duration>,
    /// What it is made from: always a map.
    pub inputs: Expr,
}

/// A resource that has a new address.
#[derive(Debug)]
pub struct Moved {
    /// The old address.
    pub from: Spanned<ResourceId>,
    /// The new one.
    pub to: Spanned<ResourceId>,
}

impl Stack {
    /// Stands for a stack whose file is gone: nothing is declared.
    #[must_use]
    pub fn only_recorded(name: &str, env: &str) -> Self {
        Self {
            name: name.into(),
            description: None,
            folder: format!("stacks/{name}"),
            sources: Vec::new(),
            env: env.into(),
            variables: IndexMap::new(),
            values: BTreeMap::new(),
            providers: BTreeMap::new(),
            resources: IndexMap::new(),
            outputs: IndexMap::new(),
            env_entries: IndexMap::new(),
            on: None,
            moved: Vec::new(),
            graph: Graph::default(),
        }
    }
}
