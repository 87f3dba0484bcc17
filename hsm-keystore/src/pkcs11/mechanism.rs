//! How each scheme is asked of a token, and what its answer becomes.

use std::borrow::Cow;
use std::ffi::c_ulong;

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::encoding;
use crate::sign::{SignInput, SignJob};

/// What goes into C_SignInit and C_Sign.
pub(crate) struct Request<'a> {
    /// The mechanism, with its parameters.
    pub(crate) mechanism: Mechanism<'static>,
    /// The octets.
    pub(crate) data: Cow<'a, [u8]>,
}

impl<'a> Request<'a> {
    /// Makes the request for a job.
    ///
    /// Hashing is done here, for not every token hashes: ECDSA and PSS are
    /// given the digest, PKCS#1 v1.5 the DigestInfo, Ed25519 the message.
    pub(crate) fn new(job: &'a SignJob) -> Self {
        let (SignInput::Digest(input) | SignInput::Message(input)) = job.input();
        let mechanism = match job.scheme() {
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha384 => Mechanism::Ecdsa,
            SignatureScheme::RsaPkcs1Sha256
            | SignatureScheme::RsaPkcs1Sha384
            | SignatureScheme::RsaPkcs1Sha512 => Mechanism::RsaPkcs,
            SignatureScheme::RsaPssSha256 => {
                pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32)
            }
            SignatureScheme::RsaPssSha384 => {
                pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48)
            }
            SignatureScheme::RsaPssSha512 => {
                pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64)
            }
            SignatureScheme::Ed25519 => {
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure))
            }
        };
        let data = match encoding::digest_info(job.scheme(), input) {
            Some(info) => Cow::Owned(info),
            None => Cow::Borrowed(&**input),
        };
        Self { mechanism, data }
    }
}

/// Makes the PSS mechanism: MGF1 over the same hash, salt as long as the hash.
fn pss(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u8) -> Mechanism<'static> {
    Mechanism::RsaPkcsPss(PkcsPssParams {
        hash_alg,
        mgf,
        s_len: Ulong::from(c_ulong::from(salt)),
    })
}

/// Makes of the token's answer what certificates carry.
///
/// Nothing when the answer has another length than it must.
pub(crate) fn signature(algorithm: KeyAlgorithm, raw: Vec<u8>) -> Option<Vec<u8>> {
    match algorithm {
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 => encoding::ecdsa_signature(&raw, algorithm),
        KeyAlgorithm::Rsa2048
        | KeyAlgorithm::Rsa3072
        | KeyAlgorithm::Rsa4096
        | KeyAlgorithm::Ed25519 => Some(raw),
    }
}

/// Returns the mechanism that makes a key of an algorithm.
pub(crate) const fn generation(algorithm: KeyAlgorithm) -> Mechanism<'static> {
    match algorithm {
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 => Mechanism::EccKeyPairGen,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            Mechanism::RsaPkcsKeyPairGen
        }
        KeyAlgorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
    }
}
