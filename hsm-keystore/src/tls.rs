//! A rustls signing key over any private key of a store.

use std::sync::Arc;

use rustls::SignatureScheme as TlsScheme;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm};

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::sign::{Priority, SignJob};
use crate::{Error, PrivateKey};

/// Joins a key of a store and its chain (leaf first) for a rustls configuration.
///
/// # Errors
///
/// `KeyMismatch` when the leaf is not the key's, `MalformedCertificate` when it
/// is no certificate.
pub fn certified_key(
    key: Arc<dyn PrivateKey>,
    chain_der: Vec<CertificateDer<'static>>,
) -> Result<CertifiedKey, Error> {
    let id = key.id().clone();
    let certified = CertifiedKey::new(chain_der, Arc::new(TlsKey(key)));
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::KeyMismatch { id }),
        Err(_) => Err(Error::MalformedCertificate),
    }
}

/// Makes a rustls signing key of a key of a store.
#[must_use]
pub fn signing_key(key: Arc<dyn PrivateKey>) -> Arc<dyn SigningKey> {
    Arc::new(TlsKey(key))
}

/// A store's key in a handshake.
#[derive(Debug)]
struct TlsKey(Arc<dyn PrivateKey>);

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[TlsScheme]) -> Option<Box<dyn Signer>> {
        let (tls, scheme) = preferences(self.0.algorithm())
            .iter()
            .find(|(tls, _)| offered.contains(tls))?;
        Some(Box::new(TlsSigner {
            key: Arc::clone(&self.0),
            scheme: *scheme,
            tls: *tls,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public_key_der()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 => SignatureAlgorithm::ECDSA,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
                SignatureAlgorithm::RSA
            }
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

/// One handshake's signature.
#[derive(Debug)]
struct TlsSigner {
    /// The key that signs.
    key: Arc<dyn PrivateKey>,
    /// How, in the store's terms.
    scheme: SignatureScheme,
    /// How, in TLS's terms.
    tls: TlsScheme,
}

impl Signer for TlsSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.key
            .sign(SignJob::message(self.scheme, message).with_priority(Priority::Interactive))
            .wait()
            .map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> TlsScheme {
        self.tls
    }
}

/// Lists how a key signs handshakes, the best first (RFC 8446, 4.2.3; PKCS#1
/// v1.5 is for TLS 1.2 alone, and rustls offers it there alone).
const fn preferences(algorithm: KeyAlgorithm) -> &'static [(TlsScheme, SignatureScheme)] {
    match algorithm {
        KeyAlgorithm::EcP256 => &[(
            TlsScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::EcdsaP256Sha256,
        )],
        KeyAlgorithm::EcP384 => &[(
            TlsScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::EcdsaP384Sha384,
        )],
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => &[
            (TlsScheme::RSA_PSS_SHA256, SignatureScheme::RsaPssSha256),
            (TlsScheme::RSA_PSS_SHA384, SignatureScheme::RsaPssSha384),
            (TlsScheme::RSA_PSS_SHA512, SignatureScheme::RsaPssSha512),
            (TlsScheme::RSA_PKCS1_SHA256, SignatureScheme::RsaPkcs1Sha256),
            (TlsScheme::RSA_PKCS1_SHA384, SignatureScheme::RsaPkcs1Sha384),
            (TlsScheme::RSA_PKCS1_SHA512, SignatureScheme::RsaPkcs1Sha512),
        ],
        KeyAlgorithm::Ed25519 => &[(TlsScheme::ED25519, SignatureScheme::Ed25519)],
    }
}
