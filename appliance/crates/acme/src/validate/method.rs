//! Which kinds of challenge fit which identifiers.

use model::acme::{ChallengeKind, Identifier};

/// Tells whether a kind of challenge can prove control of an identifier.
pub(super) fn fits(kind: ChallengeKind, identifier: &Identifier, wildcard: bool) -> bool {
    match kind {
        // RFC 8555, 8.3 and RFC 8737, 3: no wildcard domain names.
        ChallengeKind::Http01 | ChallengeKind::TlsAlpn01 => !wildcard && !identifier.is_device(),
        // RFC 8738, 7: dns-01 MUST NOT be used for IP identifiers.
        ChallengeKind::Dns01 | ChallengeKind::DnsAccount01 => {
            matches!(identifier, Identifier::Dns(_))
        }
        // draft-ietf-acme-device-attest, 5: nothing else proves which device it is.
        ChallengeKind::DeviceAttest01 => identifier.is_device(),
    }
}
