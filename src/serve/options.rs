//! What a host is asked to do.

use super::outbound::AllowedHost;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All that a host needs to know: the component, where to listen, what the guest may see, and its limits.
///
/// Start from [`Options::new`] and change fields; the defaults are those of `wasmctl serve`.
pub struct Options {
    /// The component file. A symbolic link is followed at every load, so that it can be switched.
    pub component: PathBuf,
    /// Where requests come from.
    pub listen: Listen,
    /// Folders of this machine which the guest sees.
    pub folders: Vec<Folder>,
    /// The guest's whole environment; nothing of the host's own is passed on.
    pub env: Vec<(String, String)>,
    /// What `wasi:config/store` answers.
    pub config: Vec<(String, String)>,
    /// Where the guest may send HTTP requests; nowhere when empty.
    pub allow_hosts: Vec<AllowedHost>,
    /// What one request, and all of them together, may use.
    pub limits: Limits,
    /// How long a stopping host waits for requests in flight.
    pub drain: Duration,
    /// The file behind `wasi:keyvalue`. Without one the store lives in memory and ends with the process.
    pub keyvalue: Option<PathBuf>,
    /// The folder for precompiled code; see [`super::precompile`].
    pub cache: Option<PathBuf>,
    /// Whether a change of the component file is taken over while serving.
    pub watch: bool,
    /// Certificate and key, both PEM, when the listener speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Whether each request is reported as [`Report::Access`].
    pub access_log: bool,
    /// The line to the guardian process: see [`super::control`].
    pub control: Option<UnixStream>,
    /// How long there must be no request before `idle` is sent on the control line.
    pub idle: Option<Duration>,
    /// What happens when the guardian has died, before the host drains and returns.
    pub on_orphaned: Option<Box<dyn FnOnce() + Send>>,
    /// Receives everything there is to say; called from one thread, never from one that serves.
    pub report: Arc<dyn Fn(Report) + Send + Sync>,
}

impl Options {
    /// Serves `component` on `127.0.0.1:8080` with the default limits and says nothing.
    #[must_use]
    pub fn new(component: impl Into<PathBuf>) -> Self {
        Self {
            component: component.into(),
            listen: Listen::Address("127.0.0.1:8080".into()),
            folders: Vec::new(),
            env: Vec::new(),
            config: Vec::new(),
            allow_hosts: Vec::new(),
            limits: Limits::default(),
            drain: Duration::from_secs(10),
            keyvalue: None,
            cache: None,
            watch: false,
            tls: None,
            access_log: false,
            control: None,
            idle: None,
            on_orphaned: None,
            report: Arc::new(|_| {}),
        }
    }
}

/// Where requests come from.
pub enum Listen {
    /// An address to bind, `HOST:PORT`; port 0 takes a free one.
    Address(String),
    /// A socket that already listens, inherited from another process.
    Inherited(TcpListener),
}

/// A folder which the guest sees as a preopened directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder on this machine.
    pub host: PathBuf,
    /// The absolute path under which the guest finds it.
    pub guest: String,
    /// Whether the guest may only read.
    pub read_only: bool,
}

impl std::str::FromStr for Folder {
    type Err = String;

    /// Reads `HOST::GUEST`, `HOST::GUEST:ro` or a lone `HOST`, which keeps its name in the guest.
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, read_only) = match text.strip_suffix(":ro") {
            Some(text) => (text, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        let (host, guest) = text.split_once("::").unwrap_or((text, text));
        if host.is_empty() || guest.is_empty() {
            return Err("expected HOST::GUEST or HOST::GUEST:ro, for example ./data::/data:ro".into());
        }
        Ok(Self {
            host: host.into(),
            guest: guest.into(),
            read_only,
        })
    }
}

/// PEM files of a TLS listener.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What one request, and all of them together, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of memory of one instance, summed over all its linear memories and tables.
    pub memory: u64,
    /// Time from a request's arrival until the guest has returned, waiting included.
    pub timeout: Duration,
    /// Bytes of one request body.
    pub body: u64,
    /// Requests in flight; more are answered with 503 at once.
    pub concurrent: u32,
    /// CPUs which all guest code together may use on average, or no limit.
    pub cpus: Option<f64>,
    /// Requests one instance answers before it is thrown away; 1 is a fresh instance each time.
    pub reuse: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            timeout: Duration::from_secs(30),
            body: 16 << 20,
            concurrent: 1_000,
            cpus: None,
            reuse: 1,
        }
    }
}

/// Something a host has to say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Report {
    /// The host answers under this URL.
    Listening {
        /// `http://ADDRESS` or `https://ADDRESS`.
        url: String,
    },
    /// A line the guest wrote.
    Guest {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// The line without its end.
        line: String,
    },
    /// Something worth knowing: a fall-back, a refused request, a new version.
    Note(String),
    /// One answered request.
    Access {
        /// Method, path and query.
        request: String,
        /// The status of the answer.
        status: u16,
        /// Time until the head of the answer, in microseconds.
        micros: u64,
    },
}
