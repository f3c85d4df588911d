//! What is wrong, for people: the excerpt of the file, the word underlined, what to do.

use std::fmt;
use std::io::{self, Write};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, ThemeCharacters, ThemeStyles};

use super::{Look, clean, plural};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Source, Span};

/// A line longer than this is not shown as an excerpt.
const LINE_MAX: usize = 2_000;
/// So many are shown in full; the rest is counted.
const SHOWN_MAX: usize = 100;

/// Writes all diagnostics in their order, and how many there are when it is more than one.
///
/// # Errors
/// Fails when the writer does.
pub fn write_report(to: &mut impl Write, diagnostics: &Diagnostics, look: Look) -> io::Result<()> {
    let handler = handler(look);
    let mut text = String::new();
    for diagnostic in diagnostics.0.iter().take(SHOWN_MAX) {
        text.clear();
        if handler.render_report(&mut text, &View::new(diagnostic)).is_err() {
            text = format!("error[{}]: {}\n", diagnostic.code, clean(&diagnostic.summary));
        }
        // miette pads lines; what is copied into a ticket should not carry that.
        for line in text.trim_matches('\n').lines() {
            writeln!(to, "{}", line.trim_end())?;
        }
        writeln!(to)?;
    }
    let count = |severity| diagnostics.0.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if let Some(more @ 1..) = diagnostics.0.len().checked_sub(SHOWN_MAX) {
        writeln!(to, "({more} more of them not shown)")?;
    }
    match (errors, warnings) {
        (0 | 1, 0) | (0, 1) => Ok(()),
        (errors, 0) => writeln!(to, "{}", look.paint.bold(plural(errors, "problem"))),
        (0, warnings) => writeln!(to, "{}", look.paint.bold(plural(warnings, "warning"))),
        (errors, warnings) => writeln!(
            to,
            "{}",
            look.paint.bold(format_args!(
                "{} and {}",
                plural(errors, "problem"),
                plural(warnings, "warning")
            ))
        ),
    }
}

fn handler(look: Look) -> GraphicalReportHandler {
    let fancy = look.terminal && look.unicode;
    let theme = GraphicalTheme {
        characters: if fancy {
            ThemeCharacters::unicode()
        } else {
            ThemeCharacters::ascii()
        },
        styles: if look.paint.is_on() {
            ThemeStyles::ansi()
        } else {
            ThemeStyles::none()
        },
    };
    GraphicalReportHandler::new_themed(theme)
        .with_width(look.width)
        .with_links(false)
        .with_wrap_lines(look.terminal)
        .with_context_lines(1)
        // The place stands in the name of the source, counted as the rest of wasmctl counts.
        .without_primary_span_start()
}

/// A diagnostic as miette is to see it: the place in the name of the file, no endless lines, labels
/// in other files spelled out.
struct View<'a> {
    diagnostic: &'a Diagnostic,
    excerpt: Option<Excerpt<'a>>,
    help: Option<String>,
}

struct Excerpt<'a> {
    source: &'a Source,
    place: String,
}

impl<'a> View<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let first = diagnostic.labels.first().map(|(span, _)| span);
        let place = first.map(ToString::to_string);
        let readable = diagnostic.labels.iter().all(|(span, _)| is_readable(span));
        let mut notes: Vec<String> = Vec::new();
        if let Some(place) = place.as_ref().filter(|_| !readable) {
            notes.push(format!("at {place}"));
        }
        for (span, text) in &diagnostic.labels {
            if first.is_some_and(|first| !std::sync::Arc::ptr_eq(&first.source, &span.source)) {
                let separator = if text.is_empty() { "" } else { ": " };
                notes.push(format!("see {span}{separator}{}", clean(text)));
            }
        }
        notes.extend(diagnostic.help.clone());
        Self {
            diagnostic,
            excerpt: first.filter(|_| readable).zip(place).map(|(span, place)| Excerpt {
                source: &span.source,
                place,
            }),
            help: (!notes.is_empty()).then(|| notes.join("\n")),
        }
    }
}

fn is_readable(span: &Span) -> bool {
    let (text, range) = (&span.source.text, span.range());
    let before = text.as_bytes()[..range.start]
        .iter()
        .rev()
        .take(LINE_MAX)
        .position(|b| *b == b'\n');
    let after = text.as_bytes()[range.start..]
        .iter()
        .take(LINE_MAX)
        .position(|b| *b == b'\n');
    (before.is_some() || range.start < LINE_MAX)
        && (after.is_some() || text.len() - range.start < LINE_MAX)
        && range.len() < LINE_MAX
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.diagnostic.summary))
    }
}

impl std::error::Error for View<'_> {}

impl miette::Diagnostic for View<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let noun = match self.diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Some(Box::new(format!("{noun}[{}]", self.diagnostic.code)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        self.diagnostic.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.excerpt.as_ref()?;
        self.diagnostic.labels()
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn miette::SourceCode)
    }
}

impl miette::SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = self.source.text.as_str().read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.place.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// What is said when wasmctl itself is at fault.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic
            .location()
            .map(|place| format!(" at {}:{}", place.file(), place.line()))
            .unwrap_or_default();
        let _ = writeln!(
            io::stderr().lock(),
            "This is a bug in wasmctl {}: {}{place}\n\
             What was done so far is recorded: the next run carries on from there.\n\
             Please report it with the command you ran and this text: {}/issues",
            env!("CARGO_PKG_VERSION"),
            clean(said),
            env!("CARGO_PKG_REPOSITORY"),
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source {
            name: "stacks/x/stack.yaml".to_owned(),
            text: text.to_owned(),
            path: None,
        })
    }

    fn render(diagnostics: Vec<Diagnostic>, look: Look) -> String {
        let mut out = Vec::new();
        write_report(&mut out, &Diagnostics(diagnostics), look).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_word_is_underlined_and_its_place_named() {
        let file = source("name: x\nresources:\n  app:\n    type: local/instance\n    prot: 80\n");
        let at = file.text.find("prot").unwrap();
        let one = Diagnostic::error("unknown-field", "unknown field `prot` in `app`")
            .at(&Span::new(&file, at..at + 4), "not a field of local/instance")
            .help("did you mean `port`?");
        let two = Diagnostic::error("no-such-file", "`a.wasm` does not exist");
        insta::assert_snapshot!(render(vec![one, two], Look::PLAIN), @r"
        error[unknown-field]

          x unknown field `prot` in `app`
           ,-[stacks/x/stack.yaml:5:5]
         4 |     type: local/instance
         5 |     prot: 80
           :     ^^|^
           :       `-- not a field of local/instance
           `----
          help: did you mean `port`?

        error[no-such-file]

          x `a.wasm` does not exist

        2 problems
        ");
    }

    #[test]
    fn an_endless_line_is_not_shown() {
        let file = source(&format!("a: {}\n", "x".repeat(1_000_000)));
        let text = render(
            vec![Diagnostic::error("too-long", "too long").at(&Span::new(&file, 3..900_000), "here")],
            Look::PLAIN,
        );
        assert!(text.len() < 300, "{}", text.len());
        assert!(text.contains("stacks/x/stack.yaml:1:4"));
    }

    #[test]
    fn columns_count_characters_and_other_files_are_named() {
        let file = source("größe: ß\n");
        let other = source("name: x\n");
        let at = file.text.rfind('ß').unwrap();
        let text = render(
            vec![
                Diagnostic::warning("twice", "declared twice")
                    .at(&Span::new(&file, at..at + 2), "again")
                    .at(&Span::new(&other, 0..4), "first here"),
            ],
            Look::PLAIN,
        );
        assert!(text.contains("warning[twice]"), "{text}");
        assert!(text.contains("stacks/x/stack.yaml:1:8"), "{text}");
        assert!(text.contains("see stacks/x/stack.yaml:1:1: first here"), "{text}");
    }
}
