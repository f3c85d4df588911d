//! `wasmctl serve APP.wasm`: hosts a `wasi:http` component.

use super::{Context, Exit, Failure};
use crate::serve::{self, AllowedHost, Folder, Limits, Listen, Options, Report, TlsFiles};
use crate::ui::Verbosity;
use crate::units::{parse_duration, parse_size};
use clap::Args;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Host a component that answers HTTP requests
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The component, a .wasm file
    #[arg(value_name = "APP.wasm", env = "WASMCTL_SERVE_APP")]
    pub(super) app: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8080",
        env = "WASMCTL_SERVE_LISTEN"
    )]
    pub(super) listen: String,
    /// A folder the guest sees; `:ro` forbids writing (repeatable)
    #[arg(
        long,
        value_name = "HOST::GUEST[:ro]",
        env = "WASMCTL_SERVE_DIR",
        value_delimiter = ','
    )]
    pub(super) dir: Vec<Folder>,
    /// A variable of the guest's environment, which holds nothing else (repeatable)
    #[arg(long = "env", value_name = "K=V", value_parser = pair, env = "WASMCTL_SERVE_ENV", value_delimiter = '\n')]
    pub(super) variables: Vec<(String, String)>,
    /// An entry of wasi:config (repeatable)
    #[arg(long, value_name = "K=V", value_parser = pair, env = "WASMCTL_SERVE_CONFIG", value_delimiter = '\n')]
    pub(super) config: Vec<(String, String)>,
    /// A host the guest may send requests to: HOST, HOST:PORT, https://HOST, *.DOMAIN or * (repeatable)
    #[arg(long, value_name = "HOST", env = "WASMCTL_SERVE_ALLOW_HOST", value_delimiter = ',')]
    pub(super) allow_host: Vec<AllowedHost>,
    /// The most time for one request
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, env = "WASMCTL_SERVE_TIMEOUT")]
    pub(super) timeout: Duration,
    /// The most memory of one instance, over all its memories
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size, env = "WASMCTL_SERVE_MAX_MEMORY")]
    pub(super) max_memory: u64,
    /// How long a stopping host waits for requests in flight
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, env = "WASMCTL_SERVE_DRAIN")]
    pub(super) drain: Duration,
    /// The largest request body
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_size, env = "WASMCTL_SERVE_MAX_BODY")]
    pub(super) max_body: u64,
    /// Requests in flight; more are answered with 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        env = "WASMCTL_SERVE_MAX_CONCURRENT"
    )]
    pub(super) max_concurrent: u32,
    /// CPUs the guest may use on average, such as 0.5
    #[arg(long, value_name = "F", env = "WASMCTL_SERVE_CPUS")]
    pub(super) cpus: Option<f64>,
    /// The file behind wasi:keyvalue; without it the store ends with the process
    #[arg(long, value_name = "FILE", env = "WASMCTL_SERVE_KEYVALUE")]
    pub(super) keyvalue: Option<PathBuf>,
    /// A folder for compiled code, so that the next start need not compile
    #[arg(long, value_name = "DIR", env = "WASMCTL_SERVE_CACHE")]
    pub(super) cache: Option<PathBuf>,
    /// Take over a new version when the file changes
    #[arg(long, env = "WASMCTL_SERVE_WATCH")]
    pub(super) watch: bool,
    /// Certificate chain (PEM); makes it https
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "WASMCTL_SERVE_TLS_CERT")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "WASMCTL_SERVE_TLS_KEY")]
    pub(super) tls_key: Option<PathBuf>,
    /// Requests one instance answers before a fresh one takes its place
    #[arg(long, value_name = "N", default_value_t = 1, env = "WASMCTL_SERVE_REUSE")]
    pub(super) reuse: u32,
    /// Take the listening socket from standard input
    #[arg(long, hide = true, env = "WASMCTL_SERVE_LISTEN_FD0")]
    pub(super) listen_fd0: bool,
    /// Standard output is a socket to a guardian process
    #[arg(long, hide = true, env = "WASMCTL_SERVE_CONTROL_FD1")]
    pub(super) control_fd1: bool,
    /// Report on the control line when no request came for this time
    #[arg(long, hide = true, value_name = "TIME", value_parser = parse_duration, env = "WASMCTL_SERVE_IDLE")]
    pub(super) idle: Option<Duration>,
    /// The folder of the guardian, which is started again should it die
    #[cfg(feature = "local")]
    #[arg(long, hide = true, env = "WASMCTL_RUN_DIR")]
    pub(super) run_dir: Option<PathBuf>,
}

impl ServeArgs {
    /// Serves until told to stop.
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        self.serve(cx.printer.verbosity() == Verbosity::Verbose)?;
        Ok(Exit::DONE)
    }

    /// Serves until told to stop; the access log goes to standard error.
    pub(super) fn serve(self, access_log: bool) -> Result<(), serve::Error> {
        let options = self.options(access_log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // Guests that loop are polled a tick at a time; sockets must be looked at between few of them.
            .event_interval(7)
            .enable_all()
            .build()
            .map_err(|source| serve::Error::System {
                what: "starting the threads that serve",
                source,
            })?;
        let outcome = runtime.block_on(serve::run(options));
        // What is still running was given its time.
        runtime.shutdown_background();
        outcome
    }

    fn options(self, access_log: bool) -> Result<Options, serve::Error> {
        let inherited = |what, source| serve::Error::System { what, source };
        let listen = if self.listen_fd0 {
            let socket: OwnedFd = std::io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| inherited("taking the socket from standard input", error))?;
            Listen::Inherited(TcpListener::from(socket))
        } else {
            Listen::Address(self.listen)
        };
        let control = if self.control_fd1 {
            let socket: OwnedFd = std::io::stdout()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| inherited("taking the control line from standard output", error))?;
            Some(UnixStream::from(socket))
        } else {
            None
        };
        let (app, stdout_is_ours) = (
            self.app
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            control.is_none(),
        );
        let mut options = Options::new(self.app);
        options.listen = listen;
        options.folders = self.dir;
        options.env = self.variables;
        options.config = self.config;
        options.allow_hosts = self.allow_host;
        options.limits = Limits {
            memory: self.max_memory,
            timeout: self.timeout,
            body: self.max_body,
            concurrent: self.max_concurrent,
            cpus: self.cpus,
            reuse: self.reuse,
        };
        options.drain = self.drain;
        options.keyvalue = self.keyvalue;
        options.cache = self.cache;
        options.watch = self.watch;
        options.tls = self
            .tls_cert
            .zip(self.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key });
        options.access_log = access_log;
        options.control = control;
        options.idle = self.idle;
        #[cfg(feature = "local")]
        if let Some(dir) = self.run_dir.map(crate::guard::RunDir::new) {
            options.on_orphaned = Some(Box::new(move || {
                if let Err(error) = crate::guard::heal(&dir) {
                    let _ = writeln!(std::io::stderr(), "no new guardian: {error}");
                }
            }));
        }
        options.report = Arc::new(move |report| print(&app, stdout_is_ours, &report));
        Ok(options)
    }
}

/// Writes what the host says; a closed stream is no reason to stop serving.
fn print(app: &str, stdout_is_ours: bool, report: &Report) {
    let mut stderr = std::io::stderr().lock();
    let _ = match report {
        Report::Listening { url } if stdout_is_ours => {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "listening on {url}").and_then(|()| stdout.flush())
        }
        Report::Listening { url } => writeln!(stderr, "listening on {url}"),
        Report::Guest { stream, line } => writeln!(stderr, "{app} {stream} | {line}"),
        Report::Note(text) => writeln!(stderr, "{text}"),
        Report::Access {
            request,
            status,
            micros,
        } => writeln!(stderr, "{status} {request} {micros}us"),
    };
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}
