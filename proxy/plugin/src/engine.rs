//! Engines: one for each plugin, so that its pool is of its own size and nobody else's guests can empty it.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{BuildError, Host, Limits};

/// Bytes of stack that a guest may use, and what the host needs beside it on the same stack.
const GUEST_STACK: usize = 512 << 10;
const HOST_STACK: usize = 256 << 10;

/// Core instances, memories and tables of one component. wit-component makes three or four modules of one; Python's make about a dozen.
const CORE_INSTANCES_MAX: u32 = 64;
const MEMORIES_MAX: u32 = 4;
const TABLES_MAX: u32 = 16;

/// Elements that a table may grow by.
const TABLE_GROWTH: usize = 4 << 10;

/// What a component needs of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Memories of one instance.
    pub memories: u32,
    /// Tables of one instance.
    pub tables: u32,
    /// The largest table at the beginning, in elements.
    pub table_elements: usize,
}

/// The engine that configures: nothing is set aside for it.
pub fn for_configuring(host: &Host) -> Result<Engine, BuildError> {
    let mut config = base(host);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    finish(host, &config, "")
}

/// The engine that runs the instances of one plugin, with a pool for all of them.
pub fn for_running(host: &Host, limits: &Limits, needs: Needs) -> Result<Engine, BuildError> {
    let mut config = base(host);
    let count = limits.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(count.saturating_mul(needs.memories.max(1)))
        .total_tables(count.saturating_mul(needs.tables.max(1)))
        .total_stacks(count)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(usize::try_from(limits.memory).unwrap_or(usize::MAX))
        .table_elements(needs.table_elements.saturating_add(TABLE_GROWTH))
        .max_unused_warm_slots(count)
        // A slot's touched pages are set back by copying, as far as they are this many bytes, and the kernel says which were touched (Linux 6.7;
        // elsewhere all of them are copied): half of what giving them back and faulting them in again takes (examples/cost.rs).
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(1);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let advice = format!(
        "the machine cannot set aside room for {count} instances (limits.instances) with {} of memory each (limits.memory): ask for \
         fewer, or raise the limit on address space (ulimit -v) or on mappings (sysctl vm.max_map_count)",
        mebibytes(limits.memory)
    );
    finish(host, &config, &advice)
}

/// What compiled code depends on is the same in both, so that both take from one cache.
fn base(host: &Host) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(GUEST_STACK + HOST_STACK)
        .gc_support(false)
        // Addresses of 32 bits are what `bulk` cuts up, and what is cheap to check.
        .wasm_memory64(false)
        .cache(host.cache.clone());
    config
}

fn finish(host: &Host, config: &Config, advice: &str) -> Result<Engine, BuildError> {
    let engine = Engine::new(config).map_err(|error| {
        BuildError(if advice.is_empty() { format!("{error:#}") } else { format!("{advice} ({error:#})") })
    })?;
    host.ticker.watch(&engine);
    Ok(engine)
}

fn mebibytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
