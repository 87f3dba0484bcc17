//! What is about to be signed as a token, read again and judged.

use model::Timestamp;

use super::plan::PlannedToken;
use super::{TimeStampAuthority, TimeStampRequest, TimeStampToken, TstInfo, TstInfoError};
use crate::algorithm::{self, SignatureAlgorithm};
use crate::cms::{self, CmsLintFindings};
use crate::encode::cms as encode;
use crate::lint::{AssembleError, check_form, define_lints, encoding};
use crate::oid;
use crate::time;
use crate::tlv::Malformed;

define_lints! {
    /// A rule for time-stamps.
    TokenLint;
    /// The policy is the authority's, and what the request wishes for.
    Policy = "tst-policy", "RFC 3161, 2.4.2";
    /// The digest is the request's, octet for octet.
    Imprint = "tst-imprint", "RFC 3161, 2.4.2";
    /// The nonce is the request's.
    Nonce = "tst-nonce", "RFC 3161, 2.4.2";
    /// The time has come, while the authority's certificate is valid.
    GenTime = "tst-gen-time", "RFC 3161, 2.1 and 2.3";
    /// The time is as fine as the authority writes it.
    Precision = "tst-precision", "RFC 3161, 2.4.2";
    /// The accuracy is the authority's.
    Accuracy = "tst-accuracy", "RFC 3161, 2.4.2";
    /// Ordering is promised only where the authority keeps it.
    Ordering = "tst-ordering", "RFC 3161, 2.4.2";
    /// The name is a subject of the certificate, or there is none.
    Name = "tst-name", "RFC 3161, 2.4.2";
    /// No extensions.
    Extensions = "tst-extensions", "RFC 3161, 2.4.2";
    /// signingTime does not repeat genTime.
    SigningTime = "tst-signing-time", "RFC 5652, 11.3";
}

/// Why a token is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenLintFindings {
    /// The bytes are no DER.
    #[error("the time-stamp to be signed is not DER: {0}")]
    Encoding(#[from] Malformed),
    /// The bytes are no TSTInfo.
    #[error("the time-stamp to be signed cannot be read back: {0}")]
    Unreadable(#[from] TstInfoError),
    /// The attributes may not be signed.
    #[error(transparent)]
    Attributes(#[from] CmsLintFindings),
    /// Rules that are broken.
    #[error("the time-stamp to be signed breaks {}", sentence(.0))]
    Broken(Vec<TokenLint>),
}

impl TokenLintFindings {
    /// Returns the rules for time-stamps that are broken, if the bytes could be read.
    #[must_use]
    pub fn findings(&self) -> &[TokenLint] {
        match self {
            Self::Broken(findings) => findings,
            Self::Encoding(_) | Self::Unreadable(_) | Self::Attributes(_) => &[],
        }
    }
}

/// Joins findings.
fn sentence(findings: &[TokenLint]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Judges a planned token against its request.
///
/// # Errors
///
/// Every rule it breaks; it can then not be signed.
pub fn lint(
    planned: PlannedToken,
    request: &TimeStampRequest<'_>,
    authority: &TimeStampAuthority,
    now: Timestamp,
) -> Result<LintedToken, TokenLintFindings> {
    encoding::check(&planned.info_der)?;
    let info = TstInfo::parse(&planned.info_der)?;
    let findings = check(&info, request, authority, now);
    if !findings.is_empty() {
        return Err(TokenLintFindings::Broken(findings));
    }
    let gen_time = info.gen_time;
    let digest = algorithm::digest_of(authority.hash(), &planned.info_der);
    let signer = authority.signer();
    let attributes =
        cms::check_attributes(&planned.attributes_der, oid::TST_INFO, &digest, signer)?;
    if attributes.signing_time.is_some() {
        return Err(TokenLintFindings::Broken(vec![TokenLint::SigningTime]));
    }
    Ok(LintedToken {
        authority: authority.clone(),
        with_certificate: request.wants_certificate(),
        gen_time,
        info_der: planned.info_der,
        attributes_der: planned.attributes_der,
    })
}

/// Holds a TSTInfo to every rule and returns those it breaks.
fn check(
    info: &TstInfo<'_>,
    request: &TimeStampRequest<'_>,
    authority: &TimeStampAuthority,
    now: Timestamp,
) -> Vec<TokenLint> {
    let settings = authority.settings();
    let certificate = authority.certificate();
    let at = info.gen_time;
    let written = time::fractional_digits(at, settings.precision.digits());
    let policy = info.policy == settings.policy
        && request.policy().is_none_or(|wished| wished == info.policy);
    let timely = at <= now && certificate.not_before() <= at && at <= certificate.not_after();
    let named = info
        .name_der
        .is_none_or(|name| name == certificate.subject_der());
    let rules = [
        (policy, TokenLint::Policy),
        (
            info.imprint_der == request.imprint_der(),
            TokenLint::Imprint,
        ),
        (info.nonce == request.nonce(), TokenLint::Nonce),
        (timely, TokenLint::GenTime),
        (info.gen_time_text == written, TokenLint::Precision),
        (info.accuracy == settings.accuracy, TokenLint::Accuracy),
        (info.ordering == settings.ordering, TokenLint::Ordering),
        (
            named && info.name_der.is_some() == settings.named,
            TokenLint::Name,
        ),
        (!info.others, TokenLint::Extensions),
    ];
    rules
        .into_iter()
        .filter_map(|(holds, lint)| (!holds).then_some(lint))
        .collect()
}

/// A TSTInfo and attributes that passed every lint: may be signed, once.
///
/// There is no other way to make one, and it cannot be copied.
#[derive(Debug)]
pub struct LintedToken {
    /// The TSTInfo.
    info_der: Vec<u8>,
    /// The bytes to be signed.
    attributes_der: Vec<u8>,
    /// When.
    gen_time: Timestamp,
    /// Who signs.
    authority: TimeStampAuthority,
    /// Whether the certificate goes along.
    with_certificate: bool,
}

impl LintedToken {
    /// Returns the TSTInfo, DER.
    #[must_use]
    pub fn tst_info_der(&self) -> &[u8] {
        &self.info_der
    }

    /// Returns the bytes to be signed: a SET OF Attribute, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.attributes_der
    }

    /// Returns how they are to be signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.authority.signature_algorithm()
    }

    /// Returns the time that is stamped.
    #[must_use]
    pub fn gen_time(&self) -> Timestamp {
        self.gen_time
    }

    /// Joins the bytes and their signature to a token.
    ///
    /// The signature's form is checked, not its arithmetic: a `PrivateKey` of the
    /// keystore verifies what it returns.
    ///
    /// # Errors
    ///
    /// `Form`.
    pub fn assemble(self, signature: &[u8]) -> Result<TimeStampToken, AssembleError> {
        let algorithm = self.signature_algorithm();
        let key_type = self.authority.certificate().public_key().key_type();
        check_form(algorithm, key_type, signature)?;
        let signer = self.authority.signer();
        let signed = encode::SignedData {
            content_type: oid::TST_INFO,
            content: Some(&self.info_der),
            // RFC 3161, 2.4.1: without certReq there MUST be no certificates.
            certificates: match self.with_certificate {
                true => signer.certificates_der(),
                false => &[],
            },
            issuer_and_serial: signer.issuer_and_serial_der(),
            hash: self.authority.hash(),
            signed_attributes: &self.attributes_der,
            algorithm,
            signature,
        };
        Ok(TimeStampToken::new(signed.to_der()))
    }
}
