//! The JSON Schema of stack files: well-formed, and it accepts what is shipped.
//!
//! The check knows the words of JSON Schema that `wasmctl schema` uses and fails on any other, so that nothing is
//! passed over in silence.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Value as Json, json};
use wasmctl::diagnostic::Source;
use wasmctl::stack::catalog;
use wasmctl::stack::document::Document;

use crate::project::Project;
use crate::{read, root};

fn schema() -> Json {
    serde_json::from_str(&Project::new().stdout(&["schema"])).unwrap()
}

fn yaml(name: &str, text: &str) -> Json {
    let source = Source {
        name: name.to_owned(),
        text: text.to_owned(),
        path: None,
    };
    Document::parse(Arc::new(source)).unwrap().root.to_json()
}

fn is_type(value: &Json, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("`{other}` is no type of JSON Schema"),
    }
}

/// Finds what does not fit, as paths with a reason.
fn problems(top: &Json, schema: &Json, value: &Json, path: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        assert!(schema.is_boolean(), "{path}: {schema} is no schema");
        return if schema == &json!(false) {
            vec![format!("{path}: not allowed")]
        } else {
            Vec::new()
        };
    };
    let mut found = Vec::new();
    let mut fail = |reason: String| found.push(format!("{path}: {reason}"));
    let mut inner: Vec<String> = Vec::new();
    for (word, rule) in schema {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
            word if word.starts_with("x-") => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').expect("a reference inside");
                let target = top
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{path}: {pointer} is not there"));
                inner.extend(problems(top, target, value, path));
            }
            "type" => {
                let fits = match rule {
                    Json::Array(names) => names.iter().any(|name| is_type(value, name.as_str().unwrap())),
                    name => is_type(value, name.as_str().unwrap()),
                };
                if !fits {
                    fail(format!("is no {rule}"));
                }
            }
            "const" if rule != value => fail(format!("is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => fail(format!("is none of {rule}")),
            "const" | "enum" => {}
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    fail(format!("does not match {rule}"));
                }
            }
            "minLength" => {
                if value
                    .as_str()
                    .is_some_and(|text| (text.chars().count() as u64) < rule.as_u64().unwrap())
                {
                    fail("is too short".to_owned());
                }
            }
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => {
                fail("is too small".to_owned())
            }
            "maximum" if value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()) => {
                fail("is too large".to_owned())
            }
            "minimum" | "maximum" => {}
            "minItems" => {
                if value
                    .as_array()
                    .is_some_and(|items| (items.len() as u64) < rule.as_u64().unwrap())
                {
                    fail("has too few items".to_owned());
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    inner.extend(problems(top, rule, item, &format!("{path}[{index}]")));
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value
                        .as_object()
                        .is_some_and(|object| !object.contains_key(name.as_str().unwrap()))
                    {
                        fail(format!("has no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        inner.extend(problems(top, rule, value, &format!("{path}.{name}")));
                    }
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    inner.extend(problems(top, rule, &json!(name), &format!("{path}.{name}")));
                }
            }
            "additionalProperties" => {
                let named = |name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !named(name)) {
                    inner.extend(problems(top, rule, value, &format!("{path}.{name}")));
                }
            }
            "anyOf" | "oneOf" | "allOf" => {
                let all = rule.as_array().unwrap();
                let tried: Vec<Vec<String>> = all.iter().map(|rule| problems(top, rule, value, path)).collect();
                let fits = tried.iter().filter(|found| found.is_empty()).count();
                let good = match word.as_str() {
                    "anyOf" => fits > 0,
                    "oneOf" => fits == 1,
                    _ => fits == all.len(),
                };
                if !good {
                    fail(format!("{word} fits {fits} of {}: {tried:?}", all.len()));
                }
            }
            other => panic!("{path}: this check does not know `{other}`"),
        }
    }
    found.extend(inner);
    found
}

/// Visits every schema in a schema.
fn walk(schema: &Json, visit: &mut impl FnMut(&Json)) {
    visit(schema);
    let Some(object) = schema.as_object() else { return };
    for (word, rule) in object {
        match (word.as_str(), rule) {
            ("properties" | "$defs", Json::Object(all)) => all.values().for_each(|inner| walk(inner, visit)),
            ("items" | "additionalProperties" | "propertyNames", inner) => walk(inner, visit),
            ("anyOf" | "oneOf" | "allOf", Json::Array(all)) => all.iter().for_each(|inner| walk(inner, visit)),
            _ => {}
        }
    }
}

#[test]
fn the_schema_is_well_formed() {
    let top = schema();
    let mut count = 0;
    walk(&top, &mut |schema| {
        count += 1;
        assert!(schema.is_object() || schema.is_boolean(), "{schema} is no schema");
        if let Some(pattern) = schema.get("pattern") {
            Regex::new(pattern.as_str().unwrap()).unwrap();
        }
        if let Some(reference) = schema.get("$ref") {
            let pointer = reference.as_str().unwrap().trim_start_matches('#');
            assert!(top.pointer(pointer).is_some(), "{reference} is not there");
        }
        if let (Some(required), Some(properties)) = (schema.get("required"), schema.get("properties")) {
            for name in required.as_array().unwrap() {
                assert!(
                    properties.get(name.as_str().unwrap()).is_some() || properties.get("type").is_some(),
                    "{name}"
                );
            }
        }
    });
    assert!(count > 100, "only {count} schemas were visited");
    // Nothing fits that is no stack, and no word of the schema is one that the check does not know.
    assert!(!problems(&top, &top, &json!({"name": "x"}), "").is_empty());
}

#[test]
fn the_schema_accepts_the_shipped_stacks() {
    let top = schema();
    for (name, found) in catalog::all(root()) {
        let stack = yaml(&name, &read(&found.file));
        let wrong = problems(&top, &top, &stack, "");
        assert!(wrong.is_empty(), "{name}:\n{}\n", wrong.join("\n"));
    }
}

#[test]
fn the_schema_refuses_what_the_engine_refuses() {
    let top = schema();
    for (what, text) in [
        (
            "an unknown field",
            "name: x\nresources:\n  a: { type: std/value, value: 1, colour: red }\n",
        ),
        ("an unknown kind", "name: x\nresources:\n  a: { type: std/nothing }\n"),
        (
            "a missing field",
            "name: x\nresources:\n  a: { type: std/file, path: a.txt }\n",
        ),
        (
            "a wrong type",
            "name: x\nresources:\n  a: { type: std/random, length: long }\n",
        ),
        ("an unknown word", "name: x\nresorces: {}\nresources: {}\n"),
    ] {
        assert!(
            !problems(&top, &top, &yaml("x", text), "").is_empty(),
            "{what} is accepted"
        );
        let project = Project::new();
        project.write("stacks/x/stack.yaml", text);
        assert_eq!(project.wasmctl(&["validate", "x"]).status.code(), Some(1), "{what}");
    }
}
