//! What can go wrong before or while an application is served, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// Why an application cannot be hosted, or no longer is.
///
/// Messages name the file or flag, say what is wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that is needed could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not WebAssembly at all.
    #[error("{what} is not WebAssembly: {found}")]
    NotWasm {
        /// The file, or `the component` where only bytes are known.
        what: String,
        /// What it looks like instead.
        found: String,
    },
    /// A core module where a component is needed.
    #[error(
        "{what} is a core WebAssembly module, not a component; make one of it with `wasm-tools component new {what} -o app.wasm` \
         (add `--adapt wasi_snapshot_preview1=…` if it was built for wasip1), or build for the target wasm32-wasip2"
    )]
    CoreModule {
        /// The file.
        what: String,
    },
    /// The binary is damaged, or uses something this engine does not know.
    #[error("{what} is not a valid component: {reason}")]
    Invalid {
        /// The file.
        what: String,
        /// What the parser or compiler said.
        reason: String,
    },
    /// A component that answers no HTTP requests.
    #[error(
        "{what} does not export wasi:http/incoming-handler@0.2, so it cannot answer HTTP requests (it exports: {exports})"
    )]
    NotHttp {
        /// The file.
        what: String,
        /// What it exports instead, comma separated, or `nothing`.
        exports: String,
    },
    /// The component imports something this host does not offer.
    #[error("{what} cannot be linked: {reason}")]
    Link {
        /// The file.
        what: String,
        /// The missing import, in the engine's words.
        reason: String,
    },
    /// The component needs more memory at start than it may have at all.
    #[error(
        "{what} needs {needs} of memory to start, but --max-memory is {limit}; raise --max-memory or build the guest with a smaller initial memory"
    )]
    TooMuchMemory {
        /// The file.
        what: String,
        /// What it declares, summed over its memories.
        needs: String,
        /// The limit.
        limit: String,
    },
    /// The component fails before it has seen a request.
    #[error("{what} cannot be started: {reason}")]
    Start {
        /// The file.
        what: String,
        /// The trap or the limit.
        reason: String,
    },
    /// The engine refuses its own settings.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Engine(String),
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen on {address}: {source}{hint}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the system said.
        source: io::Error,
        /// A way out, or nothing.
        hint: &'static str,
    },
    /// The certificate or its key does not work.
    #[error("TLS: {0}")]
    Tls(String),
    /// A folder given with `--dir` cannot be opened.
    #[error("--dir {}: {source}", path.display())]
    Folder {
        /// The folder on this machine.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key-value file cannot be used.
    #[error("--keyvalue {}: {reason}", path.display())]
    KeyValue {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder for precompiled code is not safe to use.
    #[error("--cache {}: {reason}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two options contradict each other, or one makes no sense.
    #[error("{0}")]
    Options(String),
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
