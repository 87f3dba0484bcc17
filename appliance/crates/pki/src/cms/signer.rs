//! Who signs: a certificate, and those that lead from it to a root.

use std::sync::Arc;

use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::chain::{Chain, ChainError};
use crate::encode::cms as encode;
use crate::profile::KeyUsage;
use crate::public_key::KeyType;
use crate::tlv;

/// A key that signs, and what each signature says of it, encoded once and shared.
#[derive(Debug, Clone)]
pub struct CmsSigner {
    /// Its certificate.
    certificate: Arc<Certificate>,
    /// How it signs; the hash is that of each content.
    signature_algorithm: SignatureAlgorithm,
    /// `certificates` of a SignedData.
    certificates: Arc<[u8]>,
    /// The IssuerAndSerialNumber.
    issuer_and_serial: Arc<[u8]>,
    /// The SigningCertificateV2.
    signing_certificate: Arc<[u8]>,
}

/// Why certificates are none of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASigner {
    /// They are no chain.
    #[error("the signer's certificates are no chain: {0}")]
    Chain(#[from] ChainError),
    /// A key usage without digitalSignature and contentCommitment.
    #[error("the signer's key may not sign (no digitalSignature)")]
    MayNotSign,
    /// Its key cannot sign by the algorithm chosen, or no content is signed by that.
    #[error("a {key_type} key cannot sign contents by {algorithm}")]
    Algorithm {
        /// The key.
        key_type: KeyType,
        /// The algorithm chosen.
        algorithm: SignatureAlgorithm,
    },
}

/// Tells whether a certificate's key usage, if it has one, lets its key sign contents.
pub(super) fn may_sign(certificate: &Certificate) -> bool {
    certificate.extensions().key_usage.is_none_or(|usages| {
        usages.contains(KeyUsage::DigitalSignature) || usages.contains(KeyUsage::ContentCommitment)
    })
}

impl CmsSigner {
    /// Takes a signer by its certificate and those above, leaf first.
    ///
    /// All go into every signature but a self-issued root, which verifiers must have
    /// anyway.
    ///
    /// # Errors
    ///
    /// Why nobody would accept its signatures. Validity is not checked, having no clock:
    /// the lint does. Ed25519 is refused: of a content it needs more than a digest.
    pub fn new(chain: &[Certificate], algorithm: SignatureAlgorithm) -> Result<Self, NotASigner> {
        let chain = Chain::new(chain.to_vec())?;
        let [certificate, above @ ..] = chain.certificates() else {
            return Err(ChainError::Empty.into());
        };
        if !may_sign(certificate) {
            return Err(NotASigner::MayNotSign);
        }
        let key = certificate.public_key();
        if algorithm.hash().is_none() || !key.can_sign(algorithm) {
            return Err(NotASigner::Algorithm {
                key_type: key.key_type(),
                algorithm,
            });
        }
        let sent = std::iter::once(certificate)
            .chain(above.iter().filter(|one| !one.is_self_issued()))
            .map(|one| one.der().to_vec())
            .collect();
        let (issuer_der, serial) = (certificate.issuer_der(), certificate.serial());
        Ok(Self {
            signature_algorithm: algorithm,
            certificates: encode::set_of(tlv::context_constructed(0), sent).into(),
            issuer_and_serial: encode::issuer_and_serial(issuer_der, serial).into(),
            signing_certificate: encode::signing_certificate(
                &certificate.fingerprint(),
                issuer_der,
                serial,
            )
            .into(),
            certificate: Arc::new(certificate.clone()),
        })
    }

    /// Returns its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns how it signs what is digested by its own hash.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns how it signs what is digested by a hash: RFC 5652, 5.4 has one hash for
    /// content and attributes.
    #[must_use]
    pub fn algorithm_for(&self, hash: HashAlgorithm) -> SignatureAlgorithm {
        match self.signature_algorithm {
            SignatureAlgorithm::RsaPkcs1(_) => SignatureAlgorithm::RsaPkcs1(hash),
            SignatureAlgorithm::RsaPss(_) => SignatureAlgorithm::RsaPss(hash),
            SignatureAlgorithm::Ecdsa(_) => SignatureAlgorithm::Ecdsa(hash),
            SignatureAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }

    /// Returns `certificates` of a SignedData with their `[0]`.
    pub(crate) fn certificates_der(&self) -> &[u8] {
        &self.certificates
    }

    /// Returns the IssuerAndSerialNumber.
    pub(crate) fn issuer_and_serial_der(&self) -> &[u8] {
        &self.issuer_and_serial
    }

    /// Returns the SigningCertificateV2.
    pub(crate) fn signing_certificate_der(&self) -> &[u8] {
        &self.signing_certificate
    }
}
