//! What the store counts and times.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::algorithm::KeyAlgorithm;
use crate::error::Error;
use crate::sign::{Priority, SignJob};

/// The store's metrics; clones share their values.
///
/// The composition root makes one, registers it and hands it to the store.
#[derive(Debug, Clone)]
pub struct KeyStoreMetrics(Arc<Metrics>);

/// The values themselves.
#[derive(Debug)]
struct Metrics {
    /// Signatures asked for, by algorithm, priority and outcome.
    signatures: Family<SignatureLabels, Counter>,
    /// Seconds a job waited for a lane, one for each priority.
    queue_seconds: [Histogram; 3],
    /// Seconds a job had the token for itself.
    token_seconds: Histogram,
    /// Jobs that wait.
    queue_depth: Gauge,
    /// Sessions that are open for signing.
    sessions: Gauge,
    /// Times the token was brought back.
    recoveries: Counter,
    /// Times the PIN was offered to the token.
    logins: Counter,
    /// 1 when the store can serve.
    ready: Gauge,
}

/// Labels of one signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignatureLabels {
    /// The key's algorithm.
    algorithm: &'static str,
    /// The job's priority.
    priority: &'static str,
    /// `ok`, or what went wrong.
    outcome: &'static str,
}

impl Default for KeyStoreMetrics {
    fn default() -> Self {
        let histogram = || Histogram::new(exponential_buckets(0.000_05, 2.5, 16));
        Self(Arc::new(Metrics {
            signatures: Family::default(),
            queue_seconds: [histogram(), histogram(), histogram()],
            token_seconds: histogram(),
            queue_depth: Gauge::default(),
            sessions: Gauge::default(),
            recoveries: Counter::default(),
            logins: Counter::default(),
            ready: Gauge::default(),
        }))
    }
}

impl KeyStoreMetrics {
    /// Registers every metric under `chancery_keystore_…`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = &self.0;
        let registry = registry.sub_registry_with_prefix("chancery_keystore");
        registry.register(
            "signatures",
            "Signatures asked for, by algorithm, priority and outcome",
            metrics.signatures.clone(),
        );
        for (priority, histogram) in Priority::ALL.into_iter().zip(&metrics.queue_seconds) {
            registry
                .sub_registry_with_label(("priority".into(), priority.as_str().into()))
                .register(
                    "queue_seconds",
                    "Time a signature waited for the token",
                    histogram.clone(),
                );
        }
        registry.register(
            "token_seconds",
            "Time the token took for a signature",
            metrics.token_seconds.clone(),
        );
        registry.register(
            "queue_depth",
            "Signatures that wait for the token",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "sessions",
            "Sessions open for signing",
            metrics.sessions.clone(),
        );
        registry.register(
            "recoveries",
            "Times the token was brought back after a failure",
            metrics.recoveries.clone(),
        );
        registry.register(
            "logins",
            "Times the PIN was offered to the token",
            metrics.logins.clone(),
        );
        registry.register(
            "ready",
            "1 when the store can serve, 0 when not",
            metrics.ready.clone(),
        );
    }

    /// Counts how a signature ended.
    pub(crate) fn count<T>(
        &self,
        job: &SignJob,
        algorithm: KeyAlgorithm,
        outcome: &Result<T, Error>,
    ) {
        let labels = SignatureLabels {
            algorithm: algorithm.as_str(),
            priority: job.priority().as_str(),
            outcome: outcome.as_ref().map_or_else(Error::kind, |_| "ok"),
        };
        self.0.signatures.get_or_create(&labels).inc();
    }

    /// Notes how long a job waited.
    pub(crate) fn waited(&self, priority: Priority, time: Duration) {
        if let Some(histogram) = self.0.queue_seconds.get(priority.place()) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// Notes how long the token took.
    pub(crate) fn worked(&self, time: Duration) {
        self.0.token_seconds.observe(time.as_secs_f64());
    }

    /// Notes how many jobs wait.
    pub(crate) fn depth(&self, waiting: usize) {
        self.0
            .queue_depth
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Notes that a session for signing was opened.
    pub(crate) fn session_opened(&self) {
        self.0.sessions.inc();
    }

    /// Notes that a session for signing was closed.
    pub(crate) fn session_closed(&self) {
        self.0.sessions.dec();
    }

    /// Notes that the token was brought back.
    pub(crate) fn recovered(&self) {
        self.0.recoveries.inc();
    }

    /// Notes that the PIN was offered.
    pub(crate) fn login(&self) {
        self.0.logins.inc();
    }

    /// Notes whether the store can serve.
    pub(crate) fn ready(&self, ready: bool) {
        self.0.ready.set(i64::from(ready));
    }

    /// Returns how often the PIN was offered.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.0.logins.get()
    }

    /// Returns how often the token was brought back.
    #[must_use]
    pub fn recoveries(&self) -> u64 {
        self.0.recoveries.get()
    }
}
