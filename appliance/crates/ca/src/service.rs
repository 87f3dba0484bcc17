//! The CA on the network: its own certificate, its listener, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh::enrol::{Enrolled, Enrolment};
use mesh::stapling::{Stapler, StaplerParts, StaplingMetrics};
use mesh::{Health, PeerVerifier, Security, Server, ServerHandle, Shared, TlsIdentity};
use model::{Identity, ProfileName, Role};
use pki::profile::ProfileKind;
use rustls::pki_types::CertificateDer;
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::error::Error;
use crate::http;
use crate::issue::Ca;
use crate::local::LocalClient;
use crate::views::PARTS;

/// The CA API, bound and ready to [run](Self::run).
#[derive(Debug)]
pub struct CaService {
    /// What it serves.
    ca: Arc<Ca>,
    /// The listener.
    server: Server,
    /// Renews the certificate.
    enrolment: Enrolment,
    /// The certificate now.
    enrolled: Enrolled,
    /// What handshakes present.
    identity: Arc<TlsIdentity>,
    /// Staples OCSP to it.
    stapler: Stapler,
    /// Signs OCSP answers.
    responder: Background,
}

/// How long a start waits for the first OCSP response to staple.
const STAPLE_PATIENCE: Duration = Duration::from_secs(5);

impl CaService {
    /// Certifies the CA API's own key where needed and binds the listener.
    ///
    /// `chain_file` is where the chain of the API's own certificate is kept.
    /// Readiness checks are registered with `shared.health`.
    ///
    /// # Errors
    ///
    /// `Mesh` when the address cannot be had, or the key cannot be made or
    /// certified.
    pub async fn bind(
        ca: Arc<Ca>,
        shared: &Shared,
        chain_file: PathBuf,
        stapling: StaplingMetrics,
    ) -> Result<Self, Error> {
        let config = &ca.config;
        let enrolment = Enrolment {
            keystore: Arc::clone(&ca.keystore),
            key: config.tls_key.clone(),
            algorithm: config.tls_key_algorithm,
            content: config.server_content.clone(),
            profile: ProfileName::new(ProfileKind::Service.as_str())
                .unwrap_or_else(|_| config.default_profile.clone()),
            validity: None,
            identity: Identity {
                role: Role::ServiceCa,
                name: config.name.clone(),
            },
            chain_file,
            ca: ca.local_client(),
            clock: Arc::clone(&ca.certifier.clock),
        };
        let kept_staple = enrolment.chain_file.with_extension("ocsp");
        let enrolled = enrolment.obtain().await?;
        let identity = enrolled.tls_identity()?;
        // Before anyone asks, and before the CA's own certificate is stapled.
        ca.publication.responder.prepare(&ca).await;
        let answering = Arc::clone(&ca.publication.responder).run(Arc::clone(&ca));
        let responder = Background::spawn(answering);
        let mut stapler = Stapler::new(StaplerParts {
            service: "ca",
            identity: Arc::clone(&identity),
            issuers: vec![CertificateDer::from(
                ca.authorities.issuing.certificate.der().to_vec(),
            )],
            source: Arc::new(LocalClient(Arc::clone(&ca))),
            kept: kept_staple,
            config: config.stapling.clone(),
            clock: Arc::clone(&ca.certifier.clock),
            metrics: stapling,
        });
        stapler.prepare(STAPLE_PATIENCE).await;
        // The issuing authority alone: another one under the same root must not
        // make identities of this installation.
        let anchor = CertificateDer::from(ca.authorities.issuing.certificate.der().to_vec());
        let clients =
            PeerVerifier::new(&[anchor], Box::new(Admission(Arc::clone(&ca.publication))))?;
        let security = Security::Mutual {
            identity: Arc::clone(&identity),
            clients,
        };
        let shared = Shared {
            domain: config.trust_domain.clone(),
            ..shared.clone()
        };
        register_checks(&ca, &shared.health);
        let server = Server::bind(
            "ca",
            &config.listener,
            &security,
            &shared,
            http::routes(Arc::clone(&ca)),
        )?;
        Ok(Self {
            ca,
            server,
            enrolment,
            enrolled,
            identity,
            stapler,
            responder,
        })
    }

    /// Returns the address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Returns a handle that stops it.
    #[must_use]
    pub fn handle(&self) -> CaHandle {
        CaHandle {
            ca: Arc::clone(&self.ca),
            server: self.server.handle(),
        }
    }

    /// Serves until stopped, renewing its own certificate at two thirds of its
    /// life; ends once nothing is being issued any more.
    ///
    /// # Errors
    ///
    /// `Mesh` when the server could not go on.
    pub async fn run(self) -> Result<(), Error> {
        let Self {
            ca,
            server,
            enrolment,
            enrolled,
            identity,
            stapler,
            responder,
        } = self;
        let renewal = enrolment.keep_current(identity, enrolled);
        let crls: Vec<_> = ca
            .publishers()
            .iter()
            .map(Arc::clone)
            .map(|publisher| Background::spawn(async move { publisher.run().await }))
            .collect();
        let outcome = tokio::select! {
            outcome = server.run() => outcome,
            () = renewal => Ok(()),
            () = stapler.run() => Ok(()),
        };
        ca.drain().await;
        // Each holds the store, which is to be closed.
        for task in crls.into_iter().chain([responder]) {
            task.end().await;
        }
        let responder = Arc::clone(&ca.publication.responder);
        tokio::task::spawn_blocking(move || responder.save()).await?;
        Ok(outcome?)
    }
}

/// Stops a [`CaService`] from anywhere.
#[derive(Debug, Clone)]
pub struct CaHandle {
    /// What is served.
    ca: Arc<Ca>,
    /// Stops the listener.
    server: ServerHandle,
}

impl CaHandle {
    /// Stops accepting, answers those who wait for news, lets requests end within
    /// the grace, then closes.
    pub fn stop(&self) {
        self.ca.ending.send_replace(true);
        self.server.stop();
    }
}

/// Work that ends with the one that needs it.
#[derive(Debug)]
struct Background(JoinHandle<()>);

impl Background {
    /// Begins it.
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Ends it, and lets go of what it holds.
    async fn end(mut self) {
        self.0.abort();
        // That it was given up is no news.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets `/readyz` tell what the CA stands on.
fn register_checks(ca: &Arc<Ca>, health: &Health) {
    for part in PARTS {
        let ca = Arc::clone(ca);
        health.register(&format!("ca-{}", part.as_str()), move || {
            ca.part(part).map(drop)
        });
    }
}
