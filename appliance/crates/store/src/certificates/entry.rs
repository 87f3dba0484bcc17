//! The certificate ledger's keys and values in the index.
//!
//! - `s` serial → sequence number of its intent;
//! - `r` sequence → [`Entry`];
//! - `e` expiry, sequence → [`Expiring`], for issued certificates;
//! - `i` hash of scope and key → [`KeyUse`], for settled intents;
//! - `p` sequence → [`OpenEntry`], for intents open at the last checkpoint;
//! - `q` hash of a public key, serial → nothing, for all intents;
//! - `v` issuer, serial, sequence → [`RevocationEntry`], for each step of a revocation;
//! - `x` sequence of the intent → whether it is revoked, if it ever was;
//! - `b` hash of a public key → [`Place`], for blocked ones;
//! - `c` issuer, scope, whether delta → [`CrlEntry`].
//!
//! Integers in keys are big-endian, signed ones with their sign bit flipped, so
//! that keys sort as the numbers do. Serial numbers and issuers inside keys have
//! a length before them, so that serial numbers sort as numbers too.
// Stored on disk: change only by adding a version.

use aws_lc_rs::digest;
use model::{IssuerId, RevocationReason, SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::crl::CrlScope;
use super::record::Idempotency;
use super::revocation::Revoked;
use crate::journal::Place;

/// Version of keys and values together. An index of an older one is made anew.
///
/// 2 brought revocations, keys' serials and what expires without a look at the journal.
pub(crate) const LAYOUT: u8 = 2;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenEntry {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its frame.
    pub(crate) intent: Place,
    /// Its issuer.
    pub(crate) issuer: IssuerId,
    /// End of validity, in microseconds since the epoch.
    pub(crate) not_after: i64,
    /// Hash of scope and key, and the request's fingerprint.
    pub(crate) key: Option<(KeyHash, [u8; 32])>,
    /// Journal bytes set aside for its outcome.
    pub(crate) promise: u64,
    /// Whether the index holds it too.
    pub(crate) spilled: bool,
}

/// A certificate that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expiring<'a> {
    /// Its issuer.
    pub(crate) issuer: &'a str,
    /// Content octets of its serial number.
    pub(crate) serial: &'a [u8],
}

/// What counts from one step of a revocation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevocationEntry {
    /// The step's frame.
    pub(crate) place: Place,
    /// CRLReason.
    pub(crate) reason: u8,
    /// The revocationDate, in microseconds since the epoch.
    pub(crate) revoked_at: i64,
    /// The invalidity date.
    pub(crate) invalidity_date: Option<i64>,
    /// End of validity.
    pub(crate) not_after: Option<i64>,
}

/// The last CRL of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrlEntry {
    /// Its frame.
    pub(crate) place: Place,
    /// Its number.
    pub(crate) number: u64,
    /// Its thisUpdate, in microseconds since the epoch.
    pub(crate) this_update: i64,
}

impl RevocationEntry {
    /// Returns the reason; none if it is none of RFC 5280's.
    pub(crate) fn reason(&self) -> Option<RevocationReason> {
        RevocationReason::from_code(self.reason).ok()
    }

    /// Translates for callers; none if a field is out of range.
    pub(crate) fn to_revoked(self, serial: SerialNumber, sequence: u64) -> Option<Revoked> {
        let time = |microsecond: Option<i64>| match microsecond {
            Some(microsecond) => Timestamp::from_microsecond(microsecond).ok().map(Some),
            None => Some(None),
        };
        Some(Revoked {
            serial,
            sequence,
            reason: self.reason()?,
            revoked_at: Timestamp::from_microsecond(self.revoked_at).ok()?,
            invalidity_date: time(self.invalidity_date)?,
            not_after: time(self.not_after)?,
        })
    }
}

/// Encodes a value behind its version.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let encoded = postcard::to_extend(value, vec![LAYOUT]);
    debug_assert!(encoded.is_ok(), "postcard refused a plain record");
    encoded.unwrap_or_default()
}

/// Decodes a value; none for another version or other bytes. Never panics.
pub(crate) fn decode<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    let (version, record) = value.split_first()?;
    match postcard::take_from_bytes(record) {
        Ok((record, [])) if *version == LAYOUT => Some(record),
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

/// Returns what the keys of a public key's serial numbers begin with.
pub(crate) fn public_key_prefix(public_key_sha256: &[u8; 32]) -> Vec<u8> {
    [&b"q"[..], public_key_sha256].concat()
}

/// Returns the key of a public key's serial number.
pub(crate) fn public_key_key(public_key_sha256: &[u8; 32], serial: &SerialNumber) -> Vec<u8> {
    let mut key = public_key_prefix(public_key_sha256);
    push_sized(&mut key, serial.as_der_content());
    key
}

/// Returns what the keys of an issuer's revocations begin with.
pub(crate) fn revocations_prefix(issuer: &IssuerId) -> Vec<u8> {
    let mut key = vec![b'v'];
    push_sized(&mut key, issuer.as_str().as_bytes());
    key
}

/// Returns what the keys of one serial number's revocation begin with.
pub(crate) fn revocation_prefix(issuer: &IssuerId, serial: &SerialNumber) -> Vec<u8> {
    let mut key = revocations_prefix(issuer);
    push_sized(&mut key, serial.as_der_content());
    key
}

/// Returns the key of a step of a revocation.
pub(crate) fn revocation_key(issuer: &IssuerId, serial: &SerialNumber, sequence: u64) -> Vec<u8> {
    let mut key = revocation_prefix(issuer, serial);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// Returns the key that tells whether a record is revoked.
pub(crate) fn revoked_key(record: u64) -> Vec<u8> {
    [&b"x"[..], &record.to_be_bytes()].concat()
}

/// Returns the key of a blocked public key.
pub(crate) fn blocked_key(public_key_sha256: &[u8; 32]) -> Vec<u8> {
    [&b"b"[..], public_key_sha256].concat()
}

/// Returns the key of the last CRL of its kind.
pub(crate) fn crl_key(issuer: &IssuerId, scope: CrlScope, is_delta: bool) -> Vec<u8> {
    let mut key = vec![b'c'];
    push_sized(&mut key, issuer.as_str().as_bytes());
    match scope {
        CrlScope::Whole => key.push(0),
        CrlScope::Shard(number) => {
            key.push(1);
            key.extend_from_slice(&number.to_be_bytes());
        }
    }
    key.push(u8::from(is_delta));
    key
}

/// Appends octets behind their number, which is below 256: an issuer's name has
/// at most 32, a serial number 20.
fn push_sized(key: &mut Vec<u8>, octets: &[u8]) {
    debug_assert!(octets.len() < 256, "names in keys are short");
    key.push(octets.len() as u8);
    key.extend_from_slice(octets);
}

/// Returns the first key behind all that begin with a prefix, which must not
/// be 0xff throughout.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Reads the serial number that follows a prefix in a key, with its length.
pub(crate) fn sized_serial(key: &[u8], prefix: usize) -> Option<SerialNumber> {
    let (len, rest) = key.get(prefix..)?.split_first()?;
    SerialNumber::from_der_content(rest.get(..usize::from(*len))?).ok()
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
    fn version_2_is_these_bytes() {
        let place = |segment, offset| Place { segment, offset };
        let entry = Entry {
            intent: place(1, 64),
            outcome: place(2, 300),
            issued: true,
        };
        assert_eq!(hex::encode(encode(&entry)), "02014002ac0201");
        let used = KeyUse {
            sequence: 5,
            fingerprint: [0xee; 32],
        };
        assert_eq!(
            hex::encode(encode(&used)),
            format!("0205{}", "ee".repeat(32))
        );
        let open = OpenEntry {
            sequence: 9,
            intent: place(1, 64),
            issuer: IssuerId::new("iss").unwrap(),
            not_after: -1,
            key: Some(([0xaa; 32], [0xbb; 32])),
            promise: 4096,
            spilled: true,
        };
        let golden = format!(
            "020901400369737301{}{}{}802001",
            "01",
            "aa".repeat(32),
            "bb".repeat(32)
        );
        assert_eq!(hex::encode(encode(&open)), golden);
        assert_eq!(decode(&encode(&open)), Some(open));
        let expiring = Expiring {
            issuer: "iss",
            serial: &[10, 11],
        };
        assert_eq!(hex::encode(encode(&expiring)), "0203697373020a0b");
        let revocation = RevocationEntry {
            place: place(1, 64),
            reason: 6,
            revoked_at: 1,
            invalidity_date: Some(-1),
            not_after: None,
        };
        assert_eq!(hex::encode(encode(&revocation)), "0201400602010100");
        let crl = CrlEntry {
            place: place(1, 64),
            number: 5,
            this_update: 1,
        };
        assert_eq!(hex::encode(encode(&crl)), "0201400502");
        let (issuer, serial) = (IssuerId::new("iss").unwrap(), "0a0b".parse().unwrap());
        assert_eq!(
            hex::encode(revocation_key(&issuer, &serial, 9)),
            "7603697373020a0b0000000000000009"
        );
        let shard = crl_key(&issuer, CrlScope::Shard(7), true);
        assert_eq!(hex::encode(shard), "6303697373010000000701");
        let whole = crl_key(&issuer, CrlScope::Whole, false);
        assert_eq!(hex::encode(whole), "63036973730000");
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
            let _ = decode::<Expiring<'_>>(&bytes);
            let _ = decode::<RevocationEntry>(&bytes);
            let _ = decode::<CrlEntry>(&bytes);
            let _ = sized_serial(&bytes, 3);
            let _ = (trailing_sequence(&bytes), expiry_of(&bytes));
        }

        #[test]
        fn serials_sort_as_numbers(one in 1_u64.., two in 1_u64..) {
            let key = |number: u64| {
                let serial = SerialNumber::from_unsigned(&number.to_be_bytes()).unwrap();
                public_key_key(&[255; 32], &serial)
            };
            prop_assert_eq!(key(one).cmp(&key(two)), one.cmp(&two));
            let prefix = public_key_prefix(&[255; 32]);
            prop_assert!(key(one) > prefix && key(one) < end_of(&prefix));
            let read = sized_serial(&key(one), prefix.len()).unwrap();
            prop_assert_eq!(read, SerialNumber::from_unsigned(&one.to_be_bytes()).unwrap());
        }

        #[test]
        fn expiries_sort_as_their_keys(one: i64, two: i64) {
            prop_assert_eq!(expiry_key(one, 0).cmp(&expiry_key(two, 0)), one.cmp(&two));
            prop_assert_eq!(expiry_of(&expiry_key(one, 7)), Some(one));
        }
    }
}
