//! CMS SignedData (RFC 5652, 5) with one signer and its signed attributes.

use const_oid::ObjectIdentifier;
use jiff::Timestamp;
use model::SerialNumber;
use yasna::tags::TAG_INTEGER;
use yasna::{DERWriter, DERWriterSeq, Tag, construct_der};

use super::{append_header, write_octets, write_oid, write_time};
use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::oid;
use crate::tlv;

/// rsaEncryption with its NULL.
const RSA_ENCRYPTION: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Returns a hash's object identifier.
pub(crate) const fn hash_oid(hash: HashAlgorithm) -> ObjectIdentifier {
    match hash {
        HashAlgorithm::Sha256 => oid::SHA256,
        HashAlgorithm::Sha384 => oid::SHA384,
        HashAlgorithm::Sha512 => oid::SHA512,
    }
}

/// Writes a hash's AlgorithmIdentifier; parameters are absent (RFC 5754, 2).
pub(crate) fn write_hash(writer: DERWriter<'_>, hash: HashAlgorithm) {
    writer.write_sequence(|algorithm| write_oid(algorithm.next(), &hash_oid(hash)));
}

/// Encodes an IssuerAndSerialNumber (10.2.4).
pub(crate) fn issuer_and_serial(issuer_der: &[u8], serial: &SerialNumber) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|pair| {
            pair.next().write_der(issuer_der);
            write_octets(pair.next(), TAG_INTEGER, serial.as_der_content());
        });
    })
}

/// Encodes a SigningCertificateV2 (RFC 5035, 3) that names one certificate.
///
/// hashAlgorithm is SHA-256, its default, and so not written.
pub(crate) fn signing_certificate(
    fingerprint: &[u8; 32],
    issuer_der: &[u8],
    serial: &SerialNumber,
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|value| {
            value.next().write_sequence(|certs| {
                certs.next().write_sequence(|id| {
                    id.next().write_bytes(fingerprint);
                    id.next().write_sequence(|issuer_serial| {
                        issuer_serial.next().write_sequence(|names| {
                            // directoryName: a Name is a CHOICE, so its tag is explicit.
                            names
                                .next()
                                .write_tagged(Tag::context(4), |name| name.write_der(issuer_der));
                        });
                        write_octets(issuer_serial.next(), TAG_INTEGER, serial.as_der_content());
                    });
                });
            });
        });
    })
}

/// What is signed about a content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedAttributes<'a> {
    /// id-data, or what is encapsulated.
    pub(crate) content_type: ObjectIdentifier,
    /// The content's digest.
    pub(crate) message_digest: &'a [u8],
    /// When the signer says to sign.
    pub(crate) signing_time: Option<Timestamp>,
    /// The SigningCertificateV2.
    pub(crate) signing_certificate: &'a [u8],
}

impl SignedAttributes<'_> {
    /// Encodes the SET OF that is signed (5.4: with the tag of a SET OF).
    pub(crate) fn to_der(self) -> Vec<u8> {
        let mut attributes = vec![
            attribute(oid::CONTENT_TYPE, |value| {
                write_oid(value, &self.content_type);
            }),
            attribute(oid::MESSAGE_DIGEST, |value| {
                value.write_bytes(self.message_digest);
            }),
            attribute(oid::SIGNING_CERTIFICATE_V2, |value| {
                value.write_der(self.signing_certificate);
            }),
        ];
        attributes.extend(
            self.signing_time
                .map(|time| attribute(oid::SIGNING_TIME, |value| write_time(value, time))),
        );
        set_of(tlv::SET, attributes)
    }
}

/// Encodes an Attribute with one value.
fn attribute(kind: ObjectIdentifier, write_value: impl FnOnce(DERWriter<'_>)) -> Vec<u8> {
    let kind = construct_der(|writer| write_oid(writer, &kind));
    let values = wrap(tlv::SET, &[&construct_der(write_value)]);
    wrap(tlv::SEQUENCE, &[&kind, &values])
}

/// Encodes a SET OF with a tag: members ascend (X.690, 11.6), none is there twice.
pub(crate) fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort_unstable();
    members.dedup();
    wrap(tag, &[&members.concat()])
}

/// Encodes a value around parts of its contents.
pub(crate) fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(super::header_len(len) + len);
    append_header(&mut out, tag, len);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Returns the AlgorithmIdentifier that a SignerInfo has for a signature.
///
/// RFC 3370, 3.2: for PKCS#1 v1.5 rsaEncryption MUST be understood, whatever the hash,
/// and what names the hash too MAY be.
const fn signature_identifier(algorithm: SignatureAlgorithm) -> &'static [u8] {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => &RSA_ENCRYPTION,
        SignatureAlgorithm::RsaPss(_)
        | SignatureAlgorithm::Ecdsa(_)
        | SignatureAlgorithm::Ed25519 => algorithm.identifier_der(),
    }
}

/// Tells whether an AlgorithmIdentifier is rsaEncryption.
pub(crate) fn is_rsa_encryption(der: &[u8]) -> bool {
    der == RSA_ENCRYPTION
}

/// A SignedData with one signer, ready but for nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedData<'a> {
    /// What the content is.
    pub(crate) content_type: ObjectIdentifier,
    /// The content, if it is not detached.
    pub(crate) content: Option<&'a [u8]>,
    /// `certificates` with their `[0]`, or nothing.
    pub(crate) certificates: &'a [u8],
    /// Who signs.
    pub(crate) issuer_and_serial: &'a [u8],
    /// The hash of content and attributes.
    pub(crate) hash: HashAlgorithm,
    /// The SET OF that was signed.
    pub(crate) signed_attributes: &'a [u8],
    /// How.
    pub(crate) algorithm: SignatureAlgorithm,
    /// The signature.
    pub(crate) signature: &'a [u8],
}

impl SignedData<'_> {
    /// Encodes a ContentInfo around it.
    pub(crate) fn to_der(self) -> Vec<u8> {
        let fields = yasna::construct_der_seq(|fields| self.write_before_signers(fields));
        let fields = [&fields, self.certificates].concat();
        content_info(&fields, &self.signer_info())
    }

    /// Writes version, digestAlgorithms and encapContentInfo.
    fn write_before_signers(&self, fields: &mut DERWriterSeq<'_>) {
        // 5.1: version 3 where the content is not id-data, else 1.
        let version = if self.content_type == oid::DATA { 1 } else { 3 };
        fields.next().write_u8(version);
        fields
            .next()
            .write_set(|hashes| write_hash(hashes.next(), self.hash));
        fields.next().write_sequence(|encapsulated| {
            write_oid(encapsulated.next(), &self.content_type);
            if let Some(content) = self.content {
                encapsulated
                    .next()
                    .write_tagged(Tag::context(0), |octets| octets.write_bytes(content));
            }
        });
    }

    /// Encodes the contents of the SignerInfo (5.3).
    fn signer_info(&self) -> Vec<u8> {
        // signedAttrs: [0] IMPLICIT in the place of the SET OF that was signed.
        let mut attributes = self.signed_attributes.to_vec();
        if let Some(tag) = attributes.first_mut() {
            *tag = tlv::context_constructed(0);
        }
        yasna::construct_der_seq(|fields| {
            // 5.3: 1 for an issuerAndSerialNumber.
            fields.next().write_u8(1);
            fields.next().write_der(self.issuer_and_serial);
            write_hash(fields.next(), self.hash);
            fields.next().write_der(&attributes);
            fields
                .next()
                .write_der(signature_identifier(self.algorithm));
            fields.next().write_bytes(self.signature);
        })
    }
}

/// Encodes a ContentInfo with a SignedData of these fields and one signer.
pub(crate) fn content_info(before_signers: &[u8], signer_info: &[u8]) -> Vec<u8> {
    let signers = wrap(tlv::SET, &[&wrap(tlv::SEQUENCE, &[signer_info])]);
    let signed_data = wrap(tlv::SEQUENCE, &[before_signers, &signers]);
    let kind = construct_der(|writer| write_oid(writer, &oid::SIGNED_DATA));
    let tagged = wrap(tlv::context_constructed(0), &[&signed_data]);
    wrap(tlv::SEQUENCE, &[&kind, &tagged])
}

/// Encodes unsignedAttrs with their `[1]`: a time-stamp token alone.
pub(crate) fn time_stamp_attribute(token_der: &[u8]) -> Vec<u8> {
    let token = attribute(oid::TIME_STAMP_TOKEN, |value| value.write_der(token_der));
    wrap(tlv::context_constructed(1), &[&token])
}
