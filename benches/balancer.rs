//! The balancer beside a bare relay on the same hyper, over the same three targets, in one process and one run.
//!
//! Rounds alternate, so that a busy machine hits both alike; the table shows medians. `cargo bench --bench balancer`.
#![allow(missing_docs, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use wasmctl::balance::{Balancer, Config, Group};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 16;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

async fn run() {
    let mut targets = Vec::new();
    for name in ["a", "b", "c"] {
        targets.push(target(name).await);
    }
    let config = Config {
        groups: targets
            .iter()
            .zip(["a", "b", "c"])
            .map(|(address, name)| Group {
                name: name.to_owned(),
                weight: 1,
                targets: vec![address.to_string()],
                health: None,
            })
            .collect(),
        ..Config::default()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let balancer = Balancer::start(&config, listener, Arc::new(|_| {})).unwrap();
    let relay = relay(targets.clone()).await;
    let ways = [
        ("target alone", targets[0]),
        ("bare relay", relay),
        ("balancer", balancer.address()),
    ];
    let mut results: Vec<Vec<Measured>> = vec![Vec::new(); ways.len()];
    for (_, address) in ways {
        load(address, Duration::from_millis(500)).await;
    }
    for _ in 0..ROUNDS {
        for (result, (_, address)) in results.iter_mut().zip(ways) {
            result.push(load(address, ROUND).await);
        }
    }
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} each, medians");
    println!("{:<14}{:>10}{:>12}{:>12}{:>10}", "", "req/s", "p50", "p99", "of bare");
    let rates: Vec<f64> = results.iter().map(|rounds| median(rounds, |m| m.rate)).collect();
    for ((name, _), (rounds, rate)) in ways.iter().zip(results.iter().zip(&rates)) {
        println!(
            "{name:<14}{rate:>10.0}{:>9.0} us{:>9.0} us{:>9.0}%",
            median(rounds, |m| m.p50),
            median(rounds, |m| m.p99),
            100.0 * rate / rates[1],
        );
    }
}

#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn median(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Sends requests one after the other on each of the connections.
#[allow(clippy::cast_precision_loss, reason = "microseconds and counts are far below 2^52")]
async fn load(address: SocketAddr, time: Duration) -> Measured {
    let start = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut sender, connection) = client::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                let mut times = Vec::with_capacity(1 << 16);
                while start.elapsed() < time {
                    let sent = Instant::now();
                    let request = Request::get("/").header("host", "x").body(Full::default()).unwrap();
                    sender.ready().await.unwrap();
                    let response = sender.send_request(request).await.unwrap();
                    assert!(response.status().is_success(), "{}", response.status());
                    response.into_body().collect().await.unwrap();
                    times.push(sent.elapsed().as_micros() as u64);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    Measured {
        rate,
        p50: times[times.len() / 2] as f64,
        p99: times[times.len() * 99 / 100] as f64,
    }
}

async fn target(name: &'static str) -> SocketAddr {
    serve(move |_| async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(name.as_bytes())))) })
        .await
}

/// What a relay costs that does nothing but relay: in turn, no health, no timeouts, no headers.
async fn relay(targets: Vec<SocketAddr>) -> SocketAddr {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let next = Arc::new(AtomicUsize::new(0));
    let targets = Arc::new(targets);
    serve(move |mut request| {
        let (client, next, targets) = (client.clone(), Arc::clone(&next), Arc::clone(&targets));
        async move {
            let target = targets[next.fetch_add(1, Ordering::Relaxed) % targets.len()];
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let uri: Uri = format!("http://{target}{path}").parse().unwrap();
            *request.uri_mut() = uri;
            client.request(request).await
        }
    })
    .await
}

async fn serve<F, R, B, E>(respond: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = service_fn(respond.clone());
            tokio::spawn(async move {
                let _ = server::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}
