//! Who may have what: which names, addresses and profiles an account may order,
//! and how often.

mod config;
mod limits;
mod registered;
mod rule;
#[cfg(test)]
mod tests;

use model::Identity;
use model::ProfileName;
use model::acme::{EabKeyId, Identifier};
use store::acme::Account;

use crate::problem::{AcmeProblem, ErrorType, Subproblem};

pub use config::{InvalidPolicyConfig, PolicyConfig, RuleConfig};
pub use limits::{
    CheckedRateLimits, InvalidRateLimits, Limit, Limited, RateConfig, RateLimitConfig, RateLimits,
};
pub use registered::registered_name;

use rule::Rule;

/// The account that asks, as policy sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Requester<'a> {
    /// The EAB key that bound it.
    pub eab_key: Option<&'a EabKeyId>,
    /// The policy that this key names.
    pub eab_policy: Option<&'a str>,
    /// The client certificate's identity, over mutual TLS.
    pub peer: Option<&'a Identity>,
}

impl<'a> Requester<'a> {
    /// Takes what policy asks of an account; the policy its EAB key names comes
    /// from that key's record.
    #[must_use]
    pub fn of(account: &'a Account, eab_policy: Option<&'a str>) -> Self {
        Self {
            eab_key: account.binding.as_ref().map(|binding| &binding.key),
            eab_policy,
            peer: account.peer.as_ref(),
        }
    }
}

/// What accounts may order.
///
/// A rule applies to an account that it names, by name of the rule, by EAB key or
/// by client identity; the default applies to accounts that no rule names. An
/// identifier is allowed if one rule that applies allows it together with the
/// profile. Blocked names are refused to all.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Names that nobody may have, with everything below them.
    blocked: Vec<Box<str>>,
    /// Whether wildcards right below a public suffix may be had.
    public_suffix_wildcards: bool,
    /// The rule of accounts that no other names.
    default: Rule,
    /// The others.
    rules: Vec<Rule>,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No rule lets the account use the profile.
    #[error("this account may not use the profile {profile}")]
    Profile {
        /// The profile.
        profile: ProfileName,
    },
    /// Some identifiers are not for this account.
    #[error("{} identifiers are not for this account", refused.len())]
    Identifiers {
        /// Each, and why.
        refused: Vec<(Identifier, NameRefusal)>,
    },
}

/// Why an identifier is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// Nobody may have it.
    #[error("this name is blocked on this server")]
    Blocked,
    /// It would cover names that nobody may have.
    #[error("this wildcard covers a name that is blocked on this server")]
    CoversBlocked,
    /// A wildcard for a whole public suffix.
    #[error("a wildcard right below a public suffix is not issued")]
    PublicSuffix,
    /// No rule of the account has it.
    #[error("this account may not have certificates for this name")]
    Name,
    /// The rule that has the name allows no wildcards.
    #[error("this account may not have wildcard certificates for this name")]
    Wildcard,
    /// No rule of the account has it.
    #[error("this account may not have certificates for this address")]
    Address,
    /// No rule of the account has it.
    #[error("this account may not have certificates for this device")]
    Device,
    /// A rule has it, but not with this profile.
    #[error("this account may not have certificates for it with this profile")]
    Profile,
}

impl Policy {
    /// Tells whether an account may have a certificate for all these identifiers.
    ///
    /// `profile` is the one the order will be issued by; none is not checked.
    ///
    /// # Errors
    ///
    /// `Profile` when no rule of the account has the profile; `Identifiers` with
    /// each that is refused, and why.
    pub fn allows(
        &self,
        requester: &Requester<'_>,
        identifiers: &[Identifier],
        profile: Option<&ProfileName>,
    ) -> Result<(), Refusal> {
        let rules = self.rules_of(requester);
        let with_profile: Vec<_> = rules
            .iter()
            .copied()
            .filter(|rule| profile.is_none_or(|profile| rule.allows_profile(profile)))
            .collect();
        if let Some(profile) = profile
            && with_profile.is_empty()
        {
            return Err(Refusal::Profile {
                profile: profile.clone(),
            });
        }
        let refused: Vec<_> = identifiers
            .iter()
            .filter_map(|identifier| {
                let refusal = self.refusal(&rules, &with_profile, identifier)?;
                Some((identifier.clone(), refusal))
            })
            .collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Identifiers { refused })
        }
    }

    /// Returns the profiles among these that an account may use.
    pub fn profiles<'p>(
        &self,
        requester: &Requester<'_>,
        offered: impl IntoIterator<Item = &'p ProfileName>,
    ) -> Vec<&'p ProfileName> {
        let rules = self.rules_of(requester);
        offered
            .into_iter()
            .filter(|profile| rules.iter().any(|rule| rule.allows_profile(profile)))
            .collect()
    }

    /// Tells whether there is a rule of the name, for EAB keys to refer to.
    #[must_use]
    pub fn has_rule(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| *rule.name == *name)
    }

    /// Returns the rules that apply to an account; the default if no other does.
    fn rules_of(&self, requester: &Requester<'_>) -> Vec<&Rule> {
        // Whoever was given a narrow rule does not get the default when it goes.
        if requester
            .eab_policy
            .is_some_and(|name| !self.has_rule(name))
        {
            return Vec::new();
        }
        let named: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.names(requester))
            .collect();
        if named.is_empty() {
            vec![&self.default]
        } else {
            named
        }
    }

    /// Says why an identifier is refused; none if it is not.
    fn refusal(
        &self,
        rules: &[&Rule],
        with_profile: &[&Rule],
        identifier: &Identifier,
    ) -> Option<NameRefusal> {
        if let Identifier::Dns(name) = identifier
            && let Some(refusal) = self.refused_to_all(name)
        {
            return Some(refusal);
        }
        let mut refusals = with_profile.iter().map(|rule| rule.refusal(identifier));
        // The refusal that comes nearest to a permission is told.
        let mut nearest = None;
        if refusals.any(|refusal| match refusal {
            None => true,
            Some(refusal) => {
                if nearest != Some(NameRefusal::Wildcard) {
                    nearest = Some(refusal);
                }
                false
            }
        }) {
            return None;
        }
        if rules.iter().any(|rule| rule.refusal(identifier).is_none()) {
            return Some(NameRefusal::Profile);
        }
        nearest
    }

    /// Says why nobody may have a name; none if somebody may.
    fn refused_to_all(&self, name: &str) -> Option<NameRefusal> {
        let base = name.strip_prefix("*.");
        let blocked = |name: &str| {
            self.blocked
                .iter()
                .any(|space| rule::is_within(name, space))
        };
        if blocked(base.unwrap_or(name)) {
            return Some(NameRefusal::Blocked);
        }
        let base = base?;
        // RFC 9525, 6.3: a wildcard covers exactly one label.
        let covers = |space: &str| {
            space
                .split_once('.')
                .is_some_and(|(_, parent)| parent == base)
        };
        if self.blocked.iter().any(|space| covers(space)) {
            return Some(NameRefusal::CoversBlocked);
        }
        if !self.public_suffix_wildcards && registered::is_public_suffix(base) {
            return Some(NameRefusal::PublicSuffix);
        }
        None
    }
}

impl Refusal {
    /// Returns the problem that the client is told.
    #[must_use]
    pub fn to_problem(&self) -> AcmeProblem {
        match self {
            // The profile exists, but not for this account.
            Self::Profile { .. } => AcmeProblem::new(ErrorType::InvalidProfile, self.to_string()),
            Self::Identifiers { refused } => AcmeProblem::of_identifiers(
                refused
                    .iter()
                    .map(|(identifier, refusal)| Subproblem {
                        // RFC 8555, 6.7: "The server will not issue certificates
                        // for the identifier".
                        kind: ErrorType::RejectedIdentifier,
                        detail: refusal.to_string(),
                        identifier_type: identifier.kind().to_owned(),
                        identifier_value: identifier.value(),
                    })
                    .collect(),
            ),
        }
    }
}
