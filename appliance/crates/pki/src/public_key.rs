//! Public keys: SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), identifiers, and
//! verification.

use std::fmt;

use aws_lc_rs::digest::{self, Digest, digest};
use aws_lc_rs::signature::{self as aws, ParsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use model::signing::ArtifactDigest;

use crate::algorithm::{HashAlgorithm, SignatureAlgorithm, implementation};
use crate::oid;
use crate::tlv::{self, Malformed, Reader};

/// A key's algorithm and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521: read and verified; profiles allow it only when told to.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A subject or authority key identifier: 160 bits (RFC 7093, 2, method 1).
pub type KeyIdentifier = [u8; 20];

/// A public key, read strictly, its point or modulus accessible.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    /// The SubjectPublicKeyInfo.
    spki_der: Box<[u8]>,
    /// Algorithm and size.
    key_type: KeyType,
    /// Octets of the subjectPublicKey BIT STRING, as a place in `spki_der`.
    key_start: usize,
    /// SHA-256 of the SubjectPublicKeyInfo.
    sha256: [u8; 32],
}

/// The two numbers of an RSA key, big-endian without sign octets.
#[derive(Debug, Clone, Copy)]
pub struct RsaNumbers<'a> {
    /// The modulus.
    pub modulus: &'a [u8],
    /// The public exponent.
    pub exponent: &'a [u8],
}

/// Why bytes are no public key that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKey {
    /// Not a DER SubjectPublicKeyInfo.
    #[error("the public key is no DER SubjectPublicKeyInfo")]
    Encoding(#[from] Malformed),
    /// An algorithm that is not supported.
    #[error(
        "public keys of algorithm {algorithm} are not supported: RSA, ECDSA on P-256, P-384 or P-521, and Ed25519 are"
    )]
    Algorithm {
        /// The algorithm's object identifier.
        algorithm: ObjectIdentifier,
    },
    /// A curve that is not supported.
    #[error("the curve {curve} is not supported: P-256, P-384 and P-521 are")]
    Curve {
        /// The curve's object identifier.
        curve: ObjectIdentifier,
    },
    /// Algorithm parameters other than the algorithm's RFC demands.
    #[error("the public key's algorithm parameters are not what its algorithm demands")]
    Parameters,
    /// An EC point in compressed or hybrid form, at infinity, or off its curve;
    /// or an Ed25519 key that is not a point of large order.
    #[error("the public key is not a point on its curve in uncompressed form")]
    Point,
}

/// A signature that does not verify, or cannot with this key and algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify with the public key")]
pub struct BadSignature;

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// Bytes are hostile: never panics, allocates as much as it was given.
    /// Explicit EC parameters and RSA-PSS keys (`id-RSASSA-PSS`) are refused.
    ///
    /// # Errors
    ///
    /// `Encoding`, `Algorithm`, `Curve`, `Parameters`, and `Point` for EC keys
    /// whose encoding cannot be a point (see `key_check` for whether it is one).
    pub fn from_spki_der(spki_der: &[u8]) -> Result<Self, InvalidPublicKey> {
        let mut reader = tlv::read_only(spki_der, tlv::SEQUENCE)?.reader();
        let mut algorithm = reader.sequence()?;
        let key_tlv = reader.expect(tlv::BIT_STRING)?;
        let key = key_tlv.whole_octets()?;
        reader.finish()?;
        let algorithm_oid = read_oid(&mut algorithm)?;
        let key_type = match algorithm_oid {
            oid::RSA_ENCRYPTION => {
                // RFC 3279, 2.3.1: the parameters MUST be NULL.
                let null = algorithm
                    .expect(tlv::NULL)
                    .map_err(|_| InvalidPublicKey::Parameters)?;
                if !null.content.is_empty() {
                    return Err(InvalidPublicKey::Parameters);
                }
                KeyType::Rsa {
                    bits: modulus_bits(rsa_numbers(key)?.modulus),
                }
            }
            oid::EC_PUBLIC_KEY => {
                // RFC 5480, 2.1.1: namedCurve; implicitCurve and specifiedCurve
                // MUST NOT be used.
                if algorithm.peek() != Some(tlv::OID) {
                    return Err(InvalidPublicKey::Parameters);
                }
                let curve = read_oid(&mut algorithm)?;
                let (key_type, len) = match curve {
                    oid::SECP256R1 => (KeyType::P256, 65),
                    oid::SECP384R1 => (KeyType::P384, 97),
                    oid::SECP521R1 => (KeyType::P521, 133),
                    curve => return Err(InvalidPublicKey::Curve { curve }),
                };
                // SEC 1, 2.3.3: 04 marks the uncompressed form.
                if key.len() != len || key.first() != Some(&0x04) {
                    return Err(InvalidPublicKey::Point);
                }
                key_type
            }
            // RFC 8410, 3: the parameters MUST be absent.
            oid::ED25519 if key.len() == 32 => KeyType::Ed25519,
            oid::ED25519 => return Err(InvalidPublicKey::Point),
            algorithm => return Err(InvalidPublicKey::Algorithm { algorithm }),
        };
        algorithm
            .finish()
            .map_err(|_| InvalidPublicKey::Parameters)?;
        Ok(Self {
            spki_der: spki_der.into(),
            key_type,
            // The key fills the end of the SubjectPublicKeyInfo.
            key_start: spki_der.len() - key.len(),
            sha256: sha256(spki_der),
        })
    }

    /// Returns the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Returns algorithm and size.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Returns SHA-256 of the SubjectPublicKeyInfo, the key's fingerprint.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Returns the octets of the subjectPublicKey BIT STRING.
    #[must_use]
    pub fn key_octets(&self) -> &[u8] {
        self.spki_der.get(self.key_start..).unwrap_or(&[])
    }

    /// Returns the identifier put in certificates: the leftmost 160 bits of the
    /// SHA-256 of the key octets (RFC 7093, 2, method 1).
    ///
    /// Not RFC 5280's SHA-1: it identifies as well, and nothing here then needs
    /// SHA-1 but OCSP, whose clients choose it.
    #[must_use]
    pub fn key_identifier(&self) -> KeyIdentifier {
        leading(&sha256(self.key_octets()))
    }

    /// Returns the SHA-1 of the key octets: the KeyHash of OCSP (RFC 6960, 4.2.1)
    /// and method 1 of RFC 5280, 4.2.1.2.
    #[must_use]
    pub fn sha1_key_identifier(&self) -> KeyIdentifier {
        leading(digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.key_octets()).as_ref())
    }

    /// Returns modulus and exponent of an RSA key.
    #[must_use]
    pub fn rsa_numbers(&self) -> Option<RsaNumbers<'_>> {
        match self.key_type {
            KeyType::Rsa { .. } => rsa_numbers(self.key_octets()).ok(),
            KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => None,
        }
    }

    /// Makes the key ready to verify with, which checks EC points.
    ///
    /// # Errors
    ///
    /// `BadSignature` when this key cannot make such signatures, or is no point
    /// of its curve.
    fn verifier(&self, algorithm: SignatureAlgorithm) -> Result<ParsedPublicKey, BadSignature> {
        let aws_algorithm = self.verification(algorithm).ok_or(BadSignature)?;
        ParsedPublicKey::new(aws_algorithm, self.key_octets()).map_err(|_| BadSignature)
    }

    /// Verifies `signature` over `message`.
    ///
    /// # Errors
    ///
    /// `BadSignature`.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        self.verifier(algorithm)?
            .verify_sig(message, signature)
            .map_err(|_| BadSignature)
    }

    /// Verifies `signature` over something of which the digest is at hand.
    ///
    /// # Errors
    ///
    /// `BadSignature`, also for Ed25519, which signs no digests, and for an algorithm
    /// with another hash than the digest's.
    pub fn verify_digest(
        &self,
        algorithm: SignatureAlgorithm,
        artifact: &ArtifactDigest,
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let hash = match algorithm {
            SignatureAlgorithm::RsaPkcs1(hash)
            | SignatureAlgorithm::RsaPss(hash)
            | SignatureAlgorithm::Ecdsa(hash) => hash,
            SignatureAlgorithm::Ed25519 => return Err(BadSignature),
        };
        if hash != artifact.algorithm() {
            return Err(BadSignature);
        }
        let imported = Digest::import_less_safe(artifact.octets(), implementation(hash))
            .map_err(|_| BadSignature)?;
        self.verifier(algorithm)?
            .verify_digest_sig(&imported, signature)
            .map_err(|_| BadSignature)
    }

    /// Tells whether an EC key is a point on its curve (its form was checked
    /// when it was read) and an Ed25519 key one of large order.
    pub(crate) fn is_on_curve(&self) -> bool {
        match self.key_type {
            KeyType::Rsa { .. } => true,
            KeyType::P256 | KeyType::P384 => self
                .verifier(SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256))
                .is_ok(),
            KeyType::P521 => self
                .verifier(SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha512))
                .is_ok(),
            KeyType::Ed25519 => self.verifier(SignatureAlgorithm::Ed25519).is_ok(),
        }
    }

    /// Tells whether keys of this type make signatures of this algorithm.
    #[must_use]
    pub fn can_sign(&self, algorithm: SignatureAlgorithm) -> bool {
        self.verification(algorithm).is_some()
    }

    /// Finds the implementation for this key and algorithm.
    fn verification(
        &self,
        algorithm: SignatureAlgorithm,
    ) -> Option<&'static dyn VerificationAlgorithm> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        Some(match (self.key_type, algorithm) {
            (KeyType::P256, Ecdsa(Sha256)) => &aws::ECDSA_P256_SHA256_ASN1,
            (KeyType::P256, Ecdsa(Sha384)) => &aws::ECDSA_P256_SHA384_ASN1,
            (KeyType::P256, Ecdsa(Sha512)) => &aws::ECDSA_P256_SHA512_ASN1,
            (KeyType::P384, Ecdsa(Sha256)) => &aws::ECDSA_P384_SHA256_ASN1,
            (KeyType::P384, Ecdsa(Sha384)) => &aws::ECDSA_P384_SHA384_ASN1,
            (KeyType::P384, Ecdsa(Sha512)) => &aws::ECDSA_P384_SHA512_ASN1,
            (KeyType::P521, Ecdsa(Sha256)) => &aws::ECDSA_P521_SHA256_ASN1,
            (KeyType::P521, Ecdsa(Sha384)) => &aws::ECDSA_P521_SHA384_ASN1,
            (KeyType::P521, Ecdsa(Sha512)) => &aws::ECDSA_P521_SHA512_ASN1,
            (KeyType::Ed25519, Ed25519) => &aws::ED25519,
            (KeyType::Rsa { .. }, RsaPkcs1(Sha256)) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (KeyType::Rsa { .. }, RsaPkcs1(Sha384)) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (KeyType::Rsa { .. }, RsaPkcs1(Sha512)) => &aws::RSA_PKCS1_2048_8192_SHA512,
            (KeyType::Rsa { .. }, RsaPss(Sha256)) => &aws::RSA_PSS_2048_8192_SHA256,
            (KeyType::Rsa { .. }, RsaPss(Sha384)) => &aws::RSA_PSS_2048_8192_SHA384,
            (KeyType::Rsa { .. }, RsaPss(Sha512)) => &aws::RSA_PSS_2048_8192_SHA512,
            (
                KeyType::Rsa { .. }
                | KeyType::P256
                | KeyType::P384
                | KeyType::P521
                | KeyType::Ed25519,
                RsaPkcs1(_) | RsaPss(_) | Ecdsa(_) | Ed25519,
            ) => return None,
        })
    }
}

/// Returns SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&digest::SHA256, bytes).as_ref());
    octets
}

/// Returns the first 20 octets of a hash, which has at least as many.
fn leading(hash: &[u8]) -> KeyIdentifier {
    let mut identifier = [0; 20];
    for (octet, hashed) in identifier.iter_mut().zip(hash) {
        *octet = *hashed;
    }
    identifier
}

/// Reads an object identifier.
pub(crate) fn read_oid(reader: &mut Reader<'_>) -> Result<ObjectIdentifier, Malformed> {
    let tlv = reader.expect(tlv::OID)?;
    ObjectIdentifier::from_bytes(tlv.content)
        .map_err(|_| tlv.refuse("an object identifier that is none, or longer than any known"))
}

/// Reads an RSAPublicKey (RFC 8017, A.1.1).
fn rsa_numbers(der: &[u8]) -> Result<RsaNumbers<'_>, Malformed> {
    let mut reader = tlv::read_only(der, tlv::SEQUENCE)?.reader();
    let modulus = reader.expect(tlv::INTEGER)?.positive_integer()?;
    let exponent = reader.expect(tlv::INTEGER)?.positive_integer()?;
    reader.finish()?;
    Ok(RsaNumbers { modulus, exponent })
}

/// Counts the bits of a big-endian number without leading zero octets.
fn modulus_bits(octets: &[u8]) -> u32 {
    let first = octets.first().map_or(0, |octet| octet.leading_zeros());
    (octets.len() as u32)
        .saturating_mul(8)
        .saturating_sub(first)
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "rsa{bits}"),
            Self::P256 => f.write_str("p256"),
            Self::P384 => f.write_str("p384"),
            Self::P521 => f.write_str("p521"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}
