//! How a key's schemes are called in certificates.

use hsm_keystore::SignatureScheme;
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};

/// Returns the algorithm by which certificates name a scheme.
pub(crate) const fn signature_algorithm(scheme: SignatureScheme) -> SignatureAlgorithm {
    use SignatureAlgorithm as Algorithm;
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => Algorithm::Ecdsa(HashAlgorithm::Sha256),
        SignatureScheme::EcdsaP384Sha384 => Algorithm::Ecdsa(HashAlgorithm::Sha384),
        SignatureScheme::RsaPkcs1Sha256 => Algorithm::RsaPkcs1(HashAlgorithm::Sha256),
        SignatureScheme::RsaPkcs1Sha384 => Algorithm::RsaPkcs1(HashAlgorithm::Sha384),
        SignatureScheme::RsaPkcs1Sha512 => Algorithm::RsaPkcs1(HashAlgorithm::Sha512),
        SignatureScheme::RsaPssSha256 => Algorithm::RsaPss(HashAlgorithm::Sha256),
        SignatureScheme::RsaPssSha384 => Algorithm::RsaPss(HashAlgorithm::Sha384),
        SignatureScheme::RsaPssSha512 => Algorithm::RsaPss(HashAlgorithm::Sha512),
        SignatureScheme::Ed25519 => Algorithm::Ed25519,
    }
}
