//! Reasons for revocation (RFC 5280, 5.3.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a certificate was revoked: the CRLReason of RFC 5280, 5.3.1.
// Stored on disk: change only by adding a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No particular reason (0).
    Unspecified,
    /// The subject's private key is, or may be, known to others (1).
    KeyCompromise,
    /// A CA's private key is, or may be, known to others (2).
    CaCompromise,
    /// The subject's name or other details changed (3).
    AffiliationChanged,
    /// Another certificate took this one's place (4).
    Superseded,
    /// The certificate is no longer needed (5).
    CessationOfOperation,
    /// Revoked for now; may be released again (6).
    CertificateHold,
    /// Released from hold; appears in delta CRLs alone (8).
    RemoveFromCrl,
    /// The right the certificate stated was withdrawn (9).
    PrivilegeWithdrawn,
    /// An attribute authority's key is, or may be, known to others (10).
    AaCompromise,
}

/// A reason that RFC 5280 does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no revocation reason of RFC 5280, 5.3.1: {given:?}")]
pub struct UnknownReason {
    /// The text or number given.
    pub given: String,
}

impl RevocationReason {
    /// Every reason, by code.
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// Returns the ENUMERATED value of CRLReason.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::RemoveFromCrl => 8,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// Finds the reason of an ENUMERATED value.
    ///
    /// # Errors
    ///
    /// For 7, which RFC 5280 leaves unused, and for anything past 10.
    pub fn from_code(code: u8) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.code() == code)
            .ok_or_else(|| UnknownReason {
                given: code.to_string(),
            })
    }

    /// Returns the name as RFC 5280 spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    /// Reads a name of RFC 5280 in any case, or a code in decimal.
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        if let Ok(code) = text.parse::<u8>() {
            return Self::from_code(code);
        }
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownReason {
                given: text.chars().take(40).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_round_trip() {
        for reason in RevocationReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(reason.code().to_string().parse(), Ok(reason));
        }
    }

    #[test]
    fn the_unused_code_and_invented_names_are_refused() {
        assert!(RevocationReason::from_code(7).is_err());
        assert!(RevocationReason::from_code(11).is_err());
        assert!("stolen".parse::<RevocationReason>().is_err());
    }
}
