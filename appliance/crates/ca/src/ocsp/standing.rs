//! What is known about one serial number.

use model::{SerialNumber, Timestamp};
use pki::ocsp::CertStatus;
use store::CertificateState;

use super::index::Entry;
use super::{IssuerAnswers, Responder};
use crate::revocations::Revocation;

/// What is known about one serial number of an issuer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A certificate that has not expired.
    Current {
        /// What is to be said.
        status: CertStatus,
        /// The version of its entry when its status was read; none without entry.
        version: Option<u32>,
    },
    /// One that has, within the time that is looked back.
    Archived {
        /// What is to be said.
        status: CertStatus,
    },
    /// One that has, and is answered for no more.
    Gone,
    /// Nothing was ever issued under it.
    NeverIssued,
}

/// Tells what to say of a certificate that was issued.
pub(super) fn status(revocation: Option<Revocation>) -> CertStatus {
    match revocation {
        None => CertStatus::Good,
        Some(revocation) => CertStatus::Revoked {
            at: revocation.revoked_at,
            reason: revocation.reason,
        },
    }
}

impl Responder {
    /// Finds out what is known about a serial number, asking the store where
    /// memory does not know.
    ///
    /// # Errors
    ///
    /// What the store said.
    pub(super) async fn standing(
        &self,
        issuer: &IssuerAnswers,
        serial: &SerialNumber,
        now: Timestamp,
    ) -> Result<Standing, store::Error> {
        // The version is read before the status: a revocation in between makes
        // the answer one that is not kept.
        let known = issuer
            .index
            .read(serial, |entry| (entry.version(), entry.not_after()));
        if let Some((version, not_after)) = known
            && now <= not_after
        {
            return Ok(Standing::Current {
                status: status(self.revocations.lookup(&issuer.id, serial)),
                version: Some(version),
            });
        }
        self.recorded(issuer, serial, now).await
    }

    /// Asks the store: for what another node issued, what is not kept in memory,
    /// and what has expired, whose revocation memory may have let go.
    async fn recorded(
        &self,
        issuer: &IssuerAnswers,
        serial: &SerialNumber,
        now: Timestamp,
    ) -> Result<Standing, store::Error> {
        let record = self.store.certificate(serial).await?.filter(|record| {
            // Nobody has a certificate of an abandoned intent. From the intent
            // onward there may be one.
            record.intent.issuer == issuer.id
                && (record.revocation.is_some()
                    || !matches!(record.state, CertificateState::Abandoned { .. }))
        });
        let revocation = match &record {
            Some(record) => record.revocation.clone(),
            // Taken over from another CA, whose certificates are not recorded.
            None => self.store.revocation(&issuer.id, serial).await?,
        };
        let revocation = revocation.map(|revocation| revocation.current);
        let Some(not_after) = record
            .map(|record| Some(record.intent.not_after))
            .or_else(|| revocation.as_ref().map(|revoked| revoked.not_after))
        else {
            return Ok(Standing::NeverIssued);
        };
        // A foreign one whose end is not known never expires.
        let not_after = not_after.unwrap_or(Timestamp::MAX);
        if now <= not_after {
            let version = issuer
                .index
                .insert(serial, not_after)
                .then(|| issuer.index.read(serial, Entry::version))
                .flatten();
            // Behind the version, and from memory: what the store said may be old
            // by now.
            return Ok(Standing::Current {
                status: status(self.revocations.lookup(&issuer.id, serial)),
                version,
            });
        }
        // RFC 6960, 4.4.4: how long the responder looks back.
        if now.duration_since(not_after) <= self.config.archive {
            // Memory may have let its revocation go.
            let revoked = revocation.filter(store::Revoked::is_revoked);
            return Ok(Standing::Archived {
                status: status(revoked.map(|revoked| Revocation {
                    revoked_at: revoked.revoked_at,
                    reason: revoked.reason,
                    invalidity_date: revoked.invalidity_date,
                })),
            });
        }
        Ok(Standing::Gone)
    }
}
