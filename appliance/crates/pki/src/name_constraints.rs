//! Name constraints (RFC 5280, 4.2.1.10): written, read and held to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{AttributeType, DistinguishedName};
use crate::names::{AlternativeName, DnsName, EmailAddress, address, is_within};
use crate::tlv::{self, Malformed, Reader, Tlv};

/// A run of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// An address of the run, its host bits zero.
    pub(crate) address: IpAddr,
    /// Bits that all share.
    pub(crate) prefix: u8,
}

/// One subtree of names.
///
/// Prints and reads as `dns:example.org` (with all below), `ip:10.0.0.0/8`,
/// `email:host`, `email:.domain`, `email:mailbox`, `uri:host` or `uri:.domain`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subtree {
    /// A domain and everything below it.
    Dns(String),
    /// Addresses.
    Ip(Cidr),
    /// A mailbox, a host's mailboxes, or, with a dot first, those below a domain.
    Email(String),
    /// A host's URIs or, with a dot first, those below a domain.
    Uri(String),
    /// Subjects that begin with these relative names (contents of a DER Name).
    Directory(Box<[u8]>),
}

/// The names a CA may certify.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameConstraints {
    /// Where a kind of name occurs here, names of that kind must be within one.
    pub permitted: Vec<Subtree>,
    /// Names within any of these are refused.
    pub excluded: Vec<Subtree>,
}

/// A text that is no subtree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no subtree of names: dns:domain, ip:address/bits, email:host, email:.domain or uri:host"
)]
pub struct InvalidSubtree {
    /// The text given, cut at 80 characters.
    pub given: String,
}

impl Cidr {
    /// Takes a run whose host bits are zero.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let cidr = Self { address, prefix };
        (prefix <= bits && cidr.contains(address) && cidr.host_bits_are_zero()).then_some(cidr)
    }

    /// Returns the mask's octets.
    pub(crate) fn mask(self) -> Vec<u8> {
        let len = if self.address.is_ipv4() { 4 } else { 16 };
        (0..len)
            .map(|octet: u32| {
                let ones = u32::from(self.prefix).saturating_sub(octet * 8).min(8);
                (0xff00u32 >> ones) as u8
            })
            .collect()
    }

    /// Tells whether an address is in the run.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let (ours, theirs) = (octets(self.address), octets(address));
        ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .zip(self.mask())
                .all(|((our, their), mask)| our & mask == their & mask)
    }

    /// Tells whether nothing is set beyond the prefix.
    fn host_bits_are_zero(self) -> bool {
        octets(self.address)
            .iter()
            .zip(self.mask())
            .all(|(octet, mask)| octet & !mask == 0)
    }
}

/// Returns the octets of an address.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(sixteen) => sixteen.octets().to_vec(),
    }
}

impl Subtree {
    /// Tells whether a name is of this subtree's kind.
    fn is_about(&self, name: &AlternativeName) -> bool {
        matches!(
            (self, name),
            (Self::Dns(_), AlternativeName::Dns(_))
                | (Self::Ip(_), AlternativeName::Ip(_))
                | (Self::Email(_), AlternativeName::Email(_))
                | (Self::Uri(_), AlternativeName::Uri(_))
        )
    }

    /// Tells whether a name lies within.
    fn contains(&self, name: &AlternativeName) -> bool {
        match (self, name) {
            (Self::Dns(domain), AlternativeName::Dns(name)) => {
                domain.is_empty() || name.is_within(domain)
            }
            (Self::Ip(cidr), AlternativeName::Ip(address)) => cidr.contains(*address),
            (Self::Email(subtree), AlternativeName::Email(address)) => {
                if subtree.contains('@') {
                    address.as_str() == subtree
                } else {
                    is_host_within(address.domain(), subtree)
                }
            }
            (Self::Uri(subtree), AlternativeName::Uri(uri)) => {
                is_host_within(&uri.host().to_ascii_lowercase(), subtree)
            }
            _ => false,
        }
    }

    /// Tells whether a name, or one that it stands for as a wildcard, lies within.
    fn touches(&self, name: &AlternativeName) -> bool {
        let stands_for = match (self, name) {
            (Self::Dns(domain), AlternativeName::Dns(name)) if name.is_wildcard() => {
                is_within(domain, name.base())
            }
            _ => false,
        };
        stands_for || self.contains(name)
    }
}

/// Tells whether a host is the one named or, after a leading dot, below it.
fn is_host_within(host: &str, subtree: &str) -> bool {
    if subtree.starts_with('.') {
        is_within(host, subtree)
    } else {
        host == subtree
    }
}

impl NameConstraints {
    /// Tells whether nothing is constrained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Tells whether a name may be certified (RFC 5280, 6.1.3 (b) and (c)).
    #[must_use]
    pub fn allow(&self, name: &AlternativeName) -> bool {
        let mut about = self
            .permitted
            .iter()
            .filter(|subtree| subtree.is_about(name))
            .peekable();
        let permitted = about.peek().is_none() || about.any(|subtree| subtree.contains(name));
        permitted && !self.excluded.iter().any(|subtree| subtree.touches(name))
    }

    /// Tells whether a subject, the contents of a DER Name, may be certified.
    pub(crate) fn allow_subject(&self, subject_content: &[u8]) -> bool {
        if subject_content.is_empty() {
            return true;
        }
        let within = |subtree: &Subtree| match subtree {
            Subtree::Directory(base) => Some(subject_content.starts_with(base)),
            Subtree::Dns(_) | Subtree::Ip(_) | Subtree::Email(_) | Subtree::Uri(_) => None,
        };
        let mut about = self.permitted.iter().filter_map(within).peekable();
        let permitted = about.peek().is_none() || about.any(|fits| fits);
        permitted && !self.excluded.iter().filter_map(within).any(|fits| fits)
    }

    /// Tells whether e-mail addresses in a subject may be certified.
    ///
    /// RFC 5280, 4.2.1.10: constraints on rfc822Name hold for emailAddress too; one
    /// that is no address is refused wherever addresses are constrained.
    pub(crate) fn allow_emails(&self, subject: &DistinguishedName) -> bool {
        let constrained = self
            .permitted
            .iter()
            .chain(&self.excluded)
            .any(|subtree| matches!(subtree, Subtree::Email(_)));
        !constrained
            || subject
                .attributes()
                .iter()
                .filter(|attribute| attribute.kind() == AttributeType::EmailAddress)
                .all(|attribute| {
                    EmailAddress::new(attribute.value())
                        .is_ok_and(|address| self.allow(&AlternativeName::Email(address)))
                })
    }

    /// Reads the extension's value. Bytes are hostile: never panics, allocates
    /// little more than the input's length.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut reader = tlv::read_only(der, tlv::SEQUENCE)?.reader();
        let permitted = reader.optional(tlv::context_constructed(0))?;
        let excluded = reader.optional(tlv::context_constructed(1))?;
        reader.finish()?;
        Ok(Self {
            permitted: permitted.map_or_else(|| Ok(Vec::new()), read_subtrees)?,
            excluded: excluded.map_or_else(|| Ok(Vec::new()), read_subtrees)?,
        })
    }
}

/// Reads GeneralSubtrees.
fn read_subtrees(tlv: Tlv<'_>) -> Result<Vec<Subtree>, Malformed> {
    let mut reader = tlv.reader();
    let mut subtrees = Vec::new();
    if reader.is_empty() {
        return Err(tlv.refuse("GeneralSubtrees without a subtree"));
    }
    while !reader.is_empty() {
        let mut subtree = reader.sequence()?;
        let base = subtree.next()?;
        // RFC 5280, 4.2.1.10: minimum MUST be zero and maximum absent; zero is
        // the default and so not written.
        subtree.finish()?;
        subtrees.push(read_base(base)?);
    }
    Ok(subtrees)
}

/// Reads the base of a subtree.
fn read_base(base: Tlv<'_>) -> Result<Subtree, Malformed> {
    const EMAIL: u8 = tlv::context(1);
    const DNS: u8 = tlv::context(2);
    const DIRECTORY: u8 = tlv::context_constructed(4);
    const URI: u8 = tlv::context(6);
    const IP: u8 = tlv::context(7);
    let text = || {
        std::str::from_utf8(base.content)
            .ok()
            .filter(|text| text.bytes().all(|octet| octet.is_ascii_graphic()))
            .map(str::to_ascii_lowercase)
            .ok_or_else(|| base.refuse("a subtree that is not printable ASCII"))
    };
    match base.tag {
        EMAIL => text().map(Subtree::Email),
        DNS => text().map(Subtree::Dns),
        URI => text().map(Subtree::Uri),
        IP => {
            let (address_octets, mask) = base.content.split_at(base.content.len() / 2);
            let ones: u32 = mask.iter().map(|octet| octet.leading_ones()).sum();
            let cidr = address(address_octets)
                .ok()
                .and_then(|address| Cidr::new(address, u8::try_from(ones).ok()?))
                .filter(|cidr| cidr.mask() == mask);
            cidr.map(Subtree::Ip)
                .ok_or_else(|| base.refuse("a subtree of addresses that is no prefix"))
        }
        DIRECTORY => {
            let mut reader = Reader::new(base.content);
            let name = reader.expect(tlv::SEQUENCE)?;
            reader.finish()?;
            Ok(Subtree::Directory(name.content.into()))
        }
        _ => Err(base.refuse("a subtree of names of a type that is not known here")),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = InvalidSubtree;

    fn from_str(text: &str) -> Result<Self, InvalidSubtree> {
        let parsed = match text.split_once('/') {
            Some((address, prefix)) => address.parse().ok().zip(prefix.parse().ok()),
            None => text
                .parse::<IpAddr>()
                .ok()
                .map(|address| (address, if address.is_ipv4() { 32 } else { 128 })),
        };
        parsed
            .and_then(|(address, prefix)| Self::new(address, prefix))
            .ok_or_else(|| InvalidSubtree {
                given: text.chars().take(80).collect(),
            })
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidSubtree;

    fn try_from(text: String) -> Result<Self, InvalidSubtree> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(domain) => write!(f, "dns:{domain}"),
            Self::Ip(cidr) => write!(f, "ip:{cidr}"),
            Self::Email(subtree) => write!(f, "email:{subtree}"),
            Self::Uri(subtree) => write!(f, "uri:{subtree}"),
            Self::Directory(content) => write!(f, "directory:#{}", hex::encode(content)),
        }
    }
}

impl FromStr for Subtree {
    type Err = InvalidSubtree;

    fn from_str(text: &str) -> Result<Self, InvalidSubtree> {
        let refused = || InvalidSubtree {
            given: text.chars().take(80).collect(),
        };
        let host = |value: &str| {
            DnsName::new(value.strip_prefix('.').unwrap_or(value))
                .ok()
                .filter(|name| !name.is_wildcard())
                .map(|_| value.to_ascii_lowercase())
        };
        match text.split_once(':') {
            // RFC 5280, 4.2.1.10 knows no leading dot for DNS names.
            Some(("dns", domain)) if !domain.starts_with('.') => host(domain).map(Self::Dns),
            Some(("ip", cidr)) => cidr.parse().ok().map(Self::Ip),
            Some(("email", mailbox)) if mailbox.contains('@') => EmailAddress::new(mailbox)
                .ok()
                .map(|address| Self::Email(address.as_str().to_owned())),
            Some(("email", domain)) => host(domain).map(Self::Email),
            Some(("uri", domain)) => host(domain).map(Self::Uri),
            _ => None,
        }
        .ok_or_else(refused)
    }
}

impl TryFrom<String> for Subtree {
    type Error = InvalidSubtree;

    fn try_from(text: String) -> Result<Self, InvalidSubtree> {
        text.parse()
    }
}

impl From<Subtree> for String {
    fn from(subtree: Subtree) -> String {
        subtree.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parses constraints from two lists.
    fn constraints(permitted: &[&str], excluded: &[&str]) -> NameConstraints {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        NameConstraints {
            permitted: parse(permitted),
            excluded: parse(excluded),
        }
    }

    #[test]
    fn names_outside_what_is_permitted_or_inside_what_is_excluded_are_refused() {
        let constraints = constraints(
            &[
                "dns:example.org",
                "ip:10.0.0.0/8",
                "email:.example.org",
                "uri:example.org",
            ],
            &["dns:secret.example.org", "ip:10.9.0.0/16"],
        );
        for name in [
            "dns:example.org",
            "dns:a.b.example.org",
            "ip:10.1.2.3",
            "email:x@mail.example.org",
            "uri:https://example.org/a",
            "dns:*.sub.example.org",
        ] {
            assert!(constraints.allow(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "dns:example.com",
            "dns:badexample.org",
            "dns:secret.example.org",
            "dns:x.secret.example.org",
            "dns:*.example.org",
            "ip:10.9.1.1",
            "ip:11.0.0.1",
            "ip:::1",
            "email:x@example.org",
            "uri:https://a.example.org/",
            "uri:urn:a:b",
        ] {
            if name == "ip:::1" {
                // Constraints on addresses are about both families.
                assert!(!constraints.allow(&name.parse().unwrap()));
            } else {
                assert!(!constraints.allow(&name.parse().unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn addresses_in_subjects_are_constrained_as_names_are() {
        let constraints = constraints(&["email:example.org"], &[]);
        let allowed = |subject: &str| constraints.allow_emails(&subject.parse().unwrap());
        assert!(allowed("emailAddress=a@example.org,CN=A"));
        assert!(allowed("CN=a@example.com"));
        assert!(!allowed("emailAddress=a@example.com,CN=A"));
        assert!(!allowed("emailAddress=nobody,CN=A"));
        let free = NameConstraints::default();
        assert!(free.allow_emails(&"emailAddress=nobody".parse().unwrap()));
    }

    #[test]
    fn kinds_that_are_not_mentioned_are_free() {
        let constraints = constraints(&["dns:example.org"], &[]);
        assert!(constraints.allow(&"ip:192.0.2.1".parse().unwrap()));
        assert!(NameConstraints::default().allow(&"dns:a".parse().unwrap()));
    }

    #[test]
    fn text_that_is_no_subtree_is_refused() {
        for text in [
            "dns:.example.org",
            "dns:*.a.org",
            "ip:10.0.0.1/8",
            "ip:10.0.0.0/33",
            "x:y",
            "dns:",
        ] {
            assert!(text.parse::<Subtree>().is_err(), "{text}");
        }
        for text in [
            "dns:example.org",
            "ip:::/0",
            "ip:192.0.2.1/32",
            "email:a@b.org",
            "uri:.a.org",
        ] {
            assert_eq!(text.parse::<Subtree>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = NameConstraints::from_der(&bytes);
        }

        #[test]
        fn masks_have_as_many_ones_as_the_prefix(prefix in 0u8..=128) {
            let cidr = Cidr { address: IpAddr::from([0; 16]), prefix };
            let ones: u32 = cidr.mask().iter().map(|octet| octet.count_ones()).sum();
            prop_assert_eq!(ones, u32::from(prefix));
        }
    }
}
