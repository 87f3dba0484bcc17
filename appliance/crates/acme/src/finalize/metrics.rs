//! What issuance counts and times.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Issuance's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct FinalizeMetrics {
    /// Requests to the CA, by result.
    attempts: Family<ResultLabels, Counter>,
    /// Seconds until the CA answered.
    duration: Histogram,
    /// Orders in `processing` that are being worked on.
    open: Gauge,
    /// 1 while the CA is away.
    pub(super) away: Gauge,
}

/// Labels a count by result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    /// `issued`, `refused`, `again`, `away` or `unusable`.
    result: &'static str,
}

impl Default for FinalizeMetrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            // 0.5 ms to about 16 s.
            duration: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            open: Gauge::default(),
            away: Gauge::default(),
        }
    }
}

impl FinalizeMetrics {
    /// Registers every metric as `chancery_acme_finalize_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chancery_acme_finalize");
        registry.register(
            "attempts",
            "Requests to the CA, by result",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "duration",
            "Time until the CA answered",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "open",
            "Orders in processing that are being worked on",
            self.open.clone(),
        );
        registry.register(
            "ca_away",
            "1 while the CA does not issue",
            self.away.clone(),
        );
    }

    /// Notes one request to the CA.
    pub(super) fn attempted(&self, result: &'static str, took: Duration) {
        self.attempts.get_or_create(&ResultLabels { result }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Notes how many orders are not done.
    pub(super) fn open(&self, count: usize) {
        self.open.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
