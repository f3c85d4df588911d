//! Colours, or their absence.

use std::fmt;

/// Paints words where colour is wanted, and leaves them as they are elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

/// A word with a colour around it.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    word: T,
    code: &'static str,
}

impl Paint {
    /// Paints nothing.
    pub const PLAIN: Self = Self { on: false };

    /// Paints if `on`.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether it paints at all.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    fn with<T>(self, word: T, code: &'static str) -> Painted<T> {
        Painted {
            word,
            code: if self.on { code } else { "" },
        }
    }

    /// Makes a word stand out.
    pub fn bold<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "1")
    }

    /// Moves a word into the background.
    pub fn dim<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "2")
    }

    /// The colour of what is made.
    pub fn green<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "32")
    }

    /// The colour of what changes, and of warnings.
    pub fn yellow<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "33")
    }

    /// The colour of what goes, and of errors.
    pub fn red<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "31")
    }

    /// The colour of names and commands.
    pub fn cyan<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "36")
    }

    /// The colour of a replacement.
    pub fn magenta<T: fmt::Display>(self, word: T) -> Painted<T> {
        self.with(word, "35")
    }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_empty() {
            self.word.fmt(f)
        } else {
            write!(f, "\x1b[{}m", self.code)?;
            self.word.fmt(f)?;
            f.write_str("\x1b[0m")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_a_word_stays_as_it_is() {
        assert_eq!(Paint::new(false).bold("a").to_string(), "a");
        assert_eq!(Paint::new(true).bold("a").to_string(), "\x1b[1ma\x1b[0m");
    }
}
