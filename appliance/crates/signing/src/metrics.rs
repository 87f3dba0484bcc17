//! What the signing service counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::policy::Rule;

/// The service's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct SigningMetrics {
    /// Requests for signatures, by profile and outcome.
    signatures: Family<OutcomeLabels, Counter>,
    /// Refusals, by rule.
    refusals: Family<RuleLabels, Counter>,
    /// Time-stamps made on request, by outcome.
    timestamps: Family<StampLabels, Counter>,
    /// Signatures withdrawn.
    pub(crate) withdrawn: Counter,
    /// Verifications, by outcome.
    verifications: Family<VerifiedLabels, Counter>,
    /// Octets of artifacts that were uploaded.
    pub(crate) uploaded: Counter,
    /// Octets of evidence in memory.
    pub(crate) evidence_memory: Gauge,
    /// Signatures that are begun and not ended.
    pub(crate) open: Gauge,
    /// Signatures that the last start settled as interrupted.
    pub(crate) settled: Gauge,
    /// Seconds from admission to the record.
    pub(crate) duration: Histogram,
    /// Signatures that the token made for artifacts, time-stamps included.
    pub(crate) token_signatures: Counter<u64, AtomicU64>,
}

impl Default for SigningMetrics {
    fn default() -> Self {
        Self {
            signatures: Family::default(),
            refusals: Family::default(),
            timestamps: Family::default(),
            withdrawn: Counter::default(),
            verifications: Family::default(),
            uploaded: Counter::default(),
            evidence_memory: Gauge::default(),
            open: Gauge::default(),
            settled: Gauge::default(),
            // 1 ms to half a minute.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            token_signatures: Counter::default(),
        }
    }
}

/// Labels a count by profile and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    /// The profile.
    profile: String,
    /// `signed`, `repeated`, `dry_run`, or the problem's name.
    outcome: &'static str,
}

/// Labels a count by rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    /// The rule.
    rule: &'static str,
}

/// Labels a count by what a time-stamp client was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StampLabels {
    /// `granted`, or the failure's name.
    outcome: &'static str,
}

/// Labels a count by what was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerifiedLabels {
    /// `verified` or `refused`.
    outcome: &'static str,
}

impl SigningMetrics {
    /// Names the metrics in a registry: `chancery_signing_…`.
    pub fn register(&self, registry: &mut Registry) {
        let signing = registry.sub_registry_with_prefix("chancery_signing");
        signing.register(
            "requests",
            "Requests for signatures, by profile and outcome",
            self.signatures.clone(),
        );
        signing.register("refusals", "Refusals, by rule", self.refusals.clone());
        signing.register(
            "timestamps",
            "Time-stamps asked for, by outcome",
            self.timestamps.clone(),
        );
        signing.register("withdrawn", "Signatures withdrawn", self.withdrawn.clone());
        signing.register(
            "verifications",
            "Verifications, by outcome",
            self.verifications.clone(),
        );
        signing.register(
            "uploaded_bytes",
            "Octets of artifacts that were uploaded",
            self.uploaded.clone(),
        );
        signing.register(
            "evidence_memory_bytes",
            "Octets of bills of materials and provenance in memory",
            self.evidence_memory.clone(),
        );
        signing.register(
            "open_signatures",
            "Signatures that are begun and not ended",
            self.open.clone(),
        );
        signing.register(
            "settled_signatures",
            "Signatures that the last start settled as interrupted",
            self.settled.clone(),
        );
        signing.register(
            "duration_seconds",
            "Seconds from a request's admission to its record",
            self.duration.clone(),
        );
        signing.register(
            "token_signatures",
            "Signatures that the token made for artifacts, time-stamps included",
            self.token_signatures.clone(),
        );
    }

    /// Counts a request.
    pub(crate) fn request(&self, profile: &str, outcome: &'static str) {
        let labels = OutcomeLabels {
            profile: profile.to_owned(),
            outcome,
        };
        self.signatures.get_or_create(&labels).inc();
    }

    /// Counts a refusal.
    pub(crate) fn refusal(&self, rule: Rule) {
        let rule = rule.as_str();
        self.refusals.get_or_create(&RuleLabels { rule }).inc();
    }

    /// Counts what a time-stamp client was answered.
    pub(crate) fn timestamp(&self, outcome: &'static str) {
        self.timestamps
            .get_or_create(&StampLabels { outcome })
            .inc();
    }

    /// Counts a verification.
    pub(crate) fn verification(&self, verified: bool) {
        let outcome = if verified { "verified" } else { "refused" };
        self.verifications
            .get_or_create(&VerifiedLabels { outcome })
            .inc();
    }
}
