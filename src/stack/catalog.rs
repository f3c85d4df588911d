//! Where stacks and templates are found: in the project folder, else in the binary.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{LARGEST_FILE, too_large};
use crate::diagnostic::{Diagnostic, Source, Span, did_you_mean};
use crate::disk::plain;

/// The files under `stacks/`, `templates/` that are compiled in, so that an installed `wasmctl` deploys them
/// anywhere. A test compares this list with the folders.
const COMPILED_IN: &[(&str, &str)] = &[(
    "stacks/local-multi-compute/stack.yaml",
    include_str!("../../stacks/local-multi-compute/stack.yaml"),
)];

/// Where a stack was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its folder as the user would write it: `stacks/local-multi-compute`.
    pub folder: String,
    /// Its file, relative to the project folder.
    pub file: String,
    /// Whether it is the one in the binary.
    pub compiled_in: bool,
}

/// Finds a stack by name, by folder or by file.
///
/// # Errors
/// Says which stacks there are.
pub fn find(root: &Path, stack: &str) -> Result<Found, Diagnostic> {
    let as_path = stack.contains('/') || stack.ends_with(".yaml") || stack.ends_with(".yml");
    if as_path {
        let full = root.join(stack);
        let file = if full.is_dir() { full.join("stack.yaml") } else { full };
        if file.is_file() {
            let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
            let folder = file
                .parent()
                .map(name)
                .filter(|folder| !folder.is_empty())
                .unwrap_or_else(|| ".".to_owned());
            return Ok(Found {
                folder,
                file: name(&file),
                compiled_in: false,
            });
        }
        let shipped = format!(
            "{}/stack.yaml",
            stack.trim_end_matches('/').trim_end_matches("/stack.yaml")
        );
        if compiled_in(&shipped).is_some() {
            let folder = shipped.trim_end_matches("/stack.yaml").to_owned();
            return Ok(Found {
                folder,
                file: shipped,
                compiled_in: true,
            });
        }
        return Err(
            Diagnostic::error("no-stack", format!("there is no stack file at `{stack}`"))
                .help("name a stack of `wasmctl stacks`, a folder with a `stack.yaml`, or a YAML file"),
        );
    }
    if !crate::id::is_folder_name(stack) {
        return Err(
            Diagnostic::error("no-stack", format!("`{stack}` cannot be the name of a stack"))
                .help("names have letters, digits, `-`, `_` and `.`"),
        );
    }
    let folder = format!("stacks/{stack}");
    let file = format!("{folder}/stack.yaml");
    // Something that is there but cannot be read is better named by what is wrong with it.
    if root.join(&file).symlink_metadata().is_ok() {
        return Ok(Found {
            folder,
            file,
            compiled_in: false,
        });
    }
    if compiled_in(&file).is_some() {
        return Ok(Found {
            folder,
            file,
            compiled_in: true,
        });
    }
    let names: Vec<String> = all(root).into_keys().collect();
    let help = match did_you_mean(stack, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => format!("put one at `{file}`"),
        None => format!("there are {}", names.join(", ")),
    };
    Err(Diagnostic::error("no-stack", format!("there is no stack `{stack}`")).help(help))
}

/// Lists all stacks that can be named, by name.
#[must_use]
pub fn all(root: &Path) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    for (file, _) in COMPILED_IN {
        if let Some(name) = file
            .strip_prefix("stacks/")
            .and_then(|rest| rest.strip_suffix("/stack.yaml"))
        {
            let folder = format!("stacks/{name}");
            found.insert(
                name.to_owned(),
                Found {
                    folder,
                    file: (*file).to_owned(),
                    compiled_in: true,
                },
            );
        }
    }
    for entry in std::fs::read_dir(root.join("stacks")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = format!("stacks/{name}/stack.yaml");
        if crate::id::is_folder_name(&name) && root.join(&file).is_file() {
            found.insert(
                name.clone(),
                Found {
                    folder: format!("stacks/{name}"),
                    file,
                    compiled_in: false,
                },
            );
        }
    }
    found
}

/// Returns a file that is compiled in.
#[must_use]
pub fn compiled_in(name: &str) -> Option<&'static str> {
    COMPILED_IN
        .iter()
        .find(|(file, _)| *file == name)
        .map(|(_, text)| *text)
}

/// Reads a file of the project, else the one in the binary.
///
/// # Errors
/// Says why it cannot be read: missing, too large, not UTF-8.
pub fn read(root: &Path, name: &str) -> Result<Arc<Source>, Diagnostic> {
    let path = root.join(name);
    if !path.exists()
        && let Some(text) = compiled_in(name)
    {
        return Ok(Arc::new(Source {
            name: name.to_owned(),
            text: text.to_owned(),
            path: None,
        }));
    }
    // A pipe among the files of a project would be waited for without an end.
    if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return Err(Diagnostic::error(
            "read",
            format!("cannot read `{name}`: it is no regular file"),
        ));
    }
    read_file(&path, name)
}

/// Reads a file of text.
///
/// # Errors
/// Says why it cannot be read.
pub fn read_file(path: &Path, name: &str) -> Result<Arc<Source>, Diagnostic> {
    let cannot = |error: &std::io::Error| Diagnostic::error("read", format!("cannot read `{name}`: {}", plain(error)));
    let size = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if size > LARGEST_FILE {
        return Err(too_large(name, size));
    }
    // A pipe or a device says nothing of its size.
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large(name, bytes.len() as u64));
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            // A byte order mark is no part of the text.
            let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
            Ok(Arc::new(Source {
                name: name.to_owned(),
                text,
                path: Some(path.to_owned()),
            }))
        }
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                return Err(
                    Diagnostic::error("utf-8", format!("`{name}` is UTF-16, not UTF-8")).help("save the file as UTF-8")
                );
            }
            // Up to the byte it is text, so that its place can be shown like any other.
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(valid + 80)]).into_owned();
            let source = Arc::new(Source {
                name: name.to_owned(),
                text,
                path: Some(path.to_owned()),
            });
            Err(Diagnostic::error(
                "utf-8",
                format!("`{name}` is not UTF-8: the byte 0x{:02x} is no text", bytes[valid]),
            )
            .at(
                &Span::new(&source, valid..valid + char::REPLACEMENT_CHARACTER.len_utf8()),
                "here",
            )
            .help("save the file as UTF-8"))
        }
    }
}

/// The templates of a project: `templates/` in its folder, else in the binary.
#[derive(Debug)]
pub struct TemplateFiles {
    root: PathBuf,
}

impl TemplateFiles {
    /// Looks under a project folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let outside = |_| format!("`{name}` leads outside `templates/`");
        crate::kind::relative(name).map_err(outside)?;
        let folder = self.root.join("templates");
        if folder.exists() {
            crate::kind::inside(&folder, name).map_err(outside)?;
        }
        let file = format!("templates/{name}");
        let there = folder.join(name).exists();
        match read(&self.root, &file) {
            Ok(source) => Ok(source.text.clone()),
            Err(diagnostic) if there => Err(diagnostic.summary),
            Err(diagnostic) => Err(match did_you_mean(name, self.names().iter().map(String::as_str)) {
                Some(near) => format!("{}; did you mean `{near}`?", diagnostic.summary),
                None => diagnostic.summary,
            }),
        }
    }

    /// Lists the names of all templates.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = COMPILED_IN
            .iter()
            .filter_map(|(file, _)| file.strip_prefix("templates/"))
            .map(str::to_owned)
            .collect();
        let top = self.root.join("templates");
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(ty) if ty.is_dir() => folders.push(entry.path()),
                    Ok(_) => names.extend(
                        entry
                            .path()
                            .strip_prefix(&top)
                            .ok()
                            .map(|path| path.to_string_lossy().into_owned()),
                    ),
                    Err(_) => {}
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl crate::kind::Templates for TemplateFiles {
    fn render(&self, name: &str, vars: &serde_json::Value) -> Result<String, String> {
        // Only what the template names is read, so that a broken neighbour does no harm.
        let mut files = BTreeMap::from([(name.to_owned(), self.text(name)?)]);
        let mut waiting = vec![name.to_owned()];
        while let Some(next) = waiting.pop() {
            for other in super::template::named_templates(&files[&next]) {
                if !files.contains_key(&other) {
                    let text = self
                        .text(&other)
                        .map_err(|reason| format!("`{next}` needs `{other}`: {reason}"))?;
                    files.insert(other.clone(), text);
                    waiting.push(other);
                }
            }
        }
        super::template::render_files(&files, name, vars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_folders_is_compiled_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        let mut folders = vec![root.join("stacks"), root.join("templates"), root.join("env")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none_or(|extension| extension != "md") {
                    found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        let mut listed: Vec<&str> = COMPILED_IN.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(found, listed, "please bring `COMPILED_IN` in line with the folders");
    }
}
