//! The certificate authority: makes itself, issues, and answers for it.
//!
//! - [`ceremony`] makes the authorities' keys and certificates, once.
//! - [`Ca`] opens what the ceremony made, settles what a crash left and issues:
//!   an intent is on disk before the token signs, the certificate before it is
//!   handed out (`issue` has the steps).
//! - [`CaService`] puts it on the network: mutual TLS, roles, problem documents.
//!
//! ```text
//! request ─► role ─► CSR ─► profile plan ─► lint ─► intent on disk ─► token
//!    201 ◄── certificate on disk ◄── assembled, bytes compared ◄── verified ┘
//! ```

mod admission;
mod authority;
pub mod ceremony;
mod certify;
mod clock;
mod completing;
mod config;
mod crl;
mod ct;
mod distribution;
mod error;
mod grants;
mod http;
mod issue;
mod local;
mod metrics;
mod ocsp;
mod publication;
mod refusal;
mod revocations;
mod revoke;
mod schemes;
mod serial;
mod service;
mod settle;
mod views;

#[cfg(test)]
mod tests;

pub use authority::{Authorities, Authority};
pub use clock::ImplausibleClock;
pub use config::{
    AuthorityConfig, BatchSize, ByTokenSpeed, CaConfig, CeremonyConfig, CheckedCaConfig,
    ConfigError, CrlConfig, CrlConfigError, CtConfig, DistributionConfig, InvalidChoice,
    IssuanceConfig, KeepExpired, KeepReady, NeverIssued, NonceRule, OcspConfig, OnRevocation,
    ReadyHash,
};
pub use crl::{CrlError, RootCrl};
pub use distribution::DistributionService;
pub use error::Error;
pub use grants::{Call, Grant, Grants, IdentityGrant};
pub use issue::{Ca, CaParts, IssueRequest, Issued, Requester};
pub use metrics::CaMetrics;
pub use ocsp::{OcspAnswer, OcspMetrics, OcspStatus, Responder};
pub use publication::{AuthorityCertificates, Publication, PublicationParts, Runway};
pub use refusal::Refusal;
pub use revocations::{Revocation, Revocations};
pub use revoke::{RevokeRefusal, RevokedBy};
pub use service::{CaHandle, CaService};
