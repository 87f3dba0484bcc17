//! What the CA counts and times.

use std::time::Duration;

use model::ProfileName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The CA's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct CaMetrics {
    /// Certificates issued.
    issued: Family<ProfileLabels, Counter>,
    /// Requests answered from the store.
    pub(crate) replayed: Counter,
    /// Requests refused.
    refused: Family<ReasonLabels, Counter>,
    /// Issuances going on.
    pub(crate) in_flight: Gauge,
    /// Intents of which nothing came.
    abandoned: Family<ReasonLabels, Counter>,
    /// Intents that start-up settled.
    pub(crate) settled: Counter,
    /// Seconds of one step, by step.
    step_family: Family<StepLabels, Histogram>,
    /// The members of that family, found once.
    steps: [Histogram; Step::ALL.len()],
}

/// A step of an issuance that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The request is read and its proof of possession checked.
    Check,
    /// The certificate is planned, encoded and linted.
    Plan,
    /// The intent is brought to disk.
    Intent,
    /// The token signs, its queue included.
    Sign,
    /// The certificate is brought to disk.
    Record,
}

impl Step {
    /// Every step, in order.
    const ALL: [Self; 5] = [
        Self::Check,
        Self::Plan,
        Self::Intent,
        Self::Sign,
        Self::Record,
    ];

    /// Returns the label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Intent => "intent",
            Self::Sign => "sign",
            Self::Record => "record",
        }
    }

    /// Returns its place among all.
    const fn place(self) -> usize {
        self as usize
    }
}

/// Labels a count by profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileLabels {
    /// The profile.
    profile: String,
}

/// Labels a count by reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    /// Why.
    reason: &'static str,
}

/// Labels a histogram by step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    /// The step.
    step: &'static str,
}

impl Default for CaMetrics {
    fn default() -> Self {
        // 10 µs to about 10 s.
        let step_family = Family::<StepLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_01, 4.0, 11))
        });
        Self {
            issued: Family::default(),
            replayed: Counter::default(),
            refused: Family::default(),
            in_flight: Gauge::default(),
            abandoned: Family::default(),
            settled: Counter::default(),
            steps: Step::ALL.map(|step| {
                step_family.get_or_create_owned(&StepLabels {
                    step: step.as_str(),
                })
            }),
            step_family,
        }
    }
}

impl CaMetrics {
    /// Names the metrics in a registry: `chancery_ca_…`.
    pub fn register(&self, registry: &mut Registry) {
        let ca = registry.sub_registry_with_prefix("chancery_ca");
        ca.register(
            "issued",
            "Certificates issued, by profile",
            self.issued.clone(),
        );
        ca.register(
            "replayed",
            "Repeated requests answered with the certificate of the first",
            self.replayed.clone(),
        );
        ca.register(
            "refused",
            "Requests refused, by reason",
            self.refused.clone(),
        );
        ca.register(
            "in_flight",
            "Certificates being issued",
            self.in_flight.clone(),
        );
        ca.register(
            "abandoned",
            "Intents of which nothing came, by reason",
            self.abandoned.clone(),
        );
        ca.register(
            "settled",
            "Interrupted intents that start-up settled",
            self.settled.clone(),
        );
        ca.register_with_unit(
            "step_duration",
            "Time of one step of an issuance",
            Unit::Seconds,
            self.step_family.clone(),
        );
    }

    /// Counts a certificate.
    pub(crate) fn issued(&self, profile: &ProfileName) {
        let labels = ProfileLabels {
            profile: profile.to_string(),
        };
        self.issued.get_or_create(&labels).inc();
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts an intent of which nothing came.
    pub(crate) fn abandoned(&self, reason: &'static str) {
        self.abandoned.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Times a step.
    pub(crate) fn step(&self, step: Step, elapsed: Duration) {
        if let Some(histogram) = self.steps.get(step.place()) {
            histogram.observe(elapsed.as_secs_f64());
        }
    }
}
