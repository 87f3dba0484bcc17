//! What a signature is to say, and its encoding.

use model::Timestamp;
use model::signing::ArtifactDigest;

use super::CmsSigner;
use crate::encode::cms as encode;
use crate::oid;

/// What one signature is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CmsPlan {
    /// The artifact's digest.
    pub digest: ArtifactDigest,
    /// When it is signed; fractions of a second are dropped.
    pub signing_time: Timestamp,
}

/// Attributes encoded, waiting for their lint.
#[derive(Debug)]
pub struct PlannedCms {
    /// The SET OF that is to be signed.
    pub(super) attributes_der: Vec<u8>,
}

impl CmsPlan {
    /// Encodes what is to be signed.
    #[must_use]
    pub fn encode(&self, signer: &CmsSigner) -> PlannedCms {
        let attributes = encode::SignedAttributes {
            content_type: oid::DATA,
            message_digest: self.digest.octets(),
            signing_time: Some(self.signing_time),
            signing_certificate: signer.signing_certificate_der(),
        };
        PlannedCms {
            attributes_der: attributes.to_der(),
        }
    }
}

impl PlannedCms {
    /// Returns the SET OF, DER, not yet linted.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.attributes_der
    }
}
