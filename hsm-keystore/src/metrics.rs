//! What the stores count and time.

use std::fmt;
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

/// The metrics of one store; clones share their values.
///
/// The composition root makes one, registers it once, and hands it to its store,
/// or [`for_store`](Self::for_store) of it to each of several.
#[derive(Clone)]
pub struct KeyStoreMetrics {
    /// Those of all stores.
    families: Families,
    /// Those of this one.
    own: Arc<Own>,
}

/// The metrics of all stores, by labels.
#[derive(Clone)]
struct Families {
    /// Signatures asked for.
    signatures: Family<SignatureLabels, Counter>,
    /// Seconds a job waited for a lane.
    queue_seconds: Family<PriorityLabels, Histogram, fn() -> Histogram>,
    /// Seconds a job had the token for itself.
    token_seconds: Family<StoreLabels, Histogram, fn() -> Histogram>,
    /// Jobs that wait.
    queue_depth: Family<StoreLabels, Gauge>,
    /// Sessions that are open for signing.
    sessions: Family<StoreLabels, Gauge>,
    /// Times the token was brought back.
    recoveries: Family<StoreLabels, Counter>,
    /// Times the PIN was offered to the token.
    logins: Family<StoreLabels, Counter>,
    /// 1 when the store can serve.
    ready: Family<StoreLabels, Gauge>,
}

/// The metrics of one store, found once.
struct Own {
    /// The store's name.
    store: Arc<str>,
    /// Seconds a job waited for a lane, by priority.
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
    /// The store's name.
    store: Arc<str>,
    /// The key's algorithm.
    algorithm: &'static str,
    /// The job's priority.
    priority: &'static str,
    /// `ok`, or what went wrong.
    outcome: &'static str,
}

/// Labels of a waiting time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PriorityLabels {
    /// The store's name.
    store: Arc<str>,
    /// The job's priority.
    priority: &'static str,
}

/// Labels of what a store has one of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    /// The store's name.
    store: Arc<str>,
}

/// Makes a histogram from 50 µs, a fast software signature, to 47 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.5, 16))
}

impl Default for KeyStoreMetrics {
    fn default() -> Self {
        let families = Families {
            signatures: Family::default(),
            queue_seconds: Family::new_with_constructor(histogram),
            token_seconds: Family::new_with_constructor(histogram),
            queue_depth: Family::default(),
            sessions: Family::default(),
            recoveries: Family::default(),
            logins: Family::default(),
            ready: Family::default(),
        };
        Self {
            own: Arc::new(families.own("default".into())),
            families,
        }
    }
}

impl Families {
    /// Finds what is one store's.
    fn own(&self, store: Arc<str>) -> Own {
        let labels = StoreLabels {
            store: Arc::clone(&store),
        };
        Own {
            queue_seconds: Priority::ALL.map(|priority| {
                self.queue_seconds.get_or_create_owned(&PriorityLabels {
                    store: Arc::clone(&store),
                    priority: priority.as_str(),
                })
            }),
            token_seconds: self.token_seconds.get_or_create_owned(&labels),
            queue_depth: self.queue_depth.get_or_create_owned(&labels),
            sessions: self.sessions.get_or_create_owned(&labels),
            recoveries: self.recoveries.get_or_create_owned(&labels),
            logins: self.logins.get_or_create_owned(&labels),
            ready: self.ready.get_or_create_owned(&labels),
            store,
        }
    }
}

impl KeyStoreMetrics {
    /// Registers every metric under `chancery_keystore_…`, those of every store at once.
    pub fn register(&self, registry: &mut Registry) {
        let families = &self.families;
        let registry = registry.sub_registry_with_prefix("chancery_keystore");
        registry.register(
            "signatures",
            "Signatures asked for, by algorithm, priority and outcome",
            families.signatures.clone(),
        );
        registry.register(
            "queue_seconds",
            "Time a signature waited for the token",
            families.queue_seconds.clone(),
        );
        registry.register(
            "token_seconds",
            "Time the token took for a signature",
            families.token_seconds.clone(),
        );
        registry.register(
            "queue_depth",
            "Signatures that wait for the token",
            families.queue_depth.clone(),
        );
        registry.register(
            "sessions",
            "Sessions open for signing",
            families.sessions.clone(),
        );
        registry.register(
            "recoveries",
            "Times the token was brought back after a failure",
            families.recoveries.clone(),
        );
        registry.register(
            "logins",
            "Times the PIN was offered to the token",
            families.logins.clone(),
        );
        registry.register(
            "ready",
            "1 when the store can serve, 0 when not",
            families.ready.clone(),
        );
    }

    /// Returns those of another store, which appear beside these.
    #[must_use]
    pub fn for_store(&self, name: &str) -> Self {
        Self {
            families: self.families.clone(),
            own: Arc::new(self.families.own(name.into())),
        }
    }

    /// Counts how a signature ended.
    pub(crate) fn count<T>(
        &self,
        job: &SignJob,
        algorithm: KeyAlgorithm,
        outcome: &Result<T, Error>,
    ) {
        let labels = SignatureLabels {
            store: Arc::clone(&self.own.store),
            algorithm: algorithm.as_str(),
            priority: job.priority().as_str(),
            outcome: outcome.as_ref().map_or_else(Error::kind, |_| "ok"),
        };
        self.families.signatures.get_or_create(&labels).inc();
    }

    /// Notes how long a job waited.
    pub(crate) fn waited(&self, priority: Priority, time: Duration) {
        if let Some(histogram) = self.own.queue_seconds.get(priority.place()) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// Notes how long the token took.
    pub(crate) fn worked(&self, time: Duration) {
        self.own.token_seconds.observe(time.as_secs_f64());
    }

    /// Notes how many jobs wait.
    pub(crate) fn depth(&self, waiting: usize) {
        self.own
            .queue_depth
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Notes that a session for signing was opened.
    pub(crate) fn session_opened(&self) {
        self.own.sessions.inc();
    }

    /// Notes that a session for signing was closed.
    pub(crate) fn session_closed(&self) {
        self.own.sessions.dec();
    }

    /// Notes that the token was brought back.
    pub(crate) fn recovered(&self) {
        self.own.recoveries.inc();
    }

    /// Notes that the PIN was offered.
    pub(crate) fn login(&self) {
        self.own.logins.inc();
    }

    /// Notes whether the store can serve.
    pub(crate) fn ready(&self, ready: bool) {
        self.own.ready.set(i64::from(ready));
    }

    /// Returns how often the PIN was offered.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.own.logins.get()
    }

    /// Returns how often the token was brought back.
    #[must_use]
    pub fn recoveries(&self) -> u64 {
        self.own.recoveries.get()
    }
}

impl fmt::Debug for KeyStoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStoreMetrics({})", self.own.store)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn two_stores_appear_under_one_description() {
        let metrics = KeyStoreMetrics::default();
        let root = metrics.for_store("root");
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.ready(true);
        root.ready(false);
        root.waited(Priority::Bulk, Duration::from_millis(1));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("chancery_keystore_ready{store=\"default\"} 1"),
            "{text}"
        );
        assert!(text.contains("chancery_keystore_ready{store=\"root\"} 0"));
        assert_eq!(
            text.matches("# HELP chancery_keystore_queue_seconds ")
                .count(),
            1
        );
        assert!(text.contains("queue_seconds_count{store=\"root\",priority=\"bulk\"} 1"));
    }
}
