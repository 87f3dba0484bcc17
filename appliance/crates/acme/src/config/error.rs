//! Why `[acme]` cannot be worked with.

use mesh::bounds::OutOfBounds;
use mesh::member::InvalidMember;
use mesh::revocation::InvalidRevocationConfig;
use model::ProfileName;

use crate::caa::InvalidCaaConfig;
use crate::policy::{InvalidPolicyConfig, InvalidRateLimits};
use crate::urls::InvalidExternalUrl;
use crate::validate::InvalidValidationConfig;

/// Why `[acme]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A listener's limits.
    #[error("`{listener}.limits`: {source}")]
    Limits {
        /// `open` or `mesh`.
        listener: &'static str,
        /// Which and why.
        source: mesh::InvalidLimits,
    },
    /// An external URL that is none.
    #[error("`{listener}.external_url`: {source}")]
    ExternalUrl {
        /// `open` or `mesh`.
        listener: &'static str,
        /// Why.
        source: InvalidExternalUrl,
    },
    /// How revocations are followed.
    #[error("`revocation`: {0}")]
    Revocation(#[from] InvalidRevocationConfig),
    /// Who the service is.
    #[error(transparent)]
    Service(#[from] InvalidMember),
    /// No listener at all.
    #[error("both `open` and `mesh` are switched off: nobody could reach the service")]
    NoListener,
    /// A number or time outside what can work.
    #[error(transparent)]
    Bound(#[from] OutOfBounds),
    /// A URL that is none.
    #[error("`{key}`: {given:?} is no http or https URL")]
    Url {
        /// The key.
        key: &'static str,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A default profile that is not offered.
    #[error("`default_profile`: {profile} is none of `profiles`")]
    DefaultProfile {
        /// Its name.
        profile: ProfileName,
    },
    /// Validation.
    #[error("`validation`: {0}")]
    Validation(#[from] InvalidValidationConfig),
    /// CAA.
    #[error("`caa`: {0}")]
    Caa(#[from] InvalidCaaConfig),
    /// Policy.
    #[error("`policy`: {0}")]
    Policy(#[from] InvalidPolicyConfig),
    /// Rate limits.
    #[error("`rate_limits`: {0}")]
    RateLimits(#[from] InvalidRateLimits),
}
