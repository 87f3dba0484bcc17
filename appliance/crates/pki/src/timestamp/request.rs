//! Requests (RFC 3161, 2.4.1), from strangers and to others.

use model::signing::{ArtifactDigest, HashAlgorithm};

use super::{FailureInfo, PolicyOid};
use crate::cms::read_hash;
use crate::encode::timestamp as encode;
use crate::public_key::read_oid;
use crate::tlv::{self, Malformed, Reader, Tlv};

/// Most octets of a request: about a hundred are usual.
const MAX_BYTES: usize = 4096;

/// Most octets of a nonce's INTEGER.
pub(super) const MAX_NONCE: usize = 64;

/// Why a request is not answered with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeStampRequestError {
    /// More octets than are read.
    #[error("the time-stamp request has {len} octets; at most {max} are read")]
    TooLong {
        /// Octets given.
        len: usize,
        /// Most octets read.
        max: usize,
    },
    /// Not a DER TimeStampReq.
    #[error("the bytes are no time-stamp request in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 1.
    #[error("the time-stamp request is not of version 1")]
    Version,
    /// A digest by another hash.
    #[error(
        "the time-stamp request's digest is by a hash that is not known or no longer trusted: SHA-256, SHA-384 and SHA-512 are"
    )]
    Hash,
    /// A digest of another length than its hash has.
    #[error("the time-stamp request's {hash} digest has {len} octets, not {expected}")]
    DigestLength {
        /// The hash.
        hash: HashAlgorithm,
        /// Octets that it takes.
        expected: usize,
        /// Octets given.
        len: usize,
    },
    /// A nonce of many octets.
    #[error("the time-stamp request's nonce has {len} octets; at most {max} are echoed")]
    Nonce {
        /// Octets of the nonce.
        len: usize,
        /// Most octets echoed.
        max: usize,
    },
    /// Any extension: none is known here.
    #[error("the time-stamp request has an extension; none is known here")]
    Extension,
}

impl TimeStampRequestError {
    /// Returns what RFC 3161, 2.4.2 has to say about it.
    #[must_use]
    pub const fn failure(&self) -> FailureInfo {
        match self {
            Self::TooLong { .. } | Self::Encoding(_) | Self::Nonce { .. } | Self::Version => {
                FailureInfo::BadRequest
            }
            Self::Hash => FailureInfo::BadAlg,
            Self::DigestLength { .. } => FailureInfo::BadDataFormat,
            Self::Extension => FailureInfo::UnacceptedExtension,
        }
    }
}

/// A request for a token, in the bytes it came in.
#[derive(Debug, Clone, Copy)]
pub struct TimeStampRequest<'a> {
    /// The MessageImprint.
    imprint: Imprint<'a>,
    /// The policy that is wished for.
    policy: Option<PolicyOid>,
    /// Contents of the nonce's INTEGER.
    nonce: Option<&'a [u8]>,
    /// certReq.
    wants_certificate: bool,
}

impl<'a> TimeStampRequest<'a> {
    /// Reads a request, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing.
    ///
    /// # Errors
    ///
    /// What is not as RFC 3161, 2.4.1 has it, a digest by a hash that is not trusted, or
    /// any extension: one that is not known MUST be refused (2.4.1), and none is.
    pub fn parse(request_der: &'a [u8]) -> Result<Self, TimeStampRequestError> {
        if request_der.len() > MAX_BYTES {
            return Err(TimeStampRequestError::TooLong {
                len: request_der.len(),
                max: MAX_BYTES,
            });
        }
        let mut fields = tlv::read_only(request_der, tlv::SEQUENCE)?.reader();
        if fields.expect(tlv::INTEGER)?.integer()? != [1] {
            return Err(TimeStampRequestError::Version);
        }
        let imprint = Imprint::read(&mut fields)?;
        let policy = match fields.peek() {
            Some(tlv::OID) => Some(PolicyOid::new(read_oid(&mut fields)?)),
            _ => None,
        };
        let nonce = match fields.optional(tlv::INTEGER)? {
            Some(number) => Some(number.integer()?),
            None => None,
        };
        let wants_certificate = match fields.optional(tlv::BOOLEAN)? {
            // OpenSSL writes the default out; nothing is lost by taking it.
            Some(flag) => flag.boolean()?,
            None => false,
        };
        let extensions = fields.optional(tlv::context_constructed(0))?;
        fields.finish()?;
        if extensions.is_some() {
            return Err(TimeStampRequestError::Extension);
        }
        if let Some(len) = nonce.map(<[u8]>::len).filter(|len| *len > MAX_NONCE) {
            return Err(TimeStampRequestError::Nonce {
                len,
                max: MAX_NONCE,
            });
        }
        Ok(Self {
            imprint,
            policy,
            nonce,
            wants_certificate,
        })
    }

    /// Returns the digest that is to be stamped.
    #[must_use]
    pub fn digest(&self) -> ArtifactDigest {
        self.imprint.digest
    }

    /// Returns the policy that is wished for.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyOid> {
        self.policy
    }

    /// Returns the contents of the nonce's INTEGER.
    #[must_use]
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.nonce
    }

    /// Tells whether the token is to hold its authority's certificate.
    #[must_use]
    pub fn wants_certificate(&self) -> bool {
        self.wants_certificate
    }

    /// Returns the MessageImprint.
    pub(super) fn imprint_der(&self) -> &'a [u8] {
        self.imprint.whole
    }
}

/// A MessageImprint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Imprint<'a> {
    /// As it stood.
    pub(super) whole: &'a [u8],
    /// The digest.
    pub(super) digest: ArtifactDigest,
}

impl<'a> Imprint<'a> {
    /// Reads the next MessageImprint.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, TimeStampRequestError> {
        let imprint: Tlv<'a> = reader.expect(tlv::SEQUENCE)?;
        let mut fields = imprint.reader();
        let hash = read_hash(&mut fields)?;
        let octets = fields.expect(tlv::OCTET_STRING)?.content;
        fields.finish()?;
        let hash = hash.ok_or(TimeStampRequestError::Hash)?;
        let digest =
            ArtifactDigest::new(hash, octets).map_err(|_| TimeStampRequestError::DigestLength {
                hash,
                expected: hash.digest_len(),
                len: octets.len(),
            })?;
        Ok(Self {
            whole: imprint.whole,
            digest,
        })
    }
}

/// What is to be asked of an authority.
#[derive(Debug, Clone, Copy)]
pub struct RequestPlan<'a> {
    /// What is to be stamped.
    pub digest: ArtifactDigest,
    /// Under which policy.
    pub policy: Option<PolicyOid>,
    /// A number that the token must repeat, big-endian and without sign.
    pub nonce: Option<&'a [u8]>,
    /// Whether the token is to hold its authority's certificate.
    pub certificate: bool,
}

impl RequestPlan<'_> {
    /// Encodes the request, DER.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let policy = self.policy.as_ref().map(PolicyOid::oid);
        encode::request(&self.digest, policy, self.nonce, self.certificate)
    }
}
