//! One query, from its bytes to the answer's.

use std::sync::Arc;

use pki::ocsp::{CertId, CertStatus, ErrorStatus, OcspRequest};

use super::answer::said;
use super::index::{Entry, Held, Slot};
use super::metrics::{Said, Source};
use super::miss::{Awaited, Wanted};
use super::{IssuerAnswers, Keep, OcspAnswer, Responder, pace};
use crate::config::NonceRule;

/// How far a query came without waiting.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is answered.
    Answered(OcspAnswer),
    /// Its answer is being signed.
    Awaited(Awaited),
}

impl Responder {
    /// Answers a query.
    ///
    /// The answer is always an OCSPResponse, also to bytes that are no request.
    pub async fn query(self: &Arc<Self>, request_der: &[u8]) -> OcspAnswer {
        match self.begin(request_der) {
            Begun::Answered(answer) => answer,
            Begun::Awaited(awaited) => awaited.wait().await,
        }
    }

    /// Answers a query if that needs no signature, else has one made.
    ///
    /// Bytes are hostile. Never waits; allocates the answer's bytes alone where
    /// it is ready.
    pub(crate) fn begin(self: &Arc<Self>, request_der: &[u8]) -> Begun {
        let (answer, source) = match self.look(request_der) {
            Looked::Ready(answer, source) => (answer, source),
            Looked::Refused(status) => (OcspAnswer::error(status), Source::Unsigned),
            Looked::Wanted(wanted) => return self.want(wanted),
        };
        self.metrics.answered(answer.said, source);
        Begun::Answered(answer)
    }

    /// Answers a query if that needs neither signature nor store; does nothing else.
    ///
    /// Bytes are hostile. Never waits.
    pub(crate) fn at_once(&self, request_der: &[u8]) -> Option<OcspAnswer> {
        let (answer, source) = match self.look(request_der) {
            Looked::Ready(answer, source) => (answer, source),
            Looked::Refused(status) => (OcspAnswer::error(status), Source::Unsigned),
            Looked::Wanted(_) => return None,
        };
        self.metrics.answered(answer.said, source);
        Some(answer)
    }

    /// Reads a request and looks for what is ready.
    fn look(&self, request_der: &[u8]) -> Looked {
        let Ok(request) = OcspRequest::parse(request_der, &self.config.limits) else {
            // RFC 6960, 2.3: the request does not conform to the syntax.
            return Looked::Refused(ErrorStatus::MalformedRequest);
        };
        let first = request.first();
        let Some(place) = self.place_of_issuer(&request) else {
            return match self.rare_answer(&first) {
                Some(Ok(answer)) if request.len() == 1 => Looked::Ready(answer, Source::Ready),
                Some(Err(status)) => Looked::Refused(status),
                // RFC 9919, 3.2.3: nothing authoritative can be said.
                Some(Ok(_)) | None => Looked::Refused(ErrorStatus::Unauthorized),
            };
        };
        let Some(issuer) = self.issuers.get(place) else {
            return Looked::Refused(ErrorStatus::InternalError);
        };
        let with_nonce = request.nonce().is_some() && self.answers_nonces();
        if request.len() > 1 || with_nonce {
            return Looked::Wanted(Wanted::Fresh {
                issuer: place,
                request_der: request_der.into(),
                with_nonce,
            });
        }
        let slot = first
            .hash()
            .filter(|hash| self.config.ready_hashes.contains(hash))
            .and_then(Slot::of);
        let (Some(slot), Some(serial)) = (slot, first.serial()) else {
            // By a hash that is not kept ready, or a number that is no serial.
            return Looked::Wanted(Wanted::Fresh {
                issuer: place,
                request_der: request_der.into(),
                with_nonce,
            });
        };
        let now = self.now();
        let found = issuer.index.read(&serial, |entry| {
            let held = entry.held(slot);
            if held.is_fresh(now) {
                Ok(ready(issuer, entry, held))
            } else {
                Err(entry.version())
            }
        });
        match found {
            Some(Ok(Some((answer, source)))) => Looked::Ready(answer, source),
            // Its signatory is gone: made anew.
            Some(Ok(None)) | None => Looked::Wanted(Wanted::Answer {
                issuer: place,
                serial,
                slot,
                version: 0,
            }),
            Some(Err(version)) => Looked::Wanted(Wanted::Answer {
                issuer: place,
                serial,
                slot,
                version,
            }),
        }
    }

    /// Finds what is ready for a request whose own answer could not be signed: a
    /// client that asks with a nonce takes one without (RFC 9919, 4).
    pub(super) fn ready_for(&self, issuer: &IssuerAnswers, id: &CertId<'_>) -> Option<OcspAnswer> {
        let slot = id.hash().and_then(Slot::of)?;
        let now = self.now();
        let answer = issuer.index.read(&id.serial()?, |entry| {
            let held = entry.held(slot);
            held.is_fresh(now).then(|| ready(issuer, entry, held))
        });
        answer.flatten().flatten().map(|(answer, _)| answer)
    }

    /// Finds the authority that a request asks about, by its first CertID that
    /// names one of ours.
    fn place_of_issuer(&self, request: &OcspRequest<'_>) -> Option<usize> {
        let of = |id: &CertId<'_>| {
            self.issuers
                .iter()
                .position(|issuer| issuer.hashes.matches(id))
        };
        of(&request.first()).or_else(|| request.cert_ids().find_map(|id| of(&id)))
    }

    /// Tells whether a nonce gets a signature of its own.
    fn answers_nonces(&self) -> bool {
        match self.config.nonce {
            NonceRule::Answer => true,
            NonceRule::Ignore => false,
            NonceRule::Auto => self
                .pace
                .per_second()
                .is_none_or(|per_second| per_second >= pace::FAST),
        }
    }
}

/// What looking for an answer came to.
enum Looked {
    /// It is ready.
    Ready(OcspAnswer, Source),
    /// It needs no signature.
    Refused(ErrorStatus),
    /// It has to be signed.
    Wanted(Wanted),
}

/// Puts a ready answer together; none if its signatory is no longer known.
fn ready(issuer: &IssuerAnswers, entry: &Entry, held: &Held) -> Option<(OcspAnswer, Source)> {
    let (since, until) = held.times()?;
    let keep = Some(Keep { since, until });
    match held {
        Held::Nothing => None,
        Held::Own { answer, signatory } => {
            let signatory = issuer.signatory(*signatory)?;
            let der = answer.to_der(&signatory.responder, &issuer.hashes, &entry.serial);
            let answer = OcspAnswer::signed(der, said(answer.status()), keep);
            Some((answer, Source::Ready))
        }
        Held::Batched { batch, revoked } => {
            let signatory = issuer.signatory(batch.signatory)?;
            let der = batch.response.to_der(&signatory.responder);
            let said = if *revoked {
                Said::Revoked
            } else {
                said(CertStatus::Good)
            };
            Some((OcspAnswer::signed(der, said, keep), Source::Batched))
        }
    }
}
