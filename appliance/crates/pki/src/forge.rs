//! What a forge said of one of its builds: Fulcio's certificate extensions
//! (`1.3.6.1.4.1.57264.1.8` to `.22`, as Fulcio's `oid-info` has them).
//!
//! They stand in short-lived certificates alone, issued after the forge's token was
//! verified, with values from its claims: see [`ProfileKind::carries_forge_claims`].
//!
//! [`ProfileKind::carries_forge_claims`]: crate::profile::ProfileKind::carries_forge_claims

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::names::UriName;
use crate::oid;

/// Defines the claims: name, object identifier, and whether the value is a URI.
macro_rules! claims {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $oid:ident, $is_uri:literal;)+) => {
        /// One thing that a forge says of a build.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ForgeClaim {
            $($(#[$doc])* $variant,)+
        }

        impl ForgeClaim {
            /// Every claim, in the order of the extensions.
            pub const ALL: [Self; 15] = [$(Self::$variant,)+];

            /// Returns the claim's name in configuration and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the extension that carries it.
            #[must_use]
            pub const fn oid(self) -> ObjectIdentifier {
                match self { $(Self::$variant => oid::$oid,)+ }
            }

            /// Tells whether its value is a URI.
            #[must_use]
            pub const fn is_uri(self) -> bool {
                match self { $(Self::$variant => $is_uri,)+ }
            }
        }
    };
}

claims! {
    /// `.8`: the issuer of the token.
    Issuer = "issuer", FORGE_ISSUER, true;
    /// `.9`: the build instructions that ran, with the ref they were taken from.
    BuildSignerUri = "build_signer_uri", FORGE_BUILD_SIGNER_URI, true;
    /// `.10`: the version of those instructions.
    BuildSignerDigest = "build_signer_digest", FORGE_BUILD_SIGNER_DIGEST, false;
    /// `.11`: whether the forge's own machine ran them.
    RunnerEnvironment = "runner_environment", FORGE_RUNNER_ENVIRONMENT, false;
    /// `.12`: the repository that was built.
    SourceRepositoryUri = "source_repository_uri", FORGE_SOURCE_REPOSITORY_URI, true;
    /// `.13`: the commit that was built.
    SourceRepositoryDigest = "source_repository_digest", FORGE_SOURCE_REPOSITORY_DIGEST, false;
    /// `.14`: the ref that was built.
    SourceRepositoryRef = "source_repository_ref", FORGE_SOURCE_REPOSITORY_REF, false;
    /// `.15`: the repository's unchanging number.
    SourceRepositoryIdentifier = "source_repository_identifier", FORGE_SOURCE_REPOSITORY_IDENTIFIER, false;
    /// `.16`: the repository's owner.
    SourceRepositoryOwnerUri = "source_repository_owner_uri", FORGE_SOURCE_REPOSITORY_OWNER_URI, true;
    /// `.17`: the owner's unchanging number.
    SourceRepositoryOwnerIdentifier = "source_repository_owner_identifier", FORGE_SOURCE_REPOSITORY_OWNER_IDENTIFIER, false;
    /// `.18`: the top-level build instructions.
    BuildConfigUri = "build_config_uri", FORGE_BUILD_CONFIG_URI, true;
    /// `.19`: the version of those.
    BuildConfigDigest = "build_config_digest", FORGE_BUILD_CONFIG_DIGEST, false;
    /// `.20`: the event that began the build.
    BuildTrigger = "build_trigger", FORGE_BUILD_TRIGGER, false;
    /// `.21`: the run.
    RunInvocationUri = "run_invocation_uri", FORGE_RUN_INVOCATION_URI, true;
    /// `.22`: who could see the repository then.
    SourceRepositoryVisibility = "source_repository_visibility", FORGE_SOURCE_REPOSITORY_VISIBILITY, false;
}

impl ForgeClaim {
    /// Finds the claim that an extension carries.
    #[must_use]
    pub fn from_oid(kind: &ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.oid() == *kind)
    }
}

impl fmt::Display for ForgeClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such claim: issuer, build_signer_uri, source_repository_uri and so on")]
pub struct UnknownForgeClaim;

impl FromStr for ForgeClaim {
    type Err = UnknownForgeClaim;

    fn from_str(text: &str) -> Result<Self, UnknownForgeClaim> {
        Self::ALL
            .into_iter()
            .find(|claim| claim.as_str() == text)
            .ok_or(UnknownForgeClaim)
    }
}

/// Why claims cannot stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidForgeClaims {
    /// A claim without which none makes sense.
    #[error("the claim {claim} is missing")]
    Missing {
        /// Which.
        claim: ForgeClaim,
    },
    /// The same claim twice.
    #[error("the claim {claim} stands twice")]
    Repeated {
        /// Which.
        claim: ForgeClaim,
    },
    /// No text, or more than an extension here holds.
    #[error("the claim {claim} has {len} octets; 1 to {max} are taken", max = ForgeClaims::MAX_LEN)]
    Length {
        /// Which.
        claim: ForgeClaim,
        /// Octets given.
        len: usize,
    },
    /// Control characters.
    #[error("the claim {claim} holds a control character")]
    ControlCharacter {
        /// Which.
        claim: ForgeClaim,
    },
    /// A URI that is none, or of another scheme.
    #[error("the claim {claim} is no https or http URI")]
    Uri {
        /// Which.
        claim: ForgeClaim,
    },
}

/// What a forge says of one build: issuer and build signer always, the rest as the
/// forge has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<ForgeClaim, String>",
    into = "BTreeMap<ForgeClaim, String>"
)]
pub struct ForgeClaims {
    /// The claims and their values.
    values: BTreeMap<ForgeClaim, String>,
    /// The build signer, once more: the name in a certificate.
    build_signer: UriName,
}

impl ForgeClaims {
    /// Most octets of one value.
    pub const MAX_LEN: usize = UriName::MAX_LEN;

    /// Checks claims.
    ///
    /// # Errors
    ///
    /// The first claim that is missing, twice there, or whose value cannot stand in a
    /// certificate.
    pub fn new(
        claims: impl IntoIterator<Item = (ForgeClaim, String)>,
    ) -> Result<Self, InvalidForgeClaims> {
        let mut values = BTreeMap::new();
        for (claim, value) in claims {
            check(claim, &value)?;
            match values.entry(claim) {
                Entry::Vacant(place) => place.insert(value),
                Entry::Occupied(_) => return Err(InvalidForgeClaims::Repeated { claim }),
            };
        }
        let needed = |claim| {
            values
                .get(&claim)
                .ok_or(InvalidForgeClaims::Missing { claim })
        };
        needed(ForgeClaim::Issuer)?;
        let claim = ForgeClaim::BuildSignerUri;
        let build_signer =
            UriName::new(needed(claim)?).map_err(|_| InvalidForgeClaims::Uri { claim })?;
        Ok(Self {
            values,
            build_signer,
        })
    }

    /// Returns a claim's value.
    #[must_use]
    pub fn get(&self, claim: ForgeClaim) -> Option<&str> {
        self.values.get(&claim).map(String::as_str)
    }

    /// Returns the issuer of the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.get(ForgeClaim::Issuer).unwrap_or_default()
    }

    /// Returns the build instructions that ran.
    #[must_use]
    pub fn build_signer(&self) -> &UriName {
        &self.build_signer
    }

    /// Returns the same as text.
    #[must_use]
    pub fn build_signer_uri(&self) -> &str {
        self.build_signer.as_str()
    }

    /// Iterates over the claims in the order of the extensions.
    pub fn iter(&self) -> impl Iterator<Item = (ForgeClaim, &str)> {
        self.values
            .iter()
            .map(|(claim, value)| (*claim, value.as_str()))
    }
}

impl TryFrom<BTreeMap<ForgeClaim, String>> for ForgeClaims {
    type Error = InvalidForgeClaims;

    fn try_from(claims: BTreeMap<ForgeClaim, String>) -> Result<Self, InvalidForgeClaims> {
        Self::new(claims)
    }
}

impl From<ForgeClaims> for BTreeMap<ForgeClaim, String> {
    fn from(claims: ForgeClaims) -> Self {
        claims.values
    }
}

/// Checks one value.
fn check(claim: ForgeClaim, value: &str) -> Result<(), InvalidForgeClaims> {
    let len = value.len();
    if len == 0 || len > ForgeClaims::MAX_LEN {
        return Err(InvalidForgeClaims::Length { claim, len });
    }
    if value.chars().any(char::is_control) {
        return Err(InvalidForgeClaims::ControlCharacter { claim });
    }
    let fits = !claim.is_uri()
        || UriName::new(value)
            .is_ok_and(|uri| matches!(uri.scheme(), "https" | "http") && !uri.host().is_empty());
    if fits {
        Ok(())
    } else {
        Err(InvalidForgeClaims::Uri { claim })
    }
}

#[cfg(test)]
mod tests;
