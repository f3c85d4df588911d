//! The Wasm host behind `wasmctl serve`: one `wasi:http` component, a fresh instance for every request.
//!
//! ```text
//! listener ─connection─▶ host ─admit─▶ run ─poll, in turns─▶ version.instance ─▶ the guest
//!     ▲                   ▲              │
//!  signals, control     watch, swap      └─▶ answer: whole, or streaming on a task of its own
//! ```
//!
//! - `inspect` reads a component without compiling it; `engine` is sized by what it finds; `cache` keeps machine code.
//! - `version` is one compiled component; `host` holds the current one and swaps it; `watch` notices a new file.
//! - `run` is one request inside a guest; `turns` decides which guest runs; `ticker` makes guests yield.
//! - `guest` is what a guest sees: environment, folders, `wasi:config`, `keyvalue`, and `outbound` requests.
//! - `talk` carries what there is to say to the caller; nothing here prints.
//!
//! Limits per request: time, memory summed over all memories, size of the body. Limits over all: requests in flight, CPU.

mod cache;
mod control;
mod engine;
mod error;
mod guest;
mod host;
mod inspect;
mod keyvalue;
mod listener;
mod options;
mod outbound;
mod precompiled;
mod run;
mod talk;
mod ticker;
mod turns;
mod version;
mod watch;

pub use cache::precompile;
pub use error::Error;
pub use host::Host;
pub use inspect::{HostVerdict, Inspection, StartNeeds, inspect};
pub use options::{Folder, Limits, Listen, Options, Report, TlsFiles};
pub use outbound::AllowedHost;

use control::{Control, Events};
use listener::{Connections, Listener};
use std::sync::Arc;
use std::time::Duration;
use talk::Talk;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Serves a component until SIGTERM, SIGINT or the end of the control line, then drains and returns.
///
/// While it drains, a second signal ends it at once. Requests that are still running after the drain time are cut off.
///
/// # Errors
/// Whatever keeps the component from being served, before the first request.
pub async fn run(mut options: Options) -> Result<(), Error> {
    let (talk, talker) = Talk::start(Arc::clone(&options.report)).map_err(|source| Error::System {
        what: "starting the output thread",
        source,
    })?;
    let result = serve(&mut options, &talk).await;
    drop(talk);
    // Every other sending end belongs to guests, which are gone by now unless they were cut off; then the rest is lost.
    if result.is_ok() {
        let _ = tokio::time::timeout(
            Duration::from_millis(200),
            tokio::task::spawn_blocking(move || talker.join()),
        )
        .await;
    }
    result
}

async fn serve(options: &mut Options, talk: &Talk) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let stamp = watch::stamp(&options.component);
    let host = Arc::new(Host::new(options, talk.clone()).await?);
    let listen = std::mem::replace(&mut options.listen, Listen::Address(String::new()));
    let listener = Listener::open(listen, options.tls.as_ref()).await?;
    let mut control = options.control.take().map(Control::new).transpose()?;
    let events = Control::events(control.as_ref());
    let mut connections = Connections::default();

    talk.say(Report::Listening { url: listener.url()? });
    events.send("ready").await;
    let orphaned = tokio::select! {
        () = listener.accept(&host, &mut connections) => false,
        () = signals.next() => false,
        () = orphaned(control.as_mut()) => true,
        () = watch_if(options.watch, &host, &options.component, stamp, &events, talk) => false,
        () = idle_if(options.idle, &host, &events) => false,
    };
    drop(listener);
    if orphaned && let Some(hook) = options.on_orphaned.take() {
        hook();
    }
    drain(&mut connections, &host, options.drain, &mut signals, talk).await;
    Ok(())
}

async fn drain(connections: &mut Connections, host: &Host, limit: Duration, signals: &mut Signals, talk: &Talk) {
    let running = host.in_flight();
    if running > 0 {
        talk.note(format!(
            "stopping: waiting up to {limit:?} for {running} requests in flight; a second signal stops at once"
        ));
    }
    let finish = async {
        connections.finish().await;
        // Guests that go on after their answer.
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while host.in_flight() > 0 {
            look.tick().await;
        }
    };
    let cut = tokio::select! {
        () = finish => false,
        () = signals.next() => true,
        () = expired(limit) => true,
    };
    if cut {
        talk.note(format!("stopping: {} requests are cut off", host.in_flight()));
    }
}

#[allow(clippy::disallowed_methods, reason = "the end of the drain time")]
async fn expired(limit: Duration) {
    tokio::time::sleep(limit).await;
}

async fn orphaned(control: Option<&mut Control>) {
    match control {
        Some(control) => control.orphaned().await,
        None => std::future::pending().await,
    }
}

async fn watch_if(
    wanted: bool,
    host: &Host,
    path: &std::path::Path,
    stamp: Option<watch::Stamp>,
    events: &Events,
    talk: &Talk,
) {
    if wanted {
        watch::watch(host, path, stamp, events, talk).await;
    }
    std::future::pending().await
}

async fn idle_if(after: Option<Duration>, host: &Host, events: &Events) {
    if let Some(after) = after {
        control::watch_idleness(host, after, events).await;
    }
    std::future::pending().await
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let wrong = |source| Error::System {
            what: "listening for signals",
            source,
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(wrong)?,
            interrupt: signal(SignalKind::interrupt()).map_err(wrong)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
