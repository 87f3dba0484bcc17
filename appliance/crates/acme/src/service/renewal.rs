//! Renewal information (RFC 9773).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use mesh::wire::CertificateStatus;
use model::acme::CertificateId;
use model::{SerialNumber, Timestamp};

use super::Acme;
use super::order::after;
use super::refusal::store_problem;
use crate::problem::AcmeProblem;

/// When a certificate is to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RenewalWindow {
    /// First moment.
    pub(crate) start: Timestamp,
    /// Last moment.
    pub(crate) end: Timestamp,
    /// When to ask again.
    pub(crate) retry_after: Duration,
}

/// What the CA said of certificates a moment ago: anyone may ask for renewal
/// information, and the CA is not to be asked each time.
#[derive(Debug, Default)]
pub(super) struct KnownRevocations(Mutex<HashMap<SerialNumber, (Timestamp, bool)>>);

/// How long what the CA said counts.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Most certificates that are remembered.
const MAX_KNOWN: usize = 4096;

impl KnownRevocations {
    /// Returns whether a certificate was revoked, where the CA said so lately.
    fn get(&self, serial: &SerialNumber, now: Timestamp) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, revoked) = known.get(serial)?;
        (now < after(*at, FRESH)).then_some(*revoked)
    }

    /// Remembers what the CA said.
    fn put(&self, serial: SerialNumber, now: Timestamp, revoked: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.retain(|_, (at, _)| now < after(*at, FRESH));
        }
        if known.len() < MAX_KNOWN {
            known.insert(serial, (now, revoked));
        }
    }

    /// Forgets what the CA said.
    fn remove(&self, serial: &SerialNumber) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(serial);
    }
}

impl Acme {
    /// Tells when a certificate is to be renewed (RFC 9773, 4).
    ///
    /// # Errors
    ///
    /// 404 for certificates that were not ordered here.
    pub(crate) async fn renewal_info(
        &self,
        id: &CertificateId,
        now: Timestamp,
    ) -> Result<RenewalWindow, AcmeProblem> {
        let order = self
            .store
            .order_of_certificate(&id.serial)
            .await
            .map_err(store_problem)?;
        let certificate = order
            .as_ref()
            .and_then(|order| order.state.certificate())
            .filter(|certificate| certificate.certificate_id == *id)
            .ok_or_else(|| {
                AcmeProblem::not_found("no certificate that was ordered here has this name")
            })?;
        let poll = self.config.renewal_poll_after;
        let life = certificate.not_after.duration_since(certificate.not_before);
        if self.is_revoked(&id.serial, now).await {
            // RFC 9773, 4.2: a window in the past means at once.
            return Ok(RenewalWindow {
                start: after(now, -SignedDuration::from_hours(2)),
                end: after(now, -SignedDuration::from_hours(1)),
                retry_after: poll,
            });
        }
        Ok(RenewalWindow {
            // From two thirds of its life, for a twelfth of it.
            start: after(certificate.not_before, life * 2 / 3),
            end: after(certificate.not_before, life * 3 / 4),
            // Short-lived certificates are asked about more often.
            retry_after: poll
                .min((life / 12).unsigned_abs())
                .max(Duration::from_secs(60)),
        })
    }

    /// Asks the CA whether a certificate is revoked; while it is away, none is.
    async fn is_revoked(&self, serial: &SerialNumber, now: Timestamp) -> bool {
        if let Some(revoked) = self.revocations.get(serial, now) {
            return revoked;
        }
        let asking = tokio::time::timeout(ASK_TIMEOUT, self.ca.certificate(serial));
        let revoked = match asking.await {
            Ok(Ok(record)) => record.status == CertificateStatus::Revoked,
            Ok(Err(_)) | Err(_) => false,
        };
        self.revocations.put(serial.clone(), now, revoked);
        revoked
    }

    /// Forgets what the CA said of a certificate that was revoked just now.
    pub(super) fn forget_renewal(&self, serial: &SerialNumber) {
        self.revocations.remove(serial);
    }
}

/// How long the CA has to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
