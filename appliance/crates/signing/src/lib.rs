//! The signing service: artifacts are signed on the token, with what is attested of
//! them, and anyone can verify the result offline.
//!
//! The way of one artifact through this crate:
//!
//! 1. `http` takes a request: by digest, or with the artifact itself, which is hashed as
//!    it comes.
//! 2. [`policy`] says who may have what signed, with which evidence; `evidence` reads it.
//! 3. `sign` records what is going to be signed, has the token sign and stamp it, and
//!    records what is handed out.
//! 4. [`keys`] has the keys certified by the CA, and again before that ends.

mod config;
mod digests;
mod evidence;
mod facts;
mod formats;
mod http;
pub mod keys;
mod listen;
pub mod log;
mod memory;
mod metrics;
pub mod oidc;
mod outside;
pub mod policy;
mod problem;
mod request;
mod revocation;
mod seams;
mod service;
mod sign;
pub mod status;
mod trust;
mod urls;
pub mod webhooks;

pub use config::{
    ArtifactKeyConfig, BuilderConfig, CheckedKey, CheckedLimits, CheckedListener, CheckedProfile,
    CheckedSigningConfig, CheckedTimestamps, ConfigError, LimitConfig, ProfileConfig,
    ProvenancePolicyConfig, SbomPolicyConfig, ServiceConfig, SigningConfig, SigningListenerConfig,
    SigningMember, TimestampConfig,
};
pub use digests::{ArtifactDigests, ArtifactHasher};
pub use formats::{Format, Formats};
pub use listen::SigningService;
pub use metrics::SigningMetrics;
pub use problem::SigningProblem;
pub use request::{Ask, Outcome, Requester, SignRequest};
pub use revocation::{FollowedLists, RevocationLists};
pub use seams::{Announce, SignatureEvent, SignatureEventKind};
pub use service::{OpenError, SettledReport, Signing, SigningParts};
pub use trust::TrustError;
pub use urls::{ExternalUrl, InvalidExternalUrl};

#[cfg(test)]
#[path = "../../mesh/tests/resolve/name_server.rs"]
mod name_server;
#[cfg(test)]
mod tests;
