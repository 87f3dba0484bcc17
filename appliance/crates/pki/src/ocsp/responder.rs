//! Who signs responses (RFC 6960, 4.2.2.2).

use model::Timestamp;

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;
use crate::encode::ocsp as encode;
use crate::issuer::IssuerFacts;
use crate::oid;
use crate::profile::{ExtendedKeyUsage, KeyUsage};
use crate::public_key::{KeyIdentifier, KeyType, PublicKey};

/// A key that signs responses, and what each response says of it, encoded once.
#[derive(Debug, Clone)]
pub struct Responder {
    /// The key.
    public_key: PublicKey,
    /// SHA-1 of its octets: the KeyHash.
    key_hash: KeyIdentifier,
    /// ResponderID by key.
    responder_id: Box<[u8]>,
    /// How it signs.
    signature_algorithm: SignatureAlgorithm,
    /// `certs` of a response: the certificate of a delegated responder.
    certificates: Box<[u8]>,
    /// First and last second of the certificate that vouches for the key.
    validity: Option<(Timestamp, Timestamp)>,
}

/// Why a certificate is none of a responder for an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAResponder {
    /// Issued in another name.
    #[error("the responder's certificate was not issued in the issuer's name")]
    Issuer,
    /// Not signed by the issuer's key.
    #[error("the responder's certificate is not signed by the issuer's key")]
    Signature,
    /// Not for signing OCSP responses.
    #[error("the responder's certificate is not for OCSP (no id-kp-OCSPSigning)")]
    Purpose,
    /// A key usage without digitalSignature.
    #[error("the responder's key may not sign (no digitalSignature)")]
    MayNotSign,
    /// Its key cannot sign by the algorithm chosen.
    #[error("a {key_type} key cannot sign {algorithm}")]
    Algorithm {
        /// The key.
        key_type: KeyType,
        /// The algorithm chosen.
        algorithm: SignatureAlgorithm,
    },
}

/// Checks that an issuer lets a certificate's key answer for it.
///
/// RFC 6960, 4.2.2.2: issued directly by the CA that is identified in the request, with
/// id-kp-OCSPSigning.
pub(super) fn check_delegation(
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<(), NotAResponder> {
    if certificate.issuer_der() != issuer.subject_der() {
        return Err(NotAResponder::Issuer);
    }
    let extensions = certificate.extensions();
    let signs_ocsp = ExtendedKeyUsage::new(oid::OCSP_SIGNING);
    if !extensions.extended_key_usages.contains(&signs_ocsp) {
        return Err(NotAResponder::Purpose);
    }
    let may_sign = extensions
        .key_usage
        .is_none_or(|usages| usages.contains(KeyUsage::DigitalSignature));
    if !may_sign {
        return Err(NotAResponder::MayNotSign);
    }
    certificate
        .verify_signed_by(issuer.public_key())
        .map_err(|_| NotAResponder::Signature)
}

impl Responder {
    /// Takes a responder to which an issuer delegated.
    ///
    /// Its certificate goes into every response.
    ///
    /// # Errors
    ///
    /// Why clients would not accept its responses for this issuer. Validity is not
    /// checked, having no clock: the lint does.
    pub fn delegated(
        certificate: &Certificate,
        issuer: &Certificate,
        algorithm: SignatureAlgorithm,
    ) -> Result<Self, NotAResponder> {
        check_delegation(certificate, issuer)?;
        let public_key = certificate.public_key();
        if !public_key.can_sign(algorithm) {
            return Err(NotAResponder::Algorithm {
                key_type: public_key.key_type(),
                algorithm,
            });
        }
        let mut responder = Self::new(public_key, algorithm);
        responder.certificates = encode::certificates(certificate.der()).into();
        responder.validity = Some((certificate.not_before(), certificate.not_after()));
        Ok(responder)
    }

    /// Takes an issuer that answers for itself; clients have its certificate.
    #[must_use]
    pub fn issuer(issuer: &IssuerFacts) -> Self {
        let mut responder = Self::new(&issuer.public_key, issuer.signature_algorithm);
        responder.validity = issuer.validity;
        responder
    }

    /// Takes a key.
    fn new(public_key: &PublicKey, signature_algorithm: SignatureAlgorithm) -> Self {
        let key_hash = public_key.sha1_key_identifier();
        Self {
            responder_id: encode::responder_id(&key_hash).into(),
            key_hash,
            public_key: public_key.clone(),
            signature_algorithm,
            certificates: Box::default(),
            validity: None,
        }
    }

    /// Returns the KeyHash that names it.
    #[must_use]
    pub fn key_hash(&self) -> KeyIdentifier {
        self.key_hash
    }

    /// Returns the key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns how it signs.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns first and last second in which clients accept its signatures; none for a
    /// root that has no certificate yet.
    #[must_use]
    pub fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        self.validity
    }

    /// Returns the ResponderID.
    pub(super) fn responder_id_der(&self) -> &[u8] {
        &self.responder_id
    }

    /// Returns what stands behind a ResponseData.
    pub(super) fn behind<'a>(&'a self, signature: &'a [u8]) -> encode::Behind<'a> {
        encode::Behind {
            algorithm_der: self.signature_algorithm.identifier_der(),
            signature,
            certificates: &self.certificates,
        }
    }
}
