//! The listener for clients, and a balancer as a value that can be reconfigured and stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::access::AccessLog;
use super::config::Config;
use super::proxy::Proxy;
use super::{admin, health};

/// What becomes of what a balancer has to say: a target that comes or goes, a configuration that is refused.
pub type Report = Arc<dyn Fn(String) + Send + Sync>;

/// A running balancer.
///
/// Dropped without [`stop`](Self::stop) it ends at once, with what is in flight.
pub struct Balancer {
    proxy: Arc<Proxy>,
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    accepting: Option<JoinHandle<()>>,
    /// Each connection holds a receiver until it has ended.
    connections: watch::Sender<bool>,
    background: Vec<JoinHandle<()>>,
}

/// What the listener does.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Takes connections.
    Open,
    /// Takes no more.
    Closing,
}

impl Balancer {
    /// Serves on a listener that is already bound.
    ///
    /// # Errors
    /// When the listener cannot be used, the configuration is invalid, or the access log cannot be opened.
    pub fn start(config: &Config, listener: std::net::TcpListener, report: Report) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let proxy = Arc::new(Proxy::new(config.limits.clone(), AccessLog::default()));
        let (phase, watched) = watch::channel(Phase::Open);
        let mut balancer = Self {
            proxy,
            address,
            phase,
            accepting: None,
            connections: watch::Sender::new(false),
            background: Vec::new(),
        };
        balancer.apply(config)?;
        balancer.accepting = Some(tokio::spawn(accept(
            listener,
            Arc::clone(&balancer.proxy),
            watched,
            balancer.connections.clone(),
        )));
        let checks = health::watch(Arc::clone(&balancer.proxy), report);
        balancer.background.push(tokio::spawn(checks));
        Ok(balancer)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers operators on this listener; see the module's own documentation.
    pub fn serve_admin(&mut self, listener: TcpListener) {
        let admin = admin::serve(listener, Arc::clone(&self.proxy));
        self.background.push(tokio::spawn(admin));
    }

    /// Takes over a configuration. Requests in flight are not touched; targets that left get no new ones and have
    /// `drain_ms` to finish.
    ///
    /// # Errors
    /// When it is invalid or the access log cannot be opened; everything then stays as it was.
    pub fn apply(&self, config: &Config) -> io::Result<()> {
        config
            .check()
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
        self.proxy.access.set(config.access_log.as_deref())?;
        self.proxy.set_limits(&config.limits);
        let deadline = Instant::now() + config.limits.drain();
        for target in self.proxy.pool.configure(config) {
            if target.in_flight() > 0 {
                tokio::spawn(async move {
                    tokio::time::sleep_until(deadline).await;
                    target.cut_off();
                });
            }
        }
        Ok(())
    }

    /// Asks each client to come back on a new connection, with its next answer, and takes no connections any more.
    /// For a balancer whose socket another process has taken over. Returns when all clients have gone, at the latest
    /// after `patience`.
    pub async fn retire(&mut self, patience: Duration) {
        self.proxy.closing.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::Closing);
        self.close().await;
        // A client that is slow to come back is none that waits for an answer; `stop` ends its connection.
        let _ = timeout(patience, self.connections.closed()).await;
    }

    /// Takes no more connections, finishes what is in flight within `drain`, and ends. Returns whether all was finished.
    /// Connections that were upgraded to another protocol are not waited for.
    pub async fn stop(mut self, drain: Duration) -> bool {
        self.proxy.closing.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::Closing);
        self.close().await;
        self.connections.send_replace(true);
        timeout(drain, self.connections.closed()).await.is_ok()
    }

    /// Waits until the listener is closed, so that no connection is taken that nobody will serve.
    async fn close(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            // It does not panic, and nobody else aborts it.
            let _ = accepting.await;
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        for task in &self.background {
            task.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    mut phase: watch::Receiver<Phase>,
    connections: watch::Sender<bool>,
) {
    let never = Notify::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connect(stream, peer, &proxy, connections.subscribe()),
            Err(error) if is_about_one_connection(&error) => {}
            // Out of files or memory: trying again at once would only spin. Some connection will end.
            Err(_) => {
                let _ = timeout_at(Instant::now() + Duration::from_millis(20), never.notified()).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn connect(stream: TcpStream, peer: SocketAddr, proxy: &Arc<Proxy>, mut stop: watch::Receiver<bool>) {
    // Without it small answers wait for the client's acknowledgement; a socket that has no such option works as well.
    let _ = stream.set_nodelay(true);
    let head = Duration::from_millis(proxy.outbound().limits.request_head_ms);
    let proxy = Arc::clone(proxy);
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { proxy.handle(request, peer).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        // What breaks a client's connection is the client's affair; what breaks a target's is answered with 502.
        let stopped = tokio::select! {
            biased;
            _ = connection.as_mut() => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        if stopped {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        drop(stop);
    });
}
