//! What enrolment by tokens counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The metrics of enrolment by tokens; clones share their values.
#[derive(Debug, Clone, Default)]
pub struct OidcMetrics {
    /// Certificates handed out.
    issued: Family<IssuerLabels, Counter>,
    /// Requests refused.
    refused: Family<ReasonLabels, Counter>,
    /// Fetches of issuers' keys.
    fetched: Family<FetchLabels, Counter>,
}

/// Labels by issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    /// The issuer's name in the configuration.
    issuer: String,
}

/// Labels by reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    /// The check that failed, or the problem's slug.
    reason: &'static str,
}

/// Labels by issuer and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    /// The issuer's name in the configuration.
    issuer: String,
    /// `ok` or `failed`.
    outcome: &'static str,
}

impl OidcMetrics {
    /// Names the metrics in a registry: `chancery_signing_oidc_…`.
    pub fn register(&self, registry: &mut Registry) {
        let oidc = registry.sub_registry_with_prefix("chancery_signing_oidc");
        oidc.register(
            "certificates",
            "Certificates handed out for a forge's token, by issuer",
            self.issued.clone(),
        );
        oidc.register(
            "refused",
            "Requests with a forge's token that were refused, by the check that failed",
            self.refused.clone(),
        );
        oidc.register(
            "keys_fetched",
            "Fetches of an issuer's keys, by issuer and outcome",
            self.fetched.clone(),
        );
    }

    /// Counts a certificate.
    pub(crate) fn issued(&self, issuer: &str) {
        let issuer = issuer.to_owned();
        self.issued.get_or_create(&IssuerLabels { issuer }).inc();
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a fetch.
    pub(crate) fn fetched(&self, issuer: &str, worked: bool) {
        let labels = FetchLabels {
            issuer: issuer.to_owned(),
            outcome: if worked { "ok" } else { "failed" },
        };
        self.fetched.get_or_create(&labels).inc();
    }
}
