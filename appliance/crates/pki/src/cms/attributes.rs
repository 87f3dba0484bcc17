//! Signed attributes, read strictly and without copying (RFC 5652, 11; RFC 5035).

use const_oid::ObjectIdentifier;
use model::Timestamp;

use super::CmsError;
use super::read::read_hash;
use crate::algorithm::{self, HashAlgorithm};
use crate::certificate::Certificate;
use crate::oid;
use crate::public_key::read_oid;
use crate::time;
use crate::tlv::{self, Malformed, Problem, Reader, Tlv};

/// Most attributes that are read.
const MAX_ATTRIBUTES: usize = 32;

/// Attributes of a SignerInfo.
#[derive(Debug, Clone)]
pub(crate) struct SignedAttributes<'a> {
    /// What the content is.
    pub(crate) content_type: ObjectIdentifier,
    /// The content's digest.
    pub(crate) message_digest: &'a [u8],
    /// When the signer says to have signed.
    pub(crate) signing_time: Option<Timestamp>,
    /// The signer's certificate, named by its hash.
    pub(crate) signing_certificate: Option<EssCertId<'a>>,
    /// How many certificates the attribute names.
    pub(crate) certificates_named: usize,
    /// Whether there is an attribute that is not kept here.
    pub(crate) others: bool,
}

/// An ESSCertIDv2 (RFC 5035, 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EssCertId<'a> {
    /// By which hash.
    pub(crate) hash: HashAlgorithm,
    /// The hash of the certificate.
    pub(crate) cert_hash: &'a [u8],
    /// Issuer's Name and serial number.
    pub(crate) issuer_serial: Option<(&'a [u8], &'a [u8])>,
}

impl EssCertId<'_> {
    /// Tells whether it names a certificate.
    pub(crate) fn names(&self, certificate: &Certificate) -> bool {
        let digest = algorithm::digest_of(self.hash, certificate.der());
        digest.octets() == self.cert_hash
            && self.issuer_serial.is_none_or(|(issuer_der, serial)| {
                issuer_der == certificate.issuer_der()
                    && serial == certificate.serial().as_der_content()
            })
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found<'a> {
    /// contentType.
    content_type: Option<ObjectIdentifier>,
    /// messageDigest.
    message_digest: Option<&'a [u8]>,
    /// signingTime.
    signing_time: Option<Timestamp>,
    /// signingCertificateV2.
    signing_certificate: Option<EssCertId<'a>>,
    /// How many certificates that names.
    certificates_named: usize,
    /// Anything else.
    others: bool,
}

impl<'a> SignedAttributes<'a> {
    /// Reads a SET OF Attribute, whatever its tag.
    ///
    /// Bytes are hostile: never panics, allocates for at most 32 attributes.
    pub(crate) fn read(set: Tlv<'a>) -> Result<Self, CmsError> {
        let mut list = set.reader();
        let mut found = Found::default();
        let mut seen = Vec::new();
        let mut before: &[u8] = &[];
        while !list.is_empty() {
            let attribute = list.expect(tlv::SEQUENCE)?;
            // RFC 5652, 5.4: signedAttrs are DER; X.690, 11.6: in ascending order.
            if attribute.whole <= before {
                return Err(attribute.refuse("signed attributes out of order").into());
            }
            before = attribute.whole;
            let mut fields = attribute.reader();
            let kind = read_oid(&mut fields)?;
            let values = fields.expect(tlv::SET)?;
            fields.finish()?;
            if seen.contains(&kind) {
                return Err(CmsError::RepeatedAttribute);
            }
            if seen.len() == MAX_ATTRIBUTES {
                return Err(attribute.refuse("more attributes than are read").into());
            }
            seen.push(kind);
            found.read(kind, values)?;
        }
        Ok(Self {
            content_type: found.content_type.ok_or(CmsError::MissingAttribute {
                attribute: "contentType",
            })?,
            message_digest: found.message_digest.ok_or(CmsError::MissingAttribute {
                attribute: "messageDigest",
            })?,
            signing_time: found.signing_time,
            signing_certificate: found.signing_certificate,
            certificates_named: found.certificates_named,
            others: found.others,
        })
    }
}

impl<'a> Found<'a> {
    /// Reads the values of one attribute: one value each where they are known
    /// (RFC 5652, 11.1 to 11.3).
    fn read(&mut self, kind: ObjectIdentifier, values: Tlv<'a>) -> Result<(), CmsError> {
        let mut reader = values.reader();
        match kind {
            oid::CONTENT_TYPE => self.content_type = Some(read_oid(&mut reader)?),
            oid::MESSAGE_DIGEST => {
                self.message_digest = Some(reader.expect(tlv::OCTET_STRING)?.content);
            }
            oid::SIGNING_TIME => {
                let read = time::read(reader.next()?)?;
                if !read.canonical {
                    // 11.3: MUST be UTCTime through 2049.
                    return Err(values.refuse("a signing time in the wrong form").into());
                }
                self.signing_time = Some(read.time);
            }
            oid::SIGNING_CERTIFICATE_V2 => {
                let (first, count) = read_signing_certificate(&mut reader)?;
                (self.signing_certificate, self.certificates_named) = (Some(first), count);
            }
            _ => {
                self.others = true;
                return Ok(());
            }
        }
        Ok(reader.finish()?)
    }
}

/// Reads a SigningCertificateV2; returns the first certificate, which is the signer's
/// (RFC 5035, 3), and how many there are.
fn read_signing_certificate<'a>(
    reader: &mut Reader<'a>,
) -> Result<(EssCertId<'a>, usize), CmsError> {
    let mut value = reader.sequence()?;
    let mut certs = value.sequence()?;
    // policies.
    value.optional(tlv::SEQUENCE)?;
    value.finish()?;
    let first = read_ess_cert_id(&mut certs)?;
    let mut count = 1;
    while !certs.is_empty() {
        certs.expect(tlv::SEQUENCE)?;
        count += 1;
    }
    Ok((first, count))
}

/// Reads an ESSCertIDv2.
fn read_ess_cert_id<'a>(certs: &mut Reader<'a>) -> Result<EssCertId<'a>, CmsError> {
    let mut fields = certs.sequence()?;
    let hash = match fields.peek() {
        Some(tlv::SEQUENCE) => {
            // SHA-256 is the default, which many write out all the same.
            read_hash(&mut fields)?.ok_or(CmsError::SigningCertificate)?
        }
        _ => HashAlgorithm::Sha256,
    };
    let cert_hash = fields.expect(tlv::OCTET_STRING)?.content;
    let issuer_serial = match fields.optional(tlv::SEQUENCE)? {
        Some(pair) => Some(read_issuer_serial(pair)?),
        None => None,
    };
    fields.finish()?;
    Ok(EssCertId {
        hash,
        cert_hash,
        issuer_serial,
    })
}

/// Reads an IssuerSerial: a Name and the contents of an INTEGER.
fn read_issuer_serial(pair: Tlv<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let mut fields = pair.reader();
    let mut names = fields.sequence()?;
    let general_name = names.expect(tlv::context_constructed(4))?;
    if !names.is_empty() {
        // RFC 5035, 4: MUST contain only the issuer's directoryName.
        return Err(names.refuse(Problem::Content("an issuer of several names")));
    }
    let mut choice = general_name.reader();
    let name = choice.expect(tlv::SEQUENCE)?;
    choice.finish()?;
    let serial = fields.expect(tlv::INTEGER)?.integer()?;
    fields.finish()?;
    Ok((name.whole, serial))
}
