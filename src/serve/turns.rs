//! Who runs when: guests that need long take turns, so that short ones do not wait for them.
//!
//! A guest yields at every tick of the [ticker](super::ticker). Twenty guests that loop for ever would still put twenty ticks
//! between a new request and its first instruction. So a guest that has run for [`SHORT`] needs a *turn* for each further
//! tick, and there are only as many turns as cores: whatever arrives finds at most one tick of work ahead of it on any core.

use super::ticker::TICK;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Running time after which a guest counts as long.
const SHORT: Duration = Duration::from_millis(4);

/// What all guests of a host share.
pub(super) struct Turns {
    turns: Arc<Semaphore>,
    budget: Option<Budget>,
}

impl Turns {
    /// Turns for `cores` threads; guest code may use `cpus` of them on average.
    pub(super) fn new(cores: usize, cpus: Option<f64>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(cores.max(1))),
            budget: cpus.map(Budget::new),
        }
    }
}

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// How far one guest has come.
#[derive(Default)]
pub(super) struct Pace {
    ran: Duration,
    turn: Option<Turn>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// Polls a guest when it is its turn, and counts the time it takes.
    pub(super) fn poll<F: Future + ?Sized>(
        &mut self,
        turns: &Turns,
        mut guest: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        if let Some(budget) = &turns.budget {
            ready!(self.poll_budget(budget, cx));
        }
        let turn = if self.ran < SHORT {
            None
        } else {
            Some(ready!(self.poll_turn(turns, cx)))
        };
        let before = Instant::now();
        let used = turns.budget.as_ref().map(|_| thread_time());
        let result = guest.as_mut().poll(cx);
        // A guest yields at every tick; what goes far beyond was taken by other processes and is not held against it.
        self.ran += before.elapsed().min(TICK * 2);
        if let (Some(budget), Some(used)) = (&turns.budget, used) {
            budget.spend(thread_time().saturating_sub(used));
        }
        drop(turn);
        result
    }

    fn poll_turn(&mut self, turns: &Turns, cx: &mut Context<'_>) -> Poll<OwnedSemaphorePermit> {
        let waiting = self
            .turn
            .get_or_insert_with(|| Box::pin(Arc::clone(&turns.turns).acquire_owned()));
        let permit = ready!(waiting.as_mut().poll(cx));
        self.turn = None;
        match permit {
            Ok(permit) => Poll::Ready(permit),
            // Nobody closes this semaphore.
            Err(_) => Poll::Pending,
        }
    }

    fn poll_budget(&mut self, budget: &Budget, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match budget.debt() {
                None => return Poll::Ready(()),
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the wait is the limit: guest code above its share of CPU has to pause"
                )]
                Some(debt) => self.pause = Some(Box::pin(tokio::time::sleep(debt))),
            }
        }
    }
}

/// A bucket of CPU time that fills at a fixed rate, as the kernel's CFS quota does with a period of 100 ms.
struct Budget {
    cpus: f64,
    state: Mutex<Bucket>,
}

struct Bucket {
    /// Seconds of CPU time that may be used now; negative after an overrun.
    seconds: f64,
    filled: Instant,
}

/// The period over which unused time may be saved up.
const PERIOD: f64 = 0.1;

impl Budget {
    fn new(cpus: f64) -> Self {
        Self {
            cpus,
            state: Mutex::new(Bucket {
                seconds: cpus * PERIOD,
                filled: Instant::now(),
            }),
        }
    }

    fn fill(&self) -> std::sync::MutexGuard<'_, Bucket> {
        let mut bucket = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(bucket.filled).as_secs_f64() * self.cpus;
        bucket.seconds = (bucket.seconds + gained).min(self.cpus * PERIOD);
        bucket.filled = now;
        bucket
    }

    fn spend(&self, used: Duration) {
        self.fill().seconds -= used.as_secs_f64();
    }

    /// How long to wait until there is time to spend, or nothing.
    fn debt(&self) -> Option<Duration> {
        let seconds = self.fill().seconds;
        (seconds <= 0.0).then(|| Duration::from_secs_f64((-seconds / self.cpus).max(0.001)))
    }
}

/// CPU time of this thread: unlike the clock on the wall it does not count what other processes took.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overrun_is_paid_back() {
        let budget = Budget::new(0.5);
        assert_eq!(budget.debt(), None);
        budget.spend(Duration::from_millis(1_050));
        let debt = budget.debt().expect("one second of overrun at half a CPU");
        assert!((1.9..=2.0).contains(&debt.as_secs_f64()), "{debt:?}");
    }
}
