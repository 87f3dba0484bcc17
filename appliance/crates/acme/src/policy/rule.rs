//! One rule: whom it names, and what it allows them.

use ipnet::IpNet;
use model::acme::{EabKeyId, Identifier};
use model::{Identity, ProfileName};

use super::{NameRefusal, Requester};

/// A rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// Its name, by which EAB keys refer to it.
    pub(super) name: Box<str>,
    /// The EAB keys whose accounts it names.
    pub(super) eab_keys: Vec<EabKeyId>,
    /// The client identities whose accounts it names.
    pub(super) clients: Vec<Identity>,
    /// Whether any DNS name is allowed.
    pub(super) any_name: bool,
    /// DNS names allowed, exactly.
    pub(super) names: Vec<Box<str>>,
    /// DNS names allowed with everything below them; a leading dot leaves only
    /// what is below.
    pub(super) suffixes: Vec<Box<str>>,
    /// Whether wildcards of allowed names are allowed.
    pub(super) wildcards: bool,
    /// Address blocks allowed.
    pub(super) networks: Vec<IpNet>,
    /// Whether any device is allowed that attests.
    pub(super) any_device: bool,
    /// Devices allowed, by their permanent identifiers.
    pub(super) devices: Vec<Identifier>,
    /// Profiles allowed; none is any.
    pub(super) profiles: Vec<ProfileName>,
}

impl Rule {
    /// Tells whether the rule names an account.
    pub(super) fn names(&self, requester: &Requester<'_>) -> bool {
        requester
            .eab_policy
            .is_some_and(|policy| *self.name == *policy)
            || requester
                .eab_key
                .is_some_and(|key| self.eab_keys.contains(key))
            || requester
                .peer
                .is_some_and(|peer| self.clients.contains(peer))
    }

    /// Tells whether the rule allows a profile.
    pub(super) fn allows_profile(&self, profile: &ProfileName) -> bool {
        self.profiles.is_empty() || self.profiles.contains(profile)
    }

    /// Says why the rule does not allow an identifier; none if it does.
    pub(super) fn refusal(&self, identifier: &Identifier) -> Option<NameRefusal> {
        match identifier {
            Identifier::PermanentIdentifier(_) => {
                let listed = self.any_device || self.devices.contains(identifier);
                (!listed).then_some(NameRefusal::Device)
            }
            Identifier::Ip(address) => {
                let listed = self.networks.iter().any(|block| block.contains(address));
                (!listed).then_some(NameRefusal::Address)
            }
            Identifier::Dns(name) => {
                // The wildcard label is below its base: of `.corp.example` there
                // may be `*.corp.example`.
                let listed = self.any_name
                    || self.names.contains(name)
                    || self.suffixes.iter().any(|suffix| is_within(name, suffix));
                if !listed {
                    Some(NameRefusal::Name)
                } else if identifier.is_wildcard() && !self.wildcards && !self.names.contains(name)
                {
                    Some(NameRefusal::Wildcard)
                } else {
                    None
                }
            }
        }
    }
}

/// Tells whether a lower-case name is a domain or, label by label, below it; a
/// leading dot in `domain` leaves only what is below.
pub(super) fn is_within(name: &str, domain: &str) -> bool {
    let (domain, below_only) = match domain.strip_prefix('.') {
        Some(domain) => (domain, true),
        None => (domain, false),
    };
    match name.strip_suffix(domain) {
        Some("") => !below_only,
        Some(labels) => labels.len() > 1 && labels.ends_with('.'),
        None => false,
    }
}
