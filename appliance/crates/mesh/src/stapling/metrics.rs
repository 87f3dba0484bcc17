//! What is counted about stapling.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::staple::{Standing, Staple};

/// The metrics of every stapled server; clones share their values.
#[derive(Debug, Clone, Default)]
pub struct StaplingMetrics {
    /// Whether a response is stapled.
    stapled: Family<ServiceLabels, Gauge>,
    /// Whether our own certificate was revoked.
    revoked: Family<ServiceLabels, Gauge>,
    /// When the stapled response was made.
    this_update: Family<ServiceLabels, Gauge>,
    /// Until when it may be shown.
    next_update: Family<ServiceLabels, Gauge>,
    /// Questions to the responder.
    queries: Family<QueryLabels, Counter>,
}

/// Labels of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    /// The service.
    service: &'static str,
}

/// Labels of questions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    /// The service.
    service: &'static str,
    /// What came of it.
    outcome: &'static str,
}

impl StaplingMetrics {
    /// Names the metrics in a registry: `chancery_staple_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "chancery_staple_present",
            "Whether a server staples an OCSP response (1) or not (0)",
            self.stapled.clone(),
        );
        registry.register(
            "chancery_staple_revoked",
            "Whether the server's own certificate was revoked (1) or not (0)",
            self.revoked.clone(),
        );
        registry.register_with_unit(
            "chancery_staple_this_update_timestamp",
            "When the stapled response was current, seconds since 1970",
            Unit::Seconds,
            self.this_update.clone(),
        );
        registry.register_with_unit(
            "chancery_staple_next_update_timestamp",
            "Until when the stapled response may be shown, seconds since 1970",
            Unit::Seconds,
            self.next_update.clone(),
        );
        registry.register(
            "chancery_staple_queries",
            "Questions to the OCSP responder about our own certificate, by outcome",
            self.queries.clone(),
        );
    }

    /// Tells what is stapled now, if anything.
    pub(crate) fn stapled(&self, service: &'static str, staple: Option<&Staple>) {
        let labels = ServiceLabels { service };
        let set = |family: &Family<ServiceLabels, Gauge>, value| {
            family.get_or_create(&labels).set(value);
        };
        set(&self.stapled, i64::from(staple.is_some()));
        if let Some(staple) = staple {
            set(&self.this_update, staple.this_update.as_second());
            set(&self.next_update, staple.next_update.as_second());
            let revoked = staple.standing != Standing::Good;
            set(&self.revoked, i64::from(revoked));
        }
    }

    /// Counts a question.
    pub(crate) fn asked(&self, service: &'static str, outcome: &'static str) {
        let labels = QueryLabels { service, outcome };
        self.queries.get_or_create(&labels).inc();
    }
}
