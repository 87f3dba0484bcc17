//! The ACME server (RFC 8555 and what extends it): stock clients get, renew and
//! revoke certificates that the CA's token signs.

pub mod address;
pub mod caa;
pub mod jws;
pub mod nonce;
pub mod policy;
pub mod problem;
pub mod resolve;
pub mod validate;

pub use problem::{AcmeProblem, ErrorType, Occasion, Subproblem};

#[cfg(test)]
mod testing;
