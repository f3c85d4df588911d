//! Bodies on their way through: what a client sends, what a target answers.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::proxy::Exchange;

/// A body did not arrive in time, is too large, or its connection broke.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The client sent more than the limit.
    TooLarge,
    /// Nothing moved for the allowed time.
    Idle,
    /// The target left and its time to finish is over.
    Cut,
    /// The connection broke.
    Broken(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the request body is larger than the limit"),
            Self::Idle => f.write_str("the body stood still for too long"),
            Self::Cut => f.write_str("the target left before the answer was complete"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

/// What is known of a request body while a client connection owns it, and where it returns to.
#[derive(Default)]
pub(super) struct Home {
    untouched: Mutex<Option<Incoming>>,
    moved: AtomicU64,
    failure: AtomicU8,
}

const TOO_LARGE: u8 = 1;
const IDLE: u8 = 2;

impl Home {
    /// Takes back a body of which nothing was read, so that it can be sent to another target.
    pub(super) fn take(&self) -> Option<Incoming> {
        self.untouched.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Grows with each piece that was read.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    /// Says how the client's side failed, if it did.
    pub(super) fn failure(&self) -> Option<BodyError> {
        match self.failure.load(Ordering::Acquire) {
            TOO_LARGE => Some(BodyError::TooLarge),
            IDLE => Some(BodyError::Idle),
            _ => None,
        }
    }
}

/// A request body on its way to a target.
///
/// Dropped before anything was read from it, it leaves the body with its [`Home`].
pub(super) struct Upload(Option<Sending>);

struct Sending {
    incoming: Option<Incoming>,
    home: Arc<Home>,
    touched: bool,
    left: u64,
    idle: Idle,
}

impl Upload {
    /// The body of a request that has none.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Sends `incoming`, at most `limit` bytes of it.
    pub(super) fn new(incoming: Incoming, home: &Arc<Home>, limit: u64, idle: Duration) -> Self {
        Self(Some(Sending {
            incoming: Some(incoming),
            home: Arc::clone(home),
            touched: false,
            left: limit,
            idle: Idle::new(idle),
        }))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.touched {
            *self.home.untouched.lock().unwrap_or_else(PoisonError::into_inner) = self.incoming.take();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(sending) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let Some(incoming) = &mut sending.incoming else {
            return Poll::Ready(None);
        };
        sending.touched = true;
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Pending => {
                ready!(sending.idle.poll(cx));
                sending.home.failure.store(IDLE, Ordering::Release);
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                sending.idle.moved();
                sending.home.moved.fetch_add(1, Ordering::AcqRel);
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match sending.left.checked_sub(length) {
                    Some(left) => sending.left = left,
                    None => {
                        sending.home.failure.store(TOO_LARGE, Ordering::Release);
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Poll::Ready(None) => {
                sending.home.moved.fetch_add(1, Ordering::AcqRel);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let incoming = self.0.as_ref().and_then(|sending| sending.incoming.as_ref());
        incoming.is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.0.as_ref().and_then(|sending| sending.incoming.as_ref());
        incoming.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer.
pub(super) enum Answer {
    /// The balancer's own words.
    Text(Full<Bytes>),
    /// What a target says.
    Relayed(Download),
}

/// An answer on its way from a target; the request counts as in flight until it is dropped.
pub(super) struct Download {
    incoming: Incoming,
    exchange: Exchange,
    idle: Idle,
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Download {
    /// Relays `incoming`.
    pub(super) fn new(incoming: Incoming, exchange: Exchange, idle: Duration) -> Self {
        Self {
            incoming,
            exchange,
            idle: Idle::new(idle),
            cut: None,
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> bool {
        let target = self.exchange.target();
        let cut = self.cut.get_or_insert_with(|| {
            let target = Arc::clone(target);
            Box::pin(async move {
                let mut told = std::pin::pin!(target.cut.notified());
                // Enabled before the question, so that a cut between the two is not missed.
                told.as_mut().enable();
                if !target.was_cut() {
                    told.await;
                }
            })
        });
        cut.as_mut().poll(cx).is_ready()
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            // Timers are only made for a body that has to be waited for; most never are.
            Poll::Pending => {
                if self.poll_cut(cx) {
                    return Poll::Ready(Some(Err(BodyError::Cut)));
                }
                ready!(self.idle.poll(cx));
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved();
                self.exchange.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Text(text) => Pin::new(text).poll_frame(cx).map_err(|never| match never {}),
            Self::Relayed(download) => Pin::new(download).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_end_stream(),
            Self::Relayed(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => text.size_hint(),
            Self::Relayed(download) => download.size_hint(),
        }
    }
}

/// The time a body has been standing still.
struct Idle {
    allowed: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn new(allowed: Duration) -> Self {
        Self { allowed, timer: None }
    }

    fn moved(&mut self) {
        self.timer = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed = self.allowed;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + allowed)));
        timer.as_mut().poll(cx)
    }
}
