//! What the CA counts and times.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::{IssuerId, ProfileName};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::crl::CrlKind;

/// What is counted about an issued CRL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrlFigures {
    /// Its entries.
    pub(crate) entries: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

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
    /// CRLs issued.
    crl_issued: Family<CrlLabels, Counter>,
    /// CRLs that were not issued, by reason.
    crl_failed: Family<ReasonLabels, Counter>,
    /// Time to issue a CRL.
    crl_duration: Histogram,
    /// Entries of each CRL.
    crl_entries: Family<CrlLabels, Gauge>,
    /// Revocations, by reason.
    revoked: Family<ReasonLabels, Counter>,
    /// Revocations that were refused, by reason.
    revocation_refused: Family<ReasonLabels, Counter>,
    /// Seconds until the first published thing expires.
    runway: Gauge<f64, AtomicU64>,
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

/// Labels a value by CRL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CrlLabels {
    /// The authority.
    issuer: String,
    /// Which of its CRLs; shards together.
    kind: &'static str,
}

/// Returns the label of a kind of CRL.
const fn kind_label(kind: CrlKind) -> &'static str {
    match kind {
        CrlKind::Whole => "full",
        CrlKind::Shard(_) => "shard",
        CrlKind::Delta => "delta",
    }
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
            crl_issued: Family::default(),
            crl_failed: Family::default(),
            // 1 ms to about 16 s.
            crl_duration: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            crl_entries: Family::default(),
            revoked: Family::default(),
            revocation_refused: Family::default(),
            runway: Gauge::default(),
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
        ca.register(
            "revoked",
            "Certificates revoked, put on hold or released, by reason",
            self.revoked.clone(),
        );
        ca.register(
            "revocation_refused",
            "Revocations refused, by reason",
            self.revocation_refused.clone(),
        );
        ca.register(
            "crl_issued",
            "CRLs issued, by authority and kind",
            self.crl_issued.clone(),
        );
        ca.register(
            "crl_failed",
            "CRLs that were not issued, by reason",
            self.crl_failed.clone(),
        );
        ca.register(
            "crl_entries",
            "Entries of the CRL last issued, by authority and kind",
            self.crl_entries.clone(),
        );
        ca.register_with_unit(
            "crl_duration",
            "Time to issue a CRL",
            Unit::Seconds,
            self.crl_duration.clone(),
        );
        ca.register_with_unit(
            "runway",
            "Time until the first CRL or OCSP answer that is published expires, if the token \
             were lost now",
            Unit::Seconds,
            self.runway.clone(),
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

    /// Counts a CRL.
    pub(crate) fn crl_issued(&self, issuer: &IssuerId, kind: CrlKind, crl: CrlFigures) {
        let labels = CrlLabels {
            issuer: issuer.to_string(),
            kind: kind_label(kind),
        };
        self.crl_issued.get_or_create(&labels).inc();
        let entries = i64::try_from(crl.entries).unwrap_or(i64::MAX);
        self.crl_entries.get_or_create(&labels).set(entries);
        self.crl_duration.observe(crl.took.as_secs_f64());
    }

    /// Counts a CRL that was not issued.
    pub(crate) fn crl_failed(&self, reason: &'static str) {
        self.crl_failed
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// Counts a revocation.
    pub(crate) fn revoked(&self, reason: &'static str) {
        self.revoked.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a revocation that was refused.
    pub(crate) fn revocation_refused(&self, reason: &'static str) {
        self.revocation_refused
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// Tells how long what is published counts.
    pub(crate) fn runway(&self, left: Duration) {
        self.runway.set(left.as_secs_f64());
    }

    /// Times a step.
    pub(crate) fn step(&self, step: Step, elapsed: Duration) {
        if let Some(histogram) = self.steps.get(step.place()) {
            histogram.observe(elapsed.as_secs_f64());
        }
    }
}
