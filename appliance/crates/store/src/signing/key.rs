//! The signing ledger's keys and values in the index.
//!
//! Where records lie, each [`Located`]:
//! - `S` signature as begun, `G` its stage, `O` its outcome, `W` its withdrawal;
//! - `t` serial number → time-stamp; `g` index → leaf of the log; `c` → last checkpoint;
//! - `E` event, `e` its progress; `D` delivery, `d` its progress;
//! - `B` SHA-256 → document in the journal.
//!
//! How they are found:
//! - `i` [`hash`] of signer and idempotency key → signature, digest of the request;
//! - `A` digest, `s` [`hash`] of a signer, `u` of a builder, `p` of a profile, each
//!   with the signature → nothing;
//! - `h` [`hash`] of webhook and its sender's delivery id → event, SHA-256 of the
//!   body, time;
//! - `n` level, index → hash of a complete subtree of the log;
//! - `b` SHA-256 → length of a document in a file of its own.
//!
//! What is under way, and what is due to leave the index:
//! - `o` signature; `q` event; `k` delivery → nothing;
//! - `x` time and one of `E` event, `D` delivery, `h` hash → nothing.
//!
//! Integers in keys are big-endian, so that keys sort as the numbers do.
// Stored on disk: change only by adding a version.

use std::ops::Range;

use aws_lc_rs::digest;
use model::SerialNumber;
use model::signing::{ArtifactDigest, HashAlgorithm, SignatureId};
use serde::{Deserialize, Serialize};

use crate::journal::Place;

/// Version that values begin with.
const VERSION: u8 = 1;

/// Octets of an identifier.
pub(crate) const ID_LEN: usize = 16;

/// Hash in a key: 128 bits.
pub(crate) type KeyHash = [u8; 16];

/// Where a record lies, and as much of it as the writer has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Located {
    /// The frame.
    pub(crate) place: Place,
    /// Which record of the frame.
    pub(crate) part: u16,
    /// The state it says, by [`codec`](super::codec)'s number.
    pub(crate) code: u8,
    /// When, or until when, in microseconds since the epoch.
    pub(crate) time: i64,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Since when those are counted, in microseconds since the epoch.
    pub(crate) since: i64,
}

impl Located {
    /// Locates a record that says nothing but where it lies.
    pub(crate) const fn at(place: Place, part: u16) -> Self {
        Self {
            place,
            part,
            code: 0,
            time: 0,
            attempts: 0,
            since: 0,
        }
    }

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

/// Returns a key of a tag and an identifier.
pub(crate) fn tagged(tag: u8, id: &[u8; ID_LEN]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + ID_LEN);
    key.push(tag);
    key.extend_from_slice(id);
    key
}

/// Returns a key of a tag and a SHA-256.
pub(crate) fn sha256(tag: u8, sha256: &[u8; 32]) -> Vec<u8> {
    let mut key = Vec::with_capacity(33);
    key.push(tag);
    key.extend_from_slice(sha256);
    key
}

/// Reads a SHA-256 out of a key of [`sha256`].
pub(crate) fn sha256_of(key: &[u8]) -> Option<[u8; 32]> {
    key.get(1..)?.try_into().ok()
}

/// Reads an identifier's octets from the end of a key.
pub(crate) fn trailing(bytes: &[u8]) -> Option<[u8; ID_LEN]> {
    bytes.last_chunk().copied()
}

/// Returns what the keys of an artifact's signatures begin with.
pub(crate) fn artifact(digest: &ArtifactDigest) -> Vec<u8> {
    let code = match digest.algorithm() {
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha384 => 2,
        HashAlgorithm::Sha512 => 3,
    };
    [b"A", &[code][..], digest.octets()].concat()
}

/// Returns what the keys of signatures with a property begin with.
pub(crate) fn property(tag: u8, text: &str) -> Vec<u8> {
    tagged(tag, &hash(&[text.as_bytes()]))
}

/// Returns a prefix's key of one signature.
pub(crate) fn of_signature(mut prefix: Vec<u8>, id: &SignatureId) -> Vec<u8> {
    prefix.extend_from_slice(id.octets());
    prefix
}

/// Returns the key of a time-stamp.
pub(crate) fn timestamp(serial: &SerialNumber) -> Vec<u8> {
    [b"t", serial.as_der_content()].concat()
}

/// Returns the key of a leaf.
pub(crate) fn leaf(index: u64) -> Vec<u8> {
    [b"g", &index.to_be_bytes()[..]].concat()
}

/// Returns the key of a node.
pub(crate) fn node(level: u8, index: u64) -> Vec<u8> {
    [b"n", &[level][..], &index.to_be_bytes()].concat()
}

/// Key of the last checkpoint.
pub(crate) const CHECKPOINT: &[u8] = b"c";

/// Returns the key of what is due to leave the index.
pub(crate) fn due(at: i64, tag: u8, name: &[u8; ID_LEN]) -> Vec<u8> {
    let mut key = due_before(at);
    key.push(tag);
    key.extend_from_slice(name);
    key
}

/// Returns the first key of what is due at a time or later.
pub(crate) fn due_before(at: i64) -> Vec<u8> {
    [b"x", &sortable(at)[..]].concat()
}

/// Reads tag and name out of a key of [`due`].
pub(crate) fn due_name(key: &[u8]) -> Option<(u8, [u8; ID_LEN])> {
    let (tag, name) = key.get(9..)?.split_first()?;
    Some((*tag, name.try_into().ok()?))
}

/// What is known of a request by its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The signature begun for it.
    pub(crate) id: [u8; ID_LEN],
    /// Digest of the request.
    pub(crate) digest: [u8; 32],
}

impl Known {
    /// Encodes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.id[..], &self.digest].concat()
    }

    /// Decodes it. Never panics.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (id, digest) = value.split_first_chunk()?;
        Some(Self {
            id: *id,
            digest: digest.try_into().ok()?,
        })
    }
}

/// What is known of a delivery that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The event made of it.
    pub(crate) id: [u8; ID_LEN],
    /// SHA-256 of its body.
    pub(crate) body_sha256: [u8; 32],
    /// When it came, in microseconds since the epoch.
    pub(crate) at: i64,
}

impl Seen {
    /// Encodes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.id[..], &self.body_sha256, &self.at.to_be_bytes()].concat()
    }

    /// Decodes it. Never panics.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_first_chunk()?;
        let (body_sha256, at) = rest.split_first_chunk()?;
        Some(Self {
            id: *id,
            body_sha256: *body_sha256,
            at: i64::from_be_bytes(at.try_into().ok()?),
        })
    }
}

/// Makes a signed number sort as octets.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Returns the first half of SHA-256 over parts, each with its length.
pub(crate) fn hash(parts: &[&[u8]]) -> KeyHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    // SHA-256 gives 32 octets.
    let whole = context.finish();
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}
