//! tera, for leaves of a stack file and for the files under `templates/`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value as Json};
use tera::{Context, ErrorKind, Kwargs, State, Tera};

use super::expr::LARGEST_VALUE;
use super::reference::{self, Reference};
use crate::diagnostic::{Diagnostic, Span};

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
    /// What to do.
    pub help: Option<&'static str>,
    /// Whether something that the template asks for is not there.
    pub is_absence: bool,
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
        let words = text.get(range.clone()).filter(|words| !words.is_empty());
        if let (Some(at), Some(_)) = (written.find(text), words) {
            return leaf.within(at + range.start..at + range.end);
        }
        // In a block the lines are indented, but each of them stands as it is.
        let start = text.get(..range.start).unwrap_or_default();
        let line_start = start.rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let before = start.lines().filter(|other| *other == line).count();
        match (words, written.match_indices(line).nth(before)) {
            (Some(words), Some((at, _))) if !line.trim().is_empty() && !words.contains('\n') => {
                let from = at + range.start - line_start;
                leaf.within(from..from + words.len())
            }
            _ => leaf.clone(),
        }
    }

    /// Says it at its place in the file.
    #[must_use]
    pub fn diagnostic(&self, leaf: &Span, text: &str) -> Diagnostic {
        Diagnostic::error("template", self.message.clone())
            .at(&self.place(leaf, text), self.label.clone())
            .maybe_help(self.help.map(str::to_owned))
    }
}

thread_local! {
    /// One engine a thread: making one registers some 60 filters. Only ever holds the leaf in hand.
    static ENGINE: RefCell<Tera> = RefCell::new(engine());
    /// How many more numbers `range` may count in this rendering.
    static TO_COUNT: Cell<usize> = const { Cell::new(0) };
}

/// How many numbers `range` may count in one rendering, all loops together.
const MOST_COUNTED: usize = 1_000_000;

/// Makes an engine whose loops have an end that comes within seconds.
fn engine() -> Tera {
    let mut tera = Tera::default();
    tera.register_function("range", range);
    tera
}

/// Counts as tera's own `range` does, but not for ever.
fn range(arguments: Kwargs, _: &State<'_>) -> tera::TeraResult<Vec<i64>> {
    let start = arguments.get::<i64>("start")?.unwrap_or_default();
    let end = arguments.must_get::<i64>("end")?;
    let step = arguments.get::<i64>("step_by")?.unwrap_or(1);
    if step == 0 {
        return Err(tera::Error::message("`range` cannot count in steps of 0"));
    }
    let left = TO_COUNT.get();
    let mut numbers = Vec::new();
    let mut next = Some(start);
    while let Some(number) = next.filter(|number| if step > 0 { *number < end } else { *number > end }) {
        if numbers.len() == left {
            return Err(tera::Error::message(format!(
                "its loops count more than {MOST_COUNTED} numbers with `range`"
            )));
        }
        numbers.push(number);
        next = number.checked_add(step);
    }
    TO_COUNT.set(left - numbers.len());
    Ok(numbers)
}

/// Takes what a template gives, up to a size at which no person looks at it any more.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_VALUE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bounded(render: impl FnOnce(&mut Bounded) -> Result<(), tera::Error>) -> Result<String, tera::Error> {
    TO_COUNT.set(MOST_COUNTED);
    let mut text = Bounded::default();
    render(&mut text)?;
    Ok(String::from_utf8(text.0)?)
}

const LEAF: &str = "leaf";

/// Parses a leaf and finds what it refers to.
///
/// # Errors
/// Says what is no template, and where.
pub fn parse_leaf(text: &str) -> Result<Leaf, TemplateTrouble> {
    ENGINE.with_borrow_mut(|tera| {
        tera.add_raw_template(LEAF, text)
            .map_err(|error| explain(&error, text))?;
        let mut roots: Vec<&str> = tera
            .get_template_variables(LEAF)
            .map_err(|error| explain(&error, text))?
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
    let context = Context::from_serialize(&values.0).map_err(|error| explain(&error, &leaf.text))?;
    ENGINE
        .with_borrow(|tera| bounded(|text| tera.render_str_to(&leaf.text, &context, false, text)))
        .map_err(|error| explain(&error, &leaf.text))
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
    let mut tera = engine();
    tera.add_raw_templates(files.iter()).map_err(|error| describe(&error))?;
    tera.autoescape_on(Vec::<String>::new());
    let context = Context::from_serialize(vars).map_err(|error| describe(&error))?;
    bounded(|text| tera.render_to(name, &context, text)).map_err(|error| describe(&error))
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
                words(report.message()).0
            )
        }
        ErrorKind::CircularInclude {
            include_chain: chain, ..
        }
        | ErrorKind::CircularExtend {
            inheritance_chain: chain,
            ..
        } => format!("templates need each other in a circle: {}", chain.join(" → ")),
        ErrorKind::Io(io::ErrorKind::FileTooLarge) => too_long(),
        _ => words(first_line(&error.to_string())).0,
    }
}

fn too_long() -> String {
    format!("it gives a text of more than {} MB", LARGEST_VALUE >> 20)
}

/// Missing filters and the like arrive as a drawn report; its first line is the message.
fn first_line(report: &str) -> &str {
    let first = report.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first)
}

/// Says in plainer words what tera says, and what to do, where there is something to say.
fn words(message: &str) -> (String, Option<&'static str>) {
    let message = sentence(message);
    if let Some((found, _)) = message
        .strip_prefix("found ")
        .and_then(|rest| rest.split_once(" but expected one of: integer"))
    {
        return (
            format!("{found} stands where a value should be"),
            Some("write `{{ name.output }}`; text that is no template goes between `{% raw %}` and `{% endraw %}`"),
        );
    }
    if message == "unexpected end of input" {
        return (
            "it ends in the middle".to_owned(),
            Some("`{{` ends with `}}`, `{% if %}` with `{% endif %}`, `{% for %}` with `{% endfor %}`"),
        );
    }
    if message.contains("undefined") {
        return ("what it refers to is not there".to_owned(), None);
    }
    if message.contains("but expected identifier") {
        let found = message.strip_prefix("found ").and_then(|rest| rest.split(' ').next());
        return (format!("{} stands where a name should be", found.unwrap_or("it")), None);
    }
    // tera names types as Rust does.
    let message = [
        ("`&[Value]`", "a list"),
        ("`f64`", "a number"),
        ("`i64`", "a number"),
        ("`u64`", "a number"),
    ]
    .iter()
    .fold(message, |message, (rust, plain)| message.replace(rust, plain));
    let help = if message.starts_with("unknown filter") {
        Some("filters are those of tera 2, such as `upper`, `join(sep=\",\")`, `default(value=…)`, `length`")
    } else if message.starts_with("unknown function") {
        Some("functions are those of tera 2, such as `range(end=3)`; a filter is written `{{ name | filter }}`")
    } else if message.starts_with("unknown test") {
        Some("tests are those of tera 2, such as `defined`, `odd`, `starting_with(pat=\"x\")`")
    } else if message.starts_with("unknown template")
        || message.contains("inheriting from")
        || message.contains("nheritance")
        || message.starts_with("blocks not supported")
    {
        Some("a value takes no other templates: put it under `templates/` and render it with `std/template`")
    } else if message == "unexpected character" {
        Some("names have letters, digits and `_`, without accents; write others in brackets: `name[\"größe\"]`")
    } else {
        None
    };
    (message, help)
}

/// Whether a message says that something is not there.
fn is_absence(message: &str) -> bool {
    message.contains("is not defined") || message.contains("is not there")
}

/// Widens a range to whole characters, one at least: tera may point into one.
fn whole_characters(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.max(start + 1).min(text.len()));
    start..end
}

/// Returns the word that a message puts into backticks.
fn quoted(message: &str) -> Option<&str> {
    message.split('`').nth(1).filter(|word| !word.is_empty())
}

fn explain(error: &tera::Error, text: &str) -> TemplateTrouble {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let (message, help) = words(report.message());
            TemplateTrouble {
                message: format!("the template does not work: {message}"),
                label: "here".to_owned(),
                help,
                is_absence: is_absence(&message),
                range: Some(whole_characters(text, &report.span().range)),
            }
        }
        kind => {
            let (message, help) = match kind {
                ErrorKind::Io(io::ErrorKind::FileTooLarge) => {
                    (too_long(), Some("keep large data in files, and refer to them by path"))
                }
                _ => words(first_line(&error.to_string())),
            };
            TemplateTrouble {
                message: format!("the template does not work: {message}"),
                label: "here".to_owned(),
                help,
                is_absence: is_absence(&message),
                range: quoted(&message).and_then(|word| text.find(word).map(|at| at..at + word.len())),
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
            // An empty map only makes room for what may be absent.
            (Some(_), Json::Object(none)) if none.is_empty() => {}
            (_, value) => {
                map.insert(last.clone(), value);
            }
        }
    }
}
