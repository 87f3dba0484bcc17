//! Requests (RFC 6960, 4.1), from strangers and to others.

use super::CertId;
use crate::encode;
use crate::extension::{self, Extension};
use crate::oid;
use crate::tlv::{self, Malformed, Problem, Reader};

/// How much a request may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most octets.
    pub max_bytes: usize,
    /// Most certificates.
    pub max_certificates: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024,
            max_certificates: 64,
        }
    }
}

/// Why bytes are no request that is answered; the answer is `malformedRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OcspRequestError {
    /// More octets than are read.
    #[error("the OCSP request has {len} octets; at most {max} are read")]
    TooLong {
        /// Octets given.
        len: usize,
        /// Most octets read.
        max: usize,
    },
    /// More certificates than are answered at once.
    #[error("the OCSP request asks about more than {max} certificates")]
    TooMany {
        /// Most certificates.
        max: usize,
    },
    /// Not a DER OCSPRequest.
    #[error("the bytes are no OCSP request in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 1.
    #[error("the OCSP request is not of version 1")]
    Version,
    /// A nonce that no client may send (RFC 9654, 2.1).
    #[error("the OCSP request's nonce has {len} octets; 1 to 128 are allowed (RFC 9654, 2.1)")]
    Nonce {
        /// Octets of the nonce.
        len: usize,
    },
    /// An extension twice.
    #[error("the OCSP request has an extension twice")]
    RepeatedExtension,
    /// A critical extension that is not known here.
    #[error("the OCSP request has a critical extension that is not known here")]
    CriticalExtension,
}

/// Most octets of a nonce (RFC 9654, 2.1).
pub(super) const MAX_NONCE: usize = 128;

/// An OCSP request, in the bytes it came in.
#[derive(Debug, Clone)]
pub struct OcspRequest<'a> {
    /// The first certificate asked about.
    first: CertId<'a>,
    /// All of requestList, every one read once.
    list: Reader<'a>,
    /// How many.
    count: usize,
    /// The nonce.
    nonce: Option<&'a [u8]>,
    /// Whether there is a signature.
    signed: bool,
}

impl<'a> OcspRequest<'a> {
    /// Reads a request, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing. A signature is passed over
    /// (RFC 9919 lets responders), and so are extensions that only wish for something.
    ///
    /// # Errors
    ///
    /// What is not as RFC 6960, 4.1 and RFC 9654 have it, or beyond the limits.
    pub fn parse(request_der: &'a [u8], limits: &RequestLimits) -> Result<Self, OcspRequestError> {
        if request_der.len() > limits.max_bytes {
            return Err(OcspRequestError::TooLong {
                len: request_der.len(),
                max: limits.max_bytes,
            });
        }
        let mut outer = tlv::read_only(request_der, tlv::SEQUENCE)?.reader();
        let mut tbs = outer.sequence()?;
        // optionalSignature.
        let signed = match outer.optional(tlv::context_constructed(0))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                reader.sequence()?;
                reader.finish()?;
                true
            }
            None => false,
        };
        outer.finish()?;
        if let Some(version) = tbs.optional(tlv::context_constructed(0))? {
            let mut reader = version.reader();
            let number = reader.expect(tlv::INTEGER)?;
            reader.finish()?;
            return Err(match number.integer()? {
                // X.690, 11.5: the default is not written.
                [0] => number.refuse("a default value written out").into(),
                _ => OcspRequestError::Version,
            });
        }
        // requestorName.
        if let Some(name) = tbs.optional(tlv::context_constructed(1))? {
            let mut reader = name.reader();
            reader.next()?;
            reader.finish()?;
        }
        let list = tbs.sequence()?;
        let (first, count) = read_list(list.clone(), limits)?;
        let nonce = match tbs.optional(tlv::context_constructed(2))? {
            Some(tagged) => {
                let mut reader = tagged.reader();
                let extensions = reader.sequence()?;
                reader.finish()?;
                read_extensions(extensions)?
            }
            None => None,
        };
        tbs.finish()?;
        Ok(Self {
            first,
            list,
            count,
            nonce,
            signed,
        })
    }

    /// Returns how many certificates are asked about, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the first certificate asked about; mostly the only one.
    #[must_use]
    pub fn first(&self) -> CertId<'a> {
        self.first
    }

    /// Walks the certificates asked about.
    #[must_use]
    pub fn cert_ids(&self) -> CertIds<'a> {
        CertIds {
            list: self.list.clone(),
            left: self.count,
        }
    }

    /// Returns the nonce, 1 to 128 octets.
    #[must_use]
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.nonce
    }

    /// Tells whether the request is signed; by whom was not looked at.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }
}

/// The certificates of a request, one after the other.
#[derive(Debug, Clone)]
pub struct CertIds<'a> {
    /// What has not been read.
    list: Reader<'a>,
    /// How many are left.
    left: usize,
}

impl<'a> Iterator for CertIds<'a> {
    type Item = CertId<'a>;

    fn next(&mut self) -> Option<CertId<'a>> {
        self.left = self.left.saturating_sub(1);
        // Read once already: none fails here.
        let mut one = self.list.sequence().ok()?;
        CertId::read(&mut one).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for CertIds<'_> {}

/// Reads requestList: its first CertID, and how many there are.
fn read_list<'a>(
    mut list: Reader<'a>,
    limits: &RequestLimits,
) -> Result<(CertId<'a>, usize), OcspRequestError> {
    let mut first = None;
    let mut count = 0;
    while !list.is_empty() {
        if count == limits.max_certificates {
            return Err(OcspRequestError::TooMany {
                max: limits.max_certificates,
            });
        }
        let mut one = list.sequence()?;
        let cert_id = CertId::read(&mut one)?;
        // singleRequestExtensions.
        if let Some(tagged) = one.optional(tlv::context_constructed(0))? {
            let mut reader = tagged.reader();
            let extensions = reader.sequence()?;
            reader.finish()?;
            read_extensions(extensions)?;
        }
        one.finish()?;
        first.get_or_insert(cert_id);
        count += 1;
    }
    let empty = list.refuse(Problem::Content("a request for nothing"));
    Ok((first.ok_or(empty)?, count))
}

/// Reads Extensions and returns the nonce among them.
fn read_extensions(list: Reader<'_>) -> Result<Option<&[u8]>, OcspRequestError> {
    let mut nonce = None;
    extension::walk_few(list, OcspRequestError::RepeatedExtension, |extension| {
        match extension.kind {
            oid::OCSP_NONCE => nonce = Some(read_nonce(extension)?),
            // Wishes, which a responder is free to ignore (RFC 6960, 4.4).
            oid::OCSP_RESPONSE | oid::OCSP_SERVICE_LOCATOR | oid::OCSP_PREFERRED_ALGORITHMS => {}
            _ if extension.critical => return Err(OcspRequestError::CriticalExtension),
            _ => {}
        }
        Ok(())
    })?;
    Ok(nonce)
}

/// Reads a Nonce.
fn read_nonce(extension: Extension<'_>) -> Result<&[u8], OcspRequestError> {
    let mut value = extension.value.reader();
    let nonce = value.expect(tlv::OCTET_STRING)?.content;
    value.finish()?;
    // RFC 9654, 2.1: a length of 0 or beyond 128 octets MUST be answered with
    // malformedRequest.
    match nonce.len() {
        1..=MAX_NONCE => Ok(nonce),
        len => Err(OcspRequestError::Nonce { len }),
    }
}

/// Encodes a request about certificates, unsigned.
///
/// CertIDs are from [`super::IssuerHashes::cert_id_der`]; a nonce should have 32 random
/// octets (RFC 9654, 2.1).
#[must_use]
pub fn encode_request(cert_id_ders: &[&[u8]], nonce: Option<&[u8]>) -> Vec<u8> {
    encode::ocsp::request(cert_id_ders, nonce)
}
