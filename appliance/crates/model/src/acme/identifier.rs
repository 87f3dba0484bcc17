//! What certificates are asked for: names, addresses and devices (RFC 8555, 9.7.7;
//! RFC 8738; draft-ietf-acme-device-attest).

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
    /// Type `permanent-identifier`: what a manufacturer calls a device, as it stands,
    /// perhaps with a slash and who assigned it as a dotted object identifier.
    PermanentIdentifier(Box<str>),
}

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// A type that this server does not issue for.
    #[error(
        "identifiers of type {kind:?} are not supported: `dns`, `ip` and, where devices are attested, `permanent-identifier` are"
    )]
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
    /// Text that names no device.
    #[error(
        "{value:?} is no permanent identifier: 1 to {max} printable ASCII characters without spaces and slashes, perhaps a slash and an object identifier (draft-ietf-acme-device-attest)",
        max = Identifier::MAX_PERMANENT_LEN
    )]
    Permanent {
        /// The text given, cut at 80 characters.
        value: String,
    },
}

impl Identifier {
    /// Most characters of a permanent identifier without its assigner.
    pub const MAX_PERMANENT_LEN: usize = 128;

    /// Most characters of an assigner: some forty arcs.
    const MAX_ASSIGNER_LEN: usize = 80;

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

    /// Checks the shape of a permanent identifier and takes it as it stands: the draft
    /// allows no normalization. Of the UTF-8 that it allows only printable ASCII
    /// without spaces is taken, so that no two identifiers look the same.
    ///
    /// # Errors
    ///
    /// `Permanent` if it is none.
    pub fn permanent(text: &str) -> Result<Self, InvalidIdentifier> {
        let (device, assigner) = match text.split_once('/') {
            Some((device, assigner)) => (device, Some(assigner)),
            None => (text, None),
        };
        let is_device = (1..=Self::MAX_PERMANENT_LEN).contains(&device.len())
            && device.bytes().all(|octet| octet.is_ascii_graphic());
        if is_device && assigner.is_none_or(is_assigner) {
            Ok(Self::PermanentIdentifier(text.into()))
        } else {
            Err(InvalidIdentifier::Permanent {
                value: text.chars().take(80).collect(),
            })
        }
    }

    /// Reads what `type` and `value` of an identifier object say. Text is
    /// hostile: never panics.
    ///
    /// # Errors
    ///
    /// `Kind` for another type, `Dns`, `Ip` or `Permanent` for another value.
    pub fn parse(kind: &str, value: &str) -> Result<Self, InvalidIdentifier> {
        match kind {
            "dns" => Self::dns(value),
            "ip" => value
                .parse()
                .map(Self::Ip)
                .map_err(|_| InvalidIdentifier::Ip {
                    value: value.chars().take(80).collect(),
                }),
            "permanent-identifier" => Self::permanent(value),
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
            Self::PermanentIdentifier(_) => "permanent-identifier",
        }
    }

    /// Returns its `value`.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Dns(text) | Self::PermanentIdentifier(text) => text.to_string(),
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
            Self::Ip(_) | Self::PermanentIdentifier(_) => self.clone(),
        }
    }

    /// Tells whether it is a device's, which is authorized for one key and order alone.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(self, Self::PermanentIdentifier(_))
    }

    /// Returns the identifier with a wildcard label before it; others than names have
    /// none.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        match self {
            Self::Dns(name) => Self::dns(&format!("*.{name}")).ok(),
            Self::Ip(_) | Self::PermanentIdentifier(_) => None,
        }
    }
}

/// Tells whether a text is the draft's `assigner-value`: an object identifier.
fn is_assigner(text: &str) -> bool {
    let mut arcs = text.split('.');
    let is_number = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|octet| octet.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    let (first, second) = (arcs.next(), arcs.next());
    let begins = match (first, second) {
        (Some("0" | "1"), Some(second)) => {
            is_number(second) && second.parse::<u8>().is_ok_and(|arc| arc < 40)
        }
        (Some("2"), Some(second)) => is_number(second),
        _ => false,
    };
    text.len() <= Identifier::MAX_ASSIGNER_LEN && begins && arcs.all(is_number)
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::PermanentIdentifier(text) => f.write_str(text),
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
            ("permanent-identifier", "12345678"),
            ("permanent-identifier", "C02X/1.3.6.1.4.1.41482"),
            ("permanent-identifier", "a:b/2.999"),
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
        let serial = "7".repeat(Identifier::MAX_PERMANENT_LEN + 1);
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
            ("permanent-identifier", ""),
            ("permanent-identifier", &serial),
            ("permanent-identifier", "12 34"),
            ("permanent-identifier", "é"),
            ("permanent-identifier", "/1.2.3"),
            ("permanent-identifier", "1/"),
            ("permanent-identifier", "1/1"),
            ("permanent-identifier", "1/1.40"),
            ("permanent-identifier", "1/3.1"),
            ("permanent-identifier", "1/1.2.03"),
            ("permanent-identifier", "1/1.2/1.3"),
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
