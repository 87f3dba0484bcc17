//! Whether a signature may be relied upon (RFC 5652, 5.6).

use model::Timestamp;
use model::signing::{ArtifactDigest, HashAlgorithm};

use super::signer::may_sign;
use super::{CmsError, SignedData};
use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;
use crate::chain::Chain;
use crate::path::{self, PathError, PathQuestion};

/// Why a signature is not relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CmsRefused {
    /// The bytes are no signature.
    #[error(transparent)]
    Unreadable(#[from] CmsError),
    /// A signature of something else than an artifact, or one that holds its content.
    #[error("the CMS signature is not detached, or not of plain data")]
    NotDetached,
    /// The artifact was digested by another hash.
    #[error("the CMS signature is over a {signed} digest, not over {given}")]
    Hash {
        /// By which hash it was signed.
        signed: HashAlgorithm,
        /// By which hash the artifact was digested.
        given: HashAlgorithm,
    },
    /// The signature is of another artifact.
    #[error("the CMS signature is of other content: the digests differ")]
    Digest,
    /// The signer's certificate is nowhere.
    #[error("the CMS signer's certificate is neither in the message nor given")]
    NoSigner,
    /// The attribute names another certificate than the signer's.
    #[error("the CMS signer signed with another certificate in mind (signingCertificateV2)")]
    SigningCertificate,
    /// A key usage without digitalSignature and contentCommitment.
    #[error("the CMS signer's key may not sign (no digitalSignature)")]
    MayNotSign,
    /// Not signed by the signer's key.
    #[error("the CMS signature is not by its signer's key")]
    Signature,
    /// No path leads from the signer to a root.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// What was signed, and who is trusted when.
#[derive(Debug, Clone, Copy)]
pub struct CmsQuestion<'a> {
    /// The artifact's digest, by [`SignedData::digest_algorithm`].
    pub digest: ArtifactDigest,
    /// Who is trusted; of a signature with a time-stamp, at the time-stamp's time.
    /// Certificates in the message are used as intermediates, too.
    pub path: PathQuestion<'a>,
}

/// What a verified signature says.
#[derive(Debug, Clone)]
pub struct VerifiedCms {
    /// The signer's certificate, and those above up to a root.
    pub chain: Chain,
    /// When the signer says to have signed; nobody vouches for it.
    pub signing_time: Option<Timestamp>,
    /// How it is signed.
    pub signature_algorithm: SignatureAlgorithm,
    /// Whether the signer signed which certificate is its own.
    pub certificate_bound: bool,
}

/// Reads a detached signature and verifies it.
///
/// Bytes are hostile: never panics, reads at most sixteen certificates.
///
/// # Errors
///
/// Why nothing was learnt from it.
pub fn verify_detached(
    cms_der: &[u8],
    question: &CmsQuestion<'_>,
) -> Result<VerifiedCms, CmsRefused> {
    let signed = SignedData::parse(cms_der)?;
    if !signed.is_detached() {
        return Err(CmsRefused::NotDetached);
    }
    signed.verify_digest(&question.digest)?;
    signed.verify_signer(&question.path)
}

impl SignedData<'_> {
    /// Checks that a digest is the one that was signed.
    ///
    /// # Errors
    ///
    /// `Hash` and `Digest`.
    pub fn verify_digest(&self, digest: &ArtifactDigest) -> Result<(), CmsRefused> {
        let (signed, given) = (self.digest_algorithm(), digest.algorithm());
        if signed != given {
            return Err(CmsRefused::Hash { signed, given });
        }
        // A digest is no secret: comparing may take as long as it takes.
        if self.message_digest() != digest.octets() {
            return Err(CmsRefused::Digest);
        }
        Ok(())
    }

    /// Verifies the signature over the signed attributes with its signer's certificate,
    /// which is not verified itself.
    ///
    /// # Errors
    ///
    /// `SigningCertificate`, `MayNotSign` and `Signature`.
    pub fn verify_signature(&self, signer: &Certificate) -> Result<(), CmsRefused> {
        let named = self.attributes().signing_certificate;
        if named.is_some_and(|id| !id.names(signer)) {
            return Err(CmsRefused::SigningCertificate);
        }
        if !may_sign(signer) {
            return Err(CmsRefused::MayNotSign);
        }
        signer
            .public_key()
            .verify(
                self.signature_algorithm(),
                &self.signer.signed_octets(),
                self.signature(),
            )
            .map_err(|_| CmsRefused::Signature)?;
        Ok(())
    }

    /// Verifies the signature with its signer's certificate, and that with a root.
    pub(crate) fn verify_signer(
        &self,
        question: &PathQuestion<'_>,
    ) -> Result<VerifiedCms, CmsRefused> {
        // Certificates that cannot be read here cannot be in the path.
        let embedded: Vec<Certificate> = self
            .certificates()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect();
        let known: Vec<&Certificate> = embedded.iter().chain(question.intermediates).collect();
        let signer = known
            .iter()
            .copied()
            .chain(question.roots)
            .find(|certificate| self.is_by(certificate))
            .ok_or(CmsRefused::NoSigner)?;
        self.verify_signature(signer)?;
        Ok(VerifiedCms {
            chain: path::find_among(signer, &known, question)?,
            signing_time: self.signing_time(),
            signature_algorithm: self.signature_algorithm(),
            certificate_bound: self.attributes().signing_certificate.is_some(),
        })
    }
}
