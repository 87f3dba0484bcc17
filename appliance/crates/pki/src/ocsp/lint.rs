//! What is about to be signed as a response, read again and judged.

use jiff::Timestamp;
use model::RevocationReason;

use super::read::{AnswerRead, Data, OcspResponseError, ResponderId};
use super::request::MAX_NONCE;
use super::{CertStatus, PlannedResponse, Responder, SignedResponse};
use crate::algorithm::SignatureAlgorithm;
use crate::lint::{AssembleError, check_form, define_lints, encoding, is_strong};
use crate::public_key::KeyType;
use crate::tlv::Malformed;

define_lints! {
    /// A rule for OCSP responses.
    OcspLint;
    /// The responder is named by its key.
    ResponderId = "ocsp-responder-id", "RFC 6960, 4.2.2.3; RFC 9919";
    /// The signature's hash is not broken.
    WeakHash = "ocsp-weak-hash", "RFC 6194; CA/B Forum TLS requirements, 7.1.3.2";
    /// It is signed by now, while the responder's certificate is valid.
    ProducedAt = "ocsp-produced-at", "RFC 6960, 2.4 and 4.2.2.2";
    /// There is an answer at all.
    Answered = "ocsp-answered", "RFC 6960, 4.2.1";
    /// No certificate is answered twice.
    AnswerRepeated = "ocsp-answer-repeated", "RFC 6960, 4.2.1";
    /// The issuer is named by a hash that is known.
    CertId = "ocsp-cert-id", "RFC 6960, 4.1.1; RFC 9919";
    /// nextUpdate is there.
    NextUpdate = "ocsp-next-update", "RFC 9919";
    /// Known by the time it is signed, and new once more in the future, while the
    /// responder's certificate is still valid.
    TimeOrder = "ocsp-time-order", "RFC 6960, 4.2.2.1";
    /// Nothing was revoked later than it is signed.
    RevokedAt = "ocsp-revoked-at", "RFC 6960, 4.2.1";
    /// The reason unspecified is left out, and none is removeFromCRL.
    Reason = "ocsp-reason", "RFC 5280, 5.3.1";
    /// An archive cutoff is not after the signature.
    ArchiveCutoff = "ocsp-archive-cutoff", "RFC 6960, 4.4.4";
    /// The nonce has 1 to 128 octets.
    Nonce = "ocsp-nonce", "RFC 9654, 2.1";
    /// A certificate that was never issued is revoked only where the response says that
    /// its responder does so.
    ExtendedRevoke = "ocsp-extended-revoke", "RFC 6960, 2.2 and 4.4.8";
    /// Only extensions that are known here, none critical.
    Extensions = "ocsp-extensions", "RFC 6960, 4.4";
}

/// Why a response is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspLintFindings {
    /// The bytes are no DER.
    #[error("the OCSP response to be signed is not DER: {0}")]
    Encoding(#[from] Malformed),
    /// The bytes are no ResponseData.
    #[error("the OCSP response to be signed cannot be read back: {0}")]
    Unreadable(#[from] OcspResponseError),
    /// Rules that are broken.
    #[error("the OCSP response to be signed breaks {}", sentence(.0))]
    Broken(Vec<OcspLint>),
}

impl OcspLintFindings {
    /// Returns the rules that are broken, if the bytes could be read at all.
    #[must_use]
    pub fn findings(&self) -> &[OcspLint] {
        match self {
            Self::Broken(findings) => findings,
            Self::Encoding(_) | Self::Unreadable(_) => &[],
        }
    }
}

/// Joins findings.
fn sentence(findings: &[OcspLint]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Judges a planned response.
///
/// # Errors
///
/// Every rule it breaks; it can then not be signed.
pub fn lint(
    planned: PlannedResponse,
    responder: &Responder,
    now: Timestamp,
) -> Result<LintedResponse, OcspLintFindings> {
    encoding::check(&planned.data_der)?;
    let data = Data::parse(&planned.data_der)?;
    let findings = check(&data, responder, now);
    if !findings.is_empty() {
        return Err(OcspLintFindings::Broken(findings));
    }
    let next_update = data
        .answers()
        .filter_map(|answer| answer.next_update)
        .min()
        .unwrap_or(data.produced_at);
    Ok(LintedResponse {
        produced_at: data.produced_at,
        next_update,
        signature_algorithm: responder.signature_algorithm(),
        key_type: responder.public_key().key_type(),
        data_der: planned.data_der,
    })
}

/// Holds a response to every rule and returns those it breaks, each once.
fn check(data: &Data<'_>, responder: &Responder, now: Timestamp) -> Vec<OcspLint> {
    let mut findings = Vec::new();
    let mut expect = |holds: bool, lint: OcspLint| {
        if !holds && !findings.contains(&lint) {
            findings.push(lint);
        }
    };
    let key_hash = responder.key_hash();
    expect(
        data.responder_id == ResponderId::KeyHash(&key_hash),
        OcspLint::ResponderId,
    );
    expect(
        is_strong(responder.signature_algorithm()),
        OcspLint::WeakHash,
    );
    let produced_at = data.produced_at;
    let last = responder.validity().map(|(_, last)| last);
    let valid = responder
        .validity()
        .is_none_or(|(first, last)| first <= produced_at && produced_at <= last);
    expect(valid && produced_at <= now, OcspLint::ProducedAt);
    expect(data.count > 0, OcspLint::Answered);
    let nonce = data.nonce.map_or(1, <[u8]>::len);
    expect((1..=MAX_NONCE).contains(&nonce), OcspLint::Nonce);
    expect(!data.odd_extensions, OcspLint::Extensions);
    let not_issued = CertStatus::not_issued();
    let never = data.answers().any(|answer| answer.status == not_issued);
    expect(!never || data.extended_revoke, OcspLint::ExtendedRevoke);
    for (place, answer) in data.answers().enumerate() {
        let repeated = data
            .answers()
            .take(place)
            .any(|earlier| earlier.cert_id == answer.cert_id);
        expect(!repeated, OcspLint::AnswerRepeated);
        check_answer(&answer, produced_at, now, last, &mut expect);
    }
    findings
}

/// Rules about one answer.
fn check_answer(
    answer: &AnswerRead<'_>,
    produced_at: Timestamp,
    now: Timestamp,
    last: Option<Timestamp>,
    expect: &mut impl FnMut(bool, OcspLint),
) {
    expect(answer.cert_id.hash().is_some(), OcspLint::CertId);
    expect(answer.next_update.is_some(), OcspLint::NextUpdate);
    let ordered = answer.next_update.is_none_or(|next| {
        answer.this_update <= produced_at && now < next && last.is_none_or(|last| next <= last)
    });
    expect(ordered, OcspLint::TimeOrder);
    if let CertStatus::Revoked { at, .. } = answer.status {
        expect(at <= produced_at, OcspLint::RevokedAt);
    }
    let told = !matches!(
        answer.written_reason,
        Some(RevocationReason::Unspecified | RevocationReason::RemoveFromCrl)
    );
    expect(told, OcspLint::Reason);
    let past = answer
        .archive_cutoff
        .is_none_or(|cutoff| cutoff <= produced_at);
    expect(past, OcspLint::ArchiveCutoff);
    expect(!answer.odd_extensions, OcspLint::Extensions);
}

/// A ResponseData that passed every lint: may be signed, once.
///
/// There is no other way to make one, and it cannot be copied.
#[derive(Debug)]
pub struct LintedResponse {
    /// The bytes to be signed.
    data_der: Vec<u8>,
    /// When they say they are signed.
    produced_at: Timestamp,
    /// When the first of the answers runs out.
    next_update: Timestamp,
    /// How they will be signed.
    signature_algorithm: SignatureAlgorithm,
    /// The kind of key that signs.
    key_type: KeyType,
}

impl LintedResponse {
    /// Returns the bytes to be signed: a ResponseData, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.data_der
    }

    /// Returns how they are to be signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Joins the bytes and their signature.
    ///
    /// The signature's form is checked, not its arithmetic: a `PrivateKey` of the
    /// keystore verifies what it returns.
    ///
    /// # Errors
    ///
    /// `Form`.
    pub fn assemble(self, signature: &[u8]) -> Result<SignedResponse, AssembleError> {
        check_form(self.signature_algorithm, self.key_type, signature)?;
        Ok(SignedResponse {
            data_der: self.data_der.into(),
            signature: signature.into(),
            produced_at: self.produced_at,
            next_update: self.next_update,
        })
    }
}
