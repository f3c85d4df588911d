//! Waiting: between tries, and for what is on its way. The only code that sleeps.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::kind::{Class, Error};

/// Whether the run was asked to stop.
pub type Stop = watch::Receiver<bool>;

/// Sleeps, unless the run is asked to stop: then it returns `false` at once.
pub(super) async fn pause(duration: Duration, stop: &mut Stop) -> bool {
    if *stop.borrow() {
        return false;
    }
    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
    let sleep = tokio::time::sleep(duration);
    tokio::select! {
        () = sleep => true,
        stopped = stop.wait_for(|stopped| *stopped) => {
            // The sender lives as long as the run; if it is gone, the run is over too.
            let _ = stopped;
            false
        }
    }
}

/// Ends when nothing happened for so long.
pub(crate) async fn silence(duration: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
    tokio::time::sleep(duration).await;
}

/// Growing pauses between looks at what is on its way: from 1 ms, so that what is quick is seen at
/// once, to 5 s.
#[derive(Debug, Default)]
pub(super) struct Poll {
    looks: u32,
}

impl Poll {
    /// Returns the pause before the next look.
    pub(super) fn next(&mut self) -> Duration {
        let growth = 1.5_f64.powi(i32::try_from(self.looks.min(40)).unwrap_or(40));
        self.looks += 1;
        Duration::from_secs_f64((0.001 * growth).min(5.0))
    }
}

/// Decides about further tries of a call that failed.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    tried: u32,
}

/// How often a call without an answer is tried again: with growing pauses, about two minutes.
const MOST_UNANSWERED: u32 = 12;

impl Tries {
    /// Returns when to try again, from now; `None` if the error stands.
    pub(crate) fn again(&mut self, error: &Error, deadline: Instant) -> Option<Duration> {
        let (first, most) = match error.class {
            Class::Busy => (0.02, 5.0),
            Class::Unavailable if self.tried < MOST_UNANSWERED => (0.1, 15.0),
            Class::Throttled { .. } => (0.5, 20.0),
            _ => return None,
        };
        let growth = 2_f64.powi(i32::try_from(self.tried.min(20)).unwrap_or(20));
        let seconds = (first * growth).min(most) * (0.5 + unit());
        let asked = match error.class {
            Class::Throttled { after: Some(after) } => after,
            _ => Duration::ZERO,
        };
        let pause = Duration::from_secs_f64(seconds).max(asked);
        self.tried += 1;
        (Instant::now() + pause < deadline).then_some(pause)
    }

    /// Returns the number of the next try, from 2.
    #[must_use]
    pub(crate) fn number(&self) -> u32 {
        self.tried + 1
    }
}

/// Draws from 0 to 1, so that many runs do not try again in step.
fn unit() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let far = Instant::now() + Duration::from_secs(3600);
        assert!(Tries::default().again(&Error::invalid("x"), far).is_none());
        assert!(Tries::default().again(&Error::conflict("x"), far).is_none());
        assert!(Tries::default().again(&Error::busy("x"), far).is_some());
        let after = Some(Duration::from_secs(60));
        let wait = Tries::default()
            .again(&Error::new(Class::Throttled { after }, "x"), far)
            .unwrap();
        assert_eq!(wait, Duration::from_secs(60));
        assert!(Tries::default().again(&Error::busy("x"), Instant::now()).is_none());
        let mut tries = Tries::default();
        let count = std::iter::from_fn(|| tries.again(&Error::unavailable("x"), far)).count();
        assert_eq!(count, MOST_UNANSWERED as usize);
    }

    #[test]
    fn looks_start_at_once_and_grow_to_five_seconds() {
        let mut poll = Poll::default();
        assert_eq!(poll.next(), Duration::from_millis(1));
        let last = (0..40).map(|_| poll.next()).last().unwrap();
        assert_eq!(last, Duration::from_secs(5));
    }
}
