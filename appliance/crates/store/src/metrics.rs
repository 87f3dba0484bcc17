//! What a store counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// One store's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Groups brought to disk.
    pub(crate) commits: Counter,
    /// Acts recorded.
    pub(crate) acts: Counter,
    /// Acts in one group.
    pub(crate) acts_per_commit: Histogram,
    /// Seconds to write, sync and index one group.
    pub(crate) commit_seconds: Histogram,
    /// Acts waiting for the writer.
    pub(crate) queue_depth: Gauge,
    /// Bytes of frames in the journal.
    pub(crate) journal_bytes: Gauge,
    /// Acts refused because the disk is full.
    pub(crate) no_space: Counter,
    /// 1 once the store takes no more writes.
    pub(crate) failed: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            acts: Counter::default(),
            acts_per_commit: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            queue_depth: Gauge::default(),
            journal_bytes: Gauge::default(),
            no_space: Counter::default(),
            failed: Gauge::default(),
        }
    }
}

impl StoreMetrics {
    /// Registers every metric as `chancery_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.register_as(registry, "chancery_store");
    }

    /// Registers every metric under a prefix: for a second store in the process.
    pub fn register_as(&self, registry: &mut Registry, prefix: &str) {
        let store = registry.sub_registry_with_prefix(prefix);
        store.register(
            "commits",
            "Groups of acts brought to disk",
            self.commits.clone(),
        );
        store.register("acts", "Acts recorded", self.acts.clone());
        store.register(
            "acts_per_commit",
            "Acts brought to disk by one sync",
            self.acts_per_commit.clone(),
        );
        store.register(
            "commit_seconds",
            "Time to write, sync and index one group",
            self.commit_seconds.clone(),
        );
        store.register(
            "queue_depth",
            "Acts waiting for the writer",
            self.queue_depth.clone(),
        );
        store.register(
            "journal_bytes",
            "Bytes of frames in the journal",
            self.journal_bytes.clone(),
        );
        store.register(
            "no_space",
            "Acts refused for want of disk space",
            self.no_space.clone(),
        );
        store.register(
            "failed",
            "1 once the store takes no more writes",
            self.failed.clone(),
        );
    }
}
