//! What a component needs and where it can run, read from its binary without compiling it.

use super::Error;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding, Instance, Parser,
    Payload,
};

/// What [`inspect`] found out.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// SHA-256 of the whole binary, in hex.
    pub sha256: String,
    /// Size of the binary in bytes.
    pub size: usize,
    /// Imported interfaces and functions in the component's order.
    pub imports: Vec<String>,
    /// Exported interfaces and functions in the component's order.
    pub exports: Vec<String>,
    /// Whether it answers HTTP requests: it exports `wasi:http/incoming-handler@0.2`.
    pub is_http: bool,
    /// What it wants from its host beyond HTTP, such as `wasi:keyvalue`; sorted.
    pub needs: Vec<String>,
    /// What one instance allocates at start.
    pub start: StartNeeds,
    /// For each host that is known: whether this component can run there, and if not, why.
    pub hosts: Vec<HostVerdict>,
}

/// What one instance allocates at start, summed over its core instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StartNeeds {
    /// Core instances.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Bytes of all linear memories.
    pub memory: u64,
    /// Bytes of the largest linear memory.
    pub largest_memory: u64,
    /// Tables.
    pub tables: u32,
    /// Elements of the largest table.
    pub largest_table: u64,
}

impl StartNeeds {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.memory = self.memory.saturating_add(other.memory);
        self.largest_memory = self.largest_memory.max(other.largest_memory);
        self.tables = self.tables.saturating_add(other.tables);
        self.largest_table = self.largest_table.max(other.largest_table);
    }
}

/// Whether one host can run a component.
#[derive(Debug, Clone, Serialize)]
pub struct HostVerdict {
    /// The host's name.
    pub host: &'static str,
    /// Whether it offers all that is imported.
    pub runs: bool,
    /// What it does not offer.
    pub missing: Vec<String>,
}

/// The hosts whose interfaces are known, with the prefixes of what each offers to an HTTP component.
///
/// From the sources of wasmtime 48, Spin 4.0 and wasmCloud 2.7: they implement different drafts of
/// `wasi:keyvalue` and `wasi:config`, which is why the version is part of the prefix.
const HOSTS: &[(&str, &[&str])] = &[
    (
        "wasmctl serve",
        &[
            "wasi:http/",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:keyvalue/batch@0.2.0-draft",
            "wasi:config/store@0.2.0-rc.1",
        ],
    ),
    (
        "wasmtime serve",
        &[
            "wasi:http/",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:keyvalue/batch@0.2.0-draft",
            "wasi:config/store@0.2.0-rc.1",
        ],
    ),
    (
        "Spin",
        &[
            "wasi:http/",
            "wasi:keyvalue/store@0.2.0-draft2",
            "wasi:keyvalue/atomics@0.2.0-draft2",
            "wasi:keyvalue/batch@0.2.0-draft2",
            "wasi:config/store@0.2.0-draft-2024-09-27",
            "fermyon:spin/",
            "spin:",
        ],
    ),
    (
        "wasmCloud",
        &[
            "wasi:http/",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:keyvalue/batch@0.2.0-draft",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:blobstore/",
            "wasi:logging/",
            "wasmcloud:",
        ],
    ),
];

/// The packages every one of [`HOSTS`] offers in its 0.2 form.
const EVERYWHERE: &[&str] = &[
    "wasi:cli/",
    "wasi:io/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/",
    "wasi:sockets/",
];

/// Reads what `bytes` imports, exports and needs; `what` names them in messages.
///
/// # Errors
/// [`Error::NotWasm`], [`Error::CoreModule`] or [`Error::Invalid`]. A component that serves no HTTP is no error here.
pub fn inspect(what: &str, bytes: &[u8]) -> Result<Inspection, Error> {
    let mut found = walk(what, bytes)?;
    found.imports.retain(|name| !name.is_empty());
    let is_http = found
        .exports
        .iter()
        .any(|name| is_version_0_2(name, "wasi:http/incoming-handler"));
    let needs: BTreeSet<String> = found
        .imports
        .iter()
        .map(|name| {
            name.split_once('/')
                .map_or(name.as_str(), |(package, _)| package)
                .to_owned()
        })
        .filter(|package| {
            !matches!(
                package.as_str(),
                "wasi:io" | "wasi:http" | "wasi:cli" | "wasi:clocks" | "wasi:random"
            )
        })
        .chain(
            found
                .imports
                .iter()
                .any(|name| name.starts_with("wasi:http/outgoing-handler"))
                .then(|| "wasi:http/outgoing-handler".to_owned()),
        )
        .collect();
    let hosts = HOSTS
        .iter()
        .map(|&(host, offers)| {
            let mut missing: Vec<String> = found
                .imports
                .iter()
                .filter(|name| !offered(name, offers))
                .cloned()
                .collect();
            if !is_http {
                missing.push("it exports no wasi:http/incoming-handler@0.2".into());
            }
            HostVerdict {
                host,
                runs: missing.is_empty(),
                missing,
            }
        })
        .collect();
    Ok(Inspection {
        sha256: sha256(bytes),
        size: bytes.len(),
        is_http,
        needs: needs.into_iter().collect(),
        start: found.needs,
        imports: found.imports,
        exports: found.exports,
        hosts,
    })
}

/// The SHA-256 of `bytes` in hex.
#[must_use]
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn is_version_0_2(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface)
        .is_some_and(|rest| rest.starts_with("@0.2.") && !rest.contains('-'))
}

fn offered(name: &str, offers: &[&str]) -> bool {
    let stable = || {
        name.split_once('@')
            .is_some_and(|(_, version)| version.starts_with("0.2.") && !version.contains('-'))
    };
    if EVERYWHERE
        .iter()
        .chain(&["wasi:http/"])
        .any(|prefix| name.starts_with(prefix))
    {
        return stable();
    }
    offers
        .iter()
        .any(|offer| name == *offer || ((offer.ends_with('/') || offer.ends_with(':')) && name.starts_with(offer)))
}

/// One component while its sections are read.
#[derive(Default)]
struct Level {
    modules: Vec<StartNeeds>,
    components: Vec<StartNeeds>,
    imports: Vec<String>,
    exports: Vec<String>,
    needs: StartNeeds,
}

enum Open {
    Module(StartNeeds),
    Component(Level),
}

fn walk(what: &str, bytes: &[u8]) -> Result<Level, Error> {
    if !bytes.starts_with(b"\0asm") {
        return Err(Error::NotWasm {
            what: what.into(),
            found: describe(bytes),
        });
    }
    let invalid = |error: wasmparser::BinaryReaderError| Error::Invalid {
        what: what.into(),
        reason: error.to_string(),
    };
    let mut open: Vec<Open> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if open.is_empty() => {
                return Err(Error::CoreModule { what: what.into() });
            }
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } => {
                open.push(Open::Module(StartNeeds {
                    instances: 1,
                    ..StartNeeds::default()
                }));
            }
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => open.push(Open::Component(Level::default())),
            Payload::End(_) => match (open.pop(), open.last_mut()) {
                (Some(Open::Module(needs)), Some(Open::Component(parent))) => parent.modules.push(needs),
                (Some(Open::Component(level)), Some(Open::Component(parent))) => parent.components.push(level.needs),
                (Some(Open::Component(level)), None) => return Ok(level),
                // A module holds nothing, and the outermost item is a component: checked above.
                _ => break,
            },
            payload => match open.last_mut() {
                Some(Open::Module(needs)) => module_section(needs, payload).map_err(invalid)?,
                Some(Open::Component(_)) => component_section(&mut open, payload).map_err(invalid)?,
                None => break,
            },
        }
    }
    Err(Error::Invalid {
        what: what.into(),
        reason: "it ends too early".into(),
    })
}

fn module_section(needs: &mut StartNeeds, payload: Payload<'_>) -> wasmparser::Result<()> {
    match payload {
        Payload::MemorySection(memories) => {
            for memory in memories {
                let memory = memory?;
                let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
                let bytes = memory.initial.saturating_mul(page);
                needs.memories += 1;
                needs.memory = needs.memory.saturating_add(bytes);
                needs.largest_memory = needs.largest_memory.max(bytes);
            }
        }
        Payload::TableSection(tables) => {
            for table in tables {
                needs.tables += 1;
                needs.largest_table = needs.largest_table.max(table?.ty.initial);
            }
        }
        _ => {}
    }
    Ok(())
}

fn component_section(open: &mut [Open], payload: Payload<'_>) -> wasmparser::Result<()> {
    let Some((Open::Component(level), outer)) = open.split_last_mut() else {
        return Ok(());
    };
    match payload {
        Payload::ComponentImportSection(imports) => {
            for import in imports {
                let import = import?;
                level.imports.push(import.name.name.to_owned());
                match import.ty {
                    // What is imported has unknown needs; it only keeps its place in the index space.
                    wasmparser::ComponentTypeRef::Module(_) => level.modules.push(StartNeeds::default()),
                    wasmparser::ComponentTypeRef::Component(_) => level.components.push(StartNeeds::default()),
                    _ => {}
                }
            }
        }
        Payload::ComponentExportSection(exports) => {
            for export in exports {
                let export = export?;
                level.exports.push(export.name.name.to_owned());
                match export.kind {
                    ComponentExternalKind::Module => copy(&mut level.modules, export.index),
                    ComponentExternalKind::Component => copy(&mut level.components, export.index),
                    _ => {}
                }
            }
        }
        Payload::ComponentAliasSection(aliases) => {
            for alias in aliases {
                match alias? {
                    ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::CoreModule,
                        count,
                        index,
                    } => {
                        let needs =
                            outer_level(level, outer, count).and_then(|l| l.modules.get(index as usize).copied());
                        level.modules.push(needs.unwrap_or_default());
                    }
                    ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::Component,
                        count,
                        index,
                    } => {
                        let needs =
                            outer_level(level, outer, count).and_then(|l| l.components.get(index as usize).copied());
                        level.components.push(needs.unwrap_or_default());
                    }
                    ComponentAlias::InstanceExport {
                        kind: ComponentExternalKind::Module,
                        ..
                    } => level.modules.push(StartNeeds::default()),
                    ComponentAlias::InstanceExport {
                        kind: ComponentExternalKind::Component,
                        ..
                    } => level.components.push(StartNeeds::default()),
                    _ => {}
                }
            }
        }
        Payload::InstanceSection(instances) => {
            for instance in instances {
                if let Instance::Instantiate { module_index, .. } = instance? {
                    level
                        .needs
                        .add(level.modules.get(module_index as usize).copied().unwrap_or_default());
                }
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            for instance in instances {
                if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                    level.needs.add(
                        level
                            .components
                            .get(component_index as usize)
                            .copied()
                            .unwrap_or_default(),
                    );
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn copy(space: &mut Vec<StartNeeds>, index: u32) {
    let needs = space.get(index as usize).copied().unwrap_or_default();
    space.push(needs);
}

fn outer_level<'a>(here: &'a Level, outer: &'a [Open], count: u32) -> Option<&'a Level> {
    match (count as usize).checked_sub(1) {
        None => Some(here),
        Some(up) => match outer.iter().rev().nth(up)? {
            Open::Component(level) => Some(level),
            Open::Module(_) => None,
        },
    }
}

/// Says what bytes that are not WebAssembly look like.
fn describe(bytes: &[u8]) -> String {
    match bytes {
        [] => "it is empty".into(),
        [0x1f, 0x8b, ..] => "it is gzip; unpack it first".into(),
        [b'P', b'K', ..] => "it is a zip archive; unpack it first".into(),
        [0x7f, b'E', b'L', b'F', ..] => "it is native code (ELF), perhaps precompiled; serve the .wasm itself".into(),
        _ => {
            let start = &bytes[..bytes.len().min(64)];
            match std::str::from_utf8(start) {
                Ok(text) if text.trim_start().starts_with("(component") || text.trim_start().starts_with("(module") => {
                    "it is the text format; encode it with `wasm-tools parse`".into()
                }
                Ok(text) => format!(
                    "it is text and starts with {:?}",
                    text.chars().take(24).collect::<String>()
                ),
                Err(_) => format!("it starts with {:02x?} instead of \\0asm", &start[..start.len().min(4)]),
            }
        }
    }
}
