//! The log of a guardian and its workers, bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The size at which the log is set aside as `log.1`.
const ROTATE: u64 = 10 << 20;

/// Opens the log for appending.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Adds a line of the guardian's own. A full disk costs the line.
pub(super) fn note(path: &Path, text: &str) {
    if let Ok(mut file) = open(path) {
        let _ = file.write_all(format!("guardian: {text}\n").as_bytes());
    }
}

/// Sets a log aside that has grown too large. Workers have it open for appending and go on in the emptied file, so it
/// is copied, not renamed; lines written in between are lost.
pub(super) fn rotate(path: &Path) {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > ROTATE) {
        let _ = fs::copy(path, path.with_extension("1"));
        if let Ok(file) = OpenOptions::new().write(true).open(path) {
            let _ = file.set_len(0);
        }
    }
}

/// Returns the last line that was written after `from`, for a message about why a worker ended.
pub(super) fn last_line(path: &Path, from: u64) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let start = from.min(length).max(length.saturating_sub(4_096));
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("guardian: "))?;
    Some(line.trim().chars().take(400).collect())
}
