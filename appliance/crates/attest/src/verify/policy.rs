//! What a verifier asks for.

use serde::{Deserialize, Serialize};

/// What a verifier asks for; by default one trusted time-stamp and no more than that the
/// evidence be sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Who may have signed: one of these is among the certificate's names. A `*` at the
    /// end stands for anything. Anybody if there is none.
    pub identities: Vec<String>,
    /// Who must have vouched for the signer: the OIDC issuer in the certificate, or the
    /// name of the authority that issued it.
    pub issuer: Option<String>,
    /// What must be said of the artifact: types of predicates.
    pub predicate_types: Vec<String>,
    /// Who must have built it.
    pub builder: Option<String>,
    /// From which repository it must have been built.
    pub source: Option<String>,
    /// How many authorities must have stamped the signature.
    pub time_stamps: u32,
    /// How many entries there must be in trusted logs.
    pub log_entries: u32,
    /// How many trusted logs must have seen the certificate.
    pub scts: u32,
    /// Which time counts.
    pub time: TimePolicy,
    /// What is asked about revocation.
    pub revocation: RevocationPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            issuer: None,
            predicate_types: Vec::new(),
            builder: None,
            source: None,
            time_stamps: 1,
            log_entries: 0,
            scts: 0,
            time: TimePolicy::TimeStamp,
            revocation: RevocationPolicy::WhenGiven,
        }
    }
}

impl Policy {
    /// Asks for everything that the complete form has: time-stamp, log entry and SCT.
    #[must_use]
    pub fn complete() -> Self {
        Self {
            log_entries: 1,
            scts: 1,
            ..Self::default()
        }
    }

    /// Asks for nothing but a signature of a certificate that is valid now.
    #[must_use]
    pub fn without_time_stamp() -> Self {
        Self {
            time_stamps: 0,
            time: TimePolicy::TimeStampOrNow,
            ..Self::default()
        }
    }
}

/// At which time certificates must have been valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TimePolicy {
    /// A time that a trusted authority stamped.
    #[default]
    TimeStamp,
    /// The reader's own, where there is no time-stamp.
    TimeStampOrNow,
}

/// What is asked about revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationPolicy {
    /// Lists that are given are looked at.
    #[default]
    WhenGiven,
    /// A current list of each authority must be given.
    Required,
}

/// Tells whether a text is what a pattern asks for: the same, or beginning as a pattern
/// that ends in `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}
