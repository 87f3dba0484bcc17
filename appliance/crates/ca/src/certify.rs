//! The steps around a signature: intent, signature, certificate, in that order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use model::{Clock, Identity, IssuerId, ProfileName, RequestId, SerialNumber};
use pki::certificate::IssuedCertificate;
use pki::lint::LintedTbs;
use store::{
    AbandonReason, CertificateRecord, CertificateStore, Idempotency, Intent, IntentOutcome,
};
use tracing::error;

use crate::metrics::{CaMetrics, Step};
use crate::refusal::Refusal;

/// Who signs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signer<'a> {
    /// The authority.
    pub(crate) issuer: &'a IssuerId,
    /// Its key.
    pub(crate) key: &'a dyn PrivateKey,
    /// How it signs.
    pub(crate) scheme: SignatureScheme,
}

/// What is recorded beside the certificate.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    /// The profile it was planned by.
    pub(crate) profile: ProfileName,
    /// The peer that asked; none for the CA itself.
    pub(crate) requester: Option<Identity>,
    /// The request it came with.
    pub(crate) request_id: RequestId,
    /// What makes a repeated request the same.
    pub(crate) idempotency: Option<Idempotency>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Certified {
    /// A new certificate, on disk.
    New {
        /// The certificate.
        certificate: IssuedCertificate,
        /// How long each step took.
        timings: Timings,
    },
    /// The certificate of the first request with this idempotency key.
    Replayed(Box<CertificateRecord>),
}

/// How long the steps around a signature took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timings {
    /// To bring the intent to disk.
    pub(crate) intent: Duration,
    /// To sign, the token's queue included.
    pub(crate) sign: Duration,
    /// To bring the certificate to disk.
    pub(crate) record: Duration,
}

/// Records and signs.
#[derive(Debug, Clone)]
pub(crate) struct Certifier {
    /// Where intents and certificates are recorded.
    pub(crate) store: Arc<dyn CertificateStore>,
    /// The time of records.
    pub(crate) clock: Arc<dyn Clock>,
    /// Times the steps.
    pub(crate) metrics: CaMetrics,
    /// Time for the token to sign.
    pub(crate) sign_timeout: Duration,
}

/// Tries to settle an intent while the store is merely busy.
const SETTLE_ATTEMPTS: u32 = 8;

/// First wait between those.
const SETTLE_WAIT: Duration = Duration::from_millis(20);

impl Certifier {
    /// Records the intent, has the token sign, records the certificate.
    ///
    /// # Errors
    ///
    /// `Store` or `InProgress` when the intent was not recorded: nothing was
    /// signed. `KeyStore` or `Assemble` when there is no good signature: the
    /// intent is abandoned. `Store` after the signature: it is not released, and
    /// start-up settles the intent.
    pub(crate) async fn certify(
        &self,
        signer: Signer<'_>,
        linted: LintedTbs,
        circumstances: Circumstances,
    ) -> Result<Certified, Refusal> {
        let facts = linted.facts();
        let serial = facts.serial.clone();
        let intent = Intent {
            serial: serial.clone(),
            issuer: signer.issuer.clone(),
            profile: circumstances.profile,
            tbs_der: linted.der().to_vec(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            subject: facts.subject.clone(),
            names: facts.names.clone(),
            public_key_sha256: facts.public_key_sha256,
            requester: circumstances.requester,
            request_id: circumstances.request_id,
            idempotency: circumstances.idempotency,
            recorded_at: self.clock.now(),
        };

        // The intent is on disk before the token signs, so that no signature is
        // ever unexplained.
        let began = Instant::now();
        match self.store.record_intent(intent).await? {
            IntentOutcome::Recorded => {}
            IntentOutcome::Replayed(record) => return Ok(Certified::Replayed(record)),
            IntentOutcome::InProgress { serial } => return Err(Refusal::InProgress { serial }),
        }
        let recorded = Instant::now();
        self.metrics.step(Step::Intent, recorded - began);

        // The keystore verifies what the token returns with the public key.
        let job = SignJob::message(signer.scheme, linted.der())
            .with_priority(Priority::Bulk)
            .with_timeout(self.sign_timeout);
        let signature = match signer.key.sign(job).await {
            Ok(signature) => signature,
            Err(failure) => {
                self.abandon(&serial, abandon_reason(&failure)).await;
                return Err(failure.into());
            }
        };
        let signed = Instant::now();
        self.metrics.step(Step::Sign, signed - recorded);

        let certificate = match linted.assemble(&signature) {
            Ok(certificate) => certificate,
            Err(failure) => {
                self.abandon(&serial, AbandonReason::BadSignature).await;
                return Err(failure.into());
            }
        };

        // Handed out only once it is on disk.
        self.record(&serial, &certificate).await?;
        let timings = Timings {
            intent: recorded - began,
            sign: signed - recorded,
            record: signed.elapsed(),
        };
        self.metrics.step(Step::Record, timings.record);
        Ok(Certified::New {
            certificate,
            timings,
        })
    }

    /// Records the certificate, waiting while the store is merely busy.
    async fn record(
        &self,
        serial: &SerialNumber,
        certificate: &IssuedCertificate,
    ) -> Result<(), Refusal> {
        let mut wait = SETTLE_WAIT;
        for _ in 1..SETTLE_ATTEMPTS {
            let der = certificate.der().to_vec();
            match self
                .store
                .record_issued(serial, der, self.clock.now())
                .await
            {
                Err(store::Error::Busy { .. }) => tokio::time::sleep(wait).await,
                outcome => return outcome.map_err(Refusal::Store),
            }
            wait *= 2;
        }
        let der = certificate.der().to_vec();
        self.store
            .record_issued(serial, der, self.clock.now())
            .await
            .map_err(Refusal::Store)
    }

    /// Records that nothing came of an intent. Where even that fails the intent
    /// stays open, and start-up settles it.
    async fn abandon(&self, serial: &SerialNumber, why: AbandonReason) {
        let mut wait = SETTLE_WAIT;
        let mut attempt = 1;
        loop {
            match self
                .store
                .abandon_intent(serial, why, self.clock.now())
                .await
            {
                Ok(()) => return self.metrics.abandoned(why.as_str()),
                Err(failure) if failure.is_transient() && attempt < SETTLE_ATTEMPTS => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    attempt += 1;
                }
                Err(failure) => {
                    error!(
                        cert.serial = %serial,
                        "could not record that serial {serial} was abandoned ({why}), \
                         the next start will: {failure}",
                        why = why.as_str()
                    );
                    return;
                }
            }
        }
    }
}

/// Tells what a failure says about the signature.
fn abandon_reason(failure: &hsm_keystore::Error) -> AbandonReason {
    match failure {
        // The token may have signed; the answer is not waited for.
        hsm_keystore::Error::DeadlineExceeded { .. } | hsm_keystore::Error::Unavailable(_) => {
            AbandonReason::Unanswered
        }
        hsm_keystore::Error::BadSignature { .. } => AbandonReason::BadSignature,
        _ => AbandonReason::NotSigned,
    }
}
