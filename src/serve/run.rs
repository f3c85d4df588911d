//! One request inside a guest, from its arrival until the guest returns.
//!
//! The guest runs inside the task of its connection: most are done at the first poll, and then neither a task nor a timer nor
//! a wake-up between threads has been needed. Only a guest that sends its answer's head and goes on is moved to a task of its own.

use super::host::{InFlight, Shared};
use super::turns::Pace;
use super::version::{Version, failure};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView as _};

/// The head of an answer with the body the guest writes into.
pub(super) type Response = http::Response<UnsyncBoxBody<Bytes, HttpError>>;

/// Why there is no answer from the guest.
#[derive(Debug)]
pub(super) enum Failure {
    /// It trapped, or could not be started.
    Trap(String),
    /// Its time was up.
    Timeout(Duration),
    /// It returned without an answer.
    Silent,
    /// It answered with an error of `wasi:http`.
    Refused(String),
    /// The request was larger than allowed.
    TooLarge,
    /// The request cannot be given to a guest at all.
    Malformed(String),
}

/// How far the guest is with its answer.
pub(super) enum Progress {
    /// It has returned; the whole answer is there.
    Done(Response),
    /// The head is there and the guest goes on.
    Head(Response),
}

/// What the guest's future tells the outside beyond its result.
#[derive(Default)]
pub(super) struct Flags {
    /// Set before the answer's body is closed by a guest that failed: what was sent so far is not the whole.
    failed: AtomicBool,
    /// Set when the request body went over its limit.
    too_large: AtomicBool,
    /// Set when the guest made way for others, and so is not waiting for anything.
    yielded: AtomicBool,
}

impl Flags {
    /// Says that the guest has only made way for others.
    pub(super) fn note_yield(&self) {
        self.yielded.store(true, Ordering::Relaxed);
    }

    /// Whether an answer that ends now is to be taken for a broken one.
    fn broken(&self) -> bool {
        self.failed.load(Ordering::Acquire) || self.too_large.load(Ordering::Acquire)
    }
}

/// Ticks for which an answer's head is held back in the hope for the rest.
const TICKS_HELD: u32 = 8;

/// A guest at work on one request.
pub(super) struct Run {
    guest: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
    head: oneshot::Receiver<Result<Response, ErrorCode>>,
    flags: Arc<Flags>,
    pace: Pace,
    /// Ticks that came while the guest ran.
    ticks: u32,
    started: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    shared: Arc<Shared>,
    in_flight: InFlight,
}

impl Run {
    /// Prepares the guest of `version` for `request`; nothing runs before the first poll.
    pub(super) fn new(
        version: Arc<Version>,
        request: http::Request<Incoming>,
        scheme: Scheme,
        shared: Arc<Shared>,
        in_flight: InFlight,
    ) -> Self {
        let flags = Arc::new(Flags::default());
        let (send, head) = oneshot::channel();
        let own = Arc::clone(&flags);
        let limit = shared.limits.body;
        let guest = Box::pin(async move {
            let mut instance = version.instance().await?;
            instance.store.data_mut().flags = Some(Arc::clone(&own));
            let request = request.map(|body| Limited {
                body,
                left: limit,
                flags: Arc::clone(&own),
            });
            let http = |error: wasmtime::Error| format!("{error:#}");
            let request = instance
                .store
                .data_mut()
                .http()
                .new_incoming_request(scheme, request)
                .map_err(http)?;
            let out = instance
                .store
                .data_mut()
                .http()
                .new_response_outparam(send)
                .map_err(http)?;
            match instance
                .proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut instance.store, request, out)
                .await
            {
                Ok(()) => {
                    version.give_back(instance, true);
                    Ok(())
                }
                Err(error) => {
                    own.failed.store(true, Ordering::Release);
                    Err(failure(&instance.store, &error))
                }
            }
        });
        Self {
            guest,
            head,
            flags,
            pace: Pace::default(),
            ticks: 0,
            started: Instant::now(),
            alarm: None,
            shared,
            in_flight,
        }
    }

    /// Runs the guest until there is an answer.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Failure>> {
        self.flags.yielded.store(false, Ordering::Relaxed);
        let result = match self.poll_guest(cx) {
            Poll::Ready(Ok(())) => match self.head.try_recv() {
                Ok(Ok(response)) => Ok(Progress::Done(response)),
                Ok(Err(code)) => Err(Failure::Refused(describe(&code))),
                Err(_) => Err(Failure::Silent),
            },
            Poll::Ready(Err(failure)) => Err(failure),
            // A tick came in between: most likely the rest of the answer follows at once, and can be sent in one piece.
            Poll::Pending if self.ticks < TICKS_HELD && self.flags.yielded.load(Ordering::Relaxed) => {
                self.ticks += 1;
                return Poll::Pending;
            }
            Poll::Pending => match self.head.try_recv() {
                Ok(Ok(response)) => Ok(Progress::Head(response)),
                Ok(Err(code)) => Err(Failure::Refused(describe(&code))),
                // Either not yet, or never; then the guest's return says so.
                Err(_) => return Poll::Pending,
            },
        };
        Poll::Ready(if self.flags.too_large.load(Ordering::Acquire) {
            Err(Failure::TooLarge)
        } else {
            result
        })
    }

    fn poll_guest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Poll::Ready(result) = self.pace.poll(&self.shared.turns, self.guest.as_mut(), cx) {
            return Poll::Ready(result.map_err(Failure::Trap));
        }
        let timeout = self.shared.limits.timeout;
        #[allow(clippy::disallowed_methods, reason = "the alarm of the request's time limit")]
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until((self.started + timeout).into())));
        if alarm.as_mut().poll(cx).is_ready() {
            self.flags.failed.store(true, Ordering::Release);
            return Poll::Ready(Err(Failure::Timeout(timeout)));
        }
        Poll::Pending
    }

    /// Lets the guest go on by itself after its answer's head; the body ends it when the client goes away.
    pub(super) fn stream(mut self, response: Response, request: String) -> http::Response<AnswerBody> {
        let flags = Arc::clone(&self.flags);
        let task = tokio::spawn(async move {
            let result = std::future::poll_fn(|cx| self.poll_guest(cx)).await;
            if let Err(failure) = result {
                self.shared.talk.note(format!(
                    "{request}: {failure} after the answer had begun; the connection is cut"
                ));
            }
            drop(self.in_flight);
        });
        response.map(|body| AnswerBody::Streaming {
            body,
            flags,
            rest: Rest(Some(task)),
        })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trap(reason) => write!(f, "the application failed: {reason}"),
            Self::Timeout(limit) => write!(f, "the application did not answer within {limit:?}"),
            Self::Silent => f.write_str("the application returned without an answer"),
            Self::Refused(code) => write!(f, "the application answered with an error: {code}"),
            Self::TooLarge => f.write_str("the request body is larger than allowed"),
            Self::Malformed(reason) => write!(f, "the request is malformed: {reason}"),
        }
    }
}

fn describe(code: &ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(text)) => text.clone(),
        code => format!("{code:?}"),
    }
}

/// A request body that stops at the limit.
struct Limited {
    body: Incoming,
    left: u64,
    flags: Arc<Flags>,
}

impl Body for Limited {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(HttpError::from)?;
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left.checked_sub(length) {
                Some(left) => {
                    self.left = left;
                    Ok(frame)
                }
                None => {
                    self.flags.too_large.store(true, Ordering::Release);
                    Err(HttpError::HttpRequestBodySize(None))
                }
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer on its way to the client.
pub(super) enum AnswerBody {
    /// All of it is here, so its length is known.
    Whole {
        /// What is left of it.
        chunks: VecDeque<Bytes>,
        /// What comes after it.
        trailers: Option<http::HeaderMap>,
    },
    /// The guest is still writing.
    Streaming {
        /// What the guest writes into.
        body: UnsyncBoxBody<Bytes, HttpError>,
        /// Whether it has failed.
        flags: Arc<Flags>,
        /// The rest of its run.
        rest: Rest,
    },
}

/// A guest that goes on after its answer's head, and is ended with the body that nobody reads any more.
pub(super) struct Rest(Option<tokio::task::JoinHandle<()>>);

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl AnswerBody {
    /// A short text.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Whole {
            chunks: [text.into()].into(),
            trailers: None,
        }
    }

    /// Takes all frames of a body whose writer is done.
    ///
    /// # Errors
    /// When the guest aborted it, or wrote less than it had announced.
    pub(super) fn whole(mut body: UnsyncBoxBody<Bytes, HttpError>, cx: &mut Context<'_>) -> Result<Self, HttpError> {
        let mut chunks = VecDeque::new();
        let mut trailers = None;
        // A body whose writer is gone is never pending.
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(cx) {
            match frame?.into_data() {
                Ok(data) => chunks.push_back(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Self::Whole { chunks, trailers })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match &mut *self {
            Self::Whole { chunks, trailers } => {
                let next = chunks
                    .pop_front()
                    .map(Frame::data)
                    .or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(next.map(Ok))
            }
            Self::Streaming { body, flags, rest } => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
                if frame.is_none() {
                    if flags.broken() {
                        return Poll::Ready(Some(Err(HttpError::HttpResponseIncomplete)));
                    }
                    // The answer is complete; the guest may go on with other work until its time is up.
                    rest.0 = None;
                    *self = Self::Whole {
                        chunks: VecDeque::new(),
                        trailers: None,
                    };
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { chunks, trailers: None } if chunks.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { chunks, trailers: None } => {
                SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum())
            }
            _ => SizeHint::default(),
        }
    }
}
