//! Revoking a key: it is blocked first, so that nothing is added behind; then
//! every certificate of it is revoked.

use std::sync::Arc;

use mesh::wire::{KeyRevocation, RevokeKeyRequest};
use model::{IssuerId, RevocationReason, SerialNumber};
use store::{BlockedKey, CertificateRecord, RevocationRecord, RevocationStore};
use tokio::task::JoinSet;
use tracing::info;

use super::{RevokeRefusal, RevokedBy, to_wire};
use crate::grants::Call;
use crate::issue::Ca;

/// Serial numbers asked of the store at a time.
const PAGE: usize = 1_024;

/// Revocations recorded at a time: they share a sync.
pub(super) const AT_ONCE: usize = 128;

impl Ca {
    /// Blocks a key and revokes every certificate of it.
    ///
    /// Asked again, it goes on where it was stopped. Must be polled to its end, as
    /// [`Ca::revoke`].
    ///
    /// # Errors
    ///
    /// Why not everything was revoked; see [`RevokeRefusal`].
    pub async fn revoke_key(
        self: Arc<Self>,
        request: RevokeKeyRequest,
        by: RevokedBy,
    ) -> Result<KeyRevocation, RevokeRefusal> {
        let outcome = self.revoke_key_in_steps(&request, &by).await;
        self.tell(&by, outcome.as_ref().err());
        outcome
    }

    /// Takes the steps.
    async fn revoke_key_in_steps(
        &self,
        request: &RevokeKeyRequest,
        by: &RevokedBy,
    ) -> Result<KeyRevocation, RevokeRefusal> {
        self.check_call(by, Call::Revoke)?;
        let reason = match request.reason {
            // Why else would a key be revoked with everything on it.
            RevocationReason::Unspecified => RevocationReason::KeyCompromise,
            RevocationReason::CertificateHold | RevocationReason::RemoveFromCrl => {
                return Err(RevokeRefusal::KeyReason);
            }
            reason => reason,
        };
        let key = &request.public_key_sha256;
        self.check_key_owner(by, key).await?;

        let now = self.certifier.clock.now();
        self.store
            .block_key(BlockedKey {
                public_key_sha256: *key,
                requester: by.peer().cloned(),
                request_id: by.request_id.clone(),
                recorded_at: now,
            })
            .await?;
        self.publication.revocations.block(*key);

        let under_way = self
            .publication
            .revocations
            .begin(self.store.status().sequence);
        let mut done = Done::default();
        let mut after = None;
        let mut outcome = Ok(());
        while outcome.is_ok() {
            match self.store.serials_of_key(key, after.as_ref(), PAGE).await {
                Ok(serials) => {
                    let Some(last) = serials.last() else { break };
                    after = Some(last.clone());
                    outcome = self
                        .revoke_all(serials, reason, request, by, &mut done)
                        .await;
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        drop(under_way);
        // Also what was done before a failure counts.
        self.publish_change(&done.changed, done.revision).await;
        outcome?;
        let count = done.revoked.len();
        info!(
            key.sha256 = %hex::encode(key),
            revocation.reason = reason.as_str(),
            revocation.count = count,
            peer.identity = %by.requester.label(),
            request_id = %by.request_id,
            "blocked a key and revoked its {count} certificates"
        );
        Ok(KeyRevocation {
            public_key_sha256: hex::encode(key),
            blocked: true,
            revoked: done.revoked,
            already_revoked: done.already,
        })
    }

    /// Lets a peer that owns every certificate of a key revoke them.
    async fn check_key_owner(&self, by: &RevokedBy, key: &[u8; 32]) -> Result<(), RevokeRefusal> {
        let Some(peer) = by.peer() else {
            return Ok(());
        };
        if self.may(peer, Call::RevokeAny) {
            return Ok(());
        }
        let refused = || RevokeRefusal::KeyNotYours { peer: peer.clone() };
        let mut after: Option<SerialNumber> = None;
        loop {
            let serials = self.store.serials_of_key(key, after.as_ref(), PAGE).await?;
            for serial in &serials {
                let known = self.store.certificate(serial).await?;
                if !known.is_some_and(|known| self.owns(peer, &known)) {
                    return Err(refused());
                }
            }
            match serials.last() {
                Some(last) => after = Some(last.clone()),
                // Whose key it is that was never certified, nobody knows.
                None if after.is_none() => return Err(refused()),
                None => return Ok(()),
            }
        }
    }

    /// Revokes certificates, many at a time.
    async fn revoke_all(
        &self,
        serials: Vec<SerialNumber>,
        reason: RevocationReason,
        request: &RevokeKeyRequest,
        by: &RevokedBy,
        done: &mut Done,
    ) -> Result<(), RevokeRefusal> {
        for group in serials.chunks(AT_ONCE) {
            let mut tasks = JoinSet::new();
            for serial in group {
                let revocation = self.checked(serial, reason, request.invalidity_date, by)?;
                let store: Arc<dyn RevocationStore> = Arc::clone(&self.store);
                tasks.spawn(async move {
                    let known = store.certificate(&revocation.serial).await?;
                    Ok::<_, store::Error>((store.revoke(revocation).await, known))
                });
            }
            let mut failure: Option<RevokeRefusal> = None;
            while let Some(task) = tasks.join_next().await {
                match task {
                    Ok(Ok((Ok(record), known))) => {
                        self.certifier.metrics.revoked(reason.as_str());
                        done.revision = self.remember(&record);
                        done.note(&record, known.as_ref());
                    }
                    Ok(Ok((Err(store::Error::AlreadyRevoked { record }), known))) => {
                        done.already.push(to_wire(&record, known.as_ref()));
                    }
                    Ok(Ok((Err(error), _)) | Err(error)) => failure = Some(error.into()),
                    Err(error) => failure = Some(error.into()),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }
}

/// What was done so far.
#[derive(Debug, Default)]
struct Done {
    /// Revoked by this order.
    revoked: Vec<mesh::wire::RevocationRecord>,
    /// Revoked before.
    already: Vec<mesh::wire::RevocationRecord>,
    /// What changed.
    changed: Vec<(IssuerId, SerialNumber)>,
    /// The count of changes with the last one.
    revision: u64,
}

impl Done {
    /// Takes note of a certificate that was revoked.
    fn note(&mut self, record: &RevocationRecord, known: Option<&CertificateRecord>) {
        self.changed
            .push((record.issuer.clone(), record.current.serial.clone()));
        self.revoked.push(to_wire(record, known));
    }
}
