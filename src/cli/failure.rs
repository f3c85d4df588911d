//! How a command ends.

use std::io;

use super::Context;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::ui::report;

/// How a command ends when it ends as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// It is done.
    pub const DONE: Self = Self(0);
    /// The stack or the cloud said no.
    pub const NO: Self = Self(1);
    /// Differences were found.
    pub const DIFFERENT: Self = Self(3);
    /// The run was interrupted.
    pub const INTERRUPTED: Self = Self(130);
    /// The command line was wrong.
    pub const USAGE: u8 = 2;
    /// wasmctl is at fault.
    pub const BUG: u8 = 255;
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub diagnostics: Diagnostics,
    /// What the process exits with.
    pub exit: Exit,
}

impl Failure {
    /// The command line asks for something that cannot be.
    #[must_use]
    pub fn usage(summary: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            diagnostics: Diagnostic::error("usage", summary).help(help).into(),
            exit: Exit(Exit::USAGE),
        }
    }

    /// Says what is wrong and returns the exit code.
    pub(super) fn tell(self, cx: &Context) -> Exit {
        if cx.printer.is_json() {
            cx.json.errors(&self.diagnostics);
        } else {
            let mut err = cx.printer.err();
            // Standard error takes no more: the exit code is all that is left.
            let _ = report::write_report(&mut err, &self.diagnostics, cx.printer.err_look());
            let _ = err.finish();
        }
        self.exit
    }
}

impl Context {
    /// Says what is worth knowing although the work goes on.
    pub(super) fn warn(&self, diagnostics: &Diagnostics) {
        debug_assert!(diagnostics.0.iter().all(|one| one.severity == Severity::Warning));
        if diagnostics.0.is_empty() {
            return;
        }
        if self.printer.is_json() {
            self.json.errors(diagnostics);
        } else if self.printer.talks() {
            let mut err = self.printer.err();
            let _ = report::write_report(&mut err, diagnostics, self.printer.err_look());
            let _ = err.finish();
        }
    }
}

#[cfg(feature = "serve")]
impl From<crate::serve::Error> for Failure {
    fn from(error: crate::serve::Error) -> Self {
        Self {
            diagnostics: Diagnostic::error("serve", error.to_string()).into(),
            exit: Exit::NO,
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            exit: Exit::NO,
        }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics::from(diagnostic).into()
    }
}

/// Standard output takes no more.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Diagnostic::error("output", format!("standard output takes no more: {error}"))
            .help("the output is not complete; look at the disk or the program that reads it")
            .into()
    }
}
