//! What the ACME service counts.

use model::acme::OrderState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::nonce::NonceRefused;
use crate::problem::ErrorType;

/// The service's metrics; clones share their values.
///
/// Validation and issuance count for themselves, in `validate` and `finalize`.
#[derive(Debug, Clone, Default)]
pub struct AcmeMetrics {
    /// Accounts made.
    pub(crate) accounts: Counter,
    /// Orders made, by profile.
    orders: Family<ProfileLabels, Counter>,
    /// Orders that clients finalized, by the state they were answered in.
    finalized: Family<StateLabels, Counter>,
    /// Challenges that clients responded to, by kind.
    responses: Family<KindLabels, Counter>,
    /// Nonces given.
    pub(crate) nonces_issued: Counter,
    /// Nonces that came back, by outcome.
    nonces_redeemed: Family<OutcomeLabels, Counter>,
    /// Errors told, by type.
    errors: Family<ErrorLabels, Counter>,
    /// Certificates revoked at a client's word.
    pub(crate) revoked: Counter,
}

/// Labels a count by profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileLabels {
    /// The profile.
    profile: String,
}

/// Labels a count by an order's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    /// The state.
    state: &'static str,
}

/// Labels a count by the kind of challenge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// The kind.
    kind: &'static str,
}

/// Labels a count by outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    /// `good`, or why not.
    outcome: &'static str,
}

/// Labels a count by error type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    /// The type, without its prefix.
    kind: &'static str,
}

impl AcmeMetrics {
    /// Names the metrics in a registry: `chancery_acme_…`.
    pub fn register(&self, registry: &mut Registry) {
        let acme = registry.sub_registry_with_prefix("chancery_acme");
        acme.register("accounts", "Accounts made", self.accounts.clone());
        acme.register("orders", "Orders made, by profile", self.orders.clone());
        acme.register(
            "finalized",
            "Orders that clients finalized, by the state they were answered in",
            self.finalized.clone(),
        );
        acme.register(
            "challenge_responses",
            "Challenges that clients responded to, by kind",
            self.responses.clone(),
        );
        acme.register("nonces_issued", "Nonces given", self.nonces_issued.clone());
        acme.register(
            "nonces_redeemed",
            "Nonces that came back, by outcome",
            self.nonces_redeemed.clone(),
        );
        acme.register("errors", "Errors told, by type", self.errors.clone());
        acme.register(
            "revoked",
            "Certificates revoked at a client's word",
            self.revoked.clone(),
        );
    }

    /// Counts an order.
    pub(crate) fn order(&self, profile: &str) {
        let labels = ProfileLabels {
            profile: profile.to_owned(),
        };
        self.orders.get_or_create(&labels).inc();
    }

    /// Counts a finalization.
    pub(crate) fn finalized(&self, state: &OrderState) {
        let labels = StateLabels {
            state: state.as_str(),
        };
        self.finalized.get_or_create(&labels).inc();
    }

    /// Counts a response to a challenge.
    pub(crate) fn response(&self, kind: &'static str) {
        self.responses.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts a nonce that came back.
    pub(crate) fn nonce(&self, outcome: Result<(), NonceRefused>) {
        let outcome = match outcome {
            Ok(()) => "good",
            Err(NonceRefused::Unknown) => "unknown",
            Err(NonceRefused::Expired) => "expired",
            Err(NonceRefused::Used) => "used",
        };
        self.nonces_redeemed
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts an error.
    pub(crate) fn error(&self, kind: ErrorType) {
        let labels = ErrorLabels {
            kind: kind.as_str(),
        };
        self.errors.get_or_create(&labels).inc();
    }
}
