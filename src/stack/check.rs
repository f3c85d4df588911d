//! What can be checked before anything is planned: references, fields, types.

use std::collections::{BTreeMap, BTreeSet};

use super::load::{Broken, ENGINE};
use super::reference::{Reference, Root, Segment};
use super::{Expr, Resource, Stack};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean};
use crate::kind::{Problem, Type};

/// Checks everything that the files alone decide.
pub(super) fn stack(stack: &Stack, broken: &Broken, problems: &mut Diagnostics) {
    let known = Known { stack, broken };
    for resource in stack.resources.values() {
        if problems.is_full() {
            return;
        }
        inputs(resource, problems);
        let each = resource.for_each.is_some();
        known.references(&resource.inputs, each, problems);
        for (expr, each) in [(&resource.for_each, false), (&resource.when, each)] {
            if let Some(expr) = expr {
                known.references(expr, each, problems);
            }
        }
        for address in &resource.depends_on {
            match stack.resources.get(&address.name) {
                None => problems.extend(known.unknown_name(&address.name, &address.span)),
                Some(other) if other.for_each.is_none() && address.key.is_some() => problems.push(
                    Diagnostic::error("no-instances", format!("`{}` has no instances", address.name))
                        .at(&address.span, "it has no `for_each`")
                        .help(format!("write `{}`", address.name)),
                ),
                Some(_) => {}
            }
        }
        ignored(resource, problems);
    }
    for expr in stack
        .outputs
        .values()
        .chain(stack.env_entries.values())
        .chain(stack.providers.values())
    {
        known.references(expr, false, problems);
    }
    env_names(stack, problems);
    for (name, expr) in &stack.providers {
        expr.references(&mut |reference, place| {
            if matches!(reference.root, Root::Resource(_)) {
                problems.push(
                    Diagnostic::error(
                        "provider-reference",
                        format!("settings of the provider `{name}` refer to a resource"),
                    )
                    .at(&place, "known only after apply")
                    .help("use a variable, or put what needs it into a stack of its own that stands `on` this one"),
                );
            }
        });
    }
    let mut sources = BTreeSet::new();
    for moved in &stack.moved {
        if !sources.insert(moved.from.value.to_string()) {
            problems.push(
                Diagnostic::error("moved", format!("`{}` is moved twice", moved.from.value))
                    .at(&moved.from.span, "again here"),
            );
        }
        if !stack.resources.contains_key(&moved.to.name) {
            problems.extend(known.unknown_name(&moved.to.name, &moved.to.span));
        }
        if moved.from.value == moved.to.value {
            problems.push(
                Diagnostic::error("moved", format!("`{}` is moved to itself", moved.from.value))
                    .at(&moved.from.span, "the same address")
                    .help("take this entry away"),
            );
        } else if stack.resources.contains_key(&moved.from.name)
            && moved.from.key.is_none()
            && moved.to.name != moved.from.name
        {
            problems.push(
                Diagnostic::error(
                    "moved",
                    format!("`{}` is still declared, so it cannot have moved", moved.from.value),
                )
                .at(&moved.from.span, "moved from here")
                .help("take its old declaration away, or this entry"),
            );
        }
    }
}

/// Refuses entries of `.env` that would hide each other, or what wasmctl itself says there.
fn env_names(stack: &Stack, problems: &mut Diagnostics) {
    let mut seen: BTreeMap<String, &Span> = BTreeMap::new();
    for (name, expr) in &stack.env_entries {
        let upper = name.to_ascii_uppercase();
        if crate::id::OWN_ENTRIES.contains(&upper.as_str()) {
            problems.push(
                Diagnostic::error("reserved", format!("`{upper}` in `.env` belongs to wasmctl"))
                    .at(&expr.span, "this entry")
                    .help(format!(
                        "give it another name: {} are taken",
                        crate::id::OWN_ENTRIES.join(", ")
                    )),
            );
        } else if let Some(first) = seen.get(&upper) {
            problems.push(
                Diagnostic::error(
                    "twice",
                    format!("`.env` would say `{upper}` twice: its names are upper case"),
                )
                .at(&expr.span, "the second")
                .help(format!("the first is at {first}")),
            );
        } else {
            seen.insert(upper, &expr.span);
        }
    }
}

fn inputs(resource: &Resource, problems: &mut Diagnostics) {
    let mut found = Vec::new();
    resource.kind.inputs.check(&resource.inputs.outline(), "", &mut found);
    for found in found {
        if problems.is_full() {
            return;
        }
        problems.push(problem(
            resource.kind.name,
            &resource.inputs,
            &resource.name.span,
            &found,
        ));
    }
}

fn ignored(resource: &Resource, problems: &mut Diagnostics) {
    let Some(fields) = resource.kind.inputs.fields() else {
        return;
    };
    for name in &resource.ignore_changes {
        if !fields.contains_key(name.as_str()) {
            let help =
                did_you_mean(name, fields.keys().map(String::as_str)).map(|word| format!("did you mean `{word}`?"));
            problems.push(
                Diagnostic::error(
                    "unknown-field",
                    format!("{} has no field `{}`", resource.kind.name, name.value),
                )
                .at(&name.span, "ignored here")
                .maybe_help(help),
            );
        }
    }
}

/// Turns a field's problem into a diagnostic at its place in the file.
#[must_use]
///
/// `of` is what the fields belong to: the name of a kind, or `the provider …`.
pub(crate) fn problem(of: &str, inputs: &Expr, at: &Span, problem: &Problem) -> Diagnostic {
    let (key, part) = inputs.entry(&problem.field);
    let place = if problem.field.is_empty() { at } else { &part.span };
    let unknown = problem.message.starts_with("unknown field");
    let place = if unknown { key.unwrap_or(place) } else { place };
    let top = !problem.field.contains(['.', '[']);
    let summary = match (problem.field.as_str(), unknown) {
        ("", _) if problem.message.starts_with('`') => problem.message.clone(),
        ("", _) => format!("{of} {}", problem.message),
        (_, true) if top => format!("{} of {of}", problem.message),
        (field, true) => match field.rfind(['.', '[']) {
            Some(at) => format!("{} of `{}`", problem.message, &field[..at]),
            None => problem.message.clone(),
        },
        (field, false) => format!("`{field}` {}", problem.message),
    };
    let help = match &problem.help {
        Some(takes) if unknown && top && of.contains('/') && takes.starts_with("it takes") => {
            let engine: Vec<&str> = ENGINE.iter().copied().filter(|word| *word != "type").collect();
            Some(format!("{takes}; every resource takes {}", engine.join(", ")))
        }
        other => other.clone(),
    };
    let (code, label) = if unknown {
        ("unknown-field", "unknown")
    } else {
        ("input", "")
    };
    Diagnostic::error(code, summary).at(place, label).maybe_help(help)
}

/// What references can lead to.
#[derive(Clone, Copy)]
struct Known<'a> {
    stack: &'a Stack,
    broken: &'a Broken,
}

impl Known<'_> {
    fn unknown_name(&self, name: &str, at: &Span) -> Option<Diagnostic> {
        let Self { stack, broken } = self;
        if broken.resources.contains(name) {
            return None;
        }
        let known = stack.resources.keys().map(AsRef::as_ref).chain(Root::RESERVED);
        let help = match did_you_mean(name, known) {
            _ if stack.variables.contains_key(name) => Some(format!("write `var.{name}` for the variable")),
            Some(word) => Some(format!("did you mean `{word}`?")),
            None if matches!(name, "vars" | "variable" | "variables" | "local" | "locals") => {
                Some("variables are written `var.name`".to_owned())
            }
            None if stack.resources.is_empty() => Some("the stack declares no resources".to_owned()),
            None => None,
        };
        Some(
            Diagnostic::error("unknown-name", format!("there is no resource `{name}`"))
                .at(at, "not declared")
                .maybe_help(help),
        )
    }

    fn references(&self, expr: &Expr, each: bool, problems: &mut Diagnostics) {
        expr.references(&mut |reference, place| {
            if !problems.is_full() {
                problems.extend(self.reference_problem(reference, &place, each));
            }
        });
    }

    fn reference_problem(&self, reference: &Reference, place: &Span, each: bool) -> Option<Diagnostic> {
        let Self { stack, broken } = self;
        let of_two = |names: [&str; 2]| {
            let Some(Segment::Key(name)) = reference.path.first() else {
                return None;
            };
            let (root, [one, other]) = (&reference.root, names);
            (!names.contains(&name.as_str())).then(|| {
                let help = match did_you_mean(name, names) {
                    Some(word) => format!("did you mean `{root}.{word}`?"),
                    None => format!("there are `{root}.{one}` and `{root}.{other}`"),
                };
                Diagnostic::error("unknown-name", format!("there is no `{root}.{name}`"))
                    .at(place, "unknown")
                    .help(help)
            })
        };
        match &reference.root {
            Root::Variables => {
                let Some(Segment::Key(name)) = reference.path.first() else {
                    return None;
                };
                if stack.variables.contains_key(name) || broken.variables.contains(name) {
                    return None;
                }
                let known = stack.variables.keys().map(String::as_str);
                let help = match did_you_mean(name, known) {
                    Some(word) => format!("did you mean `var.{word}`?"),
                    None => format!("declare it under `variables:` with its type: `{name}: {{ type: string }}`"),
                };
                Some(
                    Diagnostic::error("unknown-variable", format!("there is no variable `{name}`"))
                        .at(place, "not declared")
                        .help(help),
                )
            }
            Root::Each if !each => Some(
                Diagnostic::error("each", "`each` has no meaning here")
                    .at(place, "only inside a resource with `for_each`")
                    .help("give the resource a `for_each`; outside of it write `name[\"key\"].output`"),
            ),
            Root::Each => of_two(["key", "value"]),
            Root::Stack => of_two(["name", "env"]),
            Root::On if stack.on.is_none() => Some(
                Diagnostic::error("on", "`on` has no meaning here")
                    .at(place, "this stack stands on no other")
                    .help("name the lower stack: `on: <stack>` at the top of the file"),
            ),
            Root::On => None,
            Root::Resource(name) => {
                let Some(resource) = stack.resources.get(name) else {
                    return self.unknown_name(name, place);
                };
                let mut path = reference.path.iter();
                if resource.for_each.is_some() {
                    path.next()?;
                }
                let Some(Segment::Key(output)) = path.next() else {
                    return None;
                };
                let Type::Struct(outputs) = &resource.kind.outputs.ty else {
                    return None;
                };
                if outputs.contains_key(output) {
                    return None;
                }
                let help = match did_you_mean(output, outputs.keys().map(String::as_str)) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None if outputs.is_empty() => format!("{} has no outputs", resource.kind.name),
                    None => {
                        format!(
                            "{} has {}",
                            resource.kind.name,
                            outputs.keys().cloned().collect::<Vec<_>>().join(", ")
                        )
                    }
                };
                Some(
                    Diagnostic::error("unknown-output", format!("`{name}` has no output `{output}`"))
                        .at(place, "not an output")
                        .help(help),
                )
            }
        }
    }
}
