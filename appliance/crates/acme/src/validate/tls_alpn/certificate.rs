//! The certificate of tls-alpn-01, and whether it proves control (RFC 8737, 3).
//!
//! Clients make them by the roughest means: serial numbers, names and times are
//! whatever came to hand (Go's zero time is year 1, which strict readers of X.509
//! refuse), and the protocol asks nothing of them. So only what it asks for is
//! read.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use model::acme::Identifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::validate::failure::CertificateProblem;
use crate::validate::task::KeyAuthorization;
use mesh::Excerpt;

/// id-pe-acmeIdentifier (RFC 8737, 6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");

/// The identifier octets of `version [0]` in a TBSCertificate.
const VERSION: u8 = 0xa0;

/// The identifier octets of `extensions [3]` in a TBSCertificate.
const EXTENSIONS: u8 = 0xa3;

/// What the protocol asks of a certificate.
///
/// Bytes are hostile: never panics, allocates little more than their length.
pub(in crate::validate) struct ProofCertificate<'a> {
    /// The TBSCertificate as it stands.
    tbs_der: &'a [u8],
    /// The contents of signatureAlgorithm.
    algorithm: &'a [u8],
    /// The signature.
    signature: &'a [u8],
    /// Issuer, DER.
    issuer_der: &'a [u8],
    /// Subject, DER.
    subject_der: &'a [u8],
    /// subjectPublicKeyInfo, DER.
    public_key_der: SubjectPublicKeyInfoDer<'a>,
    /// The extensions.
    extensions: Vec<Extension>,
}

impl<'a> ProofCertificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// `Unreadable` unless it has the structure of RFC 5280, 4.1.
    pub(in crate::validate) fn parse(
        certificate_der: &'a [u8],
    ) -> Result<Self, CertificateProblem> {
        Self::read(certificate_der)
            .ok()
            .flatten()
            .ok_or(CertificateProblem::Unreadable)
    }

    /// Reads a certificate; none if a field is missing.
    fn read(certificate_der: &'a [u8]) -> der::Result<Option<Self>> {
        let mut outer = contents(certificate_der)?;
        let tbs_der = outer.tlv_bytes()?;
        let algorithm = AnyRef::decode(&mut outer)?;
        algorithm.tag().assert_eq(Tag::Sequence)?;
        let signature = BitStringRef::decode(&mut outer)?;
        outer.finish()?;
        let Some(signature) = signature.as_bytes() else {
            return Ok(None);
        };
        let mut tbs = contents(tbs_der)?;
        let mut fields = Vec::new();
        while !tbs.is_finished() {
            fields.push(tbs.tlv_bytes()?);
        }
        let fields = match fields.as_slice() {
            [version, rest @ ..] if version.first() == Some(&VERSION) => rest,
            whole => whole,
        };
        let [
            _serial,
            _algorithm,
            issuer_der,
            _validity,
            subject_der,
            public_key_der,
            rest @ ..,
        ] = fields
        else {
            return Ok(None);
        };
        let extensions = match rest.iter().find(|field| field.first() == Some(&EXTENSIONS)) {
            None => Vec::new(),
            Some(field) => Vec::from_der(AnyRef::from_der(field)?.value())?,
        };
        Ok(Some(Self {
            tbs_der,
            algorithm: algorithm.value(),
            signature,
            issuer_der,
            subject_der,
            public_key_der: SubjectPublicKeyInfoDer::from(*public_key_der),
            extensions,
        }))
    }

    /// Returns the certificate's key, DER.
    pub(in crate::validate) fn public_key_der(&self) -> &SubjectPublicKeyInfoDer<'a> {
        &self.public_key_der
    }

    /// Checks that it proves control of an identifier.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(in crate::validate) fn check(
        &self,
        identifier: &Identifier,
        key_authorization: &KeyAuthorization,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateProblem> {
        self.check_self_signed(algorithms)?;
        self.check_names(identifier)?;
        self.check_identifier(key_authorization)
    }

    /// Checks that the certificate's own key signed it.
    fn check_self_signed(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateProblem> {
        let key = RawPublicKeyEntity::try_from(&self.public_key_der)
            .map_err(|_| CertificateProblem::Unreadable)?;
        let signed = algorithms
            .all
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm)
            .any(|algorithm| {
                key.verify_signature(*algorithm, self.tbs_der, self.signature)
                    .is_ok()
            });
        if signed && self.issuer_der == self.subject_der {
            Ok(())
        } else {
            Err(CertificateProblem::NotSelfSigned)
        }
    }

    /// Checks that the identifier is the only name.
    fn check_names(&self, identifier: &Identifier) -> Result<(), CertificateProblem> {
        let refused = || CertificateProblem::Names {
            expected: match identifier {
                Identifier::Dns(name) => format!("the DNS name {name}").into(),
                Identifier::Ip(address) => format!("the IP address {address}").into(),
                // The method does not fit devices; no certificate would do.
                Identifier::PermanentIdentifier(text) => format!("the device {text}").into(),
            },
        };
        let extension = self
            .only_extension(ID_CE_SUBJECT_ALT_NAME)
            .ok_or_else(refused)?;
        let names =
            SubjectAltName::from_der(extension.extn_value.as_bytes()).map_err(|_| refused())?;
        let fits = match (names.0.as_slice(), identifier) {
            // RFC 8737, 3: "a dNSName entry that case-insensitively matches the
            // domain name that is being validated" and nothing else.
            ([GeneralName::DnsName(found)], Identifier::Dns(name)) => {
                found.as_str().eq_ignore_ascii_case(name)
            }
            // RFC 8738, 6: an iPAddress that matches the address.
            ([GeneralName::IpAddress(found)], Identifier::Ip(IpAddr::V4(address))) => {
                found.as_bytes() == address.octets()
            }
            ([GeneralName::IpAddress(found)], Identifier::Ip(IpAddr::V6(address))) => {
                found.as_bytes() == address.octets()
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(refused()) }
    }

    /// Checks the acmeIdentifier extension.
    fn check_identifier(
        &self,
        key_authorization: &KeyAuthorization,
    ) -> Result<(), CertificateProblem> {
        let extension = self
            .only_extension(ACME_IDENTIFIER)
            .ok_or(CertificateProblem::NoIdentifier)?;
        // RFC 8737, 3: "The acmeIdentifier extension MUST be critical".
        if !extension.critical {
            return Err(CertificateProblem::NotCritical);
        }
        // Authorization ::= OCTET STRING (SIZE (32)): tag 04, length 20, the digest.
        let mut expected = vec![0x04, 0x20];
        expected.extend(key_authorization.digest());
        let value = extension.extn_value.as_bytes();
        if value == expected {
            return Ok(());
        }
        Err(CertificateProblem::Digest {
            found: Excerpt::of(hex::encode(value).as_bytes()),
            expected: hex::encode(expected).into(),
        })
    }

    /// Returns an extension if it is there once.
    fn only_extension(&self, kind: ObjectIdentifier) -> Option<&Extension> {
        let mut found = self.extensions.iter().filter(|one| one.extn_id == kind);
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }
}

/// Returns a reader of what a SEQUENCE holds.
fn contents(der: &[u8]) -> der::Result<SliceReader<'_>> {
    let sequence = AnyRef::from_der(der)?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}
