//! What a ceremony made and what was there, for people and programs.

use hsm_keystore::{KeyAlgorithm, KeyId, KeyStore};
use model::{IssuerId, SerialNumber, Timestamp};
use pki::certificate::Certificate;

use crate::config::AuthorityPlan;

/// What a ceremony made and what was there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CeremonyReport {
    /// The root, then the issuing authority.
    pub authorities: Vec<AuthorityReport>,
    /// Interrupted intents that were settled first.
    pub settled: u64,
}

/// One authority as the ceremony leaves it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuthorityReport {
    /// Its name.
    pub id: IssuerId,
    /// Its key.
    pub key: KeyId,
    /// Its key's algorithm.
    pub algorithm: KeyAlgorithm,
    /// Whether the key was made now; otherwise it was there.
    pub key_made: bool,
    /// Whether the certificate was issued now; otherwise it was there.
    pub certificate_made: bool,
    /// The keystore, for people.
    pub keystore: String,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// Its certificate's serial number.
    pub serial: SerialNumber,
    /// Last moment of its certificate.
    pub not_after: Timestamp,
    /// SHA-256 of its certificate, lower-case hexadecimal.
    pub sha256: String,
    /// Its certificate in PEM.
    pub certificate_pem: String,
}

/// Tells what there is of an authority now.
pub(super) fn report(
    plan: &AuthorityPlan,
    keystore: &dyn KeyStore,
    certificate: &Certificate,
    key_made: bool,
    certificate_made: bool,
) -> AuthorityReport {
    AuthorityReport {
        id: plan.id.clone(),
        key: plan.key.clone(),
        algorithm: plan.algorithm,
        key_made,
        certificate_made,
        keystore: keystore.describe(),
        subject: certificate.subject().to_string(),
        serial: certificate.serial().clone(),
        not_after: certificate.not_after(),
        sha256: hex::encode(certificate.fingerprint()),
        certificate_pem: pki::pem::write_certificate(certificate.der()),
    }
}
