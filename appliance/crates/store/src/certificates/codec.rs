//! The CA's records as journal payloads: postcard, a kind and version each.
// Stored on disk: change only by adding a version.

use model::{
    IdempotencyKey, Identity, IssuerId, PeerName, ProfileName, RequestId, Role, SerialNumber,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use super::blocked::BlockedKey;
use super::crl::CrlRecord;
use super::record::{AbandonReason, Idempotency, Intent};
use super::revocation::RevocationAct;
use super::timestamp::TimestampRecord;
use crate::error::Error;
use crate::journal::Frame;

mod revocation;
mod timestamp;

pub(crate) use revocation::{encode_blocked, encode_crl, encode_revocation};
pub(crate) use timestamp::encode_timestamp;

/// Kind of an intent's payload.
pub(crate) const INTENT: u16 = 1;

/// Kind of an issued certificate's payload.
pub(crate) const ISSUED: u16 = 2;

/// Kind of an abandoned intent's payload.
pub(crate) const ABANDONED: u16 = 3;

/// Kind of a revocation's payload.
pub(crate) const REVOCATION: u16 = 4;

/// Kind of a blocked key's payload.
pub(crate) const KEY_BLOCKED: u16 = 5;

/// Kind of a CRL's payload.
pub(crate) const CRL: u16 = 6;

/// Kind of a certificate timestamp's payload.
pub(crate) const TIMESTAMP: u16 = 7;

/// Version of the kinds above that this release writes.
pub(crate) const VERSION: u16 = 1;

/// What a frame of this ledger says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Something is about to be signed.
    Intent(Box<Intent>),
    /// A certificate exists.
    Issued {
        /// Its number.
        serial: SerialNumber,
        /// The certificate.
        certificate_der: Vec<u8>,
        /// When.
        at: Timestamp,
    },
    /// Nothing came of an intent.
    Abandoned {
        /// Its number.
        serial: SerialNumber,
        /// Why.
        why: AbandonReason,
        /// When.
        at: Timestamp,
    },
    /// A serial number was revoked, put on hold or released.
    Revocation(Box<RevocationAct>),
    /// A key is never certified again.
    KeyBlocked(Box<BlockedKey>),
    /// A CRL is about to be signed.
    Crl(Box<CrlRecord>),
    /// A certificate timestamp is about to be signed.
    Timestamp(Box<TimestampRecord>),
}

/// Role and name of a peer on disk.
type Peer<'a> = Option<(&'a str, &'a str)>;

/// An intent on disk. Times are microseconds since the epoch.
#[derive(Serialize, Deserialize)]
struct IntentV1<'a> {
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// The issuer.
    issuer: &'a str,
    /// The profile.
    profile: &'a str,
    /// The TBSCertificate.
    tbs_der: &'a [u8],
    /// Start of validity.
    not_before: i64,
    /// End of validity.
    not_after: i64,
    /// The subject.
    subject: &'a str,
    /// The alternative names.
    #[serde(borrow)]
    names: Vec<&'a str>,
    /// SHA-256 of the public key.
    public_key_sha256: [u8; 32],
    /// Role and name of the peer.
    requester: Peer<'a>,
    /// The request.
    request_id: &'a str,
    /// Key, scope and fingerprint.
    idempotency: Option<(&'a str, &'a str, [u8; 32])>,
    /// When it was planned.
    recorded_at: i64,
}

/// An issued certificate on disk.
#[derive(Serialize, Deserialize)]
struct IssuedV1<'a> {
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// The certificate.
    certificate_der: &'a [u8],
    /// When it was recorded.
    at: i64,
}

/// An abandoned intent on disk.
#[derive(Serialize, Deserialize)]
struct AbandonedV1<'a> {
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// [`reason_code`].
    why: u8,
    /// When it was settled.
    at: i64,
}

/// Returns the number that stands for a reason on disk.
const fn reason_code(why: AbandonReason) -> u8 {
    match why {
        AbandonReason::NotSigned => 1,
        AbandonReason::Unanswered => 2,
        AbandonReason::BadSignature => 3,
        AbandonReason::Interrupted => 4,
    }
}

/// Appends an intent's payload to `out`.
pub(crate) fn encode_intent(intent: &Intent, out: &mut Vec<u8>) {
    let idempotency = intent.idempotency.as_ref();
    append(
        &IntentV1 {
            serial: intent.serial.as_der_content(),
            issuer: intent.issuer.as_str(),
            profile: intent.profile.as_str(),
            tbs_der: &intent.tbs_der,
            not_before: intent.not_before.as_microsecond(),
            not_after: intent.not_after.as_microsecond(),
            subject: &intent.subject,
            names: intent.names.iter().map(String::as_str).collect(),
            public_key_sha256: intent.public_key_sha256,
            requester: encode_peer(intent.requester.as_ref()),
            request_id: intent.request_id.as_str(),
            idempotency: idempotency
                .map(|own| (own.key.as_str(), own.scope.as_str(), own.fingerprint)),
            recorded_at: intent.recorded_at.as_microsecond(),
        },
        out,
    );
}

/// Appends an issued certificate's payload to `out`.
pub(crate) fn encode_issued(
    serial: &SerialNumber,
    certificate_der: &[u8],
    at: Timestamp,
    out: &mut Vec<u8>,
) {
    append(
        &IssuedV1 {
            serial: serial.as_der_content(),
            certificate_der,
            at: at.as_microsecond(),
        },
        out,
    );
}

/// Appends an abandoned intent's payload to `out`.
pub(crate) fn encode_abandoned(
    serial: &SerialNumber,
    why: AbandonReason,
    at: Timestamp,
    out: &mut Vec<u8>,
) {
    append(
        &AbandonedV1 {
            serial: serial.as_der_content(),
            why: reason_code(why),
            at: at.as_microsecond(),
        },
        out,
    );
}

/// Puts a peer into its stored form.
fn encode_peer(peer: Option<&Identity>) -> Peer<'_> {
    peer.map(|peer| (peer.role.as_str(), peer.name.as_str()))
}

/// Reads a peer that may be absent; none if it is no peer.
fn decode_peer(peer: Peer<'_>) -> Option<Option<Identity>> {
    match peer {
        Some((role, name)) => Some(Some(Identity {
            role: role.parse::<Role>().ok()?,
            name: PeerName::new(name).ok()?,
        })),
        None => Some(None),
    }
}

/// Appends a record's bytes.
fn append(record: &impl Serialize, out: &mut Vec<u8>) {
    // A Vec grows, and the records hold nothing that postcard refuses.
    let written = postcard::to_extend(record, std::mem::take(out));
    debug_assert!(written.is_ok(), "postcard refused a plain record");
    *out = written.unwrap_or_default();
}

/// Reads a frame of this ledger. Bytes are hostile: never panics, allocates no
/// more than a small multiple of the payload's length.
///
/// # Errors
///
/// `UnreadableRecord` for another kind or version, or bytes that are not one.
pub(crate) fn decode(frame: &Frame<'_>) -> Result<Event, Error> {
    let header = &frame.header;
    let event = match (header.kind, header.version) {
        (INTENT, 1) => decode_intent(frame.payload).map(|intent| Event::Intent(Box::new(intent))),
        (ISSUED, 1) => decode_issued(frame.payload),
        (ABANDONED, 1) => decode_abandoned(frame.payload),
        (REVOCATION, 1) => {
            revocation::decode_revocation(frame.payload).map(|act| Event::Revocation(Box::new(act)))
        }
        (KEY_BLOCKED, 1) => {
            revocation::decode_blocked(frame.payload).map(|key| Event::KeyBlocked(Box::new(key)))
        }
        (CRL, 1) => revocation::decode_crl(frame.payload).map(|crl| Event::Crl(Box::new(crl))),
        (TIMESTAMP, 1) => timestamp::decode_timestamp(frame.payload)
            .map(|record| Event::Timestamp(Box::new(record))),
        (_, _) => None,
    };
    event.ok_or(Error::UnreadableRecord {
        sequence: header.sequence,
        kind: header.kind,
        version: header.version,
    })
}

/// Reads version 1 of an intent.
fn decode_intent(payload: &[u8]) -> Option<Intent> {
    let record: IntentV1<'_> = parse(payload)?;
    let idempotency = match record.idempotency {
        Some((key, scope, fingerprint)) => Some(Idempotency {
            key: IdempotencyKey::new(key).ok()?,
            scope: scope.to_owned(),
            fingerprint,
        }),
        None => None,
    };
    Some(Intent {
        serial: SerialNumber::from_der_content(record.serial).ok()?,
        issuer: IssuerId::new(record.issuer).ok()?,
        profile: ProfileName::new(record.profile).ok()?,
        tbs_der: record.tbs_der.to_vec(),
        not_before: Timestamp::from_microsecond(record.not_before).ok()?,
        not_after: Timestamp::from_microsecond(record.not_after).ok()?,
        subject: record.subject.to_owned(),
        names: record.names.into_iter().map(str::to_owned).collect(),
        public_key_sha256: record.public_key_sha256,
        requester: decode_peer(record.requester)?,
        request_id: RequestId::new(record.request_id).ok()?,
        idempotency,
        recorded_at: Timestamp::from_microsecond(record.recorded_at).ok()?,
    })
}

/// Reads version 1 of an issued certificate.
fn decode_issued(payload: &[u8]) -> Option<Event> {
    let record: IssuedV1<'_> = parse(payload)?;
    Some(Event::Issued {
        serial: SerialNumber::from_der_content(record.serial).ok()?,
        certificate_der: record.certificate_der.to_vec(),
        at: Timestamp::from_microsecond(record.at).ok()?,
    })
}

/// Reads version 1 of an abandoned intent.
fn decode_abandoned(payload: &[u8]) -> Option<Event> {
    let record: AbandonedV1<'_> = parse(payload)?;
    Some(Event::Abandoned {
        serial: SerialNumber::from_der_content(record.serial).ok()?,
        why: AbandonReason::ALL
            .into_iter()
            .find(|why| reason_code(*why) == record.why)?,
        at: Timestamp::from_microsecond(record.at).ok()?,
    })
}

/// Reads a record that fills the whole payload.
fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Some(record),
        Ok((_, [_, ..])) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
