//! What a guest carries with it: its WASI state, its handles and its memory account.

use super::keyvalue;
use super::options::Options;
use super::outbound::{Hooks, Outbound};
use super::run::Flags;
use super::talk::{GuestOutput, Talk};
use super::{Error, Folder};
use std::sync::Arc;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What every guest of a host is given, whichever version of the component it runs.
pub(super) struct Surroundings {
    pub(super) env: Vec<(String, String)>,
    pub(super) folders: Vec<Folder>,
    pub(super) config: WasiConfigVariables,
    pub(super) keyvalue: Arc<keyvalue::Database>,
    pub(super) outbound: Arc<Outbound>,
    pub(super) memory: u64,
    pub(super) talk: Talk,
}

impl Surroundings {
    /// Opens and checks all that the options name.
    pub(super) fn new(options: &Options, talk: Talk) -> Result<Self, Error> {
        for folder in &options.folders {
            std::fs::read_dir(&folder.host).map_err(|source| Error::Folder {
                path: folder.host.clone(),
                source,
            })?;
        }
        Ok(Self {
            env: options.env.clone(),
            folders: options.folders.clone(),
            config: options.config.iter().cloned().collect(),
            keyvalue: Arc::new(keyvalue::Database::open(options.keyvalue.as_deref())?),
            outbound: Arc::new(Outbound::new(options.allow_hosts.clone(), talk.clone())),
            memory: options.limits.memory,
            talk,
        })
    }

    fn wasi(&self) -> WasiCtx {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.env)
            .stdout(GuestOutput::new(self.talk.clone(), "stdout"))
            .stderr(GuestOutput::new(self.talk.clone(), "stderr"));
        for folder in &self.folders {
            let access = if folder.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            if let Err(error) = wasi.preopened_dir(&folder.host, &folder.guest, access) {
                self.talk
                    .note(format!("the guest does not see {}: {error:#}", folder.host.display()));
            }
        }
        wasi.build()
    }
}

/// The data of one instance's store.
pub(super) struct Guest {
    table: ResourceTable,
    /// Made when the guest first asks for it: opening folders and filling the environment is a good part of a small request.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(super) memory: MemoryAccount,
    /// Of the request being answered.
    pub(super) flags: Option<Arc<Flags>>,
    around: Arc<Surroundings>,
}

impl Guest {
    pub(super) fn new(around: Arc<Surroundings>) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi: None,
            http: WasiHttpCtx::new(),
            hooks: Hooks(Arc::clone(&around.outbound)),
            memory: MemoryAccount {
                used: 0,
                limit: around.memory,
                refused: false,
            },
            flags: None,
            around,
        }
    }
}

impl Guest {
    /// The most memory this instance may use, in bytes.
    pub(super) fn memory_limit(&self) -> u64 {
        self.memory.limit
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| self.around.wasi()),
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Links everything a guest may import.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |guest: &mut Guest| WasiConfig::from(&guest.around.config))?;
    keyvalue::add_to_linker(&mut linker, |guest: &mut Guest| keyvalue::View {
        database: &guest.around.keyvalue,
        table: &mut guest.table,
    })?;
    Ok(linker)
}

/// Counts the memory of one instance over all its linear memories and tables.
///
/// wasmtime's own `StoreLimits` limits each memory by itself, which a guest with two memories passes twice.
pub(super) struct MemoryAccount {
    used: u64,
    limit: u64,
    /// Whether the guest was ever refused memory; explains a trap that follows.
    pub(super) refused: bool,
}

impl MemoryAccount {
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, size: u64) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Beyond what the guest itself declared: the engine refuses, and nothing is used.
            return true;
        }
        let more = (desired.saturating_sub(current) as u64).saturating_mul(size);
        match self.used.checked_add(more) {
            Some(total) if total <= self.limit => {
                self.used = total;
                true
            }
            _ => {
                self.refused = true;
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryAccount {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, size_of::<usize>() as u64))
    }
}
