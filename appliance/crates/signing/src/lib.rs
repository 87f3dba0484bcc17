//! The signing service: artifacts are signed on the token, with what is attested of
//! them, and anyone can verify the result offline.

mod config;
mod formats;
pub mod policy;
mod urls;

pub use config::{
    ArtifactKeyConfig, BuilderConfig, CheckedKey, CheckedLimits, CheckedListener, CheckedProfile,
    CheckedService, CheckedSigningConfig, CheckedTimestamps, ConfigError, LimitConfig,
    ProfileConfig, ProvenancePolicyConfig, SbomPolicyConfig, ServiceConfig, SigningConfig,
    SigningListenerConfig, TimestampConfig,
};
pub use formats::{Format, Formats};
pub use urls::{ExternalUrl, InvalidExternalUrl};
