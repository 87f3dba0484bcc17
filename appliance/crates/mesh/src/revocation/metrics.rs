//! What is counted about clients' revocation.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::held::Held;
use crate::tls::Refusal;

/// The metrics of every service that follows a CRL; clones share their values.
#[derive(Debug, Clone, Default)]
pub struct RevocationMetrics {
    /// Numbers of the CRLs that are held.
    number: Family<CrlLabels, Gauge>,
    /// Entries of the CRLs that are held.
    entries: Family<CrlLabels, Gauge>,
    /// When they were issued.
    this_update: Family<CrlLabels, Gauge>,
    /// Until when they are fresh.
    next_update: Family<CrlLabels, Gauge>,
    /// Questions to the CA.
    fetches: Family<FetchLabels, Counter>,
    /// Clients that were refused.
    refused: Family<RefusalLabels, Counter>,
    /// Clients that were admitted although no fresh CRL was there.
    unchecked: Family<ServiceLabels, Counter>,
}

/// Labels of one CRL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CrlLabels {
    /// The service that follows it.
    pub(crate) service: &'static str,
    /// The authority.
    pub(crate) issuer: String,
    /// The shard; empty for the full CRL.
    pub(crate) shard: String,
}

/// Labels of questions to the CA.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    /// The service that asks.
    service: &'static str,
    /// What came of it.
    outcome: &'static str,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchOutcome {
    /// A newer CRL.
    Newer,
    /// The CRL that was held.
    Unchanged,
    /// A CRL that cannot be taken.
    Rejected,
    /// No CRL.
    Failed,
}

impl FetchOutcome {
    /// Names it in metrics.
    const fn label(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// Labels of refused clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    /// The service.
    service: &'static str,
    /// Why.
    reason: &'static str,
}

/// Labels of what a service has once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    /// The service.
    service: &'static str,
}

impl RevocationMetrics {
    /// Names the metrics in a registry: `chancery_client_crl_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "chancery_client_crl_number",
            "Number of the CRL by which a service checks its clients",
            self.number.clone(),
        );
        registry.register(
            "chancery_client_crl_entries",
            "Certificates that this CRL names, its delta included",
            self.entries.clone(),
        );
        registry.register_with_unit(
            "chancery_client_crl_this_update_timestamp",
            "When this CRL was issued, seconds since 1970; its age is the time minus this",
            Unit::Seconds,
            self.this_update.clone(),
        );
        registry.register_with_unit(
            "chancery_client_crl_next_update_timestamp",
            "Until when this CRL is fresh, seconds since 1970",
            Unit::Seconds,
            self.next_update.clone(),
        );
        registry.register(
            "chancery_client_crl_fetches",
            "Questions to the CA for a newer CRL, by outcome",
            self.fetches.clone(),
        );
        registry.register(
            "chancery_client_revocation_refusals",
            "Handshakes and requests of clients that were refused, by reason",
            self.refused.clone(),
        );
        registry.register(
            "chancery_client_revocation_unchecked",
            "Handshakes and requests that were admitted while no fresh CRL was there",
            self.unchecked.clone(),
        );
    }

    /// Tells what is held now.
    pub(crate) fn held(&self, labels: &CrlLabels, held: &Held) {
        let newest = held.newest();
        // Numbers past 63 bits are shown as the largest that can be.
        let number = newest.number.to_u64().and_then(|n| i64::try_from(n).ok());
        let set = |family: &Family<CrlLabels, Gauge>, value| {
            family.get_or_create(labels).set(value);
        };
        set(&self.number, number.unwrap_or(i64::MAX));
        set(&self.entries, held.entries() as i64);
        set(&self.this_update, newest.this_update.as_second());
        set(&self.next_update, held.fresh_until().as_second());
    }

    /// Counts a question.
    pub(crate) fn fetched(&self, service: &'static str, outcome: FetchOutcome) {
        let labels = FetchLabels {
            service,
            outcome: outcome.label(),
        };
        self.fetches.get_or_create(&labels).inc();
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, service: &'static str, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Revoked => "revoked",
            Refusal::Unknown => "unknown",
            Refusal::Expired => "expired",
        };
        let labels = RefusalLabels { service, reason };
        self.refused.get_or_create(&labels).inc();
    }

    /// Counts an admission without a fresh CRL.
    pub(crate) fn unchecked(&self, service: &'static str) {
        self.unchecked
            .get_or_create(&ServiceLabels { service })
            .inc();
    }
}
