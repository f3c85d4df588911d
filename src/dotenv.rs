//! `.env`: which stack is active, in lines that `sh`, `docker compose` and dotenv readers read alike.
//!
//! wasmctl owns the lines between its two marks and leaves all others byte for byte as they were.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::write_atomically;

/// The beginning of the block. What follows in brackets says what else of the file is ours.
const BEGIN: &str = "# >>> wasmctl >>>";
const BEGIN_NEW_FILE: &str = "# >>> wasmctl (the file is ours) >>>";
const BEGIN_JOINED: &str = "# >>> wasmctl (the line break before is ours) >>>";
const END: &str = "# <<< wasmctl <<<";

/// What can go wrong with `.env`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value cannot be written so that all readers read the same.
    #[error("the value of `{name}` cannot be written to `.env`: {why}")]
    Unwritable {
        /// The entry.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The marks do not come in a pair.
    #[error("`{}` has a broken block of wasmctl: {why}", path.display())]
    Marks {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file cannot be read or written.
    #[error("cannot {what} `{}`: {}", path.display(), crate::disk::plain(source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Entries in their order.
pub type Entries = Vec<(String, String)>;

/// Writes one entry as a line without its line break.
///
/// # Errors
/// Refuses a value for which no spelling is read alike everywhere.
pub fn line(name: &str, value: &str) -> Result<String, Error> {
    let refuse = |why| {
        Err(Error::Unwritable {
            name: name.to_owned(),
            why,
        })
    };
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(bare) {
        return Ok(format!("{name}={value}"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return refuse("it has a line break, which readers treat differently");
    }
    if value.contains("\\\\") || value.ends_with('\\') {
        return refuse("it has two backslashes in a row or one at its end, which readers treat differently");
    }
    if value.split_once("${").is_some_and(|(_, rest)| rest.contains('}')) {
        return refuse("it has `${…}`, which some readers replace even between quotes");
    }
    if !value.contains('\'') {
        return Ok(format!("{name}='{value}'"));
    }
    if value.contains(['$', '`', '"', '\\']) {
        return refuse("it has a single quote beside `$`, a backtick, a double quote or a backslash");
    }
    Ok(format!("{name}=\"{value}\""))
}

/// Reads what [`line`] writes; also plain lines of other writers, as far as they are as simple.
#[must_use]
pub fn read_line(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let text = text.strip_prefix("export ").unwrap_or(text);
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    if !crate::id::is_name(name) {
        return None;
    }
    let value = value.trim();
    let unquoted = ['\'', '"']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    Some((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

/// A `.env` file, taken apart around our block.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'a> {
    before: &'a str,
    block: Option<&'a str>,
    after: &'a str,
    new_file: bool,
    joined: bool,
}

/// Where a line starts that says exactly this.
fn find_line(text: &str, line: &str) -> Option<usize> {
    text.match_indices(line).map(|(at, _)| at).find(|&at| {
        let starts = at == 0 || text.as_bytes()[at - 1] == b'\n';
        let rest = &text[at + line.len()..];
        starts && (rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n"))
    })
}

fn take_apart(text: &str) -> Result<Parts<'_>, &'static str> {
    let found = [BEGIN, BEGIN_NEW_FILE, BEGIN_JOINED]
        .into_iter()
        .filter_map(|mark| find_line(text, mark).map(|at| (at, mark)))
        .min();
    let Some((begin, mark)) = found else {
        return match find_line(text, END) {
            Some(_) => Err("it ends without having begun; remove the line `# <<< wasmctl <<<`"),
            None => Ok(Parts {
                before: text,
                ..Parts::default()
            }),
        };
    };
    let inside = begin + mark.len();
    let end = find_line(&text[inside..], END)
        .ok_or("it begins and does not end; remove the line that begins with `# >>> wasmctl` and what follows it")?;
    let block = &text[inside..inside + end];
    let after = &text[inside + end + END.len()..];
    let after = after
        .strip_prefix("\r\n")
        .or_else(|| after.strip_prefix('\n'))
        .unwrap_or(after);
    let (new_file, joined) = (mark == BEGIN_NEW_FILE, mark == BEGIN_JOINED);
    let before = &text[..begin];
    let before = if joined {
        before.strip_suffix('\n').unwrap_or(before)
    } else {
        before
    };
    Ok(Parts {
        before,
        block: Some(block),
        after,
        new_file,
        joined,
    })
}

/// Reads the entries of our block; `None` if there is none.
///
/// # Errors
/// Says what is wrong with the file.
pub fn read(path: &Path) -> Result<Option<Entries>, Error> {
    let Some(text) = text_of(path)? else { return Ok(None) };
    let parts = take_apart(&text).map_err(|why| Error::Marks {
        path: path.to_owned(),
        why,
    })?;
    Ok(parts.block.map(|block| block.lines().filter_map(read_line).collect()))
}

/// Parses the entries of our block in a text.
///
/// # Errors
/// Says what is wrong with the marks.
pub fn parse(text: &str) -> Result<Option<Entries>, &'static str> {
    Ok(take_apart(text)?
        .block
        .map(|block| block.lines().filter_map(read_line).collect()))
}

/// Puts these entries into our block, making file and block if need be.
///
/// # Errors
/// Says what cannot be written; the file is then as it was.
pub fn write(path: &Path, entries: &Entries) -> Result<(), Error> {
    let there = text_of(path)?;
    let text = there.as_deref().unwrap_or_default();
    let parts = take_apart(text).map_err(|why| Error::Marks {
        path: path.to_owned(),
        why,
    })?;
    let joined = if parts.block.is_some() {
        parts.joined
    } else {
        !parts.before.is_empty() && !parts.before.ends_with('\n')
    };
    let mark = match (there.is_none() || parts.new_file, joined) {
        (_, true) => BEGIN_JOINED,
        (true, false) => BEGIN_NEW_FILE,
        (false, false) => BEGIN,
    };
    let mut fresh = String::with_capacity(text.len() + 256);
    fresh.push_str(parts.before);
    if joined {
        fresh.push('\n');
    }
    fresh.push_str(mark);
    fresh.push('\n');
    for (name, value) in entries {
        fresh.push_str(&line(name, value)?);
        fresh.push('\n');
    }
    fresh.push_str(END);
    fresh.push('\n');
    fresh.push_str(parts.after);
    if there.as_deref() == Some(fresh.as_str()) {
        return Ok(());
    }
    store(path, &fresh)
}

/// Takes our block away, and the file if it is ours and nothing else is in it.
///
/// # Errors
/// Says what cannot be written; the file is then as it was.
pub fn remove(path: &Path) -> Result<(), Error> {
    let Some(text) = text_of(path)? else { return Ok(()) };
    let parts = take_apart(&text).map_err(|why| Error::Marks {
        path: path.to_owned(),
        why,
    })?;
    if parts.block.is_none() {
        return Ok(());
    }
    if parts.new_file && parts.before.is_empty() && parts.after.is_empty() {
        return std::fs::remove_file(path).map_err(|source| Error::Io {
            what: "remove",
            path: path.to_owned(),
            source,
        });
    }
    store(path, &format!("{}{}", parts.before, parts.after))
}

fn text_of(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io {
            what: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn store(path: &Path, text: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    // A link stays a link, and the file keeps its mode.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&real).map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
    write_atomically(&real, text.as_bytes(), mode).map_err(|source| Error::Io {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_so_that_all_read_alike() {
        for (value, want) in [
            ("", "A="),
            ("http://127.0.0.1:80/a?b", "A='http://127.0.0.1:80/a?b'"),
            ("http://127.0.0.1:80/a", "A=http://127.0.0.1:80/a"),
            ("a b", "A='a b'"),
            ("$HOME `x` \"y\"", "A='$HOME `x` \"y\"'"),
            ("it's", "A=\"it's\""),
            ("a\\b", "A='a\\b'"),
        ] {
            assert_eq!(line("A", value).unwrap(), want);
            assert_eq!(read_line(want).unwrap(), ("A".to_owned(), value.to_owned()));
        }
        for value in ["it's $5", "a\nb", "it's `x`", "a\\\\b", "a\\", "a\rb", "a ${HOME}"] {
            assert!(line("A", value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let entries = vec![("STACK".to_owned(), "x".to_owned())];
        for text in [
            None,
            Some(""),
            Some("A=1\n"),
            Some("A=1"),
            Some("\n\n# c\r\nB='x y'\r\n"),
        ] {
            let _ = std::fs::remove_file(&path);
            if let Some(text) = text {
                write_atomically(&path, text.as_bytes(), 0o640).unwrap();
            }
            write(&path, &entries).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), entries);
            let more = vec![("STACK".to_owned(), "y".to_owned()), ("E".to_owned(), "1 2".to_owned())];
            write(&path, &more).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), more);
            remove(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text);
        }
    }

    #[test]
    fn broken_marks_are_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        for text in ["A=1\n# >>> wasmctl >>>\nSTACK=x\n", "# <<< wasmctl <<<\n"] {
            write_atomically(&path, text.as_bytes(), 0o644).unwrap();
            assert!(matches!(write(&path, &Vec::new()), Err(Error::Marks { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
