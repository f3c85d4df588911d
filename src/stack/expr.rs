//! What a stack file says, ready to be evaluated: literals, references, templates, lists, maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::document::{Content, Document, Node};
use super::reference::{self, Reference, Root, Segment};
use super::scope::{Scope, Trouble};
use super::template::{self, Leaf};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::id::ResourceId;
use crate::value::Value;

/// A value as the stack file writes it.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub form: Form,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum Form {
    /// A value as it is.
    Literal(Json),
    /// Exactly one reference: it keeps its type.
    Reference(Box<Reference>),
    /// A text with references in it.
    Template(Box<Leaf>),
    /// A list.
    List(Vec<Expr>),
    /// A map, in the order of the file.
    Map(Vec<(Entry, Expr)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// Reads an expression; what is wrong with its templates goes to `problems`.
    #[must_use]
    pub fn read(document: &Document, node: &Node, problems: &mut Diagnostics) -> Self {
        let span = document.span(node.range());
        let form = match &node.content {
            Content::Scalar(Json::String(text))
                if text.contains("{{") || text.contains("{%") || text.contains("{#") =>
            {
                match reference::exactly_one(text) {
                    Some(reference) => Form::Reference(Box::new(reference)),
                    None => match template::parse_leaf(text) {
                        Ok(leaf) => Form::Template(Box::new(leaf)),
                        Err(trouble) => {
                            problems.push(trouble.diagnostic(&span, text));
                            Form::Literal(Json::String(text.clone()))
                        }
                    },
                }
            }
            Content::Scalar(json) => Form::Literal(json.clone()),
            Content::List(items) => Form::List(items.iter().map(|item| Self::read(document, item, problems)).collect()),
            Content::Map(entries) => Form::Map(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let entry = Entry {
                            key: key.text.as_str().into(),
                            span: document.span(key.range()),
                        };
                        (entry, Self::read(document, value, problems))
                    })
                    .collect(),
            ),
        };
        Self { span, form }
    }

    /// Visits every reference with the place of its leaf.
    pub fn references<'a>(&'a self, visit: &mut impl FnMut(&'a Reference, Span)) {
        match &self.form {
            Form::Literal(_) => {}
            Form::Reference(reference) => with_inner(reference, &mut |inner| visit(inner, self.place_of(inner))),
            Form::Template(leaf) => {
                for reference in &leaf.references {
                    with_inner(reference, &mut |inner| visit(inner, self.place_of(inner)));
                }
            }
            Form::List(items) => items.iter().for_each(|item| item.references(visit)),
            Form::Map(entries) => entries.iter().for_each(|(_, value)| value.references(visit)),
        }
    }

    /// Finds the words of a reference inside this leaf: exactly where the YAML spells it plainly, the
    /// whole leaf where it escapes it.
    #[must_use]
    pub fn place_of(&self, reference: &Reference) -> Span {
        let written = self.span.text();
        let words = reference.to_string();
        let hint = reference.range.start;
        let nearest = |words: &str| {
            let starts = written.match_indices(words).map(|(at, _)| at);
            starts.min_by_key(|at| at.abs_diff(hint)).map(|at| at..at + words.len())
        };
        // Keys in brackets may be quoted either way, and escaped in double quotes.
        let found = nearest(&words).or_else(|| {
            let quoted = words.contains('"');
            let other = |quote: &str| quoted.then(|| nearest(&words.replace('"', quote))).flatten();
            other("'").or_else(|| other("\\\""))
        });
        match found {
            Some(range) => self.span.within(range),
            None => self.span.clone(),
        }
    }

    /// Finds the part at a path such as `ports[0].from`; as much of it as there is.
    #[must_use]
    pub fn part(&self, path: &str) -> &Self {
        self.entry(path).1
    }

    /// Finds the part at a path, and the place of its key.
    #[must_use]
    pub fn entry(&self, path: &str) -> (Option<&Span>, &Self) {
        let wrapped = if path.is_empty() || path.starts_with('[') {
            format!("{{{{ x{path} }}}}")
        } else {
            format!("{{{{ x.{path} }}}}")
        };
        let mut found = (None, self);
        for segment in reference::exactly_one(&wrapped).map(|r| r.path).unwrap_or_default() {
            match (&found.1.form, segment) {
                (Form::Map(entries), Segment::Key(key)) => match entries.iter().find(|(e, _)| *e.key == *key) {
                    Some((entry, value)) => found = (Some(&entry.span), value),
                    None => return found,
                },
                (Form::List(items), Segment::Index(index)) => match items.get(index) {
                    Some(item) => found = (None, item),
                    None => return found,
                },
                _ => return found,
            }
        }
        found
    }

    /// Evaluates; the resources it used go to `used`.
    ///
    /// # Errors
    /// Says which reference leads nowhere, or what is wrong in a template.
    pub fn eval(&self, scope: &Scope<'_>, used: &mut Vec<ResourceId>) -> Result<Value, Diagnostic> {
        match &self.form {
            Form::Literal(json) => Ok(Value::Known(json.clone())),
            Form::Reference(reference) => scope
                .resolve(reference, used)
                .map_err(|trouble| self.explain(reference, trouble)),
            Form::Template(leaf) => self.eval_template(leaf, scope, used),
            Form::List(items) => {
                let mut room = LARGEST_VALUE;
                items
                    .iter()
                    .map(|item| item.eval_within(scope, used, &mut room))
                    .collect::<Result<Vec<_>, _>>()
                    .map(Value::list)
            }
            Form::Map(entries) => {
                let mut room = LARGEST_VALUE;
                entries
                    .iter()
                    .map(|(entry, value)| Ok((entry.key.to_string(), value.eval_within(scope, used, &mut room)?)))
                    .collect::<Result<BTreeMap<_, _>, _>>()
                    .map(Value::map)
            }
        }
    }

    /// Evaluates a part of a list or a map: values that repeat others may double with every step.
    fn eval_within(
        &self,
        scope: &Scope<'_>,
        used: &mut Vec<ResourceId>,
        room: &mut usize,
    ) -> Result<Value, Diagnostic> {
        let value = self.eval(scope, used)?;
        if !matches!(self.form, Form::Literal(_)) {
            match room.checked_sub(value.weight()) {
                Some(left) => *room = left,
                None => return Err(too_large(&self.span)),
            }
        }
        Ok(value)
    }

    fn explain(&self, reference: &Reference, trouble: Trouble) -> Diagnostic {
        Diagnostic::error("reference", trouble.message)
            .at(&self.place_of(reference), trouble.label)
            .maybe_help(trouble.help)
    }

    fn eval_template(&self, leaf: &Leaf, scope: &Scope<'_>, used: &mut Vec<ResourceId>) -> Result<Value, Diagnostic> {
        let mut context = template::Values::default();
        let (mut secret, mut unknown) = (false, false);
        let mut absent = None;
        for reference in &leaf.references {
            // A list is taken whole: tera counts through it itself.
            let keys = reference
                .path
                .iter()
                .take_while(|s| !matches!(s, Segment::Index(_)))
                .count();
            let prefix = Reference {
                path: reference.path[..keys].to_vec(),
                ..reference.clone()
            };
            match scope.resolve(&prefix, used) {
                Ok(value) => {
                    secret |= value.has_secret();
                    match value.reveal() {
                        Some(json) => {
                            let names = scope
                                .plain_path(&prefix, used)
                                .map_err(|t| self.explain(reference, t))?;
                            context.insert(&names, json);
                        }
                        None => unknown = true,
                    }
                }
                // Left out, so that `default(..)` and `if` work as tera says.
                Err(trouble) if trouble.may_be_absent => {
                    // tera asks for a member of something, even where `default` follows.
                    if let Ok(names) = scope.plain_path(&prefix, used) {
                        context.insert(&names[..names.len() - 1], Json::Object(serde_json::Map::new()));
                    }
                    absent = absent.or(Some((reference, trouble)));
                }
                Err(trouble) => return Err(self.explain(reference, trouble)),
            }
        }
        if unknown {
            return Ok(Value::Unknown);
        }
        match template::render_leaf(leaf, &context) {
            Ok(text) if secret => Ok(Value::Secret(Json::String(text))),
            Ok(text) => Ok(Value::Known(Json::String(text))),
            Err(trouble) => Err(match absent {
                // tera only knows that something is not there; what was looked for says why.
                Some((reference, why)) if trouble.is_absence => self.explain(reference, why),
                _ => trouble.diagnostic(&self.span, &leaf.text),
            }),
        }
    }

    /// Evaluates as far as the file alone goes: every reference counts as known after apply.
    #[must_use]
    pub fn outline(&self) -> Value {
        match &self.form {
            Form::Literal(json) => Value::Known(json.clone()),
            Form::Reference(_) => Value::Unknown,
            // It is some string, which `Unknown` says well enough for a check by type.
            Form::Template(_) => Value::Unknown,
            Form::List(items) => Value::list(items.iter().map(Self::outline).collect()),
            Form::Map(entries) => Value::map(
                entries
                    .iter()
                    .map(|(entry, value)| (entry.key.to_string(), value.outline()))
                    .collect(),
            ),
        }
    }
}

fn with_inner<'a>(reference: &'a Reference, visit: &mut impl FnMut(&'a Reference)) {
    visit(reference);
    for segment in &reference.path {
        if let Segment::Dynamic(inner) = segment {
            with_inner(inner, visit);
        }
    }
}

/// The largest value a list, a map or a template may give, in bytes.
pub const LARGEST_VALUE: usize = 16 << 20;

fn too_large(at: &Span) -> Diagnostic {
    Diagnostic::error(
        "too-much",
        format!("the value grows to more than {} MB", LARGEST_VALUE >> 20),
    )
    .at(at, "with this part")
    .help("keep large data in files, and refer to them by path")
}

/// Whether a reference starts from a resource, and which.
#[must_use]
pub fn resource_of(reference: &Reference) -> Option<&Arc<str>> {
    match &reference.root {
        Root::Resource(name) => Some(name),
        _ => None,
    }
}
