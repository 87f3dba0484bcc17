//! Answers that are not ready: signed once for all who wait, elsewhere than on
//! their threads.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hsm_keystore::Priority;
use jiff::SignedDuration;
use model::{SerialNumber, Timestamp};
use pki::ocsp::{
    Answer, CertId, CertStatus, ErrorStatus, OcspRequest, ResponsePlan, SignedResponse,
};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{debug, error, warn};

use super::answer::said;
use super::index::{Held, Slot};
use super::metrics::{Purpose, Said, Source};
use super::query::Begun;
use super::signing::{Errand, NotSigned, Signing};
use super::standing::Standing;
use super::{IssuerAnswers, Keep, OcspAnswer, Responder};
use crate::config::NeverIssued;

/// What a query wants signed.
#[derive(Debug)]
pub(super) enum Wanted {
    /// An answer that is kept ready from then on.
    Answer {
        /// Place of the issuer.
        issuer: usize,
        /// The certificate's number.
        serial: SerialNumber,
        /// The hash that is asked by.
        slot: Slot,
        /// The version of its entry.
        version: u32,
    },
    /// An answer to this request alone.
    Fresh {
        /// Place of the issuer that signs.
        issuer: usize,
        /// The request.
        request_der: Box<[u8]>,
        /// Whether its nonce is answered.
        with_nonce: bool,
    },
}

/// Answers that are being signed, each for all who ask for it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Flight, watch::Receiver<Option<OcspAnswer>>>>);

/// Which answer: a change of status makes it another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    /// Place of the issuer.
    pub(super) issuer: usize,
    /// The certificate's number.
    pub(super) serial: SerialNumber,
    /// The hash that is asked by.
    pub(super) slot: Slot,
    /// The version of its entry.
    pub(super) version: u32,
}

impl Flights {
    /// Locks the map, which every step leaves whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Flight, watch::Receiver<Option<OcspAnswer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight, however its task ends.
struct Landing {
    /// Whose flight.
    responder: Arc<Responder>,
    /// Which.
    flight: Flight,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.responder.flights.lock().remove(&self.flight);
    }
}

/// An answer that is being signed.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// Who answers, and counts it.
    responder: Arc<Responder>,
    /// How far it is.
    state: State,
}

/// How far an answer is.
#[derive(Debug)]
enum State {
    /// Others may wait for it as well; it is signed elsewhere.
    Shared(watch::Receiver<Option<OcspAnswer>>),
    /// It is for one query alone, which has it signed by waiting for it. Nothing
    /// is lost if the client goes away.
    Alone {
        /// Place of the issuer.
        issuer: usize,
        /// The request.
        request_der: Box<[u8]>,
        /// Whether its nonce is answered.
        with_nonce: bool,
        /// Its turn among those who can ask without end.
        _turn: OwnedSemaphorePermit,
        /// Counts it.
        _counted: InFlight,
    },
}

impl Awaited {
    /// Waits for it; the token's deadline bounds the wait.
    pub(crate) async fn wait(self) -> OcspAnswer {
        let Self { responder, state } = self;
        let answer = match state {
            State::Shared(mut receiver) => match receiver.wait_for(Option::is_some).await {
                Ok(answer) => answer.clone(),
                // Its task ended by a fault of ours.
                Err(_) => None,
            }
            .unwrap_or_else(|| OcspAnswer::error(ErrorStatus::InternalError)),
            State::Alone {
                issuer,
                request_der,
                with_nonce,
                ..
            } => {
                responder
                    .answer_fresh(issuer, &request_der, with_nonce)
                    .await
            }
        };
        let source = if answer.said.is_signed() {
            Source::Signed
        } else {
            Source::Unsigned
        };
        responder.metrics.answered(answer.said, source);
        answer
    }
}

impl Responder {
    /// Has an answer signed, or joins those who wait for the same.
    pub(super) fn want(self: &Arc<Self>, wanted: Wanted) -> Begun {
        match wanted {
            Wanted::Answer {
                issuer,
                serial,
                slot,
                version,
            } => {
                let flight = Flight {
                    issuer,
                    serial,
                    slot,
                    version,
                };
                let errand = self.errand(Purpose::Query, Priority::Revocation);
                match self.fly(flight, errand, true) {
                    Some(receiver) => Begun::Awaited(Awaited {
                        responder: Arc::clone(self),
                        state: State::Shared(receiver),
                    }),
                    None => self.later(),
                }
            }
            Wanted::Fresh {
                issuer,
                request_der,
                with_nonce,
            } => {
                let turn = Arc::clone(&self.repeatable).try_acquire_owned();
                let permit = Arc::clone(&self.permits).try_acquire_owned();
                match (turn, permit) {
                    (Ok(turn), Ok(permit)) => Begun::Awaited(Awaited {
                        responder: Arc::clone(self),
                        state: State::Alone {
                            issuer,
                            request_der,
                            with_nonce,
                            _turn: turn,
                            _counted: InFlight::count(self, Some(permit)),
                        },
                    }),
                    _ => match self.instead(issuer, &request_der) {
                        Some(answer) => {
                            self.metrics.answered(answer.said, Source::Ready);
                            Begun::Answered(answer)
                        }
                        None => self.later(),
                    },
                }
            }
        }
    }

    /// Answers that as many signatures are under way as may.
    fn later(&self) -> Begun {
        let answer = OcspAnswer::error(ErrorStatus::TryLater);
        self.metrics.answered(answer.said, Source::Unsigned);
        Begun::Answered(answer)
    }

    /// Says how a signature is asked for.
    pub(super) fn errand(&self, purpose: Purpose, priority: Priority) -> Errand {
        Errand {
            purpose,
            priority,
            timeout: self.config.sign_timeout,
        }
    }

    /// Has one answer signed that is kept from then on; a second one who wants it
    /// waits for the first's. None if too many are under way.
    pub(super) fn fly(
        self: &Arc<Self>,
        flight: Flight,
        errand: Errand,
        is_bounded: bool,
    ) -> Option<watch::Receiver<Option<OcspAnswer>>> {
        let mut flights = self.flights.lock();
        if let Some(receiver) = flights.get(&flight) {
            return Some(receiver.clone());
        }
        let permit = if is_bounded {
            Some(Arc::clone(&self.permits).try_acquire_owned().ok()?)
        } else {
            None
        };
        let (sender, receiver) = watch::channel(None);
        flights.insert(flight.clone(), receiver.clone());
        let responder = Arc::clone(self);
        self.runtime.spawn(async move {
            let _counted = InFlight::count(&responder, permit);
            let landing = Landing { responder, flight };
            let answer = landing.responder.answer_one(&landing.flight, errand).await;
            // Who asks from now on finds it ready.
            drop(landing);
            sender.send_replace(Some(answer));
        });
        Some(receiver)
    }

    /// Signs the answer of a flight, and keeps it.
    async fn answer_one(&self, flight: &Flight, errand: Errand) -> OcspAnswer {
        let Some(issuer) = self.issuers.get(flight.issuer) else {
            return OcspAnswer::error(ErrorStatus::InternalError);
        };
        let now = self.now();
        let standing = match self.standing(issuer, &flight.serial, now).await {
            Ok(standing) => standing,
            Err(failure) => return store_failed(&flight.serial, &failure),
        };
        let mut errand = errand;
        let _turn = match standing {
            Standing::Gone => return OcspAnswer::error(ErrorStatus::Unauthorized),
            Standing::Current { .. } => None,
            Standing::Archived { .. } | Standing::NeverIssued => {
                // Anyone can ask for these without end: they go last.
                errand.priority = Priority::Bulk;
                match Arc::clone(&self.repeatable).try_acquire_owned() {
                    Ok(turn) => Some(turn),
                    Err(_) => return OcspAnswer::error(ErrorStatus::TryLater),
                }
            }
        };
        let cert_id_der = issuer
            .hashes
            .cert_id_der(flight.slot.hash(), &flight.serial);
        let signed = async {
            let signing = self.signing_now(issuer, now)?;
            let Ok(cert_id) = CertId::from_der(&cert_id_der) else {
                return Ok(None);
            };
            let answer = self.plan(cert_id, standing, &signing, now);
            let (response, _) = self.sign(&signing, &[answer], None, errand, now).await?;
            Ok::<_, NotSigned>(Some((signing, answer, response)))
        };
        let (signing, answer, response) = match signed.await {
            Ok(Some(signed)) => signed,
            Ok(None) => return OcspAnswer::error(ErrorStatus::InternalError),
            Err(failure) => return not_signed(&failure),
        };
        if let Standing::Current {
            version: Some(version),
            ..
        } = standing
            && let Some(ready) = response.compact(&signing.signatory.responder, &issuer.hashes)
        {
            let held = Held::Own {
                answer: ready,
                signatory: signing.signatory.id,
            };
            if issuer
                .index
                .fill(&flight.serial, version, flight.slot, held)
            {
                self.expires(answer.next_update);
            }
        }
        OcspAnswer::signed(
            response.to_der(&signing.signatory.responder),
            said(answer.status),
            Some(Keep {
                since: answer.this_update,
                until: answer.next_update,
            }),
        )
    }

    /// Signs an answer to one request alone.
    async fn answer_fresh(&self, place: usize, request_der: &[u8], with_nonce: bool) -> OcspAnswer {
        let Ok(request) = OcspRequest::parse(request_der, &self.config.limits) else {
            return OcspAnswer::error(ErrorStatus::MalformedRequest);
        };
        let Some(issuer) = self.issuers.get(place) else {
            return OcspAnswer::error(ErrorStatus::InternalError);
        };
        let now = self.now();
        let mut standings = Vec::with_capacity(request.len());
        for id in request.cert_ids() {
            let serial = id.serial().filter(|_| issuer.hashes.matches(&id));
            let standing = match serial {
                // RFC 6960, 2.2: unknown, most often for an issuer that is not
                // served here; and a number that is no serial number was never
                // issued.
                None => Standing::NeverIssued,
                Some(serial) => match self.standing(issuer, &serial, now).await {
                    Ok(standing) => standing,
                    Err(failure) => return store_failed(&serial, &failure),
                },
            };
            standings.push((id, standing));
        }
        if let [(_, Standing::Gone)] = standings.as_slice() {
            return OcspAnswer::error(ErrorStatus::Unauthorized);
        }
        let signed = async {
            let signing = self.signing_now(issuer, now)?;
            let answers: Vec<_> = standings
                .iter()
                .map(|(id, standing)| {
                    let mut answer = self.plan(*id, *standing, &signing, now);
                    if !issuer.hashes.matches(id) {
                        answer.status = CertStatus::Unknown;
                    }
                    answer
                })
                .collect();
            let errand = self.errand(Purpose::Query, Priority::Bulk);
            let nonce = request.nonce().filter(|_| with_nonce);
            let (response, _) = self.sign(&signing, &answers, nonce, errand, now).await?;
            Ok::<_, NotSigned>((signing, answers, response))
        };
        let (signing, answers, response) = match signed.await {
            Ok(signed) => signed,
            Err(failure) => {
                let instead = self.instead(place, request_der);
                return instead.unwrap_or_else(|| not_signed(&failure));
            }
        };
        let said = match answers.as_slice() {
            [answer] => said(answer.status),
            _ => Said::Several,
        };
        let until = answers.iter().map(|answer| answer.next_update).min();
        let keep = until
            .filter(|_| !with_nonce)
            .map(|until| Keep { since: now, until });
        OcspAnswer::signed(response.to_der(&signing.signatory.responder), said, keep)
    }

    /// Finds what is ready about the one certificate of a request.
    fn instead(&self, issuer: usize, request_der: &[u8]) -> Option<OcspAnswer> {
        let issuer = self.issuers.get(issuer)?;
        let request = OcspRequest::parse(request_der, &self.config.limits).ok()?;
        if request.len() > 1 {
            return None;
        }
        self.ready_for(issuer, &request.first())
    }

    /// Returns who signs now.
    pub(super) fn signing_now(
        &self,
        issuer: &IssuerAnswers,
        now: Timestamp,
    ) -> Result<Arc<Signing>, NotSigned> {
        issuer.signing(now).ok_or_else(|| NotSigned::NoCertificate {
            issuer: issuer.id.clone(),
        })
    }

    /// Plans what is said about one certificate.
    pub(super) fn plan<'a>(
        &self,
        cert_id: CertId<'a>,
        standing: Standing,
        signing: &Signing,
        now: Timestamp,
    ) -> Answer<'a> {
        let config = &self.config;
        let (status, validity, archive_cutoff) = match standing {
            Standing::Current { status, .. } => (status, config.validity, None),
            Standing::Archived { status } => {
                // RFC 6960, 4.4.4: producedAt less the time looked back.
                (status, config.validity, before(now, config.archive))
            }
            Standing::NeverIssued | Standing::Gone => {
                let status = match config.never_issued {
                    NeverIssued::Revoked if standing == Standing::NeverIssued => {
                        CertStatus::not_issued()
                    }
                    NeverIssued::Revoked | NeverIssued::Unknown => CertStatus::Unknown,
                };
                (status, config.never_issued_validity, None)
            }
        };
        // No answer outlives the certificate that it is verified with.
        let next_update = now
            .checked_add(validity)
            .unwrap_or(Timestamp::MAX)
            .min(signing.signatory.not_after());
        Answer {
            cert_id,
            status,
            this_update: now,
            next_update,
            archive_cutoff,
        }
    }

    /// Signs answers, and learns how fast the token is.
    pub(super) async fn sign(
        &self,
        signing: &Signing,
        answers: &[Answer<'_>],
        nonce: Option<&[u8]>,
        errand: Errand,
        now: Timestamp,
    ) -> Result<(SignedResponse, Duration), NotSigned> {
        let not_issued = CertStatus::not_issued();
        let plan = ResponsePlan {
            produced_at: now,
            answers,
            nonce,
            // RFC 6960, 4.4.8: wherever one is revoked that was never issued.
            extended_revoke: answers.iter().any(|answer| answer.status == not_issued),
        };
        signing.sign(&plan, errand, &self.metrics).await
    }

    /// Takes note of a ready answer that expires then.
    pub(super) fn expires(&self, at: Timestamp) {
        self.horizon.fetch_min(at.as_second(), Ordering::Relaxed);
        self.unsaved.store(true, Ordering::Relaxed);
    }
}

/// Counts a signature for a query while it is under way.
#[derive(Debug)]
struct InFlight {
    /// Whose.
    responder: Arc<Responder>,
    /// Its permit; none for one that needs none.
    _permit: Option<OwnedSemaphorePermit>,
}

impl InFlight {
    /// Counts one in.
    fn count(responder: &Arc<Responder>, permit: Option<OwnedSemaphorePermit>) -> Self {
        responder.metrics.in_flight.inc();
        Self {
            responder: Arc::clone(responder),
            _permit: permit,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.responder.metrics.in_flight.dec();
    }
}

/// Goes back in time.
fn before(moment: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    moment.checked_sub(by).ok()
}

/// Answers for a store that does not tell.
fn store_failed(serial: &SerialNumber, failure: &store::Error) -> OcspAnswer {
    warn!(
        cert.serial = %serial,
        "could not look up serial {serial} for an OCSP answer: {failure}"
    );
    OcspAnswer::error(if failure.is_transient() {
        ErrorStatus::TryLater
    } else {
        ErrorStatus::InternalError
    })
}

/// Answers for a signature that was not made.
fn not_signed(failure: &NotSigned) -> OcspAnswer {
    let why = crate::refusal::chain(failure);
    if failure.is_transient() {
        // The keystore tells what is wrong with it, and once.
        debug!("answered tryLater: {why}");
        return OcspAnswer::error(ErrorStatus::TryLater);
    }
    error!("could not sign an OCSP response: {why}");
    OcspAnswer::error(ErrorStatus::InternalError)
}
