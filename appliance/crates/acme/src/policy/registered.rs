//! Registered names: what a registry sells one of (the public suffix list).

use model::acme::Identifier;

/// Returns what limits count an identifier by: of a DNS name the registered name,
/// one label more than its public suffix; of an IPv4 address itself, of an IPv6
/// address its /64, a device by itself.
///
/// Below a suffix that the list does not know, such as `internal`, the last two
/// labels are the registered name; a name of one label is itself.
#[must_use]
pub fn registered_name(identifier: &Identifier) -> Box<str> {
    match identifier {
        Identifier::Dns(name) => {
            let base = name.strip_prefix("*.").unwrap_or(name);
            psl::domain_str(base).unwrap_or(base).into()
        }
        // No domain begins so.
        Identifier::PermanentIdentifier(text) => format!("device:{text}").into(),
        Identifier::Ip(address) => super::limits::network_of(*address).to_string().into(),
    }
}

/// Tells whether a name is a public suffix that the list knows.
pub(super) fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}
