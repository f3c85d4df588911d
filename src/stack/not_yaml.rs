//! What is wrong with a file that is no YAML, in the words of the one who wrote it.

use std::ops::Range;
use std::sync::Arc;

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::document::DEEPEST;
use crate::diagnostic::{Diagnostic, Source, Span};

/// What is wrong: a word for scripts, what it is, and what to do.
struct Words {
    code: &'static str,
    summary: String,
    help: Option<&'static str>,
}

impl Words {
    fn no_yaml(what: impl Into<String>, help: Option<&'static str>) -> Self {
        Self {
            code: "yaml",
            summary: format!("this is no valid YAML: {}", what.into()),
            help,
        }
    }

    fn too_much(summary: impl Into<String>, help: &'static str) -> Self {
        Self {
            code: "too-much",
            summary: summary.into(),
            help: Some(help),
        }
    }

    fn wrong(code: &'static str, summary: impl Into<String>, help: &'static str) -> Self {
        Self {
            code,
            summary: summary.into(),
            help: Some(help),
        }
    }
}

const QUOTES: &str = "put the value in quotes if it is meant as text";
const TEMPLATE: &str = "a value with `{{` or `{%` in it stands in quotes: `\"{{ name.output }}\"`";
const ALIASES: &str = "write out what is meant, or build it with `for_each` or a template";
const DEPTH: &str = "move the inner part into a variable or into a file that a resource refers to";

/// Turns what the parser says into a diagnostic at its place.
pub(super) fn explain(source: &Arc<Source>, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let range = place(source, error);
    let words = words(source, error, &range);
    let (range, label) = if needs_quotes(&source.text, &range) {
        (opening(&source.text, range), "starts a map in YAML")
    } else {
        (range, "here")
    };
    let diagnostic = Diagnostic::error(words.code, words.summary).at(&Span::new(source, range), label);
    diagnostic.maybe_help(words.help.map(str::to_owned))
}

fn words(source: &Source, error: &Error, range: &Range<usize>) -> Words {
    let marked = source.text.get(range.clone()).unwrap_or_default();
    let first_line = marked.lines().next().unwrap_or_default();
    if needs_quotes(&source.text, range) {
        return Words::no_yaml("a template stands without quotes", Some(TEMPLATE));
    }
    match error {
        Error::Budget { breach, .. } => budget(breach),
        Error::MultipleDocuments { .. } => documents(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => aliases(),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or(first_line);
            Words::wrong(
                "twice",
                format!("the key `{key}` is there twice in one map"),
                "take one of them away, or give it another name",
            )
        }
        Error::NonFiniteFloat { value, .. } => Words::wrong(
            "number",
            format!("`{value}` is no number that can be kept"),
            "put it in quotes if it is meant as text",
        ),
        Error::UnsupportedTag { tag, .. } => Words::wrong(
            "tag",
            format!("there is no tag `{tag}`"),
            "stack files know no tags of their own; a reference is written `\"{{ name.output }}\"`",
        ),
        Error::UnknownAnchor { .. } => Words::no_yaml(
            format!(
                "nothing before it has the anchor `{}`",
                name_after(source, range.start, '*').replacen('*', "&", 1)
            ),
            Some(
                "a value that starts with `*` repeats what an anchor `&` named; put it in quotes if it is meant as text",
            ),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => Words::no_yaml(
            "an anchor that holds itself",
            Some("repeat with `*` only what has ended before"),
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => Words::no_yaml(
            "`<<` takes over the entries of a map, and this is none",
            Some("write `<<: *anchor`, where the anchor stands at a map"),
        ),
        Error::NullIntoString { .. } => {
            Words::no_yaml("a key that is nothing", Some("put it in quotes if it is meant as text"))
        }
        Error::Unexpected { .. } => Words::no_yaml("a key that is a list or a map; it must be a word", Some(TEMPLATE)),
        Error::Eof { .. } => Words::no_yaml("it ends too early", None),
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => scanned(&source.text, msg, range.start),
        other => scanned(&source.text, &other.to_string(), range.start),
    }
}

fn budget(breach: &BudgetBreach) -> Words {
    match breach {
        BudgetBreach::Documents { .. } => documents(),
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Events { .. } | BudgetBreach::Nodes { .. } | BudgetBreach::ScalarBytes { .. } => {
            Words::too_much("there is more in it than wasmctl reads", "split it with `include`")
        }
        _ => aliases(),
    }
}

fn documents() -> Words {
    Words::wrong(
        "documents",
        "a second document begins here; a file has one",
        "take the `---` away, or put what follows into a file of its own",
    )
}

fn too_deep() -> Words {
    Words::too_much(format!("it is nested more than {DEEPEST} levels deep"), DEPTH)
}

fn aliases() -> Words {
    Words::too_much("its anchors and aliases add up to more than wasmctl reads", ALIASES)
}

/// Says what the scanner found in plainer words, where there are any.
fn scanned(text: &str, message: &str, start: usize) -> Words {
    let message = plain(message);
    let here = text.get(start..).and_then(|rest| rest.chars().next());
    if message.contains("budget breached") {
        return aliases();
    }
    if message.contains("recursion limit") {
        return too_deep();
    }
    if message.contains("more than 1,024 characters") {
        return Words::too_much("a key has more than 1,024 characters", "name it in a few words");
    }
    if let Some(code) = message
        .strip_prefix("unexpected character: `\\u{")
        .and_then(|rest| rest.split('}').next())
    {
        return Words::no_yaml(
            format!("it holds the control character U+{:0>4}", code.to_uppercase()),
            Some("take it out; in double quotes it can be written as an escape such as `\\x07`"),
        );
    }
    if message.starts_with("unexpected character") || message.contains("cannot start any token") {
        let what = here.map_or(message.clone(), |c| format!("a value cannot start with `{c}`"));
        return Words::no_yaml(what, Some(QUOTES));
    }
    let known: [(&str, &str, Option<&'static str>); 8] = [
        (
            "mapping values are not allowed",
            "there is a `: ` where no map can begin",
            Some("put the value in quotes if `: ` is part of it; otherwise check the indentation"),
        ),
        ("tabs disallowed", "a tab is used to indent", Some("indent with spaces")),
        (
            "unknown escape",
            "a backslash in double quotes starts an escape, and this is none",
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        ("unclosed quote", "a quote is opened and never closed", None),
        (
            "did not find expected key",
            "this line belongs to nothing above it",
            Some("check its indentation: the entries of a map stand exactly below each other"),
        ),
        ("misplaced bracket", "a bracket is closed that was never opened", None),
        (
            "did not find expected <document start>",
            "the file must start with an entry such as `name: …`",
            None,
        ),
        (
            "while scanning a simple key",
            "this is no `key: value`",
            Some("check its quotes and indentation, and that a `:` with a blank follows the key"),
        ),
    ];
    match known.iter().find(|(said, _, _)| message.contains(said)) {
        Some((_, what, help)) => Words::no_yaml(*what, *help),
        None => Words::no_yaml(message.replace('\'', "`"), None),
    }
}

/// Takes the place out of a message: the excerpt shows it.
fn plain(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    let message = match message.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => message,
    };
    message.lines().next().unwrap_or_default().to_owned()
}

/// Finds the bytes an error is about: by offset where it has one, else by line and column.
fn place(source: &Source, error: &Error) -> Range<usize> {
    let Some(location) = error.location() else { return 0..0 };
    let text = &source.text;
    let span = location.span();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let start = span
        .byte_offset()
        .map(size)
        .or_else(|| offset(text, size(location.line()), size(location.column())))
        .unwrap_or(0)
        .min(text.len());
    let length = span.byte_len().map_or(1, size).max(1);
    let end = start.saturating_add(length).min(text.len());
    // A place between the bytes of a character is moved to its beginning and its end.
    let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (end..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    start..end
}

fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let rest = text.get(start..)?.split('\n').next()?;
    let column = rest
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(rest.len(), |(at, _)| at);
    Some(start + column)
}

fn line_of(text: &str, at: usize) -> Range<usize> {
    let at = at.min(text.len());
    let start = text.as_bytes()[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let end = text.as_bytes()[at..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(text.len(), |offset| at + offset);
    start..end
}

/// Finds a template that stands where a value begins, without quotes, in the line of an error.
fn bare_template(line: &str) -> Option<usize> {
    ["{{", "{%"]
        .iter()
        .flat_map(|mark| line.match_indices(mark))
        .map(|(at, _)| at)
        .find(|&at| line[..at].ends_with(": ") || line[..at].ends_with("- ") || line[..at].ends_with(['[', ',']))
}

fn needs_quotes(text: &str, range: &Range<usize>) -> bool {
    bare_template(&text[line_of(text, range.start)]).is_some()
}

/// Moves the place of an error to the template that is its cause.
fn opening(text: &str, range: Range<usize>) -> Range<usize> {
    let line = line_of(text, range.start);
    match bare_template(&text[line.clone()]) {
        Some(at) => line.start + at..line.start + at + 2,
        None => range,
    }
}

fn name_after(source: &Source, start: usize, mark: char) -> String {
    let line = &source.text[line_of(&source.text, start)];
    line.split(mark)
        .nth(1)
        .map(|rest| {
            rest.split(|c: char| c.is_whitespace() || ",]}".contains(c))
                .next()
                .unwrap_or_default()
        })
        .map(|name| format!("{mark}{name}"))
        .unwrap_or_default()
}
