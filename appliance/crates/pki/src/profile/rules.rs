//! Rules for names and subjects, and what they make of a request.

use std::net::IpAddr;

use model::ProfileName;

use super::check::ProfileError;
use super::config::{NameRulesConfig, SubjectRulesConfig};
use super::plan::ProfileRefusal;
use crate::name::{Attribute, AttributeType, DistinguishedName};
use crate::name_constraints::Cidr;
use crate::names::{AlternativeName, DnsName, NameKind, is_within};

/// Which subject alternative names a profile takes.
#[derive(Debug, Clone)]
pub(crate) struct NameRules {
    /// Kinds taken.
    pub(crate) kinds: Vec<NameKind>,
    /// Fewest names.
    pub(crate) min: usize,
    /// Most names.
    pub(crate) max: usize,
    /// Wildcards are taken.
    pub(crate) wildcards: bool,
    /// Domains DNS names must be in; empty: any.
    allowed_domains: Vec<String>,
    /// Domains DNS names must not be in.
    forbidden_domains: Vec<String>,
    /// Addresses taken; empty: any.
    allowed_addresses: Vec<Cidr>,
    /// Addresses refused.
    forbidden_addresses: Vec<Cidr>,
    /// Domains of e-mail addresses; empty: any.
    allowed_email_domains: Vec<String>,
    /// Beginnings of URIs; empty: any.
    allowed_uri_prefixes: Vec<String>,
}

impl NameRules {
    /// Checks written rules.
    pub(super) fn from_config(
        config: NameRulesConfig,
        require: &impl Fn(bool, &'static str, &'static str) -> Result<(), ProfileError>,
    ) -> Result<Self, ProfileError> {
        let domains = |list: Option<Vec<String>>| {
            let parsed: Option<Vec<String>> = list
                .unwrap_or_default()
                .iter()
                .map(|domain| {
                    let bare = domain.strip_prefix('.').unwrap_or(domain);
                    DnsName::new(bare)
                        .ok()
                        .filter(|name| !name.is_wildcard())
                        .map(|_| domain.to_ascii_lowercase())
                })
                .collect();
            require(
                parsed.is_some(),
                "names",
                "must list domains as example.org, or .example.org for what is below it only",
            )?;
            Ok::<_, ProfileError>(parsed.unwrap_or_default())
        };
        let rules = Self {
            kinds: config.kinds.unwrap_or_default(),
            min: config.min.unwrap_or(0),
            max: config.max.unwrap_or(0),
            wildcards: config.wildcards.unwrap_or(false),
            allowed_domains: domains(config.allowed_domains)?,
            forbidden_domains: domains(config.forbidden_domains)?,
            allowed_addresses: config.allowed_addresses.unwrap_or_default(),
            forbidden_addresses: config.forbidden_addresses.unwrap_or_default(),
            allowed_email_domains: domains(config.allowed_email_domains)?,
            allowed_uri_prefixes: config.allowed_uri_prefixes.unwrap_or_default(),
        };
        require(
            rules.min <= rules.max,
            "names.min",
            "must not exceed names.max",
        )?;
        require(
            rules.max == 0 || !rules.kinds.is_empty(),
            "names.kinds",
            "must name at least one kind where names.max is not 0",
        )?;
        require(rules.max <= 1000, "names.max", "must not exceed 1000")?;
        Ok(rules)
    }

    /// Checks one name asked for by a request.
    pub(crate) fn check(&self, name: &AlternativeName) -> Result<(), ProfileRefusal> {
        let forbidden = |rule: &'static str| ProfileRefusal::NameForbidden {
            name: name.clone(),
            rule,
        };
        if let AlternativeName::Uri(uri) = name
            && uri.is_spiffe()
        {
            return Err(ProfileRefusal::IdentityInRequest { name: name.clone() });
        }
        if !self.kinds.contains(&name.kind()) {
            return Err(forbidden(
                "names of this kind are not issued by the profile",
            ));
        }
        match name {
            AlternativeName::Dns(dns) => self.check_dns(dns).map_err(forbidden),
            AlternativeName::Ip(address) => self.check_address(*address).map_err(forbidden),
            AlternativeName::Permanent(_) => Ok(()),
            AlternativeName::Email(email) => {
                let within = |domain: &String| is_within(email.domain(), domain);
                if self.allowed_email_domains.is_empty()
                    || self.allowed_email_domains.iter().any(within)
                {
                    Ok(())
                } else {
                    Err(forbidden("the domain is not among allowed_email_domains"))
                }
            }
            AlternativeName::Uri(uri) => {
                let begins = |prefix: &String| uri.as_str().starts_with(prefix.as_str());
                if self.allowed_uri_prefixes.is_empty()
                    || self.allowed_uri_prefixes.iter().any(begins)
                {
                    Ok(())
                } else {
                    Err(forbidden(
                        "the URI begins with none of allowed_uri_prefixes",
                    ))
                }
            }
        }
    }

    /// Checks a DNS name.
    fn check_dns(&self, name: &DnsName) -> Result<(), &'static str> {
        if name.is_wildcard() && !self.wildcards {
            return Err("wildcards are not issued by the profile");
        }
        // A wildcard stands for all one label below its base: it must be allowed
        // with them, and is forbidden with any of them.
        let allowed = |domain: &String| name.is_within(domain);
        let touches = |domain: &String| {
            let bare = domain.strip_prefix('.').unwrap_or(domain);
            name.is_within(domain) || (name.is_wildcard() && is_within(bare, name.base()))
        };
        if self.forbidden_domains.iter().any(touches) {
            return Err("the name is in, or stands for names in, forbidden_domains");
        }
        if !self.allowed_domains.is_empty() && !self.allowed_domains.iter().any(allowed) {
            return Err("the name is not in allowed_domains");
        }
        Ok(())
    }

    /// Checks an address.
    fn check_address(&self, address: IpAddr) -> Result<(), &'static str> {
        let contains = |cidr: &Cidr| cidr.contains(address);
        if self.forbidden_addresses.iter().any(contains) {
            return Err("the address is in forbidden_addresses");
        }
        if !self.allowed_addresses.is_empty() && !self.allowed_addresses.iter().any(contains) {
            return Err("the address is not in allowed_addresses");
        }
        Ok(())
    }
}

/// What a profile makes of a request's subject.
#[derive(Debug, Clone)]
pub(crate) struct SubjectRules {
    /// Attributes kept.
    pub(crate) keep: Vec<AttributeType>,
    /// Attributes needed.
    require: Vec<AttributeType>,
    /// Attributes set.
    pub(crate) fixed: Vec<Attribute>,
    /// The common name must be one of the names.
    pub(crate) common_name_is_a_name: bool,
}

impl SubjectRules {
    /// Checks written rules.
    pub(super) fn from_config(
        config: SubjectRulesConfig,
        profile: &ProfileName,
    ) -> Result<Self, ProfileError> {
        let refused = |problem| ProfileError::FixedAttribute {
            name: profile.clone(),
            problem,
        };
        let fixed = config
            .fixed
            .unwrap_or_default()
            .iter()
            .map(|(kind, value)| Attribute::new(*kind, value))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        Ok(Self {
            keep: config.keep.unwrap_or_default(),
            require: config.require.unwrap_or_default(),
            fixed,
            common_name_is_a_name: config.common_name_is_a_name.unwrap_or(false),
        })
    }

    /// Tells whether every subject is empty.
    pub(super) fn is_always_empty(&self) -> bool {
        self.keep.is_empty() && self.require.is_empty() && self.fixed.is_empty()
    }

    /// Tells whether every subject has this attribute.
    pub(super) fn always_has(&self, kind: AttributeType) -> bool {
        self.require.contains(&kind) || self.fixed.iter().any(|fixed| fixed.kind() == kind)
    }

    /// Makes the subject: fixed attributes, and those of the request to be kept,
    /// in the customary order, most general first.
    pub(super) fn apply(
        &self,
        requested: &DistinguishedName,
    ) -> Result<DistinguishedName, ProfileRefusal> {
        let is_fixed = |kind| self.fixed.iter().any(|fixed| fixed.kind() == kind);
        let mut attributes = self.fixed.clone();
        for attribute in requested.attributes() {
            let kind = attribute.kind();
            if !self.keep.contains(&kind) || is_fixed(kind) {
                continue;
            }
            attribute
                .check_issuable()
                .map_err(|problem| ProfileRefusal::Subject { problem })?;
            attributes.push(attribute.clone());
        }
        let lacking = |kind: &&AttributeType| {
            !attributes
                .iter()
                .any(|attribute| attribute.kind() == **kind)
        };
        if let Some(kind) = self.require.iter().find(lacking) {
            return Err(ProfileRefusal::SubjectLacks { kind: *kind });
        }
        // AttributeType is ordered from general to particular; equal types keep
        // the request's order.
        attributes.sort_by_key(Attribute::kind);
        Ok(DistinguishedName::new(attributes))
    }

    /// Tells whether an attribute may stand in a subject of this profile.
    pub(crate) fn allow(&self, attribute: &Attribute) -> bool {
        let mut fixed = self
            .fixed
            .iter()
            .filter(|fixed| fixed.kind() == attribute.kind())
            .peekable();
        match fixed.peek() {
            Some(_) => fixed.any(|fixed| fixed.value() == attribute.value()),
            None => self.keep.contains(&attribute.kind()),
        }
    }
}
