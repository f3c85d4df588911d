//! Taking a map apart, key by key, and saying which keys nobody knows.

use std::time::Duration;

use serde_json::Value as Json;

use super::document::{Content, Document, Key, Node};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned, did_you_mean};
use crate::units::parse_duration;

/// A map of a document whose keys are taken one by one.
pub(super) struct Fields<'d> {
    pub(super) document: &'d Document,
    what: &'static str,
    entries: Vec<(&'d Key, &'d Node, bool)>,
}

impl<'d> Fields<'d> {
    /// Opens a map; anything else is a problem.
    pub(super) fn open(
        document: &'d Document,
        node: &'d Node,
        what: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key, value, false)).collect();
                Some(Self {
                    document,
                    what,
                    entries,
                })
            }
            _ => {
                problems.push(mismatch(document, node, what, "map"));
                None
            }
        }
    }

    /// Takes a key.
    pub(super) fn take(&mut self, name: &str) -> Option<&'d Node> {
        let entry = self.entries.iter_mut().find(|(key, _, _)| key.text == name)?;
        entry.2 = true;
        Some(entry.1)
    }

    /// Takes all keys that were not taken, in the order of the file.
    pub(super) fn rest(&mut self) -> Vec<(&'d Key, &'d Node)> {
        self.entries
            .iter_mut()
            .filter(|entry| !entry.2)
            .map(|entry| {
                entry.2 = true;
                (entry.0, entry.1)
            })
            .collect()
    }

    /// Says which keys nobody took.
    pub(super) fn finish(self, known: &[&str], problems: &mut Diagnostics) {
        for (key, _, taken) in &self.entries {
            if !taken {
                let help = match did_you_mean(&key.text, known.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("{} takes {}", self.what, known.join(", ")),
                };
                problems.push(
                    Diagnostic::error("unknown-field", format!("{} has no field `{}`", self.what, key.text))
                        .at(&self.document.span(key.range()), "unknown")
                        .help(help),
                );
            }
        }
    }

    pub(super) fn text(&mut self, name: &str, problems: &mut Diagnostics) -> Option<Spanned<String>> {
        let node = self.take(name)?;
        match &node.content {
            Content::Scalar(Json::String(text)) => Some(Spanned::new(text.clone(), self.document.span(node.range()))),
            _ => {
                problems.push(field_mismatch(self.document, node, name, "string"));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, problems: &mut Diagnostics) -> bool {
        match self.take(name) {
            None => false,
            Some(node) => match &node.content {
                Content::Scalar(Json::Bool(value)) => *value,
                _ => {
                    problems.push(field_mismatch(self.document, node, name, "bool"));
                    false
                }
            },
        }
    }

    pub(super) fn number(&mut self, name: &str, problems: &mut Diagnostics) -> Option<f64> {
        let node = self.take(name)?;
        match &node.content {
            Content::Scalar(Json::Number(number)) => number.as_f64(),
            _ => {
                problems.push(field_mismatch(self.document, node, name, "number"));
                None
            }
        }
    }

    pub(super) fn list(&mut self, name: &str, problems: &mut Diagnostics) -> Option<&'d [Node]> {
        let node = self.take(name)?;
        match &node.content {
            Content::List(items) => Some(items),
            _ => {
                problems.push(field_mismatch(self.document, node, name, "list"));
                None
            }
        }
    }

    pub(super) fn texts(&mut self, name: &str, problems: &mut Diagnostics) -> Vec<Spanned<String>> {
        let document = self.document;
        let mut found = Vec::new();
        for item in self.list(name, problems).unwrap_or_default() {
            match &item.content {
                Content::Scalar(Json::String(text)) => {
                    found.push(Spanned::new(text.clone(), document.span(item.range())));
                }
                _ => problems.push(field_mismatch(document, item, name, "list of strings")),
            }
        }
        found
    }

    pub(super) fn duration(&mut self, name: &str, problems: &mut Diagnostics) -> Option<Duration> {
        let text = self.text(name, problems)?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(_) => {
                problems.push(
                    Diagnostic::error("duration", format!("`{}` is no duration", text.value))
                        .at(&text.span, "not understood")
                        .help("write it like `30s`, `5m` or `1h30m`"),
                );
                None
            }
        }
    }
}

/// Says that a value has the wrong type.
pub(super) fn mismatch(document: &Document, node: &Node, what: &str, want: &str) -> Diagnostic {
    Diagnostic::error("type", format!("{what} must be a {want}, not a {}", node.type_name()))
        .at(&span(document, node), format!("this is a {}", node.type_name()))
}

fn field_mismatch(document: &Document, node: &Node, name: &str, want: &str) -> Diagnostic {
    mismatch(document, node, &format!("`{name}`"), want)
}

/// Returns the place of a node.
pub(super) fn span(document: &Document, node: &Node) -> Span {
    document.span(node.range())
}
