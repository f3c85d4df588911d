//! Connections: accepting them, TLS, and ending them gracefully.

use super::Error;
use super::host::Host;
use super::options::{Listen, TlsFiles};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

/// How long a client may take to send the head of a request, or to shake hands.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection may stay silent once the host stops.
const LINGER: Duration = Duration::from_millis(100);

/// A socket that accepts connections for a host.
pub(super) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds or takes over the socket.
    pub(super) async fn open(listen: Listen, tls: Option<&TlsFiles>) -> Result<Self, Error> {
        let tls = tls.map(acceptor).transpose()?;
        let socket = match listen {
            Listen::Address(address) => TcpListener::bind(&address).await.map_err(|source| {
                let hint = match source.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        "; another process listens there, choose another with --listen (port 0 takes a free one)"
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need a privilege, choose a higher one with --listen"
                    }
                    std::io::ErrorKind::InvalidInput => "; write it as HOST:PORT",
                    _ => "",
                };
                Error::Listen { address, source, hint }
            })?,
            Listen::Inherited(socket) => {
                let wrong = |source| Error::Listen {
                    address: "the inherited socket".into(),
                    source,
                    hint: "",
                };
                socket.set_nonblocking(true).map_err(wrong)?;
                TcpListener::from_std(socket).map_err(wrong)?
            }
        };
        Ok(Self { socket, tls })
    }

    /// `http://ADDRESS` or `https://ADDRESS`.
    pub(super) fn url(&self) -> Result<String, Error> {
        let address = self.socket.local_addr().map_err(|source| Error::System {
            what: "asking for the address",
            source,
        })?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{address}"))
    }

    /// Accepts connections until the future is dropped.
    pub(super) async fn accept(&self, host: &Arc<Host>, connections: &mut Connections) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.tasks.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => connections.begin(stream, peer, Arc::clone(host), self.tls.clone()),
                // The client is gone already, or there are no descriptors left; the latter needs a moment to pass.
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the system has no descriptors; there is nothing to wait for but time"
                )]
                Err(error) => {
                    if !matches!(
                        error.kind(),
                        std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
                    ) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }
}

/// The connections of a listener; dropping it cuts them.
#[derive(Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// Turns true when no new request is to be begun.
    stopping: watch::Sender<bool>,
}

impl Connections {
    fn begin(&mut self, stream: TcpStream, _peer: SocketAddr, host: Arc<Host>, tls: Option<TlsAcceptor>) {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let mut stopping = self.stopping.subscribe();
        self.tasks.spawn(async move {
            if !speaks(&stream, &mut stopping).await {
                return;
            }
            match tls {
                None => serve(stream, host, Scheme::Http, stopping).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                        serve(stream, host, Scheme::Https, stopping).await;
                    }
                }
            }
        });
    }

    /// Lets each connection finish its request and close; returns when all have.
    pub(super) async fn finish(&mut self) {
        self.stopping.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Waits for a client's first bytes; `false` when none come.
///
/// Clients open connections ahead of need. hyper would let one of those hold up a graceful end until it has sent its
/// first request; here it is closed, but not while that request may be on its way.
async fn speaks(stream: &TcpStream, stopping: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        first = tokio::time::timeout(PATIENCE, stream.readable()) => return matches!(first, Ok(Ok(()))),
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    matches!(tokio::time::timeout(LINGER, stream.readable()).await, Ok(Ok(())))
}

async fn serve<S>(stream: S, host: Arc<Host>, scheme: Scheme, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let last = stopping.clone();
    let service = service_fn(move |request| {
        let (host, scheme, last) = (Arc::clone(&host), scheme.clone(), last.clone());
        async move {
            let mut answer = host.answer(request, scheme).await;
            if *last.borrow()
                && let Ok(answer) = &mut answer
            {
                let close = hyper::header::HeaderValue::from_static("close");
                answer.headers_mut().insert(hyper::header::CONNECTION, close);
            }
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // What ends a connection early is the client's affair, or has been reported where it happened.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    // Closed at once, it would swallow a request that is just on its way. A client that is busy learns with its next
    // answer that the connection ends; one that stays silent has nothing to lose.
    if tokio::time::timeout(LINGER, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let wrong =
        |path: &std::path::Path, error: &dyn std::fmt::Display| Error::Tls(format!("{}: {error}", path.display()));
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&files.certificate, &error))?;
    if certificates.is_empty() {
        return Err(wrong(&files.certificate, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| Error::Tls(format!("certificate and key do not fit together: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
