//! Taking a signature back.

use std::sync::Arc;

use mesh::Peer;
use model::signing::{SignatureId, SignerLabel, WithdrawalNote, WithdrawalReason};
use model::{RequestId, Role};
use store::signing::{NewWithdrawal, SignatureRecord, SigningStoreError, Withdrawn};

use super::Signing;
use crate::problem::SigningProblem;
use crate::seams::{SignatureEvent, SignatureEventKind};

impl Signing {
    /// Withdraws a signature at its signer's or an operator's word.
    ///
    /// # Errors
    ///
    /// `SignatureUnknown`, `WithdrawalForbidden`, `AlreadyWithdrawn`, or `Store`.
    pub(crate) async fn withdraw(
        &self,
        id: &SignatureId,
        peer: &Peer,
        reason: WithdrawalReason,
        note: Option<WithdrawalNote>,
        request_id: &RequestId,
    ) -> Result<Arc<SignatureRecord>, SigningProblem> {
        let record = self.signed(id).await?;
        let is_signer = record.signer.as_str() == peer.label();
        if !is_signer && peer.identity().role != Role::Operator {
            return Err(SigningProblem::WithdrawalForbidden {
                client: peer.label().to_owned(),
                id: *id,
            });
        }
        let by = SignerLabel::new(peer.label()).map_err(SigningProblem::internal)?;
        let at = self.clock.now();
        let base_url = self.base_url();
        let deliveries = match &self.announce {
            Some(announce) => announce.deliveries(&SignatureEvent {
                kind: SignatureEventKind::Withdrawn { reason },
                id: Some(*id),
                digests: &record.digests,
                name: record.name.as_ref(),
                signer: &record.signer,
                profile: &record.profile,
                request_id,
                at,
                base_url: &base_url,
            }),
            None => Vec::new(),
        };
        let withdrawal = NewWithdrawal {
            reason,
            note,
            by,
            deliveries,
            at,
        };
        match self.store.withdraw(id, withdrawal).await? {
            Withdrawn::New(record) => {
                self.metrics.withdrawn.inc();
                if let Some(announce) = &self.announce {
                    announce.wake();
                }
                tracing::info!(
                    signature.id = %id,
                    peer.identity = peer.label(),
                    withdrawal.reason = reason.as_str(),
                    "{} withdrew signature {id}: {}",
                    peer.label(),
                    reason.as_str()
                );
                Ok(record)
            }
            Withdrawn::Repeated(record) => Err(SigningProblem::AlreadyWithdrawn {
                record: Box::new(SignatureRecord::clone(&record)),
            }),
        }
    }

    /// Finds a signature that was made.
    ///
    /// # Errors
    ///
    /// `SignatureUnknown`, or `Store`.
    pub(crate) async fn signed(
        &self,
        id: &SignatureId,
    ) -> Result<Arc<SignatureRecord>, SigningProblem> {
        let unknown = || SigningProblem::SignatureUnknown {
            given: id.to_string(),
        };
        match self.store.signature(id).await {
            Ok(Some(record)) => match &record.state {
                store::signing::SignatureState::Signed { .. } => Ok(record),
                // Nothing of it was ever handed out.
                store::signing::SignatureState::Open { .. }
                | store::signing::SignatureState::Abandoned { .. } => Err(unknown()),
            },
            Ok(None) | Err(SigningStoreError::NoSignature { .. }) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }
}
