//! The certificate ledger's keys and values in the index.
//!
//! - `s` serial → sequence number of its intent;
//! - `r` sequence → [`Entry`];
//! - `e` expiry, sequence → nothing, for issued certificates;
//! - `i` hash of scope and key → [`KeyUse`], for settled intents;
//! - `p` sequence → [`OpenEntry`], for intents open at the last checkpoint.
//!
//! Integers in keys are big-endian, signed ones with their sign bit flipped, so
//! that keys sort as the numbers do.
// Stored on disk: change only by adding a version.

use aws_lc_rs::digest;
use model::SerialNumber;
use serde::{Deserialize, Serialize};

use super::list::StateFilter;
use super::record::Idempotency;
use crate::journal::Place;

/// Version that values begin with.
const VERSION: u8 = 1;

/// Hash of an idempotency scope and key.
pub(crate) type KeyHash = [u8; 32];

/// Where a settled intent and its outcome lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The intent's frame.
    pub(crate) intent: Place,
    /// The outcome's frame.
    pub(crate) outcome: Place,
    /// Whether a certificate exists.
    pub(crate) issued: bool,
}

/// What an idempotency key was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyUse {
    /// The last intent under the key.
    pub(crate) sequence: u64,
    /// The request's fingerprint.
    pub(crate) fingerprint: [u8; 32],
}

/// An intent that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenEntry {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its frame.
    pub(crate) intent: Place,
    /// End of validity, in microseconds since the epoch.
    pub(crate) not_after: i64,
    /// Hash of scope and key, and the request's fingerprint.
    pub(crate) key: Option<(KeyHash, [u8; 32])>,
    /// Journal bytes set aside for its outcome.
    pub(crate) promise: u64,
    /// Whether the index holds it too.
    pub(crate) spilled: bool,
}

impl Entry {
    /// Whether a filter on state lets it through.
    pub(crate) fn is_admitted(&self, state: Option<StateFilter>) -> bool {
        match state {
            None => true,
            Some(StateFilter::Issued) => self.issued,
            Some(StateFilter::Abandoned) => !self.issued,
            Some(StateFilter::Pending) => false,
        }
    }
}

/// Encodes a value behind its version.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let encoded = postcard::to_extend(value, vec![VERSION]);
    debug_assert!(encoded.is_ok(), "postcard refused a plain record");
    encoded.unwrap_or_default()
}

/// Decodes a value; none for another version or other bytes. Never panics.
pub(crate) fn decode<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    let (version, record) = value.split_first()?;
    match postcard::take_from_bytes(record) {
        Ok((record, [])) if *version == VERSION => Some(record),
        Ok(_) | Err(_) => None,
    }
}

/// Returns the key of a serial number.
pub(crate) fn serial_key(serial: &SerialNumber) -> Vec<u8> {
    [b"s", serial.as_der_content()].concat()
}

/// Returns the key of a settled intent.
pub(crate) fn record_key(sequence: u64) -> Vec<u8> {
    [&b"r"[..], &sequence.to_be_bytes()].concat()
}

/// Returns the key of an open intent.
pub(crate) fn open_key(sequence: u64) -> Vec<u8> {
    [&b"p"[..], &sequence.to_be_bytes()].concat()
}

/// Returns the key of an expiry.
pub(crate) fn expiry_key(not_after: i64, sequence: u64) -> Vec<u8> {
    let sortable = not_after.cast_unsigned() ^ (1 << 63);
    [&b"e"[..], &sortable.to_be_bytes(), &sequence.to_be_bytes()].concat()
}

/// Returns the key of an idempotency key.
pub(crate) fn use_key(hash: &KeyHash) -> Vec<u8> {
    [&b"i"[..], hash].concat()
}

/// Reads a sequence number from the end of a key or from a value.
pub(crate) fn trailing_sequence(bytes: &[u8]) -> Option<u64> {
    bytes.last_chunk().map(|octets| u64::from_be_bytes(*octets))
}

/// Reads the expiry out of its key.
pub(crate) fn expiry_of(key: &[u8]) -> Option<i64> {
    let octets: &[u8; 8] = key.get(1..)?.first_chunk()?;
    Some((u64::from_be_bytes(*octets) ^ (1 << 63)).cast_signed())
}

/// Hashes scope and key, each with its length.
pub(crate) fn hash_key(idempotency: &Idempotency) -> KeyHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [idempotency.scope.as_str(), idempotency.key.as_str()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hash = KeyHash::default();
    // SHA-256 gives 32 octets.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_1_is_these_bytes() {
        let place = |segment, offset| Place { segment, offset };
        let entry = Entry {
            intent: place(1, 64),
            outcome: place(2, 300),
            issued: true,
        };
        assert_eq!(hex::encode(encode(&entry)), "01014002ac0201");
        let used = KeyUse {
            sequence: 5,
            fingerprint: [0xee; 32],
        };
        assert_eq!(
            hex::encode(encode(&used)),
            format!("0105{}", "ee".repeat(32))
        );
        let open = OpenEntry {
            sequence: 9,
            intent: place(1, 64),
            not_after: -1,
            key: Some(([0xaa; 32], [0xbb; 32])),
            promise: 4096,
            spilled: true,
        };
        let golden = format!(
            "0109014001{:0<2}{}{}802001",
            "01",
            "aa".repeat(32),
            "bb".repeat(32)
        );
        assert_eq!(hex::encode(encode(&open)), golden);
        assert_eq!(decode(&encode(&open)), Some(open));
        assert_eq!(
            hex::encode(expiry_key(-1, 2)),
            "657fffffffffffffff0000000000000002"
        );
    }

    #[test]
    fn scope_and_key_do_not_run_into_each_other() {
        let of = |scope: &str, key: &str| {
            hash_key(&Idempotency {
                key: model::IdempotencyKey::new(key).unwrap(),
                scope: scope.to_owned(),
                fingerprint: [0; 32],
            })
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode::<Entry>(&bytes);
            let _ = decode::<OpenEntry>(&bytes);
            let _ = decode::<KeyUse>(&bytes);
            let _ = (trailing_sequence(&bytes), expiry_of(&bytes));
        }

        #[test]
        fn expiries_sort_as_their_keys(one: i64, two: i64) {
            prop_assert_eq!(expiry_key(one, 0).cmp(&expiry_key(two, 0)), one.cmp(&two));
            prop_assert_eq!(expiry_of(&expiry_key(one, 7)), Some(one));
        }
    }
}
