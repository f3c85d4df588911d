//! Variables: what they may be, and where their values come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use regex::Regex;
use serde_json::Value as Json;

use super::document::{Content, Document, Node};
use super::fields::{Fields, span};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, did_you_mean};
use crate::value::{Value, json_type_name};

/// A declared variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Where its name stands.
    pub span: Span,
    /// What it must be.
    pub ty: VariableType,
    /// What it is for.
    pub description: Option<String>,
    /// What it is when nobody says.
    pub default: Option<Json>,
    /// The only values allowed, if any are listed.
    pub one_of: Vec<Json>,
    /// What a string must match.
    pub pattern: Option<Regex>,
    /// The least number, or the least length.
    pub min: Option<f64>,
    /// The greatest number, or the greatest length.
    pub max: Option<f64>,
    /// Whether it is kept out of records and messages.
    pub sensitive: bool,
}

/// What a variable must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableType {
    /// A text.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A list.
    List,
    /// A map.
    Map,
}

impl VariableType {
    const NAMES: [(&'static str, Self); 5] = [
        ("string", Self::String),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("list", Self::List),
        ("map", Self::Map),
    ];

    /// Names it in the words of a stack file.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, ty)| *ty == self)
            .map_or("", |(name, _)| name)
    }
}

/// A value given to a variable from outside the stack file.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The variable.
    pub name: String,
    /// The value; a text from the command line is read as the type asks.
    pub given: Given,
}

/// Where a setting comes from.
#[derive(Clone, Debug)]
pub enum Given {
    /// A text, from a flag or the environment; `from` names which.
    Text {
        /// The text.
        text: String,
        /// `--var` or `WASMCTL_VAR_name`.
        from: String,
        /// Whether a name that the stack does not know is an error.
        strict: bool,
    },
    /// A value in a file.
    File {
        /// The value.
        value: Json,
        /// Where it stands.
        span: Span,
        /// Whether a name that the stack does not know is an error.
        strict: bool,
    },
}

const FIELDS: &[&str] = &[
    "type",
    "default",
    "description",
    "one_of",
    "pattern",
    "min",
    "max",
    "sensitive",
];

/// Reads `variables:`.
pub(super) fn read_all(
    document: &Document,
    node: &Node,
    variables: &mut IndexMap<String, Variable>,
    problems: &mut Diagnostics,
) {
    let Some(mut fields) = Fields::open(document, node, "`variables`", problems) else {
        return;
    };
    for (key, node) in fields.rest() {
        let at = document.span(key.range());
        if !crate::id::is_name(&key.text) {
            problems.push(super::load::bad_name("variable", &key.text, &at));
            continue;
        }
        if let Some(other) = variables.get(&key.text) {
            problems.push(super::load::twice("variable", &key.text, &at, &other.span));
            continue;
        }
        if let Some(variable) = read(document, node, at, problems) {
            variables.insert(key.text.clone(), variable);
        }
    }
}

fn read(document: &Document, node: &Node, at: Span, problems: &mut Diagnostics) -> Option<Variable> {
    let mut fields = Fields::open(document, node, "a variable", problems)?;
    let ty = match fields.text("type", problems) {
        None => VariableType::String,
        Some(word) => match VariableType::NAMES.iter().find(|(name, _)| *name == *word) {
            Some((_, ty)) => *ty,
            None => {
                let names = VariableType::NAMES.map(|(name, _)| name);
                let help = match did_you_mean(&word, names) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("a variable is a {}", names.join(", ")),
                };
                problems.push(
                    Diagnostic::error("variable-type", format!("there is no type `{}`", word.value))
                        .at(&word.span, "unknown type")
                        .help(help),
                );
                return None;
            }
        },
    };
    let pattern = fields
        .text("pattern", problems)
        .and_then(|text| match Regex::new(&text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let reason = error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned();
                problems.push(
                    Diagnostic::error("pattern", format!("the pattern is no regular expression: {reason}"))
                        .at(&text.span, "here"),
                );
                None
            }
        });
    let default_node = fields.take("default");
    let variable = Variable {
        span: at,
        ty,
        description: fields.text("description", problems).map(|text| text.value),
        default: default_node.map(Node::to_json).filter(|json| !json.is_null()),
        one_of: fields
            .list("one_of", problems)
            .unwrap_or_default()
            .iter()
            .map(Node::to_json)
            .collect(),
        pattern,
        min: fields.number("min", problems),
        max: fields.number("max", problems),
        sensitive: fields.flag("sensitive", problems),
    };
    fields.finish(FIELDS, problems);
    if let (Some(default), Some(node)) = (&variable.default, default_node)
        && let Err(reason) = variable.check(default)
    {
        problems.push(
            Diagnostic::error("variable-value", format!("the default {reason}"))
                .at(&span(document, node), "this default"),
        );
    }
    Some(variable)
}

impl Variable {
    /// Finds what is wrong with a value: `takes a number, not a string`.
    fn check(&self, value: &Json) -> Result<(), String> {
        let shown = || {
            if self.sensitive {
                "the value".to_owned()
            } else {
                value.to_string()
            }
        };
        let fits = match self.ty {
            VariableType::String => value.is_string(),
            VariableType::Number => value.is_number(),
            VariableType::Bool => value.is_boolean(),
            VariableType::List => value.is_array(),
            VariableType::Map => value.is_object(),
        };
        if !fits {
            return Err(format!(
                "is a {}, but the variable takes a {}",
                json_type_name(value),
                self.ty.name()
            ));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(value) {
            let all = self.one_of.iter().map(Json::to_string).collect::<Vec<_>>().join(", ");
            return Err(format!("{} is none of {all}", shown()));
        }
        if let (Some(pattern), Json::String(text)) = (&self.pattern, value)
            && !pattern.is_match(text)
        {
            return Err(format!("{} does not match `{pattern}`", shown()));
        }
        let (size, unit) = match value {
            Json::Number(number) => (number.as_f64().unwrap_or(f64::NAN), ""),
            #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
            Json::String(text) => (text.chars().count() as f64, " characters"),
            #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
            Json::Array(items) => (items.len() as f64, " items"),
            #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
            Json::Object(entries) => (entries.len() as f64, " entries"),
            _ => return Ok(()),
        };
        let what = if unit.is_empty() {
            shown()
        } else {
            format!("has {size}{unit}, which")
        };
        match (self.min, self.max) {
            (Some(min), _) if size < min => Err(format!("{what} is less than {min}")),
            (_, Some(max)) if size > max => Err(format!("{what} is more than {max}")),
            _ => Ok(()),
        }
    }

    fn read_text(&self, text: &str) -> Result<Json, String> {
        match self.ty {
            VariableType::String => Ok(Json::String(text.to_owned())),
            _ => {
                let source = Arc::new(Source {
                    name: "value".to_owned(),
                    text: text.to_owned(),
                    path: None,
                });
                Document::parse(source)
                    .map(|document| document.root.to_json())
                    .map_err(|_| format!("is not a {} as YAML writes it", self.ty.name()))
            }
        }
    }
}

/// Reads a file of settings: a map of names to values.
pub(super) fn read_settings(
    document: &Document,
    strict: bool,
    settings: &mut Vec<Setting>,
    problems: &mut Diagnostics,
) {
    match &document.root.content {
        Content::Map(entries) => {
            for (key, node) in entries {
                let given = Given::File {
                    value: node.to_json(),
                    span: document.span(node.range()),
                    strict,
                };
                settings.push(Setting {
                    name: key.text.clone(),
                    given,
                });
            }
        }
        Content::Scalar(Json::Null) => {}
        _ => problems.push(super::fields::mismatch(
            document,
            &document.root,
            "a file of variables",
            "map",
        )),
    }
}

/// Gives every variable its value: the last setting wins, then the default.
pub(super) fn resolve(
    variables: &IndexMap<String, Variable>,
    settings: &[Setting],
    problems: &mut Diagnostics,
) -> BTreeMap<String, Value> {
    let mut last: BTreeMap<&str, &Setting> = BTreeMap::new();
    for setting in settings {
        if variables.contains_key(&setting.name) {
            last.insert(&setting.name, setting);
        } else {
            unknown(setting, variables, problems);
        }
    }
    let mut values = BTreeMap::new();
    for (name, variable) in variables {
        let found = match last.get(name.as_str()) {
            None => match &variable.default {
                Some(default) => Ok(default.clone()),
                None => {
                    let help = format!("set it with `--var {name}=…`, `WASMCTL_VAR_{name}=…` or in `env/<env>.yaml`");
                    let what = variable
                        .description
                        .as_deref()
                        .map(|text| format!(": {text}"))
                        .unwrap_or_default();
                    problems.push(
                        Diagnostic::error("variable-missing", format!("the variable `{name}` has no value{what}"))
                            .at(&variable.span, "declared here without a default")
                            .help(help),
                    );
                    continue;
                }
            },
            Some(Setting {
                given: Given::Text { text, from, .. },
                ..
            }) => variable
                .read_text(text)
                .and_then(|value| variable.check(&value).map(|()| value))
                .map_err(|reason| {
                    Diagnostic::error("variable-value", format!("`{name}` from {from} {reason}"))
                        .at(&variable.span, "declared here")
                }),
            Some(Setting {
                given: Given::File { value, span, .. },
                ..
            }) => variable.check(value).map(|()| value.clone()).map_err(|reason| {
                Diagnostic::error("variable-value", format!("the value of `{name}` {reason}")).at(span, "this value")
            }),
        };
        match found {
            Ok(value) if variable.sensitive => {
                values.insert(name.clone(), Value::Secret(value));
            }
            Ok(value) => {
                values.insert(name.clone(), Value::Known(value));
            }
            Err(problem) => problems.push(problem),
        }
    }
    values
}

fn unknown(setting: &Setting, variables: &IndexMap<String, Variable>, problems: &mut Diagnostics) {
    let near = did_you_mean(&setting.name, variables.keys().map(String::as_str));
    let help = match near {
        Some(word) => format!("did you mean `{word}`?"),
        None if variables.is_empty() => "it has no variables".to_owned(),
        None => format!("it has {}", variables.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    let summary = format!("the stack has no variable `{}`", setting.name);
    match &setting.given {
        Given::Text { strict: true, from, .. } => {
            problems.push(Diagnostic::error("unknown-variable", format!("{summary}, but {from} sets it")).help(help));
        }
        Given::File { strict: true, span, .. } => {
            problems.push(
                Diagnostic::error("unknown-variable", summary)
                    .at(span, "set here")
                    .help(help),
            );
        }
        // Files of an environment serve several stacks; only what looks like a slip is worth a word.
        Given::File { span, .. } if near.is_some() => {
            problems.push(
                Diagnostic::warning("unknown-variable", summary)
                    .at(span, "set here")
                    .help(help),
            );
        }
        _ => {}
    }
}
