//! Keys that sign as ACME clients do, for tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{encoding, hmac};
use serde_json::{Value, json};

use crate::jws::{Thumbprint, base64url};

/// A client's account key.
pub(crate) enum TestKey {
    /// P-256.
    Es256(EcdsaKeyPair),
    /// P-384.
    Es384(EcdsaKeyPair),
    /// Ed25519.
    EdDsa(Ed25519KeyPair),
    /// RSA of 2048 bits.
    Rs256(RsaKeyPair),
}

impl TestKey {
    /// Makes a P-256 key.
    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// Makes one of each kind.
    pub(crate) fn all() -> [Self; 4] {
        [
            Self::es256(),
            Self::Es384(EcdsaKeyPair::generate(&aws::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Self::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        ]
    }

    /// Returns the algorithm's name.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
        }
    }

    /// Returns the public JWK.
    pub(crate) fn jwk(&self) -> Value {
        let ec = |pair: &EcdsaKeyPair, curve: &str| {
            let (x, y) = pair.public_key().as_ref()[1..]
                .split_at((pair.public_key().as_ref().len() - 1) / 2);
            json!({"kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y)})
        };
        match self {
            Self::Es256(pair) => ec(pair, "P-256"),
            Self::Es384(pair) => ec(pair, "P-384"),
            Self::EdDsa(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(pair.public_key().as_ref()),
            }),
            Self::Rs256(pair) => json!({
                "kty": "RSA",
                "n": base64url::encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": base64url::encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
        }
    }

    /// Returns the thumbprint of its public key.
    pub(crate) fn thumbprint(&self) -> Thumbprint {
        let jwk = serde_json::from_value(self.jwk()).unwrap();
        crate::jws::AccountKey::from_jwk(&jwk, &Default::default())
            .unwrap()
            .thumbprint()
    }

    /// Returns the key in PKCS#8, where certificates are to be made for it.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        use encoding::AsDer;
        match self {
            Self::Es256(pair) | Self::Es384(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Rs256(pair) => {
                let der: encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                der.as_ref().to_vec()
            }
        }
    }

    /// Signs octets.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) | Self::Es384(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &aws::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
        }
    }

    /// Makes a JWS of a header as it stands and a payload.
    pub(crate) fn jws_of(&self, header: &Value, payload: &[u8]) -> Value {
        let protected = base64url::encode(header.to_string().as_bytes());
        let payload = base64url::encode(payload);
        let signature = self.sign(format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": base64url::encode(&signature)})
    }
}

/// Makes the inner JWS of an external account binding.
pub(crate) fn binding(key_id: &str, secret: &[u8], url: &str, jwk: &Value) -> Value {
    let header = json!({"alg": "HS256", "kid": key_id, "url": url});
    mac_jws(&header, secret, jwk)
}

/// Makes a JWS under HMAC-SHA-256, whatever its header says.
pub(crate) fn mac_jws(header: &Value, secret: &[u8], payload: &Value) -> Value {
    let protected = base64url::encode(header.to_string().as_bytes());
    let payload = base64url::encode(payload.to_string().as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mac = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
    json!({"protected": protected, "payload": payload, "signature": base64url::encode(mac.as_ref())})
}
