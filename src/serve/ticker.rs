//! The clock that makes guests yield: one thread for all engines of a host.
//!
//! Compiled code compares a counter at every loop and call; the ticker moves that counter. While no request is in flight
//! for some time it sleeps, so that an idle host uses no CPU at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// The longest a guest runs before others get their turn.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Idle ticks after which the thread parks: long enough that a client sending one request after the other never pays for waking it.
const IDLE_TICKS: u32 = 200;

/// The clock of one host; its thread ends with the last reference.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    in_flight: Arc<AtomicUsize>,
    parked: AtomicBool,
}

impl Ticker {
    /// Starts the thread; `in_flight` says whether anything runs.
    pub(super) fn start(in_flight: Arc<AtomicUsize>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            engines: Mutex::default(),
            in_flight,
            parked: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&shared);
        let thread = thread::Builder::new()
            .name("epoch".into())
            .spawn(move || tick(&weak))?
            .thread()
            .clone();
        Ok(Self { shared, thread })
    }

    /// Adds an engine whose epoch is to move for as long as it lives.
    pub(super) fn add(&self, engine: &Engine) {
        self.shared
            .engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(engine.weak());
    }

    /// Says that a request has begun: `in_flight` was raised before this is called.
    pub(super) fn wake(&self) {
        // Pairs with the check in `tick`: both sides write their own flag before they read the other's.
        if self.shared.parked.load(Ordering::SeqCst) && self.shared.parked.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

#[allow(clippy::disallowed_methods, reason = "a clock waits for nothing but time")]
fn tick(shared: &Weak<Shared>) {
    let mut idle = 0;
    loop {
        {
            let Some(shared) = shared.upgrade() else { return };
            shared
                .engines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|engine| match engine.upgrade() {
                    Some(engine) => {
                        engine.increment_epoch();
                        true
                    }
                    None => false,
                });
            idle = if shared.in_flight.load(Ordering::SeqCst) == 0 {
                idle + 1
            } else {
                0
            };
            if idle > IDLE_TICKS {
                shared.parked.store(true, Ordering::SeqCst);
                if shared.in_flight.load(Ordering::SeqCst) != 0 {
                    shared.parked.store(false, Ordering::SeqCst);
                    idle = 0;
                }
            }
        }
        if idle > IDLE_TICKS {
            thread::park_timeout(Duration::from_secs(60));
            if shared
                .upgrade()
                .is_none_or(|shared| !shared.parked.load(Ordering::SeqCst))
            {
                idle = 0;
            }
        } else {
            thread::sleep(TICK);
        }
    }
}
