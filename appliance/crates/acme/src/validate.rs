//! Validation of challenges: this server looks for the proof that the client
//! says it has put in place (RFC 8555, 8; RFC 8737; RFC 8738;
//! draft-ietf-acme-dns-account-label), or judges the one that it brings with it
//! (draft-ietf-acme-device-attest).
//!
//! [`ValidateChallenge`] makes one attempt; the [`Scheduler`](scheduler::Scheduler)
//! makes as many as the configuration says, fairly among accounts and targets.

mod attest;
mod config;
mod dns;
mod failure;
mod http;
mod method;
pub mod metrics;
mod queue;
pub mod scheduler;
mod task;
#[cfg(test)]
mod tests;
mod tls;
mod tls_alpn;
mod validator;

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;
use model::acme::Identifier;

#[cfg(test)]
pub(crate) use attest::testing as attest_testing;
pub use attest::{
    AttestationFormat, AttestationObject, AttestationProblem, AttestationQuestion, AttestedKey,
    Attestor, CheckedDeviceAttest, DeviceAttestConfig, InvalidDeviceAttestConfig, ObjectProblem,
    RootsError, UnknownFormat,
};
pub use config::{CheckedValidation, InvalidValidationConfig, ValidationConfig};
pub use failure::{CertificateProblem, Failure, HttpProblem, RedirectProblem, TlsProblem};
pub use task::{KeyAuthorization, Task};
pub use validator::Validator;

/// Makes one attempt at a challenge.
#[async_trait]
pub trait ValidateChallenge: Send + Sync + fmt::Debug {
    /// Looks for the proof, once. Ends within the configured time; dropping the
    /// future ends the attempt.
    ///
    /// # Errors
    ///
    /// What was found instead, as the client is told it.
    async fn validate(&self, task: &Task) -> Result<Proof, Failure>;
}

/// Checks the certificate of tls-alpn-01 (RFC 8737, 3; RFC 8738, 6).
///
/// Bytes are hostile: never panics, allocates little more than their length.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_tls_alpn_certificate(
    certificate_der: &[u8],
    identifier: &Identifier,
    key_authorization: &KeyAuthorization,
) -> Result<(), CertificateProblem> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = &provider.signature_verification_algorithms;
    tls_alpn::ProofCertificate::parse(certificate_der)?.check(
        identifier,
        key_authorization,
        algorithms,
    )
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Where the proof was found; none where it was in DNS.
    pub address: Option<SocketAddr>,
    /// Whether CAA was asked in the same attempt; the time of the attempt is then
    /// the time of that check.
    pub caa_checked: bool,
}
