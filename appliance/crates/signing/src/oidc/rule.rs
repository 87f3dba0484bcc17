//! Whose builds may sign, as which signer, by which profiles.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobMatcher;
use model::PeerName;
use model::signing::{RuleName, SigningProfileName};
use serde_json::{Map, Value};

use super::template::text_of;

/// One rule, found sound.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Its name.
    pub(crate) name: RuleName,
    /// The signer that matching builds become.
    pub(crate) signer: PeerName,
    /// The signing profiles they may use.
    pub(crate) profiles: BTreeSet<SigningProfileName>,
    /// What each claim must be: one of its patterns.
    pub(crate) claims: BTreeMap<String, Vec<GlobMatcher>>,
}

impl Rule {
    /// Finds a claim that is not as the rule wants it; none if all are.
    pub(crate) fn first_mismatch(&self, claims: &Map<String, Value>) -> Option<&str> {
        self.claims
            .iter()
            .find(|(name, patterns)| {
                let value = claims.get(*name).and_then(text_of);
                !value.is_some_and(|value| patterns.iter().any(|pattern| pattern.is_match(&value)))
            })
            .map(|(name, _)| name.as_str())
    }
}
