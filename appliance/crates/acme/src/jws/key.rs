//! Account keys: JWK (RFC 7517; RFC 7518, 6; RFC 8037, 2) and their thumbprints
//! (RFC 7638).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use pki::key_check::{self, KeyPolicy, WeakKey};
use pki::public_key::{InvalidPublicKey, KeyType, PublicKey};
use serde::Deserialize;

use super::algorithm::SigningAlgorithm;
use super::{Present, base64url, excerpt};

/// A public key as JSON has it, unchecked.
///
/// Members of no meaning here are ignored (RFC 7517, 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Jwk {
    /// The family: `EC`, `RSA`, `OKP`.
    kty: String,
    /// The curve.
    crv: Option<String>,
    /// The x coordinate, or the public key of an OKP.
    x: Option<String>,
    /// The y coordinate.
    y: Option<String>,
    /// The modulus.
    n: Option<String>,
    /// The public exponent.
    e: Option<String>,
    /// The only algorithm it is for.
    alg: Option<String>,
    /// What it is for.
    #[serde(rename = "use")]
    purpose: Option<String>,
    /// The operations it is for.
    key_ops: Option<Vec<String>>,
    /// The private key, which must never travel.
    #[serde(default)]
    d: Present,
    /// A symmetric key, which is none to verify signatures with.
    #[serde(default)]
    k: Present,
}

/// SHA-256 of a key's canonical JWK (RFC 7638, 3).
///
/// Prints as base64url, as key authorizations have it (RFC 8555, 8.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Returns the thumbprint that a key would have as an account's; none for
    /// kinds that no account has.
    #[must_use]
    pub fn of_public_key(key: &PublicKey) -> Option<Self> {
        let octets = key.key_octets();
        let canonical = match key.key_type() {
            // SEC 1, 2.3.3: 04, then both coordinates.
            KeyType::P256 => elliptic_jwk("P-256", octets.get(1..33)?, octets.get(33..)?),
            KeyType::P384 => elliptic_jwk("P-384", octets.get(1..49)?, octets.get(49..)?),
            KeyType::Ed25519 => edwards_jwk(octets),
            KeyType::Rsa { .. } => {
                let numbers = key.rsa_numbers()?;
                rsa_jwk(numbers.modulus, numbers.exponent)
            }
            KeyType::P521 => return None,
        };
        Some(thumbprint(&canonical))
    }

    /// Takes a thumbprint that was kept.
    #[must_use]
    pub const fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

/// Why a JWK is no key of an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Another family or curve.
    #[error("keys of kind {kind:?} are not taken: EC on P-256 or P-384, RSA, and OKP Ed25519 are")]
    Kind {
        /// The family or curve, cut at 40 characters.
        kind: String,
    },
    /// A member that its family demands.
    #[error("the key lacks its member {member:?}")]
    Missing {
        /// The member.
        member: &'static str,
    },
    /// A member that is not base64url, of another length, or with leading zeros.
    #[error("the key's member {member:?} is not {rule}")]
    Member {
        /// The member.
        member: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A private or symmetric key.
    #[error(
        "the key came with its secret part: it is burnt; make a new one and send its public part alone"
    )]
    Secret,
    /// A key that is for something else.
    #[error("the key is marked for something other than verifying {algorithm}")]
    Purpose {
        /// What it is used for here.
        algorithm: SigningAlgorithm,
    },
    /// A key that was kept and is no JWK any more.
    #[error("the key as it was kept is no JWK")]
    Stored,
    /// Numbers that are no public key.
    #[error("the key is refused: {0}")]
    Invalid(#[from] InvalidPublicKey),
    /// A key that is weak or blocked.
    #[error("the key is refused: {0}")]
    Weak(#[from] WeakKey),
}

/// A key that an account may have, its strength checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKey {
    /// The key.
    public_key: PublicKey,
    /// The one algorithm it signs with.
    algorithm: SigningAlgorithm,
    /// The canonical JWK: its required members alone, sorted (RFC 7638, 3).
    jwk_json: Box<str>,
    /// SHA-256 of its canonical JWK.
    thumbprint: Thumbprint,
}

impl AccountKey {
    /// Reads and checks a key that a client sent.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn from_jwk(jwk: &Jwk, policy: &KeyPolicy) -> Result<Self, JwkError> {
        if jwk.d.0 || jwk.k.0 {
            return Err(JwkError::Secret);
        }
        let key = Self::read(jwk)?;
        key_check::check(&key.public_key, policy)?;
        key.check_purpose(jwk)?;
        Ok(key)
    }

    /// Takes a key as it was kept: its canonical JWK. Its strength was checked
    /// when it came and is not checked again.
    ///
    /// # Errors
    ///
    /// `Stored` when it is not JSON, or whatever it lacks.
    pub fn from_stored(jwk_json: &str) -> Result<Self, JwkError> {
        let jwk: Jwk = serde_json::from_str(jwk_json).map_err(|_| JwkError::Stored)?;
        Self::read(&jwk)
    }

    /// Reads a key without checking its strength.
    fn read(jwk: &Jwk) -> Result<Self, JwkError> {
        let (spki_der, canonical) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => elliptic(jwk, "P-256", 32, &SPKI_P256)?,
            ("EC", Some("P-384")) => elliptic(jwk, "P-384", 48, &SPKI_P384)?,
            ("OKP", Some("Ed25519")) => edwards(jwk)?,
            ("RSA", _) => rsa(jwk)?,
            ("EC" | "OKP", None) => return Err(JwkError::Missing { member: "crv" }),
            ("EC" | "OKP", Some(curve)) => {
                return Err(JwkError::Kind {
                    kind: excerpt(curve, 40),
                });
            }
            (family, _) => {
                return Err(JwkError::Kind {
                    kind: excerpt(family, 40),
                });
            }
        };
        let public_key = PublicKey::from_spki_der(&spki_der)?;
        let algorithm =
            SigningAlgorithm::for_key(public_key.key_type()).ok_or_else(|| JwkError::Kind {
                kind: public_key.key_type().to_string(),
            })?;
        Ok(Self {
            public_key,
            algorithm,
            thumbprint: thumbprint(&canonical),
            jwk_json: canonical.into(),
        })
    }

    /// Holds a key to what its JWK says it is for (RFC 7517, 4.2 to 4.4).
    fn check_purpose(&self, jwk: &Jwk) -> Result<(), JwkError> {
        let other = |given: &Option<String>, wanted: &str| {
            given.as_ref().is_some_and(|given| given != wanted)
        };
        let no_verify = jwk
            .key_ops
            .as_ref()
            .is_some_and(|operations| !operations.iter().any(|operation| operation == "verify"));
        if other(&jwk.alg, self.algorithm.as_str()) || other(&jwk.purpose, "sig") || no_verify {
            return Err(JwkError::Purpose {
                algorithm: self.algorithm,
            });
        }
        Ok(())
    }

    /// Returns the key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.public_key.spki_der()
    }

    /// Returns the one algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Returns the canonical JWK.
    #[must_use]
    pub fn jwk_json(&self) -> &str {
        &self.jwk_json
    }

    /// Returns SHA-256 of its canonical JWK.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

/// SubjectPublicKeyInfo of P-256 (RFC 5480) up to the point's coordinates.
const SPKI_P256: [u8; 27] = [
    0x30, 0x59, // SubjectPublicKeyInfo
    0x30, 0x13, // AlgorithmIdentifier
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // secp256r1
    0x03, 0x42, 0x00, 0x04, // BIT STRING, uncompressed
];

/// SubjectPublicKeyInfo of P-384 (RFC 5480) up to the point's coordinates.
const SPKI_P384: [u8; 24] = [
    0x30, 0x76, // SubjectPublicKeyInfo
    0x30, 0x10, // AlgorithmIdentifier
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, // secp384r1
    0x03, 0x62, 0x00, 0x04, // BIT STRING, uncompressed
];

/// SubjectPublicKeyInfo of Ed25519 (RFC 8410, 4) up to the key.
const SPKI_ED25519: [u8; 12] = [
    0x30, 0x2a, // SubjectPublicKeyInfo
    0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, // id-Ed25519
    0x03, 0x21, 0x00, // BIT STRING
];

/// AlgorithmIdentifier of RSA keys, the NULL included (RFC 3279, 2.3.1).
const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Returns SubjectPublicKeyInfo and canonical JWK of an EC key.
fn elliptic(
    jwk: &Jwk,
    curve: &str,
    len: usize,
    prefix: &[u8],
) -> Result<(Vec<u8>, String), JwkError> {
    // RFC 7518, 6.2.1.2: a coordinate has the octets of its field, zeros included.
    let rule = "as many octets in base64url as the curve's field has";
    let x = member(&jwk.x, "x", Some(len), rule)?;
    let y = member(&jwk.y, "y", Some(len), rule)?;
    let canonical = elliptic_jwk(curve, &x, &y);
    Ok(([prefix, &x, &y].concat(), canonical))
}

/// Returns SubjectPublicKeyInfo and canonical JWK of an Ed25519 key.
fn edwards(jwk: &Jwk) -> Result<(Vec<u8>, String), JwkError> {
    let x = member(&jwk.x, "x", Some(32), "32 octets in base64url")?;
    let canonical = edwards_jwk(&x);
    Ok(([&SPKI_ED25519, x.as_slice()].concat(), canonical))
}

/// Returns SubjectPublicKeyInfo and canonical JWK of an RSA key.
fn rsa(jwk: &Jwk) -> Result<(Vec<u8>, String), JwkError> {
    // RFC 7518, 2: Base64urlUInt has the minimum number of octets.
    let rule = "a positive number in base64url without leading zeros, of at most 1024 octets";
    let number = |text, name| match member(text, name, None, rule)? {
        octets if octets.first().is_some_and(|octet| *octet != 0) && octets.len() <= 1024 => {
            Ok(octets)
        }
        _ => Err(JwkError::Member { member: name, rule }),
    };
    let n = number(&jwk.n, "n")?;
    let e = number(&jwk.e, "e")?;
    let canonical = rsa_jwk(&n, &e);
    // RFC 8017, A.1.1: RSAPublicKey ::= SEQUENCE { modulus, publicExponent }.
    let key = tlv(0x30, &[&integer(&n), &integer(&e)]);
    let spki = tlv(0x30, &[&RSA_ALGORITHM, &tlv(0x03, &[&[0], &key])]);
    Ok((spki, canonical))
}

/// Writes the canonical JWK of an EC key (RFC 7638, 3.2).
fn elliptic_jwk(curve: &str, x: &[u8], y: &[u8]) -> String {
    format!(
        r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
        base64url::encode(x),
        base64url::encode(y)
    )
}

/// Writes the canonical JWK of an Ed25519 key (RFC 8037, 2).
fn edwards_jwk(x: &[u8]) -> String {
    format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        base64url::encode(x)
    )
}

/// Writes the canonical JWK of an RSA key (RFC 7638, 3.2).
fn rsa_jwk(n: &[u8], e: &[u8]) -> String {
    format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        base64url::encode(e),
        base64url::encode(n)
    )
}

/// Decodes a member.
fn member(
    text: &Option<String>,
    member: &'static str,
    len: Option<usize>,
    rule: &'static str,
) -> Result<Vec<u8>, JwkError> {
    let text = text.as_ref().ok_or(JwkError::Missing { member })?;
    base64url::decode(text.as_bytes())
        .ok()
        .filter(|octets| len.is_none_or(|len| octets.len() == len))
        .ok_or(JwkError::Member { member, rule })
}

/// Writes a positive INTEGER.
fn integer(magnitude: &[u8]) -> Vec<u8> {
    let sign: &[u8] = match magnitude.first() {
        Some(octet) if *octet < 0x80 => &[],
        _ => &[0],
    };
    tlv(0x02, &[sign, magnitude])
}

/// Writes a DER element; nothing here is longer than 65535 octets.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = (len as u16).to_be_bytes();
    let mut der = Vec::with_capacity(len + 4);
    der.push(tag);
    match len {
        0..=0x7f => der.push(low),
        0x80..=0xff => der.extend([0x81, low]),
        _ => der.extend([0x82, high, low]),
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// Hashes a canonical JWK.
fn thumbprint(canonical: &str) -> Thumbprint {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, canonical.as_bytes()).as_ref());
    Thumbprint(octets)
}
