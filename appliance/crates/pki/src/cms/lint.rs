//! What is about to be signed, read again and judged.

use const_oid::ObjectIdentifier;
use model::Timestamp;
use model::signing::ArtifactDigest;

use super::{CmsError, CmsSigner, PlannedCms, SignedAttributes};
use crate::algorithm::SignatureAlgorithm;
use crate::encode::cms as encode;
use crate::lint::{AssembleError, check_form, define_lints, encoding, is_strong};
use crate::oid;
use crate::tlv::{self, Malformed};

define_lints! {
    /// A rule for attributes that are signed.
    CmsLint;
    /// contentType is the content's.
    ContentType = "cms-content-type", "RFC 5652, 11.1";
    /// messageDigest is the content's digest.
    MessageDigest = "cms-message-digest", "RFC 5652, 11.2";
    /// signingTime is where it belongs, has come, and the certificate is valid then.
    SigningTime = "cms-signing-time", "RFC 5652, 11.3";
    /// signingCertificateV2 names the signer's certificate, and no other.
    SigningCertificate = "cms-signing-certificate", "RFC 5035, 3; RFC 5816, 2.2.1";
    /// No other attribute is signed.
    Attributes = "cms-attributes", "RFC 5652, 11";
    /// The hash is not broken, and the key can sign with it.
    SignatureAlgorithm = "cms-signature-algorithm", "RFC 5754, 3; RFC 5652, 5.4";
}

/// Why a signature is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmsLintFindings {
    /// The bytes are no DER.
    #[error("the attributes to be signed are not DER: {0}")]
    Encoding(#[from] Malformed),
    /// The bytes are no attributes.
    #[error("the attributes to be signed cannot be read back: {0}")]
    Unreadable(#[from] CmsError),
    /// Rules that are broken.
    #[error("the attributes to be signed break {}", sentence(.0))]
    Broken(Vec<CmsLint>),
}

impl CmsLintFindings {
    /// Returns the rules that are broken, if the bytes could be read at all.
    #[must_use]
    pub fn findings(&self) -> &[CmsLint] {
        match self {
            Self::Broken(findings) => findings,
            Self::Encoding(_) | Self::Unreadable(_) => &[],
        }
    }
}

/// Joins findings.
fn sentence(findings: &[CmsLint]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Judges planned attributes against the digest that was to be signed.
///
/// # Errors
///
/// Every rule they break; they can then not be signed.
pub fn lint(
    planned: PlannedCms,
    digest: &ArtifactDigest,
    signer: &CmsSigner,
    now: Timestamp,
) -> Result<LintedCms, CmsLintFindings> {
    let attributes_der = planned.attributes_der;
    let signature_algorithm = signer.algorithm_for(digest.algorithm());
    let attributes = check_attributes(&attributes_der, oid::DATA, digest, signer)?;
    let certificate = signer.certificate();
    let timely = attributes.signing_time.is_some_and(|time| {
        time <= now && certificate.not_before() <= time && time <= certificate.not_after()
    });
    if !timely {
        return Err(CmsLintFindings::Broken(vec![CmsLint::SigningTime]));
    }
    Ok(LintedCms {
        signature_algorithm,
        signer: signer.clone(),
        digest: *digest,
        attributes_der,
    })
}

/// Holds attributes to every rule but the one about their time, and reads them.
pub(crate) fn check_attributes<'a>(
    attributes_der: &'a [u8],
    content_type: ObjectIdentifier,
    digest: &ArtifactDigest,
    signer: &CmsSigner,
) -> Result<SignedAttributes<'a>, CmsLintFindings> {
    encoding::check(attributes_der)?;
    let attributes = SignedAttributes::read(tlv::read_only(attributes_der, tlv::SET)?)?;
    let algorithm = signer.algorithm_for(digest.algorithm());
    let named = attributes
        .signing_certificate
        .is_some_and(|id| id.names(signer.certificate()));
    let rules = [
        (
            attributes.content_type == content_type,
            CmsLint::ContentType,
        ),
        (
            attributes.message_digest == digest.octets(),
            CmsLint::MessageDigest,
        ),
        (
            named && attributes.certificates_named == 1,
            CmsLint::SigningCertificate,
        ),
        (!attributes.others, CmsLint::Attributes),
        (
            is_strong(algorithm) && signer.certificate().public_key().can_sign(algorithm),
            CmsLint::SignatureAlgorithm,
        ),
    ];
    let findings: Vec<CmsLint> = rules
        .into_iter()
        .filter_map(|(holds, lint)| (!holds).then_some(lint))
        .collect();
    if findings.is_empty() {
        Ok(attributes)
    } else {
        Err(CmsLintFindings::Broken(findings))
    }
}

/// Attributes that passed every lint: may be signed, once.
///
/// There is no other way to make one, and it cannot be copied.
#[derive(Debug)]
pub struct LintedCms {
    /// The bytes to be signed.
    attributes_der: Vec<u8>,
    /// Who signs.
    signer: CmsSigner,
    /// The artifact's digest.
    digest: ArtifactDigest,
    /// How they will be signed.
    signature_algorithm: SignatureAlgorithm,
}

impl LintedCms {
    /// Returns the bytes to be signed: a SET OF Attribute, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.attributes_der
    }

    /// Returns how they are to be signed: by the hash of the artifact's digest.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Joins the bytes and their signature to a ContentInfo, DER: a `.p7s` file.
    ///
    /// The signature's form is checked, not its arithmetic: a `PrivateKey` of the
    /// keystore verifies what it returns.
    ///
    /// # Errors
    ///
    /// `Form`.
    pub fn assemble(self, signature: &[u8]) -> Result<Vec<u8>, AssembleError> {
        let key_type = self.signer.certificate().public_key().key_type();
        check_form(self.signature_algorithm, key_type, signature)?;
        let signed = encode::SignedData {
            content_type: oid::DATA,
            content: None,
            certificates: self.signer.certificates_der(),
            issuer_and_serial: self.signer.issuer_and_serial_der(),
            hash: self.digest.algorithm(),
            signed_attributes: &self.attributes_der,
            algorithm: self.signature_algorithm,
            signature,
        };
        Ok(signed.to_der())
    }
}
