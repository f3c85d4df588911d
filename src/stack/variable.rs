//! Variables: what they may be, and where their values come from.

use std::collections::{BTreeMap, BTreeSet};
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

    /// Names the type of what is written.
    fn of(content: &Content) -> Self {
        match content {
            Content::Scalar(Json::Number(_)) => Self::Number,
            Content::Scalar(Json::Bool(_)) => Self::Bool,
            Content::Scalar(_) => Self::String,
            Content::List(_) => Self::List,
            Content::Map(_) => Self::Map,
        }
    }

    fn takes(self, value: &Json) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Map => value.is_object(),
        }
    }

    /// Says how a value of this type is written on the command line.
    fn example(self) -> &'static str {
        match self {
            Self::String => "write a text",
            Self::Number => "write a number such as `3` or `0.5`",
            Self::Bool => "write `true` or `false`",
            Self::List => "write a list as `[a, b]`",
            Self::Map => "write a map as `{ a: 1, b: 2 }`, with blanks after the colons",
        }
    }

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
    broken: &mut BTreeSet<String>,
    problems: &mut Diagnostics,
) {
    let Some(mut fields) = Fields::open(document, node, "`variables`", problems) else {
        return;
    };
    for (key, node) in fields.rest() {
        let at = document.span(key.range());
        if !crate::id::is_name(&key.text) {
            problems.push(super::load::bad_name("a variable", &key.text, &at));
            continue;
        }
        if let Some(other) = variables.get(&key.text) {
            problems.push(super::load::twice("a variable", &key.text, &at, &other.span));
            continue;
        }
        let mut found = Diagnostics::default();
        match read(document, node, &key.text, at, &mut found) {
            Some(variable) if found.0.is_empty() => {
                variables.insert(key.text.clone(), variable);
            }
            _ => {
                broken.insert(key.text.clone());
            }
        }
        problems.extend(found.0);
    }
}

/// Finds the type that a word of another language was meant to be.
fn likely_type(word: &str) -> Option<&'static str> {
    match word.to_lowercase().as_str() {
        "int" | "integer" | "float" | "double" | "i64" | "u16" | "u32" | "u64" => Some("number"),
        "boolean" => Some("bool"),
        "str" | "text" => Some("string"),
        "array" | "set" | "tuple" | "seq" | "sequence" => Some("list"),
        "object" | "dict" | "mapping" | "hash" => Some("map"),
        lower => did_you_mean(lower, VariableType::NAMES.map(|(name, _)| name)),
    }
}

fn read(document: &Document, node: &Node, name: &str, at: Span, problems: &mut Diagnostics) -> Option<Variable> {
    if !matches!(node.content, Content::Map(_)) && !node.is_nothing() {
        let written = document.span(node.range());
        let help = match &node.content {
            Content::Scalar(Json::String(word)) if likely_type(word).is_some() => {
                format!("write `{name}: {{ type: {} }}`", likely_type(word).unwrap_or_default())
            }
            Content::Scalar(_) => format!("write `{name}: {{ default: {} }}`", written.text()),
            _ => format!("write `{name}: {{ default: … }}`"),
        };
        problems.push(super::fields::mismatch(document, node, &format!("the variable `{name}`"), "map").help(help));
        return None;
    }
    if node.is_nothing() {
        // Just a name: a text that must be given.
        return Some(Variable {
            span: at,
            ty: VariableType::String,
            description: None,
            default: None,
            one_of: Vec::new(),
            pattern: None,
            min: None,
            max: None,
            sensitive: false,
        });
    }
    let mut fields = Fields::open(document, node, "a variable", problems)?;
    let default_node = fields.take("default").filter(|node| !node.is_nothing());
    let ty = match fields.text("type", problems) {
        // What the default is, the variable takes.
        None => default_node.map_or(VariableType::String, |node| VariableType::of(&node.content)),
        Some(word) => match VariableType::NAMES.iter().find(|(name, _)| *name == *word) {
            Some((_, ty)) => *ty,
            None => {
                let help = match likely_type(&word) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => {
                        let names = VariableType::NAMES.map(|(name, _)| name);
                        format!("there are {}", names.join(", "))
                    }
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
    let one_of_nodes = fields.list("one_of", problems).unwrap_or_default();
    let variable = Variable {
        span: at,
        ty,
        description: fields.text("description", problems).map(|text| text.value),
        default: default_node.map(Node::to_json).filter(|json| !json.is_null()),
        one_of: one_of_nodes.iter().map(Node::to_json).collect(),
        pattern,
        min: fields.number("min", problems),
        max: fields.number("max", problems),
        sensitive: fields.flag("sensitive", problems),
    };
    fields.finish(FIELDS, problems);
    for node in one_of_nodes {
        if !variable.ty.takes(&node.to_json()) {
            problems.push(
                Diagnostic::error(
                    "variable-value",
                    format!(
                        "`one_of` lists a {}, but the variable takes a {}",
                        node.type_name(),
                        variable.ty.name()
                    ),
                )
                .at(&span(document, node), "this value"),
            );
        }
    }
    if let (Some(min), Some(max)) = (variable.min, variable.max)
        && min > max
    {
        problems.push(
            Diagnostic::error("range", format!("`min` is {min}, which is more than `max`, {max}"))
                .at(&variable.span, "no value fits this variable"),
        );
    } else if variable.pattern.is_some() && variable.ty != VariableType::String {
        problems.push(
            Diagnostic::error(
                "pattern",
                format!("only a string has a `pattern`, and this is a {}", variable.ty.name()),
            )
            .at(&variable.span, "this variable"),
        );
    } else if let (Some(default), Some(node)) = (&variable.default, default_node)
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
                "a secret".to_owned()
            } else {
                crate::value::shown(value)
            }
        };
        if !self.ty.takes(value) {
            let found = match value {
                Json::Null => "is empty".to_owned(),
                other => format!("is a {}", json_type_name(other)),
            };
            return Err(format!("{found}, but the variable takes a {}", self.ty.name()));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(value) {
            if self.sensitive {
                return Err("is none of those that are allowed".to_owned());
            }
            let all = self
                .one_of
                .iter()
                .map(crate::value::shown)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("is {}; it must be one of {all}", shown()));
        }
        if let (Some(pattern), Json::String(text)) = (&self.pattern, value)
            && !pattern.is_match(text)
        {
            return Err(format!("is {}, which does not match `{pattern}`", shown()));
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
            format!("is {}", shown())
        } else {
            #[expect(clippy::float_cmp, reason = "a count is a whole number")]
            let unit = if size == 1.0 {
                unit.trim_end_matches('s').replace("entrie", "entry")
            } else {
                unit.to_owned()
            };
            format!("has {size}{unit}")
        };
        match (self.min, self.max) {
            (Some(min), _) if size < min => Err(format!("{what}; the least is {min}")),
            (_, Some(max)) if size > max => Err(format!("{what}; the most is {max}")),
            _ => Ok(()),
        }
    }

    /// Says how a value that was refused should look.
    fn advice(&self, refused: &Json) -> Option<String> {
        if !self.ty.takes(refused) {
            return Some(self.ty.example().to_owned());
        }
        if let Json::String(text) = refused
            && !self.sensitive
            && let Some(near) = did_you_mean(text, self.one_of.iter().filter_map(Json::as_str))
        {
            return Some(format!("did you mean `{near}`?"));
        }
        self.description.clone()
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
                    .map_err(|_| format!("cannot be read as a {}", self.ty.name()))
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
    broken: &BTreeSet<String>,
    settings: &[Setting],
    problems: &mut Diagnostics,
) -> BTreeMap<String, Value> {
    let mut last: BTreeMap<&str, &Setting> = BTreeMap::new();
    for setting in settings {
        if broken.contains(&setting.name) {
            // What is wrong with its declaration was said.
        } else if variables.contains_key(&setting.name) {
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
                        .maybe_help(variable.advice(&variable.read_text(text).unwrap_or_default()))
                }),
            Some(Setting {
                given: Given::File { value, span, .. },
                ..
            }) => variable.check(value).map(|()| value.clone()).map_err(|reason| {
                Diagnostic::error("variable-value", format!("the value of `{name}` {reason}"))
                    .at(span, "this value")
                    .maybe_help(variable.advice(value))
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
