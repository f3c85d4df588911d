//! YAML with the place of every word: the first step from a file to a stack.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value as Json};

use crate::diagnostic::{Diagnostic, Source, Span};

/// The largest file that is read, in bytes: a flat stack of 100,000 resources has about 6 MB.
pub const LARGEST_FILE: u64 = 64 << 20;

/// How deep lists and maps may be nested.
pub(super) const DEEPEST: usize = 64;

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text it was parsed from.
    pub source: Arc<Source>,
    /// Its one value.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    start: u32,
    end: u32,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing, a bool, a number or a string.
    Scalar(Json),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    start: u32,
    end: u32,
    /// The key.
    pub text: String,
}

impl Node {
    /// Returns the range of bytes in the file.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the plain value.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.content {
            Content::Scalar(json) => json.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.text.clone(), value.to_json()))
                .collect(),
        }
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self.content, Content::Scalar(Json::Null))
    }

    /// Names the type in the words of a stack file.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.content {
            Content::Scalar(json) => crate::value::json_type_name(json),
            Content::List(_) => "list",
            Content::Map(_) => "map",
        }
    }
}

impl Key {
    /// Returns the range of bytes in the file.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Document {
    /// Parses one YAML document.
    ///
    /// # Errors
    /// Says what is no YAML, or is too much of it, and where.
    pub fn parse(source: Arc<Source>) -> Result<Self, Diagnostic> {
        if source.text.len() as u64 > LARGEST_FILE {
            return Err(too_large(&source.name, source.text.len() as u64));
        }
        match with_room(|| serde_saphyr::from_str_with_options::<Placed>(&source.text, options(source.text.len()))) {
            Ok(placed) => {
                let root = placed.node();
                match leading_zero(&root, &source.text) {
                    Some(node) => Err(ambiguous(&source, node)),
                    None => Ok(Self { root, source }),
                }
            }
            Err(error) => Err(super::not_yaml::explain(&source, &error)),
        }
    }

    /// Returns the place of a range.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        // A block's range reaches to the next token; what a person points at ends with its text.
        let text = self.source.text.get(range.clone()).unwrap_or_default();
        Span::new(&self.source, range.start..range.start + text.trim_end().len())
    }
}

/// Finds a number such as `007`: some take it for 7, some for a text, some read it to base 8.
fn leading_zero<'a>(node: &'a Node, text: &str) -> Option<&'a Node> {
    match &node.content {
        Content::Scalar(Json::Number(number)) if number.is_f64() => {
            let written = text.get(node.range())?.trim().trim_start_matches(['-', '+']);
            let ambiguous =
                written.len() > 1 && written.starts_with('0') && written.bytes().all(|b| b.is_ascii_digit());
            ambiguous.then_some(node)
        }
        Content::Scalar(_) => None,
        Content::List(items) => items.iter().find_map(|item| leading_zero(item, text)),
        Content::Map(entries) => entries.iter().find_map(|(_, value)| leading_zero(value, text)),
    }
}

fn ambiguous(source: &Arc<Source>, node: &Node) -> Diagnostic {
    let place = Span::new(source, node.range());
    let written = place.text().trim().to_owned();
    Diagnostic::error(
        "number",
        format!("`{written}` may be meant as a text, or as a number to base 8 or 10"),
    )
    .at(&place, "starts with a zero")
    .help(format!(
        "write `\"{written}\"` for the text, or the number without the zero; to base 8 it is `0o{}`",
        written.trim_start_matches(['-', '+', '0'])
    ))
}

/// Refuses a file by its size.
#[must_use]
pub fn too_large(name: &str, bytes: u64) -> Diagnostic {
    let most = LARGEST_FILE >> 20;
    // Of an endless one only the beginning was counted.
    let size = match bytes >> 20 {
        size if size > most => format!("{size} MB"),
        _ => format!("more than {most} MB"),
    };
    Diagnostic::error(
        "file-too-large",
        format!("`{name}` has {size}; a stack file may have {most} MB"),
    )
    .help("split it with `include`, or move the data into files that resources refer to")
}

/// Parses where the stack is large enough for the deepest nesting, whatever thread asks for it.
fn with_room<T: Send>(parse: impl Fn() -> T + Sync) -> T {
    // A level of nesting takes up to 32 KB in a build without optimisation, and other threads have 2 MB.
    const ROOM: usize = 16 << 20;
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new()
            .name("yaml".to_owned())
            .stack_size(ROOM)
            .spawn_scoped(scope, &parse);
        match parser.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No thread to be had: it nearly always fits all the same.
            Err(_) => parse(),
        }
    })
}

fn options(bytes: usize) -> serde_saphyr::Options {
    // The limits are against bombs. They grow with nothing but aliases: what stands in the file
    // itself is bounded by its size.
    let mut budget = serde_saphyr::budget::Budget::default();
    budget.max_depth = DEEPEST;
    // How often an anchor is used is no sign of a bomb: what its uses add up to is bounded below.
    budget.enforce_alias_anchor_ratio = false;
    budget.max_aliases = 1_000_000;
    budget.max_anchors = 1_000_000;
    budget.max_merge_keys = 1_000_000;
    budget.max_events = 40_000_000;
    budget.max_nodes = 20_000_000;
    budget.max_total_scalar_bytes = 2 * LARGEST_FILE as usize;
    budget.max_documents = 1;
    // What aliases repeat may be several times the file, not a thousand times.
    let repeated = (100_000 + 4 * bytes).min(4_000_000);
    budget.max_recorded_anchor_events = repeated;
    let mut options = serde_saphyr::Options::default();
    options.alias_limits.max_total_replayed_events = repeated;
    options.budget = Some(budget);
    // A tag that nobody knows would be passed over, and with it what its writer meant.
    options.reject_unsupported_tags = true;
    options.strict_booleans = true;
    options
}

/// A value as serde-saphyr gives it: the place arrives around it.
type Placed = serde_saphyr::Spanned<Content>;

trait IntoNode {
    fn node(self) -> Node;
}

impl IntoNode for Placed {
    fn node(self) -> Node {
        let (start, end) = bytes(&self.referenced);
        Node {
            start,
            end,
            content: self.value,
        }
    }
}

fn bytes(place: &serde_saphyr::Location) -> (u32, u32) {
    let span = place.span();
    let start = span.byte_offset().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    let length = span
        .byte_len()
        .and_then(|length| u32::try_from(length).ok())
        .unwrap_or(0);
    (start, start.saturating_add(length))
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number; put it in quotes"))?;
        Ok(Content::Scalar(Json::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Json::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Json::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Placed>()? {
            items.push(item.node());
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<serde_saphyr::Spanned<String>, Placed>()? {
            let (start, end) = bytes(&key.referenced);
            if key.value.len() > 1024 {
                return Err(A::Error::custom("a key of more than 1,024 characters"));
            }
            entries.push((
                Key {
                    start,
                    end,
                    text: key.value,
                },
                value.node(),
            ));
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, Diagnostic> {
        Document::parse(Arc::new(Source {
            name: "t.yaml".into(),
            text: text.into(),
            path: None,
        }))
    }

    #[test]
    fn every_word_has_its_place() {
        let document = parse("name: demo\nlist:\n  - é: 1\n    b: [x, {c: true}]\n").unwrap();
        let Content::Map(entries) = &document.root.content else {
            panic!()
        };
        assert_eq!(document.span(entries[0].0.range()).text(), "name");
        assert_eq!(document.span(entries[0].1.range()).text(), "demo");
        let Content::List(items) = &entries[1].1.content else {
            panic!()
        };
        let Content::Map(inner) = &items[0].content else {
            panic!()
        };
        assert_eq!(document.span(inner[0].1.range()).text(), "1");
        assert_eq!(document.span(inner[1].0.range()).text(), "b");
        assert_eq!(document.span(inner[1].1.range()).to_string(), "t.yaml:4:8");
    }

    #[test]
    fn bombs_and_breaks_are_refused_with_their_place() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..9 {
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        for (text, code) in [
            (bomb.as_str(), "too-much"),
            (&"[".repeat(100_000), "too-much"),
            ("a: 1\na: 2\n", "twice"),
            ("a: [1\n", "yaml"),
            ("a: .nan\n", "number"),
            ("a: 1\n---\nb: 2\n", "documents"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, code, "{error}");
            assert!(!error.labels.is_empty());
        }
    }
}
