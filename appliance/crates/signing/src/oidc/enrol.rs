//! From a token and a request to a client certificate.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use mesh::{CaClient, CaClientError, SignRequest};
use model::{
    Clock, IdempotencyKey, Identity, InvalidName, ProfileName, RequestId, Role, SerialNumber,
};
use pki::csr::{CheckedCsr, CsrError, CsrLimits};
use pki::forge::{ForgeClaim, ForgeClaims, InvalidForgeClaims};
use pki::key_check::KeyPolicy;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::config::{CheckedOidc, Issuer};
use super::keys::{FetchKeys, KeyRing, KeysError, Reading};
use super::metrics::OidcMetrics;
use super::replay::{NotUsed, UsedTokens};
use super::rule::Rule;
use super::token::{Token, TokenError, Unverified};

/// The CA's profile of builds' client certificates.
const PROFILE: &str = "ci-client";

/// Most requests at a time; more are told to come again.
const MAX_AT_A_TIME: usize = 64;

/// How often the keys' age is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What enrolment by tokens is built from.
#[derive(Debug)]
pub struct OidcParts {
    /// The configuration.
    pub config: CheckedOidc,
    /// Certifies.
    pub ca: Arc<dyn CaClient>,
    /// Fetches issuers' keys.
    pub fetch: Arc<dyn FetchKeys>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: OidcMetrics,
}

/// Enrolment by tokens.
#[derive(Debug)]
pub struct Oidc {
    /// The issuers and their rules.
    config: CheckedOidc,
    /// The issuers' keys, in the same order.
    keys: Vec<KeyRing>,
    /// How keys are read.
    reading: Reading,
    /// Certifies.
    ca: Arc<dyn CaClient>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// Tokens that were used.
    used: UsedTokens,
    /// One for each request at a time.
    room: Semaphore,
    /// Which keys are certified; the CA has its own say besides.
    key_policy: KeyPolicy,
    /// What is counted.
    metrics: OidcMetrics,
}

/// Why no certificate is handed out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// As many requests are served as may be.
    #[error("as many requests are served as may be at a time")]
    Busy,
    /// The token is not taken.
    #[error("the token is not taken: {0}")]
    Token(#[from] TokenError),
    /// The issuer's keys are not there.
    #[error("whether the token is its issuer's cannot be told")]
    Keys(#[from] KeysError),
    /// No rule lets the build sign.
    #[error("{}", denied(*.rules, nearest.as_deref()))]
    Denied {
        /// How many rules there are.
        rules: usize,
        /// The claim that kept the last rule from matching.
        nearest: Option<String>,
    },
    /// What the forge says cannot stand in a certificate.
    #[error("what the token says of the build cannot be certified: {0}")]
    Claims(#[from] InvalidForgeClaims),
    /// The request is not sound.
    #[error("{0}")]
    Csr(#[from] CsrError),
    /// The request asks for names.
    #[error("the request asks for names; the token says who the build is, so leave them out")]
    Names,
    /// The token was used with another request.
    #[error("the token was used before, with another request; get a new one from the forge")]
    Replayed,
    /// As many tokens are remembered as may be.
    #[error("as many tokens are remembered as may be")]
    Full,
    /// A name that is none; only a fault of ours.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The CA did not certify it.
    #[error(transparent)]
    Ca(#[from] CaClientError),
}

/// Says why no rule matched.
fn denied(rules: usize, nearest: Option<&str>) -> String {
    match nearest {
        Some(claim) => format!(
            "none of the {rules} rules of the token's issuer lets this build sign; the last one \
             wants another {claim}"
        ),
        None => "the token's issuer has no rules, so none of its builds signs".to_owned(),
    }
}

/// A certificate for a build.
#[derive(Debug)]
pub(crate) struct Certified {
    /// The leaf, then its issuers, PEM.
    pub(crate) chain_pem: String,
}

impl Oidc {
    /// Prepares it; keys are read when first needed, or by [`Self::refresh`].
    #[must_use]
    pub fn new(parts: OidcParts) -> Arc<Self> {
        let OidcParts {
            config,
            ca,
            fetch,
            clock,
            metrics,
        } = parts;
        Arc::new(Self {
            keys: config.issuers.iter().map(|_| KeyRing::new()).collect(),
            reading: Reading {
                fetch,
                clock: Arc::clone(&clock),
                metrics: metrics.clone(),
            },
            config,
            ca,
            clock,
            used: UsedTokens::default(),
            room: Semaphore::new(MAX_AT_A_TIME),
            key_policy: KeyPolicy::default(),
            metrics,
        })
    }

    /// Returns the configuration: what a signer that was enrolled so may use.
    #[must_use]
    pub fn config(&self) -> &CheckedOidc {
        &self.config
    }

    /// Keeps issuers' keys fresh for as long as it is polled, so that no token waits.
    pub async fn refresh(self: Arc<Self>) {
        loop {
            for (issuer, keys) in self.config.issuers.iter().zip(&self.keys) {
                keys.refresh(issuer, &self.reading).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Exchanges a token and a request for a certificate.
    ///
    /// # Errors
    ///
    /// Why not; nothing was handed out.
    pub(crate) async fn exchange(
        &self,
        token: &str,
        csr_der: Vec<u8>,
        request_id: &RequestId,
    ) -> Result<Certified, Refused> {
        let outcome = self.attempt(token, csr_der, request_id).await;
        if let Err(refused) = &outcome {
            let reason = refused.reason();
            self.metrics.refused(reason);
            if refused.is_ours() {
                warn!(reason, request_id = %request_id,
                    "could not certify a build for its token: {refused}");
            } else {
                info!(reason, request_id = %request_id,
                    "refused to certify a build for its token: {refused}");
            }
        }
        outcome
    }

    /// Takes the steps.
    async fn attempt(
        &self,
        token: &str,
        csr_der: Vec<u8>,
        request_id: &RequestId,
    ) -> Result<Certified, Refused> {
        let _room = self.room.try_acquire().map_err(|_| Refused::Busy)?;
        // 1: the token.
        let (issuer, token) = self.check_token(token).await?;
        // 2: whose build it is, and what is said of it.
        let rule = find_rule(issuer, &token.claims)?;
        let claims = forge_claims(issuer, &token.claims)?;
        // 3: the request, and the token used up for it.
        self.check_csr(&csr_der)?;
        let now = self.clock.now();
        self.used
            .take(token.id, sha256(&csr_der), token.until, now)
            .map_err(|why| match why {
                NotUsed::Before => Refused::Replayed,
                NotUsed::Full => Refused::Full,
            })?;
        // 4: the certificate. The CA remembers the token by the key, over restarts of
        // ours: with another request it refuses.
        let identity = Identity {
            role: Role::Signer,
            name: rule.signer.clone(),
        };
        let signed = self
            .ca
            .sign(SignRequest {
                csr_der,
                profile: Some(ProfileName::new(PROFILE)?),
                validity: None,
                identity: Some(identity.clone()),
                forge: Some(claims.clone()),
                idempotency: IdempotencyKey::new(&format!("oidc-{}", hex::encode(token.id)))?,
                request_id: Some(request_id.clone()),
            })
            .await
            .map_err(|error| self.as_replay(&token, error))?;
        self.metrics.issued(&issuer.name);
        log(issuer, rule, &identity, &claims, &signed.serial, request_id);
        Ok(Certified {
            chain_pem: signed.chain_pem,
        })
    }

    /// Verifies a token.
    async fn check_token(&self, text: &str) -> Result<(&Issuer, Token), Refused> {
        let unverified = Unverified::parse(text)?;
        let (place, issuer) = unverified.issuer(&self.config.issuers)?;
        let algorithm = unverified.algorithm(issuer)?;
        let key = match self.keys.get(place) {
            Some(keys) => {
                keys.find(issuer, unverified.key_name(), &self.reading)
                    .await?
            }
            None => None,
        };
        let token = unverified.verify(issuer, algorithm, key, self.clock.now())?;
        Ok((issuer, token))
    }

    /// Tells a conflict of the CA's idempotency keys as what it is: the token was used
    /// before this service started, with another request than this one.
    fn as_replay(&self, token: &Token, error: CaClientError) -> Refused {
        if error.problem_type() == Some(mesh::ProblemType::IdempotencyConflict) {
            self.used.forget(&token.id);
            Refused::Replayed
        } else {
            Refused::Ca(error)
        }
    }

    /// Checks that the request is signed by its own, strong key, and asks for nothing.
    fn check_csr(&self, csr_der: &[u8]) -> Result<(), Refused> {
        let csr = CheckedCsr::parse(csr_der, &CsrLimits::default(), &self.key_policy)?;
        if csr.names().is_empty() && !csr.asks_for_ca() {
            Ok(())
        } else {
            Err(Refused::Names)
        }
    }
}

/// Finds the first rule that lets a build sign.
fn find_rule<'a>(issuer: &'a Issuer, claims: &Map<String, Value>) -> Result<&'a Rule, Refused> {
    let mut nearest = None;
    for rule in &issuer.rules {
        match rule.first_mismatch(claims) {
            None => return Ok(rule),
            Some(claim) => nearest = Some(claim.to_owned()),
        }
    }
    Err(Refused::Denied {
        rules: issuer.rules.len(),
        nearest,
    })
}

/// Writes what the forge said as Fulcio has it. What a token does not say is left out;
/// what must be there is missed by [`ForgeClaims::new`].
fn forge_claims(
    issuer: &Issuer,
    claims: &Map<String, Value>,
) -> Result<ForgeClaims, InvalidForgeClaims> {
    let filled = issuer.claims.iter().filter_map(|(claim, template)| {
        let value = template.fill(claims, claim.is_uri())?;
        Some((*claim, value))
    });
    let own = std::iter::once((ForgeClaim::Issuer, issuer.issuer.clone()));
    ForgeClaims::new(own.chain(filled))
}

/// Writes the one log line of a certificate.
fn log(
    issuer: &Issuer,
    rule: &Rule,
    identity: &Identity,
    claims: &ForgeClaims,
    serial: &SerialNumber,
    request_id: &RequestId,
) {
    let said = |claim| claims.get(claim).unwrap_or_default();
    let source = said(ForgeClaim::SourceRepositoryUri);
    info!(
        oidc.issuer = issuer.name,
        oidc.rule = %rule.name,
        peer.identity = %identity,
        cert.serial = %serial,
        forge.build_signer = claims.build_signer_uri(),
        forge.source = source,
        forge.source_ref = said(ForgeClaim::SourceRepositoryRef),
        forge.source_digest = said(ForgeClaim::SourceRepositoryDigest),
        forge.run = said(ForgeClaim::RunInvocationUri),
        request_id = %request_id,
        "certified a build of {source} as {identity}"
    );
}

impl Refused {
    /// Names what failed, for metrics and logs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Busy | Self::Full => "busy",
            Self::Token(error) => error.check(),
            Self::Keys(_) => "keys_unavailable",
            Self::Denied { .. } => "no_rule",
            Self::Claims(_) => "claims",
            Self::Csr(_) | Self::Names => "request",
            Self::Replayed => "replayed",
            Self::Name(_) => "internal",
            Self::Ca(_) => "ca",
        }
    }

    /// Tells whether it is for the operator to mend.
    fn is_ours(&self) -> bool {
        match self {
            Self::Keys(_) | Self::Name(_) | Self::Full => true,
            Self::Ca(error) => !matches!(error, CaClientError::Unavailable { .. }),
            Self::Busy
            | Self::Token(_)
            | Self::Denied { .. }
            | Self::Claims(_)
            | Self::Csr(_)
            | Self::Names
            | Self::Replayed => false,
        }
    }
}

/// Hashes octets.
fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    hash
}
