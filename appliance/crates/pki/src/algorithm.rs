//! Signature algorithms and their AlgorithmIdentifiers, octet for octet.

use std::fmt;

use aws_lc_rs::digest;
use model::signing::ArtifactDigest;

pub use model::signing::HashAlgorithm;

/// How a certificate or request is signed.
///
/// There is no way to write MD5 or SHA-1 here, so none is ever accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, 8.2; RFC 4055, 5).
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS, MGF1 with the same hash, a salt as long as it (RFC 4055, 3.1).
    RsaPss(HashAlgorithm),
    /// ECDSA (RFC 5758, 3.2); the curve is the key's.
    Ecdsa(HashAlgorithm),
    /// Ed25519 (RFC 8410, 3).
    Ed25519,
}

/// Builds the PSS AlgorithmIdentifier for a hash's last OID octet and salt length.
const fn pss(hash: u8, salt: u8) -> [u8; 67] {
    [
        0x30, 0x41, // AlgorithmIdentifier
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, // id-RSASSA-PSS
        0x30, 0x34, // RSASSA-PSS-params
        0xa0, 0x0f, 0x30, 0x0d, // hashAlgorithm
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa1, 0x1c,
        0x30, 0x1a, // maskGenAlgorithm: id-mgf1 with the same hash
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
        0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01,
        salt, // saltLength; trailerField is its default
    ]
}

/// PKCS#1 v1.5 with a hash; parameters are NULL (RFC 4055, 5).
const fn pkcs1(hash: u8) -> [u8; 15] {
    [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, hash, 0x05, 0x00,
    ]
}

/// ECDSA with a hash; parameters are absent (RFC 5758, 3.2).
const fn ecdsa(hash: u8) -> [u8; 12] {
    [
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash,
    ]
}

/// sha256WithRSAEncryption.
const PKCS1_SHA256: [u8; 15] = pkcs1(0x0b);
/// sha384WithRSAEncryption.
const PKCS1_SHA384: [u8; 15] = pkcs1(0x0c);
/// sha512WithRSAEncryption.
const PKCS1_SHA512: [u8; 15] = pkcs1(0x0d);
/// id-RSASSA-PSS with SHA-256.
const PSS_SHA256: [u8; 67] = pss(1, 32);
/// id-RSASSA-PSS with SHA-384.
const PSS_SHA384: [u8; 67] = pss(2, 48);
/// id-RSASSA-PSS with SHA-512.
const PSS_SHA512: [u8; 67] = pss(3, 64);
/// ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 12] = ecdsa(2);
/// ecdsa-with-SHA384.
const ECDSA_SHA384: [u8; 12] = ecdsa(3);
/// ecdsa-with-SHA512.
const ECDSA_SHA512: [u8; 12] = ecdsa(4);
/// id-Ed25519; parameters are absent (RFC 8410, 3).
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

impl SignatureAlgorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 10] = [
        Self::RsaPkcs1(HashAlgorithm::Sha256),
        Self::RsaPkcs1(HashAlgorithm::Sha384),
        Self::RsaPkcs1(HashAlgorithm::Sha512),
        Self::RsaPss(HashAlgorithm::Sha256),
        Self::RsaPss(HashAlgorithm::Sha384),
        Self::RsaPss(HashAlgorithm::Sha512),
        Self::Ecdsa(HashAlgorithm::Sha256),
        Self::Ecdsa(HashAlgorithm::Sha384),
        Self::Ecdsa(HashAlgorithm::Sha512),
        Self::Ed25519,
    ];

    /// Returns the DER AlgorithmIdentifier, tag and length included.
    #[must_use]
    pub const fn identifier_der(self) -> &'static [u8] {
        match self {
            Self::RsaPkcs1(HashAlgorithm::Sha256) => &PKCS1_SHA256,
            Self::RsaPkcs1(HashAlgorithm::Sha384) => &PKCS1_SHA384,
            Self::RsaPkcs1(HashAlgorithm::Sha512) => &PKCS1_SHA512,
            Self::RsaPss(HashAlgorithm::Sha256) => &PSS_SHA256,
            Self::RsaPss(HashAlgorithm::Sha384) => &PSS_SHA384,
            Self::RsaPss(HashAlgorithm::Sha512) => &PSS_SHA512,
            Self::Ecdsa(HashAlgorithm::Sha256) => &ECDSA_SHA256,
            Self::Ecdsa(HashAlgorithm::Sha384) => &ECDSA_SHA384,
            Self::Ecdsa(HashAlgorithm::Sha512) => &ECDSA_SHA512,
            Self::Ed25519 => &ED25519,
        }
    }

    /// Returns the hash of the message that is signed; none where the message is.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }

    /// Finds the algorithm of a DER AlgorithmIdentifier.
    ///
    /// Parameters must be as they are written when signing; only for PKCS#1 may
    /// the NULL be missing (RFC 4055, 5: implementations MUST accept that).
    #[must_use]
    pub fn from_identifier_der(der: &[u8]) -> Option<Self> {
        let exact = Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.identifier_der() == der);
        exact.or_else(|| match der {
            [0x30, 0x0b, oid @ ..] => Self::ALL.into_iter().find(|algorithm| {
                matches!(algorithm, Self::RsaPkcs1(_))
                    && algorithm.identifier_der().get(2..13) == Some(oid)
            }),
            _ => None,
        })
    }
}

/// Returns a hash's implementation.
pub(crate) fn implementation(hash: HashAlgorithm) -> &'static digest::Algorithm {
    match hash {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    }
}

/// Digests octets that are in memory.
#[must_use]
pub fn digest_of(hash: HashAlgorithm, octets: &[u8]) -> ArtifactDigest {
    let digest = digest::digest(implementation(hash), octets);
    ArtifactDigest::new(hash, digest.as_ref()).expect("a hash gives as many octets as it has")
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "rsa-pkcs1-{hash}"),
            Self::RsaPss(hash) => write!(f, "rsa-pss-{hash}"),
            Self::Ecdsa(hash) => write!(f, "ecdsa-{hash}"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv;

    #[test]
    fn every_identifier_is_der_and_finds_its_algorithm() {
        for algorithm in SignatureAlgorithm::ALL {
            let der = algorithm.identifier_der();
            assert!(tlv::read_only(der, tlv::SEQUENCE).is_ok(), "{algorithm}");
            assert_eq!(
                SignatureAlgorithm::from_identifier_der(der),
                Some(algorithm)
            );
        }
    }

    #[test]
    fn sha1_and_odd_parameters_are_unknown() {
        let sha1_with_rsa = pkcs1(0x05);
        assert_eq!(
            SignatureAlgorithm::from_identifier_der(&sha1_with_rsa),
            None
        );
        assert_eq!(SignatureAlgorithm::from_identifier_der(&ecdsa(1)), None);
        assert_eq!(SignatureAlgorithm::from_identifier_der(&pss(1, 20)), None);
        // ecdsa-with-SHA256 with a NULL, which RFC 5758 forbids.
        let mut with_null = ecdsa(2).to_vec();
        with_null.extend([0x05, 0x00]);
        with_null[1] += 2;
        assert_eq!(SignatureAlgorithm::from_identifier_der(&with_null), None);
    }

    #[test]
    fn pkcs1_may_lack_its_null() {
        let mut without = pkcs1(0x0b)[..13].to_vec();
        without[1] = 0x0b;
        assert_eq!(
            SignatureAlgorithm::from_identifier_der(&without),
            Some(SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha256))
        );
    }
}
