//! A service that has joined the mesh: its certificate, its staple, and the CRLs
//! that tell which clients count.

use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::KeyStore;
use mesh::enrol::{Enrolled, Enrolment};
use mesh::revocation::{CrlChecker, CrlCheckerParts, WatchedIssuer, WatchedRole};
use mesh::stapling::{Stapler, StaplerParts};
use mesh::tls;
use mesh::{CaClient, Health, PeerVerifier, RevocationSource, TlsIdentity};
use rustls::pki_types::CertificateDer;

use super::error::StartError;
use super::join::{Certified, Enroller};
use crate::config::Member;
use crate::wire::serve::Process;

/// How long a start waits for the first CRL, and for the first OCSP response.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What a service has of the mesh.
pub(in crate::wire) struct Joined {
    /// Where its keys are.
    pub(in crate::wire) keystore: Arc<dyn KeyStore>,
    /// The CA, as seen by the service.
    pub(in crate::wire) ca: Arc<dyn CaClient>,
    /// What TLS presents.
    pub(in crate::wire) identity: Arc<TlsIdentity>,
    /// Tells which clients count.
    pub(in crate::wire) clients: Arc<PeerVerifier>,
    /// The issuing authority, then the anchors that the CA's certificate leads to.
    pub(in crate::wire) authorities: Vec<CertificateDer<'static>>,
    /// Renews the certificate.
    enrolment: Enrolment,
    /// The certificate.
    enrolled: Enrolled,
    /// Staples OCSP.
    stapler: Stapler,
    /// Knows which clients no longer count.
    pub(in crate::wire) checker: Arc<CrlChecker>,
    /// Where it learns that.
    source: Arc<dyn RevocationSource>,
}

impl Joined {
    /// Obtains the certificate, the first CRL and the first staple.
    ///
    /// # Errors
    ///
    /// When token or CA do not do it.
    pub(super) async fn join(
        process: &Process<'_>,
        member: &Member<'_>,
        keystore: &Arc<dyn KeyStore>,
    ) -> Result<Self, StartError> {
        let shared = process.shared;
        let enroller = Enroller {
            member,
            domain: process.config.trust_domain(),
            keystore,
            clock: &shared.clock,
        };
        let Certified {
            enrolment,
            enrolled,
            identity,
            ca,
        } = enroller.join().await?;
        let source: Arc<dyn RevocationSource> = Arc::clone(&ca) as _;
        // The CA answers with the leaf, then the authority that issued it; what it
        // says came over TLS that leads to the configured anchor.
        let issuer = enrolled.chain.get(1).cloned().ok_or(StartError::NoIssuer)?;
        let checker = open_checker(process, member, issuer.to_vec()).await?;
        checker.first(&source, FIRST_PATIENCE).await;
        let clients = PeerVerifier::new(
            std::slice::from_ref(&issuer),
            Box::new(Arc::clone(&checker)),
        )?;
        let mut authorities = vec![issuer.clone()];
        authorities.extend(tls::certificates_from_pem_file(&member.trust)?);
        let mut stapler = Stapler::new(StaplerParts {
            service: member.name,
            identity: Arc::clone(&identity),
            issuers: vec![issuer],
            source: Arc::clone(&source),
            kept: member.chain_file.with_extension("ocsp"),
            config: member.stapling.clone(),
            clock: Arc::clone(&shared.clock),
            metrics: process.metrics.stapling.clone(),
        });
        stapler.prepare(FIRST_PATIENCE).await;
        Ok(Self {
            keystore: Arc::clone(keystore),
            ca,
            identity,
            clients,
            authorities,
            enrolment,
            enrolled,
            stapler,
            checker,
            source,
        })
    }

    /// Has `/readyz` tell when staple or CRLs are no longer fresh.
    pub(super) fn register_health(&self, health: &Health) {
        self.checker.register_health(health);
        self.stapler.register_health(health);
    }

    /// Keeps certificate, staple and CRLs current, for as long as it is polled.
    pub(super) async fn keep_current(self) {
        tokio::select! {
            () = self.enrolment.keep_current(self.identity, self.enrolled) => {},
            () = self.stapler.run() => {},
            () = self.checker.follow(self.source) => {},
        }
    }
}

/// Makes what knows which clients no longer count.
async fn open_checker(
    process: &Process<'_>,
    member: &Member<'_>,
    certificate_der: Vec<u8>,
) -> Result<Arc<CrlChecker>, StartError> {
    let parts = CrlCheckerParts {
        service: member.name,
        issuers: vec![WatchedIssuer {
            id: process.config.ca.issuing_authority().clone(),
            certificate_der,
            role: WatchedRole::Clients,
        }],
        config: member.revocation.clone(),
        directory: member.crls.clone(),
        clock: Arc::clone(&process.shared.clock),
        metrics: process.metrics.revocation.clone(),
    };
    Ok(tokio::task::spawn_blocking(move || CrlChecker::open(parts)).await??)
}
