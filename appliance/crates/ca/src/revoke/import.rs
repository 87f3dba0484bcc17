//! Revocations from elsewhere, and all of ours for elsewhere.

use std::sync::Arc;

use mesh::wire::{
    ImportOutcome, ImportedRevocation, RevocationFilter, RevocationImport, RevocationPage,
};
use model::{IssuerId, RevocationReason, SerialNumber};
use store::{ForeignRevocation, Revocation, RevocationStore};
use tokio::task::JoinSet;
use tracing::info;

use super::key::AT_ONCE;
use super::{RevokeRefusal, RevokedBy, revoked_to_wire, to_wire};
use crate::grants::Call;
use crate::issue::Ca;

/// Most revocations in one import; a longer list comes in several.
const MAX_IMPORT: usize = 100_000;

/// Records in a page when none are asked for.
const DEFAULT_LIMIT: u32 = 100;

/// Most records in a page.
const MAX_LIMIT: u32 = 1_000;

impl Ca {
    /// Takes revocations over from elsewhere. Each is recorded by itself; what was
    /// revoked before stays as it is, so that an import can be repeated.
    ///
    /// # Errors
    ///
    /// Why it was not begun, or stopped: then some are recorded, and repeating it
    /// goes on.
    pub async fn import_revocations(
        self: Arc<Self>,
        import: RevocationImport,
        by: RevokedBy,
    ) -> Result<ImportOutcome, RevokeRefusal> {
        let outcome = self.import_in_steps(import, &by).await;
        self.tell(&by, outcome.as_ref().err());
        outcome
    }

    /// Takes the steps.
    async fn import_in_steps(
        &self,
        import: RevocationImport,
        by: &RevokedBy,
    ) -> Result<ImportOutcome, RevokeRefusal> {
        self.check_call(by, Call::RevokeAny)?;
        let count = import.revocations.len();
        if count > MAX_IMPORT {
            return Err(RevokeRefusal::TooMany {
                count,
                max: MAX_IMPORT,
            });
        }
        // All of it is checked before any of it is recorded.
        let foreign = import
            .revocations
            .into_iter()
            // Released from hold: not revoked.
            .filter(|one| one.reason != RevocationReason::RemoveFromCrl)
            .map(|one| self.foreign(one, &import.issuer, by))
            .collect::<Result<Vec<_>, _>>()?;

        let under_way = self
            .publication
            .revocations
            .begin(self.store.status().sequence);
        let mut outcome = ImportOutcome::default();
        let mut changed = Vec::new();
        let mut revision = 0;
        let mut failure: Option<RevokeRefusal> = None;
        for group in foreign.chunks(AT_ONCE) {
            let mut tasks = JoinSet::new();
            for one in group {
                let (store, one): (Arc<dyn RevocationStore>, _) =
                    (Arc::clone(&self.store), one.clone());
                tasks.spawn(async move { store.import_revocation(one).await });
            }
            while let Some(task) = tasks.join_next().await {
                match task {
                    Ok(Ok(record)) => {
                        outcome.imported += 1;
                        self.certifier
                            .metrics
                            .revoked(record.current.reason.as_str());
                        revision = self.remember(&record);
                        changed.push((record.issuer, record.current.serial));
                    }
                    Ok(Err(store::Error::AlreadyRevoked { .. })) => outcome.already_revoked += 1,
                    Ok(Err(error)) => failure = Some(error.into()),
                    Err(error) => failure = Some(error.into()),
                }
            }
            if failure.is_some() {
                break;
            }
        }
        drop(under_way);
        self.publish_change(&changed, revision).await;
        info!(
            revocation.imported = outcome.imported,
            revocation.already_revoked = outcome.already_revoked,
            peer.identity = %by.requester.label(),
            request_id = %by.request_id,
            "imported {} revocations", outcome.imported
        );
        failure.map_or(Ok(outcome), Err)
    }

    /// Forms what is recorded of an imported revocation.
    fn foreign(
        &self,
        one: ImportedRevocation,
        issuer: &IssuerId,
        by: &RevokedBy,
    ) -> Result<ForeignRevocation, RevokeRefusal> {
        let issuer = one.issuer.unwrap_or_else(|| issuer.clone());
        if !self.publication.board.knows(&issuer) {
            return Err(RevokeRefusal::IssuerUnknown { issuer });
        }
        let now = self.certifier.clock.now();
        pki::crl::encode_entry(&one.serial, one.revoked_at, one.reason, one.invalidity_date)?;
        // RFC 5280, 5.1.2.6: not in the future of the CRL that lists it.
        let revoked_at = one.revoked_at.min(now);
        Ok(ForeignRevocation {
            issuer,
            not_after: one.not_after,
            revocation: Revocation {
                serial: one.serial,
                reason: one.reason,
                revoked_at,
                invalidity_date: one.invalidity_date,
                requester: by.peer().cloned(),
                request_id: by.request_id.clone(),
                recorded_at: now,
            },
        })
    }

    /// Lists what is revoked, holds and imported ones included, a page at a time.
    ///
    /// # Errors
    ///
    /// `IssuerUnknown`, `BadCursor`, or `Store` when it cannot be read.
    pub async fn list_revocations(
        &self,
        filter: &RevocationFilter,
    ) -> Result<RevocationPage, RevokeRefusal> {
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let issuers = match &filter.issuer {
            None => vec![
                self.authorities.issuing.id.clone(),
                self.authorities.root_id.clone(),
            ],
            Some(issuer) if self.publication.board.knows(issuer) => vec![issuer.clone()],
            Some(issuer) => {
                return Err(RevokeRefusal::IssuerUnknown {
                    issuer: issuer.clone(),
                });
            }
        };
        let (first, mut after) = match &filter.cursor {
            None => (0, None),
            Some(cursor) => {
                let place = read_cursor(cursor, &issuers).ok_or(RevokeRefusal::BadCursor)?;
                (place.0, Some(place.1))
            }
        };
        let mut page = RevocationPage {
            revocations: Vec::new(),
            cursor: None,
        };
        for issuer in issuers.iter().skip(first) {
            loop {
                let batch = self
                    .store
                    .revocations(issuer, after.as_ref(), limit)
                    .await?;
                let Some(last) = batch.last() else { break };
                after = Some(last.serial.clone());
                for revoked in batch.iter().filter(|revoked| revoked.is_revoked()) {
                    page.revocations
                        .push(self.tell_revocation(issuer, revoked).await?);
                    if page.revocations.len() == limit {
                        page.cursor = Some(format!("{issuer}/{}", revoked.serial));
                        return Ok(page);
                    }
                }
            }
            after = None;
        }
        Ok(page)
    }

    /// Tells everything about one revocation.
    async fn tell_revocation(
        &self,
        issuer: &IssuerId,
        revoked: &store::Revoked,
    ) -> Result<mesh::wire::RevocationRecord, store::Error> {
        let record = self.store.revocation(issuer, &revoked.serial).await?;
        let known = self.store.certificate(&revoked.serial).await?;
        // A foreign serial number may be one of ours under another authority.
        let known = known.filter(|known| known.intent.issuer == *issuer);
        Ok(match record {
            Some(record) => to_wire(&record, known.as_ref()),
            None => revoked_to_wire(issuer, revoked),
        })
    }
}

/// Reads a cursor: the place of an authority, and the last serial number told.
fn read_cursor(cursor: &str, issuers: &[IssuerId]) -> Option<(usize, SerialNumber)> {
    let (issuer, serial) = cursor.split_once('/')?;
    let place = issuers.iter().position(|id| id.as_str() == issuer)?;
    Some((place, serial.parse().ok()?))
}
