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

    /// Whether a key is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _, _)| key.text == name)
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
                other => {
                    let help = match other {
                        Content::Scalar(Json::String(text)) => match text.to_lowercase().as_str() {
                            "yes" | "on" | "y" | "true" => Some("write `true`, without quotes"),
                            "no" | "off" | "n" | "false" => Some("write `false`, without quotes"),
                            _ if text.contains("{{") => Some("it must be plain: it cannot come from a template"),
                            _ => None,
                        },
                        _ => None,
                    };
                    let problem = field_mismatch(self.document, node, name, "bool");
                    problems.push(problem.maybe_help(help.map(str::to_owned)));
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
            // A heading with nothing under it, as it stays when all of it is commented out.
            _ if node.is_nothing() => None,
            _ => {
                let help = matches!(node.content, Content::Scalar(Json::String(_)))
                    .then(|| format!("write `{name}: [{}]`", self.document.span(node.range()).text()));
                problems.push(field_mismatch(self.document, node, name, "list").maybe_help(help));
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
        const FORM: &str = "write it like `30s`, `5m` or `1h30m`";
        let node = self.take(name)?;
        let place = self.document.span(node.range());
        let Content::Scalar(Json::String(text)) = &node.content else {
            problems.push(field_mismatch(self.document, node, name, "duration").help(FORM));
            return None;
        };
        let wrong = match parse_duration(text) {
            Ok(duration) if duration.is_zero() => "leaves no time at all",
            Ok(duration) => return Some(duration),
            Err(_) => "is no duration",
        };
        problems.push(
            Diagnostic::error("duration", format!("`{name}: {}` {wrong}", place.text()))
                .at(&place, "this time")
                .help(FORM),
        );
        None
    }
}

/// Says that a value has the wrong type.
pub(super) fn mismatch(document: &Document, node: &Node, what: &str, want: &str) -> Diagnostic {
    let place = span(document, node);
    let want = match want {
        "bool" => "`true` or `false`".to_owned(),
        other => format!("a {other}"),
    };
    if node.is_nothing() {
        return Diagnostic::error("type", format!("{what} has no value; it must be {want}")).at(&place, "nothing here");
    }
    Diagnostic::error("type", format!("{what} must be {want}, not a {}", node.type_name()))
        .at(&place, format!("this is a {}", node.type_name()))
}

fn field_mismatch(document: &Document, node: &Node, name: &str, want: &str) -> Diagnostic {
    mismatch(document, node, &format!("`{name}`"), want)
}

/// Returns the place of a node.
pub(super) fn span(document: &Document, node: &Node) -> Span {
    document.span(node.range())
}
