//! Certificates, read strictly (RFC 5280, 4.1), and those we have issued.

mod extensions;

use std::fmt;

use const_oid::ObjectIdentifier;
use model::{SerialNumber, Timestamp};

pub use extensions::{BasicConstraints, Extensions};

use crate::algorithm::SignatureAlgorithm;
use crate::extension::Extension;
use crate::name::{DistinguishedName, InvalidName};
use crate::public_key::{BadSignature, InvalidPublicKey, PublicKey};
use crate::time;
use crate::tlv::{self, Malformed};

/// Why bytes are no certificate that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a DER Certificate.
    #[error("the bytes are no X.509 certificate in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 3.
    #[error("the certificate is not of version 3")]
    Version,
    /// A serial number that is negative, zero or longer than 20 octets.
    #[error("the certificate's serial number is refused")]
    Serial(#[from] model::InvalidSerial),
    /// A signature algorithm that is not known here.
    #[error("the certificate is signed by an algorithm that is not known or no longer trusted")]
    SignatureAlgorithm,
    /// Two different signature algorithms inside and outside (4.1.1.2).
    #[error("the certificate names two different signature algorithms")]
    AlgorithmMismatch,
    /// Issuer or subject is no proper name.
    #[error("a name in the certificate is refused")]
    Name(#[from] InvalidName),
    /// The key is of no known kind.
    #[error("the certificate's public key is refused")]
    PublicKey(#[from] InvalidPublicKey),
    /// An extension twice (4.2).
    #[error("the certificate has an extension twice")]
    RepeatedExtension,
}

/// What a TBSCertificate says, structure checked and nothing judged.
#[derive(Debug, Clone)]
pub(crate) struct Tbs {
    /// Serial number.
    pub(crate) serial: SerialNumber,
    /// AlgorithmIdentifier of the signature.
    pub(crate) algorithm_der: Box<[u8]>,
    /// Issuer's Name.
    pub(crate) issuer_der: Box<[u8]>,
    /// First second.
    pub(crate) not_before: Timestamp,
    /// Last second.
    pub(crate) not_after: Timestamp,
    /// Tags and contents of both times, as they stood.
    pub(crate) times_canonical: bool,
    /// Subject's Name.
    pub(crate) subject_der: Box<[u8]>,
    /// Key.
    pub(crate) public_key: PublicKey,
    /// Extensions.
    pub(crate) extensions: Extensions,
}

impl Tbs {
    /// Reads a TBSCertificate.
    ///
    /// Bytes are hostile: never panics, allocates little more than the input's
    /// length.
    pub(crate) fn parse(tbs_der: &[u8]) -> Result<Self, CertificateError> {
        let mut tbs = tlv::read_only(tbs_der, tlv::SEQUENCE)?.reader();
        // 4.1.2.1: v3 is 2; v1 is the default and not written.
        let version = tbs.optional(tlv::context_constructed(0))?;
        let mut version = version.ok_or(CertificateError::Version)?.reader();
        if version.expect(tlv::INTEGER)?.integer()? != [2] {
            return Err(CertificateError::Version);
        }
        version.finish()?;
        let serial = SerialNumber::from_der_content(tbs.expect(tlv::INTEGER)?.integer()?)?;
        let algorithm = tbs.expect(tlv::SEQUENCE)?;
        let issuer = tbs.expect(tlv::SEQUENCE)?;
        let mut validity = tbs.sequence()?;
        let not_before = time::read(validity.next()?)?;
        let not_after = time::read(validity.next()?)?;
        validity.finish()?;
        let subject = tbs.expect(tlv::SEQUENCE)?;
        let public_key = PublicKey::from_spki_der(tbs.expect(tlv::SEQUENCE)?.whole)?;
        // 4.1.2.8: issuerUniqueID and subjectUniqueID MUST NOT be generated, and
        // are refused here as an unexpected tag.
        let extensions = match tbs.optional(tlv::context_constructed(3))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                let list = reader.sequence()?;
                reader.finish()?;
                Extensions::parse(list)?
            }
            None => Extensions::default(),
        };
        tbs.finish()?;
        Ok(Self {
            serial,
            algorithm_der: algorithm.whole.into(),
            issuer_der: issuer.whole.into(),
            not_before: not_before.time,
            not_after: not_after.time,
            times_canonical: not_before.canonical && not_after.canonical,
            subject_der: subject.whole.into(),
            public_key,
            extensions,
        })
    }
}

/// A certificate, whoever issued it.
#[derive(Clone)]
pub struct Certificate {
    /// The Certificate.
    der: Box<[u8]>,
    /// Where the TBSCertificate lies in it.
    tbs_range: std::ops::Range<usize>,
    /// Its contents.
    tbs: Tbs,
    /// Subject.
    subject: DistinguishedName,
    /// Issuer.
    issuer: DistinguishedName,
    /// How it is signed.
    signature_algorithm: SignatureAlgorithm,
    /// The signature.
    signature: Box<[u8]>,
}

impl Certificate {
    /// Reads a certificate, DER.
    ///
    /// Bytes are hostile: never panics, allocates little more than twice the
    /// input's length. The signature is not verified.
    ///
    /// # Errors
    ///
    /// What is not as RFC 5280, 4.1 has it.
    pub fn from_der(certificate_der: &[u8]) -> Result<Self, CertificateError> {
        let outer = tlv::read_only(certificate_der, tlv::SEQUENCE)?;
        let mut reader = outer.reader();
        let tbs_tlv = reader.expect(tlv::SEQUENCE)?;
        let algorithm = reader.expect(tlv::SEQUENCE)?;
        let signature = reader.expect(tlv::BIT_STRING)?.whole_octets()?;
        reader.finish()?;
        let tbs = Tbs::parse(tbs_tlv.whole)?;
        // 4.1.1.2: MUST contain the same algorithm identifier.
        if *tbs.algorithm_der != *algorithm.whole {
            return Err(CertificateError::AlgorithmMismatch);
        }
        let signature_algorithm = SignatureAlgorithm::from_identifier_der(algorithm.whole)
            .ok_or(CertificateError::SignatureAlgorithm)?;
        let tbs_start = outer.content_at;
        Ok(Self {
            tbs_range: tbs_start..tbs_start + tbs_tlv.whole.len(),
            subject: DistinguishedName::from_der(&tbs.subject_der)?,
            issuer: DistinguishedName::from_der(&tbs.issuer_der)?,
            signature_algorithm,
            signature: signature.into(),
            der: certificate_der.into(),
            tbs,
        })
    }

    /// Returns the certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the octets that are signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.der.get(self.tbs_range.clone()).unwrap_or(&[])
    }

    /// Returns the serial number.
    #[must_use]
    pub fn serial(&self) -> &SerialNumber {
        &self.tbs.serial
    }

    /// Returns the subject.
    #[must_use]
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns the subject's DER Name.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.tbs.subject_der
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Returns the issuer's DER Name.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.tbs.issuer_der
    }

    /// Returns the first second of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.tbs.not_before
    }

    /// Returns the last second of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.tbs.not_after
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.tbs.public_key
    }

    /// Returns the extensions.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.tbs.extensions
    }

    /// Returns the value of an extension, DER, whether it is known here or not.
    #[must_use]
    pub fn extension_value(&self, kind: &ObjectIdentifier) -> Option<&[u8]> {
        // Everything was read once, so only the place is sought.
        let mut tbs = tlv::read_only(self.tbs_der(), tlv::SEQUENCE).ok()?.reader();
        let tagged = loop {
            let field = tbs.next().ok()?;
            if field.tag == tlv::context_constructed(3) {
                break field;
            }
        };
        let mut list = tagged.reader().sequence().ok()?;
        while !list.is_empty() {
            let extension = Extension::read(&mut list).ok()?;
            if extension.kind == *kind {
                return Some(extension.value.content);
            }
        }
        None
    }

    /// Returns how the certificate is signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns SHA-256 of the certificate, its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        crate::public_key::sha256(&self.der)
    }

    /// Tells whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.tbs.subject_der == self.tbs.issuer_der
    }

    /// Verifies the signature with an issuer's key.
    ///
    /// # Errors
    ///
    /// `BadSignature`.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), BadSignature> {
        issuer.verify(self.signature_algorithm, self.tbs_der(), &self.signature)
    }

    /// Collects what is recorded about the certificate.
    #[must_use]
    pub fn facts(&self) -> CertificateFacts {
        CertificateFacts::from_tbs(&self.tbs, &self.subject)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.tbs.serial)
            .field("subject", &self.subject.to_string())
            .field("issuer", &self.issuer.to_string())
            .finish_non_exhaustive()
    }
}

/// What is recorded about a certificate, taken from its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Serial number.
    pub serial: SerialNumber,
    /// Subject, RFC 4514.
    pub subject: String,
    /// Names, as `dns:…`, `ip:…`, `email:…`, `uri:…`.
    pub names: Vec<String>,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
}

impl CertificateFacts {
    /// Takes the facts from a TBSCertificate.
    pub(crate) fn from_tbs(tbs: &Tbs, subject: &DistinguishedName) -> Self {
        Self {
            serial: tbs.serial.clone(),
            subject: subject.to_string(),
            names: tbs
                .extensions
                .names
                .iter()
                .map(ToString::to_string)
                .collect(),
            not_before: tbs.not_before,
            not_after: tbs.not_after,
            public_key_sha256: tbs.public_key.sha256(),
        }
    }
}

/// A certificate that has just been signed, exactly as it was linted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The Certificate.
    pub(crate) der: Vec<u8>,
    /// What is recorded about it.
    pub(crate) facts: CertificateFacts,
}

impl IssuedCertificate {
    /// Returns the certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate's octets.
    #[must_use]
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }

    /// Returns what is recorded about it.
    #[must_use]
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }
}

#[cfg(test)]
mod tests;
