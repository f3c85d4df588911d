//! tera, for leaves of a stack file and for the files under `templates/`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value as Json};
use tera::{Context, ErrorKind, Tera};

use super::reference::{self, Reference};
use crate::diagnostic::Span;

/// A text with references in it.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The text.
    pub text: String,
    /// What it refers to.
    pub references: Vec<Reference>,
}

/// What is wrong in a template, and where in its text.
#[derive(Debug)]
pub struct TemplateTrouble {
    /// What is wrong.
    pub message: String,
    /// What to write under the place.
    pub label: String,
    range: Option<Range<usize>>,
}

impl TemplateTrouble {
    /// Finds the place in the file: exactly where the YAML spells the text plainly, the whole leaf
    /// where it escapes it.
    #[must_use]
    pub fn place(&self, leaf: &Span, text: &str) -> Span {
        let Some(range) = self.range.clone() else {
            return leaf.clone();
        };
        let written = leaf.text();
        match (written.find(text), text.get(range.clone())) {
            (Some(at), Some(words)) if !words.is_empty() => leaf.within(at + range.start..at + range.end),
            _ => leaf.clone(),
        }
    }
}

thread_local! {
    /// One engine a thread: making one registers some 60 filters. Only ever holds the leaf in hand.
    static ENGINE: RefCell<Tera> = RefCell::new(Tera::default());
}

const LEAF: &str = "leaf";

/// Parses a leaf and finds what it refers to.
///
/// # Errors
/// Says what is no template, and where.
pub fn parse_leaf(text: &str) -> Result<Leaf, TemplateTrouble> {
    ENGINE.with_borrow_mut(|tera| {
        tera.add_raw_template(LEAF, text).map_err(|error| explain(&error))?;
        let mut roots: Vec<&str> = tera
            .get_template_variables(LEAF)
            .map_err(|error| explain(&error))?
            .into_iter()
            .collect();
        roots.sort_unstable();
        Ok(Leaf {
            text: text.to_owned(),
            references: reference::find_all(text, &roots),
        })
    })
}

/// Renders a leaf with the values of its references.
///
/// # Errors
/// Says what cannot be rendered, and where.
pub fn render_leaf(leaf: &Leaf, values: &Values) -> Result<String, TemplateTrouble> {
    let context = Context::from_serialize(&values.0).map_err(|error| explain(&error))?;
    ENGINE
        .with_borrow(|tera| tera.render_str(&leaf.text, &context, false))
        .map_err(|error| explain(&error))
}

/// Finds the templates that a template includes, extends or imports.
#[must_use]
pub fn named_templates(text: &str) -> Vec<String> {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"\{%-?\s*(?:include|extends|import)\s+["'`]([^"'`]+)["'`]"#).expect("the pattern is constant")
    });
    NAMED.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Renders one of several template files.
///
/// # Errors
/// Says what does not work, with file, line and the words.
pub fn render_files(files: &BTreeMap<String, String>, name: &str, vars: &Json) -> Result<String, String> {
    let mut tera = Tera::default();
    tera.add_raw_templates(files.iter()).map_err(|error| describe(&error))?;
    tera.autoescape_on(Vec::<String>::new());
    let context = Context::from_serialize(vars).map_err(|error| describe(&error))?;
    tera.render(name, &context).map_err(|error| describe(&error))
}

/// Describes an error in a template file with its place.
fn describe(error: &tera::Error) -> String {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let span = report.span();
            format!(
                "templates/{}:{}:{}: {}",
                report.filename(),
                span.start_line,
                span.start_col + 1,
                sentence(report.message())
            )
        }
        _ => sentence(error.to_string().lines().next().unwrap_or_default()),
    }
}

fn explain(error: &tera::Error) -> TemplateTrouble {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => TemplateTrouble {
            message: format!("the template does not work: {}", sentence(report.message())),
            label: "here".to_owned(),
            range: Some(report.span().range.clone()),
        },
        _ => {
            // Missing filters and the like arrive as a drawn report; its first line is the message.
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first);
            TemplateTrouble {
                message: format!("the template does not work: {}", sentence(message)),
                label: String::new(),
                range: None,
            }
        }
    }
}

fn sentence(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        Some(first) if !message.starts_with('`') => first.to_lowercase().chain(chars).collect(),
        _ => message.to_owned(),
    }
}

/// The values a leaf is rendered with: only those it names, each at its path.
#[derive(Debug, Default)]
pub struct Values(Map<String, Json>);

impl Values {
    /// Puts a value at a path of keys.
    pub fn insert(&mut self, path: &[String], value: Json) {
        let Some((last, way)) = path.split_last() else { return };
        let mut map = &mut self.0;
        for key in way {
            let next = map.entry(key.clone()).or_insert_with(|| Json::Object(Map::new()));
            match next {
                Json::Object(inner) => map = inner,
                // A whole value stands there already and holds this one.
                _ => return,
            }
        }
        match (map.get_mut(last), value) {
            (Some(Json::Object(there)), Json::Object(more)) => there.extend(more),
            (_, value) => {
                map.insert(last.clone(), value);
            }
        }
    }
}
