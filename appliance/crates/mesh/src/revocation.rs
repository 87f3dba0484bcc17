//! Clients that no longer count: the CA's CRLs, followed, verified and asked.
//!
//! ```text
//! CA ──(long poll)──► follow ──► verified, never older ──► held ◄── admit, for every
//!                                         │                         handshake and request
//!                                         └──► kept on disk for the next start
//! ```
//!
//! The CA's own listener asks the CA's memory instead; see [`AdmitPeer`](crate::AdmitPeer).

mod checker;
mod config;
mod follow;
mod held;
mod metrics;
mod serials;

pub use checker::{CrlChecker, CrlCheckerParts, WatchedIssuer, WatchedRole};
pub use config::{InvalidRevocationConfig, NoFreshCrl, RevocationConfig};
pub use held::CrlRejected;
pub use metrics::RevocationMetrics;

#[cfg(test)]
mod tests;
