//! The ACME ledger's keys and values in the index.
//!
//! Where records lie, each [`Located`]:
//! - `A` account, `E` EAB key's name, `O` order, `H` authorization.
//!
//! How they are found:
//! - `k` thumbprint → account; stale where the account has another key by now;
//! - `l` account, order → nothing;
//! - `u` account and [`request_hash`] → the last order that was asked for so;
//! - `w` serial number → the last order that replaces that certificate;
//! - `c` serial number → its order;
//! - `n` [`identifier_hash`], time, order → nothing, for each certificate issued;
//! - `z` account and [`identifier_hash`] → the last authorization that became valid;
//! - `d` authorization, order → nothing, for orders that used it again.
//!
//! What is under way, and what is due to leave the index:
//! - `p` order, `v` authorization and kind of challenge → nothing;
//! - `x` time, `O` or `H`, identifier → nothing.
//!
//! Integers in keys are big-endian, so that keys sort as the numbers do.
// Stored on disk: change only by adding a version.

use std::ops::Range;

use aws_lc_rs::digest;
use model::acme::{AccountId, AuthorizationId, ChallengeId, EabKeyId, Identifier, OrderId};
use model::{SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::codec::{Record, challenge_code, challenge_kind};
use super::record::Order;
use crate::journal::Place;

/// Version that values begin with.
const VERSION: u8 = 1;

/// Hash in a key: 128 bits, which no one account could make collide usefully.
pub(crate) type KeyHash = [u8; 16];

/// Names one record of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// An account.
    Account(AccountId),
    /// An EAB key.
    EabKey(EabKeyId),
    /// An order.
    Order(OrderId),
    /// An authorization.
    Authorization(AuthorizationId),
}

/// Where a record lies, and when it may leave the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Located {
    /// The frame.
    pub(crate) place: Place,
    /// Which record of the frame.
    pub(crate) part: u16,
    /// When it may leave the index, in microseconds since the epoch; the greatest
    /// for what stays.
    pub(crate) due: i64,
}

impl Located {
    /// Encodes it behind its version.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let encoded = postcard::to_extend(self, vec![VERSION]);
        debug_assert!(encoded.is_ok(), "postcard refused a plain record");
        encoded.unwrap_or_default()
    }

    /// Decodes it; none for another version or other bytes. Never panics.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (version, located) = value.split_first()?;
        match postcard::take_from_bytes(located) {
            Ok((located, [])) if *version == VERSION => Some(located),
            Ok(_) | Err(_) => None,
        }
    }
}

impl Name {
    /// Returns the name of a record.
    pub(crate) fn of(record: &Record) -> Self {
        match record {
            Record::Account(account) => Self::Account(account.id),
            Record::EabKey(key) => Self::EabKey(key.id.clone()),
            Record::Order(order) => Self::Order(order.id),
            Record::Authorization(authorization) => Self::Authorization(authorization.id),
        }
    }

    /// Returns the key under which it is located.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(id) => [b"A", &id.octets()[..]].concat(),
            Self::EabKey(id) => [b"E", id.as_str().as_bytes()].concat(),
            Self::Order(id) => [b"O", &id.octets()[..]].concat(),
            Self::Authorization(id) => [b"H", &id.octets()[..]].concat(),
        }
    }
}

/// Returns the range of every key that begins with a prefix.
pub(crate) fn prefixed(prefix: Vec<u8>) -> Range<Vec<u8>> {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    prefix..end
}

/// Returns the key of a thumbprint.
pub(crate) fn thumbprint(thumbprint: &[u8; 32]) -> Vec<u8> {
    [b"k", &thumbprint[..]].concat()
}

/// Returns the key of an account's order.
pub(crate) fn listed(account: &AccountId, order: &OrderId) -> Vec<u8> {
    [b"l", &account.octets()[..], order.octets()].concat()
}

/// Returns what the keys of an account's orders begin with.
pub(crate) fn listed_of(account: &AccountId) -> Vec<u8> {
    [b"l", &account.octets()[..]].concat()
}

/// Returns the key of a request for an order.
pub(crate) fn requested(order: &Order) -> Vec<u8> {
    [b"u", &order.account.octets()[..], &request_hash(order)].concat()
}

/// Returns the key of a certificate that is replaced.
pub(crate) fn replaced(serial: &SerialNumber) -> Vec<u8> {
    [b"w", serial.as_der_content()].concat()
}

/// Returns the key of a certificate.
pub(crate) fn certificate(serial: &SerialNumber) -> Vec<u8> {
    [b"c", serial.as_der_content()].concat()
}

/// Returns the key of a certificate for an identifier.
pub(crate) fn issued(identifier: &Identifier, at: Timestamp, order: &OrderId) -> Vec<u8> {
    let mut key = issued_since(identifier, at);
    key.extend_from_slice(order.octets());
    key
}

/// Returns the smallest key of certificates for an identifier since a time.
pub(crate) fn issued_since(identifier: &Identifier, since: Timestamp) -> Vec<u8> {
    let mut key = issued_for(identifier);
    key.extend_from_slice(&sortable(since.as_microsecond()));
    key
}

/// Returns what the keys of certificates for an identifier begin with.
pub(crate) fn issued_for(identifier: &Identifier) -> Vec<u8> {
    [b"n", &identifier_hash(identifier)[..]].concat()
}

/// Reads the time out of a key of [`issued`].
pub(crate) fn issued_time(key: &[u8]) -> Option<i64> {
    let octets: &[u8; 8] = key.get(1 + size_of::<KeyHash>()..)?.first_chunk()?;
    Some(unsortable(*octets))
}

/// Returns the key of an account's valid authorization.
pub(crate) fn authorized(account: &AccountId, identifier: &Identifier) -> Vec<u8> {
    [b"z", &account.octets()[..], &identifier_hash(identifier)].concat()
}

/// Returns the key of an order that uses an authorization again.
pub(crate) fn dependent(authorization: &AuthorizationId, order: &OrderId) -> Vec<u8> {
    [b"d", &authorization.octets()[..], order.octets()].concat()
}

/// Returns what the keys of an authorization's orders begin with.
pub(crate) fn dependents_of(authorization: &AuthorizationId) -> Vec<u8> {
    [b"d", &authorization.octets()[..]].concat()
}

/// Returns the key of an order that is being issued.
pub(crate) fn processing(order: &OrderId) -> Vec<u8> {
    [b"p", &order.octets()[..]].concat()
}

/// Returns the key of a challenge that is being validated.
pub(crate) fn validating(id: &ChallengeId) -> Vec<u8> {
    let kind = [challenge_code(id.kind)];
    [b"v", &id.authorization.octets()[..], &kind].concat()
}

/// Reads a challenge out of its key.
pub(crate) fn validating_of(key: &[u8]) -> Option<ChallengeId> {
    let (kind, rest) = key.split_last()?;
    Some(ChallengeId {
        authorization: AuthorizationId::from_octets(trailing(rest)?),
        kind: challenge_kind(*kind)?,
    })
}

/// Returns the key of what is due to leave the index.
pub(crate) fn due(at: i64, name: &[u8]) -> Vec<u8> {
    [b"x", &sortable(at)[..], name].concat()
}

/// Reads the name out of a key of [`due`].
pub(crate) fn due_name(key: &[u8]) -> Option<Name> {
    let (tag, id) = key.get(9..)?.split_first()?;
    let id = id.try_into().ok()?;
    match tag {
        b'O' => Some(Name::Order(OrderId::from_octets(id))),
        b'H' => Some(Name::Authorization(AuthorizationId::from_octets(id))),
        _ => None,
    }
}

/// Reads an identifier's octets from the end of a key or from a value.
pub(crate) fn trailing(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.last_chunk().copied()
}

/// Makes a signed number sort as octets.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Reads what [`sortable`] made.
fn unsortable(octets: [u8; 8]) -> i64 {
    (u64::from_be_bytes(octets) ^ (1 << 63)).cast_signed()
}

/// Hashes an identifier.
fn identifier_hash(identifier: &Identifier) -> KeyHash {
    let mut hash = Hash::new();
    hash.identifier(identifier);
    hash.finish()
}

/// Hashes what an order was asked for with: its identifiers in any order, profile,
/// validity and what it replaces.
fn request_hash(order: &Order) -> KeyHash {
    let mut hash = Hash::new();
    let mut identifiers: Vec<&Identifier> = order.identifiers.iter().collect();
    identifiers.sort_unstable();
    hash.part(&(identifiers.len() as u64).to_be_bytes());
    for identifier in identifiers {
        hash.identifier(identifier);
    }
    hash.part(
        order
            .profile
            .as_ref()
            .map_or(b"", |own| own.as_str().as_bytes()),
    );
    for at in [order.not_before, order.not_after] {
        hash.part(&at.map_or(i64::MIN, Timestamp::as_microsecond).to_be_bytes());
    }
    match &order.replaces {
        Some(replaced) => {
            hash.part(&replaced.issuer_key_id);
            hash.part(replaced.serial.as_der_content());
        }
        None => hash.part(b""),
    }
    hash.finish()
}

/// SHA-256 over parts, each with its length.
struct Hash(digest::Context);

impl Hash {
    /// Begins a hash.
    fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds a part.
    fn part(&mut self, octets: &[u8]) {
        self.0.update(&(octets.len() as u64).to_be_bytes());
        self.0.update(octets);
    }

    /// Adds an identifier.
    fn identifier(&mut self, identifier: &Identifier) {
        self.part(identifier.kind().as_bytes());
        match identifier {
            Identifier::Dns(text) | Identifier::PermanentIdentifier(text) => {
                self.part(text.as_bytes());
            }
            Identifier::Ip(std::net::IpAddr::V4(address)) => self.part(&address.octets()),
            Identifier::Ip(std::net::IpAddr::V6(address)) => self.part(&address.octets()),
        }
    }

    /// Returns the first half of the hash.
    fn finish(self) -> KeyHash {
        let whole = self.0.finish();
        // SHA-256 gives 32 octets.
        whole.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_1_is_these_bytes() {
        let located = Located {
            place: Place {
                segment: 2,
                offset: 300,
            },
            part: 1,
            due: -1,
        };
        assert_eq!(hex::encode(located.encode()), "0102ac020101");
        assert_eq!(Located::decode(&located.encode()), Some(located));
        assert_eq!(
            hex::encode(due(-1, &Name::Order(OrderId::from_octets([7; 16])).key())),
            format!("787fffffffffffffff4f{}", "07".repeat(16))
        );
        // SHA-256 of a length and "dns", a length and "example.org", cut in half.
        let name = Identifier::dns("example.org").unwrap();
        assert_eq!(
            hex::encode(issued_for(&name)),
            "6eafb5254f187fb92a18bea46fc94c0704"
        );
    }

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(prefixed(vec![b'p']), vec![b'p']..vec![b'q']);
        assert_eq!(prefixed(vec![1, 0xff]), vec![1, 0xff]..vec![2]);
    }

    #[test]
    fn names_and_challenges_are_read_back() {
        let order = Name::Order(OrderId::from_octets([1; 16]));
        assert_eq!(due_name(&due(5, &order.key())), Some(order));
        let challenge = ChallengeId {
            authorization: AuthorizationId::from_octets([2; 16]),
            kind: model::acme::ChallengeKind::Dns01,
        };
        assert_eq!(validating_of(&validating(&challenge)), Some(challenge));
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        let key = issued(
            &Identifier::Ip([192, 0, 2, 1].into()),
            at,
            &OrderId::from_octets([3; 16]),
        );
        assert_eq!(issued_time(&key), Some(at.as_microsecond()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Located::decode(&bytes);
            let _ = (validating_of(&bytes), due_name(&bytes), issued_time(&bytes), trailing(&bytes));
        }

        #[test]
        fn keys_sort_as_numbers_do(one: i64, other: i64) {
            prop_assert_eq!(due(one, b"").cmp(&due(other, b"")), one.cmp(&other));
        }
    }
}
