//! Names in the subjectAltName extension (RFC 5280, 4.2.1.6), checked.

mod permanent;
mod punycode;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use permanent::PermanentIdentifier;

use crate::tlv::{self, Reader};

/// A DNS name, lower case, possibly with a wildcard as its leftmost label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Box<str>);

/// An e-mail address: a mailbox of RFC 5321 in ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Box<str>);

/// An absolute URI of RFC 3986 with an authority or a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UriName(Box<str>);

/// One subject alternative name.
///
/// Prints as `dns:www.example.org`, `ip:192.0.2.1`, `email:a@example.org`,
/// `uri:spiffe://…` or `permanent-identifier:C02X`, and reads the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlternativeName {
    /// dNSName.
    Dns(DnsName),
    /// iPAddress.
    Ip(IpAddr),
    /// rfc822Name.
    Email(EmailAddress),
    /// uniformResourceIdentifier.
    Uri(UriName),
    /// otherName of type PermanentIdentifier (RFC 4043).
    Permanent(PermanentIdentifier),
}

/// Which kind of name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum NameKind {
    /// DNS names.
    Dns,
    /// IP addresses.
    Ip,
    /// E-mail addresses.
    Email,
    /// URIs.
    Uri,
    /// Devices' permanent identifiers.
    PermanentIdentifier,
}

/// Why a name is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlternativeName {
    /// Nothing at all.
    #[error("the name is empty")]
    Empty,
    /// More than DNS (253), a mailbox (254) or a URI (2048) may have.
    #[error("the name has {len} octets; at most {max} are allowed")]
    TooLong {
        /// Octets found.
        len: usize,
        /// Most octets allowed.
        max: usize,
    },
    /// A label of a DNS name that is empty or longer than 63 octets; a trailing
    /// dot leaves an empty label.
    #[error("a label of a DNS name has 1 to 63 characters (and no name ends in a dot), not {len}")]
    LabelLength {
        /// Octets of the label.
        len: usize,
    },
    /// A label that is not letters, digits and inner hyphens (RFC 1034, 3.5).
    #[error("{label:?} is no DNS label: letters, digits and hyphens, no hyphen first or last")]
    Label {
        /// The label, escaped, at most 63 characters.
        label: String,
    },
    /// A label with hyphens in third and fourth place that is no valid A-label.
    #[error("{label:?} is no A-label of an internationalized name (RFC 5891, 4.4)")]
    ALabel {
        /// The label.
        label: String,
    },
    /// A wildcard elsewhere than alone in the leftmost label, or above nothing.
    #[error("a wildcard stands alone in the leftmost label, above at least one other")]
    Wildcard,
    /// An IP address where a DNS name belongs.
    #[error("an IP address is no DNS name; ask for it as an IP address")]
    AddressAsDns,
    /// Not 4 or 16 octets.
    #[error("an IP address has 4 or 16 octets, not {len}")]
    AddressLength {
        /// Octets found.
        len: usize,
    },
    /// Text that is no IP address.
    #[error("the text is no IP address")]
    Address,
    /// Not a mailbox.
    #[error("the text is no e-mail address in ASCII: local-part@domain")]
    Email,
    /// Not an absolute URI.
    #[error(
        "the text is no absolute URI (RFC 3986): scheme, authority with a DNS name or address, path"
    )]
    Uri,
    /// Characters outside ASCII, or control characters.
    #[error("names are printable ASCII; octet {octet:#04x} is not")]
    Octet {
        /// The offending octet.
        octet: u8,
    },
    /// A GeneralName of a type that is not issued.
    #[error(
        "names of type [{tag}] are not issued: DNS names, IP addresses, e-mail addresses, URIs and permanent identifiers are"
    )]
    UnsupportedType {
        /// The context tag.
        tag: u8,
    },
    /// Not a device's permanent identifier.
    #[error(
        "a permanent identifier is 1 to 128 printable ASCII characters without spaces and slashes, perhaps with the object identifier of its assigner (RFC 4043)"
    )]
    PermanentIdentifier,
    /// Text without one of the prefixes.
    #[error("write a name as dns:…, ip:…, email:…, uri:… or permanent-identifier:…")]
    Prefix,
}

/// Returns ASCII text of printable characters.
fn printable(octets: &[u8]) -> Result<&str, InvalidAlternativeName> {
    match octets.iter().find(|octet| !octet.is_ascii_graphic()) {
        Some(octet) => Err(InvalidAlternativeName::Octet { octet: *octet }),
        None => std::str::from_utf8(octets).map_err(|_| InvalidAlternativeName::Empty),
    }
}

/// Checks length bounds that every textual name has.
fn bounded(text: &str, max: usize) -> Result<(), InvalidAlternativeName> {
    match text.len() {
        0 => Err(InvalidAlternativeName::Empty),
        len if len > max => Err(InvalidAlternativeName::TooLong { len, max }),
        _ => Ok(()),
    }
}

/// Checks one label of a DNS name.
fn check_label(label: &str) -> Result<(), InvalidAlternativeName> {
    let octets = label.as_bytes();
    if octets.is_empty() || octets.len() > 63 {
        return Err(InvalidAlternativeName::LabelLength { len: octets.len() });
    }
    // RFC 5280, 4.2.1.6: the preferred name syntax of RFC 1034, 3.5, with the
    // digit-first labels of RFC 1123, 2.1.
    let spelled = octets
        .iter()
        .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    if !spelled || octets.first() == Some(&b'-') || octets.last() == Some(&b'-') {
        return Err(InvalidAlternativeName::Label {
            label: label.escape_default().take(63).collect(),
        });
    }
    // RFC 5891, 4.2.3.1: hyphens in third and fourth place are reserved for
    // A-labels, whose rest is Punycode (RFC 3492).
    if octets.get(2..4) == Some(b"--") {
        let rest = label.get(4..).filter(|_| {
            label
                .get(..2)
                .is_some_and(|ace| ace.eq_ignore_ascii_case("xn"))
        });
        if !rest.is_some_and(punycode::is_punycode) {
            return Err(InvalidAlternativeName::ALabel {
                label: label.to_owned(),
            });
        }
    }
    Ok(())
}

impl DnsName {
    /// Most octets of a name without its root label (RFC 1035, 2.3.4).
    pub const MAX_LEN: usize = 253;

    /// Checks a name and takes it in lower case.
    ///
    /// # Errors
    ///
    /// What is wrong with its characters, labels, lengths or wildcard.
    pub fn new(text: &str) -> Result<Self, InvalidAlternativeName> {
        bounded(text, Self::MAX_LEN)?;
        printable(text.as_bytes())?;
        let rest = match text.strip_prefix("*.") {
            Some(rest) => rest,
            None if text == "*" => return Err(InvalidAlternativeName::Wildcard),
            None => text,
        };
        if rest.contains('*') {
            return Err(InvalidAlternativeName::Wildcard);
        }
        rest.split('.').try_for_each(check_label)?;
        // An all-numeric last label makes it an address to URL parsers.
        let last = rest.rsplit('.').next().unwrap_or(rest);
        if last.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(InvalidAlternativeName::AddressAsDns);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Returns the name, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether the leftmost label is a wildcard.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Returns the name without its wildcard label.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Tells whether the name is `domain` or lies below it.
    ///
    /// A leading dot in `domain` leaves only what lies below. A wildcard name
    /// is below its base.
    #[must_use]
    pub fn is_within(&self, domain: &str) -> bool {
        is_within(&self.0, domain)
    }
}

/// Tells whether a lower-case `name` is `domain` or, label by label, below it.
pub(crate) fn is_within(name: &str, domain: &str) -> bool {
    if let Some(parent) = domain.strip_prefix('.') {
        return name
            .strip_suffix(parent)
            .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'));
    }
    name.strip_suffix(domain)
        .is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
}

impl EmailAddress {
    /// Most octets of a mailbox (RFC 5321, 4.5.3.1.3, erratum 1690).
    pub const MAX_LEN: usize = 254;

    /// Checks an address; the domain is taken in lower case.
    ///
    /// # Errors
    ///
    /// `Email` unless it is a dot-atom local part and a domain name; quoted
    /// local parts and address literals are refused.
    pub fn new(text: &str) -> Result<Self, InvalidAlternativeName> {
        bounded(text, Self::MAX_LEN)?;
        printable(text.as_bytes())?;
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidAlternativeName::Email)?;
        let atext =
            |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
        let spelled = local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(atext));
        if !spelled || local.len() > 64 || domain.starts_with('*') {
            return Err(InvalidAlternativeName::Email);
        }
        let domain = DnsName::new(domain).map_err(|_| InvalidAlternativeName::Email)?;
        Ok(Self(format!("{local}@{}", domain.as_str()).into()))
    }

    /// Returns the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what follows the @, lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl UriName {
    /// Most octets taken (X509-SVID, 2: at most 2048).
    pub const MAX_LEN: usize = 2048;

    /// Checks a URI and takes it as it stands.
    ///
    /// # Errors
    ///
    /// `Uri` unless it has a scheme (RFC 3986, 3.1), only characters of RFC 3986
    /// with whole percent-encodings, and, where it has an authority, a host that
    /// is a DNS name or address (RFC 5280, 4.2.1.6), without user information.
    pub fn new(text: &str) -> Result<Self, InvalidAlternativeName> {
        bounded(text, Self::MAX_LEN)?;
        printable(text.as_bytes())?;
        let refused = || InvalidAlternativeName::Uri;
        let (scheme, rest) = text.split_once(':').ok_or_else(refused)?;
        let scheme_spelled = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet));
        if !scheme_spelled || rest.is_empty() || !is_uri_text(rest) {
            return Err(refused());
        }
        if let Some(hierarchy) = rest.strip_prefix("//") {
            let authority = hierarchy.split(['/', '?', '#']).next().unwrap_or("");
            if !is_host_and_port(authority) {
                return Err(refused());
            }
        }
        Ok(Self(text.into()))
    }

    /// Returns the URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether the scheme is `spiffe`, in any case (RFC 3986, 3.1).
    #[must_use]
    pub fn is_spiffe(&self) -> bool {
        self.scheme().eq_ignore_ascii_case("spiffe")
    }

    /// Returns what precedes the first colon.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or("")
    }

    /// Returns the host in the authority, without its port; empty if there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self
            .0
            .split_once("://")
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
            .unwrap_or("");
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
            _ => authority,
        }
    }
}

/// Tells whether only characters of RFC 3986, 2 occur, percent-encodings whole.
fn is_uri_text(text: &str) -> bool {
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let fine = match octet {
            b'%' => {
                let hexadecimal = |octet: Option<u8>| octet.is_some_and(|o| o.is_ascii_hexdigit());
                hexadecimal(octets.next()) && hexadecimal(octets.next())
            }
            octet => octet.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&octet),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Tells whether an authority is a DNS name or address with an optional port.
fn is_host_and_port(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port));
    }
    let (host, port) = match authority.find(':') {
        Some(colon) => authority.split_at(colon),
        None => (authority, ""),
    };
    // Trust domains of SPIFFE may hold underscores (SPIFFE-ID, 2.1).
    let host_spelled = host.parse::<Ipv4Addr>().is_ok()
        || (!host.contains('*') && DnsName::new(&host.replace('_', "u")).is_ok());
    host_spelled && (port.is_empty() || is_port(port))
}

/// Tells whether `text` is a colon and a port number.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| digits.parse::<u16>().is_ok())
}

impl AlternativeName {
    /// Reads one GeneralName. Bytes are hostile: never panics, allocates no
    /// more than the input's length.
    pub(crate) fn from_tlv(tlv: tlv::Tlv<'_>) -> Result<Self, InvalidAlternativeName> {
        const OTHER: u8 = tlv::context_constructed(0);
        const EMAIL: u8 = tlv::context(1);
        const DNS: u8 = tlv::context(2);
        const URI: u8 = tlv::context(6);
        const IP: u8 = tlv::context(7);
        match tlv.tag {
            OTHER => PermanentIdentifier::from_other_name(tlv).map(Self::Permanent),
            EMAIL => EmailAddress::new(printable(tlv.content)?).map(Self::Email),
            DNS => DnsName::new(printable(tlv.content)?).map(Self::Dns),
            URI => UriName::new(printable(tlv.content)?).map(Self::Uri),
            // RFC 5280, 4.2.1.6: four octets for IPv4, sixteen for IPv6.
            IP => address(tlv.content).map(Self::Ip),
            other => Err(InvalidAlternativeName::UnsupportedType { tag: other & 0x1f }),
        }
    }

    /// Returns which kind of name it is.
    #[must_use]
    pub fn kind(&self) -> NameKind {
        match self {
            Self::Dns(_) => NameKind::Dns,
            Self::Ip(_) => NameKind::Ip,
            Self::Email(_) => NameKind::Email,
            Self::Uri(_) => NameKind::Uri,
            Self::Permanent(_) => NameKind::PermanentIdentifier,
        }
    }

    /// Returns the name without its prefix.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Dns(name) => name.as_str().to_owned(),
            Self::Ip(address) => address.to_string(),
            Self::Email(address) => address.as_str().to_owned(),
            Self::Uri(uri) => uri.as_str().to_owned(),
            Self::Permanent(identifier) => identifier.to_string(),
        }
    }
}

/// Reads the octets of an iPAddress.
pub(crate) fn address(octets: &[u8]) -> Result<IpAddr, InvalidAlternativeName> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::V4(four.into()));
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(sixteen) => Ok(IpAddr::V6(sixteen.into())),
        Err(_) => Err(InvalidAlternativeName::AddressLength { len: octets.len() }),
    }
}

/// Why a GeneralNames could not be taken: its encoding, or one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamesError {
    /// Not DER, or no names at all.
    Encoding(tlv::Malformed),
    /// A name at this place (from 0) that is none.
    Name(usize, InvalidAlternativeName),
    /// More names than the limit.
    TooMany,
}

/// Reads a GeneralNames of at most `max` names.
pub(crate) fn read_names(der: &[u8], max: usize) -> Result<Vec<AlternativeName>, NamesError> {
    let mut outer = Reader::new(der);
    let mut reader = outer.sequence().map_err(NamesError::Encoding)?;
    outer.finish().map_err(NamesError::Encoding)?;
    let mut names = Vec::new();
    while !reader.is_empty() {
        if names.len() == max {
            return Err(NamesError::TooMany);
        }
        let tlv = reader.next().map_err(NamesError::Encoding)?;
        let name =
            AlternativeName::from_tlv(tlv).map_err(|error| NamesError::Name(names.len(), error))?;
        names.push(name);
    }
    Ok(names)
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Ip => "ip",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::PermanentIdentifier => "permanent-identifier",
        })
    }
}

impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{}", name.0),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Email(address) => write!(f, "email:{}", address.0),
            Self::Uri(uri) => write!(f, "uri:{}", uri.0),
            Self::Permanent(identifier) => write!(f, "permanent-identifier:{identifier}"),
        }
    }
}

impl FromStr for AlternativeName {
    type Err = InvalidAlternativeName;

    fn from_str(text: &str) -> Result<Self, InvalidAlternativeName> {
        match text.split_once(':') {
            Some(("dns", name)) => DnsName::new(name).map(Self::Dns),
            Some(("ip", address)) => address
                .parse()
                .map(Self::Ip)
                .map_err(|_| InvalidAlternativeName::Address),
            Some(("email", address)) => EmailAddress::new(address).map(Self::Email),
            Some(("uri", uri)) => UriName::new(uri).map(Self::Uri),
            Some(("permanent-identifier", text)) => text.parse().map(Self::Permanent),
            _ => Err(InvalidAlternativeName::Prefix),
        }
    }
}

#[cfg(test)]
mod tests;
