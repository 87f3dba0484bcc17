//! The responder's own key and certificate: found, made, renewed.
//!
//! The key is on the keystore; the certificate is issued by the CA's own
//! pipeline, as everyone's is, and kept beside the key. It carries
//! id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1) and so lives briefly: at two
//! thirds of its life there is a new one. Answers under the one before stay
//! good; none outlives the certificate that it is verified with.

use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::PrivateKey;
use jiff::SignedDuration;
use mesh::csr::{self, CsrContent};
use model::{ProfileName, RequestId, Timestamp};
use pki::certificate::Certificate;
use pki::profile::ProfileKind;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::signing::{Signatory, Signing};
use super::{IssuerAnswers, Responder};
use crate::error::Error;
use crate::issue::{Ca, IssueRequest, Requester};

/// Longest sleep between looks at the clock, which may be set meanwhile.
const NAP: Duration = Duration::from_secs(1);

/// First wait after the certificate could not be had.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait after that.
const LAST_WAIT: Duration = Duration::from_secs(300);

/// The request id of what the responder asks for by itself.
const REQUEST_ID: &str = "ocsp-responder";

impl Responder {
    /// Finds or makes key and certificate and renews it in time, for as long as
    /// it is polled. Failures are told and tried again.
    pub(super) async fn keep_certificate(&self, ca: &Arc<Ca>) {
        let id = &ca.authorities.issuing.id;
        let Some(issuer) = self.issuer(id) else {
            // It was built for other authorities, which have no key here.
            return;
        };
        let mut wait = FIRST_WAIT;
        loop {
            match self.renew(issuer, ca).await {
                Ok(renew_at) => {
                    wait = FIRST_WAIT;
                    while self.clock.now() < renew_at {
                        sleep(NAP).await;
                    }
                }
                Err(failure) => {
                    self.tell(issuer, &failure);
                    sleep(wait).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
            }
        }
    }

    /// Finds or makes key and certificate now, so that whoever asks from here on
    /// is answered. A failure is told, and [`Responder::run`] tries again.
    pub(crate) async fn prepare(&self, ca: &Arc<Ca>) {
        if let Some(issuer) = self.issuer(&ca.authorities.issuing.id)
            && let Err(failure) = self.renew(issuer, ca).await
        {
            self.tell(issuer, &failure);
        }
    }

    /// Has a certificate that is not to be renewed yet; returns when it will be.
    async fn renew(&self, issuer: &IssuerAnswers, ca: &Arc<Ca>) -> Result<Timestamp, Error> {
        if let Some(signing) = issuer.signing.load().as_ref() {
            let renew_at = signing.signatory.renew_at();
            if self.clock.now() < renew_at {
                return Ok(renew_at);
            }
        }
        let signing = self.obtain(issuer, ca).await?;
        let renew_at = signing.signatory.renew_at();
        self.take_up(issuer, signing);
        Ok(renew_at)
    }

    /// Tells that there is no new certificate: for someone to act on once time is
    /// short.
    fn tell(&self, issuer: &IssuerAnswers, failure: &Error) {
        let why = crate::refusal::chain(failure);
        let left = issuer.signing.load().as_ref().map(|signing| {
            signing
                .signatory
                .not_after()
                .duration_since(self.clock.now())
        });
        if left.is_some_and(|left| left > SignedDuration::from_hours(24)) || failure.is_transient()
        {
            warn!(
                issuer = %issuer.id,
                "could not get the certificate of the OCSP responder, trying again: {why}"
            );
        } else {
            error!(
                issuer = %issuer.id,
                "the OCSP responder of {} cannot sign without a certificate: {why}", issuer.id
            );
        }
    }

    /// Signs with a key and certificate from now on.
    fn take_up(&self, issuer: &IssuerAnswers, signing: Signing) {
        let now = self.clock.now();
        let signatory = Arc::clone(&signing.signatory);
        let expiry = signatory.not_after();
        self.metrics.certificate_expiry.set(expiry.as_second());
        let mut signatories: Vec<_> = issuer
            .signatories
            .load()
            .iter()
            .filter(|known| known.id != signatory.id && now < known.not_after())
            .map(Arc::clone)
            .collect();
        signatories.push(signatory);
        // Known before the first answer under it.
        issuer.signatories.store(Arc::new(signatories));
        issuer.signing.store(Some(Arc::new(signing)));
        info!(
            issuer = %issuer.id, cert.not_after = %expiry,
            "the OCSP responder of {} signs; its certificate ends at {expiry}", issuer.id
        );
    }

    /// Finds key and certificate, or has them made.
    async fn obtain(&self, issuer: &IssuerAnswers, ca: &Arc<Ca>) -> Result<Signing, Error> {
        let keystore = Arc::clone(&ca.keystore);
        let (id, algorithm) = (self.config.key.clone(), self.config.key_algorithm);
        let (key, kept) = tokio::task::spawn_blocking(move || {
            let key = match keystore.get_private_key(&id) {
                Err(hsm_keystore::Error::NoKey { .. }) => {
                    keystore.generate_private_key(&id, algorithm)
                }
                outcome => outcome,
            };
            let key = key.map_err(|source| Error::KeyStore {
                what: "find or make the OCSP responder's key",
                source,
            })?;
            let kept = match keystore.get_certificate(&id) {
                Ok(der) => Some(der),
                Err(hsm_keystore::Error::NoCertificate { .. }) => None,
                Err(source) => {
                    return Err(Error::KeyStore {
                        what: "read the OCSP responder's certificate",
                        source,
                    });
                }
            };
            Ok((key, kept))
        })
        .await??;
        if let Some(der) = kept {
            match self.signing_by(issuer, &key, &der) {
                Ok(signing) if self.clock.now() < signing.signatory.renew_at() => {
                    return Ok(signing);
                }
                Ok(_) => {}
                Err(failure) => warn!(
                    issuer = %issuer.id,
                    "having the OCSP responder certified anew, for the certificate beside its key \
                     does not serve: {}", crate::refusal::chain(&failure)
                ),
            }
        }
        let der = self.certify(issuer, ca, &key).await?;
        let signing = self.signing_by(issuer, &key, &der)?;
        let (keystore, id) = (Arc::clone(&ca.keystore), self.config.key.clone());
        tokio::task::spawn_blocking(move || keystore.import_certificate(&id, &der))
            .await?
            .map_err(|source| Error::KeyStore {
                what: "keep the OCSP responder's certificate beside its key",
                source,
            })?;
        Ok(signing)
    }

    /// Has the key certified by the issuer that it answers for.
    async fn certify(
        &self,
        issuer: &IssuerAnswers,
        ca: &Arc<Ca>,
        key: &Arc<dyn PrivateKey>,
    ) -> Result<Vec<u8>, Error> {
        let content = CsrContent {
            // An authority's name has no character that RFC 4514 would want escaped.
            subject: format!("CN=OCSP responder of {}", issuer.id),
            ..CsrContent::default()
        };
        let csr_der = csr::build(key.as_ref(), &content).await?;
        let request = IssueRequest {
            csr_der,
            profile: Some(ProfileName::new(ProfileKind::OcspResponder.as_str())?),
            validity: None,
            identity: None,
            forge: None,
            requester: Requester::Ca,
            request_id: RequestId::new(REQUEST_ID)?,
            idempotency: None,
        };
        let issued =
            Arc::clone(ca)
                .issue(request)
                .await
                .map_err(|refusal| Error::ResponderNotIssued {
                    authority: issuer.id.clone(),
                    source: Box::new(refusal),
                })?;
        Ok(issued.certificate_der)
    }

    /// Makes a signer of key and certificate, if they belong together and to the
    /// issuer.
    fn signing_by(
        &self,
        issuer: &IssuerAnswers,
        key: &Arc<dyn PrivateKey>,
        der: &[u8],
    ) -> Result<Signing, Error> {
        let certificate = Certificate::from_der(der).map_err(|source| Error::Certificate {
            authority: issuer.id.clone(),
            source,
        })?;
        if certificate.public_key().spki_der() != key.public_key_der() {
            return Err(Error::ResponderKeyDiffers {
                authority: issuer.id.clone(),
                key: key.id().clone(),
            });
        }
        let known = issuer.signatories.load();
        let same = known
            .iter()
            .find(|known| known.certificate.der() == certificate.der())
            .map(|known| known.id);
        let id = same.unwrap_or_else(|| {
            let last = known.iter().map(|known| known.id).max();
            last.map_or(0, |last| last.wrapping_add(1))
        });
        let scheme = key.algorithm().default_scheme();
        let signatory =
            Signatory::new(id, certificate, &issuer.certificate, scheme).map_err(|source| {
                Error::NotAResponder {
                    authority: issuer.id.clone(),
                    source,
                }
            })?;
        Ok(Signing {
            signatory: Arc::new(signatory),
            key: Arc::clone(key),
        })
    }
}
