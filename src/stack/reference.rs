//! References such as `target[each.key].id`: finding them in a text, and taking them apart.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a reference starts from, and the way from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it starts from.
    pub root: Root,
    /// The way from there.
    pub path: Vec<Segment>,
    /// Where it stands in the text of its leaf.
    pub range: Range<usize>,
}

/// What a reference starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Root {
    /// `var`: the stack's variables.
    Variables,
    /// `each`: key and value of this instance.
    Each,
    /// `stack`: name and environment of this deployment.
    Stack,
    /// `on`: the outputs of the stack this one stands on.
    On,
    /// Outputs of a resource.
    Resource(Arc<str>),
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// `.name` or `["name"]`.
    Key(String),
    /// `[0]`.
    Index(usize),
    /// `[each.key]`: the value of another reference.
    Dynamic(Reference),
}

impl Root {
    /// The words that no resource may be named.
    pub const RESERVED: [&'static str; 4] = ["var", "each", "stack", "on"];

    /// The words that mean something else in templates.
    pub const IN_TEMPLATES: [&'static str; 18] = [
        "true", "True", "false", "False", "none", "None", "null", "not", "and", "or", "in", "is", "if", "else", "loop",
        "self", "continue", "break",
    ];

    fn of(word: &str) -> Self {
        match word {
            "var" => Self::Variables,
            "each" => Self::Each,
            "stack" => Self::Stack,
            "on" => Self::On,
            name => Self::Resource(name.into()),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variables => "var",
            Self::Each => "each",
            Self::Stack => "stack",
            Self::On => "on",
            Self::Resource(name) => name,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        for segment in &self.path {
            match segment {
                Segment::Key(key) if crate::id::is_name(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{}]", serde_json::Value::String(key.clone()))?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Dynamic(inner) => write!(f, "[{inner}]")?,
            }
        }
        Ok(())
    }
}

/// Reads a leaf that is exactly one reference: `{{ vpc.id }}` and nothing around it.
#[must_use]
pub fn exactly_one(text: &str) -> Option<Reference> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    let mut scanner = Scanner {
        text,
        at: start,
        end: start + inner.len(),
        depth: 0,
    };
    scanner.skip_blank();
    let reference = scanner.reference()?;
    scanner.skip_blank();
    (scanner.at == scanner.end).then_some(reference)
}

/// Finds the references of a template to any of `roots`, which tera has found to be free names.
///
/// A name whose way is not plain (`name[a + b]`) is taken as a whole.
#[must_use]
pub fn find_all(text: &str, roots: &[&str]) -> Vec<Reference> {
    let mut found = Vec::new();
    for region in regions(text) {
        let mut scanner = Scanner {
            text,
            at: region.start,
            end: region.end,
            depth: 0,
        };
        // What stands before a word tells a name from a member, a filter or a test.
        let mut before = ' ';
        while scanner.at < scanner.end {
            let rest = &text[scanner.at..scanner.end];
            let Some(next) = rest.chars().next() else { break };
            if next == '"' || next == '\'' || next == '`' {
                scanner.quoted();
                before = '"';
            } else if next.is_ascii_alphabetic() || next == '_' {
                let start = scanner.at;
                let word = scanner.word();
                let follows = text[scanner.at..scanner.end].trim_start();
                let is_call = follows.starts_with('(');
                let is_argument = follows.starts_with('=') && !follows.starts_with("==");
                if before != '.' && before != '|' && !is_call && !is_argument && roots.contains(&word) {
                    scanner.at = start;
                    match scanner.reference() {
                        Some(reference) => found.push(reference),
                        None => {
                            let end = start + word.len();
                            found.push(Reference {
                                root: Root::of(word),
                                path: Vec::new(),
                                range: start..end,
                            });
                            scanner.at = end;
                        }
                    }
                }
                before = 'a';
            } else {
                if !next.is_whitespace() {
                    before = next;
                }
                scanner.at += next.len_utf8();
            }
        }
    }
    found
}

/// Returns the insides of `{{ }}` and `{% %}`, leaving out comments and raw blocks.
fn regions(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|offset| at + offset) {
        let (close, skip) = match text.as_bytes().get(open + 1) {
            Some(b'{') => ("}}", false),
            Some(b'%') => ("%}", false),
            Some(b'#') => ("#}", true),
            _ => {
                at = open + 1;
                continue;
            }
        };
        let mut scanner = Scanner {
            text,
            at: open + 2,
            end: text.len(),
            depth: 0,
        };
        let end = scanner.until(close, skip);
        let inside = open + 2..end;
        at = (end + 2).min(text.len());
        if skip {
            continue;
        }
        let words = text[inside.clone()].trim_matches(|c: char| c.is_whitespace() || c == '-');
        if close == "%}" && words == "raw" {
            at = ["{% endraw", "{%- endraw"]
                .iter()
                .filter_map(|end| text[at..].find(end))
                .min()
                .map_or(text.len(), |offset| at + offset);
            continue;
        }
        found.push(inside);
    }
    found
}

/// How deep references may stand in each other's brackets: far more than anybody reads.
const DEEPEST: usize = 16;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    fn skip_blank(&mut self) {
        self.at = self.end - self.rest().trim_start().len();
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Steps over a quoted text and returns what is inside.
    fn quoted(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let quote = rest.chars().next()?;
        let mut escaped = false;
        for (offset, c) in rest.char_indices().skip(1) {
            if c == quote && !escaped {
                self.at += offset + 1;
                return Some(&rest[1..offset]);
            }
            escaped = c == '\\' && !escaped;
        }
        self.at = self.end;
        None
    }

    /// Steps to the closing mark, over quoted texts unless it is a comment, and returns where it is.
    fn until(&mut self, close: &str, comment: bool) -> usize {
        while self.at < self.end {
            let rest = self.rest();
            if rest.starts_with(close) {
                return self.at;
            }
            match rest.chars().next() {
                Some('"' | '\'' | '`') if !comment => {
                    self.quoted();
                }
                Some(c) => self.at += c.len_utf8(),
                None => break,
            }
        }
        self.end
    }

    /// Reads a plain reference, or leaves the place where it was.
    fn reference(&mut self) -> Option<Reference> {
        let start = self.at;
        let read = self.try_reference();
        if read.is_none() {
            self.at = start;
        }
        read
    }

    fn try_reference(&mut self) -> Option<Reference> {
        let start = self.at;
        let word = self.word();
        if !crate::id::is_name(word) || Root::IN_TEMPLATES.contains(&word) {
            return None;
        }
        let mut path = Vec::new();
        loop {
            if let Some(after) = self.rest().strip_prefix('.') {
                if !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
                    return None;
                }
                self.at += 1;
                let word = self.word();
                path.push(match word.parse() {
                    Ok(index) => Segment::Index(index),
                    Err(_) => Segment::Key(word.to_owned()),
                });
            } else if self.rest().starts_with('[') {
                self.at += 1;
                self.skip_blank();
                let rest = self.rest();
                let segment = if rest.starts_with(['"', '\'']) {
                    let inside = self.quoted()?;
                    if inside.contains('\\') {
                        return None;
                    }
                    Segment::Key(inside.to_owned())
                } else if rest.starts_with(|c: char| c.is_ascii_digit()) {
                    Segment::Index(self.word().parse().ok()?)
                } else {
                    if self.depth == DEEPEST {
                        return None;
                    }
                    self.depth += 1;
                    let inner = self.try_reference();
                    self.depth -= 1;
                    Segment::Dynamic(inner?)
                };
                path.push(segment);
                self.skip_blank();
                if !self.rest().starts_with(']') {
                    return None;
                }
                self.at += 1;
            } else if self.rest().starts_with('(') || self.rest().starts_with("?.") {
                return None;
            } else {
                return Some(Reference {
                    root: Root::of(word),
                    path,
                    range: start..self.at,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reference_is_told_from_a_text() {
        for (text, want) in [
            ("{{ vpc.id }}", "vpc.id"),
            ("{{vpc.id}}", "vpc.id"),
            ("  {{ a[\"x y\"].b[0].c }}  ", "a[\"x y\"].b[0].c"),
            ("{{ target[each.key].id }}", "target[each.key].id"),
            ("{{ var.zones.0 }}", "var.zones[0]"),
        ] {
            assert_eq!(exactly_one(text).unwrap().to_string(), want, "{text}");
        }
        for text in [
            "x{{ a.b }}",
            "{{ a.b | upper }}",
            "{{ a + b }}",
            "{{ f(x=1) }}",
            "{{ }}",
            "{{ a. }}",
            "a.b",
            "{{ true }}",
            "{{ a }}{{ b }}",
        ] {
            assert!(exactly_one(text).is_none(), "{text}");
        }
    }

    #[test]
    fn brackets_in_brackets_have_an_end() {
        let nested = |depth: usize| format!("{{{{ {}a{} }}}}", "a[".repeat(depth), "]".repeat(depth));
        assert!(exactly_one(&nested(DEEPEST)).is_some());
        assert!(exactly_one(&nested(DEEPEST + 1)).is_none());
        assert!(exactly_one(&nested(100_000)).is_none());
        assert!(find_all(&nested(20_000), &["a"]).len() <= 20_001);
    }

    #[test]
    fn references_are_found_among_filters_strings_and_comments() {
        let text = "{# a.no #}{% raw %}{{ a.no }}{% endraw %}{{ a.x | default(value=b.y) }} \
                    {% if c and c.z == 'a.no' %}{{ d[e.k].v }}{% endif %}{{ a[1 + 2] }}{{ value }}";
        let found: Vec<String> = find_all(text, &["a", "b", "c", "d", "e", "default"])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["a.x", "b.y", "c", "c.z", "d[e.k].v", "a"]);
    }
}
