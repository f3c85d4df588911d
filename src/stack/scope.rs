//! What references resolve to: by path, never by materialising a whole collection.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::reference::{Reference, Root, Segment};
use crate::diagnostic::did_you_mean;
use crate::id::ResourceId;
use crate::value::Value;

/// The outputs of everything that has any, by resource.
#[derive(Debug, Default)]
pub struct Outputs(HashMap<Arc<str>, Instances>);

/// The outputs of one declared resource.
#[derive(Debug)]
pub enum Instances {
    /// Without `for_each`; `None` where `when` is false.
    One(Option<Value>),
    /// With `for_each`, by key.
    Many(BTreeMap<Arc<str>, Value>),
}

impl Outputs {
    /// Notes that a resource exists: without instances yet.
    pub fn declare(&mut self, name: &Arc<str>, many: bool) {
        let empty = if many {
            Instances::Many(BTreeMap::new())
        } else {
            Instances::One(None)
        };
        self.0.insert(Arc::clone(name), empty);
    }

    /// Sets the outputs of an instance.
    pub fn set(&mut self, id: &ResourceId, outputs: Value) {
        match (self.0.get_mut(&id.name), &id.key) {
            (Some(Instances::Many(all)), Some(key)) => {
                all.insert(Arc::clone(key), outputs);
            }
            (Some(Instances::One(one)), None) => *one = Some(outputs),
            (_, Some(key)) => {
                let all = BTreeMap::from([(Arc::clone(key), outputs)]);
                self.0.insert(Arc::clone(&id.name), Instances::Many(all));
            }
            (_, None) => {
                self.0.insert(Arc::clone(&id.name), Instances::One(Some(outputs)));
            }
        }
    }

    /// Returns the outputs of an instance.
    #[must_use]
    pub fn get(&self, id: &ResourceId) -> Option<&Value> {
        match (self.0.get(&id.name)?, &id.key) {
            (Instances::One(one), None) => one.as_ref(),
            (Instances::Many(all), Some(key)) => all.get(key),
            _ => None,
        }
    }
}

/// Key and value of an instance under `for_each`.
#[derive(Clone, Debug, PartialEq)]
pub struct Each {
    /// The key.
    pub key: Arc<str>,
    /// The value.
    pub value: Value,
}

/// Everything a reference can lead to.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `var`.
    pub variables: &'a BTreeMap<String, Value>,
    /// `stack`.
    pub stack: &'a Value,
    /// `on`.
    pub on: Option<&'a Value>,
    /// The resources.
    pub outputs: &'a Outputs,
    /// `each`.
    pub each: Option<&'a Each>,
}

/// A reference that leads nowhere.
#[derive(Debug)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What to write under the place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Whether a template may ask for it all the same (`if`, `default`).
    pub may_be_absent: bool,
}

impl Scope<'_> {
    /// Follows a reference; the resources it used go to `used`.
    ///
    /// # Errors
    /// Says where the way ends.
    pub fn resolve(&self, reference: &Reference, used: &mut Vec<ResourceId>) -> Result<Value, Trouble> {
        let (mut value, rest, mut way) = match &reference.root {
            Root::Variables => {
                let Some((name, rest)) = self.first(reference, used)? else {
                    return Ok(Value::map(self.variables.clone()));
                };
                let value = self
                    .variables
                    .get(&name)
                    .cloned()
                    .ok_or_else(|| no_member("var", &name, self.variables.keys().map(String::as_str)))?;
                (value, rest, format!("var.{name}"))
            }
            Root::Each => {
                let each = self.each.ok_or_else(|| Trouble {
                    message: "`each` has no meaning here".to_owned(),
                    label: "only resources with `for_each` have it".to_owned(),
                    help: None,
                    may_be_absent: false,
                })?;
                match self.first(reference, used)? {
                    Some((name, rest)) if name == "key" => (
                        Value::Known(Json::String(each.key.to_string())),
                        rest,
                        "each.key".to_owned(),
                    ),
                    Some((name, rest)) if name == "value" => (each.value.clone(), rest, "each.value".to_owned()),
                    Some((name, _)) => return Err(no_member("each", &name, ["key", "value"])),
                    None => {
                        let key = Value::Known(Json::String(each.key.to_string()));
                        let both = [("key".to_owned(), key), ("value".to_owned(), each.value.clone())];
                        return Ok(Value::map(BTreeMap::from(both)));
                    }
                }
            }
            Root::Stack => (self.stack.clone(), &reference.path[..], "stack".to_owned()),
            Root::On => {
                let on = self.on.ok_or_else(|| Trouble {
                    message: "`on` has no meaning here".to_owned(),
                    label: "this stack stands on no other".to_owned(),
                    help: Some("name the lower stack: `on: <stack>` at the top of the file".to_owned()),
                    may_be_absent: false,
                })?;
                (on.clone(), &reference.path[..], "on".to_owned())
            }
            Root::Resource(name) => match self.resource(name, reference, used)? {
                Followed::Rest(value, rest, way) => (value, rest, way),
                Followed::All(value) => return Ok(value),
            },
        };
        for segment in rest {
            let next = match self.segment(segment, used)? {
                Step::Key(key) => {
                    let next = value.member(&key).ok_or_else(|| no_member(&way, &key, keys(&value)))?;
                    way = crate::kind::join(&way, &key);
                    next
                }
                Step::Index(index) => {
                    let next = value.item(index).ok_or_else(|| Trouble {
                        message: format!("`{way}` has no item {index}"),
                        label: format!("it is a {}", value.type_name()),
                        help: None,
                        may_be_absent: true,
                    })?;
                    way = format!("{way}[{index}]");
                    next
                }
                Step::Unknown => return Ok(Value::Unknown),
            };
            value = next;
        }
        Ok(value)
    }

    /// Returns the path of a reference as plain keys, each `[reference]` replaced by its value.
    ///
    /// # Errors
    /// Says where the way ends.
    pub fn plain_path(&self, reference: &Reference, used: &mut Vec<ResourceId>) -> Result<Vec<String>, Trouble> {
        let mut names = vec![reference.root.to_string()];
        for segment in &reference.path {
            match self.segment(segment, used)? {
                Step::Key(key) => names.push(key),
                Step::Index(_) | Step::Unknown => break,
            }
        }
        Ok(names)
    }

    /// Returns the first key of the path and what follows.
    fn first<'r>(
        &self,
        reference: &'r Reference,
        used: &mut Vec<ResourceId>,
    ) -> Result<Option<(String, &'r [Segment])>, Trouble> {
        let Some((first, rest)) = reference.path.split_first() else {
            return Ok(None);
        };
        match self.segment(first, used)? {
            Step::Key(key) => Ok(Some((key, rest))),
            Step::Index(index) => Ok(Some((index.to_string(), rest))),
            Step::Unknown => Err(Trouble {
                message: format!("`{reference}` depends on a name that is known only after apply"),
                label: "which one is meant cannot be planned".to_owned(),
                help: None,
                may_be_absent: false,
            }),
        }
    }

    fn segment(&self, segment: &Segment, used: &mut Vec<ResourceId>) -> Result<Step, Trouble> {
        Ok(match segment {
            Segment::Key(key) => Step::Key(key.clone()),
            Segment::Index(index) => Step::Index(*index),
            Segment::Dynamic(inner) => match self.resolve(inner, used)? {
                Value::Unknown => Step::Unknown,
                Value::Known(Json::String(key)) | Value::Secret(Json::String(key)) => Step::Key(key),
                Value::Known(Json::Number(number)) => match number.as_u64() {
                    Some(index) => Step::Index(usize::try_from(index).unwrap_or(usize::MAX)),
                    None => Step::Key(number.to_string()),
                },
                other => {
                    return Err(Trouble {
                        message: format!(
                            "`{inner}` is a {}; only a string or a number can stand in brackets",
                            other.type_name()
                        ),
                        label: "here".to_owned(),
                        help: None,
                        may_be_absent: false,
                    });
                }
            },
        })
    }

    fn resource<'r>(
        &self,
        name: &Arc<str>,
        reference: &'r Reference,
        used: &mut Vec<ResourceId>,
    ) -> Result<Followed<'r>, Trouble> {
        match self.outputs.0.get(name) {
            Some(Instances::One(Some(outputs))) => {
                used.push(ResourceId::plain(Arc::clone(name)));
                Ok(Followed::Rest(
                    outputs.clone_cheaply(&reference.path),
                    &reference.path,
                    name.to_string(),
                ))
            }
            Some(Instances::One(None)) => Err(Trouble {
                message: format!("`{name}` does not exist: its `when` is false"),
                label: "needed here".to_owned(),
                help: Some("give this resource the same `when`, or use `default(..)` in a template".to_owned()),
                may_be_absent: true,
            }),
            Some(Instances::Many(all)) => match self.first(reference, used)? {
                None => {
                    used.push(ResourceId::plain(Arc::clone(name)));
                    let whole = all
                        .iter()
                        .map(|(key, value)| (key.to_string(), value.clone()))
                        .collect();
                    Ok(Followed::All(Value::map(whole)))
                }
                Some((key, rest)) => match all.get(key.as_str()) {
                    Some(outputs) => {
                        used.push(ResourceId::keyed(Arc::clone(name), key.as_str()));
                        Ok(Followed::Rest(
                            outputs.clone_cheaply(rest),
                            rest,
                            format!("{name}[{key}]"),
                        ))
                    }
                    None => Err(no_instance(name, &key, all)),
                },
            },
            None => Err(Trouble {
                message: format!("there is no resource `{name}`"),
                label: "needed here".to_owned(),
                help: None,
                may_be_absent: false,
            }),
        }
    }
}

enum Followed<'r> {
    Rest(Value, &'r [Segment], String),
    All(Value),
}

enum Step {
    Key(String),
    Index(usize),
    Unknown,
}

impl Value {
    /// Clones only the member that the path asks for first: outputs may be large.
    fn clone_cheaply(&self, path: &[Segment]) -> Self {
        let Some(Segment::Key(key)) = path.first() else {
            return self.clone();
        };
        match (self, self.member(key)) {
            (Self::Unknown, _) | (_, None) => self.clone(),
            (_, Some(member)) => Self::map(BTreeMap::from([(key.clone(), member)])),
        }
    }
}

fn keys(value: &Value) -> Vec<&str> {
    match value {
        Value::Known(Json::Object(entries)) => entries.keys().map(String::as_str).collect(),
        Value::Map(entries) => entries.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn no_member<'a>(way: &str, key: &str, known: impl IntoIterator<Item = &'a str>) -> Trouble {
    let known: Vec<&str> = known.into_iter().collect();
    let help = match did_you_mean(key, known.iter().copied()) {
        Some(word) => Some(format!("did you mean `{word}`?")),
        None if known.is_empty() => None,
        None => Some(format!(
            "it has {}",
            known.iter().take(20).copied().collect::<Vec<_>>().join(", ")
        )),
    };
    Trouble {
        message: format!("`{way}` has no `{key}`"),
        label: "needed here".to_owned(),
        help,
        may_be_absent: true,
    }
}

fn no_instance(name: &str, key: &str, all: &BTreeMap<Arc<str>, Value>) -> Trouble {
    let help = match did_you_mean(key, all.keys().map(AsRef::as_ref)) {
        Some(word) => format!("did you mean `{word}`?"),
        None if all.is_empty() => "it has no instances".to_owned(),
        None => {
            let some: Vec<&str> = all.keys().take(8).map(AsRef::as_ref).collect();
            let more = if all.len() > some.len() { ", …" } else { "" };
            format!("it has {}{more}", some.join(", "))
        }
    };
    Trouble {
        message: format!("`{name}` has no instance `{key}`"),
        label: "needed here".to_owned(),
        help: Some(help),
        may_be_absent: true,
    }
}
