//! The check of every signature before it leaves the store.

use std::sync::OnceLock;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::error::Error;
use crate::key_id::KeyId;
use crate::sign::{SignInput, SignJob};

/// A public key that verifies what its private half signed.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// The key's name, for errors.
    id: KeyId,
    /// The key's algorithm.
    algorithm: KeyAlgorithm,
    /// The public key, a DER SubjectPublicKeyInfo.
    spki_der: Box<[u8]>,
    /// The key parsed for each of its algorithm's schemes, at first use.
    parsed: [OnceLock<Option<ParsedPublicKey>>; MOST_SCHEMES],
}

/// Most schemes that one algorithm signs by.
const MOST_SCHEMES: usize = 6;

impl Verifier {
    /// Takes a public key.
    pub(crate) fn new(id: KeyId, algorithm: KeyAlgorithm, spki_der: Vec<u8>) -> Self {
        Self {
            id,
            algorithm,
            spki_der: spki_der.into(),
            parsed: Default::default(),
        }
    }

    /// Returns the key's name.
    pub(crate) fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the key's algorithm.
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Returns the public key in DER.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Checks that the key can sign by the job's scheme.
    ///
    /// # Errors
    ///
    /// `SchemeMismatch` if it cannot.
    pub(crate) fn admit(&self, scheme: SignatureScheme) -> Result<(), Error> {
        self.place(scheme).map(|_| ())
    }

    /// Checks a signature over what the job asked for.
    ///
    /// # Errors
    ///
    /// `BadSignature` if it does not verify.
    pub(crate) fn verify(&self, job: &SignJob, signature: &[u8]) -> Result<(), Error> {
        let bad = || Error::BadSignature {
            id: self.id.clone(),
        };
        let scheme = job.scheme();
        let place = self.place(scheme)?;
        let slot = self.parsed.get(place).ok_or_else(bad)?;
        let key = slot
            .get_or_init(|| ParsedPublicKey::new(verification(scheme), &self.spki_der).ok())
            .as_ref()
            .ok_or_else(bad)?;
        match (job.input(), scheme.digest()) {
            (SignInput::Digest(octets), Some(algorithm)) => {
                let digest = Digest::import_less_safe(octets, algorithm).map_err(|_| bad())?;
                key.verify_digest_sig(&digest, signature).map_err(|_| bad())
            }
            (SignInput::Message(octets), None) => {
                key.verify_sig(octets, signature).map_err(|_| bad())
            }
            _ => Err(bad()),
        }
    }

    /// Finds a scheme among those of the key's algorithm.
    fn place(&self, scheme: SignatureScheme) -> Result<usize, Error> {
        self.algorithm
            .schemes()
            .iter()
            .position(|known| *known == scheme)
            .ok_or(Error::SchemeMismatch {
                algorithm: self.algorithm,
                scheme,
            })
    }
}

/// Returns how a scheme is verified.
fn verification(scheme: SignatureScheme) -> &'static dyn VerificationAlgorithm {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
        SignatureScheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        SignatureScheme::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        SignatureScheme::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        SignatureScheme::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
        SignatureScheme::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
        SignatureScheme::Ed25519 => &signature::ED25519,
    }
}
