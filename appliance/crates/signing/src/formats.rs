//! What is made for an artifact.

use serde::{Deserialize, Serialize};

/// One kind of evidence that a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The raw signature over the artifact's digest.
    Signature,
    /// The sigstore bundle of the raw signature.
    Bundle,
    /// CMS SignedData, detached.
    Cms,
    /// RFC 3161 time-stamps over every signature.
    Timestamp,
    /// Signed statements of bill of materials and provenance, and their bundles.
    Attestations,
    /// The verdict as a verification summary attestation.
    Vsa,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Signature,
        Self::Bundle,
        Self::Cms,
        Self::Timestamp,
        Self::Attestations,
        Self::Vsa,
    ];

    /// Returns the format as requests and configuration spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Bundle => "bundle",
            Self::Cms => "cms",
            Self::Timestamp => "timestamp",
            Self::Attestations => "attestations",
            Self::Vsa => "vsa",
        }
    }

    /// Returns its bit in a set.
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of formats; the raw signature is always among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Formats(u8);

impl Formats {
    /// Returns every format that the service makes.
    #[must_use]
    pub fn all(has_timestamps: bool) -> Self {
        Format::ALL
            .into_iter()
            .filter(|format| has_timestamps || *format != Format::Timestamp)
            .collect()
    }

    /// Tells whether a format is among them.
    #[must_use]
    pub const fn has(self, format: Format) -> bool {
        self.0 & format.bit() != 0
    }

    /// Returns them one after another.
    pub fn iter(self) -> impl Iterator<Item = Format> {
        Format::ALL
            .into_iter()
            .filter(move |format| self.has(*format))
    }
}

impl FromIterator<Format> for Formats {
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Self {
        // Everything else is bound to the raw signature.
        let bits = formats
            .into_iter()
            .fold(Format::Signature.bit(), |bits, format| bits | format.bit());
        Self(bits)
    }
}

impl std::fmt::Debug for Formats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Format::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raw_signature_is_always_made() {
        let formats: Formats = [Format::Vsa].into_iter().collect();
        let made: Vec<_> = formats.iter().collect();
        assert_eq!(made, [Format::Signature, Format::Vsa]);
        assert!(!Formats::all(false).has(Format::Timestamp));
        assert_eq!(Formats::all(true).iter().count(), Format::ALL.len());
    }
}
