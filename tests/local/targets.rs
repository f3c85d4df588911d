//! HTTP in the small: targets that do as they are told, and a client that speaks plainly.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub type Http = Client<HttpConnector, Full<Bytes>>;

pub fn client() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub by: String,
    pub body: String,
    pub headers: http::HeaderMap,
}

pub async fn get(client: &Http, url: &str) -> Result<Got, String> {
    send(client, Request::get(url).body(Full::default()).unwrap()).await
}

pub async fn send(client: &Http, request: Request<Full<Bytes>>) -> Result<Got, String> {
    let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    let by = parts
        .headers
        .get("x-served-by")
        .and_then(|by| by.to_str().ok())
        .unwrap_or("-");
    Ok(Got {
        status: parts.status.as_u16(),
        by: by.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        headers: parts.headers,
    })
}

/// Counts answers by who served them.
pub fn tally<'a>(got: impl IntoIterator<Item = &'a Got>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for got in got {
        *tally.entry(got.by.clone()).or_default() += 1;
    }
    tally
}

/// A target: `/slow/MS` waits, `/echo` returns the body, `/headers` the headers, anything else its name.
pub struct Target {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
}

impl Target {
    pub async fn start(name: &'static str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = watch::channel(false);
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut over = stopped.clone();
            loop {
                let stream = tokio::select! {
                    _ = over.wait_for(|over| *over) => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                stream.set_nodelay(true).unwrap();
                let (counter, mut over) = (Arc::clone(&counter), stopped.clone());
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    respond(name, request)
                });
                tokio::spawn(async move {
                    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = connection => {}
                        _ = over.wait_for(|over| *over) => {}
                    }
                });
            }
        });
        Self {
            address,
            requests,
            stop,
        }
    }

    /// Breaks off all connections and closes the port, as kill -9 would.
    pub async fn kill(&self) {
        self.stop.send_replace(true);
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "slow on purpose")]
async fn respond(name: &'static str, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = if let Some(ms) = path.strip_prefix("/slow/") {
        tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
        Bytes::from(name)
    } else if path == "/echo" {
        match request.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::from_static(b"broken"),
        }
    } else if path == "/headers" {
        Bytes::from(format!("{:?}", request.headers()))
    } else {
        Bytes::from(name)
    };
    Ok(Response::new(Full::new(body)))
}
