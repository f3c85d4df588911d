//! What is wrong, where, why it matters and what to do: the one form of every message about files.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{LabeledSpan, SourceSpan};

/// A file that was read: its name as the user would write it, and its text.
#[derive(Debug)]
pub struct Source {
    /// Relative to the project folder where it lies inside it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where it lies on disk; `None` for one that is compiled in.
    pub path: Option<PathBuf>,
}

/// A range of bytes in a source.
#[derive(Clone)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    start: u32,
    end: u32,
}

impl Span {
    /// Marks a range of bytes. A range outside the text is clipped to it.
    #[must_use]
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let length = source.text.len();
        let clip = |at: usize| u32::try_from(at.min(length)).unwrap_or(u32::MAX);
        Self {
            source: Arc::clone(source),
            start: clip(range.start),
            end: clip(range.end.max(range.start)),
        }
    }

    /// Returns the range of bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the text that is marked.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text.get(self.range()).unwrap_or_default()
    }

    /// Narrows the mark to `part`, counted in bytes from its start.
    #[must_use]
    pub fn within(&self, part: Range<usize>) -> Self {
        let start = self.start as usize;
        Self::new(
            &self.source,
            start + part.start..(start + part.end).min(self.end as usize),
        )
    }

    /// Returns line and column, both counted from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.start as usize).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Span {
    /// Writes `FILE:LINE:COLUMN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a value to its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is done while it stands.
    Error,
    /// Work goes on.
    Warning,
}

/// One thing that is wrong.
///
/// `summary` is one sentence without a full stop; `help` says what to do. The first label is the
/// place that `FILE:LINE:COLUMN` names.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A stable word for scripts and tests, such as `unknown-field`.
    pub code: &'static str,
    /// What is wrong, with the names that matter.
    pub summary: String,
    /// Where, and what is to be said of each place.
    pub labels: Vec<(Span, String)>,
    /// Why it matters and what to do.
    pub help: Option<String>,
    /// How much it matters.
    pub severity: Severity,
}

impl Diagnostic {
    /// Starts an error.
    #[must_use]
    pub fn error(code: &'static str, summary: impl Into<String>) -> Self {
        Self {
            code,
            summary: shortened(summary.into(), 2000),
            labels: Vec::new(),
            help: None,
            severity: Severity::Error,
        }
    }

    /// Starts a warning.
    #[must_use]
    pub fn warning(code: &'static str, summary: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, summary)
        }
    }

    /// Adds a place and what is to be said of it.
    #[must_use]
    pub fn at(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.labels.push((span.clone(), label.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, if there is something to say.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        // miette shows one source a diagnostic; labels in other files become part of the help.
        let first = self.labels.first()?.0.source.clone();
        Some(Box::new(
            self.labels
                .iter()
                .filter(move |(span, _)| Arc::ptr_eq(&span.source, &first))
                .map(|(span, text)| {
                    let range = span.range();
                    LabeledSpan::new_with_span(
                        (!text.is_empty()).then(|| text.clone()),
                        SourceSpan::new(range.start.into(), range.len()),
                    )
                }),
        ))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        let source: &Source = &self.labels.first()?.0.source;
        Some(source)
    }
}

impl miette::SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        // miette's NamedSource would own the text; this borrows it and adds only the name.
        let inner = self
            .text
            .as_str()
            .read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// Everything that is wrong; never empty when it is an error.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// How many are kept: nobody mends more at once, and finding the likely word for each takes time.
    pub const MOST: usize = 99;

    /// Adds one; after [`MOST`](Self::MOST) it only notes that there are more.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match self.0.len() {
            count if count < Self::MOST => self.0.push(diagnostic),
            count if count == Self::MOST => self.0.push(
                Diagnostic::error("more", format!("there are more problems than these {}", Self::MOST))
                    .help("mend these first: many problems often have one cause"),
            ),
            _ => {}
        }
    }

    /// Adds several, as [`push`](Self::push) does.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        more.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Whether it takes no more, so that looking for more is no use.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() > Self::MOST
    }

    /// Puts them into the order of the files, those without a place first.
    pub fn sort(&mut self, sources: &[Arc<Source>]) {
        let file = |source: &Arc<Source>| sources.iter().position(|one| Arc::ptr_eq(one, source));
        self.0.sort_by_key(|diagnostic| {
            let place = diagnostic
                .labels
                .first()
                .map(|(span, _)| (file(&span.source), span.start));
            (diagnostic.code == "more", place)
        });
    }

    /// Whether any of them forbids to go on.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Ends a check: all that was found is the error, if any of it is one.
    ///
    /// # Errors
    /// Returns itself when it holds an error.
    pub fn into_result<T>(self, value: T) -> Result<(T, Self), Self> {
        if self.has_errors() {
            Err(self)
        } else {
            Ok((value, self))
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Cuts a text that may come from a file to a length that a person reads.
#[must_use]
pub fn shortened(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Finds the word that was probably meant: close in spelling, or the same but for case.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| {
            // In a short word one slip changes more than in a long one.
            let allowed = match candidate.len().min(word.len()) {
                0..=2 => 0,
                3..=4 => 1,
                5..=8 => 2,
                _ => 3,
            };
            if candidate.len().abs_diff(word.len()) > allowed + 2 {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
