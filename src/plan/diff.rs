//! How two values differ, field by field. Pure.

use serde_json::Value as Json;

use super::{FieldChange, Shown};
use crate::kind::{Shape, Type, join};
use crate::value::{Seal, Value, is_mark};

/// Compares what is recorded (secrets sealed) with what is wanted.
#[must_use]
pub fn diff(before: &Json, after: &Value, shape: &Shape, seal: &Seal) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let walk = Walk { seal };
    walk.compare("", Some(before), Some(after), Some(shape), false, &mut changes);
    changes
}

/// Lists all fields of something that is to be made.
#[must_use]
pub(super) fn all_new(after: &Value, seal: &Seal) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let walk = Walk { seal };
    for (key, value) in entries(after) {
        walk.compare(&join("", &key), None, Some(&value), None, false, &mut changes);
    }
    changes
}

/// Lists all fields of something that is to go.
#[must_use]
pub(super) fn all_gone(before: &Json) -> Vec<FieldChange> {
    let Json::Object(entries) = before else {
        return Vec::new();
    };
    let gone = |(key, value): (&String, &Json)| FieldChange {
        path: join("", key),
        before: shown_record(value),
        after: Shown::Absent,
        replaces: false,
    };
    entries.iter().map(gone).collect()
}

struct Walk<'a> {
    seal: &'a Seal,
}

impl Walk<'_> {
    fn compare(
        &self,
        path: &str,
        before: Option<&Json>,
        after: Option<&Value>,
        shape: Option<&Shape>,
        replaces: bool,
        changes: &mut Vec<FieldChange>,
    ) {
        // Secrets compare by their marks, so neither side is ever revealed.
        if let (Some(before), Some(after)) = (before, after)
            && self.same(before, after)
        {
            return;
        }
        let is_map =
            |value: Option<&Value>| matches!(value, None | Some(Value::Map(_) | Value::Known(Json::Object(_))));
        let descend = matches!(before, Some(Json::Object(_)))
            && after.is_some()
            && is_map(after)
            && !matches!(shape.map(|shape| &shape.ty), Some(Type::Any));
        if descend {
            let Some(Json::Object(old)) = before else { return };
            let new = after.map(entries).unwrap_or_default();
            let mut keys: Vec<&String> = old.keys().chain(new.iter().map(|(key, _)| key)).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let (inner, marked) = match shape.map(|shape| &shape.ty) {
                    Some(Type::Struct(fields)) => {
                        let field = fields.get(key);
                        (
                            field.map(|field| &field.shape),
                            field.is_some_and(|field| field.replaces),
                        )
                    }
                    Some(Type::Map(values)) => (Some(values.as_ref()), false),
                    _ => (None, false),
                };
                let wanted = new.iter().find(|(name, _)| name == key).map(|(_, value)| value);
                self.compare(
                    &join(path, key),
                    old.get(key),
                    wanted,
                    inner,
                    replaces || marked,
                    changes,
                );
            }
            return;
        }
        // A list of maps, one long and often alike: what differs in it is shown, not the whole.
        if let (Some(Json::Array(old)), Some(new)) = (before, after.and_then(items))
            && !matches!(shape.map(|shape| &shape.ty), Some(Type::Any))
            && old.len() == new.len()
            && old.iter().all(Json::is_object)
            && new.iter().all(|item| is_map(Some(item)))
        {
            let inner = match shape.map(|shape| &shape.ty) {
                Some(Type::List(inner)) => Some(inner.as_ref()),
                _ => None,
            };
            for (index, (old, new)) in old.iter().zip(&new).enumerate() {
                let path = format!("{path}[{index}]");
                self.compare(&path, Some(old), Some(new), inner, replaces, changes);
            }
            return;
        }
        changes.push(FieldChange {
            path: path.to_owned(),
            before: before.map_or(Shown::Absent, shown_record),
            after: after.map_or(Shown::Absent, shown),
            replaces,
        });
    }

    fn same(&self, before: &Json, after: &Value) -> bool {
        match after {
            Value::Known(json) => same_json(before, json),
            Value::Secret(json) => before.as_str().is_some_and(|mark| mark == self.seal.mark(json)),
            Value::Unknown => false,
            Value::List(items) => match before {
                Json::Array(old) => {
                    old.len() == items.len() && old.iter().zip(items).all(|(old, new)| self.same(old, new))
                }
                _ => false,
            },
            Value::Map(entries) => match before {
                Json::Object(old) => {
                    old.len() == entries.len()
                        && entries
                            .iter()
                            .all(|(key, new)| old.get(key).is_some_and(|old| self.same(old, new)))
                }
                _ => false,
            },
        }
    }
}

/// Compares plain values; a number is the same however it is spelled (`1` and `1.0`).
fn same_json(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_json(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same_json(left, right)))
        }
        _ => left == right,
    }
}

fn entries(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Known(Json::Object(entries)) => entries
            .iter()
            .map(|(key, value)| (key.clone(), Value::Known(value.clone())))
            .collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        _ => Vec::new(),
    }
}

fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Known(Json::Array(items)) => Some(items.iter().cloned().map(Value::Known).collect()),
        Value::List(items) => Some(items.clone()),
        _ => None,
    }
}

fn shown_record(json: &Json) -> Shown {
    match json {
        Json::String(text) if is_mark(text) => Shown::Secret,
        json if crate::value::holds_mark(json) => Shown::Secret,
        json => Shown::Known(json.clone()),
    }
}

/// Shows a value, or says why not.
#[must_use]
pub fn shown(value: &Value) -> Shown {
    match value {
        Value::Known(json) => Shown::Known(json.clone()),
        Value::Secret(_) => Shown::Secret,
        value if value.has_secret() => Shown::Secret,
        _ => Shown::Unknown,
    }
}

/// Reads what a provider reports in the light of the record: where that holds a secret, so does this.
#[must_use]
pub fn observed(live: Json, recorded: &Json, seal: &Seal) -> Json {
    match (live, recorded) {
        // A provider that keeps nothing of its own says the record back.
        (Json::String(live), Json::String(mark)) if live == *mark => Json::String(live),
        (live, Json::String(mark)) if is_mark(mark) => Json::String(seal.mark(&live)),
        (Json::Object(entries), Json::Object(old)) => entries
            .into_iter()
            .map(|(key, value)| match old.get(&key) {
                Some(old) => {
                    let value = observed(value, old, seal);
                    (key, value)
                }
                None => (key, value),
            })
            .collect(),
        (Json::Array(items), Json::Array(old)) if items.len() == old.len() => items
            .into_iter()
            .zip(old)
            .map(|(item, old)| observed(item, old, seal))
            .collect(),
        (live, _) => live,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::Lineage;

    fn paths(before: &Json, after: Json) -> Vec<String> {
        let shape = |ty| Shape { ty, nullable: true };
        let item = shape(Type::Map(Box::new(shape(Type::Any))));
        let shape = shape(Type::Map(Box::new(shape(Type::List(Box::new(item))))));
        let seal = Seal::of(&Lineage::new("test"));
        let changes = diff(before, &Value::Known(after), &shape, &seal);
        changes.into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn a_list_of_maps_is_compared_item_by_item() {
        let before = json!({"groups": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]});
        let after = json!({"groups": [{"name": "a", "weight": 8}, {"name": "b", "weight": 1}]});
        assert_eq!(paths(&before, after), ["groups[0].weight"]);
        // Where their number differs, none is the other one's successor.
        assert_eq!(
            paths(&before, json!({"groups": [{"name": "a", "weight": 1}]})),
            ["groups"]
        );
        assert_eq!(paths(&json!({"args": [1, 2]}), json!({"args": [1, 3]})), ["args"]);
    }
}
