//! What the OCSP responder counts and times.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The OCSP responder's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct OcspMetrics {
    /// Queries, by what was answered and where the answer came from.
    query_family: Family<QueryLabels, Counter>,
    /// The members of that family, found once; none where the two do not go together.
    queries: [[Option<Counter>; Source::ALL.len()]; Said::ALL.len()],
    /// Signatures, by purpose and outcome.
    signatures: Family<SignatureLabels, Counter>,
    /// Seconds until an answer was signed, by purpose.
    sign_seconds: Family<PurposeLabels, Histogram, fn() -> Histogram>,
    /// Seconds from a revocation to its new answers.
    pub(crate) replace_seconds: Histogram,
    /// Signatures for queries under way.
    pub(crate) in_flight: Gauge,
    /// Certificates in memory.
    pub(crate) certificates: Gauge,
    /// Answers that can be given out without the token.
    pub(crate) ready: Gauge,
    /// Answers that should be ready and are not, or that are due to be made anew.
    pub(crate) due: Gauge,
    /// Octets that all of this takes.
    pub(crate) bytes: Gauge,
    /// Seconds since the oldest ready answer was made.
    pub(crate) oldest_seconds: Gauge,
    /// When the first ready answer expires, in seconds since 1970.
    pub(crate) next_expiry: Gauge,
    /// When the responder's certificate expires, in seconds since 1970.
    pub(crate) certificate_expiry: Gauge,
    /// Certificates that one signature covers among those made ahead.
    pub(crate) batch: Gauge,
    /// Snapshots written, by outcome.
    snapshots: Family<OutcomeLabels, Counter>,
}

/// What a response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// One certificate, good.
    Good,
    /// One certificate, revoked.
    Revoked,
    /// One certificate, unknown.
    Unknown,
    /// Several certificates at once.
    Several,
    /// `malformedRequest`.
    Malformed,
    /// `unauthorized`.
    Unauthorized,
    /// `tryLater`.
    TryLater,
    /// `internalError`.
    Failed,
}

impl Said {
    /// Every one, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Good,
        Self::Revoked,
        Self::Unknown,
        Self::Several,
        Self::Malformed,
        Self::Unauthorized,
        Self::TryLater,
        Self::Failed,
    ];

    /// Tells whether it is signed; errors are not (RFC 6960, 2.3).
    pub(crate) const fn is_signed(self) -> bool {
        match self {
            Self::Good | Self::Revoked | Self::Unknown | Self::Several => true,
            Self::Malformed | Self::Unauthorized | Self::TryLater | Self::Failed => false,
        }
    }

    /// Returns the label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Several => "several",
            Self::Malformed => "malformed_request",
            Self::Unauthorized => "unauthorized",
            Self::TryLater => "try_later",
            Self::Failed => "internal_error",
        }
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was ready.
    Ready,
    /// It was ready, among others under one signature.
    Batched,
    /// It was signed for this query, or for others that wanted the same.
    Signed,
    /// It needs no signature.
    Unsigned,
}

impl Source {
    /// Every one, in order.
    const ALL: [Self; 4] = [Self::Ready, Self::Batched, Self::Signed, Self::Unsigned];

    /// Returns the label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Batched => "batched",
            Self::Signed => "signed",
            Self::Unsigned => "unsigned",
        }
    }
}

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A query waits for it.
    Query,
    /// A certificate's status has changed.
    Replace,
    /// Answers made ahead.
    Ahead,
}

impl Purpose {
    /// Returns the label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Replace => "replace",
            Self::Ahead => "ahead",
        }
    }
}

/// Labels of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    /// What was answered.
    status: &'static str,
    /// Where the answer came from.
    source: &'static str,
}

/// Labels of a signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignatureLabels {
    /// What it was for.
    purpose: &'static str,
    /// `ok` or `failed`.
    outcome: &'static str,
}

/// Labels of a signing time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PurposeLabels {
    /// What the signature was for.
    purpose: &'static str,
}

/// Labels of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    /// `ok` or `failed`.
    outcome: &'static str,
}

/// Makes a histogram from 50 µs to about 50 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 4.0, 11))
}

/// Names an outcome.
const fn outcome(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "failed" }
}

impl Default for OcspMetrics {
    fn default() -> Self {
        let query_family = Family::<QueryLabels, Counter>::default();
        let queries = Said::ALL.map(|said| {
            Source::ALL.map(|source| {
                let labels = QueryLabels {
                    status: said.as_str(),
                    source: source.as_str(),
                };
                let is_signed = source != Source::Unsigned;
                (said.is_signed() == is_signed).then(|| query_family.get_or_create_owned(&labels))
            })
        });
        Self {
            query_family,
            queries,
            signatures: Family::default(),
            sign_seconds: Family::new_with_constructor(histogram),
            replace_seconds: histogram(),
            in_flight: Gauge::default(),
            certificates: Gauge::default(),
            ready: Gauge::default(),
            due: Gauge::default(),
            bytes: Gauge::default(),
            oldest_seconds: Gauge::default(),
            next_expiry: Gauge::default(),
            certificate_expiry: Gauge::default(),
            batch: Gauge::default(),
            snapshots: Family::default(),
        }
    }
}

impl OcspMetrics {
    /// Names the metrics in a registry: `chancery_ocsp_…`.
    pub fn register(&self, registry: &mut Registry) {
        let ocsp = registry.sub_registry_with_prefix("chancery_ocsp");
        ocsp.register(
            "queries",
            "OCSP queries, by what was answered and where the answer came from",
            self.query_family.clone(),
        );
        ocsp.register(
            "signatures",
            "Signatures over OCSP responses, by purpose and outcome",
            self.signatures.clone(),
        );
        ocsp.register_with_unit(
            "sign_duration",
            "Time until an OCSP response was signed, the token's queue included",
            Unit::Seconds,
            self.sign_seconds.clone(),
        );
        ocsp.register_with_unit(
            "replace_duration",
            "Time from a change of status to the new answers",
            Unit::Seconds,
            self.replace_seconds.clone(),
        );
        let gauges = [
            (
                "signing",
                "Signatures for queries under way",
                &self.in_flight,
            ),
            (
                "certificates",
                "Certificates in the responder's memory",
                &self.certificates,
            ),
            (
                "ready",
                "Answers that can be given out without the token",
                &self.ready,
            ),
            (
                "due",
                "Answers that are to be made, or made anew",
                &self.due,
            ),
            (
                "memory_bytes",
                "Octets that certificates and ready answers take",
                &self.bytes,
            ),
            (
                "oldest_ready_seconds",
                "Seconds since the oldest ready answer was made",
                &self.oldest_seconds,
            ),
            (
                "next_expiry_timestamp_seconds",
                "When the first ready answer expires; 0 when none is ready",
                &self.next_expiry,
            ),
            (
                "certificate_expiry_timestamp_seconds",
                "When the responder's certificate expires; 0 when there is none",
                &self.certificate_expiry,
            ),
            (
                "batch_size",
                "Certificates that one signature covers among answers made ahead",
                &self.batch,
            ),
        ];
        for (name, help, gauge) in gauges {
            ocsp.register(name, help, gauge.clone());
        }
        ocsp.register(
            "snapshots",
            "Snapshots of the ready answers written to disk, by outcome",
            self.snapshots.clone(),
        );
    }

    /// Counts a query.
    pub(crate) fn answered(&self, said: Said, source: Source) {
        let counter = self
            .queries
            .get(said as usize)
            .and_then(|sources| sources.get(source as usize));
        if let Some(Some(counter)) = counter {
            counter.inc();
        }
    }

    /// Counts and times a signature.
    pub(crate) fn signed(&self, purpose: Purpose, took: Duration, is_ok: bool) {
        let labels = SignatureLabels {
            purpose: purpose.as_str(),
            outcome: outcome(is_ok),
        };
        self.signatures.get_or_create(&labels).inc();
        let labels = PurposeLabels {
            purpose: purpose.as_str(),
        };
        self.sign_seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a snapshot.
    pub(crate) fn snapshot(&self, is_ok: bool) {
        let labels = OutcomeLabels {
            outcome: outcome(is_ok),
        };
        self.snapshots.get_or_create(&labels).inc();
    }
}
