//! One request: to a target, if need be to another one, and the answer back.

use std::convert::Infallible;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version, request, response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::access::AccessLog;
use super::body::{Answer, BodyError, Download, Home, Upload};
use super::config::Limits;
use super::target::{InFlight, Pool, Target};
use super::upgrade;

/// Headers that belong to one connection and not to the message.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// Idle connections to targets are given up before a target would: a request must not meet one that
/// is just being closed. Also less than the shortest idle time after which a function is stopped.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How often a request of which nothing was sent is tried elsewhere.
const RETRIES_UNSENT: u32 = 1;

/// How often a safe request is asked again whose connection closed without an answer. While all targets are replaced one
/// after the other, it may meet two of them.
const RETRIES_UNANSWERED: u32 = 2;

/// The statuses the balancer itself answers with.
const OWN: [StatusCode; 8] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::NOT_IMPLEMENTED,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
    StatusCode::INTERNAL_SERVER_ERROR,
];

/// What all connections share.
pub(super) struct Proxy {
    /// The targets.
    pub(super) pool: Pool,
    client: RwLock<Arc<Outbound>>,
    /// Where finished requests are written down.
    pub(super) access: AccessLog,
    /// Whether clients are asked to come back on a new connection.
    pub(super) closing: AtomicBool,
    refused: [AtomicU64; OWN.len()],
}

/// The client side and the limits, which change together.
pub(super) struct Outbound {
    client: Client<HttpConnector, Upload>,
    pub(super) limits: Limits,
}

/// A request and its answer, for the counters and the log; ends when it is dropped.
pub(super) struct Exchange {
    in_flight: InFlight,
    started: Instant,
    status: StatusCode,
    /// Bytes of the answer's body so far.
    pub(super) bytes: u64,
    line: Option<Line>,
}

/// What the access log says of a request.
struct Line {
    log: AccessLog,
    request: String,
    peer: IpAddr,
}

impl Exchange {
    /// Returns the target.
    pub(super) fn target(&self) -> &Arc<Target> {
        self.in_flight.target()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.target().group.metrics.answered(self.status.as_u16(), took);
        if let Some(line) = self.line.take() {
            let by = &self.target().group.name;
            line.write(self.status, by, self.target().authority.as_str(), self.bytes, took);
        }
    }
}

impl Line {
    fn write(self, status: StatusCode, by: &str, target: &str, bytes: u64, took: Duration) {
        let Self { log, request, peer } = self;
        log.write(format!(
            "{} {peer} \"{request}\" {} {by} {target} {bytes} {}us\n",
            jiff::Timestamp::now()
                .round(jiff::Unit::Millisecond)
                .unwrap_or_default(),
            status.as_u16(),
            took.as_micros(),
        ));
    }
}

/// Why a request got no answer from a target.
enum Failure {
    /// Nothing was sent; the request can go elsewhere. Says whether the connection itself was refused.
    Unsent(Box<Attempt>, bool),
    /// The connection closed without an answer, and asking twice changes nothing: a safe method, no body.
    Unanswered(Box<Attempt>, String),
    /// Something was sent, or nothing more can be sent.
    Lost(StatusCode, String),
}

/// A request that may still be tried.
struct Attempt {
    parts: request::Parts,
    upload: Option<Incoming>,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
}

impl Proxy {
    /// Starts without targets.
    pub(super) fn new(limits: Limits, access: AccessLog) -> Self {
        Self {
            pool: Pool::new(),
            client: RwLock::new(Arc::new(Outbound::new(limits))),
            access,
            closing: AtomicBool::new(false),
            refused: Default::default(),
        }
    }

    /// Takes over new limits. Connections are only made anew if the limits differ.
    pub(super) fn set_limits(&self, limits: &Limits) {
        if self.outbound().limits != *limits {
            let outbound = Arc::new(Outbound::new(limits.clone()));
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = outbound;
        }
    }

    /// Returns the client side as it is now.
    pub(super) fn outbound(&self) -> Arc<Outbound> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how many requests the balancer itself answered, by status.
    pub(super) fn refused(&self) -> Vec<(u16, u64)> {
        OWN.iter()
            .zip(&self.refused)
            .map(|(status, count)| (status.as_u16(), count.load(Ordering::Relaxed)))
            .collect()
    }

    /// Answers a request.
    pub(super) async fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Answer>, Infallible> {
        let started = Instant::now();
        let line = self.access.is_on().then(|| Line {
            log: self.access.clone(),
            request: format!("{} {}", request.method(), request.uri()),
            peer: peer.ip(),
        });
        let mut response = match self.relay(request, peer, started, line).await {
            Ok(response) => response,
            Err((status, reason, line)) => self.refuse(status, &reason, line, started),
        };
        if self.closing.load(Ordering::Relaxed) {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    fn refuse(&self, status: StatusCode, reason: &str, line: Option<Line>, started: Instant) -> Response<Answer> {
        let own = OWN.iter().position(|own| *own == status).unwrap_or(OWN.len() - 1);
        self.refused[own].fetch_add(1, Ordering::Relaxed);
        let text = Bytes::from(format!("{reason}\n"));
        if let Some(line) = line {
            line.write(status, "-", "-", text.len() as u64, started.elapsed());
        }
        let mut response = Response::new(Answer::Text(Full::new(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // The rest of the body is not read, so the connection cannot be used again.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn relay(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        started: Instant,
        line: Option<Line>,
    ) -> Result<Response<Answer>, (StatusCode, String, Option<Line>)> {
        let outbound = self.outbound();
        let limits = &outbound.limits;
        if request.method() == Method::CONNECT {
            return Err((StatusCode::NOT_IMPLEMENTED, "CONNECT is not relayed".to_owned(), line));
        }
        if request.body().size_hint().lower() > limits.body_bytes {
            let reason = format!("the request body is larger than {} bytes", limits.body_bytes);
            return Err((StatusCode::PAYLOAD_TOO_LARGE, reason, line));
        }
        let upgrade = upgrade::wanted(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        prepare(&mut parts, peer, upgrade.is_some());
        let mut attempt = Box::new(Attempt {
            upload: (!body.is_end_stream()).then_some(body),
            parts,
            upgrade,
        });
        let mut tried: Option<Arc<Target>> = None;
        // Whether the target that was tried may be tried again: it took the request, but on a connection it was about
        // to close.
        let mut same = false;
        let (mut unsent, mut unanswered) = (0, 0);
        loop {
            let picked = match &tried {
                None => self.pool.pick(),
                Some(tried) => self
                    .pool
                    .pick_other(tried)
                    .or_else(|| same.then(|| self.pool.pick()).flatten()),
            };
            let Some(in_flight) = picked else {
                let reason = match tried {
                    None => "no target is healthy",
                    Some(_) => "the target cannot be reached, and no other one is healthy",
                };
                return Err((StatusCode::SERVICE_UNAVAILABLE, reason.to_owned(), line));
            };
            let target = Arc::clone(in_flight.target());
            match outbound.send(&target, attempt).await {
                Ok((parts, body, back)) => {
                    let exchange = Exchange {
                        in_flight,
                        started,
                        status: parts.status,
                        bytes: 0,
                        line,
                    };
                    return Ok(answer(parts, body, exchange, back, limits));
                }
                Err(Failure::Unsent(again, refused)) => {
                    target.group.metrics.connect_errors.fetch_add(1, Ordering::Relaxed);
                    if refused {
                        // Whatever the checks say: who refuses a connection gets no more of them until a check is good.
                        self.pool.set_healthy(&target, false);
                    }
                    unsent += 1;
                    if unsent > RETRIES_UNSENT {
                        let reason = "two targets could not be reached".to_owned();
                        return Err((StatusCode::BAD_GATEWAY, reason, line));
                    }
                    same = !refused;
                    attempt = again;
                }
                Err(Failure::Unanswered(again, reason)) => {
                    unanswered += 1;
                    if unanswered > RETRIES_UNANSWERED {
                        return Err((StatusCode::BAD_GATEWAY, reason, line));
                    }
                    same = true;
                    attempt = again;
                }
                Err(Failure::Lost(status, reason)) => return Err((status, reason, line)),
            }
            target.group.metrics.retries.fetch_add(1, Ordering::Relaxed);
            tried = Some(target);
        }
    }
}

type Answered = (
    response::Parts,
    Incoming,
    Option<(hyper::upgrade::OnUpgrade, hyper::upgrade::OnUpgrade)>,
);

impl Outbound {
    fn new(limits: Limits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(limits.connect_ms)));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1_024)
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, limits }
    }

    /// Sends a request to a target and waits for the head of the answer.
    async fn send(&self, target: &Target, attempt: Box<Attempt>) -> Result<Answered, Failure> {
        let Attempt { parts, upload, upgrade } = *attempt;
        let home = Arc::new(Home::default());
        let limits = &self.limits;
        let has_body = upload.is_some();
        let repeatable = !has_body && upgrade.is_none() && parts.method.is_safe();
        let body = match upload {
            Some(body) => Upload::new(
                body,
                &home,
                limits.body_bytes,
                Duration::from_millis(limits.body_idle_ms),
            ),
            None => Upload::none(),
        };
        let mut outgoing = Request::from_parts(parts.clone(), body);
        *outgoing.uri_mut() = address(target, &parts.uri);
        let head_time = Duration::from_millis(limits.response_head_ms);
        let mut answer = std::pin::pin!(self.client.request(outgoing));
        let mut moved = 0;
        let result = loop {
            let cut = target.cut.notified();
            if target.was_cut() {
                break Err(Failure::Lost(StatusCode::BAD_GATEWAY, "the target left".to_owned()));
            }
            tokio::select! {
                biased;
                answer = tokio::time::timeout(head_time, &mut answer) => match answer {
                    Ok(answer) => break answer.map_err(|error| self.failure(&error, target, &home, has_body, repeatable)),
                    // The time for the answer's head starts anew while the request's body is still on its way.
                    Err(_) if home.moved() > moved => moved = home.moved(),
                    Err(_) => {
                        let reason = format!("{} did not answer within {} ms", target.group.name, head_time.as_millis());
                        break Err(Failure::Lost(StatusCode::GATEWAY_TIMEOUT, reason));
                    }
                },
                () = cut => {}
            }
        };
        match result {
            Ok(mut response) => {
                let back = match upgrade {
                    Some(client) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                        Some((client, hyper::upgrade::on(&mut response)))
                    }
                    _ => None,
                };
                let (parts, body) = response.into_parts();
                Ok((parts, body, back))
            }
            Err(Failure::Unsent(mut again, refused)) => {
                again.parts = parts;
                again.upgrade = upgrade;
                Err(Failure::Unsent(again, refused))
            }
            Err(Failure::Unanswered(mut again, reason)) => {
                again.parts = parts;
                Err(Failure::Unanswered(again, reason))
            }
            Err(lost) => Err(lost),
        }
    }

    fn failure(
        &self,
        error: &legacy::Error,
        target: &Target,
        home: &Home,
        has_body: bool,
        repeatable: bool,
    ) -> Failure {
        match home.failure() {
            Some(BodyError::TooLarge) => {
                let reason = format!("the request body is larger than {} bytes", self.limits.body_bytes);
                return Failure::Lost(StatusCode::PAYLOAD_TOO_LARGE, reason);
            }
            Some(error) => return Failure::Lost(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            None => {}
        }
        let upload = home.take();
        // Cancelled: the connection was closed before the request was taken from the queue to it.
        let broken = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        let cancelled = broken.is_some_and(hyper::Error::is_canceled);
        let again = |upload| {
            Box::new(Attempt {
                parts: Request::new(()).into_parts().0,
                upload,
                upgrade: None,
            })
        };
        if (error.is_connect() || cancelled) && upload.is_some() == has_body {
            return Failure::Unsent(again(upload), error.is_connect());
        }
        let mut reason = format!("{} broke off: {error}", target.group.name);
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        if repeatable && broken.is_some_and(closed) {
            return Failure::Unanswered(again(None), reason);
        }
        Failure::Lost(StatusCode::BAD_GATEWAY, reason)
    }
}

/// Whether a connection closed before the answer had come.
fn closed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_incomplete_message() || io.is_some_and(|io| matches!(io.kind(), BrokenPipe | ConnectionReset))
}

fn address(target: &Target, wanted: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(target.authority.clone());
    parts.path_and_query = Some(
        wanted
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")),
    );
    // Scheme, authority and path together always make a URI.
    Uri::from_parts(parts).unwrap_or_default()
}

/// Makes the head of a client's request that of a request to a target.
fn prepare(parts: &mut request::Parts, peer: SocketAddr, upgrade: bool) {
    let protocol = upgrade.then(|| parts.headers.get(header::UPGRADE).cloned()).flatten();
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.host())
    {
        // The absolute form names the host; it goes before the header (RFC 9112, 3.2.2).
        parts
            .headers
            .insert(header::HOST, HeaderValue::from_str(authority.as_str()).unwrap_or(host));
    }
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    // The balancer has asked for the body itself.
    headers.remove(header::EXPECT);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    let ip = peer.ip().to_string();
    let chain = match headers.get(&X_FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {ip}"),
        None => ip,
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

fn answer(
    mut parts: response::Parts,
    body: Incoming,
    exchange: Exchange,
    back: Option<(hyper::upgrade::OnUpgrade, hyper::upgrade::OnUpgrade)>,
    limits: &Limits,
) -> Response<Answer> {
    let protocol = back.as_ref().and_then(|_| parts.headers.get(header::UPGRADE).cloned());
    remove_hop_by_hop(&mut parts.headers);
    parts
        .headers
        .insert(X_SERVED_BY, exchange.target().group.served_by.clone());
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    if let Some((client, target)) = back {
        parts
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        upgrade::relay(client, target, exchange);
        return Response::from_parts(parts, Answer::Text(Full::default()));
    }
    let idle = Duration::from_millis(limits.body_idle_ms);
    Response::from_parts(parts, Answer::Relayed(Download::new(body, exchange, idle)))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // `connection` may name further headers that belong to the connection.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_request_loses_what_belongs_to_the_connection_and_gains_where_it_came_from() {
        let request = Request::builder()
            .uri("http://example.com:81/a?b=c")
            .header("host", "other")
            .header("connection", "close, X-Mine")
            .header("x-mine", "1")
            .header("te", "trailers")
            .header("transfer-encoding", "chunked")
            .header("expect", "100-continue")
            .header("x-forwarded-for", "10.0.0.1")
            .header("accept", "*/*")
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        prepare(&mut parts, "127.0.0.2:9".parse().unwrap(), false);
        let mut headers: Vec<String> = parts
            .headers
            .iter()
            .map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()))
            .collect();
        headers.sort();
        assert_eq!(
            headers,
            [
                "accept: */*",
                "host: example.com:81",
                "x-forwarded-for: 10.0.0.1, 127.0.0.2",
                "x-forwarded-host: example.com:81",
                "x-forwarded-proto: http",
            ]
        );
    }
}
