//! Working on an event: fetch, compare, have signed, and queue what is told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attest::json;
use attest::provenance::Submission;
use attest::statement::DigestSet;
use aws_lc_rs::digest::{Context as Hasher, SHA256, SHA384, SHA512};
use bytes::Bytes;
use jiff::Timestamp;
use model::IdempotencyKey;
use model::signing::{ArtifactDigest, EventId, HashAlgorithm, SignatureId, WebhookName};
use serde::{Deserialize, Serialize};
use store::signing::{EventOutcome, EventRecord, SigningStoreError};
use tracing::{info, warn};
use url::Url;

use super::Webhooks;
use super::checksums;
use super::config::{CheckedRule, DigestSource};
use super::fetch::FetchError;
use super::metrics::Queue;
use super::plan::{Plan, Wanted};
use super::queue::{Backlog, Patience, after};
use super::sign::{SignArtifact, SignFailure, WantedSignature};

/// Most octets of an SBOM that is fetched; what the profile takes may be less.
const MAX_SBOM: usize = 64 * 1024 * 1024;

/// Most octets of provenance that is fetched.
const MAX_PROVENANCE: usize = 16 * 1024 * 1024;

/// The queue of events.
#[derive(Debug)]
pub(crate) struct Events {
    /// The webhooks.
    pub(crate) webhooks: Arc<Webhooks>,
    /// Has artifacts signed.
    pub(crate) sign: Arc<dyn SignArtifact>,
}

/// A signature that came of an event.
// Stored on disk, in an event's outcome and in reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Made {
    /// The artifact's name.
    pub(crate) name: Box<str>,
    /// Its digest, as it was looked for.
    pub(crate) artifact_hash: ArtifactDigest,
    /// The signature.
    pub(crate) id: SignatureId,
}

/// Why an attempt at an event came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// The reason's stable code.
    pub(crate) code: Box<str>,
    /// The reason in words.
    pub(crate) reason: String,
    /// Whether another attempt may come to something else.
    transient: bool,
    /// When the other side wants to be asked again.
    wanted: Option<Duration>,
}

impl Stopped {
    /// Stops for good.
    fn for_good(code: &str, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
            transient: false,
            wanted: None,
        }
    }

    /// Stops at a digest that is not the one told.
    fn digest(name: &str, told_by: &str, expected: &str, actual: &str) -> Self {
        Self::for_good(
            "artifact_digest_mismatch",
            format!("{name}: {told_by} says {expected}, what was fetched has {actual}"),
        )
    }
}

impl From<FetchError> for Stopped {
    fn from(error: FetchError) -> Self {
        Self {
            code: "fetch_failed".into(),
            reason: error.to_string(),
            transient: error.is_transient(),
            wanted: error.retry_after(),
        }
    }
}

impl From<SignFailure> for Stopped {
    fn from(failure: SignFailure) -> Self {
        Self {
            code: failure.code.as_str().into(),
            reason: failure.detail,
            transient: failure.transient,
            wanted: None,
        }
    }
}

impl From<SigningStoreError> for Stopped {
    fn from(error: SigningStoreError) -> Self {
        Self {
            code: "store_failed".into(),
            transient: true,
            reason: error.to_string(),
            wanted: None,
        }
    }
}

#[async_trait]
impl Backlog for Events {
    type Key = EventId;
    type Item = Arc<EventRecord>;

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        _: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Self::Item>, SigningStoreError> {
        self.webhooks.store.events_due(now, limit).await
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.webhooks.store.next_event_due()
    }

    fn key(item: &Self::Item) -> EventId {
        item.id
    }

    fn lane(item: &Self::Item) -> WebhookName {
        item.hook.clone()
    }

    fn width(&self, _: &WebhookName) -> usize {
        self.capacity()
    }

    fn capacity(&self) -> usize {
        self.webhooks.config.fetch.workers
    }

    async fn work(&self, item: Self::Item) {
        let outcome = self.attempt(&item).await;
        if let Err(error) = self.record(&item, outcome).await {
            warn!(
                event.id = %item.id,
                "what became of event {} cannot be recorded, it is tried again: {error}", item.id
            );
            // Nothing changed in the store: without a pause it would be due at once.
            tokio::time::sleep(self.webhooks.config.fetch.retry_pause).await;
        }
    }

    async fn crashed(&self, key: EventId) {
        let now = self.webhooks.clock.now();
        let due = after(now, self.webhooks.config.fetch.max_retry_pause);
        let error = "the worker failed in a way it should not; the log has the cause";
        if let Err(error) = self.webhooks.store.retry_event(&key, due, error, now).await {
            warn!(event.id = %key, "event {key} cannot be put off: {error}");
        }
    }

    fn observe(&self) {
        let status = self.webhooks.store.status();
        self.webhooks.metrics.queue(
            Queue::Events,
            status.events_waiting,
            status.oldest_waiting_event,
        );
    }
}

impl Events {
    /// Makes one attempt: everything in it may be done again and changes nothing then.
    async fn attempt(&self, event: &EventRecord) -> Result<Vec<Made>, Stopped> {
        let plan = Plan::from_json(&event.work_json).map_err(|error| {
            Stopped::for_good("plan_unreadable", format!("what is to be done: {error}"))
        })?;
        let rule = self.rule(event)?;
        let sums = match &plan.checksums {
            Some(url) => Some(self.small(url, checksums::MAX_LEN).await?),
            None => None,
        };
        let mut made = Vec::new();
        for (number, wanted) in plan.artifacts.iter().enumerate() {
            made.push(self.one(event, rule, number, wanted, sums.as_ref()).await?);
        }
        Ok(made)
    }

    /// Finds the rule that the event started.
    fn rule(&self, event: &EventRecord) -> Result<&CheckedRule, Stopped> {
        self.webhooks.rule(&event.hook, &event.rule).ok_or_else(|| {
            Stopped::for_good(
                "rule_unknown",
                format!(
                    "rule {} of webhook {} is no longer configured",
                    event.rule, event.hook
                ),
            )
        })
    }

    /// Fetches one artifact and has it signed.
    async fn one(
        &self,
        event: &EventRecord,
        rule: &CheckedRule,
        number: usize,
        wanted: &Wanted,
        sums: Option<&Bytes>,
    ) -> Result<Made, Stopped> {
        let name = wanted.name.as_str();
        let expected = expected(rule, wanted, sums)?;
        let sbom = match &wanted.sbom {
            Some(url) => Some(self.small(url, MAX_SBOM).await?),
            None => None,
        };
        let provenance = match &wanted.provenance {
            Some(url) => Some(self.small(url, MAX_PROVENANCE).await?),
            None => None,
        };
        let mut algorithms = self.sign.hashes(&rule.profile);
        algorithms.push(HashAlgorithm::Sha256);
        algorithms.extend(expected.iter().map(|(_, digest)| digest.algorithm()));
        let (digests, size) = self.digest(&wanted.url, &algorithms).await?;
        for (told_by, digest) in &expected {
            match digests.get(&digest.algorithm()) {
                Some(actual) if actual == digest => {}
                actual => {
                    let actual = actual.map(ToString::to_string).unwrap_or_default();
                    return Err(Stopped::digest(name, told_by, &digest.to_string(), &actual));
                }
            }
        }
        if rule
            .artifacts
            .digest_from
            .contains(&DigestSource::Provenance)
        {
            check_provenance(name, provenance.as_ref(), &digests)?;
        }
        let digests: Vec<ArtifactDigest> = digests.into_values().collect();
        let artifact_hash = digests
            .iter()
            .find(|digest| digest.algorithm() == HashAlgorithm::Sha256)
            .copied()
            .ok_or_else(|| Stopped::for_good("internal", "no SHA-256 was worked out"))?;
        let idempotency =
            IdempotencyKey::new(&format!("{}/{number}", event.id)).map_err(|error| {
                Stopped::for_good("internal", format!("no idempotency key: {error}"))
            })?;
        let id = self
            .sign
            .sign_artifact(WantedSignature {
                hook: event.hook.clone(),
                rule: rule.name.clone(),
                profile: rule.profile.clone(),
                name: wanted.name.clone(),
                digests,
                size,
                sbom,
                provenance,
                idempotency,
                request_id: event.request_id.clone(),
            })
            .await?;
        info!(
            event.id = %event.id,
            request.id = %event.request_id,
            webhook.name = %event.hook,
            webhook.rule = %event.rule,
            signature.id = %id,
            artifact.digest = %artifact_hash,
            artifact.octets = size,
            "event {}: {name} has signature {id}", event.id
        );
        Ok(Made {
            name: name.into(),
            artifact_hash,
            id,
        })
    }

    /// Fetches a small file.
    async fn small(&self, url: &str, max: usize) -> Result<Bytes, Stopped> {
        let octets = self
            .webhooks
            .fetcher
            .fetch_whole(&parsed(url)?, max)
            .await?;
        self.webhooks.metrics.fetched.inc_by(octets.len() as u64);
        Ok(octets)
    }

    /// Fetches an artifact and keeps nothing of it but digests and length.
    async fn digest(
        &self,
        url: &str,
        algorithms: &[HashAlgorithm],
    ) -> Result<(BTreeMap<HashAlgorithm, ArtifactDigest>, u64), Stopped> {
        let mut hashers: BTreeMap<HashAlgorithm, Hasher> = algorithms
            .iter()
            .map(|algorithm| {
                let own = match algorithm {
                    HashAlgorithm::Sha256 => &SHA256,
                    HashAlgorithm::Sha384 => &SHA384,
                    HashAlgorithm::Sha512 => &SHA512,
                };
                (*algorithm, Hasher::new(own))
            })
            .collect();
        let fetcher = &self.webhooks.fetcher;
        let max = fetcher.config().max_artifact_bytes;
        let size = fetcher
            .fetch(&parsed(url)?, max, &mut |octets| {
                for hasher in hashers.values_mut() {
                    hasher.update(octets);
                }
            })
            .await?;
        self.webhooks.metrics.fetched.inc_by(size);
        let digests = hashers
            .into_iter()
            .map(|(algorithm, hasher)| {
                ArtifactDigest::new(algorithm, hasher.finish().as_ref())
                    .map(|digest| (algorithm, digest))
                    .map_err(|error| Stopped::for_good("internal", error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok((digests, size))
    }

    /// Records what came of an attempt, and queues what is told of it.
    async fn record(
        &self,
        event: &EventRecord,
        outcome: Result<Vec<Made>, Stopped>,
    ) -> Result<(), SigningStoreError> {
        let webhooks = &self.webhooks;
        let now = webhooks.clock.now();
        match outcome {
            Ok(made) => {
                let reports = webhooks.reports_of_success(event, &made, now);
                webhooks.queue(reports).await?;
                let only = match made.as_slice() {
                    [one] => Some(one.id),
                    _ => None,
                };
                let detail = serde_json::json!({ "signatures": made });
                let outcome = EventOutcome::Done {
                    signature: only,
                    detail_json: detail.to_string().into(),
                };
                webhooks.store.finish_event(&event.id, outcome, now).await?;
                webhooks.metrics.event_ended(&event.hook, "signed");
                info!(
                    event.id = %event.id,
                    request.id = %event.request_id,
                    webhook.name = %event.hook,
                    event.signatures = made.len(),
                    "event {} is done", event.id
                );
            }
            Err(stopped) => self.record_stop(event, &stopped, now).await?,
        }
        Ok(())
    }

    /// Puts an event off, or gives it up.
    async fn record_stop(
        &self,
        event: &EventRecord,
        stopped: &Stopped,
        now: Timestamp,
    ) -> Result<(), SigningStoreError> {
        let webhooks = &self.webhooks;
        let fetch = &webhooks.config.fetch;
        let patience = Patience {
            pause: fetch.retry_pause,
            max_pause: fetch.max_retry_pause,
            give_up_after: fetch.give_up_after,
        };
        let next = stopped
            .transient
            .then(|| patience.next(event.accepted_at, event.attempts, stopped.wanted, now))
            .flatten();
        let error = format!("{}: {}", stopped.code, stopped.reason);
        if let Some(due) = next {
            webhooks
                .store
                .retry_event(&event.id, due, &error, now)
                .await?;
            webhooks.metrics.event_retried(&event.hook);
            info!(
                event.id = %event.id,
                request.id = %event.request_id,
                webhook.name = %event.hook,
                event.attempt = event.attempts + 1,
                event.due = %due,
                "event {} is tried again: {error}", event.id
            );
            return Ok(());
        }
        let told = webhooks.reports_of_failure(event, stopped, now);
        webhooks.queue(told).await?;
        let outcome = EventOutcome::Failed {
            error: error.as_str().into(),
        };
        webhooks.store.finish_event(&event.id, outcome, now).await?;
        webhooks.metrics.event_ended(&event.hook, "failed");
        warn!(
            event.id = %event.id,
            request.id = %event.request_id,
            webhook.name = %event.hook,
            event.attempt = event.attempts + 1,
            "event {} has failed: {error}", event.id
        );
        Ok(())
    }
}

impl Webhooks {
    /// Finds a rule.
    pub(super) fn rule(
        &self,
        hook: &WebhookName,
        rule: &model::signing::RuleName,
    ) -> Option<&CheckedRule> {
        let hook = self.hooks.get(hook)?;
        hook.config.rules.iter().find(|own| own.name == *rule)
    }
}

/// Reads a URL of a plan.
fn parsed(url: &str) -> Result<Url, Stopped> {
    Url::parse(url).map_err(|error| Stopped::for_good("plan_unreadable", error.to_string()))
}

/// Returns the digests that an artifact must have, and who says so; never none, unless the
/// provenance is to say.
fn expected(
    rule: &CheckedRule,
    wanted: &Wanted,
    sums: Option<&Bytes>,
) -> Result<Vec<(&'static str, ArtifactDigest)>, Stopped> {
    let sources = &rule.artifacts.digest_from;
    let mut expected = Vec::new();
    if sources.contains(&DigestSource::Message)
        && let Some(digest) = wanted.digest
    {
        expected.push(("the message", digest));
    }
    if sources.contains(&DigestSource::Checksums) {
        let name = wanted.name.as_str();
        match checksums::find(sums.map_or(&[], |sums| sums), name) {
            Ok(digest) => expected.push(("the file of checksums", digest)),
            Err(checksums::NoChecksum::Missing) => {}
            Err(error @ checksums::NoChecksum::Ambiguous) => {
                return Err(Stopped::for_good(
                    "artifact_digest_mismatch",
                    format!("{name}: {error}"),
                ));
            }
        }
    }
    if expected.is_empty() && !sources.contains(&DigestSource::Provenance) {
        return Err(Stopped::for_good(
            "artifact_digest_unknown",
            format!(
                "{}: neither the message nor the file of checksums tells its digest",
                wanted.name
            ),
        ));
    }
    Ok(expected)
}

/// Holds an artifact to the subjects of its provenance.
fn check_provenance(
    name: &str,
    provenance: Option<&Bytes>,
    digests: &BTreeMap<HashAlgorithm, ArtifactDigest>,
) -> Result<(), Stopped> {
    let refused =
        |error: String| Stopped::for_good("subject_digest_mismatch", format!("{name}: {error}"));
    let bytes = provenance.ok_or_else(|| refused("there is no provenance".to_owned()))?;
    let limits = json::Limits {
        max_len: MAX_PROVENANCE,
        ..json::Limits::default()
    };
    let read = Submission::parse(bytes, &limits)
        .map_err(|error| Stopped::for_good("provenance_invalid", format!("{name}: {error}")))?;
    let artifact: DigestSet = digests.values().copied().collect();
    // A predicate that came alone is of any artifact, and binds none.
    let mut reason = "its provenance names no artifact".to_owned();
    for provenance in read.provenance() {
        if provenance.statement().is_none() {
            continue;
        }
        match provenance.check_subject(&artifact) {
            Ok(()) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(refused(reason))
}
