//! The shape of inputs and outputs, read once from the types' JSON Schema.
//!
//! What can be said about a field stands on the field: its doc, range, pattern, default, and the
//! marks `x-replaces`, `x-sensitive`, `x-public`, `x-stable`. Checking, planning, help and the editor's
//! schema all read it here.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use regex::Regex;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::Problem;
use crate::diagnostic::did_you_mean;
use crate::value::{Value, json_type_name};

/// What a value must look like.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number {
        /// Whether it must be whole.
        whole: bool,
        /// The least that is allowed.
        min: Option<f64>,
        /// The most that is allowed.
        max: Option<f64>,
    },
    /// A text.
    String {
        /// What it must match.
        pattern: Option<Regex>,
        /// The only texts allowed, if any are listed.
        one_of: Vec<String>,
        /// The least number of characters.
        min_length: Option<u64>,
    },
    /// A list of one shape.
    List(Box<Shape>),
    /// A map from any key to one shape.
    Map(Box<Shape>),
    /// A map with these keys.
    Struct(IndexMap<String, Field>),
    /// One of several.
    Either(Vec<Shape>),
}

/// What a value must look like, and what it is.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The type.
    pub ty: Type,
    /// Whether nothing is allowed too.
    pub nullable: bool,
}

/// A named part of a map.
#[derive(Clone, Debug)]
pub struct Field {
    /// What it must look like.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when it is not there.
    pub default: Option<Json>,
    /// What it is for.
    pub doc: String,
    /// A change replaces the object.
    pub replaces: bool,
    /// Never recorded or shown.
    pub sensitive: bool,
    /// The system shows it to others, so it must hold no secret.
    pub public: bool,
    /// An update in place keeps it.
    pub stable: bool,
}

impl Shape {
    /// Reads the shape of a type.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Self::from_schema(settings.into_generator().into_root_schema_for::<T>().as_value())
    }

    fn from_schema(schema: &Json) -> Self {
        let any = Self {
            ty: Type::Any,
            nullable: true,
        };
        if schema.is_boolean() {
            return any;
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(variants) = schema.get(key).and_then(Json::as_array) {
                return Self::either(variants);
            }
        }
        if let Some(one) = schema.get("const").and_then(Json::as_str) {
            return Self::text(None, vec![one.to_owned()], None);
        }
        let (names, nullable) = match schema.get("type") {
            Some(Json::String(name)) => (vec![name.as_str()], false),
            Some(Json::Array(names)) => {
                let all: Vec<&str> = names.iter().filter_map(Json::as_str).collect();
                (
                    all.iter().copied().filter(|name| *name != "null").collect(),
                    all.contains(&"null"),
                )
            }
            _ => return any,
        };
        let number = |key: &str| schema.get(key).and_then(Json::as_f64);
        let ty = match names.as_slice() {
            ["boolean"] => Type::Bool,
            ["integer"] => Type::Number {
                whole: true,
                min: number("minimum"),
                max: number("maximum"),
            },
            ["number"] => Type::Number {
                whole: false,
                min: number("minimum"),
                max: number("maximum"),
            },
            ["string"] => {
                let one_of = schema
                    .get("enum")
                    .and_then(Json::as_array)
                    .map(|all| all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
                    .unwrap_or_default();
                let pattern = schema
                    .get("pattern")
                    .and_then(Json::as_str)
                    .and_then(|p| Regex::new(p).ok());
                Self::text(pattern, one_of, schema.get("minLength").and_then(Json::as_u64)).ty
            }
            ["array"] => Type::List(Box::new(schema.get("items").map_or(any, Self::from_schema))),
            ["object"] => Self::object(schema),
            _ => Type::Any,
        };
        Self { ty, nullable }
    }

    fn text(pattern: Option<Regex>, one_of: Vec<String>, min_length: Option<u64>) -> Self {
        Self {
            ty: Type::String {
                pattern,
                one_of,
                min_length,
            },
            nullable: false,
        }
    }

    fn either(variants: &[Json]) -> Self {
        let is_null = |schema: &Json| schema.get("type").and_then(Json::as_str) == Some("null");
        let nullable = variants.iter().any(is_null);
        let mut shapes: Vec<Self> = variants.iter().filter(|v| !is_null(v)).map(Self::from_schema).collect();
        // An enum whose variants have docs arrives as one `const` each.
        let mut words = Vec::new();
        for shape in &shapes {
            match &shape.ty {
                Type::String { one_of, .. } if !one_of.is_empty() => words.extend(one_of.iter().cloned()),
                _ => {
                    words.clear();
                    break;
                }
            }
        }
        if !words.is_empty() {
            return Self {
                nullable,
                ..Self::text(None, words, None)
            };
        }
        if shapes.len() == 1 {
            let only = shapes.remove(0);
            return Self {
                nullable: nullable || only.nullable,
                ..only
            };
        }
        Self {
            ty: Type::Either(shapes),
            nullable,
        }
    }

    fn object(schema: &Json) -> Type {
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            return match schema.get("additionalProperties") {
                Some(values) if values.is_object() => Type::Map(Box::new(Self::from_schema(values))),
                Some(Json::Bool(false)) => Type::Struct(IndexMap::new()),
                _ => Type::Map(Box::new(Self {
                    ty: Type::Any,
                    nullable: true,
                })),
            };
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Json::as_array)
            .map(|names| names.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        let fields = properties.iter().map(|(name, property)| {
            let mark = |key: &str| property.get(key).and_then(Json::as_bool).unwrap_or(false);
            let field = Field {
                shape: Self::from_schema(property),
                required: required.contains(&name.as_str()),
                default: property.get("default").filter(|default| !default.is_null()).cloned(),
                doc: property
                    .get("description")
                    .and_then(Json::as_str)
                    .unwrap_or_default()
                    .replace('\n', " "),
                replaces: mark("x-replaces"),
                sensitive: mark("x-sensitive"),
                public: mark("x-public"),
                stable: mark("x-stable"),
            };
            (name.clone(), field)
        });
        Type::Struct(fields.collect())
    }

    /// Returns the fields, if it is a map with named ones.
    #[must_use]
    pub fn fields(&self) -> Option<&IndexMap<String, Field>> {
        match &self.ty {
            Type::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    /// Describes the shape in the words of a stack file: `string`, `list of number`, `one of a, b`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.ty {
            Type::Any => "anything".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Number { whole, min, max } => {
                let noun = if *whole { "whole number" } else { "number" };
                match (min, max) {
                    (Some(min), Some(max)) => format!("{noun} from {min} to {max}"),
                    (Some(min), None) => format!("{noun} of at least {min}"),
                    (None, Some(max)) => format!("{noun} of at most {max}"),
                    (None, None) => noun.to_owned(),
                }
            }
            Type::String { one_of, .. } if !one_of.is_empty() => format!("one of {}", one_of.join(", ")),
            Type::String { .. } => "string".to_owned(),
            Type::List(items) => format!("list of {}", items.describe()),
            Type::Map(values) => format!("map of {}", values.describe()),
            Type::Struct(_) => "map".to_owned(),
            Type::Either(shapes) => shapes.iter().map(Self::describe).collect::<Vec<_>>().join(" or "),
        }
    }

    /// Finds what does not fit. What is not known yet fits everywhere.
    pub fn check(&self, value: &Value, path: &str, problems: &mut Vec<Problem>) {
        match value {
            Value::Unknown => {}
            Value::Known(json) => self.check_json(json, path, false, problems),
            Value::Secret(json) => self.check_json(json, path, true, problems),
            Value::List(items) => match &self.ty {
                Type::Any | Type::Either(_) => {}
                Type::List(shape) => {
                    for (index, item) in items.iter().enumerate() {
                        shape.check(item, &format!("{path}[{index}]"), problems);
                    }
                }
                _ => problems.push(self.mismatch("list", path)),
            },
            Value::Map(entries) => match &self.ty {
                Type::Any | Type::Either(_) => {}
                Type::Map(shape) => {
                    for (key, value) in entries {
                        shape.check(value, &join(path, key), problems);
                    }
                }
                Type::Struct(fields) => {
                    self.check_fields(fields, entries.keys().map(String::as_str), path, problems);
                    for (key, value) in entries {
                        if let Some(field) = fields.get(key) {
                            field.check(value, &join(path, key), problems);
                        }
                    }
                }
                _ => problems.push(self.mismatch("map", path)),
            },
        }
    }

    fn check_json(&self, json: &Json, path: &str, secret: bool, problems: &mut Vec<Problem>) {
        let shown = || {
            if secret {
                "a secret".to_owned()
            } else {
                crate::value::shown(json)
            }
        };
        match (&self.ty, json) {
            (_, Json::Null) if self.nullable => {}
            (Type::Any, _) | (Type::Bool, Json::Bool(_)) => {}
            (Type::Number { whole, min, max }, Json::Number(number)) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                let fits = (!whole || number.is_i64() || number.is_u64())
                    && min.is_none_or(|min| value >= min)
                    && max.is_none_or(|max| value <= max);
                if !fits {
                    let message = format!("is {}; it takes {}", shown(), self.with_article());
                    problems.push(Problem::new(path, message));
                }
            }
            (
                Type::String {
                    pattern,
                    one_of,
                    min_length,
                },
                Json::String(text),
            ) => {
                if !one_of.is_empty() && !one_of.contains(text) {
                    let help = did_you_mean(text, one_of.iter().map(String::as_str))
                        .map(|word| format!("did you mean `{word}`?"));
                    let message = format!("is {}; it takes {}", shown(), self.describe());
                    problems.push(Problem {
                        help,
                        ..Problem::new(path, message)
                    });
                } else if let Some(pattern) = pattern
                    && !pattern.is_match(text)
                {
                    problems.push(Problem::new(
                        path,
                        format!("is {}, which does not match `{pattern}`", shown()),
                    ));
                } else if min_length.is_some_and(|least| (text.chars().count() as u64) < least) {
                    problems.push(Problem::new(path, "is empty"));
                }
            }
            (Type::List(shape), Json::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    shape.check_json(item, &format!("{path}[{index}]"), secret, problems);
                }
            }
            (Type::Map(shape), Json::Object(entries)) => {
                for (key, value) in entries {
                    shape.check_json(value, &join(path, key), secret, problems);
                }
            }
            (Type::Struct(fields), Json::Object(entries)) => {
                self.check_fields(fields, entries.keys().map(String::as_str), path, problems);
                for (key, value) in entries {
                    if let Some(field) = fields.get(key) {
                        let value = if secret {
                            Value::Secret(value.clone())
                        } else {
                            Value::Known(value.clone())
                        };
                        field.check(&value, &join(path, key), problems);
                    }
                }
            }
            (Type::Either(shapes), _) => {
                let fits = shapes.iter().any(|shape| {
                    let mut found = Vec::new();
                    shape.check_json(json, path, secret, &mut found);
                    found.is_empty()
                });
                // Where only one of them could be meant, what is wrong inside it says more.
                let mut meant = shapes.iter().filter(|shape| shape.is_of_type(json));
                match (fits, meant.next(), meant.next()) {
                    (true, _, _) => {}
                    (false, Some(shape), None) => shape.check_json(json, path, secret, problems),
                    _ => problems.push(self.mismatch(json_type_name(json), path)),
                }
            }
            _ => problems.push(self.mismatch(json_type_name(json), path)),
        }
    }

    fn check_fields<'a>(
        &self,
        fields: &IndexMap<String, Field>,
        present: impl Iterator<Item = &'a str> + Clone,
        path: &str,
        problems: &mut Vec<Problem>,
    ) {
        let mut meant = Vec::new();
        for key in present.clone().filter(|key| !fields.contains_key(*key)) {
            let help = match did_you_mean(key, fields.keys().map(String::as_str)) {
                Some(word) => {
                    meant.push(word);
                    format!("did you mean `{word}`?")
                }
                None if fields.is_empty() => "it takes no fields".to_owned(),
                None => format!("it takes {}", fields.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            problems.push(Problem::new(join(path, key), format!("unknown field `{key}`")).help(help));
        }
        for (name, field) in fields.iter().filter(|(_, field)| field.required) {
            // What is there under a misspelled name is not missing as well.
            if !present.clone().any(|key| key == name) && !meant.contains(&name.as_str()) {
                let doc = if field.doc.is_empty() {
                    String::new()
                } else {
                    format!(": {}", field.doc)
                };
                let help = format!("`{name}` takes {}{doc}", field.shape.with_article());
                problems.push(Problem::new(path, format!("`{name}` is missing")).help(help));
            }
        }
    }

    fn mismatch(&self, found: &str, path: &str) -> Problem {
        let help = match (&self.ty, found) {
            (Type::String { .. }, "number" | "bool") => Some("put it in quotes".to_owned()),
            (Type::Number { .. } | Type::Bool, "string") => Some("write it without quotes".to_owned()),
            _ => None,
        };
        let message = match found {
            "nothing" => format!("has no value; it takes {}", self.with_article()),
            _ => format!("takes {}, not a {found}", self.with_article()),
        };
        Problem {
            help,
            ..Problem::new(path, message)
        }
    }

    /// Whether a value is of this type, whatever is inside it.
    fn is_of_type(&self, json: &Json) -> bool {
        match (&self.ty, json) {
            (Type::Any, _)
            | (Type::Bool, Json::Bool(_))
            | (Type::Number { .. }, Json::Number(_))
            | (Type::String { .. }, Json::String(_))
            | (Type::List(_), Json::Array(_))
            | (Type::Map(_) | Type::Struct(_), Json::Object(_)) => true,
            (Type::Either(shapes), _) => shapes.iter().any(|shape| shape.is_of_type(json)),
            _ => false,
        }
    }

    /// Describes the shape as a sentence does: `a string`, `a list of strings`, `one of a, b`.
    #[must_use]
    pub fn with_article(&self) -> String {
        match &self.ty {
            Type::Any => "any value".to_owned(),
            Type::Bool => "`true` or `false`".to_owned(),
            Type::Number { .. } | Type::Struct(_) => format!("a {}", self.describe()),
            Type::String { one_of, .. } if !one_of.is_empty() => self.describe(),
            Type::String { .. } => "a string".to_owned(),
            Type::List(items) => match items.plural() {
                Some(plural) => format!("a list of {plural}"),
                None => "a list".to_owned(),
            },
            Type::Map(values) => match values.plural() {
                Some(plural) => format!("a map of {plural}"),
                None => "a map".to_owned(),
            },
            Type::Either(shapes) => shapes.iter().map(Self::with_article).collect::<Vec<_>>().join(" or "),
        }
    }

    fn plural(&self) -> Option<&'static str> {
        match &self.ty {
            Type::Bool => Some("`true` or `false`"),
            Type::Number { whole: true, .. } => Some("whole numbers"),
            Type::Number { .. } => Some("numbers"),
            Type::String { .. } => Some("strings"),
            Type::List(_) => Some("lists"),
            Type::Map(_) | Type::Struct(_) => Some("maps"),
            Type::Any | Type::Either(_) => None,
        }
    }

    /// Fills in the defaults of fields that are not there, and drops those that are nothing.
    #[must_use]
    pub fn complete(&self, value: Value) -> Value {
        match &self.ty {
            Type::Struct(fields) => Self::complete_fields(fields, value),
            Type::List(items) if items.has_fields() => match value {
                Value::Known(Json::Array(values)) => Value::list(
                    values
                        .into_iter()
                        .map(|value| items.complete(Value::Known(value)))
                        .collect(),
                ),
                Value::List(values) => Value::list(values.into_iter().map(|value| items.complete(value)).collect()),
                other => other,
            },
            Type::Map(values) if values.has_fields() => match entries_of(value) {
                Ok(entries) => Value::map(
                    entries
                        .into_iter()
                        .map(|(key, value)| (key, values.complete(value)))
                        .collect(),
                ),
                Err(other) => other,
            },
            _ => value,
        }
    }

    /// Whether anything inside has named fields, and so may have defaults.
    fn has_fields(&self) -> bool {
        match &self.ty {
            Type::Struct(_) => true,
            Type::List(inner) | Type::Map(inner) => inner.has_fields(),
            _ => false,
        }
    }

    fn complete_fields(fields: &IndexMap<String, Field>, value: Value) -> Value {
        let mut entries = match entries_of(value) {
            Ok(entries) => entries,
            Err(other) => return other,
        };
        entries.retain(|key, value| {
            *value != Value::Known(Json::Null)
                || fields.get(key).is_some_and(|field| matches!(field.shape.ty, Type::Any))
        });
        for (name, field) in fields {
            match entries.remove(name) {
                Some(value) => {
                    let value = field.shape.complete(value);
                    let value = if field.sensitive { value.into_secret() } else { value };
                    entries.insert(name.clone(), value);
                }
                None => {
                    if let Some(default) = &field.default {
                        entries.insert(name.clone(), Value::Known(default.clone()));
                    }
                }
            }
        }
        Value::map(entries)
    }
}

/// Takes a map apart; anything else comes back as it is.
fn entries_of(value: Value) -> Result<BTreeMap<String, Value>, Value> {
    match value {
        Value::Map(entries) => Ok(entries),
        Value::Known(Json::Object(entries)) => Ok(entries
            .into_iter()
            .map(|(key, value)| (key, Value::Known(value)))
            .collect()),
        other => Err(other),
    }
}

impl Field {
    fn check(&self, value: &Value, path: &str, problems: &mut Vec<Problem>) {
        if self.public && value.has_secret() {
            problems.push(
                Problem::new(path, "holds a secret, but everybody on the machine can read it")
                    .help("hand secrets over in `env`"),
            );
        }
        if !self.required && *value == Value::Known(Json::Null) {
            return;
        }
        let before = problems.len();
        self.shape.check(value, path, problems);
        // What a pattern means is said by what the field is for.
        for problem in &mut problems[before..] {
            if problem.help.is_none() && problem.field == path && !self.doc.is_empty() {
                problem.help = Some(self.doc.clone());
            }
        }
    }
}

/// Appends a key to a path: `a.b`, or `a["x y"]` where the key is no name.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if !crate::id::is_name(key) {
        format!("{path}[{}]", Json::String(key.to_owned()))
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
        Large,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        name: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Inputs {
        /// The port.
        #[schemars(range(min = 1, max = 65535))]
        port: u16,
        #[schemars(extend("x-replaces" = true))]
        size: Option<Size>,
        #[serde(default)]
        inner: Vec<Inner>,
        #[serde(default = "yes")]
        on: bool,
    }

    fn yes() -> bool {
        true
    }

    fn problems(json: Json) -> Vec<String> {
        let mut found = Vec::new();
        Shape::of::<Inputs>().check(&Value::Known(json), "", &mut found);
        found
            .into_iter()
            .map(|p| format!("{}: {}", p.field, p.message))
            .collect()
    }

    #[test]
    fn a_shape_says_what_does_not_fit() {
        assert_eq!(problems(json!({"port": 80, "size": "small"})), Vec::<String>::new());
        assert_eq!(
            problems(json!({"port": "80"})),
            ["port: takes a whole number from 1 to 65535, not a string"]
        );
        assert_eq!(
            problems(json!({"port": 0})),
            ["port: is 0; it takes a whole number from 1 to 65535"]
        );
        assert_eq!(problems(json!({"prot": 1})), ["prot: unknown field `prot`"]);
        assert_eq!(
            problems(json!({"port": 1, "size": "smal"})),
            ["size: is \"smal\"; it takes one of small, large"]
        );
        assert_eq!(
            problems(json!({"port": 1, "inner": [{"name": 3}]})),
            ["inner[0].name: takes a string, not a number"]
        );
        assert!(Shape::of::<Inputs>().fields().unwrap()["size"].replaces);
    }

    #[test]
    fn defaults_are_filled_in() {
        let filled = Shape::of::<Inputs>().complete(Value::Known(json!({"port": 1, "size": null})));
        assert_eq!(filled, Value::Known(json!({"port": 1, "inner": [], "on": true})));
    }
}
