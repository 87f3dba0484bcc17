//! What a signing store counts.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::memory::Memory;
use crate::metrics::StoreMetrics;

/// A signing store's metrics; clones share their values.
#[derive(Debug, Clone, Default)]
pub struct SigningStoreMetrics {
    /// Those of every store.
    pub(crate) store: StoreMetrics,
    /// Signatures being made.
    open: Gauge,
    /// Events that wait.
    events_waiting: Gauge,
    /// Deliveries that wait.
    deliveries_waiting: Gauge,
    /// Deliveries given up so far.
    deliveries_dead: Gauge,
    /// Leaves of the log.
    log_size: Gauge,
    /// Bytes of documents in files of their own.
    pub(crate) blob_bytes: Gauge,
}

impl SigningStoreMetrics {
    /// Registers every metric as `chancery_signing_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        let prefix = "chancery_signing_store";
        self.store.register_as(registry, prefix);
        let store = registry.sub_registry_with_prefix(prefix);
        store.register(
            "open_signatures",
            "Signatures begun and neither made nor abandoned",
            self.open.clone(),
        );
        store.register(
            "events_waiting",
            "Events of inbound webhooks that wait",
            self.events_waiting.clone(),
        );
        store.register(
            "deliveries_waiting",
            "Deliveries to outbound webhooks that wait",
            self.deliveries_waiting.clone(),
        );
        store.register(
            "deliveries_dead",
            "Deliveries to outbound webhooks that were given up",
            self.deliveries_dead.clone(),
        );
        store.register(
            "log_size",
            "Leaves of the transparency log",
            self.log_size.clone(),
        );
        store.register(
            "blob_bytes",
            "Bytes of documents in files of their own",
            self.blob_bytes.clone(),
        );
    }

    /// Shows what memory holds.
    pub(crate) fn show(&self, memory: &Memory) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.open.set(number(memory.open.len() as u64));
        self.events_waiting.set(number(memory.events.len() as u64));
        self.deliveries_waiting
            .set(number(memory.deliveries.len() as u64));
        self.deliveries_dead
            .set(number(memory.counts.deliveries_dead));
        self.log_size.set(number(memory.log.size));
    }
}
