//! The ACME server (RFC 8555 and what extends it): stock clients get, renew and
//! revoke certificates that the CA's token signs.

pub mod jws;
pub mod nonce;
pub mod problem;

pub use problem::{AcmeProblem, ErrorType, Occasion, Subproblem};

#[cfg(test)]
mod testing;
