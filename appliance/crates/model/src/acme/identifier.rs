//! What certificates are asked for: names and addresses (RFC 8555, 9.7.7;
//! RFC 8738).

use std::fmt;
use std::net::IpAddr;

/// An identifier of an order or authorization.
///
/// In an order a DNS name may have a wildcard as its leftmost label; in an
/// authorization the wildcard is a flag beside it (RFC 8555, 7.1.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// Type `dns`: lower case, A-labels, no trailing dot.
    Dns(Box<str>),
    /// Type `ip`.
    Ip(IpAddr),
}

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// A type that this server does not issue for.
    #[error("identifiers of type {kind:?} are not supported: `dns` and `ip` are")]
    Kind {
        /// The type given, cut at 40 characters.
        kind: String,
    },
    /// Text that is no DNS name.
    #[error("{value:?} is no DNS name in lower case, with or without a wildcard as first label")]
    Dns {
        /// The text given, cut at 80 characters.
        value: String,
    },
    /// Text that is no IP address.
    #[error("{value:?} is no IP address (RFC 8738, 3)")]
    Ip {
        /// The text given, cut at 80 characters.
        value: String,
    },
}

impl Identifier {
    /// Checks the shape of a DNS name and takes it: labels of letters, digits and
    /// inner hyphens, lower case, at most 253 characters, perhaps `*.` before.
    ///
    /// # Errors
    ///
    /// `Dns` if it is none. Rules of policy are elsewhere.
    pub fn dns(text: &str) -> Result<Self, InvalidIdentifier> {
        let base = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            let octets = label.as_bytes();
            (1..=63).contains(&octets.len())
                && octets
                    .iter()
                    .all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && octets.first() != Some(&b'-')
                && octets.last() != Some(&b'-')
        };
        if text.len() <= 253 && base.split('.').all(is_label) {
            Ok(Self::Dns(text.into()))
        } else {
            Err(InvalidIdentifier::Dns {
                value: text.chars().take(80).collect(),
            })
        }
    }

    /// Reads what `type` and `value` of an identifier object say. Text is
    /// hostile: never panics.
    ///
    /// # Errors
    ///
    /// `Kind` for another type, `Dns` or `Ip` for another value.
    pub fn parse(kind: &str, value: &str) -> Result<Self, InvalidIdentifier> {
        match kind {
            "dns" => Self::dns(value),
            "ip" => value
                .parse()
                .map(Self::Ip)
                .map_err(|_| InvalidIdentifier::Ip {
                    value: value.chars().take(80).collect(),
                }),
            other => Err(InvalidIdentifier::Kind {
                kind: other.chars().take(40).collect(),
            }),
        }
    }

    /// Returns its `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// Returns its `value`.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Dns(name) => name.to_string(),
            // RFC 8738, 3: the text form of RFC 5952, which this is.
            Self::Ip(address) => address.to_string(),
        }
    }

    /// Tells whether it is a DNS name with a wildcard.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.starts_with("*."))
    }

    /// Returns what is to be authorized: without the wildcard label (RFC 8555, 7.1.4).
    #[must_use]
    pub fn base(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.strip_prefix("*.").unwrap_or(name).into()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }

    /// Returns the identifier with a wildcard label before it; an address has none.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        match self {
            Self::Dns(name) => Self::dns(&format!("*.{name}")).ok(),
            Self::Ip(_) => None,
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_read_as_printed() {
        for (kind, value) in [
            ("dns", "www.example.org"),
            ("dns", "*.example.org"),
            ("dns", "localhost"),
            ("dns", "xn--bcher-kva.example"),
            ("ip", "192.0.2.1"),
            ("ip", "2001:db8::1"),
        ] {
            let identifier = Identifier::parse(kind, value).unwrap();
            assert_eq!((identifier.kind(), &*identifier.value()), (kind, value));
        }
        let long = Identifier::parse("ip", "2001:DB8:0:0::1").unwrap();
        assert_eq!(long.value(), "2001:db8::1");
    }

    #[test]
    fn other_text_is_refused() {
        let label = "a".repeat(64);
        for (kind, value) in [
            ("dns", ""),
            ("dns", "Example.org"),
            ("dns", "example.org."),
            ("dns", "a..b"),
            ("dns", "*"),
            ("dns", "*.*.example.org"),
            ("dns", "www.*.example.org"),
            ("dns", "-a.example.org"),
            ("dns", "bücher.example"),
            ("dns", &label),
            ("ip", "192.0.2.256"),
            ("ip", "fe80::1%eth0"),
            ("ip", "192.0.2.0/24"),
            ("email", "a@example.org"),
        ] {
            assert!(Identifier::parse(kind, value).is_err(), "{kind} {value}");
        }
    }

    #[test]
    fn a_wildcard_is_authorized_at_its_base() {
        let wildcard = Identifier::dns("*.example.org").unwrap();
        let base = Identifier::dns("example.org").unwrap();
        assert!(wildcard.is_wildcard() && !base.is_wildcard());
        assert_eq!(wildcard.base(), base);
        assert_eq!(base.wildcard(), Some(wildcard));
    }
}
