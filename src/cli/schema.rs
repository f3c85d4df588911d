//! `wasmctl schema`: what editors need to check and complete stack files.

use std::io::Write as _;

use serde_json::{Map, Value as Json, json};

use super::{Context, Exit, Failure};
use crate::providers::{KINDS, PROVIDERS};

/// Print the JSON Schema of stack files, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl schema > stack.schema.json

At the top of a stack file, for editors with the YAML language server:
  # yaml-language-server: $schema=../../stack.schema.json")]
pub(super) struct SchemaArgs {}

impl SchemaArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut out = cx.printer.out();
        serde_json::to_writer_pretty(&mut out, &schema()).map_err(std::io::Error::from)?;
        writeln!(out)?;
        out.finish()?;
        Ok(Exit::DONE)
    }
}

/// Builds the schema of a whole stack file.
fn schema() -> Json {
    let mut defs = Map::new();
    defs.insert(
        "expression".to_owned(),
        json!({
            "type": "string",
            "pattern": r"\{[{%]",
            "description": "A reference or a template: {{ name.output }}, {{ var.name }}",
        }),
    );
    let mut variants = Vec::new();
    for kind in KINDS.iter() {
        let mut inputs = adopt((kind.schema)().to_value(), kind.name, &mut defs);
        let object = inputs.as_object_mut();
        let mut properties = engine_keys();
        let mut required = vec![json!("type")];
        if let Some(object) = object {
            if let Some(Json::Object(own)) = object.remove("properties") {
                properties.extend(own);
            }
            if let Some(Json::Array(own)) = object.remove("required") {
                required.extend(own);
            }
        }
        properties.insert(
            "type".to_owned(),
            json!({"const": kind.name, "description": kind.about}),
        );
        variants.push(json!({
            "title": kind.name,
            "description": kind.about,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }));
    }
    let providers: Map<String, Json> = PROVIDERS
        .iter()
        .map(|provider| {
            (
                provider.name.to_owned(),
                adopt((provider.schema)().to_value(), provider.name, &mut defs),
            )
        })
        .collect();
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wasmctl stack",
        "type": "object",
        "required": ["name", "resources"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$", "description": "The name of the stack"},
            "description": {"type": "string", "description": "One sentence about the stack"},
            "include": {"type": "array", "items": {"type": "string"}, "description": "Fragments: files whose parts are added to this one"},
            "variables": {
                "type": "object",
                "description": "What can be set for a deployment",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "type": {"enum": ["string", "number", "bool", "list", "map"], "description": "What it must be"},
                        "description": {"type": "string", "description": "What it is for"},
                        "default": {"description": "What it is when nobody says"},
                        "one_of": {"type": "array", "description": "The only values allowed"},
                        "pattern": {"type": "string", "description": "What a string must match"},
                        "min": {"type": "number", "description": "The least number, or the least length"},
                        "max": {"type": "number", "description": "The greatest number, or the greatest length"},
                        "sensitive": {"type": "boolean", "description": "Keeps it out of records and messages"},
                    },
                },
            },
            "providers": {"type": "object", "description": "Settings of providers", "properties": providers, "additionalProperties": false},
            "resources": {
                "type": "object",
                "description": "What there should be, by name",
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
                "additionalProperties": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"enum": names}},
                    "oneOf": variants,
                },
            },
            "outputs": {"type": "object", "description": "What a deploy prints"},
            "env": {"type": "object", "description": "Entries of .env beside STACK and INFRA_FOLDER"},
            "moved": {
                "type": "array",
                "description": "Resources that have a new address and are not replaced",
                "items": {
                    "type": "object",
                    "required": ["from", "to"],
                    "additionalProperties": false,
                    "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
                },
            },
            "on": {"type": "string", "description": "The stack this one stands on; its outputs are read as {{ on.name }}"},
        },
        "$defs": defs,
    })
}

/// The engine's own words in a resource.
fn engine_keys() -> Map<String, Json> {
    let keys = json!({
        "for_each": {"description": "A list of strings or a map: one instance for each; each.key, each.value"},
        "when": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/expression"}], "description": "It exists only if this holds"},
        "depends_on": {"type": "array", "items": {"type": "string"}, "description": "What must come first although nothing of it is used"},
        "prevent_destroy": {"type": "boolean", "description": "Refuses a plan that would take it away"},
        "ignore_changes": {"type": "array", "items": {"type": "string"}, "description": "Fields whose changes do not count"},
        "create_before_destroy": {"type": "boolean", "description": "A replacement is made before the old one goes"},
        "timeout": {"type": "string", "description": "How long one step may take: 90s, 10m"},
    });
    match keys {
        Json::Object(keys) => keys,
        _ => Map::new(),
    }
}

/// Takes a kind's schema into the whole: its definitions move to the top under names of their own,
/// and every value may also be an expression.
fn adopt(mut schema: Json, owner: &str, defs: &mut Map<String, Json>) -> Json {
    let prefix = owner.replace('/', ".");
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        if let Some(Json::Object(own)) = object.remove("$defs") {
            for (name, mut definition) in own {
                relocate(&mut definition, &prefix);
                defs.insert(format!("{prefix}.{name}"), definition);
            }
        }
    }
    relocate(&mut schema, &prefix);
    schema
}

fn relocate(schema: &mut Json, prefix: &str) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Json::String(reference)) = object.get_mut("$ref")
        && let Some(name) = reference.strip_prefix("#/$defs/")
    {
        *reference = format!("#/$defs/{prefix}.{name}");
    }
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        for property in properties.values_mut() {
            or_expression(property, prefix);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key).filter(|inner| inner.is_object()) {
            or_expression(inner, prefix);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Json::Array(variants)) = object.get_mut(key) {
            variants.iter_mut().for_each(|variant| relocate(variant, prefix));
        }
    }
}

fn or_expression(schema: &mut Json, prefix: &str) {
    relocate(schema, prefix);
    let Some(object) = schema.as_object_mut() else { return };
    let plain_text = object.get("type").is_some_and(|ty| ty == "string")
        && !["pattern", "enum", "minLength", "format"]
            .iter()
            .any(|key| object.contains_key(*key));
    let anything = !["type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"]
        .iter()
        .any(|key| object.contains_key(*key));
    if plain_text || anything {
        return;
    }
    let description = object.remove("description");
    let default = object.remove("default");
    let mut wrapped = json!({"anyOf": [std::mem::take(schema), {"$ref": "#/$defs/expression"}]});
    if let Some(outer) = wrapped.as_object_mut() {
        outer.extend(description.map(|text| ("description".to_owned(), text)));
        outer.extend(default.map(|value| ("default".to_owned(), value)));
    }
    *schema = wrapped;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Json::String(text) if key == "$ref" => found.push(text.clone()),
                        value => references(value, found),
                    }
                }
            }
            Json::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_kind_and_every_reference_is_there() {
        let schema = schema();
        let text = schema.to_string();
        for kind in KINDS.iter() {
            assert!(text.contains(kind.name), "{}", kind.name);
        }
        let mut found = Vec::new();
        references(&schema, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{reference}");
        }
    }
}
