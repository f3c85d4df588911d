//! Events for scripts: one JSON object a line, a version first, `done` last.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Out;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::event::Event;

/// The version of the format: raised when a reader would have to change.
pub const FORMAT: u32 = 1;

/// Writes the events of one command.
pub struct JsonLines {
    command: &'static str,
    inner: Mutex<Inner>,
}

struct Inner {
    to: Out<Box<dyn Write + Send>>,
    begun: bool,
    done: bool,
}

impl std::fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.command)
    }
}

impl JsonLines {
    /// Writes to standard output. Nothing is written before there is something to say.
    #[must_use]
    pub fn new(command: &'static str) -> Self {
        Self::to(command, Box::new(io::stdout()))
    }

    fn to(command: &'static str, to: Box<dyn Write + Send>) -> Self {
        Self {
            command,
            inner: Mutex::new(Inner {
                to: Out::new(to),
                begun: false,
                done: false,
            }),
        }
    }

    /// Writes one object on its line.
    pub fn line(&self, object: &impl Serialize) {
        self.with(|to| {
            serde_json::to_writer(&mut *to, object)?;
            to.write_all(b"\n")
        });
    }

    /// Hands out the stream for many lines at once.
    pub fn with(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A stream that takes no more cannot be told about it; the exit code still says what happened.
        let _ = inner
            .begin(self.command)
            .and_then(|()| write(&mut inner.to))
            .and_then(|()| inner.to.flush());
    }

    /// Writes an event.
    pub fn event(&self, event: &Event) {
        self.line(event);
        if matches!(event, Event::Done { .. }) {
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).done = true;
        }
    }

    /// Writes what is wrong.
    pub fn errors(&self, diagnostics: &Diagnostics) {
        for diagnostic in &diagnostics.0 {
            self.line(&ErrorLine::new(diagnostic));
        }
    }

    /// Writes `done` unless a run has written it, or the command only printed data.
    pub fn close(&self, exit_code: u8) {
        let (begun, done) = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            (inner.begun, inner.done)
        };
        if begun && !done {
            self.line(&End {
                event: "done",
                command: self.command,
                exit_code,
            });
        }
    }
}

impl Inner {
    fn begin(&mut self, command: &str) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        serde_json::to_writer(
            &mut self.to,
            &Version {
                event: "version",
                format: FORMAT,
                wasmctl: env!("CARGO_PKG_VERSION"),
                command,
            },
        )?;
        self.to.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct Version<'a> {
    event: &'static str,
    format: u32,
    wasmctl: &'static str,
    command: &'a str,
}

#[derive(Serialize)]
struct End {
    event: &'static str,
    command: &'static str,
    exit_code: u8,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    event: &'static str,
    code: &'static str,
    summary: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> ErrorLine<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        Self {
            event: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: diagnostic.code,
            summary: &diagnostic.summary,
            place: diagnostic.labels.first().map(|(span, _)| span.to_string()),
            help: diagnostic.help.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ui::human::tests::Buffer;

    #[test]
    fn a_version_is_first_and_done_is_last() {
        let buffer = Buffer::default();
        let lines = JsonLines::to("deploy", Box::new(buffer.clone()));
        lines.event(&Event::Reading { objects: 3 });
        let source = Arc::new(crate::diagnostic::Source {
            name: "s.yaml".to_owned(),
            text: "name: x\n".to_owned(),
            path: None,
        });
        lines.errors(
            &Diagnostic::error("bad", "it is bad")
                .at(&crate::diagnostic::Span::new(&source, 6..7), "")
                .help("mend it")
                .into(),
        );
        lines.close(1);
        insta::assert_snapshot!(buffer.text(), @r#"
        {"event":"version","format":1,"wasmctl":"0.1.0","command":"deploy"}
        {"event":"reading","objects":3}
        {"event":"error","code":"bad","summary":"it is bad","place":"s.yaml:1:7","help":"mend it"}
        {"event":"done","command":"deploy","exit_code":1}
        "#);
    }
}
