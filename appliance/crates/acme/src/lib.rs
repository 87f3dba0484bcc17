//! The ACME server (RFC 8555 and what extends it): stock clients get, renew and
//! revoke certificates that the CA's token signs.
//!
//! The way of one order through this crate:
//!
//! 1. `http` takes a request; [`jws`] reads and verifies it, [`nonce`] lets it
//!    count once.
//! 2. [`policy`] says who may have which names, and how often; the store makes
//!    order and authorizations in one act.
//! 3. [`validate`] looks for the proofs that the client says are in place, from
//!    addresses that [`mesh::address`] lets be dialled; [`caa`] asks the domain.
//! 4. The client finalizes; [`finalize`] has the CA sign, however long it is away.
//!
//! [`state`] is every transition there is; [`AcmeService`] puts it on the network.

pub mod caa;
mod config;
pub mod finalize;
mod http;
pub mod jws;
mod listen;
mod metrics;
pub mod nonce;
pub mod operator;
pub mod policy;
pub mod problem;
mod service;
pub mod state;
mod urls;
pub mod validate;
mod wire;

pub use config::{
    AccountConfig, AcmeConfig, AcmeListenerConfig, AcmeMember, CheckedAcmeConfig, CheckedListener,
    CheckedProfileOffer, ConfigError, NonceConfig, OrderConfig, ProfileOffer, RenewalConfig,
    TortureConfig,
};
pub use listen::AcmeService;
pub use metrics::AcmeMetrics;
pub use problem::{AcmeProblem, ErrorType, Occasion, Subproblem};
pub use service::{Acme, AcmeParts, ChainError, OpenError};
pub use urls::{ExternalUrl, InvalidExternalUrl, Resource};

#[cfg(test)]
#[path = "../../mesh/tests/resolve/name_server.rs"]
mod name_server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
