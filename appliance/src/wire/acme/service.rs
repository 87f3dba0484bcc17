//! Putting the service together.

use std::sync::Arc;
use std::time::Duration;

use ::acme::caa::CaaChecker;
use ::acme::finalize::{FinalizeSettings, Finalizer};
use ::acme::policy::RateLimits;
use ::acme::validate::scheduler::{Parts, Scheduler};
use ::acme::{Acme, AcmeParts, AcmeService};
use ::store::acme::{AcmeError, AcmeStore};
use hsm_keystore::KeyStore;
use mesh::enrol::{Enrolled, Enrolment};
use mesh::revocation::{CrlChecker, CrlCheckerParts, WatchedIssuer, WatchedRole};
use mesh::stapling::{Stapler, StaplerParts};
use mesh::{PeerVerifier, RevocationSource, TlsIdentity};
use tracing::info;

use super::enrolment::{Enroller, Member};
use crate::config::Config;
use crate::failure::{Cause, Failure};
use crate::wire::serve::Process;

/// How long a start waits for the first CRL, and for the first OCSP response.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// Nobody has given it an identity.
    #[error("this service has no certificate, and no enrolment identity to ask the CA for one")]
    NotEnrolled,
    /// TLS, a listener or the CA.
    #[error(transparent)]
    Mesh(#[from] mesh::Error),
    /// The token.
    #[error("the keystore did not do it")]
    KeyStore(#[from] hsm_keystore::Error),
    /// The records.
    #[error("the ACME store did not do it")]
    Store(#[from] AcmeError),
    /// The service's parts.
    #[error(transparent)]
    Open(#[from] ::acme::OpenError),
    /// A part that cannot work as configured.
    #[error("{part} cannot be set up")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        source: Cause,
    },
    /// A chain without the issuing authority.
    #[error("the chain that the CA gave does not hold the issuing authority's certificate")]
    NoIssuer,
    /// A task that ended by a fault.
    #[error("a task ended by a fault")]
    Task(#[from] tokio::task::JoinError),
}

impl StartError {
    /// Tells whether the same may succeed later without this process being
    /// started again: the CA or the token is away, an identity that counts was not
    /// left yet.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NotEnrolled => true,
            // Refused or not: the remedy, another identity, comes from the running CA,
            // which may be of this very process.
            Self::Mesh(mesh::Error::Ca(_)) => true,
            // The system's name servers may not be known yet.
            Self::Part { .. } => true,
            // Trust that the CA's first start has yet to leave.
            Self::Mesh(mesh::Error::File { act: "read", .. }) => true,
            Self::Mesh(mesh::Error::KeyStore(error)) | Self::KeyStore(error) => {
                error.retry_after().is_some()
            }
            Self::Store(AcmeError::Store(error)) => error.is_transient(),
            Self::Mesh(_) | Self::Store(_) | Self::Open(_) | Self::NoIssuer | Self::Task(_) => {
                false
            }
        }
    }

    /// Says it to a person.
    pub(super) fn into_failure(self, config: &Config) -> Failure {
        let name = &config.acme.service.name;
        let enrol = format!(
            "leave an enrolment identity in its keystore: chancery identity issue --role acme \
             {name} on the CA's machine, or chancery init while the CA is stopped"
        );
        let advice = match &self {
            Self::NotEnrolled => enrol,
            Self::Mesh(mesh::Error::Ca(error)) if error.is_transient() => format!(
                "start the CA with `chancery serve`, or name where it is in [acme.service] ca_url; \
                 {} was tried",
                config
                    .acme
                    .service
                    .ca_url
                    .clone()
                    .unwrap_or_else(|| config.ca_url())
            ),
            Self::Mesh(mesh::Error::Ca(_)) => {
                format!("if its identity ended or was revoked, {enrol}")
            }
            Self::Mesh(mesh::Error::Bind { .. }) => {
                "choose other ports: [acme.open] listen and [acme.mesh] listen, or \
                 CHANCERY__ACME__OPEN__LISTEN and CHANCERY__ACME__MESH__LISTEN"
                    .to_owned()
            }
            Self::Store(_) => {
                "keep the store's directory as it is; docs/storage.md tells what can be done"
                    .to_owned()
            }
            _ => "chancery check tells what is wrong".to_owned(),
        };
        Failure::because("start the ACME service", self).next(advice)
    }
}

/// The service, bound, and what keeps it current.
pub(super) struct Opened {
    /// The listeners.
    pub(super) service: AcmeService,
    /// Renews the certificate.
    pub(super) enrolment: Enrolment,
    /// The certificate.
    pub(super) enrolled: Enrolled,
    /// What TLS presents.
    pub(super) identity: Arc<TlsIdentity>,
    /// Staples OCSP.
    pub(super) stapler: Stapler,
    /// Knows which clients no longer count.
    pub(super) checker: Arc<CrlChecker>,
    /// Where it learns that.
    pub(super) source: Arc<dyn RevocationSource>,
}

/// What a start has at hand.
pub(super) struct Starting<'a> {
    /// What the process has.
    pub(super) process: &'a Process<'a>,
    /// Where the keys are.
    pub(super) keystore: &'a Arc<dyn KeyStore>,
    /// The records.
    pub(super) store: &'a Arc<dyn AcmeStore>,
}

impl Starting<'_> {
    /// Obtains the certificate, takes up what was left unfinished, and binds.
    pub(super) async fn open(&self) -> Result<Opened, StartError> {
        let shared = self.process.shared;
        let enroller = Enroller {
            config: self.process.config,
            keystore: self.keystore,
            clock: &shared.clock,
        };
        let Member {
            enrolment,
            enrolled,
            identity,
            ca,
        } = enroller.join().await?;
        let source: Arc<dyn RevocationSource> = Arc::clone(&ca) as _;
        // The CA answers with the leaf, then the authority that issued it; what it
        // says came over TLS that leads to the configured anchor.
        let issuer = enrolled.chain.get(1).cloned().ok_or(StartError::NoIssuer)?;
        let checker = self.checker(issuer.to_vec()).await?;
        checker.first(&source, FIRST_PATIENCE).await;
        let clients = PeerVerifier::new(
            std::slice::from_ref(&issuer),
            Box::new(Arc::clone(&checker)),
        )?;
        let mut stapler = Stapler::new(StaplerParts {
            service: "acme",
            identity: Arc::clone(&identity),
            issuers: vec![issuer],
            source: Arc::clone(&source),
            kept: enroller.chain_file().with_extension("ocsp"),
            config: self.process.config.acme.stapling.clone(),
            clock: Arc::clone(&shared.clock),
            metrics: self.process.metrics.stapling.clone(),
        });
        stapler.prepare(FIRST_PATIENCE).await;
        let acme = self.acme(ca).await?;
        let service = AcmeService::bind(&acme, shared, &identity, &clients)?;
        checker.register_health(&shared.health);
        stapler.register_health(&shared.health);
        for url in service.external_urls() {
            info!(url = %url, "ACME clients find the directory at {url}/directory");
        }
        Ok(Opened {
            service,
            enrolment,
            enrolled,
            identity,
            stapler,
            checker,
            source,
        })
    }

    /// Makes what knows which clients no longer count.
    async fn checker(&self, certificate_der: Vec<u8>) -> Result<Arc<CrlChecker>, StartError> {
        let parts = CrlCheckerParts {
            service: "acme",
            issuers: vec![WatchedIssuer {
                id: self.process.config.ca.issuing_authority().clone(),
                certificate_der,
                role: WatchedRole::Clients,
            }],
            config: self.process.config.acme.revocation.clone(),
            directory: self.process.config.acme_crls(),
            clock: Arc::clone(&self.process.shared.clock),
            metrics: self.process.metrics.acme.revocation.clone(),
        };
        Ok(tokio::task::spawn_blocking(move || CrlChecker::open(parts)).await??)
    }

    /// Puts the protocol's parts together and takes up what was left unfinished.
    async fn acme(&self, ca: Arc<dyn mesh::CaClient>) -> Result<Arc<Acme>, StartError> {
        let config = self.process.config.acme.clone();
        let clock = Arc::clone(&self.process.shared.clock);
        let counts = &self.process.metrics.acme;
        let limits = Arc::new(RateLimits::new(config.rate_limits.clone()));
        let resolver = config
            .validation
            .resolver()
            .map_err(|error| StartError::Part {
                part: "the resolver of [acme.validation.dns]",
                source: error.into(),
            })?;
        let caa = config
            .caa
            .enabled
            .then(|| CaaChecker::new(Arc::clone(&resolver), config.caa.clone()));
        let validator = config
            .validation
            .validator(resolver, caa.clone())
            .map_err(|error| StartError::Part {
                part: "the validator",
                source: error.into(),
            })?;
        let prefix = config
            .canonical_url()
            .map_or_else(String::new, |url| format!("{url}/acme/account/"));
        let scheduler = Scheduler::start(Parts {
            validator: Arc::new(validator),
            store: Arc::clone(self.store),
            clock: Arc::clone(&clock),
            limits: config.validation.limits().clone(),
            account_url_prefix: prefix.into(),
            authorization_lifetime: config.authorization_lifetime.unsigned_abs(),
            metrics: counts.validation.clone(),
            on_failure: Some(Arc::clone(&limits) as _),
        });
        scheduler.resume().await?;
        let finalizer = Finalizer::start(
            Arc::clone(self.store),
            Arc::clone(&ca),
            Arc::clone(&clock),
            &FinalizeSettings {
                profiles: config.ca_profiles(),
                ..FinalizeSettings::default()
            },
            counts.finalize.clone(),
        );
        finalizer.resume().await?;
        Ok(Acme::open(AcmeParts {
            policy: Arc::new(config.policy.clone()),
            config,
            store: Arc::clone(self.store),
            ca,
            scheduler,
            finalizer,
            caa,
            limits,
            clock,
            metrics: counts.acme.clone(),
        })?)
    }
}
