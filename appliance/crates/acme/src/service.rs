//! What the service does, apart from HTTP.

mod account;
mod attestation;
mod authorization;
mod chains;
mod finalize_order;
pub(crate) mod operator;
mod order;
mod refusal;
mod renewal;
pub(crate) mod request;
mod revocation;
mod torture;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand;
use mesh::CaClient;
use model::acme::{ChallengeKind, Identifier};
use model::{Clock, ProfileName, Timestamp};
use store::acme::{Account, AcmeStore, Authorization, Order};
use zeroize::Zeroizing;

pub use chains::ChainError;

use self::chains::AlternateChain;
use self::refusal::store_problem;
use self::renewal::KnownRevocations;
use self::request::Context;
use self::torture::Spared;
use crate::caa::CaaChecker;
use crate::config::CheckedAcmeConfig;
use crate::finalize::Finalizer;
use crate::jws::{KeyReference, base64url};
use crate::metrics::AcmeMetrics;
use crate::nonce::{NoRandomness, NonceRefused, Nonces};
use crate::policy::{Policy, RateLimits, Requester};
use crate::problem::{AcmeProblem, ErrorType};
use crate::urls::ExternalUrl;
use crate::validate::scheduler::{Full, Scheduler};
use crate::validate::{Attestor, CheckedDeviceAttest, RootsError};
use crate::wire::answer::MetaObject;

/// What the service is made of.
#[derive(Debug)]
pub struct AcmeParts {
    /// The configuration.
    pub config: CheckedAcmeConfig,
    /// Accounts, orders and authorizations.
    pub store: Arc<dyn AcmeStore>,
    /// The CA, asked about certificates and to revoke them.
    pub ca: Arc<dyn CaClient>,
    /// Validates challenges.
    pub scheduler: Scheduler,
    /// Has orders signed.
    pub finalizer: Finalizer,
    /// Asks CAA again at finalize; none where CAA is switched off.
    pub caa: Option<CaaChecker>,
    /// Which names whom.
    pub policy: Arc<Policy>,
    /// How often.
    pub limits: Arc<RateLimits>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: AcmeMetrics,
}

/// The ACME service.
pub struct Acme {
    /// The configuration.
    pub(crate) config: CheckedAcmeConfig,
    /// Accounts, orders and authorizations.
    pub(crate) store: Arc<dyn AcmeStore>,
    /// The CA, asked about certificates and to revoke them.
    ca: Arc<dyn CaClient>,
    /// Validates challenges.
    scheduler: Arc<Scheduler>,
    /// Has orders signed.
    finalizer: Finalizer,
    /// Asks CAA again at finalize.
    caa: Option<CaaChecker>,
    /// Which names whom.
    policy: Arc<Policy>,
    /// How often.
    limits: Arc<RateLimits>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: AcmeMetrics,
    /// Nonces.
    nonces: Nonces,
    /// Whom the torture mode refused.
    spared: Spared,
    /// The URL of accounts in CAA records.
    canonical_url: Option<ExternalUrl>,
    /// Where clients see its listeners, once they are bound.
    external_urls: OnceLock<Vec<ExternalUrl>>,
    /// What the CA said of certificates lately.
    revocations: KnownRevocations,
    /// Other paths above the issuing authority.
    alternates: Vec<Arc<AlternateChain>>,
    /// Verifies devices' attestations; none where they are switched off.
    attestor: Option<Attestor>,
}

/// Why the service cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The secret that nodes share cannot be read.
    #[error("cannot read the secret of nonces {path:?}")]
    SecretFile {
        /// The file.
        path: Box<Path>,
        /// What the system says.
        source: std::io::Error,
    },
    /// The secret that nodes share is none.
    #[error("{path:?} does not hold 32 octets in hexadecimal; `openssl rand -hex 32` makes them")]
    Secret {
        /// The file.
        path: Box<Path>,
    },
    /// An alternate chain that is none.
    #[error("{path:?} is no alternate chain")]
    AlternateChain {
        /// The file.
        path: Box<Path>,
        /// Why.
        source: ChainError,
    },
    /// Roots of attestations that are none.
    #[error("{path:?} holds no roots of attestations")]
    AttestationRoots {
        /// The file.
        path: Box<Path>,
        /// Why.
        source: RootsError,
    },
    /// The system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Acme {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// `SecretFile`, `Secret`, `AlternateChain`, `AttestationRoots` or `NoRandomness`.
    pub fn open(parts: AcmeParts) -> Result<Arc<Self>, OpenError> {
        let AcmeParts {
            config,
            store,
            ca,
            scheduler,
            finalizer,
            caa,
            policy,
            limits,
            clock,
            metrics,
        } = parts;
        let secret = config
            .nonce_secret_file
            .as_deref()
            .map(read_secret)
            .transpose()?;
        let alternates = config
            .alternate_chains
            .iter()
            .map(|path| {
                let chain = AlternateChain::read(path);
                chain
                    .map(Arc::new)
                    .map_err(|source| OpenError::AlternateChain {
                        path: path.as_path().into(),
                        source,
                    })
            })
            .collect::<Result<_, _>>()?;
        let attestor = config
            .validation
            .device_attest()
            .map(CheckedDeviceAttest::attestor)
            .transpose()
            .map_err(|(path, source)| OpenError::AttestationRoots {
                path: path.into(),
                source,
            })?;
        let nonces = Nonces::new(secret.as_deref(), config.nonces, Arc::clone(&clock))?;
        Ok(Arc::new(Self {
            canonical_url: config.canonical_url(),
            config,
            store,
            ca,
            scheduler: Arc::new(scheduler),
            finalizer,
            caa,
            policy,
            limits,
            clock,
            metrics,
            nonces,
            spared: Spared::default(),
            external_urls: OnceLock::new(),
            revocations: KnownRevocations::default(),
            alternates,
            attestor,
        }))
    }

    /// Says where clients see the listeners; once, when they are bound.
    pub(crate) fn announce(&self, urls: Vec<ExternalUrl>) {
        // A second service around the same parts keeps the first's URLs.
        let _ = self.external_urls.set(urls);
    }

    /// Returns where clients see the listeners.
    fn external_urls(&self) -> &[ExternalUrl] {
        self.external_urls.get().map_or(&[], Vec::as_slice)
    }

    /// Gives a nonce, to go with the answer to a request that ended in `problem`.
    pub(crate) fn nonce(&self, problem: Option<&AcmeProblem>) -> String {
        let is_retry = problem.is_some_and(|problem| problem.kind() == ErrorType::BadNonce);
        loop {
            self.metrics.nonces_issued.inc();
            let nonce = self.nonces.issue();
            // RFC 8555, 6.5: with badNonce comes "a fresh nonce that the server will
            // accept in a retry of the original query".
            if !(is_retry && self.tortures(&nonce)) {
                return nonce;
            }
        }
    }

    /// Tells whether the torture mode would refuse a nonce: its MAC decides, which is
    /// as good as chance and needs no memory.
    fn tortures(&self, nonce: &str) -> bool {
        let Some(torture) = &self.config.torture else {
            return false;
        };
        let chance = base64url::decode(nonce.as_bytes()).ok();
        chance
            .and_then(|octets| octets.last().copied())
            .is_some_and(|chance| {
                u32::from(chance) * 100 < u32::from(torture.refuse_nonces_percent) * 256
            })
    }

    /// Takes a nonce (RFC 8555, 6.5).
    ///
    /// # Errors
    ///
    /// `badNonce`, also at the torture mode's whim; `malformed` when there is none.
    fn redeem(&self, nonce: Option<&str>, signer: &KeyReference) -> Result<(), AcmeProblem> {
        let nonce = nonce.ok_or_else(|| {
            // RFC 8555, 6.5: a request without a nonce is malformed.
            AcmeProblem::malformed("the header lacks a nonce (RFC 8555, 6.5)")
        })?;
        let outcome = self.nonces.redeem(nonce);
        self.metrics.nonce(outcome);
        outcome.map_err(|refused| bad_nonce(&refused))?;
        if self.tortures(nonce) && !self.spared.takes(signer) {
            self.spared.spare(signer);
            return Err(AcmeProblem::new(
                ErrorType::BadNonce,
                "the nonce was good and is refused all the same: torture mode",
            ));
        }
        Ok(())
    }

    /// Has a challenge validated.
    fn submit(&self, authorization: &Authorization, kind: ChallengeKind) -> Result<(), Full> {
        let Some(torture) = &self.config.torture else {
            return self.scheduler.submit(authorization, kind).map(drop);
        };
        let (scheduler, authorization) = (Arc::clone(&self.scheduler), authorization.clone());
        let delay = torture.validation_delay;
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // A full queue: the store has the challenge as processing, and the
            // client may ask again.
            let _ = scheduler.submit(&authorization, kind);
        });
        Ok(())
    }

    /// Asks policy and limits about an order or a pre-authorization.
    ///
    /// # Errors
    ///
    /// `rejectedIdentifier`, `unauthorized` or `rateLimited`.
    async fn admit_order(
        &self,
        context: &Context,
        account: &Account,
        identifiers: &[Identifier],
        profile: &ProfileName,
        renewal: bool,
    ) -> Result<(), AcmeProblem> {
        let key = match &account.binding {
            Some(binding) => self
                .store
                .eab_key(&binding.key)
                .await
                .map_err(store_problem)?,
            None => None,
        };
        let policy = key.as_ref().and_then(|key| key.policy.as_deref());
        let requester = Requester::of(account, policy);
        self.policy
            .allows(&requester, identifiers, Some(profile))
            .map_err(|refusal| refusal.to_problem())?;
        self.limits
            .new_order(
                &requester,
                &account.id,
                context.client,
                identifiers,
                renewal,
                context.now,
            )
            .map_err(|limited| limited.to_problem())
    }

    /// Tells whether a valid order is to be shown as it was a moment ago.
    pub(crate) fn shows_as_processing(&self, order: &Order, now: Timestamp) -> bool {
        match (&self.config.torture, order.state.certificate()) {
            (Some(torture), Some(certificate)) => {
                now < order::after(certificate.at, torture.processing)
            }
            (Some(_), None) | (None, _) => false,
        }
    }

    /// Returns an order's chains, the default one first.
    pub(crate) fn chains_of(&self, order: &Order) -> Vec<Box<str>> {
        chains::chains_of(order, &self.alternates)
    }

    /// Returns the directory's `meta`.
    pub(crate) fn meta(&self, external_account_required: bool) -> MetaObject {
        MetaObject {
            terms_of_service: self.config.terms_of_service.as_deref().map(str::to_owned),
            website: self.config.website.clone(),
            caa_identities: self
                .config
                .caa
                .identities
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect(),
            external_account_required,
            profiles: self
                .config
                .profiles
                .iter()
                .map(|(name, offer)| (name.to_string(), offer.description.clone()))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

/// States that a nonce does not count.
fn bad_nonce(refused: &NonceRefused) -> AcmeProblem {
    AcmeProblem::new(
        ErrorType::BadNonce,
        format!("{refused}; take the one in this answer's Replay-Nonce"),
    )
}

/// Reads the secret that nodes share.
fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| OpenError::SecretFile {
            path: path.into(),
            source,
        })?;
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), secret.as_mut_slice())
        .map_err(|_| OpenError::Secret { path: path.into() })?;
    Ok(secret)
}

/// Draws random octets.
///
/// # Errors
///
/// `serverInternal` when the system gives none.
fn draw<const N: usize>() -> Result<[u8; N], AcmeProblem> {
    let mut octets = [0; N];
    rand::fill(&mut octets).map_err(|_| AcmeProblem::internal(NoRandomness))?;
    Ok(octets)
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
