//! Revoking: one certificate, a key with all its certificates, and a file CA's list.
//!
//! 1. May the peer?
//! 2. Can it stand on a CRL, and can the clock be believed?
//! 3. It is brought to disk.
//! 4. Memory has it: handshakes, requests and OCSP answer by it.
//! 5. OCSP answers made before are replaced.
//! 6. CRLs are issued, or will be.
//! 7. It is answered.
//!
//! A crash after step 3 loses nothing: the next start loads what is on disk and
//! issues CRLs that are not up to it.

mod import;
mod key;
mod refusal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::SignedDuration;
use mesh::wire::{self, RevokeRequest, RevokeTarget};
use model::{Identity, IssuerId, RequestId, RevocationReason, SerialNumber, Timestamp};
use store::{CertificateRecord, Revocation, RevocationRecord, Revoked};
use tracing::{info, warn};

pub use refusal::RevokeRefusal;

use crate::config::OnRevocation;
use crate::crl::{Cause, CrlKind};
use crate::grants::Call;
use crate::issue::{Ca, Requester};
use crate::refusal::chain;

/// Who asks, by which request.
#[derive(Debug, Clone)]
pub struct RevokedBy {
    /// Who.
    pub requester: Requester,
    /// The request.
    pub request_id: RequestId,
}

impl RevokedBy {
    /// Returns the peer; none for the CA itself.
    fn peer(&self) -> Option<&Identity> {
        match &self.requester {
            Requester::Peer(peer) => Some(peer),
            Requester::Ca => None,
        }
    }
}

impl Ca {
    /// Revokes a certificate, puts it on hold or releases it.
    ///
    /// Must be polled to its end: memory would lack until the next start what is
    /// on disk.
    ///
    /// # Errors
    ///
    /// Why nothing was recorded; see [`RevokeRefusal`].
    pub async fn revoke(
        self: Arc<Self>,
        request: RevokeRequest,
        by: RevokedBy,
    ) -> Result<wire::RevocationRecord, RevokeRefusal> {
        let outcome = self.revoke_one(&request, &by).await;
        self.tell(&by, outcome.as_ref().err());
        outcome
    }

    /// Takes the steps.
    async fn revoke_one(
        &self,
        request: &RevokeRequest,
        by: &RevokedBy,
    ) -> Result<wire::RevocationRecord, RevokeRefusal> {
        let began = Instant::now();
        // 1: may the peer?
        self.check_call(by, Call::Revoke)?;
        let (serial, known) = self.find_target(&request.target).await?;
        self.check_owner(by, &known, request.reason)?;

        // 2: the entry and the time.
        let revocation = self.checked(&serial, request.reason, request.invalidity_date, by)?;

        // 3 and 4: disk and memory.
        let store = &self.store;
        let under_way = self.publication.revocations.begin(store.status().sequence);
        let record = store.revoke(revocation).await?;
        let revision = self.remember(&record);
        drop(under_way);
        self.certifier.metrics.revoked(request.reason.as_str());

        // 5 and 6: OCSP and CRLs.
        self.publish_change(&[(record.issuer.clone(), serial.clone())], revision)
            .await;
        info!(
            cert.serial = %serial,
            issuer = %record.issuer,
            revocation.reason = request.reason.as_str(),
            peer.identity = %by.requester.label(),
            request_id = %by.request_id,
            duration.total_ms = began.elapsed().as_secs_f64() * 1_000.0,
            "{} certificate {serial}",
            did(request.reason)
        );
        Ok(to_wire(&record, Some(&known)))
    }

    /// Lets a requester make a call its role is granted.
    pub(crate) fn check_call(&self, by: &RevokedBy, call: Call) -> Result<(), RevokeRefusal> {
        match by.peer() {
            Some(peer) if !self.may(peer, call) => Err(RevokeRefusal::RoleForbidden {
                peer: peer.clone(),
                call,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Tells whether a peer's role is granted a call; who may revoke everyone's
    /// certificates may revoke its own.
    fn may(&self, peer: &Identity, call: Call) -> bool {
        let grants = &self.config.grants;
        grants.allows_call(peer.role, call)
            || (call == Call::Revoke && grants.allows_call(peer.role, Call::RevokeAny))
    }

    /// Finds the certificate that is meant.
    async fn find_target(
        &self,
        target: &RevokeTarget,
    ) -> Result<(SerialNumber, CertificateRecord), RevokeRefusal> {
        let serial = match target {
            RevokeTarget::Serial(serial) => serial.clone(),
            RevokeTarget::Certificate(der) => pki::certificate::Certificate::from_der(der)?
                .serial()
                .clone(),
        };
        let unknown = || RevokeRefusal::SerialUnknown {
            serial: serial.clone(),
        };
        let known = self.store.certificate(&serial).await?.ok_or_else(unknown)?;
        if let RevokeTarget::Certificate(der) = target
            && known.certificate_der() != Some(der.as_slice())
        {
            return Err(unknown());
        }
        Ok((serial, known))
    }

    /// Lets a peer revoke what is its own, and release what it put on hold.
    fn check_owner(
        &self,
        by: &RevokedBy,
        known: &CertificateRecord,
        reason: RevocationReason,
    ) -> Result<(), RevokeRefusal> {
        let Some(peer) = by.peer() else {
            return Ok(());
        };
        if self.may(peer, Call::RevokeAny) {
            return Ok(());
        }
        let is_release = reason == RevocationReason::RemoveFromCrl;
        let held = known
            .revocation
            .as_ref()
            .and_then(|record| record.history.last());
        // A hold that an operator ordered is not for its subject to lift.
        let held_by_other =
            held.is_some_and(|step| step.requester.as_ref() != Some(peer)) && is_release;
        if self.owns(peer, known) && !held_by_other {
            return Ok(());
        }
        Err(RevokeRefusal::NotYours {
            peer: peer.clone(),
            serial: known.intent.serial.clone(),
        })
    }

    /// Tells whether a certificate is a peer's: it asked for it, or it is its
    /// identity's.
    fn owns(&self, peer: &Identity, known: &CertificateRecord) -> bool {
        let identity = format!("uri:{}", peer.to_uri(&self.config.trust_domain));
        known.intent.requester.as_ref() == Some(peer) || known.intent.names.contains(&identity)
    }

    /// Forms what is recorded, once it is certain that a CRL can say it and that
    /// the time is right.
    fn checked(
        &self,
        serial: &SerialNumber,
        reason: RevocationReason,
        invalidity_date: Option<Timestamp>,
        by: &RevokedBy,
    ) -> Result<Revocation, RevokeRefusal> {
        let now = self.certifier.clock.now();
        self.clock_guard.check(now, Instant::now())?;
        pki::crl::encode_entry(serial, now, reason, invalidity_date)?;
        Ok(Revocation {
            serial: serial.clone(),
            reason,
            revoked_at: now,
            invalidity_date,
            requester: by.peer().cloned(),
            request_id: by.request_id.clone(),
            recorded_at: now,
        })
    }

    /// Lets memory have what is on disk; returns the count of changes.
    fn remember(&self, record: &RevocationRecord) -> u64 {
        let current = std::slice::from_ref(&record.current);
        self.publication.revocations.apply(&record.issuer, current)
    }

    /// Replaces OCSP answers and issues CRLs, as configured, after changes that
    /// memory has.
    ///
    /// Nothing here can undo a revocation: what fails is tried again by itself.
    pub(crate) async fn publish_change(&self, changed: &[(IssuerId, SerialNumber)], revision: u64) {
        let mut serials: BTreeMap<&IssuerId, Vec<SerialNumber>> = BTreeMap::new();
        for (issuer, serial) in changed {
            serials.entry(issuer).or_default().push(serial.clone());
        }
        for (issuer, serials) in &serials {
            self.publication.responder.revoked(issuer, serials).await;
        }
        let mut kinds: BTreeMap<&IssuerId, std::collections::BTreeSet<CrlKind>> = BTreeMap::new();
        for (issuer, serial) in changed {
            if let Some(publisher) = self.publisher(issuer) {
                kinds
                    .entry(issuer)
                    .or_default()
                    .extend(publisher.kinds_of(serial));
            }
        }
        for (issuer, kinds) in kinds {
            let Some(publisher) = self.publisher(issuer) else {
                continue;
            };
            match self.config.crl.on_revocation {
                OnRevocation::AtOnce => {
                    if publisher
                        .publish(&kinds, Cause::Change(revision))
                        .await
                        .is_err()
                    {
                        // Told by the publisher already; it goes on trying.
                        publisher.want(kinds, SignedDuration::ZERO.unsigned_abs());
                    }
                }
                OnRevocation::After(delay) => publisher.want(kinds, delay.unsigned_abs()),
                OnRevocation::Timer => {}
            }
        }
    }

    /// Counts and logs what was refused.
    fn tell(&self, by: &RevokedBy, refusal: Option<&RevokeRefusal>) {
        let Some(refusal) = refusal else { return };
        let problem = crate::http::revoke_problem_type(refusal);
        self.certifier.metrics.revocation_refused(problem.slug());
        let (peer, why) = (by.requester.label(), chain(refusal));
        if refusal.is_ours() {
            warn!(
                peer.identity = %peer, reason = problem.slug(), request_id = %by.request_id,
                "could not revoke for {peer}: {why}"
            );
        } else {
            info!(
                peer.identity = %peer, reason = problem.slug(), request_id = %by.request_id,
                "refused to revoke for {peer}: {why}"
            );
        }
    }
}

/// Says what was done.
const fn did(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::CertificateHold => "put on hold",
        RevocationReason::RemoveFromCrl => "released from hold",
        RevocationReason::Unspecified
        | RevocationReason::KeyCompromise
        | RevocationReason::CaCompromise
        | RevocationReason::AffiliationChanged
        | RevocationReason::Superseded
        | RevocationReason::CessationOfOperation
        | RevocationReason::PrivilegeWithdrawn
        | RevocationReason::AaCompromise => "revoked",
    }
}

/// Translates a record; `known` is the certificate, where the journal has it.
pub(crate) fn to_wire(
    record: &RevocationRecord,
    known: Option<&CertificateRecord>,
) -> wire::RevocationRecord {
    let requester = record
        .history
        .last()
        .and_then(|step| step.requester.clone());
    wire::RevocationRecord {
        revoked_by: requester,
        public_key_sha256: known.map(|known| hex::encode(known.intent.public_key_sha256)),
        ..revoked_to_wire(&record.issuer, &record.current)
    }
}

/// Translates what counts now.
pub(crate) fn revoked_to_wire(issuer: &IssuerId, revoked: &Revoked) -> wire::RevocationRecord {
    wire::RevocationRecord {
        serial: revoked.serial.clone(),
        issuer: issuer.clone(),
        revoked_at: revoked.revoked_at,
        reason: revoked.reason,
        invalidity_date: revoked.invalidity_date,
        not_after: revoked.not_after,
        public_key_sha256: None,
        revoked_by: None,
    }
}
