//! How a service comes by its certificate: with the one it has, or with the
//! enrolment identity that an operator left in its keystore.

use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::{KeyId, KeyStore};
use mesh::enrol::{Enrolled, Enrolment};
use mesh::tls::{self, ExpectedServer};
use mesh::wire::{RevokeRequest, RevokeTarget};
use mesh::{
    CaClient, CaClientError, ClientTls, HttpCaClient, PeerCertificate, Persistence, StaplePolicy,
    TlsIdentity,
};
use model::{Clock, RevocationReason, Role, Timestamp, TrustDomain};
use rustls::pki_types::CertificateDer;
use tracing::{info, warn};

use super::error::StartError;
use crate::config::Member;

/// How long a start asks the CA before it says that it is away.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// What a certificate is obtained with.
pub(super) struct Enroller<'a> {
    /// The service.
    pub(super) member: &'a Member<'a>,
    /// The domain within which the CA's identity is looked for.
    pub(super) domain: &'a TrustDomain,
    /// Where the keys are.
    pub(super) keystore: &'a Arc<dyn KeyStore>,
    /// The time.
    pub(super) clock: &'a Arc<dyn Clock>,
}

/// The service's certificate, and the CA as seen with it.
pub(super) struct Certified {
    /// What renews the certificate.
    pub(super) enrolment: Enrolment,
    /// The certificate.
    pub(super) enrolled: Enrolled,
    /// What TLS presents.
    pub(super) identity: Arc<TlsIdentity>,
    /// The CA.
    pub(super) ca: Arc<dyn CaClient>,
}

/// A certificate that is there, and whom it belongs to.
struct Held {
    /// What TLS presents.
    identity: Arc<TlsIdentity>,
    /// What it says.
    certificate: PeerCertificate,
}

impl Enroller<'_> {
    /// Returns the service's certificate: the one that is kept, renewed where that
    /// is due, or a first one.
    ///
    /// # Errors
    ///
    /// `NotEnrolled` when neither a certificate nor an enrolment identity is
    /// there that counts; or why the CA did not certify.
    pub(super) async fn join(&self) -> Result<Certified, StartError> {
        let now = self.clock.now();
        let own = self.kept().await?.filter(|held| held.counts(now));
        let ticket = self.ticket().await?.filter(|held| held.counts(now));
        // An enrolment identity that is newer than our certificate was left to be used.
        let ticket = ticket.filter(|ticket| {
            own.as_ref()
                .is_none_or(|own| own.certificate.not_before < ticket.certificate.not_before)
        });
        let (enrolment, enrolled) = match (&ticket, &own) {
            (Some(ticket), _) => {
                let ca = self.ca(&ticket.identity)?;
                let enrolment = self.enrolment(Arc::clone(&ca) as _);
                let enrolled = enrolment.enrol().await?;
                info!(
                    peer.identity = %enrolment.identity,
                    cert.not_after = %enrolled.not_after,
                    "the CA certified this service as {}", enrolment.identity
                );
                self.use_up(ca.as_ref(), ticket).await;
                (enrolment, enrolled)
            }
            (None, Some(own)) => {
                let enrolment = self.enrolment(self.ca(&own.identity)? as _);
                let enrolled = enrolment.obtain().await?;
                (enrolment, enrolled)
            }
            (None, None) => return Err(StartError::NotEnrolled),
        };
        let identity = enrolled.tls_identity()?;
        // From now on as the service, with whatever certificate it has by then.
        let ca: Arc<dyn CaClient> = self.ca(&identity)?;
        Ok(Certified {
            enrolment: Enrolment {
                ca: Arc::clone(&ca),
                ..enrolment
            },
            enrolled,
            identity,
            ca,
        })
    }

    /// Says what the service is to be certified as.
    fn enrolment(&self, ca: Arc<dyn CaClient>) -> Enrolment {
        let service = self.member.service;
        Enrolment {
            keystore: Arc::clone(self.keystore),
            key: service.tls_key.clone(),
            algorithm: service.tls_key_algorithm,
            content: service.content.clone(),
            profile: service.profile.clone(),
            validity: None,
            identity: self.member.identity(),
            chain_file: self.member.chain_file.clone(),
            ca,
            clock: Arc::clone(self.clock),
        }
    }

    /// Takes the certificate that is kept, if its key is there.
    async fn kept(&self) -> Result<Option<Held>, StartError> {
        let path = &self.member.chain_file;
        if !path.exists() {
            return Ok(None);
        }
        let chain = match tls::certificates_from_pem_file(path) {
            Ok(chain) => chain,
            Err(error) => {
                warn!(path = ?path, "the kept certificate cannot be used: {error}");
                return Ok(None);
            }
        };
        self.held(&self.member.service.tls_key, Some(chain)).await
    }

    /// Takes the enrolment identity that was left in the keystore.
    async fn ticket(&self) -> Result<Option<Held>, StartError> {
        self.held(&self.member.service.enrolment_key, None).await
    }

    /// Takes a key and its certificate: `chain`, or what the keystore has.
    async fn held(
        &self,
        key: &KeyId,
        chain: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Option<Held>, StartError> {
        let (keystore, id) = (Arc::clone(self.keystore), key.clone());
        let found = tokio::task::spawn_blocking(move || {
            let private = match keystore.get_private_key(&id) {
                Err(hsm_keystore::Error::NoKey { .. }) => return Ok(None),
                outcome => outcome?,
            };
            let chain = match chain {
                Some(chain) => chain,
                None => match keystore.get_certificate(&id) {
                    Err(hsm_keystore::Error::NoCertificate { .. }) => return Ok(None),
                    outcome => vec![CertificateDer::from(outcome?)],
                },
            };
            Ok::<_, hsm_keystore::Error>(Some((private, chain)))
        });
        let Some((private, chain)) = found.await?? else {
            return Ok(None);
        };
        let Some(leaf) = chain.first() else {
            return Ok(None);
        };
        let certificate = PeerCertificate::parse(leaf).map_err(mesh::Error::from)?;
        match TlsIdentity::from_private_key(chain, private) {
            Ok(identity) => Ok(Some(Held {
                identity,
                certificate,
            })),
            // A certificate of a key that was made anew since.
            Err(mesh::Error::KeyMismatch) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Prepares the CA's client with an identity.
    fn ca(&self, identity: &Arc<TlsIdentity>) -> Result<Arc<HttpCaClient>, StartError> {
        let tls = ClientTls {
            anchors: tls::certificates_from_pem_file(&self.member.trust)?,
            identity: Some(Arc::clone(identity)),
            expected: Some(ExpectedServer {
                domain: self.domain.clone(),
                role: Role::ServiceCa,
            }),
            staple: StaplePolicy::IfPresent,
        };
        let persistence = Persistence {
            total: START_PATIENCE,
            ..Persistence::default()
        };
        Ok(Arc::new(HttpCaClient::new(
            &self.member.ca_url,
            &tls,
            persistence,
        )?))
    }

    /// Revokes an enrolment identity that has done its work, with itself: whoever
    /// copied it cannot enrol with it. What fails is logged; it ends soon anyway.
    async fn use_up(&self, ca: &HttpCaClient, ticket: &Held) {
        let request = RevokeRequest {
            target: RevokeTarget::Serial(ticket.certificate.serial.clone()),
            reason: RevocationReason::CessationOfOperation,
            invalidity_date: None,
            request_id: None,
        };
        match ca.revoke(&request).await {
            Ok(_) => info!(
                serial = %ticket.certificate.serial,
                "the enrolment identity is used up and revoked"
            ),
            Err(error) => self.report_unrevoked(&error, ticket),
        }
    }

    /// Tells that an enrolment identity still counts.
    fn report_unrevoked(&self, error: &CaClientError, ticket: &Held) {
        warn!(
            serial = %ticket.certificate.serial,
            cert.not_after = %ticket.certificate.not_after,
            "the enrolment identity could not be revoked and counts until {}: {error}",
            ticket.certificate.not_after
        );
    }
}

impl Held {
    /// Tells whether its certificate is good at this time.
    fn counts(&self, now: Timestamp) -> bool {
        now < self.certificate.not_after
    }
}
