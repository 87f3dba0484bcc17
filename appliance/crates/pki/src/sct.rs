//! Signed certificate timestamps embedded in certificates (RFC 6962, version 1).
//!
//! A log's key signs what the certificate is going to be: its TBSCertificate without the
//! timestamps themselves (3.2). [`SctList`] is the extension's content; [`verify`] holds
//! a certificate's timestamps to the logs that are trusted.

use std::fmt;

use model::Timestamp;

use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::encode::{append_header, header_len};
use crate::extension::Extension;
use crate::lint::is_ecdsa_signature;
use crate::oid;
use crate::public_key::{KeyType, PublicKey};
use crate::tlv::{self, Malformed};

/// Most timestamps read from one certificate.
const MAX_SCTS: usize = 16;

/// Most octets of one timestamp's extensions or signature that are kept.
const MAX_PART: usize = 4096;

/// One signed certificate timestamp, version 1, by an ECDSA P-256 key with SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Sct {
    /// SHA-256 of the log's SubjectPublicKeyInfo (3.2).
    pub log_id: [u8; 32],
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// CtExtensions; none are defined.
    pub extensions: Vec<u8>,
    /// Ecdsa-Sig-Value, DER.
    pub signature: Vec<u8>,
}

impl fmt::Debug for Sct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sct")
            .field("log_id", &hex::encode(self.log_id))
            .field("timestamp_ms", &self.timestamp_ms)
            .finish_non_exhaustive()
    }
}

/// Why octets are no list of timestamps, or the timestamps prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SctError {
    /// Not the structures of RFC 6962, 3.2 and 3.3.
    #[error("the octets are no list of signed certificate timestamps (RFC 6962, 3.3): {what}")]
    Encoding {
        /// What is wrong with them.
        what: &'static str,
    },
    /// The certificate around them cannot be taken apart.
    #[error("the certificate cannot be read: {0}")]
    Certificate(#[from] Malformed),
    /// There is none.
    #[error("the certificate has no signed certificate timestamp")]
    Absent,
    /// None of a log that is trusted.
    #[error(
        "the certificate has timestamps of other logs than those trusted alone, as of {}",
        hex::encode(log_id)
    )]
    UnknownLog {
        /// The first log that is not trusted.
        log_id: [u8; 32],
    },
    /// A trusted log did not sign this certificate.
    #[error(
        "the timestamp of log {} is not signed by its key over this certificate",
        hex::encode(log_id)
    )]
    BadSignature {
        /// The log.
        log_id: [u8; 32],
    },
    /// A time that is none.
    #[error("the timestamp of log {} lies outside all times", hex::encode(log_id))]
    Time {
        /// The log.
        log_id: [u8; 32],
    },
    /// A log key of another kind.
    #[error("a log signs by an ECDSA P-256 key here, not by {key_type}")]
    KeyType {
        /// The key's.
        key_type: KeyType,
    },
}

/// A timestamp that a trusted log signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSct {
    /// The log.
    pub log_id: [u8; 32],
    /// Its time.
    pub timestamp: Timestamp,
}

/// Timestamps as a certificate carries them: one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctList(Vec<Sct>);

impl SctList {
    /// Takes one timestamp.
    ///
    /// # Errors
    ///
    /// `Encoding` when its signature is no Ecdsa-Sig-Value, or a part is too long.
    pub fn of(sct: Sct) -> Result<Self, SctError> {
        if !is_ecdsa_signature(&sct.signature) || sct.signature.len() > MAX_PART {
            return Err(encoding("a signature that is no Ecdsa-Sig-Value"));
        }
        if sct.extensions.len() > MAX_PART {
            return Err(encoding("extensions longer than any that are defined"));
        }
        Ok(Self(vec![sct]))
    }

    /// Iterates over the timestamps.
    pub fn iter(&self) -> impl Iterator<Item = &Sct> {
        self.0.iter()
    }

    /// Writes SignedCertificateTimestampList (3.3).
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut list = Vec::new();
        for sct in &self.0 {
            let one = sct.to_octets();
            append_long(&mut list, &one);
        }
        let mut whole = Vec::with_capacity(list.len() + 2);
        append_long(&mut whole, &list);
        whole
    }

    /// Reads SignedCertificateTimestampList.
    ///
    /// Bytes are hostile: never panics, allocates no more than the input's length.
    ///
    /// # Errors
    ///
    /// `Encoding`; also for a version, hash or signature algorithm that is not known.
    pub fn from_octets(octets: &[u8]) -> Result<Self, SctError> {
        let mut outer = Octets(octets);
        let mut list = Octets(outer.long()?);
        outer.finish()?;
        let mut scts = Vec::new();
        while !list.0.is_empty() {
            if scts.len() == MAX_SCTS {
                return Err(encoding("more timestamps than any certificate needs"));
            }
            scts.push(Sct::from_octets(list.long()?)?);
        }
        if scts.is_empty() {
            return Err(encoding("an empty list"));
        }
        Ok(Self(scts))
    }
}

impl Sct {
    /// Writes SignedCertificateTimestamp (3.2): version, log, time, extensions, and
    /// DigitallySigned by SHA-256 (4) and ECDSA (3).
    fn to_octets(&self) -> Vec<u8> {
        let mut out = vec![0];
        out.extend(self.log_id);
        out.extend(self.timestamp_ms.to_be_bytes());
        append_long(&mut out, &self.extensions);
        out.extend([4, 3]);
        append_long(&mut out, &self.signature);
        out
    }

    /// Reads SignedCertificateTimestamp.
    fn from_octets(octets: &[u8]) -> Result<Self, SctError> {
        let mut reader = Octets(octets);
        if reader.take::<1>()? != [0] {
            return Err(encoding("a version other than v1 (0)"));
        }
        let log_id = reader.take()?;
        let timestamp_ms = u64::from_be_bytes(reader.take()?);
        let extensions = reader.long()?;
        // RFC 6962, 2.1.4, for P-256: SHA-256 and ECDSA by RFC 5246's numbers.
        if reader.take::<2>()? != [4, 3] {
            return Err(encoding("another algorithm than ECDSA with SHA-256"));
        }
        let signature = reader.long()?;
        reader.finish()?;
        if extensions.len() > MAX_PART || !is_ecdsa_signature(signature) {
            return Err(encoding("a signature that is no Ecdsa-Sig-Value"));
        }
        Ok(Self {
            log_id,
            timestamp_ms,
            extensions: extensions.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

/// Reads octets of TLS structures (RFC 5246, 4).
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    /// Takes a fixed number of octets.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SctError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Takes an `opaque<0..2^16-1>`.
    fn long(&mut self) -> Result<&'a [u8], SctError> {
        let len = usize::from(u16::from_be_bytes(self.take()?));
        let (taken, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Ends reading: nothing may be left.
    fn finish(&self) -> Result<(), SctError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(encoding("octets follow the end"))
        }
    }
}

/// The octets end within a value.
const CUT: SctError = SctError::Encoding {
    what: "they end within a value",
};

/// States what is wrong with octets.
const fn encoding(what: &'static str) -> SctError {
    SctError::Encoding { what }
}

/// Appends an `opaque<0..2^16-1>`; what is written here is bounded far below that.
fn append_long(out: &mut Vec<u8>, octets: &[u8]) {
    let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(octets.iter().take(usize::from(len)));
}

/// Returns a log's name: SHA-256 of its SubjectPublicKeyInfo (3.2).
#[must_use]
pub fn log_id(log_key: &PublicKey) -> [u8; 32] {
    log_key.sha256()
}

/// Returns what a log's key signs for an embedded timestamp (3.2): a precert_entry under
/// the issuer's key, without extensions.
#[must_use]
pub fn signed_octets(
    issuer_key_hash: &[u8; 32],
    precertificate_tbs_der: &[u8],
    timestamp_ms: u64,
) -> Vec<u8> {
    entry_octets(issuer_key_hash, precertificate_tbs_der, timestamp_ms, &[])
}

/// Writes the same with extensions.
fn entry_octets(
    issuer_key_hash: &[u8; 32],
    precertificate_tbs_der: &[u8],
    timestamp_ms: u64,
    extensions: &[u8],
) -> Vec<u8> {
    let len = precertificate_tbs_der.len();
    let mut out = Vec::with_capacity(len + extensions.len() + 64);
    // Version v1, SignatureType certificate_timestamp.
    out.extend([0, 0]);
    out.extend(timestamp_ms.to_be_bytes());
    // LogEntryType precert_entry.
    out.extend([0, 1]);
    out.extend(issuer_key_hash);
    // opaque TBSCertificate<1..2^24-1>: 24 bits; what is longer never verifies.
    out.extend(len.to_be_bytes().iter().skip(size_of::<usize>() - 3));
    out.extend(precertificate_tbs_der);
    append_long(&mut out, extensions);
    out
}

/// Returns a certificate as logs saw it: its TBSCertificate without timestamps (3.2).
///
/// # Errors
///
/// `Absent` when it has none, `Certificate` when it cannot be taken apart.
pub fn precertificate_tbs(certificate: &Certificate) -> Result<Vec<u8>, SctError> {
    without_scts(certificate.tbs_der())?.ok_or(SctError::Absent)
}

/// Leaves the timestamps out of a TBSCertificate; none if it has none.
pub(crate) fn without_scts(tbs_der: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut fields = tlv::read_only(tbs_der, tlv::SEQUENCE)?.reader();
    let mut before: Vec<u8> = Vec::with_capacity(tbs_der.len());
    let mut kept = None;
    while !fields.is_empty() {
        let field = fields.next()?;
        if field.tag != tlv::context_constructed(3) {
            before.extend(field.whole);
            continue;
        }
        let mut outer = field.reader();
        let mut list = outer.sequence()?;
        outer.finish()?;
        let (mut others, mut found) = (Vec::<u8>::with_capacity(field.content.len()), false);
        while !list.is_empty() {
            let start = list.rest();
            let extension = Extension::read(&mut list)?;
            let whole = start.get(..start.len() - list.rest().len()).unwrap_or(&[]);
            if extension.kind == oid::SCT_LIST {
                found = true;
            } else {
                others.extend(whole);
            }
        }
        kept = found.then_some(others);
    }
    Ok(kept.map(|others| {
        let inner = header_len(others.len()) + others.len();
        let extensions = header_len(inner) + inner;
        let mut out = Vec::with_capacity(tbs_der.len());
        append_header(&mut out, tlv::SEQUENCE, before.len() + extensions);
        out.extend(before);
        append_header(&mut out, tlv::context_constructed(3), inner);
        append_header(&mut out, tlv::SEQUENCE, others.len());
        out.extend(others);
        out
    }))
}

/// Checks that a log key is of the kind that timestamps here are signed by.
///
/// # Errors
///
/// `KeyType`.
pub fn check_log_key(key: &PublicKey) -> Result<(), SctError> {
    match key.key_type() {
        KeyType::P256 => Ok(()),
        key_type @ (KeyType::Rsa { .. } | KeyType::P384 | KeyType::P521 | KeyType::Ed25519) => {
            Err(SctError::KeyType { key_type })
        }
    }
}

/// Verifies every timestamp of a certificate whose log is trusted.
///
/// `issuer` is the key that signed the certificate. Timestamps of other logs are passed
/// over as long as there is one of a trusted log.
///
/// # Errors
///
/// `Absent`, `UnknownLog`, `BadSignature`, `Time`, `Certificate`.
pub fn verify(
    leaf: &Certificate,
    issuer: &PublicKey,
    log_keys: &[PublicKey],
) -> Result<Vec<VerifiedSct>, SctError> {
    let scts = leaf.extensions().scts.as_ref().ok_or(SctError::Absent)?;
    let tbs_der = precertificate_tbs(leaf)?;
    let issuer_key_hash = issuer.sha256();
    let (mut verified, mut unknown) = (Vec::new(), None);
    for sct in scts.iter() {
        let log_id = sct.log_id;
        let Some(key) = log_keys.iter().find(|key| key.sha256() == log_id) else {
            unknown = unknown.or(Some(log_id));
            continue;
        };
        let signed = entry_octets(
            &issuer_key_hash,
            &tbs_der,
            sct.timestamp_ms,
            &sct.extensions,
        );
        let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
        check_log_key(key)?;
        key.verify(algorithm, &signed, &sct.signature)
            .map_err(|_| SctError::BadSignature { log_id })?;
        let timestamp = i64::try_from(sct.timestamp_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .ok_or(SctError::Time { log_id })?;
        verified.push(VerifiedSct { log_id, timestamp });
    }
    match (verified.is_empty(), unknown) {
        (true, Some(log_id)) => Err(SctError::UnknownLog { log_id }),
        (true, None) => Err(SctError::Absent),
        (false, _) => Ok(verified),
    }
}

#[cfg(test)]
mod tests;
