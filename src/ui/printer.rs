//! How much is said, in which colours, and to whom: decided once, asked everywhere.
//!
//! Data goes to standard output, talk to standard error. A reader that goes away (`| head -1`) ends
//! the output, not the program.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use super::Paint;

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Data and errors only.
    Quiet,
    /// What a person wants to know.
    #[default]
    Default,
    /// Also what helps to find out why.
    Verbose,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

/// What one of the two streams can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether a person watches it.
    pub terminal: bool,
    /// Whether it may hold characters beyond ASCII for decoration.
    pub unicode: bool,
    /// Colours, or none.
    pub paint: Paint,
    /// Columns.
    pub width: usize,
}

impl Look {
    /// A file or a pipe: no colour, 100 columns.
    pub const PLAIN: Self = Self {
        terminal: false,
        unicode: true,
        paint: Paint::PLAIN,
        width: 100,
    };
}

/// What decides how things are printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// How much is said.
    pub verbosity: Verbosity,
    /// When to use colour.
    pub color: Color,
    /// Whether `NO_COLOR` is set, or the terminal says it is a dumb one.
    pub no_color: bool,
    /// Whether the locale says that the terminal shows UTF-8.
    pub utf8: bool,
    /// Whether events are written as JSON.
    pub json: bool,
}

/// Prints. Only this and what it hands out touch the standard streams.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    verbosity: Verbosity,
    json: bool,
    out: Look,
    err: Look,
}

impl Printer {
    /// Looks at the streams and decides.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        let look = |terminal: bool| Look {
            terminal,
            unicode: !terminal || wishes.utf8,
            paint: Paint::new(match wishes.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !wishes.no_color,
            }),
            width: match terminal_size::terminal_size() {
                Some((width, _)) if terminal => usize::from(width.0).clamp(40, 160),
                _ => 100,
            },
        };
        Self {
            verbosity: wishes.verbosity,
            json: wishes.json,
            out: look(io::stdout().is_terminal()),
            err: look(io::stderr().is_terminal()),
        }
    }

    /// Returns how much is said.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether events are written as JSON, one a line.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether talk is wanted: not quiet, and no JSON that says the same.
    #[must_use]
    pub fn talks(&self) -> bool {
        self.verbosity > Verbosity::Quiet && !self.json
    }

    /// Returns what standard output can show.
    #[must_use]
    pub fn out_look(&self) -> Look {
        self.out
    }

    /// Returns what standard error can show.
    #[must_use]
    pub fn err_look(&self) -> Look {
        self.err
    }

    /// Opens standard output, buffered, for data.
    #[must_use]
    pub fn out(&self) -> Out<io::StdoutLock<'static>> {
        Out::new(io::stdout().lock())
    }

    /// Opens standard error, buffered, for talk.
    #[must_use]
    pub fn err(&self) -> Out<io::StderrLock<'static>> {
        Out::new(io::stderr().lock())
    }

    /// Says a line on standard error, unless quiet or JSON is wanted.
    pub fn say(&self, line: impl std::fmt::Display) {
        if self.talks() {
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }

    /// Says a line on standard error that also a quiet run needs.
    pub fn warn(&self, line: impl std::fmt::Display) {
        let paint = self.err.paint;
        let _ = writeln!(io::stderr().lock(), "{}: {line}", paint.yellow("warning"));
    }

    /// Asks a question on standard error and reads the answer; anything but `y` or `yes` is a no.
    ///
    /// # Errors
    /// Says that the answer cannot be read.
    pub fn ask(&self, question: &str) -> io::Result<bool> {
        let mut err = io::stderr().lock();
        write!(err, "{} [y/N] ", self.err.paint.bold(question))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if !answer.ends_with('\n') {
            writeln!(err)?;
        }
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Whether a person can be asked: they see the question and can answer it.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.err.terminal && io::stdin().is_terminal() && !self.json
    }
}

/// A buffered stream whose reader may go away.
#[derive(Debug)]
pub struct Out<W: Write> {
    to: BufWriter<W>,
    closed: bool,
}

impl<W: Write> Out<W> {
    /// Buffers a stream.
    pub fn new(to: W) -> Self {
        Self {
            to: BufWriter::with_capacity(64 * 1024, to),
            closed: false,
        }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// Fails when the stream takes no more (a full disk); not when its reader has gone.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.forgive(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.forgive(flushed, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let mut out = Out::new(Gone);
        for _ in 0..100_000 {
            writeln!(out, "a line").unwrap();
        }
        out.finish().unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Out::new(Full);
        let _ = writeln!(out, "a line");
        assert!(out.finish().is_err());
    }

    #[test]
    fn colour_is_decided_once() {
        let paints = |color, no_color| {
            Printer::new(Wishes {
                color,
                no_color,
                ..Wishes::default()
            })
            .out_look()
            .paint
            .is_on()
        };
        assert!(paints(Color::Always, true));
        assert!(!paints(Color::Never, false));
        assert!(!paints(Color::Auto, true));
    }
}
