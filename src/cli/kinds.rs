//! `wasmctl kinds [KIND]`: what stacks are made of.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{Context, Exit, Failure};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::kind::{Field, Registration, Shape, Type};
use crate::providers::{self, KINDS};
use crate::ui::Look;

/// List the kinds of resources, or explain one: inputs, outputs, an example
///
/// *replaces* marks an input whose change makes a new object in place of the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl kinds
  wasmctl kinds local/instance
  wasmctl kinds --json | jq -r '.[].name'")]
pub(super) struct KindsArgs {
    /// The kind to explain, as in `local/instance`, or a provider, as in `local`
    kind: Option<String>,
}

impl KindsArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut out = cx.printer.out();
        let look = cx.printer.out_look();
        let name = self.kind.as_deref().unwrap_or_default();
        let listed: Vec<&Registration> = KINDS
            .iter()
            .filter(|kind| name.is_empty() || kind.provider == name)
            .collect();
        if !listed.is_empty() {
            if cx.printer.is_json() {
                let list: Vec<Json> = listed
                    .iter()
                    .map(|kind| json!({"name": kind.name, "provider": kind.provider, "about": kind.about}))
                    .collect();
                writeln!(out, "{}", Json::from(list))?;
            } else {
                list(&mut out, &listed, look)?;
            }
        } else if let Some(kind) = providers::kind(name) {
            if cx.printer.is_json() {
                writeln!(out, "{}", describe(kind))?;
            } else {
                explain(&mut out, kind, look)?;
            }
        } else {
            let near = did_you_mean(name, KINDS.iter().map(|kind| kind.name));
            return Err(Diagnostic::error("unknown-kind", format!("there is no kind `{name}`"))
                .help(near.map_or_else(
                    || "`wasmctl kinds` lists all kinds".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ))
                .into());
        }
        out.finish()?;
        Ok(Exit::DONE)
    }
}

fn list(out: &mut impl Write, kinds: &[&Registration], look: Look) -> io::Result<()> {
    let width = kinds.iter().map(|kind| kind.name.len()).max().unwrap_or(0);
    for kind in kinds {
        let gap = " ".repeat(width - kind.name.len() + 2);
        writeln!(out, "{}{gap}{}", look.paint.bold(kind.name), kind.about)?;
    }
    Ok(())
}

fn explain(out: &mut impl Write, kind: &Registration, look: Look) -> io::Result<()> {
    let paint = look.paint;
    writeln!(out, "{}  {}", paint.bold(kind.name), kind.about)?;
    writeln!(out, "\n{}", paint.bold("Inputs"))?;
    fields(out, &kind.inputs, look, 1, true)?;
    writeln!(out, "\n{}", paint.bold("Outputs"))?;
    fields(out, &kind.outputs, look, 1, false)?;
    writeln!(out, "\n{}", paint.bold("Example"))?;
    let noun = kind.name.rsplit('/').next().unwrap_or(kind.name);
    writeln!(out, "  my_{noun}:\n    type: {}", kind.name)?;
    for (name, field) in kind
        .inputs
        .fields()
        .into_iter()
        .flatten()
        .filter(|(_, field)| field.required)
    {
        writeln!(out, "    {name}: {}", sample(name, &field.shape))?;
    }
    Ok(())
}

fn fields(out: &mut impl Write, shape: &Shape, look: Look, depth: usize, inputs: bool) -> io::Result<()> {
    let Some(fields) = shape.fields().filter(|fields| !fields.is_empty()) else {
        return writeln!(out, "{}(none)", "  ".repeat(depth));
    };
    let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    // What must be there comes first.
    let (first, then): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, field)| inputs && field.required);
    for (name, field) in first.into_iter().chain(then) {
        let gap = " ".repeat(width - name.chars().count() + 2);
        let indent = "  ".repeat(depth);
        writeln!(
            out,
            "{indent}{}{gap}{}",
            look.paint.cyan(name),
            facts(field, inputs).join(", ")
        )?;
        let below = format!("{indent}{}", " ".repeat(width + 2));
        for line in fold(&field.doc, look.width.saturating_sub(below.len()).max(30)) {
            writeln!(out, "{below}{}", look.paint.dim(line))?;
        }
        if let Some(inner) = nested(&field.shape).filter(|_| depth < 4) {
            self::fields(out, inner, look, depth + 2, inputs)?;
        }
    }
    Ok(())
}

/// What is to be known of a field beside its doc.
fn facts(field: &Field, inputs: bool) -> Vec<String> {
    let mut facts = vec![field.shape.describe()];
    if let Type::String {
        pattern: Some(pattern), ..
    } = &field.shape.ty
    {
        facts.push(format!("matches {}", pattern.as_str()));
    }
    if inputs {
        match (&field.default, field.required) {
            (Some(default), _) => facts.push(format!("default {default}")),
            (None, true) => facts.push("required".to_owned()),
            (None, false) => facts.push("optional".to_owned()),
        }
    }
    for (mark, word) in [
        (field.replaces, "replaces"),
        (field.sensitive, "sensitive"),
        (field.public && inputs, "must hold no secret"),
    ] {
        if mark {
            facts.push(word.to_owned());
        }
    }
    facts
}

/// The named fields inside a field, if there are any.
fn nested(shape: &Shape) -> Option<&Shape> {
    match &shape.ty {
        Type::Struct(fields) if !fields.is_empty() => Some(shape),
        Type::List(inner) | Type::Map(inner) => nested(inner),
        _ => None,
    }
}

fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A value that fits, for the example.
fn sample(name: &str, shape: &Shape) -> String {
    match &shape.ty {
        Type::Bool => "true".to_owned(),
        Type::Number { min, .. } => min
            .filter(|min| *min > 0.0)
            .map_or_else(|| "1".to_owned(), |min| min.to_string()),
        Type::String { one_of, .. } => match (one_of.first(), name) {
            (Some(word), _) => word.clone(),
            (None, "url") => "http://127.0.0.1:8080/".to_owned(),
            (None, "path" | "file") => "out/file.txt".to_owned(),
            (None, "content") => "\"Hello\"".to_owned(),
            (None, "template") => "hello.txt".to_owned(),
            (None, "component") => "\"{{ app.path }}\"".to_owned(),
            (None, "source") => "builtin:hello".to_owned(),
            (None, "targets") => "\"{{ instance.address }}\"".to_owned(),
            (None, "name") => "blue".to_owned(),
            (None, "folder") => "\"{{ files.path }}\"".to_owned(),
            (None, _) => format!("\"{{{{ other.{name} }}}}\""),
        },
        Type::List(inner) => format!("[{}]", sample(name, inner)),
        Type::Map(_) => "{}".to_owned(),
        Type::Struct(fields) => {
            let parts: Vec<String> = fields
                .iter()
                .filter(|(_, field)| field.required)
                .map(|(name, field)| format!("{name}: {}", sample(name, &field.shape)))
                .collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Type::Either(_) if name == "run" => "\"echo hello\"".to_owned(),
        Type::Either(shapes) => shapes
            .first()
            .map_or_else(|| "1".to_owned(), |shape| sample(name, shape)),
        Type::Any => "1".to_owned(),
    }
}

/// A kind for programs.
fn describe(kind: &Registration) -> Json {
    let fields = |shape: &Shape| -> Json {
        shape
            .fields()
            .into_iter()
            .flatten()
            .map(|(name, field)| {
                json!({
                    "name": name,
                    "type": field.shape.describe(),
                    "required": field.required,
                    "default": field.default,
                    "replaces": field.replaces,
                    "sensitive": field.sensitive,
                    "doc": field.doc,
                })
            })
            .collect()
    };
    json!({
        "name": kind.name,
        "provider": kind.provider,
        "about": kind.about,
        "inputs": fields(&kind.inputs),
        "outputs": fields(&kind.outputs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_explains_itself() {
        for kind in KINDS.iter() {
            let mut text = Vec::new();
            explain(&mut text, kind, Look::PLAIN).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(!kind.about.is_empty(), "{}", kind.name);
            for (name, field) in kind.inputs.fields().into_iter().flatten() {
                assert!(text.contains(name.as_str()), "{}: {name}", kind.name);
                assert!(!field.doc.is_empty(), "{}: {name} has no doc", kind.name);
            }
        }
    }
}
