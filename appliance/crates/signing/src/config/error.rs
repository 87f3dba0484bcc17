//! Why `[signing]` cannot be worked with.

use hsm_keystore::KeyAlgorithm;
use mesh::bounds::OutOfBounds;
use mesh::member::InvalidMember;
use mesh::revocation::InvalidRevocationConfig;
use model::signing::SigningProfileName;

use crate::oidc::OidcConfigError;
use crate::urls::InvalidExternalUrl;
use crate::webhooks::InvalidHooks;

/// Why `[signing]` cannot be worked with.
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
    /// What comes in by webhooks and what goes out.
    #[error(transparent)]
    Webhooks(Box<InvalidHooks>),
    /// How revocations are followed.
    #[error("`revocation`: {0}")]
    Revocation(#[from] InvalidRevocationConfig),
    /// Who the service is.
    #[error(transparent)]
    Service(#[from] InvalidMember),
    /// No listener where something can be signed.
    #[error("`mesh` is switched off: nobody could have anything signed")]
    NoListener,
    /// A number or time outside what can work.
    #[error(transparent)]
    Bound(#[from] OutOfBounds),
    /// No key at all.
    #[error("`keys` holds none: at least one key for artifacts is needed")]
    NoKey,
    /// A key whose name is none in a keystore.
    #[error("`keys.{name}`: signing-{name} is no name of a key; give it one with `key`")]
    KeyName {
        /// Its name here, cut at 40 characters.
        name: String,
    },
    /// Two purposes for one key.
    #[error("the key {key} is named twice; every purpose has a key of its own")]
    KeyTwice {
        /// The key's name in the keystore.
        key: String,
    },
    /// A key that common verifiers do not take, or that cannot sign a digest.
    #[error(
        "`keys.{name}.algorithm`: {algorithm} is not taken; p256, p384, rsa3072 and rsa4096 are: \
         shorter RSA keys are weak, and Ed25519 cannot sign a digest"
    )]
    KeyAlgorithm {
        /// Its name here, cut at 40 characters.
        name: String,
        /// Its algorithm.
        algorithm: KeyAlgorithm,
    },
    /// A URI that certificates of signers do not name.
    #[error("`keys.{name}.uri`: {given:?} is no https URI")]
    KeyUri {
        /// The key's name here, cut at 40 characters.
        name: String,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A time-stamp policy that is none.
    #[error("`timestamps.policy`: {given:?} is no object identifier")]
    Policy {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A log's name that is none.
    #[error("`log.origin`: {given:?} is no host name in lower case, by which verifiers know a log")]
    LogOrigin {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A default profile that is not there.
    #[error("`default_profile`: {profile} is none of `profiles`")]
    DefaultProfile {
        /// Its name.
        profile: SigningProfileName,
    },
    /// A profile whose key is not there.
    #[error("`profiles.{profile}.key`: {key:?} is none of `keys`")]
    ProfileKey {
        /// The profile.
        profile: SigningProfileName,
        /// The key named, cut at 40 characters.
        key: String,
    },
    /// A hash that the profile's key cannot sign.
    #[error("`profiles.{profile}.hashes`: a {algorithm} key does not sign {hash} digests")]
    ProfileHash {
        /// The profile.
        profile: SigningProfileName,
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// The hash.
        hash: &'static str,
    },
    /// A word of a list that is none of those known.
    #[error("`profiles.{profile}.{key}`: there is no {given:?} here; known are {known}")]
    ProfileWord {
        /// The profile.
        profile: SigningProfileName,
        /// The key.
        key: &'static str,
        /// The text given, cut at 40 characters.
        given: String,
        /// What there is.
        known: String,
    },
    /// A pattern that is none.
    #[error("`profiles.{profile}.{key}`: {given:?} is no pattern: {source}")]
    ProfilePattern {
        /// The profile.
        profile: SigningProfileName,
        /// The key.
        key: &'static str,
        /// The text given, cut at 80 characters.
        given: String,
        /// Why.
        source: globset::Error,
    },
    /// A number or time of a profile outside what can work.
    #[error("`profiles.{profile}.{key}` {rule}")]
    ProfileBound {
        /// The profile.
        profile: SigningProfileName,
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// Issuers of tokens.
    #[error(transparent)]
    Oidc(Box<OidcConfigError>),
    /// Tokens are taken where nobody can bring one.
    #[error(
        "`oidc` needs the listener `open`: builds have no certificate when they bring their token"
    )]
    OidcListener,
    /// Time-stamps that every profile's signatures would lack.
    #[error("`profiles.{profile}.formats`: \"timestamp\" needs `timestamps.enabled`")]
    ProfileTimestamp {
        /// The profile.
        profile: SigningProfileName,
    },
}

impl From<InvalidHooks> for ConfigError {
    fn from(error: InvalidHooks) -> Self {
        Self::Webhooks(Box::new(error))
    }
}

impl From<OidcConfigError> for ConfigError {
    fn from(error: OidcConfigError) -> Self {
        Self::Oidc(Box::new(error))
    }
}
