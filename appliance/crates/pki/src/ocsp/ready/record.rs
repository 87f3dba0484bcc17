//! Signed answers as records, for a responder that is to go on after a restart.
//!
//! A record says nothing of who signed it and for which certificate: whoever keeps
//! it keeps that too, and clients find out by the signature.
// Stored on disk: change only by adding a version.

use model::RevocationReason;

use super::super::CertIdHash;
use super::super::read::Data;
use super::{ReadyAnswer, Signature, SignedResponse, State};

/// The version that records begin with.
const VERSION: u8 = 1;

/// State of a certificate that is not revoked.
const GOOD: u8 = 0;
/// State of one that is not known.
const UNKNOWN: u8 = 1;
/// State of a revoked one; the reason's code is added.
const REVOKED: u8 = 0x40;

/// A signature of 64 octets in its small form.
const SHORT: u8 = 0;
/// A signature as it stands in the response.
const WHOLE: u8 = 1;

impl ReadyAnswer {
    /// Appends the answer as a record: 90 octets where signatures have 64.
    pub fn append_record(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(match self.state {
            State::Good => GOOD,
            State::Unknown => UNKNOWN,
            State::Revoked(reason) => REVOKED | reason.code(),
        });
        out.push(match self.hash {
            CertIdHash::Sha1 => 0,
            CertIdHash::Sha256 => 1,
            CertIdHash::Sha384 => 2,
            CertIdHash::Sha512 => 3,
        });
        for time in [
            self.produced_at,
            self.this_update,
            self.next_update,
            self.archive_cutoff,
            self.revoked_at,
        ] {
            out.extend_from_slice(&time.to_be_bytes());
        }
        let (kind, signature): (_, &[u8]) = match &self.signature {
            Signature::Short(octets) => (SHORT, octets),
            Signature::Whole(octets) => (WHOLE, octets),
        };
        out.push(kind);
        append_octets(out, signature);
    }

    /// Reads a record, and returns what is behind it.
    ///
    /// Bytes may be damaged: never panics, allocates no more than their length.
    #[must_use]
    pub fn from_record(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([version, state, hash], rest) = record.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        let state = match *state {
            GOOD => State::Good,
            UNKNOWN => State::Unknown,
            revoked if revoked & REVOKED != 0 => {
                State::Revoked(RevocationReason::from_code(revoked & !REVOKED).ok()?)
            }
            _ => return None,
        };
        let hash = *CertIdHash::ALL.get(usize::from(*hash))?;
        let (produced_at, rest) = time(rest)?;
        let (this_update, rest) = time(rest)?;
        let (next_update, rest) = time(rest)?;
        let (archive_cutoff, rest) = time(rest)?;
        let (revoked_at, rest) = time(rest)?;
        let (kind, rest) = rest.split_first()?;
        let (octets, rest) = octets(rest)?;
        let signature = match *kind {
            SHORT => Signature::Short(octets.try_into().ok()?),
            WHOLE => Signature::Whole(octets.into()),
            _ => return None,
        };
        let answer = Self {
            signature,
            produced_at,
            this_update,
            next_update,
            archive_cutoff,
            revoked_at,
            state,
            hash,
        };
        Some((answer, rest))
    }
}

impl SignedResponse {
    /// Appends the response as a record.
    pub fn append_record(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        append_octets(out, &self.signature);
        out.extend_from_slice(&self.data_der);
    }

    /// Reads a record, which fills the bytes.
    ///
    /// Bytes may be damaged: never panics, allocates no more than their length.
    #[must_use]
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let (version, rest) = record.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (signature, data_der) = octets(rest)?;
        let data = Data::parse(data_der).ok()?;
        Some(Self {
            produced_at: data.produced_at,
            next_update: data
                .answers()
                .filter_map(|answer| answer.next_update)
                .min()?,
            data_der: data_der.into(),
            signature: signature.into(),
        })
    }

    /// Counts the octets that keeping it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.data_der.len() + self.signature.len()
    }
}

/// Appends octets behind their number; a signature has fewer than 65,536.
fn append_octets(out: &mut Vec<u8>, octets: &[u8]) {
    let (len, octets) = match u16::try_from(octets.len()) {
        Ok(len) => (len, octets),
        Err(_) => (0, &[][..]),
    };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(octets);
}

/// Reads octets behind their number.
fn octets(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = record.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Reads a time.
fn time(record: &[u8]) -> Option<(u32, &[u8])> {
    let (octets, rest) = record.split_first_chunk()?;
    Some((u32::from_be_bytes(*octets), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer in its small form.
    fn answer(state: State, signature: Signature) -> ReadyAnswer {
        ReadyAnswer {
            signature,
            produced_at: 1,
            this_update: 2,
            next_update: 3,
            archive_cutoff: 0,
            revoked_at: 4,
            state,
            hash: CertIdHash::Sha256,
        }
    }

    #[test]
    fn version_1_is_these_bytes() {
        let held = State::Revoked(RevocationReason::CertificateHold);
        let mut record = Vec::new();
        answer(held, Signature::Whole([0xaa, 0xbb].into())).append_record(&mut record);
        assert_eq!(
            hex::encode(&record),
            "0146010000000100000002000000030000000000000004010002aabb"
        );
    }

    #[test]
    fn answers_survive_their_records() {
        let states = RevocationReason::ALL.map(State::Revoked);
        for state in [State::Good, State::Unknown].into_iter().chain(states) {
            for signature in [
                Signature::Short([7; 64]),
                Signature::Whole([1, 2, 3].into()),
            ] {
                let answer = answer(state, signature);
                let mut record = Vec::new();
                answer.append_record(&mut record);
                record.push(9);
                assert_eq!(ReadyAnswer::from_record(&record), Some((answer, &[9][..])));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReadyAnswer::from_record(&bytes);
            let _ = SignedResponse::from_record(&bytes);
        }
    }
}
