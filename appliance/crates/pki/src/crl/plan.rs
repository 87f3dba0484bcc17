//! The plan of one CRL, and its encoding: one copy, one hash.

use aws_lc_rs::digest::{Context, Digest};
use jiff::Timestamp;

use super::CrlNumber;
use crate::algorithm::{self, HashAlgorithm, SignatureAlgorithm};
use crate::encode;
use crate::issuer::IssuerFacts;
use crate::public_key::KeyType;
use crate::tlv;

/// Octets copied before they are hashed: few enough to be in the first cache still.
const STRIDE: usize = 16 * 1024;

/// Which certificates a CRL is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoveredKinds {
    /// Every kind.
    #[default]
    All,
    /// End-entity certificates (onlyContainsUserCerts).
    UserCertificates,
    /// CA certificates (onlyContainsCACerts).
    CaCertificates,
}

/// An IssuingDistributionPoint (RFC 5280, 5.2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuingPoint {
    /// The distribution point's names, as the certificates covered have them.
    pub urls: Vec<String>,
    /// Which certificates are covered.
    pub only: CoveredKinds,
}

/// What one CRL is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlPlan {
    /// Its number.
    pub number: CrlNumber,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one will have been made at the latest.
    pub next_update: Timestamp,
    /// The CRL that it adds to, if it is a delta.
    pub delta_base: Option<CrlNumber>,
    /// What it covers, if not everything the issuer certified. A delta has its
    /// base's, or none as its base (6.3.3 (c)(2)).
    pub issuing_point: Option<IssuingPoint>,
    /// Where its delta is published; never in a delta (5.2.6).
    pub freshest: Option<String>,
    /// Since when certificates stay on it although they have expired.
    pub expired_certs_on_crl: Option<Timestamp>,
}

/// More octets than a CRL can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the CRL would have {len} octets, more than any reader takes; shard it")]
pub struct CrlTooLong {
    /// Octets of its entries.
    pub len: usize,
}

/// A CRL planned and encoded, waiting for its lint.
#[derive(Debug)]
pub struct PlannedCrl {
    /// Room for the outermost tag and length, then the TBSCertList; room behind it for
    /// algorithm and signature.
    pub(super) out: Vec<u8>,
    /// Octets before the TBSCertList.
    pub(super) room: usize,
    /// Digest of the TBSCertList.
    pub(super) digest: Digest,
}

impl CrlPlan {
    /// Longest run of entries taken: lengths have at most four octets.
    const MAX_ENTRIES_LEN: usize = (u32::MAX - 0x0100_0000) as usize;

    /// Plans a CRL about everything the issuer certified.
    #[must_use]
    pub fn full(number: CrlNumber, this_update: Timestamp, next_update: Timestamp) -> Self {
        Self {
            number,
            this_update,
            next_update,
            delta_base: None,
            issuing_point: None,
            freshest: None,
            expired_certs_on_crl: None,
        }
    }

    /// Encodes the CRL around its entries.
    ///
    /// Each item is one entry or several joined, as [`super::encode_entry`] made them,
    /// in any order. They are walked twice: for their lengths, then to be copied into
    /// exactly as much memory as the signed CRL needs. Every octet is hashed once,
    /// just after it was copied.
    ///
    /// # Errors
    ///
    /// `CrlTooLong` near 4 GiB.
    pub fn encode<'e, I>(&self, issuer: &IssuerFacts, entries: I) -> Result<PlannedCrl, CrlTooLong>
    where
        I: IntoIterator<Item = &'e [u8]>,
        I::IntoIter: Clone,
    {
        let entries = entries.into_iter();
        let len: usize = entries.clone().map(<[u8]>::len).sum();
        if len > Self::MAX_ENTRIES_LEN {
            return Err(CrlTooLong { len });
        }
        let head = encode::crl::head(self, issuer);
        let extensions = encode::crl::extensions(self, issuer);
        // 5.1.2.6: without revoked certificates the list MUST be absent.
        let list_header = if len == 0 { 0 } else { encode::header_len(len) };
        let content = head.len() + list_header + len + extensions.len();
        let tbs_len = encode::header_len(content) + content;
        let behind = signature_room(issuer);
        let room = encode::header_len(tbs_len + behind);
        let mut writer = HashedWriter {
            out: Vec::with_capacity(room + tbs_len + behind),
            hashed: room,
            context: Context::new(algorithm::implementation(digest_of(
                issuer.signature_algorithm,
            ))),
        };
        writer.out.resize(room, 0);
        encode::append_header(&mut writer.out, tlv::SEQUENCE, content);
        writer.write(&head);
        if len > 0 {
            encode::append_header(&mut writer.out, tlv::SEQUENCE, len);
        }
        entries.for_each(|entry| writer.write(entry));
        writer.write(&extensions);
        let (out, digest) = writer.finish();
        Ok(PlannedCrl { out, room, digest })
    }
}

impl PlannedCrl {
    /// Returns the TBSCertList, DER, not yet linted.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.out.get(self.room..).unwrap_or(&[])
    }
}

/// Returns the hash made of a CRL: the one that is signed, or, where the message itself
/// is signed, one for the records.
pub(super) fn digest_of(algorithm: SignatureAlgorithm) -> HashAlgorithm {
    algorithm.hash().unwrap_or(HashAlgorithm::Sha256)
}

/// Counts the octets that algorithm and longest signature take.
fn signature_room(issuer: &IssuerFacts) -> usize {
    let signature = match (issuer.signature_algorithm, issuer.public_key.key_type()) {
        (_, KeyType::Rsa { bits }) => bits.div_ceil(8) as usize,
        (SignatureAlgorithm::Ed25519, _) => 64,
        // Two INTEGERs, each with a sign octet, in a SEQUENCE.
        (_, KeyType::P256) => 72,
        (_, KeyType::P384) => 104,
        (_, KeyType::P521 | KeyType::Ed25519) => 139,
    };
    let bits = 1 + signature;
    issuer.signature_algorithm.identifier_der().len() + encode::header_len(bits) + bits
}

/// Copies octets and hashes them while they are at hand.
struct HashedWriter {
    /// What was written.
    out: Vec<u8>,
    /// How many of its octets are hashed, or left out.
    hashed: usize,
    /// The hash so far.
    context: Context,
}

impl HashedWriter {
    /// Appends octets.
    #[inline]
    fn write(&mut self, octets: &[u8]) {
        // Entries are far shorter than a stride; joined ones are not.
        if octets.len() <= STRIDE {
            return self.write_chunk(octets);
        }
        for chunk in octets.chunks(STRIDE) {
            self.write_chunk(chunk);
        }
    }

    /// Appends at most a stride of octets.
    #[inline]
    fn write_chunk(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
        if self.out.len() - self.hashed >= STRIDE {
            self.hash();
        }
    }

    /// Hashes what was written since the last time.
    fn hash(&mut self) {
        self.context
            .update(self.out.get(self.hashed..).unwrap_or(&[]));
        self.hashed = self.out.len();
    }

    /// Hashes the rest.
    fn finish(mut self) -> (Vec<u8>, Digest) {
        self.hash();
        (self.out, self.context.finish())
    }
}
