//! The service: what it is made of, and what it does apart from HTTP and signing.

mod root;
mod settle;
mod stamp;
mod verify;
mod withdraw;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use model::{Clock, Identity, TrustDomain};
use pki::certificate::Certificate;
use store::signing::{SignatureRecord, SigningStore};

pub use settle::SettledReport;
pub(crate) use verify::Proof;

use crate::config::{CheckedProfile, CheckedSigningConfig};
use crate::facts::{Answer, Facts};
use crate::keys::{CertifiedKey, SigningKeys};
use crate::log::TransparencyLog;
use crate::memory::EvidenceMemory;
use crate::metrics::SigningMetrics;
use crate::oidc::{ForgeLeafError, ForgeLeaves};
use crate::policy::{Policy, RateLimiter, Rule, Verdict};
use crate::problem::SigningProblem;
use crate::request::Ask;
use crate::revocation::RevocationLists;
use crate::seams::Announce;
use crate::sign::Admitted;
use crate::trust::{BuilderTrust, TrustError};
use crate::urls::ExternalUrl;

/// What the service is made of.
#[derive(Debug)]
pub struct SigningParts {
    /// The configuration.
    pub config: CheckedSigningConfig,
    /// Signatures, time-stamps, the log and the queues.
    pub store: Arc<dyn SigningStore>,
    /// The keys that sign.
    pub keys: Arc<SigningKeys>,
    /// The authorities above the keys' certificates: the root, and what is below it.
    pub authorities: Vec<Certificate>,
    /// Revocation lists of those authorities, for `/v1/verify`; and how old they are.
    pub crl: Option<Arc<dyn RevocationLists>>,
    /// Who this service is.
    pub identity: Identity,
    /// The domain of its identity.
    pub domain: TrustDomain,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: SigningMetrics,
    /// The transparency log, where it is on.
    pub log: Option<Arc<TransparencyLog>>,
    /// Certificates of CI jobs that a forge vouches for, where jobs are enrolled.
    pub forge: Option<Arc<ForgeLeaves>>,
    /// Tells others, where somebody wants to be told.
    pub announce: Option<Arc<dyn Announce>>,
}

/// The signing service.
pub struct Signing {
    /// The configuration.
    pub(crate) config: CheckedSigningConfig,
    /// Signatures, time-stamps, the log and the queues.
    pub(crate) store: Arc<dyn SigningStore>,
    /// The keys that sign.
    pub(crate) keys: Arc<SigningKeys>,
    /// The authorities above the keys' certificates.
    authorities: Vec<Certificate>,
    /// How old the CRL is.
    pub(crate) crl: Option<Arc<dyn RevocationLists>>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: SigningMetrics,
    /// The transparency log.
    pub(crate) log: Option<Arc<TransparencyLog>>,
    /// Certificates of CI jobs.
    forge: Option<Arc<ForgeLeaves>>,
    /// Tells others.
    pub(crate) announce: Option<Arc<dyn Announce>>,
    /// What vouches for builders.
    pub(crate) trust: Arc<BuilderTrust>,
    /// How often.
    pub(crate) rates: RateLimiter,
    /// How much evidence is in memory.
    pub(crate) memory: EvidenceMemory,
    /// The service's URI in verdicts.
    pub(crate) verifier_id: String,
    /// Where clients see it, once it is bound.
    url: OnceLock<ExternalUrl>,
    /// The latest time that anything was recorded at, in seconds.
    latest: AtomicI64,
}

/// Why the service cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What vouches for builders.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// How far the clock may go back before nothing is signed any more.
const MAX_SETBACK_S: i64 = 5;

impl Signing {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// `Trust` when a file that profiles name cannot be used.
    pub fn open(parts: SigningParts) -> Result<Arc<Self>, OpenError> {
        let SigningParts {
            config,
            store,
            keys,
            authorities,
            crl,
            identity,
            domain,
            clock,
            metrics,
            log,
            forge,
            announce,
        } = parts;
        let trust = Arc::new(BuilderTrust::open(&config)?);
        let memory = EvidenceMemory::new(
            config.limits.evidence_memory_bytes,
            metrics.evidence_memory.clone(),
        );
        let signing = Self {
            config,
            store,
            keys,
            authorities,
            crl,
            clock,
            metrics,
            log,
            forge,
            announce,
            trust,
            rates: RateLimiter::default(),
            memory,
            verifier_id: identity
                .to_uri(&domain)
                .replacen("spiffe://", "https://", 1),
            url: OnceLock::new(),
            latest: AtomicI64::new(i64::MIN),
        };
        signing.trust.set_own(signing.trusted_root());
        Ok(Arc::new(signing))
    }

    /// Says where clients see the service; once, when its listener is bound.
    pub(crate) fn announce_url(&self, url: ExternalUrl) {
        // A second listener of the same service keeps the first's URL.
        let _ = self.url.set(url);
    }

    /// Returns where clients see the service.
    pub(crate) fn url(&self) -> Result<&ExternalUrl, SigningProblem> {
        self.url
            .get()
            .ok_or_else(|| SigningProblem::internal(NotBound))
    }

    /// Returns the same as text, empty before the listener is bound.
    pub(crate) fn base_url(&self) -> String {
        self.url
            .get()
            .map_or_else(String::new, |url| url.as_str().to_owned())
    }

    /// Returns the time, if anything may be signed at it.
    ///
    /// # Errors
    ///
    /// `Clock` when it contradicts what was recorded before: time-stamps must not lie.
    pub(crate) fn now(&self) -> Result<Timestamp, SigningProblem> {
        let now = self.clock.now();
        let latest = self.latest.fetch_max(now.as_second(), Ordering::Relaxed);
        if now.as_second() < latest.saturating_sub(MAX_SETBACK_S) {
            return Err(SigningProblem::Clock);
        }
        Ok(now)
    }

    /// Notes a time that something was recorded at.
    fn note_time(&self, at: Timestamp) {
        self.latest.fetch_max(at.as_second(), Ordering::Relaxed);
    }

    /// Returns the key of a profile.
    pub(crate) fn key_of(
        &self,
        profile: &CheckedProfile,
    ) -> Result<Arc<CertifiedKey>, SigningProblem> {
        self.keys
            .artifact_key(&profile.key)
            .ok_or_else(|| SigningProblem::internal(NoKey))
    }

    /// Returns what signs for a request: the profile's key, for a CI job with a
    /// certificate that names the job.
    pub(crate) async fn key_for(
        &self,
        admitted: &Admitted,
    ) -> Result<Arc<CertifiedKey>, SigningProblem> {
        let key = self.key_of(&admitted.profile)?;
        let Some(peer) = admitted.ask.requester.peer() else {
            return Ok(key);
        };
        if peer.certificate().forge_claims().is_none() {
            return Ok(key);
        }
        let request_id = Some(admitted.ask.request_id.clone());
        let forge = self
            .forge
            .as_ref()
            .ok_or_else(|| SigningProblem::internal(NoForge))?;
        let leaf = forge
            .leaf(peer.certificate(), key.key().as_ref(), request_id)
            .await
            .map_err(|error| SigningProblem::Ca {
                kind: match &error {
                    ForgeLeafError::Ca(error) => error.problem_type(),
                    _ => None,
                },
                source: Box::new(error),
            })?;
        let chain = leaf
            .chain
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(SigningProblem::internal)?;
        CertifiedKey::for_artifacts(Arc::clone(key.key()), chain)
            .map(Arc::new)
            .map_err(SigningProblem::internal)
    }

    /// Asks what a CI job's token allows.
    pub(crate) fn check_forge(&self, ask: &Ask, policy: &Policy, verdict: &mut Verdict) {
        let Some(peer) = ask.requester.peer() else {
            return;
        };
        let Some(claims) = peer.certificate().forge_claims() else {
            return;
        };
        let allowed = self
            .config
            .oidc
            .allows(&peer.identity().name, claims, &policy.profile);
        verdict.note(
            Rule::ForgeClaims,
            allowed,
            || format!("a rule of the forge's for {}", policy.profile),
            || claims.build_signer_uri().to_owned(),
        );
    }

    /// Counts and logs a signature.
    pub(crate) fn note_signed(&self, record: &SignatureRecord, admitted: &Admitted, facts: &Facts) {
        let profile = &record.profile;
        self.metrics.request(profile.as_str(), "signed");
        let seconds = self.clock.now().duration_since(admitted.now);
        self.metrics
            .duration
            .observe(seconds.as_secs_f64().max(0.0));
        if let store::signing::SignatureState::Signed { answer_json, .. } = &record.state
            && let Some(answer) = Answer::read(answer_json)
        {
            self.metrics
                .token_signatures
                .inc_by(answer.token_signatures);
        }
        let artifact = record
            .digests
            .first()
            .map_or_else(String::new, ToString::to_string);
        let (sbom, provenance) = (facts.sbom.as_ref(), facts.provenance.as_ref());
        tracing::info!(
            signature.id = %record.id,
            signature.profile = %profile,
            signature.signer = %record.signer,
            request_id = record.request_id.as_str(),
            artifact.digest = artifact,
            artifact.name = record.name.as_ref().map(|name| name.as_str()),
            artifact.bytes = facts.size,
            sbom.format = sbom.map(|sbom| sbom.format.as_str()),
            sbom.sha256 = sbom.map(|sbom| sbom.sha256.as_str()),
            sbom.components = sbom.map(|sbom| sbom.components),
            provenance.builder = provenance.map(|one| one.builder.as_str()),
            provenance.build_type = provenance.map(|one| one.build_type.as_str()),
            provenance.source = provenance.and_then(|one| one.source.as_deref()),
            provenance.r#ref = provenance.and_then(|one| one.reference.as_deref()),
            provenance.materials = provenance.map(|one| one.materials),
            provenance.signer = provenance.and_then(|one| one.signer.as_deref()),
            provenance.level = provenance.map(|one| one.level),
            "signed {artifact} for {} as {}", record.signer, record.id
        );
    }

    /// Counts and logs a request that was not met.
    pub(crate) fn note_refused(&self, profile: &str, problem: &SigningProblem) {
        self.metrics.request(profile, problem.kind().slug());
        if let Some(rule) = problem.rule() {
            self.metrics.refusal(rule);
        }
    }
}

/// A request that came before the listener knew its URL.
#[derive(Debug, thiserror::Error)]
#[error("the listener does not know its external URL yet")]
struct NotBound;

/// A CI job's certificate where no jobs are enrolled.
#[derive(Debug, thiserror::Error)]
#[error("a CI job's certificate came, and this service certifies no signers for jobs")]
struct NoForge;

/// A profile whose key is not there.
#[derive(Debug, thiserror::Error)]
#[error("the profile's key is none of those that were obtained")]
struct NoKey;

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
