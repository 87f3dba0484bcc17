//! SignedData with one signer, read strictly and without copying (RFC 5652, 5).

use const_oid::ObjectIdentifier;
use model::Timestamp;

use super::SignedAttributes;
use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::encode::cms as encode;
use crate::oid;
use crate::public_key::read_oid;
use crate::tlv::{self, Malformed, Reader, Tlv};

/// Most octets of a signature with its certificates.
const MAX_BYTES: usize = 256 * 1024;

/// Most certificates in one.
const MAX_CERTIFICATES: usize = 16;

/// Why bytes are no signature that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// More octets than are read.
    #[error("the CMS signature has {len} octets; at most {max} are read")]
    TooLong {
        /// Octets given.
        len: usize,
        /// Most octets read.
        max: usize,
    },
    /// Not DER, or not the structure.
    #[error("the bytes are no CMS signature in DER: {0}")]
    Encoding(#[from] Malformed),
    /// Another kind of message than SignedData.
    #[error("the CMS message is no SignedData")]
    ContentType,
    /// A version that RFC 5652 does not know.
    #[error("the CMS message has a version that RFC 5652 does not know")]
    Version,
    /// More certificates than are read.
    #[error("the CMS message holds more than {max} certificates")]
    TooManyCertificates {
        /// Most certificates.
        max: usize,
    },
    /// None, or several signers.
    #[error("the CMS message does not have exactly one signer")]
    Signers,
    /// Without signed attributes.
    #[error("the CMS signer signed no attributes")]
    NoSignedAttributes,
    /// An attribute that must be there is not.
    #[error("the CMS signer did not sign {attribute}")]
    MissingAttribute {
        /// Its name.
        attribute: &'static str,
    },
    /// An attribute twice.
    #[error("the CMS signer has an attribute twice")]
    RepeatedAttribute,
    /// The content's type and the attribute differ.
    #[error("the CMS signer signed another content type than the message has")]
    OtherContentType,
    /// A hash other than SHA-256, SHA-384 and SHA-512.
    #[error("the CMS content is digested by a hash that is not known or no longer trusted")]
    DigestAlgorithm,
    /// A digest of another length than its hash has.
    #[error("the CMS content's digest does not have the length of its hash")]
    DigestLength,
    /// A signature algorithm that is not known here, or of another hash than the content's.
    #[error(
        "the CMS message is signed by an algorithm that is not known, not trusted, or of another hash than its content"
    )]
    SignatureAlgorithm,
    /// The signer's certificate is named by a hash that is not known here.
    #[error(
        "the CMS signer's certificate is named by a hash that is not known or no longer trusted"
    )]
    SigningCertificate,
}

/// Reads an AlgorithmIdentifier of a hash; none where it is not known here.
///
/// RFC 5754, 2: with SHA-2 both NULL and nothing MUST be accepted.
pub(crate) fn read_hash(reader: &mut Reader<'_>) -> Result<Option<HashAlgorithm>, Malformed> {
    let mut fields = reader.sequence()?;
    let kind = read_oid(&mut fields)?;
    let hash = HashAlgorithm::ALL
        .into_iter()
        .find(|hash| encode::hash_oid(*hash) == kind);
    if let Some(null) = fields.optional(tlv::NULL)?
        && !null.content.is_empty()
    {
        return Err(null.refuse("a NULL with contents"));
    }
    if hash.is_some() {
        fields.finish()?;
    }
    Ok(hash)
}

/// Who signed, as a SignerInfo names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignerId<'a> {
    /// Issuer's Name, and the contents of the serial number's INTEGER.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    /// subjectKeyIdentifier.
    KeyIdentifier(&'a [u8]),
}

/// A SignedData, in the bytes it came in; its signature is not verified.
#[derive(Debug, Clone)]
pub struct SignedData<'a> {
    /// Fields of the SignedData before its signers.
    pub(super) before_signers: &'a [u8],
    /// What the content is.
    content_type: ObjectIdentifier,
    /// The content, if it is not detached.
    content: Option<&'a [u8]>,
    /// The certificates in it, counted and not read.
    certificates: Reader<'a>,
    /// The signer.
    pub(super) signer: SignerInfo<'a>,
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo with a SignedData, DER.
    ///
    /// Bytes are hostile: never panics, allocates for at most 32 attributes.
    ///
    /// # Errors
    ///
    /// What is not as RFC 5652, 5 has it, not DER, without signed attributes, or beyond
    /// the limits.
    pub fn parse(content_info_der: &'a [u8]) -> Result<Self, CmsError> {
        if content_info_der.len() > MAX_BYTES {
            return Err(CmsError::TooLong {
                len: content_info_der.len(),
                max: MAX_BYTES,
            });
        }
        let mut outer = tlv::read_only(content_info_der, tlv::SEQUENCE)?.reader();
        if read_oid(&mut outer)? != oid::SIGNED_DATA {
            return Err(CmsError::ContentType);
        }
        let mut tagged = outer.expect(tlv::context_constructed(0))?.reader();
        outer.finish()?;
        let mut fields = tagged.sequence()?;
        tagged.finish()?;
        Self::read(&mut fields)
    }

    /// Reads the fields of a SignedData.
    fn read(fields: &mut Reader<'a>) -> Result<Self, CmsError> {
        let all = fields.rest();
        // 5.1: 1, or 3 to 5 by what is in it.
        if !matches!(fields.expect(tlv::INTEGER)?.small_integer()?, 1 | 3..=5) {
            return Err(CmsError::Version);
        }
        let mut hashes = fields.expect(tlv::SET)?.reader();
        while !hashes.is_empty() {
            hashes.expect(tlv::SEQUENCE)?;
        }
        let mut encapsulated = fields.sequence()?;
        let content_type = read_oid(&mut encapsulated)?;
        let content = match encapsulated.optional(tlv::context_constructed(0))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                let octets = reader.expect(tlv::OCTET_STRING)?;
                reader.finish()?;
                Some(octets.content)
            }
            None => None,
        };
        encapsulated.finish()?;
        let certificates = match fields.optional(tlv::context_constructed(0))? {
            Some(set) => count_certificates(set)?,
            None => Reader::new(&[]),
        };
        // CRLs are passed over.
        fields.optional(tlv::context_constructed(1))?;
        let before = all.len() - fields.rest().len();
        let mut signers = fields.expect(tlv::SET)?.reader();
        fields.finish()?;
        if signers.is_empty() {
            return Err(CmsError::Signers);
        }
        let signer = SignerInfo::read(&mut signers)?;
        if !signers.is_empty() {
            return Err(CmsError::Signers);
        }
        // 11.1: MUST match.
        if signer.attributes.content_type != content_type {
            return Err(CmsError::OtherContentType);
        }
        Ok(Self {
            before_signers: all.get(..before).unwrap_or(&[]),
            content_type,
            content,
            certificates,
            signer,
        })
    }

    /// Returns what the content is.
    pub(crate) fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// Tells whether this is a signature of plain data that lies elsewhere.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.content_type == oid::DATA && self.content.is_none()
    }

    /// Returns the content; none where it is detached.
    #[must_use]
    pub fn content(&self) -> Option<&'a [u8]> {
        self.content
    }

    /// Walks the certificates, DER, none of them read.
    #[must_use]
    pub fn certificates(&self) -> CmsCertificates<'a> {
        CmsCertificates {
            reader: self.certificates.clone(),
        }
    }

    /// Returns the hash of content and attributes.
    #[must_use]
    pub fn digest_algorithm(&self) -> HashAlgorithm {
        self.signer.hash
    }

    /// Returns the digest of the content, as it was signed.
    #[must_use]
    pub fn message_digest(&self) -> &'a [u8] {
        self.signer.attributes.message_digest
    }

    /// Returns when the signer says to have signed.
    #[must_use]
    pub fn signing_time(&self) -> Option<Timestamp> {
        self.signer.attributes.signing_time
    }

    /// Returns how it is signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signer.signature_algorithm
    }

    /// Returns the signature.
    #[must_use]
    pub fn signature(&self) -> &'a [u8] {
        self.signer.signature
    }

    /// Returns the time-stamp token of the signature (RFC 3161, A), DER, not verified.
    #[must_use]
    pub fn time_stamp_token(&self) -> Option<&'a [u8]> {
        self.signer.time_stamp_token
    }

    /// Returns the attributes that are signed.
    pub(crate) fn attributes(&self) -> &SignedAttributes<'a> {
        &self.signer.attributes
    }

    /// Tells whether a certificate is the signer's by its name.
    #[must_use]
    pub fn is_by(&self, certificate: &Certificate) -> bool {
        match self.signer.id {
            SignerId::IssuerAndSerial(issuer_der, serial) => {
                certificate.issuer_der() == issuer_der
                    && certificate.serial().as_der_content() == serial
            }
            SignerId::KeyIdentifier(identifier) => {
                let own = &certificate.extensions().subject_key_identifier;
                own.as_deref() == Some(identifier)
            }
        }
    }
}

/// Counts CertificateChoices.
fn count_certificates(set: Tlv<'_>) -> Result<Reader<'_>, CmsError> {
    let mut reader = set.reader();
    for _ in 0..=MAX_CERTIFICATES {
        if reader.is_empty() {
            return Ok(set.reader());
        }
        reader.next()?;
    }
    Err(CmsError::TooManyCertificates {
        max: MAX_CERTIFICATES,
    })
}

/// The certificates of a SignedData, one after the other; attribute certificates and
/// other formats are passed over.
#[derive(Debug, Clone)]
pub struct CmsCertificates<'a> {
    /// What has not been read.
    reader: Reader<'a>,
}

impl<'a> Iterator for CmsCertificates<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Walked once already: none fails here.
        while let Ok(choice) = self.reader.next() {
            if choice.tag == tlv::SEQUENCE {
                return Some(choice.whole);
            }
        }
        None
    }
}

/// A SignerInfo (5.3).
#[derive(Debug, Clone)]
pub(super) struct SignerInfo<'a> {
    /// Its fields before unsignedAttrs.
    pub(super) before_unsigned: &'a [u8],
    /// Whether there are unsignedAttrs.
    pub(super) has_unsigned: bool,
    /// Who signed.
    id: SignerId<'a>,
    /// The hash of content and attributes.
    hash: HashAlgorithm,
    /// signedAttrs with their `[0]`.
    attributes_whole: &'a [u8],
    /// signedAttrs.
    attributes: SignedAttributes<'a>,
    /// How it is signed.
    signature_algorithm: SignatureAlgorithm,
    /// The signature.
    signature: &'a [u8],
    /// The token of an unsigned attribute.
    time_stamp_token: Option<&'a [u8]>,
}

impl<'a> SignerInfo<'a> {
    /// Reads the next SignerInfo.
    fn read(signers: &mut Reader<'a>) -> Result<Self, CmsError> {
        let mut fields = signers.sequence()?;
        let all = fields.rest();
        let version = fields.expect(tlv::INTEGER)?.small_integer()?;
        let id = read_signer_id(&mut fields)?;
        // 5.3: 1 with issuerAndSerialNumber, 3 with subjectKeyIdentifier.
        match (version, id) {
            (1, SignerId::IssuerAndSerial(..)) | (3, SignerId::KeyIdentifier(_)) => {}
            (_, SignerId::IssuerAndSerial(..) | SignerId::KeyIdentifier(_)) => {
                return Err(CmsError::Version);
            }
        }
        let hash = read_hash(&mut fields)?.ok_or(CmsError::DigestAlgorithm)?;
        let set = fields
            .optional(tlv::context_constructed(0))?
            .ok_or(CmsError::NoSignedAttributes)?;
        let attributes = SignedAttributes::read(set)?;
        if attributes.message_digest.len() != hash.digest_len() {
            return Err(CmsError::DigestLength);
        }
        let algorithm = fields.expect(tlv::SEQUENCE)?;
        let signature_algorithm = if encode::is_rsa_encryption(algorithm.whole) {
            SignatureAlgorithm::RsaPkcs1(hash)
        } else {
            // RFC 5652, 5.4: the hash of the attributes is that of the content.
            SignatureAlgorithm::from_identifier_der(algorithm.whole)
                .filter(|known| known.hash() == Some(hash))
                .ok_or(CmsError::SignatureAlgorithm)?
        };
        let signature = fields.expect(tlv::OCTET_STRING)?.content;
        let before = all.len() - fields.rest().len();
        let unsigned = fields.optional(tlv::context_constructed(1))?;
        fields.finish()?;
        Ok(Self {
            before_unsigned: all.get(..before).unwrap_or(&[]),
            has_unsigned: unsigned.is_some(),
            id,
            hash,
            attributes_whole: set.whole,
            attributes,
            signature_algorithm,
            signature,
            time_stamp_token: match unsigned {
                Some(set) => read_time_stamp(set)?,
                None => None,
            },
        })
    }

    /// Returns what is signed: the attributes with the tag of a SET OF (5.4).
    pub(super) fn signed_octets(&self) -> Vec<u8> {
        let mut octets = self.attributes_whole.to_vec();
        if let Some(tag) = octets.first_mut() {
            *tag = tlv::SET;
        }
        octets
    }
}

/// Reads a SignerIdentifier.
fn read_signer_id<'a>(fields: &mut Reader<'a>) -> Result<SignerId<'a>, Malformed> {
    if let Some(identifier) = fields.optional(tlv::context(0))? {
        return Ok(SignerId::KeyIdentifier(identifier.content));
    }
    let mut pair = fields.sequence()?;
    let issuer = pair.expect(tlv::SEQUENCE)?;
    let serial = pair.expect(tlv::INTEGER)?.integer()?;
    pair.finish()?;
    Ok(SignerId::IssuerAndSerial(issuer.whole, serial))
}

/// Finds the time-stamp token among unsignedAttrs.
fn read_time_stamp(set: Tlv<'_>) -> Result<Option<&[u8]>, CmsError> {
    let mut list = set.reader();
    let mut token = None;
    while !list.is_empty() {
        let mut fields = list.sequence()?;
        let kind = read_oid(&mut fields)?;
        let mut values = fields.expect(tlv::SET)?.reader();
        fields.finish()?;
        if kind != oid::TIME_STAMP_TOKEN {
            continue;
        }
        let value = values.expect(tlv::SEQUENCE)?;
        values.finish()?;
        if token.replace(value.whole).is_some() {
            return Err(CmsError::RepeatedAttribute);
        }
    }
    Ok(token)
}
