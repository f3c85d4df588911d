//! Values on the way from a stack file to a provider: known, secret, or known only after apply.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value as Json;
use sha2::Sha256;

use crate::id::{Lineage, hex};

/// A value of which parts may be secret or not known yet.
///
/// `List` and `Map` hold at least one part that is not plainly known; what is all known is `Known`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known, and free to be shown.
    Known(Json),
    /// Known, and never to be shown or recorded.
    Secret(Json),
    /// Known after apply.
    Unknown,
    /// A list with such a part.
    List(Vec<Value>),
    /// A map with such a part.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Joins items; all known gives a known list.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        if items.iter().all(|item| matches!(item, Self::Known(_))) {
            Self::Known(items.into_iter().filter_map(Self::into_known).collect())
        } else {
            Self::List(items)
        }
    }

    /// Joins entries; all known gives a known map.
    #[must_use]
    pub fn map(entries: BTreeMap<String, Self>) -> Self {
        if entries.values().all(|value| matches!(value, Self::Known(_))) {
            Self::Known(
                entries
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value.into_known()?)))
                    .collect(),
            )
        } else {
            Self::Map(entries)
        }
    }

    fn into_known(self) -> Option<Json> {
        match self {
            Self::Known(json) => Some(json),
            _ => None,
        }
    }

    /// Whether every part is known, secret or not.
    #[must_use]
    pub fn is_known(&self) -> bool {
        match self {
            Self::Known(_) | Self::Secret(_) => true,
            Self::Unknown => false,
            Self::List(items) => items.iter().all(Self::is_known),
            Self::Map(entries) => entries.values().all(Self::is_known),
        }
    }

    /// Whether any part is secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Known(_) | Self::Unknown => false,
            Self::Secret(_) => true,
            Self::List(items) => items.iter().any(Self::has_secret),
            Self::Map(entries) => entries.values().any(Self::has_secret),
        }
    }

    /// Returns the value with its secrets, for a provider; `None` while a part is unknown.
    #[must_use]
    pub fn reveal(&self) -> Option<Json> {
        match self {
            Self::Known(json) | Self::Secret(json) => Some(json.clone()),
            Self::Unknown => None,
            Self::List(items) => items
                .iter()
                .map(Self::reveal)
                .collect::<Option<Vec<_>>>()
                .map(Json::Array),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.clone(), value.reveal()?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Json::Object),
        }
    }

    /// Returns the value as it may be recorded; `None` while a part is unknown.
    #[must_use]
    pub fn sealed(&self, seal: &Seal) -> Option<Json> {
        match self {
            Self::Known(json) => Some(json.clone()),
            Self::Secret(json) => Some(Json::String(seal.mark(json))),
            Self::Unknown => None,
            Self::List(items) => items
                .iter()
                .map(|item| item.sealed(seal))
                .collect::<Option<Vec<_>>>()
                .map(Json::Array),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.clone(), value.sealed(seal)?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Json::Object),
        }
    }

    /// Returns a member of a map; what is secret stays secret, what is unknown stays unknown.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<Self> {
        match self {
            Self::Known(json) => json.get(key).cloned().map(Self::Known),
            Self::Secret(json) => json.get(key).cloned().map(Self::Secret),
            Self::Unknown => Some(Self::Unknown),
            Self::List(_) => None,
            Self::Map(entries) => entries.get(key).cloned(),
        }
    }

    /// Returns an item of a list.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Self> {
        match self {
            Self::Known(json) => json.get(index).cloned().map(Self::Known),
            Self::Secret(json) => json.get(index).cloned().map(Self::Secret),
            Self::Unknown => Some(Self::Unknown),
            Self::Map(_) => None,
            Self::List(items) => items.get(index).cloned(),
        }
    }

    /// Marks every part as secret.
    #[must_use]
    pub fn into_secret(self) -> Self {
        match self {
            Self::Known(json) | Self::Secret(json) => Self::Secret(json),
            Self::Unknown => Self::Unknown,
            Self::List(items) => Self::List(items.into_iter().map(Self::into_secret).collect()),
            Self::Map(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, value.into_secret()))
                    .collect(),
            ),
        }
    }

    /// Marks the texts that are or hold one of `secrets`.
    #[must_use]
    pub fn tainted(self, secrets: &[String]) -> Self {
        if secrets.is_empty() {
            return self;
        }
        match self {
            Self::Known(Json::String(text)) if secrets.iter().any(|secret| holds(&text, secret)) => {
                Self::Secret(Json::String(text))
            }
            Self::Known(Json::Number(number)) if secrets.contains(&number.to_string()) => {
                Self::Secret(Json::Number(number))
            }
            Self::Known(Json::Array(items)) => Self::list(
                items
                    .into_iter()
                    .map(|item| Self::Known(item).tainted(secrets))
                    .collect(),
            ),
            Self::Known(Json::Object(entries)) => Self::map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, Self::Known(value).tainted(secrets)))
                    .collect(),
            ),
            Self::List(items) => Self::List(items.into_iter().map(|item| item.tainted(secrets)).collect()),
            Self::Map(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, value.tainted(secrets)))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Collects the secret strings, so that they can be kept out of messages.
    pub fn secrets_into(&self, found: &mut Vec<String>) {
        match self {
            Self::Known(_) | Self::Unknown => {}
            Self::Secret(json) => strings_into(json, found),
            Self::List(items) => items.iter().for_each(|item| item.secrets_into(found)),
            Self::Map(entries) => entries.values().for_each(|value| value.secrets_into(found)),
        }
    }

    /// Counts about how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        fn plain(json: &Json) -> usize {
            match json {
                Json::String(text) => 8 + text.len(),
                Json::Array(items) => 8 + items.iter().map(plain).sum::<usize>(),
                Json::Object(entries) => {
                    8 + entries
                        .iter()
                        .map(|(key, value)| key.len() + plain(value))
                        .sum::<usize>()
                }
                _ => 8,
            }
        }
        match self {
            Self::Known(json) | Self::Secret(json) => plain(json),
            Self::Unknown => 8,
            Self::List(items) => 8 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Map(entries) => {
                8 + entries
                    .iter()
                    .map(|(key, value)| key.len() + value.weight())
                    .sum::<usize>()
            }
        }
    }

    /// Names the type in the words of a stack file.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Known(json) | Self::Secret(json) => json_type_name(json),
            Self::Unknown => "value known after apply",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}

fn strings_into(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::String(text) => found.push(text.clone()),
        Json::Number(number) => found.push(number.to_string()),
        Json::Array(items) => items.iter().for_each(|item| strings_into(item, found)),
        Json::Object(entries) => entries.values().for_each(|value| strings_into(value, found)),
        Json::Null | Json::Bool(_) => {}
    }
}

/// Names the type of a plain value in the words of a stack file.
#[must_use]
pub fn json_type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "nothing",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "map",
    }
}

/// Writes a plain value for a message: the beginning of it, where it is long.
#[must_use]
pub fn shown(json: &Json) -> String {
    crate::diagnostic::shortened(json.to_string(), 80)
}

/// What stands in records in place of a secret.
const MARK: &str = "secret:hmac-sha256:";

/// Replaces secrets by marks that only say whether two of them are the same.
///
/// The mark is an HMAC under the lineage of the state: equal secrets of one state have equal marks,
/// so that a change is seen, and no table made for another state helps against them.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// Makes the seal of a state.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn of(lineage: &Lineage) -> Self {
        Self(Hmac::new_from_slice(lineage.as_str().as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// Returns the mark of a secret.
    #[must_use]
    pub fn mark(&self, secret: &Json) -> String {
        let mut mac = self.0.clone();
        mac.update(secret.to_string().as_bytes());
        format!("{MARK}{}", hex(&mac.finalize().into_bytes()[..16]))
    }

    /// Puts the secrets of `wanted` back where `recorded` holds their marks; other marks stay.
    #[must_use]
    pub fn restored(&self, recorded: &Json, wanted: &Value) -> Json {
        match (recorded, wanted) {
            (Json::String(text), Value::Secret(secret)) if is_mark(text) && *text == self.mark(secret) => {
                secret.clone()
            }
            (Json::Array(items), Value::List(parts)) if items.len() == parts.len() => items
                .iter()
                .zip(parts)
                .map(|(item, part)| self.restored(item, part))
                .collect(),
            (Json::Object(entries), Value::Map(parts)) => entries
                .iter()
                .map(|(key, value)| match parts.get(key) {
                    Some(part) => (key.clone(), self.restored(value, part)),
                    None => (key.clone(), value.clone()),
                })
                .collect(),
            _ => recorded.clone(),
        }
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Shorter secrets are only found as whole strings: as parts they would blot out ordinary text.
const SHORTEST_PART: usize = 4;

fn holds(text: &str, secret: &str) -> bool {
    !secret.is_empty() && (text == secret || (secret.len() >= SHORTEST_PART && text.contains(secret)))
}

/// Replaces secrets in a text for people.
#[must_use]
pub fn without_secrets(text: &str, secrets: &[String]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_PART) {
        if clean.contains(secret.as_str()) {
            clean = clean.replace(secret.as_str(), "(sensitive)");
        }
    }
    clean
}

/// Whether a recorded string stands for a secret.
#[must_use]
pub fn is_mark(text: &str) -> bool {
    text.starts_with(MARK)
}

/// Reads a recorded value: marks become unknown, because the secret itself is not there.
#[must_use]
pub fn from_record(json: &Json) -> Value {
    if !holds_mark(json) {
        return Value::Known(json.clone());
    }
    match json {
        Json::Array(items) => Value::list(items.iter().map(from_record).collect()),
        Json::Object(entries) => Value::map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), from_record(value)))
                .collect(),
        ),
        _ => Value::Unknown,
    }
}

/// Whether any part of a recorded value stands for a secret.
#[must_use]
pub fn holds_mark(json: &Json) -> bool {
    match json {
        Json::String(text) => is_mark(text),
        Json::Array(items) => items.iter().any(holds_mark),
        Json::Object(entries) => entries.values().any(holds_mark),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seal() -> Seal {
        Seal::of(&Lineage::new("test"))
    }

    #[test]
    fn a_secret_is_recorded_as_a_mark_and_restored_from_the_same_secret_only() {
        let wanted = Value::map(BTreeMap::from([
            ("user".to_owned(), Value::Known(json!("ada"))),
            ("password".to_owned(), Value::Secret(json!("hunter22"))),
        ]));
        let recorded = wanted.sealed(&seal()).unwrap();
        assert!(!recorded.to_string().contains("hunter22"));
        assert_eq!(
            seal().restored(&recorded, &wanted),
            json!({"user": "ada", "password": "hunter22"})
        );
        let other = Value::map(BTreeMap::from([("password".to_owned(), Value::Secret(json!("other")))]));
        assert_eq!(seal().restored(&recorded, &other), recorded);
        assert!(!from_record(&recorded).is_known());
    }

    #[test]
    fn outputs_that_hold_a_secret_are_sealed_by_value() {
        let secrets = vec!["hunter22".to_owned(), "ab".to_owned()];
        let outputs = Value::Known(json!({"url": "http://u:hunter22@h", "x": "ab", "y": "abc"}));
        let sealed = outputs.tainted(&secrets).sealed(&seal()).unwrap();
        assert!(is_mark(sealed["url"].as_str().unwrap()));
        assert!(is_mark(sealed["x"].as_str().unwrap()));
        assert_eq!(sealed["y"], "abc");
        assert_eq!(without_secrets("no hunter22 here", &secrets), "no (sensitive) here");
    }
}
