//! One version of a component, compiled and ready: a hot swap puts another in its place.

use super::cache::{self, Cache};
use super::engine::{self, Allocation};
use super::guest::{self, Guest, Surroundings};
use super::inspect::{Inspection, inspect};
use super::talk::Talk;
use super::ticker::Ticker;
use super::{Error, Limits};
use crate::units;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

/// A compiled component and its instances that may be used again.
pub(super) struct Version {
    pub(super) sha256: String,
    pre: ProxyPre<Guest>,
    around: Arc<Surroundings>,
    reuse: u32,
    idle: Mutex<Vec<Instance>>,
}

/// An instance and the requests it has answered.
pub(super) struct Instance {
    pub(super) store: Store<Guest>,
    pub(super) proxy: Proxy,
    answered: u32,
}

/// Idle instances kept; a burst's surplus is thrown away.
const IDLE: usize = 64;

impl Version {
    /// Checks, compiles and links a component, and starts one instance of it to see that it can be.
    ///
    /// Things worth knowing that are no errors go to `around.talk`.
    pub(super) async fn load(
        source: Source,
        limits: &Limits,
        cache: Option<Arc<Cache>>,
        around: &Arc<Surroundings>,
        ticker: &Ticker,
    ) -> Result<Self, Error> {
        let what = source.what.clone();
        let (own_limits, talk) = (limits.clone(), around.talk.clone());
        // Compiling takes seconds for a large component, which no thread that serves has.
        let prepared =
            tokio::task::spawn_blocking(move || prepare(&source, &own_limits, cache.as_deref(), &talk)).await;
        let (sha256, pre) = prepared.map_err(|error| Error::Engine(error.to_string()))??;
        ticker.add(pre.engine());
        let version = Self {
            sha256,
            pre,
            around: Arc::clone(around),
            reuse: limits.reuse.max(1),
            idle: Mutex::default(),
        };
        // Running the start section is the guest's code as well, so it gets a request's time.
        match tokio::time::timeout(limits.timeout, version.instance()).await {
            Ok(Ok(instance)) => {
                version.give_back(instance, false);
                Ok(version)
            }
            Ok(Err(reason)) => Err(Error::Start { what, reason }),
            Err(_) => Err(Error::Start {
                what,
                reason: format!("it did not return from its start function within {:?}", limits.timeout),
            }),
        }
    }

    /// An instance to answer one request with: a fresh one, or with `--reuse` perhaps one that has answered before.
    ///
    /// # Errors
    /// Why it could not be started, in the words of the engine.
    pub(super) async fn instance(&self) -> Result<Instance, String> {
        if self.reuse > 1 {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(mut instance) = idle {
                // The old deadline is long past; without a new one the guest would yield at once.
                instance.store.set_epoch_deadline(1);
                return Ok(instance);
            }
        }
        let mut store = Store::new(self.pre.engine(), Guest::new(Arc::clone(&self.around)));
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|guest| {
            if let Some(flags) = &guest.data().flags {
                flags.note_yield();
            }
            Ok(UpdateDeadline::Yield(1))
        });
        match self.pre.instantiate_async(&mut store).await {
            Ok(proxy) => Ok(Instance {
                store,
                proxy,
                answered: 0,
            }),
            Err(error) => Err(failure(&store, &error)),
        }
    }

    /// Takes an instance back after a request that ended well; `answered` says whether it has seen one.
    pub(super) fn give_back(&self, mut instance: Instance, answered: bool) {
        instance.answered += u32::from(answered);
        if instance.answered < self.reuse && self.reuse > 1 {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE {
                idle.push(instance);
            }
        }
    }
}

/// The bytes of a component and what to call them in messages.
pub(super) struct Source {
    pub(super) what: String,
    pub(super) bytes: Vec<u8>,
}

fn prepare(
    source: &Source,
    limits: &Limits,
    cache: Option<&Cache>,
    talk: &Talk,
) -> Result<(String, ProxyPre<Guest>), Error> {
    let (what, bytes) = (source.what.as_str(), source.bytes.as_slice());
    let inspection = inspect(what, bytes)?;
    check(what, &inspection, limits)?;
    let compile = |engine: &Engine| match cache {
        Some(cache) => cache.load(engine, what, bytes, &inspection.sha256, &|text| talk.note(text)),
        None => cache::compile(engine, what, bytes),
    };
    let mut built = engine::build(&inspection.start, limits)?;
    let component = match compile(&built.engine) {
        Err(Error::Invalid { reason, .. }) if built.allocation == Allocation::Pooling && reason.contains("pool") => {
            built = engine::on_demand(&reason)?;
            compile(&built.engine)?
        }
        component => component?,
    };
    if let Some(reason) = &built.fallback {
        talk.note(format!(
            "instances are allocated on demand, which is slower, because the pool cannot be reserved ({reason})"
        ));
    }
    let pre = guest::linker(&built.engine)
        .and_then(|linker| linker.instantiate_pre(&component))
        .and_then(ProxyPre::new)
        .map_err(|error| Error::Link {
            what: what.into(),
            reason: format!("{error:#}"),
        })?;
    Ok((inspection.sha256, pre))
}

/// Refuses what can never answer a request here.
pub(super) fn check(what: &str, inspection: &Inspection, limits: &Limits) -> Result<(), Error> {
    if !inspection.is_http {
        let exports = if inspection.exports.is_empty() {
            "nothing".into()
        } else {
            inspection.exports.join(", ")
        };
        return Err(Error::NotHttp {
            what: what.into(),
            exports,
        });
    }
    if inspection.start.memory > limits.memory {
        return Err(Error::TooMuchMemory {
            what: what.into(),
            needs: units::size(inspection.start.memory),
            limit: units::size(limits.memory),
        });
    }
    Ok(())
}

/// Why a guest ended, in one line: the trap, and the memory limit if it had met that before.
pub(super) fn failure(store: &Store<Guest>, error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let guest = store.data();
    if guest.memory.refused {
        format!(
            "{cause}, after the guest had reached its memory limit of {}",
            units::size(guest.memory_limit())
        )
    } else {
        cause
    }
}
