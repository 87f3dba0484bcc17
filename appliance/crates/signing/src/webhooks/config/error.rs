//! Why webhooks cannot be worked with as they are configured.

use mesh::address::InvalidAddressConfig;
use mesh::resolve::InvalidResolverConfig;
use model::InvalidName;
use model::signing::WebhookName;

use crate::outside::UrlProblem;

/// Why a section of webhooks cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHooks {
    /// A key that breaks a rule.
    #[error("`{place}`: `{key}` {rule}")]
    Rule {
        /// The section, below `signing`.
        place: String,
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// A value that does not do.
    #[error("`{place}`: `{key}`: {given:?} {problem}")]
    Value {
        /// The section, below `signing`.
        place: String,
        /// The key.
        key: &'static str,
        /// The value given, cut at 80 characters.
        given: String,
        /// What is wrong with it, as the rest of a sentence.
        problem: &'static str,
    },
    /// A section whose name is none.
    #[error("`{place}`: {source}")]
    Name {
        /// The section, below `signing`.
        place: String,
        /// Why it is none.
        source: InvalidName,
    },
    /// A URL that is never asked for.
    #[error("`{place}`: `{key}`: {given:?}: {source}")]
    Url {
        /// The section, below `signing`.
        place: String,
        /// The key.
        key: &'static str,
        /// The URL given, cut at 80 characters.
        given: String,
        /// What is wrong with it.
        source: UrlProblem,
    },
    /// A webhook that comes in and one that goes out of one name.
    #[error("`notify.{name}`: a webhook of `webhooks` has the name already")]
    SameName {
        /// The name.
        name: WebhookName,
    },
    /// A name under which operators find something else.
    #[error("`webhooks.{name}`: /v1/webhooks/{name} is not a webhook's; choose another name")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The address rules.
    #[error("`fetch.addresses`: {0}")]
    Addresses(#[from] InvalidAddressConfig),
    /// The name servers.
    #[error("`fetch.dns`: {0}")]
    Dns(#[from] InvalidResolverConfig),
}
