//! Tokens: a TSTInfo in a SignedData (RFC 3161, 2.4.2).

use super::verify::{Stamped, TimeStampRefused};
use super::{TstInfo, TstInfoError};
use crate::algorithm;
use crate::cms::{CmsError, SignedData};
use crate::encode::timestamp as encode;
use crate::oid;

/// A token that has just been signed, exactly as it was linted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeStampToken {
    /// The ContentInfo.
    der: Vec<u8>,
}

impl TimeStampToken {
    /// Takes a ContentInfo.
    pub(super) fn new(der: Vec<u8>) -> Self {
        Self { der }
    }

    /// Returns the token: a ContentInfo, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the answer to its request: a TimeStampResp, DER.
    #[must_use]
    pub fn to_response(&self) -> Vec<u8> {
        encode::granted(&self.der)
    }
}

/// Why bytes are no token that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a SignedData.
    #[error(transparent)]
    Cms(#[from] CmsError),
    /// A SignedData of something else.
    #[error("the CMS message holds no time-stamp (TSTInfo)")]
    Content,
    /// Not a TSTInfo.
    #[error(transparent)]
    Info(#[from] TstInfoError),
}

/// A token, in the bytes it came in; its signature is not verified.
#[derive(Debug, Clone)]
pub struct TokenRead<'a> {
    /// The SignedData around.
    signed: SignedData<'a>,
    /// The TSTInfo's octets.
    info_der: &'a [u8],
    /// What it says.
    info: TstInfo<'a>,
}

impl<'a> TokenRead<'a> {
    /// Reads a token, DER.
    ///
    /// Bytes are hostile: never panics, allocates for at most 32 attributes.
    ///
    /// # Errors
    ///
    /// What is not as RFC 3161, 2.4.2 has it.
    pub fn parse(token_der: &'a [u8]) -> Result<Self, TokenError> {
        let signed = SignedData::parse(token_der)?;
        if signed.content_type() != oid::TST_INFO {
            return Err(TokenError::Content);
        }
        let info_der = signed.content().ok_or(TokenError::Content)?;
        Ok(Self {
            info: TstInfo::parse(info_der)?,
            info_der,
            signed,
        })
    }

    /// Returns what the token says.
    #[must_use]
    pub fn info(&self) -> &TstInfo<'a> {
        &self.info
    }

    /// Returns the SignedData around it.
    #[must_use]
    pub fn signed_data(&self) -> &SignedData<'a> {
        &self.signed
    }

    /// Returns the TSTInfo, DER.
    #[must_use]
    pub fn tst_info_der(&self) -> &'a [u8] {
        self.info_der
    }

    /// Checks that the token is about some octets, or a digest.
    ///
    /// # Errors
    ///
    /// `Hash`, `Imprint`.
    pub fn check_imprint(&self, stamped: &Stamped<'_>) -> Result<(), TimeStampRefused> {
        let own = self.info.digest;
        let given = match *stamped {
            Stamped::Message(octets) => algorithm::digest_of(own.algorithm(), octets),
            Stamped::Digest(digest) => digest,
        };
        if given.algorithm() != own.algorithm() {
            return Err(TimeStampRefused::Hash {
                stamped: own.algorithm(),
                given: given.algorithm(),
            });
        }
        if given != own {
            return Err(TimeStampRefused::Imprint);
        }
        Ok(())
    }
}
