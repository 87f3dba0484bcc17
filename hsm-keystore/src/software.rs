//! Private keys held in memory: those of files, and those on their way to a token.

use std::fmt;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::encoding::{RsaParts, algorithm_of_spki};
use crate::error::{Error, KeyFault, UnsupportedKind};
use crate::sign::{SignInput, SignJob};

/// A private key in memory, checked against its own public half.
pub(crate) struct SoftwareKey {
    /// The key itself.
    pair: Pair,
    /// Its algorithm.
    algorithm: KeyAlgorithm,
    /// Its public half, a DER SubjectPublicKeyInfo.
    spki_der: Vec<u8>,
}

/// A key pair of the library, by kind.
enum Pair {
    /// P-256 or P-384.
    Ec(EcdsaKeyPair),
    /// RSA of a size we carry.
    Rsa(RsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

/// A private key taken apart, for `C_CreateObject`.
pub(crate) enum KeyParts {
    /// The scalar and the uncompressed point.
    Ec(Zeroizing<Vec<u8>>, Vec<u8>),
    /// The eight numbers.
    Rsa(Box<RsaParts>),
    /// The seed and the public key.
    Ed25519(Zeroizing<Vec<u8>>, Vec<u8>),
}

impl SoftwareKey {
    /// Reads a PKCS#8 key (RFC 5958) and checks that its parts fit together.
    ///
    /// # Errors
    ///
    /// `UnsupportedKey` for a key of another kind or size, `MalformedKey` for
    /// bytes that are no key.
    pub(crate) fn from_pkcs8(pkcs8_der: &[u8]) -> Result<Self, Error> {
        let pair = if let Ok(pair) =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8_der)
        {
            Pair::Ec(pair)
        } else if let Ok(pair) =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8_der)
        {
            Pair::Ec(pair)
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8(pkcs8_der) {
            Pair::Ed25519(pair)
        } else {
            match RsaKeyPair::from_pkcs8(pkcs8_der) {
                Ok(pair) => Pair::Rsa(pair),
                Err(_) => return Err(refusal(pkcs8_der)),
            }
        };
        let spki_der = pair
            .spki_der()
            .map_err(|fault| Error::MalformedKey { fault })?;
        let algorithm =
            algorithm_of_spki(&spki_der).map_err(|kind| Error::UnsupportedKey { kind })?;
        Ok(Self {
            pair,
            algorithm,
            spki_der,
        })
    }

    /// Makes a new key and returns it as PKCS#8.
    ///
    /// # Errors
    ///
    /// `UnsupportedKey` if the library cannot make one.
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |_| Error::UnsupportedKey {
            kind: UnsupportedKind::Algorithm(algorithm),
        };
        let rng = SystemRandom::new();
        let rsa = |size| {
            let pair = RsaKeyPair::generate(size).map_err(failed)?;
            let document: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            Ok(Zeroizing::new(document.as_ref().to_vec()))
        };
        match algorithm {
            KeyAlgorithm::EcP256 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng)
                    .map_err(failed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            KeyAlgorithm::EcP384 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &rng)
                    .map_err(failed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyAlgorithm::Ed25519 => {
                // RFC 8410, 7: version 1, without the public key, is what every tool reads.
                let document = Ed25519KeyPair::generate_pkcs8v1(&rng).map_err(failed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }

    /// Returns the algorithm.
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Returns the public half in DER.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Takes the key apart; `pkcs8_der` is what it was read from.
    ///
    /// # Errors
    ///
    /// `NotDer` if the numbers cannot be had.
    pub(crate) fn parts(&self, pkcs8_der: &[u8]) -> Result<KeyParts, KeyFault> {
        match &self.pair {
            Pair::Ec(pair) => {
                let scalar: EcPrivateKeyBin<'_> = pair
                    .private_key()
                    .as_be_bytes()
                    .map_err(|_| KeyFault::NotDer)?;
                Ok(KeyParts::Ec(
                    Zeroizing::new(scalar.as_ref().to_vec()),
                    pair.public_key().as_ref().to_vec(),
                ))
            }
            Pair::Rsa(_) => {
                RsaParts::from_pkcs8(pkcs8_der).map(|parts| KeyParts::Rsa(parts.into()))
            }
            Pair::Ed25519(pair) => {
                let seed = pair.seed().map_err(|_| KeyFault::NotDer)?;
                let octets = seed.as_be_bytes().map_err(|_| KeyFault::NotDer)?;
                Ok(KeyParts::Ed25519(
                    Zeroizing::new(octets.as_ref().to_vec()),
                    pair.public_key().as_ref().to_vec(),
                ))
            }
        }
    }

    /// Signs what the job asks for.
    ///
    /// Nothing when the library fails or the scheme is not the key's.
    pub(crate) fn sign(&self, job: &SignJob) -> Option<Vec<u8>> {
        let digest = match (job.input(), job.scheme().digest()) {
            (SignInput::Digest(octets), Some(algorithm)) => {
                Some(Digest::import_less_safe(octets, algorithm).ok()?)
            }
            _ => None,
        };
        match (&self.pair, digest, job.input()) {
            (Pair::Ec(pair), Some(digest), _) => {
                Some(pair.sign_digest(&digest).ok()?.as_ref().to_vec())
            }
            (Pair::Rsa(pair), Some(digest), _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(padding(job.scheme())?, &digest, &mut signature)
                    .ok()?;
                Some(signature)
            }
            (Pair::Ed25519(pair), None, SignInput::Message(message)) => {
                Some(pair.try_sign(message).ok()?.as_ref().to_vec())
            }
            _ => None,
        }
    }
}

impl Pair {
    /// Writes the public half in DER.
    fn spki_der(&self) -> Result<Vec<u8>, KeyFault> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self {
            Self::Ec(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec())
            .map_err(|_| KeyFault::Inconsistent)
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareKey({})", self.algorithm)
    }
}

/// Returns how an RSA scheme pads.
fn padding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    match scheme {
        SignatureScheme::RsaPkcs1Sha256 => Some(&RSA_PKCS1_SHA256),
        SignatureScheme::RsaPkcs1Sha384 => Some(&RSA_PKCS1_SHA384),
        SignatureScheme::RsaPkcs1Sha512 => Some(&RSA_PKCS1_SHA512),
        SignatureScheme::RsaPssSha256 => Some(&RSA_PSS_SHA256),
        SignatureScheme::RsaPssSha384 => Some(&RSA_PSS_SHA384),
        SignatureScheme::RsaPssSha512 => Some(&RSA_PSS_SHA512),
        SignatureScheme::EcdsaP256Sha256
        | SignatureScheme::EcdsaP384Sha384
        | SignatureScheme::Ed25519 => None,
    }
}

/// Tells why no key could be made of these bytes.
fn refusal(pkcs8_der: &[u8]) -> Error {
    use x509_cert::der::Decode;
    use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
    use x509_cert::der::{Reader, SliceReader};

    /// Reads far enough to learn the key's kind.
    fn kind(pkcs8_der: &[u8]) -> Option<(ObjectIdentifier, Option<ObjectIdentifier>)> {
        let body = AnyRef::from_der(pkcs8_der).ok()?;
        let mut reader = SliceReader::new(body.value()).ok()?;
        u8::decode(&mut reader).ok()?;
        let algorithm = x509_cert::spki::AlgorithmIdentifierRef::decode(&mut reader).ok()?;
        <&OctetStringRef>::decode(&mut reader).ok()?;
        let _ = reader.is_finished();
        let curve = algorithm
            .parameters
            .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
        Some((algorithm.oid, curve))
    }

    /// The kinds that we carry.
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

    match kind(pkcs8_der) {
        None => Error::MalformedKey {
            fault: KeyFault::NotDer,
        },
        Some((EC, Some(P256 | P384)) | (ED25519, _)) => Error::MalformedKey {
            fault: KeyFault::Inconsistent,
        },
        // The library refuses unsound RSA keys and those under 2048 bits alike.
        Some((RSA, _)) => match RsaParts::from_pkcs8(pkcs8_der) {
            Ok(parts) if matches!(parts.numbers()[0].len(), 256 | 384 | 512) => {
                Error::MalformedKey {
                    fault: KeyFault::Inconsistent,
                }
            }
            Ok(_) => Error::UnsupportedKey {
                kind: UnsupportedKind::Unknown,
            },
            Err(fault) => Error::MalformedKey { fault },
        },
        Some(_) => Error::UnsupportedKey {
            kind: UnsupportedKind::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_that_are_no_key_are_told_apart_from_keys_we_do_not_carry() {
        assert!(matches!(
            SoftwareKey::from_pkcs8(b"no key"),
            Err(Error::MalformedKey {
                fault: KeyFault::NotDer
            })
        ));
        let p521 = EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            &SystemRandom::new(),
        )
        .unwrap();
        assert!(matches!(
            SoftwareKey::from_pkcs8(p521.as_ref()),
            Err(Error::UnsupportedKey {
                kind: UnsupportedKind::Unknown
            })
        ));
    }

    #[test]
    fn a_key_whose_halves_differ_is_refused() {
        let mut pkcs8 = SoftwareKey::generate(KeyAlgorithm::EcP256).unwrap();
        let last = pkcs8.len() - 1;
        pkcs8[last] ^= 1;
        assert!(matches!(
            SoftwareKey::from_pkcs8(&pkcs8),
            Err(Error::MalformedKey {
                fault: KeyFault::Inconsistent
            })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(
            at in 0usize..138, flip in 1u8..=255, noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut pkcs8 = SoftwareKey::generate(KeyAlgorithm::EcP256).unwrap();
            if let Some(octet) = pkcs8.get_mut(at) {
                *octet ^= flip;
            }
            let _ = SoftwareKey::from_pkcs8(&pkcs8);
            let _ = SoftwareKey::from_pkcs8(&noise);
        }
    }
}
