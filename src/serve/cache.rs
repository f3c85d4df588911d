//! Precompiled components on disk: a cold start reads machine code instead of compiling.
//!
//! A file is named after the component's SHA-256 and the engine's compatibility hash, so a new wasmtime, another CPU or other
//! settings simply miss. The folder belongs to us alone (mode 0700), because whoever can write there can run code as us.

use super::{Error, Limits, engine, inspect, precompiled};
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// A folder of precompiled components that only this user can write.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the folder, creating it with mode 0700 if it is missing.
    ///
    /// # Errors
    /// [`Error::Cache`] when it cannot be made, or when it belongs to somebody else or others may write into it.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Cache {
            path: folder.into(),
            reason,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| wrong(error.to_string()))?;
        let meta = fs::metadata(folder).map_err(|error| wrong(error.to_string()))?;
        if !meta.is_dir() {
            return Err(wrong("it is not a folder".into()));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(wrong("it belongs to another user, who could put code into it".into()));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(wrong("others may write into it; make it yours with `chmod 700`".into()));
        }
        Ok(Self { folder: folder.into() })
    }

    /// Takes a component's code from the cache, or compiles and keeps it. Also says whether it was there.
    ///
    /// A file that is damaged, or cannot be written, costs a compilation and is reported through `note`, nothing more.
    pub(super) fn load(
        &self,
        engine: &Engine,
        what: &str,
        bytes: &[u8],
        sha256: &str,
        note: &dyn Fn(String),
    ) -> Result<Component, Error> {
        let path = self.path(engine, sha256);
        if path.exists() {
            match intact(&path).and_then(|()| precompiled::load(engine, &path).map_err(|error| format!("{error:#}"))) {
                Ok(component) => return Ok(component),
                Err(reason) => note(format!("{} is damaged and made again: {reason}", path.display())),
            }
        }
        let component = compile(engine, what, bytes)?;
        let kept = component.serialize().map_err(std::io::Error::other).and_then(|code| {
            write(
                &checksum_path(&path),
                format!("{:08x}", crc32fast::hash(&code)).as_bytes(),
            )?;
            write(&path, &code)
        });
        if let Err(error) = kept {
            note(format!(
                "the compiled code could not be kept in {}: {error}",
                path.display()
            ));
        }
        Ok(component)
    }

    fn path(&self, engine: &Engine, sha256: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{sha256}-{:016x}.cwasm", hasher.finish()))
    }
}

/// Whether the code is what was written: wasmtime checks the file's head, but a flipped bit in machine code would run.
fn intact(path: &Path) -> Result<(), String> {
    let code = fs::read(path).map_err(|error| error.to_string())?;
    let expected =
        fs::read_to_string(checksum_path(path)).map_err(|error| format!("its checksum cannot be read: {error}"))?;
    if format!("{:08x}", crc32fast::hash(&code)) == expected {
        Ok(())
    } else {
        Err("its checksum differs".into())
    }
}

fn checksum_path(path: &Path) -> PathBuf {
    path.with_extension("crc32")
}

/// Compiles without any cache.
pub(super) fn compile(engine: &Engine, what: &str, bytes: &[u8]) -> Result<Component, Error> {
    Component::from_binary(engine, bytes).map_err(|error| Error::Invalid {
        what: what.into(),
        reason: format!("{error:#}"),
    })
}

/// Writes beside the target and renames, so that no reader ever sees half a file.
fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.tmp", std::process::id()));
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(code)?;
        // Half a file after a power cut would be found by its checksum only when wasmtime looks at it; better none.
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&aside);
    }
    result
}

/// Compiles a component into the cache folder, so that the next `serve` with the same folder starts from it.
///
/// `what` names the component in messages. Returns its SHA-256 in hex. Does nothing but hash when the code is there already.
///
/// # Errors
/// As for [`super::inspect`]; also [`Error::NotHttp`], [`Error::TooMuchMemory`] and [`Error::Cache`].
pub fn precompile(what: &str, bytes: &[u8], folder: &Path, limits: &Limits) -> Result<String, Error> {
    let inspection = inspect(what, bytes)?;
    super::version::check(what, &inspection, limits)?;
    let cache = Cache::open(folder)?;
    let engine = engine::compiler()?;
    if !cache.path(&engine, &inspection.sha256).exists() {
        cache.load(&engine, what, bytes, &inspection.sha256, &|_| {})?;
    }
    Ok(inspection.sha256)
}
