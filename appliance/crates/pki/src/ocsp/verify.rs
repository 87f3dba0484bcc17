//! Whether a response may be relied upon (RFC 6960, 3.2).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::SerialNumber;

use super::read::{AnswerRead, BasicResponse, OcspResponse, OcspResponseError, ResponderId};
use super::responder::check_delegation;
use super::{CertStatus, ErrorStatus, IssuerHashes, NotAResponder};
use crate::certificate::Certificate;
use crate::public_key::PublicKey;

/// Most certificates in a response that are looked at; one is needed.
const MAX_CERTIFICATES: usize = 4;

/// Why a response is not relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OcspRefused {
    /// The bytes are no response.
    #[error(transparent)]
    Unreadable(#[from] OcspResponseError),
    /// The responder gave no answer.
    #[error("the OCSP responder answered {status}")]
    Responder {
        /// Its reason.
        status: ErrorStatus,
    },
    /// Signed by neither the issuer nor anybody whose certificate is in the response.
    #[error("the OCSP response is not the issuer's, and holds no certificate of its responder")]
    NoResponder,
    /// The responder's certificate does not let it answer for the issuer.
    #[error(transparent)]
    NotAResponder(#[from] NotAResponder),
    /// The responder's certificate is not valid now.
    #[error("the OCSP responder's certificate is valid from {not_before} to {not_after}, not now")]
    ResponderNotValid {
        /// First second.
        not_before: Timestamp,
        /// Last second.
        not_after: Timestamp,
    },
    /// The responder's certificate may itself be revoked, and nothing here can tell.
    #[error("the OCSP responder's certificate has no id-pkix-ocsp-nocheck")]
    ResponderUnchecked,
    /// Not signed by the responder's key.
    #[error("the OCSP response is not signed by its responder's key")]
    Signature,
    /// Without the nonce that was asked with.
    #[error("the OCSP response does not repeat the request's nonce")]
    Nonce,
    /// Not about the certificate.
    #[error("the OCSP response says nothing about the certificate")]
    NoAnswer,
    /// Made later than now.
    #[error("the OCSP response is of {this_update}, which has not come yet; compare the clocks")]
    NotYet {
        /// When the status was known to be right.
        this_update: Timestamp,
    },
    /// Older than its responder lets it become.
    #[error("the OCSP response has run out: more was to be known at {next_update}")]
    Stale {
        /// When more was to be known.
        next_update: Timestamp,
    },
    /// Without a time from which more is known, and without a nonce.
    #[error("the OCSP response does not say how long it holds")]
    Endless,
}

/// What was asked, and what is known of whom.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The certificate's serial number.
    pub serial: &'a SerialNumber,
    /// The certificate of its issuer.
    pub issuer: &'a Certificate,
    /// The request's nonce, which the response must repeat.
    pub nonce: Option<&'a [u8]>,
    /// The current time.
    pub now: Timestamp,
    /// How far clocks may differ.
    pub skew: Duration,
}

/// What a verified response says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedAnswer {
    /// Its status.
    pub status: CertStatus,
    /// When the response was signed.
    pub produced_at: Timestamp,
    /// When the status was known to be right.
    pub this_update: Timestamp,
    /// When more will be known; none only where a nonce proves the response new.
    pub next_update: Option<Timestamp>,
}

/// Reads a response, verifies it, and finds what it says of one certificate.
///
/// Bytes are hostile: never panics, allocates for at most four certificates.
///
/// # Errors
///
/// Why nothing was learnt from it.
pub fn verify_response(
    response_der: &[u8],
    question: &Question<'_>,
) -> Result<VerifiedAnswer, OcspRefused> {
    let basic = match OcspResponse::parse(response_der)? {
        OcspResponse::Refused(status) => return Err(OcspRefused::Responder { status }),
        OcspResponse::Basic(basic) => basic,
    };
    basic.verify(question.issuer, question.now)?;
    if question.nonce.is_some() && basic.nonce() != question.nonce {
        return Err(OcspRefused::Nonce);
    }
    let issuer = IssuerHashes::of(question.issuer);
    let answer = basic
        .answers()
        .filter(|answer| issuer.matches(&answer.cert_id))
        .find(|answer| answer.cert_id.serial_octets() == question.serial.as_der_content())
        .ok_or(OcspRefused::NoAnswer)?;
    check_fresh(&answer, question)?;
    Ok(VerifiedAnswer {
        status: answer.status,
        produced_at: basic.produced_at(),
        this_update: answer.this_update,
        next_update: answer.next_update,
    })
}

/// Checks that an answer is made already, and none newer is due (4.2.2.1).
fn check_fresh(answer: &AnswerRead<'_>, question: &Question<'_>) -> Result<(), OcspRefused> {
    let (now, this_update) = (question.now, answer.this_update);
    let skew = SignedDuration::try_from(question.skew).unwrap_or(SignedDuration::MAX);
    if this_update.duration_since(now) > skew {
        return Err(OcspRefused::NotYet { this_update });
    }
    match answer.next_update {
        Some(next_update) if now.duration_since(next_update) > skew => {
            Err(OcspRefused::Stale { next_update })
        }
        // Whoever repeats our nonce has just answered.
        None if question.nonce.is_none() => Err(OcspRefused::Endless),
        Some(_) | None => Ok(()),
    }
}

impl BasicResponse<'_> {
    /// Verifies that an issuer signed the response, or somebody to whom it delegated.
    ///
    /// # Errors
    ///
    /// `NoResponder`, `NotAResponder`, `ResponderNotValid`, `ResponderUnchecked`,
    /// `Signature`: nothing was learnt from it.
    pub fn verify(&self, issuer: &Certificate, now: Timestamp) -> Result<(), OcspRefused> {
        if self.is_by(issuer) {
            return self.verify_signed_by(issuer.public_key());
        }
        let mut certificates = self.certificates.clone();
        for _ in 0..MAX_CERTIFICATES {
            let Ok(certificate) = certificates.next() else {
                break;
            };
            let Ok(responder) = Certificate::from_der(certificate.whole) else {
                continue;
            };
            if !self.is_by(&responder) {
                continue;
            }
            check_delegation(&responder, issuer)?;
            let (not_before, not_after) = (responder.not_before(), responder.not_after());
            if now < not_before || now > not_after {
                return Err(OcspRefused::ResponderNotValid {
                    not_before,
                    not_after,
                });
            }
            // 4.2.2.2.1: without it the responder's own certificate must be checked.
            if !responder.extensions().ocsp_no_check {
                return Err(OcspRefused::ResponderUnchecked);
            }
            return self.verify_signed_by(responder.public_key());
        }
        Err(OcspRefused::NoResponder)
    }

    /// Tells whether the response says to be signed by a certificate's key.
    fn is_by(&self, certificate: &Certificate) -> bool {
        match self.responder_id() {
            ResponderId::Name(name) => name == certificate.subject_der(),
            ResponderId::KeyHash(hash) => hash == certificate.public_key().sha1_key_identifier(),
        }
    }

    /// Verifies the signature with a key.
    fn verify_signed_by(&self, key: &PublicKey) -> Result<(), OcspRefused> {
        key.verify(self.signature_algorithm(), self.data_der(), self.signature)
            .map_err(|_| OcspRefused::Signature)
    }
}
