//! Issuing one certificate, step by step.
//!
//! 1. May the peer's role use this profile, and have this identity certified?
//! 2. Is there room, and can the clock be believed?
//! 3. The request becomes a checked one: proof of possession, key, names, limits.
//! 4. The profile plans the certificate under a fresh serial number; where it is to carry
//!    a timestamp, that is linted, brought to disk and signed in between (`ct`).
//! 5. The lint reads the plan as encoded; only what comes out can be signed.
//! 6. The intent is brought to disk. 7. The token signs. 8. The certificate is
//!    assembled and compared. 9. It is brought to disk (`certify`).
//! 10. It is handed out.
//!
//! Steps 3 to 5 run where the request does: for the usual request they take
//! about a tenth of a millisecond, less than a change of threads under load.
//! Long requests, and with them all large RSA keys, go to the blocking pool.

mod opening;
mod plan;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm_keystore::KeyStore;
use model::{Clock, IssuerId, Role, Timestamp};
use pki::csr::{CheckedCsr, CsrError};
use pki::key_check::{KeyPolicy, WeakKey};
use pki::names::UriName;
use pki::pem;
use pki::profile::{Profile, ProfileRefusal};
use prometheus_client::metrics::gauge::Gauge;
use store::RevocationStore;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tracing::{info, warn};

pub(crate) use opening::newest_act;
use opening::{check_kept, key_policy, root_key};
use plan::Basis;
pub(crate) use request::fingerprint;
pub use request::{IssueRequest, Issued, Requester};

use crate::authority::{Authorities, Authority};
use crate::certify::{Certified, Certifier, Signer, Timings};
use crate::clock::ClockGuard;
use crate::config::CheckedCaConfig;
use crate::crl::{Cause, CrlError, Publisher, PublisherParts};
use crate::ct::LogKey;
use crate::error::Error;
use crate::grants::Call;
use crate::metrics::{CaMetrics, Step};
use crate::publication::Publication;
use crate::refusal::{Refusal, chain};
use crate::serial::SerialSource;
use crate::settle::settle;

/// What a CA is built from.
#[derive(Debug)]
pub struct CaParts {
    /// The configuration.
    pub config: CheckedCaConfig,
    /// The keystore of the issuing authority and of the CA API's TLS key.
    pub keystore: Arc<dyn KeyStore>,
    /// Where everything is recorded.
    pub store: Arc<dyn RevocationStore>,
    /// What is published; opened over the same store.
    pub publication: Arc<Publication>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: CaMetrics,
}

/// The certificate authority, open for business.
#[derive(Debug)]
pub struct Ca {
    /// The configuration.
    pub(crate) config: CheckedCaConfig,
    /// The authorities.
    pub(crate) authorities: Authorities,
    /// The keystore of the issuing authority.
    pub(crate) keystore: Arc<dyn KeyStore>,
    /// What signs certificate timestamps, where there are any.
    pub(crate) log: Option<LogKey>,
    /// Records and signs.
    pub(crate) certifier: Certifier,
    /// Where everything is recorded.
    pub(crate) store: Arc<dyn RevocationStore>,
    /// What is published.
    pub(crate) publication: Arc<Publication>,
    /// Those who issue CRLs: of each authority whose key is there.
    publishers: Vec<Arc<Publisher>>,
    /// Where serial numbers come from.
    serials: SerialSource,
    /// Holds the clock to what was recorded.
    pub(crate) clock_guard: Arc<ClockGuard>,
    /// One for each certificate that may be issued at a time.
    permits: Semaphore,
    /// Which keys are taken.
    key_policy: KeyPolicy,
    /// Interrupted intents that opening settled.
    pub(crate) settled: u64,
    /// When it was opened.
    pub(crate) started_at: Timestamp,
    /// Where work goes on whose client went away.
    pub(crate) runtime: Handle,
    /// One for each client that may wait for the next CRL.
    pub(crate) waiters: Semaphore,
    /// Whether the service ends: nobody waits any longer then.
    pub(crate) ending: watch::Sender<bool>,
}

/// Longest request, DER, that is checked on the request's own thread: any EC or
/// Ed25519 request with some names and RSA up to 2048 bits are shorter.
const CHECKED_IN_PLACE: usize = 1024;

/// Serial numbers tried; a second one is needed once in 2^64 certificates.
const SERIAL_ATTEMPTS: usize = 3;

impl Ca {
    /// Opens the authorities and settles what an interruption left.
    ///
    /// # Errors
    ///
    /// `NoCeremony` before `chancery init`, `AuthorityDiffers` when the token
    /// holds other authorities than are configured, `ReadBlockedKeys` or
    /// `BlockedKeys` when the list of those cannot be read, `KeyStore` or `Store`
    /// when one of them does not serve; [`Error::is_transient`] tells whether trying
    /// again may help.
    pub async fn open(parts: CaParts) -> Result<Arc<Self>, Error> {
        let CaParts {
            config,
            keystore,
            store,
            publication,
            clock,
            metrics,
        } = parts;
        let opening = {
            let (config, keystore) = (config.clone(), Arc::clone(&keystore));
            move || {
                let authorities = Authorities::open(&config, keystore.as_ref())?;
                let serials = SerialSource::new(config.node, keystore.as_ref())?;
                let key_policy = key_policy(&config)?;
                let root_key = root_key(&config, keystore.as_ref(), &authorities);
                let log = config
                    .ct
                    .as_ref()
                    .map(|ct| LogKey::open(ct, keystore.as_ref()))
                    .transpose()?;
                Ok::<_, Error>((authorities, root_key, serials, key_policy, log))
            }
        };
        let (authorities, root_key, serials, key_policy, log) =
            tokio::task::spawn_blocking(opening).await??;
        check_kept(&config, &authorities, &publication).await?;
        let newest = newest_act(store.as_ref()).await?;
        let clock_guard = Arc::new(ClockGuard::new(
            newest,
            config.clock_tolerance,
            config.max_clock_jump,
        ));
        let settled = settle(store.as_ref(), clock.as_ref(), &metrics).await?;
        let publisher = |authority: &Authority, root| {
            Publisher::new(PublisherParts {
                issuer: authority.id.clone(),
                root,
                facts: Arc::new(authority.facts.clone()),
                since: authority.certificate.not_before(),
                key: Arc::clone(&authority.key),
                scheme: authority.scheme,
                publication: Arc::clone(&publication),
                store: Arc::clone(&store),
                clock: Arc::clone(&clock),
                clock_guard: Arc::clone(&clock_guard),
                config: config.crl.clone(),
                node: config.node,
                sign_timeout: config.sign_timeout,
                metrics: metrics.clone(),
            })
        };
        let mut publishers = vec![publisher(&authorities.issuing, false)];
        publishers.extend(root_key.map(|root| publisher(&root, true)));
        Ok(Arc::new(Self {
            permits: Semaphore::new(config.max_in_flight),
            publishers,
            publication,
            waiters: Semaphore::new(config.crl.max_waiters),
            ending: watch::Sender::new(false),
            store: Arc::clone(&store),
            certifier: Certifier {
                store,
                clock: Arc::clone(&clock),
                metrics,
                sign_timeout: config.sign_timeout,
            },
            authorities,
            keystore,
            log,
            serials,
            clock_guard,
            key_policy,
            settled,
            started_at: clock.now(),
            runtime: Handle::current(),
            config,
        }))
    }

    /// Finds who issues an authority's CRLs; none where its key is elsewhere.
    pub(crate) fn publisher(&self, issuer: &IssuerId) -> Option<&Arc<Publisher>> {
        self.publishers
            .iter()
            .find(|publisher| publisher.issuer() == issuer)
    }

    /// Issues every CRL of every authority whose key is there.
    ///
    /// # Errors
    ///
    /// What stopped the first that was not issued.
    pub async fn issue_crls(&self) -> Result<(), CrlError> {
        for publisher in &self.publishers {
            publisher.publish(&publisher.kinds(), Cause::Due).await?;
        }
        Ok(())
    }

    /// Returns all who issue CRLs.
    pub(crate) fn publishers(&self) -> &[Arc<Publisher>] {
        &self.publishers
    }

    /// Returns the authorities.
    #[must_use]
    pub fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// Issues a certificate.
    ///
    /// Must be polled to its end: a future dropped in the middle leaves an open
    /// intent until the next start.
    ///
    /// # Errors
    ///
    /// Why nothing was issued; see [`Refusal`].
    pub async fn issue(self: Arc<Self>, request: IssueRequest) -> Result<Issued, Refusal> {
        let began = Instant::now();
        let metrics = &self.certifier.metrics;
        let outcome = {
            let _in_flight = InFlight::count(&metrics.in_flight);
            self.attempt(&request, began).await
        };
        if let Err(refusal) = &outcome {
            let problem = crate::http::problem_type(refusal);
            metrics.refused(problem.slug());
            let peer = request.requester.label();
            let why = chain(refusal);
            if refusal.is_ours() {
                warn!(
                    peer.identity = %peer, reason = problem.slug(),
                    request_id = %request.request_id,
                    "could not issue a certificate for {peer}: {why}"
                );
            } else {
                info!(
                    peer.identity = %peer, reason = problem.slug(),
                    request_id = %request.request_id,
                    "refused to issue a certificate for {peer}: {why}"
                );
            }
        }
        outcome
    }

    /// Takes the steps.
    async fn attempt(&self, request: &IssueRequest, began: Instant) -> Result<Issued, Refusal> {
        // 1: role, profile, identity.
        let profile = self.profile_for(request)?;
        let identity = self.identity_for(request, &profile)?;

        // 2: room and time.
        let _permit = self.permits.try_acquire().map_err(|_| Refusal::QueueFull {
            limit: self.config.max_in_flight,
        })?;
        self.clock_guard
            .check(self.certifier.clock.now(), Instant::now())?;

        // 3: the request.
        let csr = self.check_csr(&request.csr_der).await?;
        if self
            .publication
            .revocations
            .is_blocked(&csr.public_key().sha256())
        {
            return Err(CsrError::WeakKey(WeakKey::Blocked).into());
        }
        let checked = Instant::now();
        self.certifier.metrics.step(Step::Check, checked - began);

        let mut attempt = 1;
        loop {
            // 4 and 5: plan and lint; in between, the log's timestamp.
            let basis = Basis {
                csr: &csr,
                profile: &profile,
                identity: identity.clone(),
                request,
            };
            let linted = self.plan(basis).await?;

            // 6 to 9: intent, signature, certificate.
            let issuing = &self.authorities.issuing;
            let signer = Signer {
                issuer: &issuing.id,
                key: issuing.key.as_ref(),
                scheme: issuing.scheme,
            };
            match self
                .certifier
                .certify(signer, linted, request.circumstances(profile.name()))
                .await
            {
                Err(Refusal::Store(store::Error::SerialTaken { .. }))
                    if attempt < SERIAL_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(refusal) => return Err(refusal),
                Ok(Certified::Replayed(record)) => {
                    self.certifier.metrics.replayed.inc();
                    let certificate_der = record
                        .certificate_der()
                        .map(<[u8]>::to_vec)
                        // The store replays only what was issued.
                        .ok_or_else(|| Refusal::InProgress {
                            serial: record.intent.serial.clone(),
                        })?;
                    return Ok(Issued {
                        serial: record.intent.serial.clone(),
                        certificate_der,
                        replayed: true,
                    });
                }
                Ok(Certified::New {
                    certificate,
                    timings,
                }) => {
                    // 10: handed out.
                    self.certifier.metrics.issued(profile.name());
                    let facts = certificate.facts();
                    self.publication
                        .responder
                        .issued(&issuing.id, &facts.serial, facts.not_after);
                    let issued = Issued {
                        serial: facts.serial.clone(),
                        replayed: false,
                        certificate_der: Vec::new(),
                    };
                    self.log(
                        request,
                        &csr,
                        &profile,
                        facts,
                        &timings,
                        checked - began,
                        began,
                    );
                    return Ok(Issued {
                        certificate_der: certificate.into_der(),
                        ..issued
                    });
                }
            }
        }
    }

    /// Finds the profile, if the requester may use it.
    fn profile_for(&self, request: &IssueRequest) -> Result<Arc<Profile>, Refusal> {
        let grants = &self.config.grants;
        let name = request
            .profile
            .as_ref()
            .unwrap_or(&self.config.default_profile);
        if let Requester::Peer(peer) = &request.requester
            && !grants.allows_call(peer.role, Call::Sign)
        {
            return Err(Refusal::RoleForbidden {
                peer: peer.clone(),
                call: Call::Sign,
            });
        }
        let profile = self
            .config
            .profiles
            .get(name)
            .ok_or_else(|| Refusal::ProfileUnknown {
                profile: name.clone(),
            })?;
        match &request.requester {
            Requester::Peer(peer) if !grants.allows_profile(peer.role, name) => {
                Err(Refusal::ProfileForbidden {
                    peer: peer.clone(),
                    profile: name.clone(),
                })
            }
            // Whoever verifies forges' tokens vouches for what they say, and no one else.
            Requester::Peer(peer)
                if request.forge.is_some() && peer.role != Role::ServiceSigning =>
            {
                Err(Refusal::ForgeForbidden { peer: peer.clone() })
            }
            Requester::Peer(_) | Requester::Ca => Ok(Arc::clone(profile)),
        }
    }

    /// Decides the identity to certify, if the profile grants one.
    fn identity_for(
        &self,
        request: &IssueRequest,
        profile: &Profile,
    ) -> Result<Option<UriName>, Refusal> {
        let refuse = |source| Refusal::Profile {
            profile: profile.name().clone(),
            source,
        };
        let wanted = match (&request.identity, profile.grants_identity()) {
            (Some(_), false) => return Err(refuse(ProfileRefusal::Identity { wanted: false })),
            (None, false) => return Ok(None),
            (wanted, true) => wanted.clone(),
        };
        let identity = match (&request.requester, wanted) {
            (Requester::Ca, wanted) => wanted,
            (Requester::Peer(peer), None) => self.config.grants.own_identity(peer, profile),
            (Requester::Peer(peer), Some(wanted)) => {
                if !self.config.grants.allows_identity(peer, profile, &wanted) {
                    return Err(Refusal::IdentityForbidden {
                        peer: peer.clone(),
                        wanted,
                    });
                }
                Some(wanted)
            }
        };
        let identity = identity.ok_or_else(|| refuse(ProfileRefusal::Identity { wanted: true }))?;
        UriName::new(&identity.to_uri(&self.config.trust_domain))
            .map(Some)
            .map_err(|_| refuse(ProfileRefusal::IdentityNotSpiffe))
    }

    /// Checks a request, on the blocking pool if it is long.
    async fn check_csr(&self, csr_der: &[u8]) -> Result<CheckedCsr, Refusal> {
        let limits = self.config.csr_limits;
        if csr_der.len() <= CHECKED_IN_PLACE {
            return Ok(CheckedCsr::parse(csr_der, &limits, &self.key_policy)?);
        }
        let (csr_der, policy) = (csr_der.to_vec(), self.key_policy.clone());
        let check = move || CheckedCsr::parse(&csr_der, &limits, &policy);
        Ok(tokio::task::spawn_blocking(check).await??)
    }

    /// Writes the one log line of an issued certificate.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that the log line says, and used once"
    )]
    fn log(
        &self,
        request: &IssueRequest,
        csr: &CheckedCsr,
        profile: &Profile,
        facts: &pki::certificate::CertificateFacts,
        timings: &Timings,
        checked: Duration,
        began: Instant,
    ) {
        /// Milliseconds with a fraction.
        fn ms(duration: Duration) -> f64 {
            duration.as_secs_f64() * 1_000.0
        }
        let (serial, subject) = (&facts.serial, &facts.subject);
        let peer = request.requester.label();
        info!(
            cert.serial = %serial,
            cert.profile = %profile.name(),
            cert.subject = %subject,
            cert.names = %bounded(&facts.names),
            cert.not_after = %facts.not_after,
            csr.key = %csr.public_key().key_type(),
            issuer = %self.authorities.issuing.id,
            peer.identity = %peer,
            request_id = %request.request_id,
            duration.check_ms = ms(checked),
            duration.intent_ms = ms(timings.intent),
            duration.sign_ms = ms(timings.sign),
            duration.record_ms = ms(timings.record),
            duration.total_ms = ms(began.elapsed()),
            "issued certificate {serial}"
        );
    }

    /// Returns a leaf with the authorities above it, without the root, PEM.
    #[must_use]
    pub fn chain_pem(&self, certificate_der: &[u8]) -> String {
        let mut chain = pem::write_certificate(certificate_der);
        chain.push_str(&self.authorities.issuing.chain_pem);
        chain
    }

    /// Waits until nothing is being issued. New requests are refused meanwhile
    /// and afterwards.
    pub async fn drain(&self) {
        let all = u32::try_from(self.config.max_in_flight).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
    }
}

/// Holds an issuance's place in the gauge, whatever becomes of it.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    /// Counts one more.
    fn count(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Names shown in a log line.
const LOGGED_NAMES: usize = 5;

/// Writes the first names, and how many there are besides.
fn bounded(names: &[String]) -> String {
    let shown: Vec<&str> = names
        .iter()
        .take(LOGGED_NAMES)
        .map(|name| {
            let end = name
                .char_indices()
                .nth(100)
                .map_or(name.len(), |(end, _)| end);
            name.get(..end).unwrap_or_default()
        })
        .collect();
    let mut text = shown.join(" ");
    if names.len() > LOGGED_NAMES {
        text.push_str(&format!(" and {} more", names.len() - LOGGED_NAMES));
    }
    text
}
