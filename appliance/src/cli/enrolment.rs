//! Enrolment identities: left in a service's keystore, used once by its first
//! start to ask the CA for a certificate.

use std::fs;
use std::sync::Arc;

use hsm_keystore::{KeyAlgorithm, KeyId, KeyStore, PrivateKey};
use mesh::PeerCertificate;
use mesh::csr::CsrContent;
use model::Timestamp;

use super::request;
use crate::config::Member;
use crate::failure::{Failure, Trying};

/// How long one is valid: long enough to carry it to another machine.
pub(super) const VALIDITY: &str = "24h";

/// A service's place for an enrolment identity.
pub(super) struct Place<'a> {
    /// The service.
    pub(super) member: &'a Member<'a>,
    /// Its keystore.
    pub(super) keystore: &'a dyn KeyStore,
}

impl Place<'_> {
    /// Returns the name of its key.
    pub(super) fn key_id(&self) -> &KeyId {
        &self.member.service.enrolment_key
    }

    /// Takes its key, or makes it.
    ///
    /// # Errors
    ///
    /// When the keystore cannot be asked or cannot make such a key.
    pub(super) fn key(&self, algorithm: KeyAlgorithm) -> Result<Arc<dyn PrivateKey>, Failure> {
        request::key_of(self.keystore, self.key_id(), algorithm)
    }

    /// Returns what its certificate request says.
    pub(super) fn content(&self) -> CsrContent {
        CsrContent {
            // A peer's name has no character that RFC 4514 would want escaped.
            subject: format!("CN={}", self.member.service.name),
            ..CsrContent::default()
        }
    }

    /// Leaves its certificate beside its key.
    ///
    /// # Errors
    ///
    /// When the keystore does not take it.
    pub(super) fn leave(&self, certificate_der: &[u8]) -> Result<(), Failure> {
        self.keystore
            .import_certificate(self.key_id(), certificate_der)
            .trying(|| {
                format!(
                    "leave the certificate {} in {}",
                    self.key_id(),
                    self.keystore.describe()
                )
            })
    }

    /// Tells whether the service needs none: it has a certificate of this issuer
    /// that counts, or an identity was left that counts for half its life yet.
    ///
    /// What cannot be read counts as absent.
    pub(super) fn is_provided(&self, issuer_pem: &str, now: Timestamp) -> bool {
        let enrolled = fs::read_to_string(&self.member.chain_file)
            .ok()
            .filter(|chain| chain.ends_with(issuer_pem))
            .and_then(|chain| pki::pem::read_certificates(chain.as_bytes()).ok())
            .and_then(|chain| PeerCertificate::parse(chain.first()?).ok())
            .is_some_and(|own| now < own.not_after);
        enrolled
            || self
                .keystore
                .get_certificate(self.key_id())
                .ok()
                .and_then(|der| PeerCertificate::parse(&der).ok())
                .is_some_and(|left| {
                    let life = left.not_after.duration_since(left.not_before);
                    now < left.not_before + life / 2
                })
    }
}
