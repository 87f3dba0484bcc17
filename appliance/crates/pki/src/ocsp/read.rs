//! Responses, read strictly and without copying (RFC 6960, 4.2).

use model::{RevocationReason, Timestamp};

use super::{CertId, CertStatus, ErrorStatus};
use crate::algorithm::SignatureAlgorithm;
use crate::extension::{self, Extension};
use crate::oid;
use crate::public_key::read_oid;
use crate::time;
use crate::tlv::{self, Malformed, Reader, Tlv};

/// Why bytes are no response that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OcspResponseError {
    /// Not a DER OCSPResponse.
    #[error("the bytes are no OCSP response in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A status that RFC 6960 does not know.
    #[error("the OCSP response has the status {code}, which RFC 6960 does not know")]
    Status {
        /// The status.
        code: u8,
    },
    /// Another kind of response than id-pkix-ocsp-basic.
    #[error("the OCSP response is not of the basic kind")]
    Kind,
    /// A version other than 1.
    #[error("the OCSP response is not of version 1")]
    Version,
    /// A signature algorithm that is not known here.
    #[error("the OCSP response is signed by an algorithm that is not known or not trusted")]
    SignatureAlgorithm,
    /// An extension twice.
    #[error("the OCSP response has an extension twice")]
    RepeatedExtension,
    /// A critical extension that is not known here.
    #[error("the OCSP response has a critical extension that is not known here")]
    CriticalExtension,
}

/// A response to an OCSP request.
#[derive(Debug, Clone)]
pub enum OcspResponse<'a> {
    /// No answer.
    Refused(ErrorStatus),
    /// Answers, signed.
    Basic(BasicResponse<'a>),
}

impl<'a> OcspResponse<'a> {
    /// Reads a response, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing. The signature is not
    /// verified.
    ///
    /// # Errors
    ///
    /// What is not as RFC 6960, 4.2.1 has it.
    pub fn parse(response_der: &'a [u8]) -> Result<Self, OcspResponseError> {
        let mut outer = tlv::read_only(response_der, tlv::SEQUENCE)?.reader();
        let code = outer.expect(tlv::ENUMERATED)?.small_integer()?;
        if code != 0 {
            // 4.2.1: then responseBytes are not set.
            outer.finish()?;
            let status = ErrorStatus::ALL
                .into_iter()
                .find(|status| status.code() == code);
            return status
                .map(Self::Refused)
                .ok_or(OcspResponseError::Status { code });
        }
        let mut tagged = outer.expect(tlv::context_constructed(0))?.reader();
        outer.finish()?;
        let mut bytes = tagged.sequence()?;
        tagged.finish()?;
        if read_oid(&mut bytes)? != oid::OCSP_BASIC {
            return Err(OcspResponseError::Kind);
        }
        let mut basic = bytes.expect(tlv::OCTET_STRING)?.reader();
        bytes.finish()?;
        let mut fields = basic.sequence()?;
        basic.finish()?;
        BasicResponse::read(&mut fields).map(Self::Basic)
    }
}

/// A BasicOCSPResponse, in the bytes it came in.
#[derive(Debug, Clone)]
pub struct BasicResponse<'a> {
    /// What is signed.
    data: Data<'a>,
    /// How it is signed.
    signature_algorithm: SignatureAlgorithm,
    /// The signature.
    pub(super) signature: &'a [u8],
    /// The certificates in it, not read.
    pub(super) certificates: Reader<'a>,
}

impl<'a> BasicResponse<'a> {
    /// Reads the fields of a BasicOCSPResponse.
    fn read(fields: &mut Reader<'a>) -> Result<Self, OcspResponseError> {
        let data = fields.expect(tlv::SEQUENCE)?;
        let algorithm = fields.expect(tlv::SEQUENCE)?;
        let signature = fields.expect(tlv::BIT_STRING)?.whole_octets()?;
        let certificates = match fields.optional(tlv::context_constructed(0))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                let list = reader.sequence()?;
                reader.finish()?;
                list
            }
            None => Reader::new(&[]),
        };
        fields.finish()?;
        Ok(Self {
            data: Data::parse(data.whole)?,
            signature_algorithm: SignatureAlgorithm::from_identifier_der(algorithm.whole)
                .ok_or(OcspResponseError::SignatureAlgorithm)?,
            signature,
            certificates,
        })
    }

    /// Returns the octets that are signed.
    #[must_use]
    pub fn data_der(&self) -> &'a [u8] {
        self.data.whole
    }

    /// Returns who says to have signed it.
    #[must_use]
    pub fn responder_id(&self) -> ResponderId<'a> {
        self.data.responder_id
    }

    /// Returns when it was signed.
    #[must_use]
    pub fn produced_at(&self) -> Timestamp {
        self.data.produced_at
    }

    /// Walks the answers.
    #[must_use]
    pub fn answers(&self) -> Answers<'a> {
        self.data.answers()
    }

    /// Returns the nonce it repeats.
    #[must_use]
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.data.nonce
    }

    /// Tells whether "revoked" may mean that the certificate was never issued.
    #[must_use]
    pub fn extended_revoke(&self) -> bool {
        self.data.extended_revoke
    }

    /// Returns how it is signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }
}

/// Who signed a response (4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponderId<'a> {
    /// By Name, DER.
    Name(&'a [u8]),
    /// By SHA-1 of the key octets.
    KeyHash(&'a [u8]),
}

/// What a ResponseData says, every answer checked.
#[derive(Debug, Clone)]
pub(super) struct Data<'a> {
    /// The ResponseData.
    pub(super) whole: &'a [u8],
    /// Who signed it.
    pub(super) responder_id: ResponderId<'a>,
    /// When.
    pub(super) produced_at: Timestamp,
    /// The answers, joined.
    answers: Reader<'a>,
    /// How many there are.
    pub(super) count: usize,
    /// The nonce.
    pub(super) nonce: Option<&'a [u8]>,
    /// id-pkix-ocsp-extended-revoke.
    pub(super) extended_revoke: bool,
    /// Whether an extension of the response is critical, or not known here.
    pub(super) odd_extensions: bool,
}

impl<'a> Data<'a> {
    /// Reads a ResponseData.
    ///
    /// Bytes are hostile: never panics, allocates nothing.
    pub(super) fn parse(data_der: &'a [u8]) -> Result<Self, OcspResponseError> {
        let mut fields = tlv::read_only(data_der, tlv::SEQUENCE)?.reader();
        if fields.optional(tlv::context_constructed(0))?.is_some() {
            // v1 is the default and not written (X.690, 11.5); there is no other.
            return Err(OcspResponseError::Version);
        }
        let responder_id = read_responder_id(fields.next()?)?;
        let produced_at = time::read_generalized(fields.next()?)?;
        let answers = fields.sequence()?;
        let mut count = 0;
        let mut reader = answers.clone();
        while !reader.is_empty() {
            AnswerRead::read(&mut reader)?;
            count += 1;
        }
        let mut data = Self {
            whole: data_der,
            responder_id,
            produced_at,
            answers,
            count,
            nonce: None,
            extended_revoke: false,
            odd_extensions: false,
        };
        if let Some(tagged) = fields.optional(tlv::context_constructed(1))? {
            walk_extensions(tagged, |extension| data.read_extension(extension))?;
        }
        fields.finish()?;
        Ok(data)
    }

    /// Reads one of responseExtensions.
    fn read_extension(&mut self, extension: Extension<'a>) -> Result<(), OcspResponseError> {
        self.odd_extensions |= extension.critical;
        let mut value = extension.value.reader();
        match extension.kind {
            oid::OCSP_NONCE => self.nonce = Some(value.expect(tlv::OCTET_STRING)?.content),
            oid::OCSP_EXTENDED_REVOKE => {
                let null = value.expect(tlv::NULL)?;
                if !null.content.is_empty() {
                    return Err(null.refuse("a NULL with contents").into());
                }
                self.extended_revoke = true;
            }
            _ if extension.critical => return Err(OcspResponseError::CriticalExtension),
            _ => {
                self.odd_extensions = true;
                return Ok(());
            }
        }
        Ok(value.finish()?)
    }

    /// Walks the answers.
    pub(super) fn answers(&self) -> Answers<'a> {
        Answers {
            reader: self.answers.clone(),
            left: self.count,
        }
    }
}

/// The answers of a response, one after the other.
#[derive(Debug, Clone)]
pub struct Answers<'a> {
    /// What has not been read.
    reader: Reader<'a>,
    /// How many are left.
    left: usize,
}

impl<'a> Iterator for Answers<'a> {
    type Item = AnswerRead<'a>;

    fn next(&mut self) -> Option<AnswerRead<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        // Read once already: none fails here.
        AnswerRead::read(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Answers<'_> {}

/// One SingleResponse, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerRead<'a> {
    /// Which certificate.
    pub cert_id: CertId<'a>,
    /// Its status.
    pub status: CertStatus,
    /// When the status was known to be right.
    pub this_update: Timestamp,
    /// When more will be known.
    pub next_update: Option<Timestamp>,
    /// Since when the statuses of expired certificates are kept.
    pub archive_cutoff: Option<Timestamp>,
    /// The reason written out.
    pub(super) written_reason: Option<RevocationReason>,
    /// Whether an extension is critical, or not known here.
    pub(super) odd_extensions: bool,
}

impl<'a> AnswerRead<'a> {
    /// Reads the next SingleResponse.
    fn read(list: &mut Reader<'a>) -> Result<Self, OcspResponseError> {
        let mut fields = list.sequence()?;
        let cert_id = CertId::read(&mut fields)?;
        let (status, written_reason) = read_status(fields.next()?)?;
        let this_update = time::read_generalized(fields.next()?)?;
        let next_update = match fields.optional(tlv::context_constructed(0))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                let time = time::read_generalized(reader.next()?)?;
                reader.finish()?;
                Some(time)
            }
            None => None,
        };
        let mut answer = Self {
            cert_id,
            status,
            this_update,
            next_update,
            archive_cutoff: None,
            written_reason,
            odd_extensions: false,
        };
        if let Some(tagged) = fields.optional(tlv::context_constructed(1))? {
            walk_extensions(tagged, |extension| answer.read_extension(extension))?;
        }
        fields.finish()?;
        Ok(answer)
    }

    /// Reads one of singleExtensions.
    fn read_extension(&mut self, extension: Extension<'a>) -> Result<(), OcspResponseError> {
        self.odd_extensions |= extension.critical;
        match extension.kind {
            oid::OCSP_ARCHIVE_CUTOFF => {
                let mut value = extension.value.reader();
                self.archive_cutoff = Some(time::read_generalized(value.next()?)?);
                Ok(value.finish()?)
            }
            _ if extension.critical => Err(OcspResponseError::CriticalExtension),
            _ => {
                self.odd_extensions = true;
                Ok(())
            }
        }
    }
}

/// Reads ResponderID.
fn read_responder_id(tlv: Tlv<'_>) -> Result<ResponderId<'_>, Malformed> {
    let mut reader = tlv.reader();
    let id = match tlv.tag {
        tag if tag == tlv::context_constructed(1) => {
            ResponderId::Name(reader.expect(tlv::SEQUENCE)?.whole)
        }
        tag if tag == tlv::context_constructed(2) => {
            let hash = reader.expect(tlv::OCTET_STRING)?;
            if hash.content.len() != 20 {
                return Err(hash.refuse("a KeyHash that is no SHA-1"));
            }
            ResponderId::KeyHash(hash.content)
        }
        _ => return Err(tlv.refuse("a responder named neither by name nor by key")),
    };
    reader.finish()?;
    Ok(id)
}

/// Reads CertStatus; tells besides which reason was written out.
fn read_status(tlv: Tlv<'_>) -> Result<(CertStatus, Option<RevocationReason>), Malformed> {
    let plain = |status| match tlv.content {
        [] => Ok((status, None)),
        _ => Err(tlv.refuse("a NULL with contents")),
    };
    match tlv.tag {
        tag if tag == tlv::context(0) => plain(CertStatus::Good),
        tag if tag == tlv::context(2) => plain(CertStatus::Unknown),
        tag if tag == tlv::context_constructed(1) => {
            let mut fields = tlv.reader();
            let at = time::read_generalized(fields.next()?)?;
            let written = match fields.optional(tlv::context_constructed(0))? {
                Some(tagged) => {
                    let mut reader = tagged.reader();
                    let code = reader.expect(tlv::ENUMERATED)?;
                    reader.finish()?;
                    let reason = RevocationReason::from_code(code.small_integer()?)
                        .map_err(|_| code.refuse("a reason that RFC 5280 does not know"))?;
                    Some(reason)
                }
                None => None,
            };
            fields.finish()?;
            let reason = written.unwrap_or(RevocationReason::Unspecified);
            Ok((CertStatus::Revoked { at, reason }, written))
        }
        _ => Err(tlv.refuse("a status that is neither good nor revoked nor unknown")),
    }
}

/// Shows each of Extensions behind a tag.
fn walk_extensions<'a>(
    tagged: Tlv<'a>,
    see: impl FnMut(Extension<'a>) -> Result<(), OcspResponseError>,
) -> Result<(), OcspResponseError> {
    let mut reader = tagged.reader();
    let list = reader.sequence()?;
    reader.finish()?;
    extension::walk_few(list, OcspResponseError::RepeatedExtension, see)
}
