//! The CA on the network: its own certificate, its listener, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mesh::enrol::{Enrolled, Enrolment};
use mesh::{AdmitAll, Health, PeerVerifier, Security, Server, ServerHandle, Shared, TlsIdentity};
use model::{Identity, ProfileName, Role};
use pki::profile::ProfileKind;
use rustls::pki_types::CertificateDer;

use crate::error::Error;
use crate::http;
use crate::issue::Ca;
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
}

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
    pub async fn bind(ca: Arc<Ca>, shared: &Shared, chain_file: PathBuf) -> Result<Self, Error> {
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
        let enrolled = enrolment.obtain().await?;
        let identity = enrolled.tls_identity()?;
        // The issuing authority alone: another one under the same root must not
        // make identities of this installation.
        let anchor = CertificateDer::from(ca.authorities.issuing.certificate.der().to_vec());
        let clients = PeerVerifier::new(&[anchor], Box::new(AdmitAll))?;
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
        })
    }

    /// Returns the address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Returns a handle that stops it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
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
        } = self;
        let renewal = enrolment.keep_current(identity, enrolled);
        let outcome = tokio::select! {
            outcome = server.run() => outcome,
            () = renewal => Ok(()),
        };
        ca.drain().await;
        Ok(outcome?)
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
