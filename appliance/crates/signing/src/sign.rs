//! One signature, from the request to the record.
//!
//! ```text
//! Ask ──admit──► Admitted ──evidence──► Admitted ──digests──► begin (durable)
//!                                                               │
//!      complete (durable) ◄── time-stamps, log ◄── record_stage (durable) ◄── token
//! ```
//!
//! 1. Policy, as far as it needs neither evidence nor artifact.
//! 2. Evidence is read and held to policy, before the artifact is.
//! 3. The artifact's digests are held against the request and the evidence.
//! 4. Everything that is going to be signed is encoded, checked and recorded.
//! 5. The token signs: raw, CMS, one envelope for each statement, all at once.
//! 6. The time-stamps that are going to be signed are recorded, and the log's leaves.
//! 7. The token stamps; the log signs a tree that holds the leaves.
//! 8. Everything is put together and recorded, with what others are told.
//!
//! A stop between 4 and 8 leaves open work that the next start settles; nothing of it
//! was handed out.

mod documents;
mod plan;
mod stamp;
mod token;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use attest::statement::DigestSet;
use bytes::Bytes;
use jiff::Timestamp;
use model::signing::{ArtifactDigest, HashAlgorithm, MediaType, SignatureId};
use store::signing::{
    Begun, NewSignature, SignatureAbandonReason, SignatureRecord, Signed, Stage, TimestampIntent,
};

pub(crate) use documents::media_types;
pub(crate) use stamp::{plan as plan_stamp, sign as sign_stamp};

use self::documents::Proven;
use self::plan::Plan;
use self::token::Wanted;
use self::verdict::Verifier;
use crate::config::CheckedProfile;
use crate::digests::ArtifactDigests;
use crate::evidence::{Evidence, Reading};
use crate::facts::{Answer, Facts};
use crate::formats::{Format, Formats};
use crate::keys::CertifiedKey;
use crate::policy::{ClientCrl, Decision, RequestFacts, Rule, SubjectFacts, Verdict};
use crate::problem::SigningProblem;
use crate::request::{Ask, Outcome, SignRequest};
use crate::seams::{SignatureEvent, SignatureEventKind};
use crate::service::Signing;

/// A request that policy lets on, as far as it was asked.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// What was asked.
    pub(crate) ask: Ask,
    /// The profile.
    pub(crate) profile: CheckedProfile,
    /// What is made.
    pub(crate) formats: Formats,
    /// The hash that the raw signature is over.
    pub(crate) hash: HashAlgorithm,
    /// The evidence, once it is read.
    pub(crate) evidence: Evidence,
    /// What came of the rules so far.
    pub(crate) verdict: Verdict,
    /// The time of the request.
    pub(crate) now: Timestamp,
}

impl Admitted {
    /// Returns the artifact's name in statements.
    fn subject_name(&self, digest: &ArtifactDigest) -> String {
        match &self.ask.name {
            Some(name) => name.as_str().to_owned(),
            None => digest.to_string(),
        }
    }

    /// Returns the hashes that the artifact is to be digested by: SHA-256 is always
    /// among them.
    pub(crate) fn hashes(&self) -> [HashAlgorithm; 2] {
        [HashAlgorithm::Sha256, self.hash]
    }

    /// Ends the request if a rule does not hold, unless it only asks.
    fn held(self, note: Option<String>) -> Result<Self, SigningProblem> {
        match self.verdict.decision {
            Decision::Refused if !self.ask.dry_run => Err(SigningProblem::Refused {
                verdict: Box::new(self.verdict),
                note,
                retry_after: None,
            }),
            Decision::Refused | Decision::Allowed => Ok(self),
        }
    }
}

/// Reads a media type.
fn media(text: &str) -> Result<MediaType, SigningProblem> {
    MediaType::new(text).map_err(SigningProblem::internal)
}

/// Draws random octets.
pub(crate) fn draw<const N: usize>() -> Result<[u8; N], SigningProblem> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| SigningProblem::internal(NoRandomness))?;
    Ok(octets)
}

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no randomness")]
struct NoRandomness;

/// When a CRL that is too old may be a new one.
const CRL_RETRY: Duration = Duration::from_secs(5);

impl Signing {
    /// Has an artifact signed whose digests are known.
    ///
    /// # Errors
    ///
    /// Why nothing was signed.
    pub async fn sign(self: &Arc<Self>, request: SignRequest) -> Result<Outcome, SigningProblem> {
        let admitted = self.admit(request.ask)?;
        let admitted = self
            .take_evidence(admitted, request.sbom, request.provenance)
            .await?;
        let (digests, size) = request.artifact;
        self.sign_admitted(admitted, digests, size).await
    }

    /// Step 1: policy, as far as it needs neither evidence nor artifact.
    pub(crate) fn admit(&self, ask: Ask) -> Result<Admitted, SigningProblem> {
        let now = self.now()?;
        let name = ask.profile.as_ref().unwrap_or(&self.config.default_profile);
        let profile = self
            .config
            .profiles
            .get(name)
            .ok_or_else(|| SigningProblem::ProfileUnknown {
                given: name.to_string(),
            })?
            .clone();
        let policy = Arc::clone(&profile.policy);
        let key = self.key_of(&profile)?;
        let hash = self.hash_of(&ask, &profile, &key)?;
        let label = ask.requester.label()?;
        let crl = match ask.requester.peer() {
            Some(_) => match self.crl.as_ref().and_then(|crl| crl.crl_age()) {
                Some(age) => ClientCrl::Aged(age),
                None => ClientCrl::Missing,
            },
            None => ClientCrl::NotAsked,
        };
        let mut verdict = Verdict::default();
        let facts = RequestFacts {
            client: label.as_str(),
            hash,
            artifact: ask.name.as_ref().map(|name| name.as_str()),
            crl,
        };
        policy.check_request(&facts, &mut verdict);
        self.check_forge(&ask, &policy, &mut verdict);
        let formats = ask.formats.unwrap_or(profile.formats);
        if formats.has(Format::Timestamp) && self.keys.timestamp_key().is_none() {
            return Err(SigningProblem::malformed(
                "formats: this service makes no time-stamps",
            ));
        }
        let is_old = verdict
            .first_failure()
            .is_some_and(|check| check.rule == Rule::CrlAge);
        let admitted = Admitted {
            ask,
            profile,
            formats,
            hash,
            evidence: Evidence::default(),
            verdict,
            now,
        };
        admitted.held(None).map_err(|problem| match problem {
            SigningProblem::Refused { verdict, note, .. } if is_old => SigningProblem::Refused {
                verdict,
                note,
                retry_after: Some(CRL_RETRY),
            },
            other => other,
        })
    }

    /// Finds the hash that the raw signature is over.
    fn hash_of(
        &self,
        ask: &Ask,
        profile: &CheckedProfile,
        key: &CertifiedKey,
    ) -> Result<HashAlgorithm, SigningProblem> {
        let named = ask.claimed.as_ref().map(ArtifactDigest::algorithm);
        let wanted = match &ask.algorithm {
            None => None,
            Some(name) => {
                let hash = HashAlgorithm::ALL
                    .into_iter()
                    .find(|hash| key.scheme(*hash).is_some_and(|one| one.as_str() == name));
                Some(hash.ok_or_else(|| {
                    let known: Vec<_> = HashAlgorithm::ALL
                        .into_iter()
                        .filter_map(|hash| key.scheme(hash))
                        .map(|scheme| scheme.as_str())
                        .collect();
                    SigningProblem::malformed(format!(
                        "algorithm: the key of profile {} signs by {}",
                        profile.policy.profile,
                        known.join(", ")
                    ))
                })?)
            }
        };
        match (wanted, named) {
            (Some(wanted), Some(named)) if wanted != named => Err(SigningProblem::malformed(
                format!("algorithm: it signs {wanted} digests, and artifactHash is a {named} one"),
            )),
            (Some(hash), _) | (None, Some(hash)) => Ok(hash),
            (None, None) => profile
                .policy
                .hashes
                .first()
                .copied()
                .ok_or_else(|| SigningProblem::internal(NoHash)),
        }
    }

    /// Step 2: evidence is read and held to policy.
    pub(crate) async fn take_evidence(
        &self,
        mut admitted: Admitted,
        sbom: Option<Bytes>,
        provenance: Option<Bytes>,
    ) -> Result<Admitted, SigningProblem> {
        if provenance.is_some() {
            // Keys are certified anew now and then.
            self.trust.set_own(self.trusted_root());
        }
        let reading = Reading {
            policy: Arc::clone(&admitted.profile.policy),
            limits: self.config.limits.clone(),
            trust: Arc::clone(&self.trust),
            claimed: admitted.ask.claimed,
            now: admitted.now,
        };
        let claimed = admitted.ask.claimed;
        let read = tokio::task::spawn_blocking(move || {
            let (evidence, note) =
                Evidence::read(&reading, sbom, provenance, &mut admitted.verdict);
            admitted.evidence = evidence;
            if let Some(claimed) = claimed {
                check_subjects(&mut admitted, &ArtifactDigests::one(claimed), claimed);
            }
            admitted.held(note)
        });
        read.await.map_err(SigningProblem::internal)?
    }

    /// Steps 3 to 8.
    pub(crate) async fn sign_admitted(
        self: &Arc<Self>,
        mut admitted: Admitted,
        digests: ArtifactDigests,
        size: Option<u64>,
    ) -> Result<Outcome, SigningProblem> {
        let digest = *digests
            .by(admitted.hash)
            .ok_or_else(|| SigningProblem::internal(NoHash))?;
        match admitted.ask.claimed {
            Some(claimed) => {
                let actual = digests.by(claimed.algorithm()).copied().unwrap_or(digest);
                admitted.verdict.note(
                    Rule::ArtifactDigest,
                    claimed == actual,
                    || claimed.to_string(),
                    || actual.to_string(),
                );
            }
            // Nothing was said of it before.
            None => check_subjects(&mut admitted, &digests, digest),
        }
        let mut admitted = admitted.held(None)?;
        if admitted.ask.dry_run {
            return Ok(Outcome::DryRun(admitted.verdict));
        }
        // Last, so that what is refused otherwise does not count.
        self.check_rate(&mut admitted)?;
        self.make(admitted, digests, digest, size).await
    }

    /// Takes one from the client's bucket.
    fn check_rate(&self, admitted: &mut Admitted) -> Result<(), SigningProblem> {
        let policy = &admitted.profile.policy;
        let label = admitted.ask.requester.label()?;
        let taken = self.rates.take(
            &policy.profile,
            label.as_str(),
            policy.rate_per_minute,
            admitted.now,
        );
        if policy.rate_per_minute > 0 {
            let most = policy.rate_per_minute;
            admitted.verdict.note(
                Rule::Rate,
                taken.is_ok(),
                || format!("at most {most} a minute"),
                || match taken {
                    Ok(()) => "fewer".to_owned(),
                    Err(_) => "more".to_owned(),
                },
            );
        }
        taken.map_err(|wait| SigningProblem::Refused {
            verdict: Box::new(admitted.verdict.clone()),
            note: None,
            retry_after: Some(wait),
        })
    }

    /// Steps 4 to 8.
    async fn make(
        self: &Arc<Self>,
        admitted: Admitted,
        digests: ArtifactDigests,
        digest: ArtifactDigest,
        size: Option<u64>,
    ) -> Result<Outcome, SigningProblem> {
        let key = self.key_for(&admitted).await?;
        if key.leaf().not_after() <= admitted.now {
            return Err(SigningProblem::CertificateEnded {
                key: key.key().id().to_string(),
            });
        }
        let at = admitted.now;
        let id = SignatureId::new(at, draw()?);
        let this = Arc::clone(self);
        let planned = tokio::task::spawn_blocking(move || {
            let base_url = this.base_url();
            let verifier = Verifier {
                id: &this.verifier_id,
                base_url: &base_url,
            };
            let plan = Plan::build(id, at, key, &admitted, &digests, digest, &verifier)?;
            let facts = Facts::of(&admitted, size);
            let new = new_signature(&plan, &admitted, &digests, &facts)?;
            Ok::<_, SigningProblem>((plan, new, admitted, digests, facts))
        });
        let (plan, new, admitted, digests, facts) =
            planned.await.map_err(SigningProblem::internal)??;
        let wanted = plan.wanted()?;
        match self.store.begin(new).await? {
            Begun::New => {}
            Begun::Repeated(record) => {
                return Ok(Outcome::Signed {
                    record,
                    repeated: true,
                });
            }
            Begun::Running(id) => return Err(SigningProblem::InProgress { id }),
            Begun::Conflict(id) => return Err(SigningProblem::KeyReused { id }),
        }
        // From here on the request may go away: what is begun is brought to its end.
        let this = Arc::clone(self);
        let span = tracing::Span::current();
        let making = async move {
            let outcome = this.make_begun(plan, &wanted, &admitted, &digests).await;
            match outcome {
                Ok(record) => {
                    this.note_signed(&record, &admitted, &facts);
                    Ok(Outcome::Signed {
                        record,
                        repeated: false,
                    })
                }
                Err((problem, reason)) => {
                    this.abandon(&id, reason).await;
                    Err(problem)
                }
            }
        };
        let task = tokio::spawn(tracing::Instrument::instrument(making, span));
        task.await.map_err(SigningProblem::internal)?
    }

    /// Steps 5 to 8, what is begun being recorded.
    async fn make_begun(
        &self,
        plan: Plan,
        wanted: &[Wanted],
        admitted: &Admitted,
        digests: &ArtifactDigests,
    ) -> Result<Arc<SignatureRecord>, (SigningProblem, SignatureAbandonReason)> {
        use SignatureAbandonReason::{Internal, TimestampFailed, TokenFailed};
        let timeout = self.config.limits.signing_timeout;
        // 5.
        let signatures = token::sign_all(&plan.key, wanted, timeout)
            .await
            .map_err(|problem| (problem, TokenFailed))?;
        // 6.
        let mut proven: Vec<Proven> = signatures
            .into_iter()
            .map(|signature| Proven {
                signature,
                time_stamp: None,
                token: None,
                log_entry: None,
            })
            .collect();
        let stamper = match plan.formats.has(Format::Timestamp) {
            true => self.keys.timestamp_key(),
            false => None,
        };
        let (stamps, staged, leaves) = self
            .stage(&plan, wanted, &proven, stamper.as_deref())
            .await
            .map_err(|problem| (problem, Internal))?;
        // 7.
        if let Some(key) = &stamper {
            self.stamp(key, stamps, &mut proven)
                .await
                .map_err(|problem| (problem, TimestampFailed))?;
        }
        self.log_entries(staged, leaves, &mut proven)
            .await
            .map_err(|problem| (problem, TokenFailed))?;
        // 8.
        let id = plan.id;
        let answer = Answer::of(&plan.key, plan.digest, plan.formats, wanted.len());
        let assembled = tokio::task::spawn_blocking(move || plan.assemble(proven));
        let documents = assembled
            .await
            .map_err(SigningProblem::internal)
            .and_then(std::convert::identity)
            .map_err(|problem| (problem, Internal))?;
        let at = self.clock.now();
        let deliveries = self.deliveries(id, admitted, digests, at);
        let told = !deliveries.is_empty();
        let signed = Signed {
            documents,
            answer_json: answer.to_json(),
            deliveries,
            at,
        };
        let record = self
            .store
            .complete(&id, signed)
            .await
            .map_err(|error| (error.into(), Internal))?;
        if told && let Some(announce) = &self.announce {
            announce.wake();
        }
        Ok(record)
    }

    /// Step 6: plans time-stamps and leaves, and records them.
    async fn stage(
        &self,
        plan: &Plan,
        wanted: &[Wanted],
        proven: &[Proven],
        stamper: Option<&CertifiedKey>,
    ) -> Result<
        (
            Vec<stamp::PlannedStamp>,
            Option<std::ops::Range<u64>>,
            Vec<Option<Bytes>>,
        ),
        SigningProblem,
    > {
        let at = self.clock.now();
        let stamps = match stamper {
            Some(key) => proven
                .iter()
                .map(|proven| stamp::plan_over(key, &proven.signature, at))
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        let leaves: Vec<Option<Bytes>> = match &self.log {
            Some(log) => plan
                .logged()
                .iter()
                .zip(proven)
                .map(|(digest, proven)| log.leaf(digest.as_ref()?, &proven.signature, plan.leaf()))
                .collect(),
            None => Vec::new(),
        };
        let stage = Stage {
            timestamps: stamps
                .iter()
                .zip(wanted)
                .map(|(stamp, wanted)| TimestampIntent {
                    label: wanted.label.into(),
                    serial: stamp.serial.clone(),
                    tst_info_der: Bytes::copy_from_slice(stamp.token.tst_info_der()),
                })
                .collect(),
            leaves: leaves.iter().flatten().cloned().collect(),
            at,
        };
        let staged = self.store.record_stage(&plan.id, stage).await?;
        Ok((stamps, staged.log_index, leaves))
    }

    /// Step 7: has the time-stamps signed.
    async fn stamp(
        &self,
        key: &CertifiedKey,
        stamps: Vec<stamp::PlannedStamp>,
        proven: &mut [Proven],
    ) -> Result<(), SigningProblem> {
        let timeout = self.config.limits.signing_timeout;
        let signed = stamps
            .into_iter()
            .map(|planned| stamp::sign(key, planned, timeout));
        let tokens = futures_util::future::try_join_all(signed).await?;
        for (token, proven) in tokens.into_iter().zip(proven) {
            proven.time_stamp = Some(token.to_response());
            proven.token = Some(token.der().to_vec());
        }
        Ok(())
    }

    /// Step 7: waits for the log's entries.
    async fn log_entries(
        &self,
        staged: Option<std::ops::Range<u64>>,
        leaves: Vec<Option<Bytes>>,
        proven: &mut [Proven],
    ) -> Result<(), SigningProblem> {
        let (Some(log), Some(indexes)) = (&self.log, staged) else {
            return Ok(());
        };
        let places = leaves
            .into_iter()
            .zip(proven)
            .filter_map(|(leaf, proven)| leaf.map(|leaf| (leaf, proven)));
        let entries = indexes
            .zip(places)
            .map(|(index, (leaf, proven))| async move {
                proven.log_entry = Some(log.entry(index, leaf).await?);
                Ok::<_, SigningProblem>(())
            });
        futures_util::future::try_join_all(entries).await.map(drop)
    }

    /// Says what others are told of a signature.
    fn deliveries(
        &self,
        id: SignatureId,
        admitted: &Admitted,
        digests: &ArtifactDigests,
        at: Timestamp,
    ) -> Vec<store::signing::NewDelivery> {
        let (Some(announce), Ok(signer)) = (&self.announce, admitted.ask.requester.label()) else {
            return Vec::new();
        };
        announce.deliveries(&SignatureEvent {
            kind: SignatureEventKind::Created,
            id: Some(id),
            digests: digests.as_slice(),
            name: admitted.ask.name.as_ref(),
            signer: &signer,
            profile: &admitted.profile.policy.profile,
            request_id: &admitted.ask.request_id,
            at,
            base_url: &self.base_url(),
        })
    }

    /// Records that nothing came of a signature; what cannot be recorded now the next
    /// start settles.
    async fn abandon(&self, id: &SignatureId, reason: SignatureAbandonReason) {
        let at = self.clock.now();
        if let Err(error) = self.store.abandon(id, reason, at).await {
            tracing::warn!(
                signature.id = %id,
                "signature {id} is not made and stays open until the next start: {error}"
            );
        }
    }
}

/// A profile without a hash, or digests without the profile's.
#[derive(Debug, thiserror::Error)]
#[error("there is no digest by the hash that is signed")]
struct NoHash;

/// Step 3: holds what evidence says of the artifact against its digests.
fn check_subjects(admitted: &mut Admitted, digests: &ArtifactDigests, digest: ArtifactDigest) {
    let set: DigestSet = digests.as_slice().iter().copied().collect();
    let text = digest.to_string();
    let policy = Arc::clone(&admitted.profile.policy);
    let Evidence { sbom, provenance } = &admitted.evidence;
    let sbom: Option<SubjectFacts> = sbom.as_ref().map(|sbom| sbom.subject(&set));
    let provenance = provenance.as_ref().map(|one| one.subject(&set));
    if let Some(facts) = sbom {
        policy.check_sbom_subject(&text, &facts, &mut admitted.verdict);
    }
    if let Some(facts) = provenance {
        policy.check_provenance_subject(&text, &facts, &mut admitted.verdict);
    }
}

/// Encodes what the store is to hold before anything is signed.
fn new_signature(
    plan: &Plan,
    admitted: &Admitted,
    digests: &ArtifactDigests,
    facts: &Facts,
) -> Result<NewSignature, SigningProblem> {
    let wanted = plan.wanted()?;
    let verdict_json = serde_json::to_vec(&admitted.verdict).map_err(SigningProblem::internal)?;
    let ask = &admitted.ask;
    let idempotency = ask
        .idempotency
        .clone()
        .map(|key| (key, request_digest(admitted, digests)));
    let builder = facts.builder().map(|builder| builder.into());
    Ok(NewSignature {
        id: plan.id,
        signer: ask.requester.label()?,
        idempotency,
        profile: admitted.profile.policy.profile.clone(),
        request_id: ask.request_id.clone(),
        digests: digests.as_slice().to_vec(),
        name: ask.name.clone(),
        media_type: ask.media_type.clone(),
        builder,
        verdict_json: verdict_json.into(),
        facts_json: facts.to_json(),
        to_be_signed: plan.to_be_signed(&wanted),
        documents: plan.documents.clone(),
        room: plan.room(),
        at: plan.at,
    })
}

/// Digests what a request asks for: the same again is the same request.
fn request_digest(admitted: &Admitted, digests: &ArtifactDigests) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut add = |octets: &[u8]| {
        context.update(&(octets.len() as u64).to_be_bytes());
        context.update(octets);
    };
    let ask = &admitted.ask;
    let text =
        |text: Option<&str>| text.map_or_else(Vec::new, |text| [b"=", text.as_bytes()].concat());
    add(admitted.profile.policy.profile.as_str().as_bytes());
    add(format!("{:?}", admitted.formats).as_bytes());
    add(admitted.hash.as_str().as_bytes());
    add(&text(ask.name.as_ref().map(|name| name.as_str())));
    add(&text(ask.media_type.as_ref().map(|media| media.as_str())));
    for digest in digests.as_slice() {
        add(digest.to_string().as_bytes());
    }
    let Evidence { sbom, provenance } = &admitted.evidence;
    for octets in [
        sbom.as_ref().map(|sbom| &sbom.octets),
        provenance.as_ref().map(|provenance| &provenance.octets),
    ] {
        match octets {
            Some(octets) => {
                add(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref())
            }
            None => add(b""),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
