//! What can be checked before anything is planned: references, fields, types.

use std::collections::BTreeSet;

use super::reference::{Reference, Root, Segment};
use super::{Expr, Resource, Stack};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean};
use crate::kind::{Problem, Type};

/// Checks everything that the files alone decide.
pub(super) fn stack(stack: &Stack, problems: &mut Diagnostics) {
    for resource in stack.resources.values() {
        inputs(resource, problems);
        let each = resource.for_each.is_some();
        references(stack, &resource.inputs, each, problems);
        for (expr, each) in [(&resource.for_each, false), (&resource.when, each)] {
            if let Some(expr) = expr {
                references(stack, expr, each, problems);
            }
        }
        for address in &resource.depends_on {
            match stack.resources.get(&address.name) {
                None => problems.push(unknown_name(stack, &address.name, &address.span)),
                Some(other) if other.for_each.is_none() && address.key.is_some() => problems.push(
                    Diagnostic::error("no-instances", format!("`{}` has no instances", address.name))
                        .at(&address.span, "it has no `for_each`"),
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
        references(stack, expr, false, problems);
    }
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
            problems.push(unknown_name(stack, &moved.to.name, &moved.to.span));
        }
        if stack.resources.contains_key(&moved.from.name)
            && moved.from.key.is_none()
            && moved.to.name != moved.from.name
        {
            problems.push(
                Diagnostic::error(
                    "moved",
                    format!("`{}` is still declared, so it cannot have moved", moved.from.value),
                )
                .at(&moved.from.span, "moved from here"),
            );
        }
    }
}

fn inputs(resource: &Resource, problems: &mut Diagnostics) {
    let mut found = Vec::new();
    resource.kind.inputs.check(&resource.inputs.outline(), "", &mut found);
    for found in found {
        problems.push(problem(&resource.inputs, &resource.name.span, &found));
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
pub(crate) fn problem(inputs: &Expr, at: &Span, problem: &Problem) -> Diagnostic {
    let (key, part) = inputs.entry(&problem.field);
    let place = if problem.field.is_empty() { at } else { &part.span };
    let unknown = problem.message.starts_with("unknown field");
    let place = if unknown { key.unwrap_or(place) } else { place };
    let summary = if problem.field.is_empty() || unknown {
        problem.message.clone()
    } else {
        format!("`{}` {}", problem.field, problem.message)
    };
    let code = if unknown { "unknown-field" } else { "input" };
    Diagnostic::error(code, summary)
        .at(place, "")
        .maybe_help(problem.help.clone())
}

fn unknown_name(stack: &Stack, name: &str, at: &Span) -> Diagnostic {
    let known = stack.resources.keys().map(AsRef::as_ref).chain(Root::RESERVED);
    let help = match did_you_mean(name, known) {
        Some(word) => Some(format!("did you mean `{word}`?")),
        None if stack.variables.contains_key(name) => Some(format!("write `var.{name}` for the variable")),
        None => None,
    };
    Diagnostic::error("unknown-name", format!("there is no resource `{name}`"))
        .at(at, "not declared")
        .maybe_help(help)
}

fn references(stack: &Stack, expr: &Expr, each: bool, problems: &mut Diagnostics) {
    expr.references(&mut |reference, place| {
        if let Some(problem) = reference_problem(stack, reference, &place, each) {
            problems.push(problem);
        }
    });
}

fn reference_problem(stack: &Stack, reference: &Reference, place: &Span, each: bool) -> Option<Diagnostic> {
    match &reference.root {
        Root::Variables => {
            let Some(Segment::Key(name)) = reference.path.first() else {
                return None;
            };
            if stack.variables.contains_key(name) {
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
            Diagnostic::error("each", "`each` has no meaning here").at(place, "only inside a resource with `for_each`"),
        ),
        Root::Each | Root::Stack => None,
        Root::On if stack.on.is_none() => Some(
            Diagnostic::error("on", "`on` has no meaning here")
                .at(place, "this stack stands on no other")
                .help("name the lower stack: `on: <stack>` at the top of the file"),
        ),
        Root::On => None,
        Root::Resource(name) => {
            let Some(resource) = stack.resources.get(name) else {
                return Some(unknown_name(stack, name, place));
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
