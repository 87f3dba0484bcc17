//! `[acme.policy]`: who may have what.

use std::collections::BTreeMap;

use ipnet::IpNet;
use model::acme::{EabKeyId, Identifier, InvalidIdentifier};
use model::{Identity, ProfileName};
use pki::names::DnsName;
use serde::{Deserialize, Serialize};

use super::Policy;
use super::rule::Rule;

/// `[acme.policy]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Names that nobody may have, each with everything below it.
    pub blocked: Vec<String>,
    /// Whether wildcards right below a public suffix, such as `*.co.uk`, may be had.
    pub public_suffix_wildcards: bool,
    /// What accounts may have that no rule names.
    pub default: RuleConfig,
    /// Rules by their names; EAB keys may refer to one by it.
    pub rules: BTreeMap<String, RuleConfig>,
}

/// `[acme.policy.default]` and `[acme.policy.rules.NAME]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// EAB keys whose accounts the rule names.
    pub eab_keys: Vec<String>,
    /// Client identities whose accounts the rule names, as `operator/NAME` or
    /// `service:acme/NAME`.
    pub clients: Vec<String>,
    /// Whether any DNS name is allowed; control is still validated.
    pub any_name: bool,
    /// DNS names allowed, exactly; a wildcard name stands for itself.
    pub names: Vec<String>,
    /// DNS names allowed with everything below them; `.corp.example` is only what
    /// is below.
    pub suffixes: Vec<String>,
    /// Whether wildcards of allowed names are allowed.
    pub wildcards: bool,
    /// Address blocks allowed, such as `10.0.0.0/8`.
    pub networks: Vec<IpNet>,
    /// Whether any device is allowed that attests: whoever has one of the kind that the
    /// attestation roots vouch for.
    pub any_device: bool,
    /// Devices allowed, by their permanent identifiers.
    pub devices: Vec<String>,
    /// Profiles allowed; none listed allows any that is offered.
    pub profiles: Vec<ProfileName>,
}

impl Default for PolicyConfig {
    /// Whatever name or address a client controls it may have a certificate for; devices
    /// are to be listed, since any genuine one can attest.
    fn default() -> Self {
        Self {
            blocked: Vec::new(),
            public_suffix_wildcards: false,
            default: RuleConfig {
                any_name: true,
                wildcards: true,
                networks: vec![
                    IpNet::V4(ipnet::Ipv4Net::default()),
                    IpNet::V6(ipnet::Ipv6Net::default()),
                ],
                ..RuleConfig::default()
            },
            rules: BTreeMap::new(),
        }
    }
}

/// Why `[acme.policy]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicyConfig {
    /// A text that is no DNS name.
    #[error("`{place}{key}`: {given:?} is no DNS name")]
    Name {
        /// Which section, with a full stop at its end.
        place: String,
        /// The key.
        key: &'static str,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A text that names no EAB key.
    #[error("`{place}eab_keys`: {given:?} is no EAB key's name")]
    EabKey {
        /// Which section, with a full stop at its end.
        place: String,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A text that is no permanent identifier.
    #[error("`{place}devices`: {source}")]
    Device {
        /// Which section, with a full stop at its end.
        place: String,
        /// Why.
        source: InvalidIdentifier,
    },
    /// A text that is no identity.
    #[error("`{place}clients`: {given:?} is no identity; write ROLE/NAME, such as operator/alice")]
    Client {
        /// Which section, with a full stop at its end.
        place: String,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A default that names accounts.
    #[error(
        "`default` is for accounts that no rule names: write `eab_keys` and `clients` in a rule"
    )]
    DefaultNames,
    /// A rule that allows nothing.
    #[error(
        "`{place}` allows nothing: give it `any_name`, `names`, `suffixes`, `networks`, `any_device` or `devices`"
    )]
    AllowsNothing {
        /// Which section.
        place: String,
    },
}

impl PolicyConfig {
    /// Checks the section.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<Policy, InvalidPolicyConfig> {
        if !self.default.eab_keys.is_empty() || !self.default.clients.is_empty() {
            return Err(InvalidPolicyConfig::DefaultNames);
        }
        let rules = self
            .rules
            .iter()
            .map(|(name, rule)| {
                let place = format!("rules.{name}");
                if !rule.allows_something() {
                    return Err(InvalidPolicyConfig::AllowsNothing { place });
                }
                rule.check(name, &format!("{place}."))
            })
            .collect::<Result<_, _>>()?;
        Ok(Policy {
            blocked: domains("", "blocked", &self.blocked)?,
            public_suffix_wildcards: self.public_suffix_wildcards,
            // A default that allows nothing leaves everything to the rules.
            default: self.default.check("", "default.")?,
            rules,
        })
    }
}

impl RuleConfig {
    /// Tells whether any identifier is allowed.
    fn allows_something(&self) -> bool {
        self.any_name
            || !self.names.is_empty()
            || !self.suffixes.is_empty()
            || !self.networks.is_empty()
            || self.any_device
            || !self.devices.is_empty()
    }

    /// Checks one rule.
    fn check(&self, name: &str, place: &str) -> Result<Rule, InvalidPolicyConfig> {
        let shown = |given: &str| given.chars().take(80).collect();
        Ok(Rule {
            name: name.into(),
            eab_keys: self
                .eab_keys
                .iter()
                .map(|given| {
                    EabKeyId::new(given).map_err(|_| InvalidPolicyConfig::EabKey {
                        place: place.to_owned(),
                        given: shown(given),
                    })
                })
                .collect::<Result<_, _>>()?,
            clients: self
                .clients
                .iter()
                .map(|given| {
                    given
                        .parse::<Identity>()
                        .map_err(|_| InvalidPolicyConfig::Client {
                            place: place.to_owned(),
                            given: shown(given),
                        })
                })
                .collect::<Result<_, _>>()?,
            any_name: self.any_name,
            names: self
                .names
                .iter()
                .map(|given| {
                    DnsName::new(given)
                        .map(|name| name.as_str().into())
                        .map_err(|_| refused(place, "names", given))
                })
                .collect::<Result<_, _>>()?,
            suffixes: domains(place, "suffixes", &self.suffixes)?,
            wildcards: self.wildcards,
            networks: self.networks.clone(),
            any_device: self.any_device,
            devices: self
                .devices
                .iter()
                .map(|given| {
                    Identifier::permanent(given).map_err(|source| InvalidPolicyConfig::Device {
                        place: place.to_owned(),
                        source,
                    })
                })
                .collect::<Result<_, _>>()?,
            profiles: self.profiles.clone(),
        })
    }
}

/// Reads domains, each perhaps with a leading dot.
fn domains(
    place: &str,
    key: &'static str,
    given: &[String],
) -> Result<Vec<Box<str>>, InvalidPolicyConfig> {
    given
        .iter()
        .map(|given| {
            let name = given.strip_prefix('.').unwrap_or(given);
            DnsName::new(name)
                .ok()
                .filter(|name| !name.is_wildcard())
                .map(|name| {
                    let dot = if given.starts_with('.') { "." } else { "" };
                    format!("{dot}{}", name.as_str()).into()
                })
                .ok_or_else(|| refused(place, key, given))
        })
        .collect()
}

/// Says that a text is no DNS name.
fn refused(place: &str, key: &'static str, given: &str) -> InvalidPolicyConfig {
    InvalidPolicyConfig::Name {
        place: place.to_owned(),
        key,
        given: given.chars().take(80).collect(),
    }
}
