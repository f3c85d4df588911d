//! Every kind explains itself, down to the last field.

use wasmctl::kind::{Shape, Type};
use wasmctl::providers::KINDS;

use crate::project::Project;

/// Visits every named field, also those inside lists and maps.
fn undocumented(shape: &Shape, path: &str, found: &mut Vec<String>) {
    match &shape.ty {
        Type::Struct(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                let doc = field.doc.trim();
                if doc.is_empty() || !doc.ends_with(['.', '?']) {
                    found.push(format!("{path}: `{doc}`"));
                }
                undocumented(&field.shape, &path, found);
            }
        }
        Type::List(inner) | Type::Map(inner) => undocumented(inner, path, found),
        Type::Either(shapes) => shapes.iter().for_each(|shape| undocumented(shape, path, found)),
        _ => {}
    }
}

#[test]
fn every_field_has_a_sentence() {
    let mut found = Vec::new();
    for kind in KINDS.iter() {
        assert!(kind.about.ends_with('.'), "{}: {}", kind.name, kind.about);
        undocumented(&kind.inputs, &format!("{} inputs", kind.name), &mut found);
        undocumented(&kind.outputs, &format!("{} outputs", kind.name), &mut found);
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_kind_is_explained_on_the_command_line() {
    let project = Project::new();
    for kind in KINDS.iter() {
        let text = project.stdout(&["kinds", kind.name]);
        for word in [kind.name, kind.about, "Inputs", "Outputs", "Example"] {
            assert!(text.contains(word), "{}: {word} is missing", kind.name);
        }
        let both: [&Shape; 2] = [&kind.inputs, &kind.outputs];
        for name in both
            .into_iter()
            .filter_map(Shape::fields)
            .flat_map(|fields| fields.keys())
        {
            assert!(text.contains(name.as_str()), "{}: {name} is missing", kind.name);
        }
        let json: serde_json::Value = serde_json::from_str(&project.stdout(&["kinds", kind.name, "--json"])).unwrap();
        assert_eq!(json["name"], kind.name);
    }
}

/// The example is a resource that the checks accept, once what it refers to is there.
#[test]
fn every_example_is_a_valid_resource() {
    for kind in KINDS.iter() {
        let project = Project::new();
        let text = project.stdout(&["kinds", kind.name]);
        let example = text.split("\nExample\n").nth(1).unwrap();
        let given = "  app: { type: std/value, value: { path: app.wasm } }\n  \
                     files: { type: std/value, value: { path: files } }\n  \
                     instance: { type: std/value, value: { address: \"127.0.0.1:1\" } }\n";
        let example = example
            .replace("{{ app.path }}", "{{ app.value.path }}")
            .replace("{{ files.path }}", "{{ files.value.path }}")
            .replace("{{ instance.address }}", "{{ instance.value.address }}");
        project.write("templates/hello.txt", "hello\n");
        project.write("stacks/x/stack.yaml", &format!("name: x\nresources:\n{given}{example}"));
        let output = project.wasmctl(&["validate", "x"]);
        assert!(
            output.status.success(),
            "{}:\n{example}\n{}",
            kind.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
