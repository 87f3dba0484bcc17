//! Why a single signature is withdrawn.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::names::WithdrawalNote;

/// Why a signature is withdrawn: its certificate and key stand.
// Stored on disk: change only by adding a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalReason {
    /// No particular reason.
    Unspecified,
    /// Another artifact was meant.
    WrongArtifact,
    /// The artifact does harm.
    Malicious,
    /// The artifact has a flaw that its users must not live with.
    Vulnerable,
    /// SBOM or provenance turned out to be wrong.
    FalseEvidence,
    /// Whoever asked had no right to, or lost control of the identity that did.
    SignerCompromise,
    /// Another signature took its place.
    Superseded,
}

/// Text that is no reason for a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no reason {given:?} for a withdrawal: {} are",
    WithdrawalReason::LIST
)]
pub struct UnknownWithdrawalReason {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl WithdrawalReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::WrongArtifact,
        Self::Malicious,
        Self::Vulnerable,
        Self::FalseEvidence,
        Self::SignerCompromise,
        Self::Superseded,
    ];

    /// Every reason in words, for messages.
    const LIST: &'static str = "unspecified, wrong_artifact, malicious, vulnerable, \
                                false_evidence, signer_compromise and superseded";

    /// Returns the reason as requests and answers spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::WrongArtifact => "wrong_artifact",
            Self::Malicious => "malicious",
            Self::Vulnerable => "vulnerable",
            Self::FalseEvidence => "false_evidence",
            Self::SignerCompromise => "signer_compromise",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for WithdrawalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WithdrawalReason {
    type Err = UnknownWithdrawalReason;

    /// Reads a reason. Text is hostile: never panics.
    fn from_str(text: &str) -> Result<Self, UnknownWithdrawalReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownWithdrawalReason {
                given: text.chars().take(40).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_as_printed_and_listed_in_the_refusal() {
        let refusal = "no_reason".parse::<WithdrawalReason>().unwrap_err();
        for reason in WithdrawalReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert!(refusal.to_string().contains(reason.as_str()), "{reason}");
        }
    }
}
