//! What a kind says when something does not work, and what it finds wrong with inputs.

use std::time::Duration;

/// The result of a call to a kind or a provider.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; it decides whether the engine tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The inputs are wrong. Not tried again.
    Invalid,
    /// Something that is not ours is in the way. Not tried again.
    Conflict,
    /// Credentials are missing, expired or not enough. Not tried again.
    Denied,
    /// The provider refuses for good. Not tried again.
    Failed,
    /// Something else must happen first (a dependency is not there yet, or not gone yet). Tried again.
    Busy,
    /// No answer, or one that says "later". Tried again.
    Unavailable,
    /// Too many calls. Tried again, not before `after`.
    Throttled {
        /// What the provider asked for.
        after: Option<Duration>,
    },
}

impl Class {
    /// Whether a later try may succeed with nothing changed by us.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::Throttled { .. })
    }
}

/// A call that did not work.
///
/// `message` says what was tried and what is wrong; it holds no secret and does not repeat `source`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What sort of failure it is.
    pub class: Class,
    /// What is wrong.
    pub message: String,
    /// The input it comes from, as a path: `ports[0].from`.
    pub field: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Starts an error of a class.
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            field: None,
            help: None,
            source: None,
        }
    }

    /// The inputs are wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::Invalid, message)
    }

    /// Something that is not ours is in the way.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Class::Conflict, message)
    }

    /// It will not work by trying again.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Class::Failed, message)
    }

    /// Something else must happen first.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Class::Busy, message)
    }

    /// No answer, or "later".
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Class::Unavailable, message)
    }

    /// Names the input it comes from.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
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

    /// Keeps the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Writes the message and each cause after a colon, nothing twice.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let said = cause.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            next = cause.source();
        }
        text
    }
}

/// Something wrong with inputs, at a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The input as a path: `ports[0].from`; empty for the resource as a whole.
    pub field: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// Names a field and what is wrong with it.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            help: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
