//! Responses: a token, or why there is none (RFC 3161, 2.4.2).

use crate::encode::timestamp as encode;
use crate::tlv::{self, Malformed, Tlv};

/// Most octets of a response; tokens with long chains have a few thousand.
const MAX_BYTES: usize = 256 * 1024;

/// Why there is no token (PKIFailureInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureInfo {
    /// A hash that is not known or not supported (0).
    BadAlg,
    /// The request is not allowed or not supported (2).
    BadRequest,
    /// The data has the wrong format (5).
    BadDataFormat,
    /// The source of time is not available (14).
    TimeNotAvailable,
    /// The policy is not supported (15).
    UnacceptedPolicy,
    /// An extension is not supported (16).
    UnacceptedExtension,
    /// What is asked besides is not understood or not available (17).
    AddInfoNotAvailable,
    /// The system failed (25).
    SystemFailure,
}

impl FailureInfo {
    /// Every failure that RFC 3161 has.
    pub const ALL: [Self; 8] = [
        Self::BadAlg,
        Self::BadRequest,
        Self::BadDataFormat,
        Self::TimeNotAvailable,
        Self::UnacceptedPolicy,
        Self::UnacceptedExtension,
        Self::AddInfoNotAvailable,
        Self::SystemFailure,
    ];

    /// Returns the place of its bit.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::BadAlg => 0,
            Self::BadRequest => 2,
            Self::BadDataFormat => 5,
            Self::TimeNotAvailable => 14,
            Self::UnacceptedPolicy => 15,
            Self::UnacceptedExtension => 16,
            Self::AddInfoNotAvailable => 17,
            Self::SystemFailure => 25,
        }
    }

    /// Returns the name as RFC 3161 spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAlg => "badAlg",
            Self::BadRequest => "badRequest",
            Self::BadDataFormat => "badDataFormat",
            Self::TimeNotAvailable => "timeNotAvailable",
            Self::UnacceptedPolicy => "unacceptedPolicy",
            Self::UnacceptedExtension => "unacceptedExtension",
            Self::AddInfoNotAvailable => "addInfoNotAvailable",
            Self::SystemFailure => "systemFailure",
        }
    }
}

impl std::fmt::Display for FailureInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the answer to a request that gets no token: a TimeStampResp, DER, unsigned.
#[must_use]
pub fn rejection(failure: FailureInfo, text: &str) -> Vec<u8> {
    encode::rejected(failure, text)
}

/// Why bytes are no response that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeStampResponseError {
    /// More octets than are read.
    #[error("the time-stamp response has {len} octets; at most {max} are read")]
    TooLong {
        /// Octets given.
        len: usize,
        /// Most octets read.
        max: usize,
    },
    /// Not a DER TimeStampResp.
    #[error("the bytes are no time-stamp response in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A token where there may be none, or none where there must be one.
    #[error(
        "the time-stamp response has a token though it is refused, or none though it is granted"
    )]
    Token,
}

/// An answer, in the bytes it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeStampResponse<'a> {
    /// The token, DER, not read.
    Granted(&'a [u8]),
    /// No token.
    Rejected {
        /// The PKIStatus: 2 to 5.
        status: u8,
        /// The first reason that is known here.
        failure: Option<FailureInfo>,
    },
}

impl<'a> TimeStampResponse<'a> {
    /// Reads a response, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing.
    ///
    /// # Errors
    ///
    /// What is not as RFC 3161, 2.4.2 has it.
    pub fn parse(response_der: &'a [u8]) -> Result<Self, TimeStampResponseError> {
        if response_der.len() > MAX_BYTES {
            return Err(TimeStampResponseError::TooLong {
                len: response_der.len(),
                max: MAX_BYTES,
            });
        }
        let mut fields = tlv::read_only(response_der, tlv::SEQUENCE)?.reader();
        let mut info = fields.sequence()?;
        let token = fields.optional(tlv::SEQUENCE)?;
        fields.finish()?;
        let status = info.expect(tlv::INTEGER)?.small_integer()?;
        if let Some(texts) = info.optional(tlv::SEQUENCE)? {
            let mut texts = texts.reader();
            while !texts.is_empty() {
                texts.expect(tlv::UTF8_STRING)?;
            }
        }
        let failure = match info.optional(tlv::BIT_STRING)? {
            Some(bits) => read_failure(bits)?,
            None => None,
        };
        info.finish()?;
        match (status, token) {
            // granted, grantedWithMods.
            (0 | 1, Some(token)) => Ok(Self::Granted(token.whole)),
            (2.., None) => Ok(Self::Rejected { status, failure }),
            (0 | 1, None) | (2.., Some(_)) => Err(TimeStampResponseError::Token),
        }
    }
}

/// Finds the first bit that is known.
fn read_failure(bits: Tlv<'_>) -> Result<Option<FailureInfo>, Malformed> {
    let (_, octets) = bits.bits()?;
    let is_set = |failure: &FailureInfo| {
        let (octet, bit) = (failure.bit() / 8, failure.bit() % 8);
        octets
            .get(usize::from(octet))
            .is_some_and(|octet| octet & (0x80 >> bit) != 0)
    };
    Ok(FailureInfo::ALL.into_iter().find(is_set))
}
