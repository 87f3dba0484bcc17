//! Published keys (JWK, RFC 7517), and signatures verified with them (RFC 7518).

use aws_lc_rs::signature::{self as aws, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::config::JwsAlgorithm;

/// Fewest and most bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Most octets of an RSA public exponent.
const MAX_EXPONENT: usize = 8;

/// The members of a JWK that are looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Jwk {
    /// Family of the key (RFC 7517, 4.1).
    kty: String,
    /// What it is for (4.2).
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    /// The algorithm it is for (4.4).
    #[serde(default)]
    alg: Option<String>,
    /// Its name (4.5).
    #[serde(default)]
    pub(crate) kid: Option<String>,
    /// RSA: the modulus (RFC 7518, 6.3.1).
    #[serde(default)]
    n: Option<String>,
    /// RSA: the exponent.
    #[serde(default)]
    e: Option<String>,
    /// The curve (RFC 7518, 6.2.1; RFC 8037, 2).
    #[serde(default)]
    crv: Option<String>,
    /// A coordinate, or an Ed25519 key.
    #[serde(default)]
    x: Option<String>,
    /// The other coordinate.
    #[serde(default)]
    y: Option<String>,
}

/// A key that verifies.
#[derive(Debug)]
pub(crate) struct IssuerKey {
    /// The key.
    key: Key,
    /// The algorithms that it verifies.
    algorithms: Vec<JwsAlgorithm>,
}

/// A public key by its family.
#[derive(Debug)]
enum Key {
    /// RSA: modulus and exponent, big-endian.
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// ECDSA on P-256: the point, uncompressed.
    P256(Vec<u8>),
    /// ECDSA on P-384.
    P384(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
}

impl Jwk {
    /// Takes a key that signs by what is taken here, and is strong; none for others.
    pub(crate) fn usable(&self) -> Option<IssuerKey> {
        use JwsAlgorithm as A;
        if self
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let (key, fitting): (Key, &[A]) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (
                self.rsa()?,
                &[A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512],
            ),
            ("EC", Some("P-256")) => (Key::P256(self.point(32)?), &[A::ES256]),
            ("EC", Some("P-384")) => (Key::P384(self.point(48)?), &[A::ES384]),
            ("OKP", Some("Ed25519")) => (Key::Ed25519(self.octets(&self.x, 32)?), &[A::EdDSA]),
            // A symmetric key is nobody's public one.
            _ => return None,
        };
        // RFC 7517, 4.4: a key is for the algorithm it names, if it names one.
        let named = self.alg.as_deref();
        let algorithms: Vec<A> = fitting
            .iter()
            .copied()
            .filter(|fits| named.is_none_or(|named| named == fits.as_str()))
            .collect();
        (!algorithms.is_empty()).then_some(IssuerKey { key, algorithms })
    }

    /// Reads an RSA key of a modulus that is long enough.
    fn rsa(&self) -> Option<Key> {
        let number = |member: &Option<String>| {
            let octets = URL_SAFE_NO_PAD.decode(member.as_deref()?).ok()?;
            let first = octets.iter().position(|octet| *octet != 0)?;
            octets.get(first..).map(<[u8]>::to_vec)
        };
        let (n, e) = (number(&self.n)?, number(&self.e)?);
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        let fits = RSA_BITS.contains(&bits) && e.len() <= MAX_EXPONENT;
        fits.then_some(Key::Rsa(RsaPublicKeyComponents { n, e }))
    }

    /// Reads a point (SEC 1, 2.3.3: 04, x, y); whether it is on the curve is found out
    /// with the first signature.
    fn point(&self, len: usize) -> Option<Vec<u8>> {
        let (x, y) = (self.octets(&self.x, len)?, self.octets(&self.y, len)?);
        Some([&[4], x.as_slice(), y.as_slice()].concat())
    }

    /// Reads a member of so many octets (RFC 7518, 6.2.1.2: in full).
    fn octets(&self, member: &Option<String>, len: usize) -> Option<Vec<u8>> {
        let octets = URL_SAFE_NO_PAD.decode(member.as_deref()?).ok()?;
        (octets.len() == len).then_some(octets)
    }
}

impl IssuerKey {
    /// Tells whether it verifies an algorithm.
    pub(crate) fn serves(&self, algorithm: JwsAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Tells whether a signature is this key's over what was signed, by an algorithm that
    /// it [serves](Self::serves).
    pub(crate) fn verifies(
        &self,
        algorithm: JwsAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        use JwsAlgorithm as A;
        let rsa = |by: &'static RsaParameters| match &self.key {
            Key::Rsa(key) => key.verify(by, signed, signature).is_ok(),
            Key::P256(_) | Key::P384(_) | Key::Ed25519(_) => false,
        };
        let other = |by, key: &[u8]| {
            UnparsedPublicKey::new(by, key)
                .verify(signed, signature)
                .is_ok()
        };
        match (algorithm, &self.key) {
            (A::RS256, _) => rsa(&aws::RSA_PKCS1_2048_8192_SHA256),
            (A::RS384, _) => rsa(&aws::RSA_PKCS1_2048_8192_SHA384),
            (A::RS512, _) => rsa(&aws::RSA_PKCS1_2048_8192_SHA512),
            (A::PS256, _) => rsa(&aws::RSA_PSS_2048_8192_SHA256),
            (A::PS384, _) => rsa(&aws::RSA_PSS_2048_8192_SHA384),
            (A::PS512, _) => rsa(&aws::RSA_PSS_2048_8192_SHA512),
            // RFC 7518, 3.4: r and s, each in full.
            (A::ES256, Key::P256(point)) => other(&aws::ECDSA_P256_SHA256_FIXED, point),
            (A::ES384, Key::P384(point)) => other(&aws::ECDSA_P384_SHA384_FIXED, point),
            (A::EdDSA, Key::Ed25519(key)) => UnparsedPublicKey::new(&aws::ED25519, key)
                .verify(signed, signature)
                .is_ok(),
            (A::ES256 | A::ES384 | A::EdDSA, _) => false,
        }
    }
}
