//! Guardians: what keeps an instance alive on this machine, as a cloud's control plane would.
//!
//! ```text
//! deploy ──spawns──▶ guardian ──spawns──▶ worker (`wasmctl serve …`, `wasmctl balance …`)
//!                    holds the lock        fd 0  the listening socket, shared with the guardian
//!                    holds the socket      fd 1  the control line: events out, the guardian's death in
//! ```
//!
//! - **One of each.** A guardian holds an exclusive lock on `lock` for as long as it lives. The kernel gives it to one
//!   process and takes it back at its death, so "is it alive" and "is there a second one" need no guessing.
//! - **A dead worker** is replaced at once, then with growing pauses. The socket lies with the guardian: connections wait
//!   in its queue meanwhile.
//! - **A dead guardian** is noticed by its worker as the end of the control line. The worker hands the socket to a new
//!   guardian, which starts a new worker; the old one finishes what it has and ends. A function without a worker has a
//!   stand-by process that only waits for that.
//! - **Stopping** is a file `stop` and a signal: whoever finds the file starts nothing any more.
//!
//! | in the run folder | holds |
//! |---|---|
//! | `spec.json` | what to run; mode 0600, because it holds the guest's environment |
//! | `lock` | nothing; locked by the guardian |
//! | `process.json` | the processes by id and start time, the address, how far the worker is |
//! | `log`, `log.1` | what worker and guardian said; 10 MB each |
//! | `starting` | nothing; says that a guardian was started and has not come up yet |
//! | `failed` | why it could not come up |
//! | `stop` | nothing; says that the end is wanted |
//!
//! Control line, worker to guardian: `ready`, `swapped SHA256`, `idle`, `fact KEY VALUE` (kept over restarts and handed to
//! the next worker as `WASMCTL_FACT_KEY`). Guardian to worker: `retire`, where the spec says that the worker knows it.

mod backoff;
mod dir;
mod keep;
mod log;
mod process;
mod spawn;
mod worker;

pub use dir::{Mode, Progress, Record, RunDir, Spec};
pub use keep::keep;
pub use process::ProcessId;
pub use spawn::{heal, inherited_control, inherited_listener, program, spawn, stand_by};
