//! The architecture of a stack as data, for the ways to draw it.

use serde::Serialize;

/// What a picture shows.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// The stack's name.
    pub title: String,
    /// The stack's description.
    pub subtitle: Option<String>,
    /// The resources.
    pub nodes: Vec<Node>,
    /// What needs what: (user, used), as indices of nodes.
    pub edges: Vec<(usize, usize)>,
    /// The stack's outputs, by name, and the nodes they come from.
    pub outputs: Vec<(String, Vec<usize>)>,
}

/// A declared resource.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name in the stack.
    pub name: String,
    /// Its kind, `provider/noun`.
    pub kind: String,
    /// How many instances it has; `None` without `for_each`, or where that is not known before apply.
    pub instances: Option<usize>,
    /// Whether it depends on a condition.
    pub conditional: bool,
}
