//! Names of things: resources, kinds, remote objects, tokens, states.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of a resource: its name in the stack and, under `for_each`, its key.
///
/// Written `queue` or `queue[express]`. The key is whatever stands between the first `[` and the
/// closing `]`, so that any map key of a stack file makes a legal address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    /// The name under `resources:`.
    pub name: Arc<str>,
    /// The key under `for_each`, if there is one.
    pub key: Option<Arc<str>>,
}

impl ResourceId {
    /// Names a resource without `for_each`, or all instances of one that has it.
    #[must_use]
    pub fn plain(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            key: None,
        }
    }

    /// Names one instance of a resource with `for_each`.
    #[must_use]
    pub fn keyed(name: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            key: Some(key.into()),
        }
    }

    /// Returns the address with characters that no file name needs replaced by `-`.
    ///
    /// Two addresses may share a file name; what must be unique adds a token.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .collect::<String>()
            .trim_end_matches('-')
            .to_owned()
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            None => f.write_str(&self.name),
            Some(key) => write!(f, "{}[{key}]", self.name),
        }
    }
}

/// An address that is no `name` or `name[key]`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the address of a resource: write `name` or `name[key]`")]
pub struct BadAddress(String);

impl FromStr for ResourceId {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (name, key) = match text.split_once('[') {
            None => (text, None),
            Some((name, rest)) => {
                let key = rest.strip_suffix(']').ok_or_else(|| BadAddress(text.to_owned()))?;
                let bare = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(key);
                (name, Some(bare))
            }
        };
        if !is_name(name) {
            return Err(BadAddress(text.to_owned()));
        }
        Ok(Self {
            name: name.into(),
            key: key.map(Into::into),
        })
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.key {
            None => serializer.serialize_str(&self.name),
            Some(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a word can name a resource, a variable or an output: a letter, then letters, digits, `_`.
#[must_use]
pub fn is_name(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The names of the entries that `.env` has for every stack.
pub const OWN_ENTRIES: [&str; 5] = ["INFRA_FOLDER", "STACK", "STACK_ENV", "STACK_SERIAL", "STACK_STATUS"];

/// Whether a word can name a stack or an environment, which become folder names: letters, digits,
/// `-`, `_` and `.`, not starting with `.` or `-`, at most 64 characters.
#[must_use]
pub fn is_folder_name(word: &str) -> bool {
    word.len() <= 64
        && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// Wraps the text.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// What a provider calls an object: an ARN, a resource id, a path. Chosen by the kind.
    RemoteId
}

text_id! {
    /// The identity of one creation, drawn before anything happens and on disk before the provider
    /// hears of it. 24 hexadecimal digits; also the salt of everything a kind derives for it.
    Token
}

text_id! {
    /// The identity of a state: two states of one lineage descend from each other.
    Lineage
}

impl Token {
    /// Draws a new token. `seed` makes it repeatable, for tests.
    #[must_use]
    pub fn draw(random: &mut impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0_u8; 12];
        random(&mut bytes);
        Self::new(hex(&bytes))
    }
}

/// Counts the snapshots of a state: every run that changed something adds one.
pub type Serial = u64;

/// Writes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in [
            "queue",
            "queue[express]",
            "target[eu-west-1a]",
            "a[b[c]]",
            "a[]",
            "a[x y]",
        ] {
            let id: ResourceId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
        }
        assert_eq!("a[\"b\"]".parse::<ResourceId>().unwrap(), ResourceId::keyed("a", "b"));
        for text in ["", "[a]", "a[b", "1a", "a b", "a-b"] {
            assert!(text.parse::<ResourceId>().is_err(), "{text}");
        }
    }
}
