//! TSTInfo, read strictly (RFC 3161, 2.4.2).

use std::fmt;

use model::Timestamp;
use model::signing::ArtifactDigest;

use super::request::{Imprint, MAX_NONCE};
use super::{Accuracy, PolicyOid, TimeStampRequestError};
use crate::extension;
use crate::public_key::read_oid;
use crate::time;
use crate::tlv::{self, Malformed, Tlv};

/// Why bytes are no TSTInfo that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TstInfoError {
    /// Not a DER TSTInfo.
    #[error("the time-stamp is no TSTInfo in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 1.
    #[error("the time-stamp is not of version 1")]
    Version,
    /// The digest that is stamped cannot be used.
    #[error("the time-stamp is of a digest that is not known, no longer trusted, or too short")]
    Imprint,
    /// A serial number that is negative or longer than 160 bits.
    #[error("the time-stamp's serial number is refused")]
    Serial,
    /// A nonce of many octets.
    #[error("the time-stamp's nonce is longer than any that is asked with")]
    Nonce,
    /// An extension twice.
    #[error("the time-stamp has an extension twice")]
    RepeatedExtension,
    /// A critical extension that is not known here.
    #[error("the time-stamp has a critical extension that is not known here")]
    CriticalExtension,
}

/// The number that an authority gave a token: up to 160 bits (RFC 3161, 2.4.2), one more
/// than certificates' numbers have.
///
/// Prints as hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenSerial {
    /// Big-endian, without sign and leading zeros.
    magnitude: Box<[u8]>,
}

impl TokenSerial {
    /// Most octets.
    const MAX_LEN: usize = 20;

    /// Reads an INTEGER.
    fn read(number: Tlv<'_>) -> Result<Self, TstInfoError> {
        let magnitude = match number.integer()? {
            [first, ..] if first & 0x80 != 0 => return Err(TstInfoError::Serial),
            [0, magnitude @ ..] | magnitude => magnitude,
        };
        if magnitude.len() > Self::MAX_LEN {
            return Err(TstInfoError::Serial);
        }
        Ok(Self {
            magnitude: magnitude.into(),
        })
    }

    /// Returns the number, big-endian, without sign and leading zeros.
    #[must_use]
    pub fn magnitude(&self) -> &[u8] {
        &self.magnitude
    }
}

impl fmt::Display for TokenSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.magnitude.is_empty() {
            return f.write_str("00");
        }
        f.write_str(&hex::encode(&self.magnitude))
    }
}

/// What a token says.
#[derive(Debug, Clone)]
pub struct TstInfo<'a> {
    /// Under which policy.
    pub policy: PolicyOid,
    /// What is stamped.
    pub digest: ArtifactDigest,
    /// The number that the authority gave it.
    pub serial: TokenSerial,
    /// When.
    pub gen_time: Timestamp,
    /// How exact that is.
    pub accuracy: Option<Accuracy>,
    /// Whether any two tokens of the authority are in the order of their times.
    pub ordering: bool,
    /// Contents of the nonce's INTEGER.
    pub nonce: Option<&'a [u8]>,
    /// The MessageImprint.
    pub(super) imprint_der: &'a [u8],
    /// Contents of genTime.
    pub(super) gen_time_text: &'a [u8],
    /// The authority's directoryName.
    pub(super) name_der: Option<&'a [u8]>,
    /// Whether there are extensions, or a name of another form.
    pub(super) others: bool,
}

impl<'a> TstInfo<'a> {
    /// Reads a TSTInfo, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing of their size.
    ///
    /// # Errors
    ///
    /// What is not as RFC 3161, 2.4.2 has it; a digest by a hash that is not trusted;
    /// critical extensions.
    pub fn parse(info_der: &'a [u8]) -> Result<Self, TstInfoError> {
        let mut fields = tlv::read_only(info_der, tlv::SEQUENCE)?.reader();
        if fields.expect(tlv::INTEGER)?.integer()? != [1] {
            return Err(TstInfoError::Version);
        }
        let policy = PolicyOid::new(read_oid(&mut fields)?);
        let imprint = Imprint::read(&mut fields).map_err(|error| match error {
            TimeStampRequestError::Encoding(malformed) => TstInfoError::Encoding(malformed),
            _ => TstInfoError::Imprint,
        })?;
        let serial = TokenSerial::read(fields.expect(tlv::INTEGER)?)?;
        let time = fields.expect(tlv::GENERALIZED_TIME)?;
        let gen_time = time::read_fractional(time)?;
        let accuracy = match fields.optional(tlv::SEQUENCE)? {
            Some(parts) => Some(read_accuracy(parts)?),
            None => None,
        };
        let ordering = match fields.optional(tlv::BOOLEAN)? {
            Some(flag) if !flag.boolean()? => {
                return Err(flag.refuse("a default value written out").into());
            }
            flag => flag.is_some(),
        };
        let nonce = match fields.optional(tlv::INTEGER)? {
            Some(number) => Some(number.integer()?),
            None => None,
        };
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE) {
            return Err(TstInfoError::Nonce);
        }
        let (name_der, mut others) = match fields.optional(tlv::context_constructed(0))? {
            Some(tagged) => read_name(tagged)?,
            None => (None, false),
        };
        if let Some(list) = fields.optional(tlv::context_constructed(1))? {
            others = true;
            extension::walk_few(list.reader(), TstInfoError::RepeatedExtension, |one| {
                if one.critical {
                    Err(TstInfoError::CriticalExtension)
                } else {
                    Ok(())
                }
            })?;
        }
        fields.finish()?;
        Ok(Self {
            policy,
            digest: imprint.digest,
            serial,
            gen_time,
            accuracy,
            ordering,
            nonce,
            imprint_der: imprint.whole,
            gen_time_text: time.content,
            name_der,
            others,
        })
    }
}

/// Reads an Accuracy.
fn read_accuracy(parts: Tlv<'_>) -> Result<Accuracy, Malformed> {
    let mut reader = parts.reader();
    let refused = |part: Tlv<'_>| part.refuse("an accuracy that is negative or too large");
    let mut accuracy = Accuracy::default();
    if let Some(part) = reader.optional(tlv::INTEGER)? {
        accuracy.seconds = unsigned(part)?.ok_or_else(|| refused(part))?;
    }
    for (number, value) in [(0, &mut accuracy.millis), (1, &mut accuracy.micros)] {
        if let Some(part) = reader.optional(tlv::context(number))? {
            // INTEGER (1..999).
            *value = unsigned(part)?
                .and_then(|value| u16::try_from(value).ok())
                .filter(|value| (1..=999).contains(value))
                .ok_or_else(|| refused(part))?;
        }
    }
    reader.finish()?;
    Ok(accuracy)
}

/// Reads an INTEGER of at most 31 bits; none if it is another.
fn unsigned(part: Tlv<'_>) -> Result<Option<u32>, Malformed> {
    let octets = part.integer()?;
    let fits = octets.len() <= 4 && octets.first().is_some_and(|first| first & 0x80 == 0);
    Ok(fits.then(|| {
        octets
            .iter()
            .fold(0, |value, octet| value << 8 | u32::from(*octet))
    }))
}

/// Reads the GeneralName in `tsa`: a directoryName, or whether it is another.
fn read_name(tagged: Tlv<'_>) -> Result<(Option<&[u8]>, bool), Malformed> {
    let mut reader = tagged.reader();
    let general = reader.next()?;
    reader.finish()?;
    if general.tag != tlv::context_constructed(4) {
        return Ok((None, true));
    }
    let mut choice = general.reader();
    let name = choice.expect(tlv::SEQUENCE)?;
    choice.finish()?;
    Ok((Some(name.whole), false))
}
