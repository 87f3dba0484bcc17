//! A time-stamp of a signature, within it (RFC 3161, A).

use super::{CmsError, SignedData};
use crate::encode::cms as encode;
use crate::timestamp::{Stamped, TimeStampRefused, TokenRead};

/// Why a signature gets no time-stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddTimeStampError {
    /// The bytes are no signature.
    #[error(transparent)]
    Cms(#[from] CmsError),
    /// There are unsigned attributes already.
    #[error("the CMS signature has unsigned attributes already")]
    Unsigned,
    /// The token is none, or is about something else.
    #[error("the time-stamp is not of this CMS signature: {0}")]
    Token(#[source] TimeStampRefused),
}

/// Adds the time-stamp token of a signature's octets to it, as the unsigned attribute
/// id-aa-timeStampToken.
///
/// The token is read and held to the signature; who made it is not looked at.
///
/// # Errors
///
/// `Cms`, `Unsigned`, `Token`.
pub fn add_time_stamp(cms_der: &[u8], token_der: &[u8]) -> Result<Vec<u8>, AddTimeStampError> {
    let signed = SignedData::parse(cms_der)?;
    if signed.signer.has_unsigned {
        return Err(AddTimeStampError::Unsigned);
    }
    TokenRead::parse(token_der)
        .map_err(TimeStampRefused::from)
        .and_then(|token| token.check_imprint(&Stamped::Message(signed.signature())))
        .map_err(AddTimeStampError::Token)?;
    let attribute = encode::time_stamp_attribute(token_der);
    let signer_info = [signed.signer.before_unsigned, &attribute].concat();
    Ok(encode::content_info(signed.before_signers, &signer_info))
}
