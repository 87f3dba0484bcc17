//! What validation counts and times.

use std::time::Duration;

use model::acme::ChallengeKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::failure::Failure;

/// Validation's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct ValidationMetrics {
    /// Attempts, by method and result.
    attempts: Family<AttemptLabels, Counter>,
    /// Seconds of one attempt, by method.
    durations: Family<MethodLabels, Histogram>,
    /// Attempts under way.
    pub(super) running: Gauge,
    /// Challenges that wait.
    pub(super) waiting: Gauge,
    /// Results that the store did not take at first.
    pub(super) unrecorded: Counter,
}

/// Labels a count by method and result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    /// The method.
    method: &'static str,
    /// `valid`, or the error type.
    result: &'static str,
}

/// Labels a histogram by method.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    /// The method.
    method: &'static str,
}

impl Default for ValidationMetrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            // 1 ms to about 16 s.
            durations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 8))
            }),
            running: Gauge::default(),
            waiting: Gauge::default(),
            unrecorded: Counter::default(),
        }
    }
}

impl ValidationMetrics {
    /// Names the metrics in a registry: `chancery_acme_validation_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chancery_acme_validation");
        registry.register(
            "attempts",
            "Attempts at challenges, by method and result",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "duration",
            "Time of one attempt, by method",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("running", "Attempts under way", self.running.clone());
        registry.register("waiting", "Challenges that wait", self.waiting.clone());
        registry.register(
            "unrecorded",
            "Results that the store did not take at first",
            self.unrecorded.clone(),
        );
    }

    /// Counts and times an attempt.
    pub(super) fn attempted(&self, kind: ChallengeKind, failure: Option<&Failure>, took: Duration) {
        let method = kind.as_str();
        let result = failure.map_or("valid", |failure| failure.error_type().as_str());
        self.attempts
            .get_or_create(&AttemptLabels { method, result })
            .inc();
        self.durations
            .get_or_create(&MethodLabels { method })
            .observe(took.as_secs_f64());
    }
}
