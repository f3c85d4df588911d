//! The host: takes a request, runs the current version of the component, gives the answer.

use super::cache::Cache;
use super::guest::Surroundings;
use super::options::{Options, Report};
use super::run::{self, AnswerBody, Failure, Progress, Run};
use super::talk::Talk;
use super::ticker::Ticker;
use super::turns::Turns;
use super::version::{Source, Version};
use super::{Error, Limits};
use http::{HeaderValue, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Poll, ready};
use std::time::Instant;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

/// What all requests share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) turns: Turns,
    pub(super) talk: Talk,
    guests: Arc<AtomicUsize>,
    begun: AtomicU64,
    ticker: Ticker,
}

/// Counts one request for as long as its guest runs.
pub(super) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    /// Counts a request in, unless there are too many.
    fn admit(&self) -> Option<InFlight> {
        let before = self.guests.fetch_add(1, Ordering::SeqCst);
        let counted = InFlight(Arc::clone(&self.guests));
        if before >= self.limits.concurrent as usize {
            return None;
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.ticker.wake();
        Some(counted)
    }
}

/// A component being served, whichever version of it is current.
pub struct Host {
    shared: Arc<Shared>,
    around: Arc<Surroundings>,
    current: RwLock<Arc<Version>>,
    cache: Option<Arc<Cache>>,
    component: PathBuf,
    access_log: bool,
}

impl Host {
    /// Loads the component of `options` and everything it may use. Nothing listens yet.
    ///
    /// # Errors
    /// Any [`Error`] but those about listening.
    pub(super) async fn new(options: &Options, talk: Talk) -> Result<Self, Error> {
        check(options)?;
        let guests = Arc::new(AtomicUsize::new(0));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let ticker = Ticker::start(Arc::clone(&guests)).map_err(|source| Error::System {
            what: "starting the epoch thread",
            source,
        })?;
        let cache = options.cache.as_deref().map(Cache::open).transpose()?.map(Arc::new);
        // The component first: its errors are the likelier ones, and they should not cost an open key-value file.
        let bytes = read(&options.component)?;
        let around = Arc::new(Surroundings::new(options, talk.clone())?);
        let source = Source {
            what: options.component.display().to_string(),
            bytes,
        };
        let version = Version::load(source, &options.limits, cache.clone(), &around, &ticker).await?;
        let shared = Shared {
            limits: options.limits.clone(),
            turns: Turns::new(cores, options.limits.cpus),
            talk,
            guests,
            begun: AtomicU64::new(0),
            ticker,
        };
        Ok(Self {
            shared: Arc::new(shared),
            around,
            current: RwLock::new(Arc::new(version)),
            cache,
            component: options.component.clone(),
            access_log: options.access_log,
        })
    }

    /// SHA-256 of the version that takes new requests, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.version().sha256.clone()
    }

    /// Requests whose guest runs right now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.guests.load(Ordering::SeqCst)
    }

    /// Requests given to a guest so far.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// Puts another version of the component in place: compiled aside, then switched at once. Requests in flight end on the
    /// version they began with. Returns the new SHA-256, or nothing when the bytes are those being served.
    ///
    /// # Errors
    /// Why the new version cannot be served; the old one then goes on as if nothing had happened.
    pub async fn swap(&self, bytes: Vec<u8>) -> Result<Option<String>, Error> {
        if super::inspect::sha256(&bytes) == self.sha256() {
            return Ok(None);
        }
        let source = Source {
            what: self.component.display().to_string(),
            bytes,
        };
        let version = Version::load(
            source,
            &self.shared.limits,
            self.cache.clone(),
            &self.around,
            &self.shared.ticker,
        )
        .await?;
        let sha256 = version.sha256.clone();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(version);
        Ok(Some(sha256))
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers one request. Never fails: what goes wrong becomes an answer.
    pub(super) async fn answer(
        &self,
        request: http::Request<Incoming>,
        scheme: Scheme,
    ) -> Result<http::Response<AnswerBody>, Infallible> {
        let line = self
            .access_log
            .then(|| (format!("{} {}", request.method(), request.uri()), Instant::now()));
        let response = self
            .try_answer(request, scheme)
            .await
            .unwrap_or_else(|(failure, path)| self.apologise(&failure, &path));
        if let Some((request, since)) = line {
            let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.shared.talk.say(Report::Access {
                request,
                status: response.status().as_u16(),
                micros,
            });
        }
        Ok(response)
    }

    async fn try_answer(
        &self,
        mut request: http::Request<Incoming>,
        scheme: Scheme,
    ) -> Result<http::Response<AnswerBody>, (Failure, String)> {
        if let Err(failure) = self.acceptable(&mut request) {
            return Err((failure, named(&request)));
        }
        let Some(in_flight) = self.shared.admit() else {
            return Ok(busy());
        };
        let uri = (request.method().clone(), request.uri().clone());
        let name = || format!("{} {}", uri.0, uri.1.path());
        let mut run = Run::new(self.version(), request, scheme, Arc::clone(&self.shared), in_flight);
        let answer = std::future::poll_fn(|cx| {
            Poll::Ready(match ready!(run.poll_answer(cx)) {
                Ok(Progress::Done(response)) => {
                    let (parts, body) = response.into_parts();
                    match AnswerBody::whole(body, cx) {
                        Ok(body) => Answer::Whole(http::Response::from_parts(parts, body)),
                        Err(error) => Answer::None(Failure::Refused(format!("{error:?}"))),
                    }
                }
                Ok(Progress::Head(response)) => Answer::Begun(response),
                Err(failure) => Answer::None(failure),
            })
        });
        match answer.await {
            Answer::Whole(response) => Ok(response),
            Answer::Begun(response) => Ok(run.stream(response, name())),
            Answer::None(failure) => Err((failure, name())),
        }
    }

    /// Refuses what no guest needs to see.
    fn acceptable(&self, request: &mut http::Request<Incoming>) -> Result<(), Failure> {
        if request.body().size_hint().lower() > self.shared.limits.body {
            return Err(Failure::TooLarge);
        }
        let has_host = request.uri().authority().is_some();
        match request.headers().get(header::HOST) {
            Some(host) if host.to_str().is_err() => Err(Failure::Malformed("its host header is no text".into())),
            Some(_) => Ok(()),
            None if has_host => Ok(()),
            None if request.version() < http::Version::HTTP_11 => {
                // HTTP/1.0 knows no host, a guest must have one.
                request
                    .headers_mut()
                    .insert(header::HOST, HeaderValue::from_static("localhost"));
                Ok(())
            }
            None => Err(Failure::Malformed("it has no host header".into())),
        }
    }

    fn apologise(&self, failure: &Failure, name: &str) -> http::Response<AnswerBody> {
        let (status, close) = match failure {
            Failure::Trap(_) | Failure::Silent | Failure::Refused(_) => (StatusCode::INTERNAL_SERVER_ERROR, false),
            Failure::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, false),
            // The rest of the body is still on its way; nobody will read it.
            Failure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, true),
            Failure::Malformed(_) => (StatusCode::BAD_REQUEST, true),
        };
        if status.is_server_error() {
            self.shared.talk.note(format!("{name}: {failure}"));
        }
        let mut response = text(status, format!("{failure}\n"));
        if close {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What a guest has come up with.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one statement; a box would cost every request an allocation"
)]
enum Answer {
    /// All of the answer.
    Whole(http::Response<AnswerBody>),
    /// Its head.
    Begun(run::Response),
    /// Nothing.
    None(Failure),
}

fn named(request: &http::Request<Incoming>) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

fn busy() -> http::Response<AnswerBody> {
    let mut response = text(
        StatusCode::SERVICE_UNAVAILABLE,
        "as many requests as allowed are in flight; try again\n".into(),
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn text(status: StatusCode, body: String) -> http::Response<AnswerBody> {
    let mut response = http::Response::new(AnswerBody::text(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Reads a component file.
pub(super) fn read(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.into(),
        source,
    })
}

/// Refuses options that make no sense.
fn check(options: &Options) -> Result<(), Error> {
    let wrong = |text: &str| Err(Error::Options(text.into()));
    let limits = &options.limits;
    if limits.timeout.is_zero() {
        return wrong("--timeout must be more than nothing");
    }
    if limits.memory < 64 << 10 {
        return wrong("--max-memory must be at least 64KiB, one page of WebAssembly memory");
    }
    if limits.concurrent == 0 {
        return wrong("--max-concurrent must be at least 1");
    }
    if limits.cpus.is_some_and(|cpus| !(cpus.is_finite() && cpus >= 0.01)) {
        return wrong("--cpus must be at least 0.01");
    }
    Ok(())
}
