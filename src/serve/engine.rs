//! The wasmtime engine, sized to one component.
//!
//! An engine is built per version of a component because the one setting that matters for speed, how much of a slot's
//! memory stays resident between two requests, depends on the guest: its memory at start. Too little means page faults and
//! `madvise` on every request, which costs a Rust guest half its throughput; too much is memory for nothing.

use super::inspect::StartNeeds;
use super::{Error, Limits};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocation {
    /// From slots reserved at start: fast, needs terabytes of address space (not of memory).
    Pooling,
    /// From the system each time, with bounds checks: works where the address space is limited.
    OnDemand,
}

/// An engine and how it allocates.
pub(super) struct Built {
    pub(super) engine: Engine,
    pub(super) allocation: Allocation,
    /// Why it is not pooling, if it is not.
    pub(super) fallback: Option<String>,
}

/// A guest's first heap growth beyond its initial memory which stays resident as well.
const GROWTH_KEPT: u64 = 256 << 10;

/// The most that one slot keeps resident: a JavaScript guest needs 16 MiB, more was not seen to help.
const KEPT_AT_MOST: u64 = 32 << 20;

const WASM_PAGE: u64 = 64 << 10;

/// Builds the engine for a component that starts with `needs`; falls back to on-demand allocation where the slots do not
/// fit into the address space.
pub(super) fn build(needs: &StartNeeds, limits: &Limits) -> Result<Built, Error> {
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(needs, limits)));
    match Engine::new(&config) {
        Ok(engine) => Ok(Built {
            engine,
            allocation: Allocation::Pooling,
            fallback: None,
        }),
        Err(error) => on_demand(&error.root_cause().to_string()),
    }
}

/// Builds an engine that reserves nothing ahead, because of `reason`.
pub(super) fn on_demand(reason: &str) -> Result<Built, Error> {
    let mut config = common();
    // Without these every linear memory would still reserve 4 GiB of addresses.
    config
        .memory_reservation(0)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(0);
    let engine = Engine::new(&config).map_err(|error| Error::Engine(format!("{error:#}")))?;
    Ok(Built {
        engine,
        allocation: Allocation::OnDemand,
        fallback: Some(reason.to_owned()),
    })
}

/// Builds an engine that compiles for [`build`]'s engines but never runs anything, so it reserves nothing.
pub(super) fn compiler() -> Result<Engine, Error> {
    Engine::new(&common()).map_err(|error| Error::Engine(format!("{error:#}")))
}

/// What all engines share, and with it what precompiled code depends on.
fn common() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20);
    config
}

fn pool(needs: &StartNeeds, limits: &Limits) -> PoolingAllocationConfig {
    let count = limits.concurrent.max(1);
    // One more of each, for the version check at load and for a component this parser could not count fully.
    let total = |each: u32| each.max(1).saturating_mul(count).saturating_add(each.max(8));
    let memory = usize::try_from(limits.memory.max(WASM_PAGE).next_multiple_of(WASM_PAGE)).unwrap_or(usize::MAX);
    let elements = usize::try_from(needs.largest_table.max(20_000)).unwrap_or(usize::MAX);
    let kept = (needs.largest_memory + GROWTH_KEPT)
        .min(KEPT_AT_MOST)
        .min(limits.memory.max(WASM_PAGE));
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    let table_kept = usize::try_from(needs.largest_table.saturating_mul(8).clamp(4 << 10, 1 << 20)).unwrap_or(4 << 10);

    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(total(1))
        .total_core_instances(total(needs.instances))
        .total_memories(total(needs.memories))
        .total_tables(total(needs.tables))
        .total_stacks(total(1))
        .max_memory_size(memory)
        .table_elements(elements)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memories_per_module(needs.memories.max(16))
        .max_tables_per_module(needs.tables.max(16))
        .linear_memory_keep_resident(kept)
        .table_keep_resident(table_kept);
    // Linux 6.7 and later can tell which pages were written, so that only those are reset. For a guest of one or two
    // pages asking costs more than resetting them all.
    pool.pagemap_scan(if needs.largest_memory > PAGEMAP_WORTH {
        Enabled::Auto
    } else {
        Enabled::No
    });
    pool
}

/// From this memory size on, asking the kernel for the written pages is cheaper than resetting all kept ones.
const PAGEMAP_WORTH: u64 = 128 << 10;
