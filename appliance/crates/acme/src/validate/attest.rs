//! device-attest-01: a device proves which one it is, and that the certificate's key was
//! made in it (draft-ietf-acme-device-attest, 5).
//!
//! ```text
//! attObj ─▶ object: CBOR ─▶ path to a root of its format ─▶ signature over the key
//! authorization ─▶ the device's identifier is the order's ─▶ the attested key
//! ```
//!
//! The draft leaves each format to its own rules; there is one here, `step`: the
//! certificate that a YubiKey, or whatever has an attestation authority of its own, makes
//! for a key inside it, and that key's signature over the key authorization. Nothing is
//! fetched and nothing waits: the answer to the client's response is the verdict.

mod config;
mod device;
mod object;
mod problem;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use model::Timestamp;
use model::acme::Identifier;
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::path::{PathQuestion, find_path};
use pki::public_key::KeyType;

pub use config::{CheckedDeviceAttest, DeviceAttestConfig, InvalidDeviceAttestConfig};
pub use object::{AttestationObject, ObjectProblem};
pub use problem::{AttestationProblem, RootsError};

use super::task::KeyAuthorization;

/// Most octets of a file of roots.
const MAX_ROOTS_LEN: u64 = 1 << 20;

/// Most roots of a format.
const MAX_ROOTS: usize = 64;

/// How an attestation is written and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttestationFormat {
    /// `step`: a certificate for the key, and the key's signature.
    Step,
}

/// A text that is no format that is verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such format of attestations")]
pub struct UnknownFormat;

impl AttestationFormat {
    /// Every format.
    pub const ALL: [Self; 1] = [Self::Step];

    /// Returns the format as attestation objects spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
        }
    }
}

impl fmt::Display for AttestationFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AttestationFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or(UnknownFormat)
    }
}

/// What an attestation must prove.
#[derive(Debug, Clone, Copy)]
pub struct AttestationQuestion<'a> {
    /// Which device.
    pub identifier: &'a Identifier,
    /// For which challenge and account.
    pub key_authorization: &'a KeyAuthorization,
    /// When its certificates must be valid.
    pub at: Timestamp,
}

/// A key that a device attested: SHA-256 of the SubjectPublicKeyInfo, DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestedKey(pub [u8; 32]);

/// Verifies attestations by the roots that are configured, and by no others.
#[derive(Debug)]
pub struct Attestor {
    /// The formats taken, each with its roots; none is without.
    formats: Vec<(AttestationFormat, Vec<Certificate>)>,
}

impl Attestor {
    /// Verifies attestations by these roots.
    #[must_use]
    pub fn new(formats: Vec<(AttestationFormat, Vec<Certificate>)>) -> Self {
        Self { formats }
    }

    /// Verifies an attestation object and returns the key that it attests.
    ///
    /// Bytes are hostile: never panics, allocates little more than some forty times
    /// their length, which is bounded.
    ///
    /// # Errors
    ///
    /// The first check that the attestation does not pass.
    pub fn verify(
        &self,
        object_cbor: &[u8],
        question: &AttestationQuestion<'_>,
    ) -> Result<AttestedKey, AttestationProblem> {
        let object = AttestationObject::parse(object_cbor)?;
        let taken = self
            .formats
            .iter()
            .find(|(format, _)| format.as_str() == object.format());
        match taken {
            Some((AttestationFormat::Step, roots)) => verify_step(&object, roots, question),
            None => Err(AttestationProblem::Format {
                given: object.format().chars().take(40).collect(),
                taken: self.formats.iter().map(|(format, _)| *format).collect(),
            }),
        }
    }
}

/// Reads the roots of a format.
///
/// # Errors
///
/// Why the file holds none.
fn read_roots(path: &Path) -> Result<Vec<Certificate>, RootsError> {
    if std::fs::metadata(path)?.len() > MAX_ROOTS_LEN {
        return Err(RootsError::TooLong {
            most: MAX_ROOTS_LEN,
        });
    }
    let roots = pki::pem::read_certificates(&std::fs::read(path)?)?
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    if roots.is_empty() || roots.len() > MAX_ROOTS {
        return Err(RootsError::Count {
            count: roots.len(),
            most: MAX_ROOTS,
        });
    }
    match roots.iter().find(|root| !is_authority(root)) {
        Some(root) => Err(RootsError::NotACa {
            subject: root.subject().to_string(),
        }),
        None => Ok(roots),
    }
}

/// Tells whether a certificate is a CA's.
fn is_authority(certificate: &Certificate) -> bool {
    let constraints = certificate.extensions().basic_constraints;
    constraints.is_some_and(|constraints| constraints.ca)
}

/// Verifies the format `step`.
fn verify_step(
    object: &AttestationObject,
    roots: &[Certificate],
    question: &AttestationQuestion<'_>,
) -> Result<AttestedKey, AttestationProblem> {
    // 1. The key's certificate leads to a root, and is nobody's who certifies others.
    let leaf = attested_certificate(object, roots, question.at)?;
    // 2. The key signed the key authorization: token and account are this challenge's.
    let key = leaf.public_key();
    let (algorithm, cose) = signature_algorithm(key.key_type());
    if object.algorithm().is_some_and(|given| given != cose) {
        return Err(AttestationProblem::Algorithm { expected: cose });
    }
    let message = question.key_authorization.as_str().as_bytes();
    let signature = object.signature().ok_or(ObjectProblem::NoSignature)?;
    key.verify(algorithm, message, signature)
        .map_err(|_| AttestationProblem::Signature)?;
    // 3. What the attestation authority calls the device is what the order does.
    let attested = device::identifiers(&leaf)?;
    let wanted = question.identifier.value();
    if !question.identifier.is_device() || !attested.contains(&wanted) {
        return Err(AttestationProblem::Identifier { wanted, attested });
    }
    Ok(AttestedKey(key.sha256()))
}

/// Returns the certificate of the attested key, once it leads to a root.
fn attested_certificate(
    object: &AttestationObject,
    roots: &[Certificate],
    at: Timestamp,
) -> Result<Certificate, AttestationProblem> {
    let mut chain = object
        .chain_der()
        .iter()
        .enumerate()
        .map(|(place, der)| {
            Certificate::from_der(der)
                .map_err(|source| AttestationProblem::Certificate { place, source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(ObjectProblem::NoChain.into());
    }
    let leaf = chain.remove(0);
    if is_authority(&leaf) {
        return Err(AttestationProblem::Authority);
    }
    find_path(
        &leaf,
        &PathQuestion {
            intermediates: &chain,
            roots,
            at,
            // Attestation authorities write none, and each has a purpose of its own.
            purpose: None,
        },
    )?;
    Ok(leaf)
}

/// Returns how a key signs in the format `step`, and COSE's number of it (RFC 9053, 2):
/// ES256 of whatever curve, RS256, or EdDSA.
fn signature_algorithm(key: KeyType) -> (SignatureAlgorithm, i64) {
    match key {
        KeyType::P256 | KeyType::P384 | KeyType::P521 => {
            (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256), -7)
        }
        KeyType::Rsa { .. } => (SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha256), -257),
        KeyType::Ed25519 => (SignatureAlgorithm::Ed25519, -8),
    }
}
