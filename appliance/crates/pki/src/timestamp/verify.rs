//! Whether a token may be relied upon (RFC 3161, 2.2 and 2.3).

use model::Timestamp;
use model::signing::{ArtifactDigest, HashAlgorithm};

use super::authority::check_purpose;
use super::{
    Accuracy, FailureInfo, NotAnAuthority, PolicyOid, TimeStampResponse, TimeStampResponseError,
    TokenError, TokenRead, TokenSerial,
};
use crate::algorithm;
use crate::certificate::Certificate;
use crate::chain::Chain;
use crate::cms::CmsRefused;
use crate::path::PathQuestion;
use crate::profile::ExtendedKeyUsage;

/// What a token is to be about.
#[derive(Debug, Clone, Copy)]
pub enum Stamped<'a> {
    /// Octets, digested here by whatever hash the token has.
    Message(&'a [u8]),
    /// A digest, which must be by the token's hash.
    Digest(ArtifactDigest),
}

/// What was asked, and who is trusted.
#[derive(Debug, Clone, Copy)]
pub struct TokenQuestion<'a> {
    /// What must have been stamped.
    pub stamped: Stamped<'a>,
    /// The request's nonce, big-endian without sign, which the token must repeat.
    pub nonce: Option<&'a [u8]>,
    /// The policy that it must be made under.
    pub policy: Option<PolicyOid>,
    /// Certificates of authorities that nobody trusts by themselves, and of the
    /// time-stamping authority where the token does not hold it.
    pub intermediates: &'a [Certificate],
    /// Trusted certificates.
    pub roots: &'a [Certificate],
}

/// Why a token is not relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeStampRefused {
    /// The bytes are no response.
    #[error(transparent)]
    Response(#[from] TimeStampResponseError),
    /// The authority made no token.
    #[error("the time-stamping authority refused, with status {status}{}", because(*.failure))]
    Rejected {
        /// The PKIStatus.
        status: u8,
        /// Its reason.
        failure: Option<FailureInfo>,
    },
    /// The bytes are no token.
    #[error(transparent)]
    Unreadable(#[from] TokenError),
    /// The digest given is by another hash.
    #[error("the time-stamp is of a {stamped} digest, not of a {given} digest")]
    Hash {
        /// The token's.
        stamped: HashAlgorithm,
        /// The one given.
        given: HashAlgorithm,
    },
    /// The token is of something else.
    #[error("the time-stamp is of something else: the digests differ")]
    Imprint,
    /// Without the nonce that was asked with.
    #[error("the time-stamp does not repeat the request's nonce")]
    Nonce,
    /// Made under another policy.
    #[error("the time-stamp is made under policy {policy}, not under {wanted}")]
    Policy {
        /// The token's.
        policy: PolicyOid,
        /// The one that it must be.
        wanted: PolicyOid,
    },
    /// The signer did not sign which certificate is its own.
    #[error(
        "the time-stamp does not name its authority's certificate (signingCertificateV2, RFC 5816, 2.2.1)"
    )]
    Unbound,
    /// The signature does not verify, or nobody trusts the signer.
    #[error("the time-stamp is not signed by a trusted authority: {0}")]
    Signature(#[source] CmsRefused),
    /// The signer's certificate is not one of a time-stamping authority.
    #[error(transparent)]
    NotAnAuthority(#[from] NotAnAuthority),
    /// The token names another authority than the one that signed.
    #[error("the time-stamp names another authority than the one that signed it")]
    Name,
}

/// Writes the reason of a refusal.
fn because(failure: Option<FailureInfo>) -> String {
    failure.map_or_else(String::new, |failure| format!(": {failure}"))
}

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct VerifiedTimeStamp {
    /// When what was stamped was known.
    pub gen_time: Timestamp,
    /// How exact that is.
    pub accuracy: Option<Accuracy>,
    /// Whether any two tokens of the authority are in the order of their times.
    pub ordering: bool,
    /// The number that the authority gave it.
    pub serial: TokenSerial,
    /// Under which policy.
    pub policy: PolicyOid,
    /// By which hash it was stamped.
    pub hash: HashAlgorithm,
    /// The authority's certificate, and those above up to a root.
    pub chain: Chain,
}

/// Reads a response and verifies its token.
///
/// Bytes are hostile: never panics, reads at most sixteen certificates.
///
/// # Errors
///
/// Why nothing was learnt from it.
pub fn verify_response(
    response_der: &[u8],
    question: &TokenQuestion<'_>,
) -> Result<VerifiedTimeStamp, TimeStampRefused> {
    match TimeStampResponse::parse(response_der)? {
        TimeStampResponse::Granted(token_der) => verify_token(token_der, question),
        TimeStampResponse::Rejected { status, failure } => {
            Err(TimeStampRefused::Rejected { status, failure })
        }
    }
}

/// Reads a token and verifies it; its authority's chain at the time it says.
///
/// Bytes are hostile: never panics, reads at most sixteen certificates. Whether the
/// authority's certificate was revoked is not looked at: [`VerifiedTimeStamp::chain`]
/// tells whom to ask about.
///
/// # Errors
///
/// Why nothing was learnt from it.
pub fn verify_token(
    token_der: &[u8],
    question: &TokenQuestion<'_>,
) -> Result<VerifiedTimeStamp, TimeStampRefused> {
    let token = TokenRead::parse(token_der)?;
    token.check_imprint(&question.stamped)?;
    let info = token.info();
    if question
        .nonce
        .is_some_and(|asked| info.nonce.map(magnitude) != Some(magnitude(asked)))
    {
        return Err(TimeStampRefused::Nonce);
    }
    if let Some(wanted) = question.policy.filter(|wanted| *wanted != info.policy) {
        let policy = info.policy;
        return Err(TimeStampRefused::Policy { policy, wanted });
    }
    let signed = token.signed_data();
    // RFC 3161, 2.4.2; RFC 5816, 2.2.1: the certificate's identifier MUST be signed.
    if signed.attributes().signing_certificate.is_none() {
        return Err(TimeStampRefused::Unbound);
    }
    let digest = algorithm::digest_of(signed.digest_algorithm(), token.tst_info_der());
    signed
        .verify_digest(&digest)
        .map_err(TimeStampRefused::Signature)?;
    let verified = signed
        .verify_signer(&PathQuestion {
            intermediates: question.intermediates,
            roots: question.roots,
            at: info.gen_time,
            purpose: Some(ExtendedKeyUsage::TIME_STAMPING),
        })
        .map_err(TimeStampRefused::Signature)?;
    if let Some(authority) = verified.chain.certificates().first() {
        check_purpose(authority)?;
        if info
            .name_der
            .is_some_and(|name| name != authority.subject_der())
        {
            return Err(TimeStampRefused::Name);
        }
    }
    Ok(VerifiedTimeStamp {
        gen_time: info.gen_time,
        accuracy: info.accuracy,
        ordering: info.ordering,
        serial: info.serial.clone(),
        policy: info.policy,
        hash: info.digest.algorithm(),
        chain: verified.chain,
    })
}

/// Returns a number's octets without leading zeros.
fn magnitude(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or(&[])
}
