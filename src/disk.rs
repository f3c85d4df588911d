//! Whole files: written all or not at all, and what the disk says in plain words.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes a file so that it is there as a whole or not at all, even after a power cut.
///
/// The text is first written beside it under a name that is always the same, so that what a kill leaves
/// there is taken up by the next write; a lock keeps two writers apart.
///
/// # Errors
/// Returns what the file system says; the old file is then intact.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.wasmctl-new"));
    let mut file = open_alone(&fresh, mode)?;
    let written = (|| {
        file.set_len(0)?;
        // The umask narrows `mode` at creation; this is what was asked for.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Opens a file that no other writer has open under this name.
fn open_alone(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        let mut options = File::options();
        options.create(true).write(true).truncate(false).mode(mode);
        let file = options.open(path)?;
        file.lock()?;
        // While we waited, another writer may have renamed it to what it was written for.
        match fs::metadata(path) {
            Ok(there) if there.ino() == file.metadata()?.ino() => return Ok(file),
            _ => {}
        }
    }
}

/// Writes an I/O error in plain words.
#[must_use]
pub fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}
