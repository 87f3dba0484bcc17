//! Signed responses, whole or in their smallest form.

mod record;

use model::{RevocationReason, SerialNumber, Timestamp};

use super::read::Data;
use super::{CertIdHash, CertStatus, IssuerHashes, Responder};
use crate::algorithm::SignatureAlgorithm;
use crate::encode::ocsp::{self as encode, Single};
use crate::public_key::KeyType;
use crate::tlv;

/// A response that has been signed, exactly as it was linted; without what all of its
/// responder's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedResponse {
    /// The ResponseData.
    pub(super) data_der: Box<[u8]>,
    /// Its signature.
    pub(super) signature: Box<[u8]>,
    /// When it was signed.
    pub(super) produced_at: Timestamp,
    /// When the first of its answers runs out.
    pub(super) next_update: Timestamp,
}

impl SignedResponse {
    /// Writes the OCSPResponse, DER, in one allocation.
    #[must_use]
    pub fn to_der(&self, responder: &Responder) -> Vec<u8> {
        encode::response(
            self.data_der.len(),
            &responder.behind(&self.signature),
            |out| out.extend_from_slice(&self.data_der),
        )
    }

    /// Returns when it was signed.
    #[must_use]
    pub fn produced_at(&self) -> Timestamp {
        self.produced_at
    }

    /// Returns when the first of its answers runs out.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// Takes what cannot be written anew.
    ///
    /// None unless it is one answer, with a CertID as [`IssuerHashes::cert_id_der`]
    /// encodes it, without nonce and extended revoke, and with times before 2106: the
    /// small form is written out again and compared, octet for octet.
    #[must_use]
    pub fn compact(&self, responder: &Responder, issuer: &IssuerHashes) -> Option<ReadyAnswer> {
        let data = Data::parse(&self.data_der).ok()?;
        let answer = data.answers().next().filter(|_| data.count == 1)?;
        let serial = answer.cert_id.serial()?;
        let (revoked_at, state) = match answer.status {
            CertStatus::Good => (0, State::Good),
            CertStatus::Unknown => (0, State::Unknown),
            CertStatus::Revoked { at, reason } => (seconds(at)?, State::Revoked(reason)),
        };
        let ready = ReadyAnswer {
            signature: Signature::compact(responder, &self.signature),
            produced_at: seconds(data.produced_at)?,
            this_update: seconds(answer.this_update)?,
            next_update: seconds(answer.next_update?)?,
            archive_cutoff: match answer.archive_cutoff {
                Some(cutoff) => seconds(cutoff).filter(|second| *second > 0)?,
                None => 0,
            },
            revoked_at,
            state,
            hash: answer.cert_id.hash()?,
        };
        let same = ready.to_der(responder, issuer, &serial) == self.to_der(responder);
        same.then_some(ready)
    }
}

/// An answer signed in advance: 96 octets where signatures have 64 (P-256, Ed25519).
///
/// The serial number, the issuer's hashes and all that the responder's answers share
/// are not in it; whoever keeps it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyAnswer {
    /// The signature.
    signature: Signature,
    /// When it was signed, in seconds since the Unix epoch as all times here.
    produced_at: u32,
    /// When the status was known to be right.
    this_update: u32,
    /// When more will be known.
    next_update: u32,
    /// Archive cutoff; 0 for none.
    archive_cutoff: u32,
    /// Since when revoked; 0 if not.
    revoked_at: u32,
    /// The status.
    state: State,
    /// The hash of its CertID.
    hash: CertIdHash,
}

/// A status without its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not revoked.
    Good,
    /// Not known.
    Unknown,
    /// Revoked, and why.
    Revoked(RevocationReason),
}

/// A signature in few octets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Signature {
    /// Raw r ‖ s of P-256, each 32 octets big-endian; or Ed25519 as it is.
    Short([u8; 64]),
    /// As it stands in the response.
    Whole(Box<[u8]>),
}

impl ReadyAnswer {
    /// Writes the OCSPResponse, DER, in one allocation.
    ///
    /// Responder, issuer and serial number are those it was signed by and for; with
    /// others the signature does not verify.
    #[must_use]
    pub fn to_der(
        &self,
        responder: &Responder,
        issuer: &IssuerHashes,
        serial: &SerialNumber,
    ) -> Vec<u8> {
        let data = encode::ResponseData {
            responder_id: responder.responder_id_der(),
            produced_at: self.produced_at(),
            singles: &[Single {
                cert_id: issuer.cert_id_octets(self.hash, serial),
                status: self.status(),
                this_update: self.this_update(),
                next_update: self.next_update(),
                archive_cutoff: (self.archive_cutoff > 0).then(|| time(self.archive_cutoff)),
            }],
            extensions: &[],
        };
        let mut room = [0; P256_LEN];
        let signature = match &self.signature {
            Signature::Whole(octets) => octets,
            Signature::Short(octets) => match responder.signature_algorithm() {
                SignatureAlgorithm::Ecdsa(_) => p256_der(octets, &mut room),
                _ => octets.as_slice(),
            },
        };
        data.to_response(&responder.behind(signature))
    }

    /// Returns the status that was signed.
    #[must_use]
    pub fn status(&self) -> CertStatus {
        match self.state {
            State::Good => CertStatus::Good,
            State::Unknown => CertStatus::Unknown,
            State::Revoked(reason) => CertStatus::Revoked {
                at: time(self.revoked_at),
                reason,
            },
        }
    }

    /// Returns when it was signed.
    #[must_use]
    pub fn produced_at(&self) -> Timestamp {
        time(self.produced_at)
    }

    /// Returns when the status was known to be right.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        time(self.this_update)
    }

    /// Returns when more will be known.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        time(self.next_update)
    }

    /// Returns the hash that its CertID names the issuer by.
    #[must_use]
    pub fn hash(&self) -> CertIdHash {
        self.hash
    }
}

impl Signature {
    /// Takes a signature of a responder.
    fn compact(responder: &Responder, signature: &[u8]) -> Self {
        let short = match (
            responder.signature_algorithm(),
            responder.public_key().key_type(),
        ) {
            (SignatureAlgorithm::Ed25519, _) => signature.try_into().ok(),
            (SignatureAlgorithm::Ecdsa(_), KeyType::P256) => p256_raw(signature),
            _ => None,
        };
        short.map_or_else(|| Self::Whole(signature.into()), Self::Short)
    }
}

/// Most octets of an Ecdsa-Sig-Value of P-256: two INTEGERs of 33 octets.
const P256_LEN: usize = 72;

/// Takes r and s out of an Ecdsa-Sig-Value (RFC 3279, 2.2.3).
fn p256_raw(signature: &[u8]) -> Option<[u8; 64]> {
    let mut reader = tlv::read_only(signature, tlv::SEQUENCE).ok()?.reader();
    let mut raw = [0; 64];
    for half in raw.chunks_exact_mut(32) {
        let magnitude = reader.expect(tlv::INTEGER).ok()?.positive_integer().ok()?;
        let start = half.len().checked_sub(magnitude.len())?;
        half.get_mut(start..)?.copy_from_slice(magnitude);
    }
    reader.finish().ok()?;
    Some(raw)
}

/// Writes r and s as an Ecdsa-Sig-Value.
fn p256_der<'a>(raw: &[u8; 64], room: &'a mut [u8; P256_LEN]) -> &'a [u8] {
    let mut len = 2;
    for half in raw.chunks_exact(32) {
        let zeros = half.iter().take_while(|octet| **octet == 0).count();
        let magnitude = half.get(zeros..).unwrap_or(&[]);
        // X.690, 8.3: a set top bit would be a sign.
        let sign = usize::from(magnitude.first().is_none_or(|first| first & 0x80 != 0));
        let end = len + 2 + sign + magnitude.len();
        if let Some([tag, octets, content @ ..]) = room.get_mut(len..end) {
            *tag = tlv::INTEGER;
            *octets = (sign + magnitude.len()) as u8;
            if let Some((_, digits)) = content.split_at_mut_checked(sign) {
                digits.copy_from_slice(magnitude);
            }
        }
        len = end;
    }
    room[0] = tlv::SEQUENCE;
    room[1] = (len - 2) as u8;
    room.get(..len).unwrap_or(&[])
}

/// Returns seconds since the Unix epoch, from 1970 to 2106.
fn seconds(time: Timestamp) -> Option<u32> {
    u32::try_from(time.as_second()).ok()
}

/// Returns the time of so many seconds.
fn time(seconds: u32) -> Timestamp {
    Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_kept_in_96_octets() {
        assert_eq!(size_of::<ReadyAnswer>(), 96);
    }

    proptest! {
        #[test]
        fn p256_signatures_survive_their_small_form(raw: [u8; 32], zeros in 0..32usize) {
            let mut both = [0u8; 64];
            both[..32].copy_from_slice(&raw);
            both[zeros..32].reverse();
            both[..zeros].fill(0);
            both[63] = 1;
            both[31] |= 1;
            let mut room = [0; P256_LEN];
            let der = p256_der(&both, &mut room);
            prop_assert_eq!(p256_raw(der), Some(both));
        }
    }
}
