//! Why an attestation proves nothing, in words for whoever has to put it right.

use pki::certificate::CertificateError;
use pki::path::PathError;
use pki::pem::PemError;

use super::AttestationFormat;
use super::object::ObjectProblem;

/// Why an attestation proves nothing. Certificates count from 0, the attested key's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationProblem {
    /// `attObj` is not base64url.
    #[error("attObj is not base64url without padding")]
    Base64,
    /// The object cannot be read.
    #[error("attObj is no attestation object: {0}")]
    Object(#[from] ObjectProblem),
    /// A format that is not taken.
    #[error(
        "attestations of format {given:?} are not taken here; these are: {}",
        taken.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
    )]
    Format {
        /// The format, cut at 40 characters.
        given: String,
        /// The formats that are.
        taken: Vec<AttestationFormat>,
    },
    /// A certificate that cannot be read.
    #[error("certificate {place} of x5c cannot be read: {source}")]
    Certificate {
        /// Which.
        place: usize,
        /// Why.
        source: CertificateError,
    },
    /// The attested key is an authority's.
    #[error("certificate 0 of x5c is an authority's and so attests no key")]
    Authority,
    /// The chain does not lead to a root that is trusted for the format.
    #[error("x5c does not lead to an attestation root that this server trusts: {0}")]
    Path(#[from] PathError),
    /// Another algorithm than the key's.
    #[error("alg must be {expected} for the attested key")]
    Algorithm {
        /// COSE's number of the key's algorithm.
        expected: i64,
    },
    /// The signature is of something else or by another key.
    #[error(
        "sig is not the attested key's signature over this challenge's key authorization (SHA-256; Ed25519 signs it whole)"
    )]
    Signature,
    /// The device's serial number is not as its maker writes it.
    #[error(
        "the serial number in certificate 0 of x5c (1.3.6.1.4.1.41482.3.7) is not a positive INTEGER"
    )]
    Serial,
    /// Another device, or none that is named.
    #[error("{}", told(wanted, attested))]
    Identifier {
        /// The order's.
        wanted: String,
        /// Those attested.
        attested: Vec<String>,
    },
}

/// Most devices that a message names.
const MOST_TOLD: usize = 4;

/// Tells which devices are attested instead of the order's.
fn told(wanted: &str, attested: &[String]) -> String {
    match attested {
        [] => format!(
            "the attestation names no device: certificate 0 of x5c has neither a serial number (1.3.6.1.4.1.41482.3.7) nor a permanent identifier, and the order is for {wanted}"
        ),
        several => format!(
            "the attestation is for device {}, the order for {wanted}",
            several.get(..MOST_TOLD).unwrap_or(several).join(", ")
        ),
    }
}

/// Why a file holds no roots of attestations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// It cannot be read.
    #[error("it cannot be read")]
    File(#[from] std::io::Error),
    /// It is longer than any list of roots.
    #[error("it is longer than {most} octets")]
    TooLong {
        /// Most octets read.
        most: u64,
    },
    /// It holds no certificates in PEM.
    #[error("it holds no certificates in PEM")]
    Pem(#[from] PemError),
    /// A certificate in it cannot be read.
    #[error("a certificate in it cannot be read")]
    Certificate(#[from] CertificateError),
    /// None or too many.
    #[error("it holds {count} certificates; there must be 1 to {most}")]
    Count {
        /// How many.
        count: usize,
        /// Most taken.
        most: usize,
    },
    /// A certificate that is no CA's.
    #[error("{subject} in it is no CA; list the attestation authority's root")]
    NotACa {
        /// Its subject.
        subject: String,
    },
}
