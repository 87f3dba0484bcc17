//! Posting results back to where a message came from.

mod forge;
mod github;
mod gitlab;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use model::signing::{ArtifactDigest, DeliveryId, EventId, RuleName, WebhookName};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::signing::{DeliveryRecord, DocumentInfo, EventRecord, NewDelivery, StoredContent};

use super::authenticate::GateError;
use super::config::{CheckedHooks, CheckedReport, Evidence, Happening, ReportKind, TokenHeader};
use super::delivery::{Delivered, Undelivered};
use super::event::{Made, Stopped};
use super::fetch::token_field;
use super::notify::{Announcement, message, read_keys};
use super::plan::{Context, Plan};
use super::secret::SecretError;
use super::signature::SharedKey;
use super::{Webhooks, WebhooksError};
use crate::outside::Target;

/// Most octets of a document that is posted.
const MAX_DOCUMENT: u64 = 32 * 1024 * 1024;

/// How results are posted.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// By whom forges are trusted.
    tls: Arc<ClientConfig>,
    /// By webhook, rule and report.
    posts: BTreeMap<(WebhookName, RuleName, RuleName), Post>,
}

/// One report of a rule.
#[derive(Debug)]
struct Post {
    /// Where and what.
    config: CheckedReport,
    /// The forge's token.
    token: Option<(HeaderName, HeaderValue)>,
    /// What a callback is signed with.
    keys: Vec<SharedKey>,
}

/// A report that is to be posted.
// Stored on disk, as a delivery's body: change only by adding a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    /// The form of the rest.
    version: u8,
    /// The rule.
    rule: RuleName,
    /// Its report.
    report: RuleName,
    /// The event.
    event: EventId,
    /// What its sender calls it.
    delivery: Box<str>,
    /// When it ended.
    at: Timestamp,
    /// Where the result belongs.
    context: Context,
    /// The result.
    result: Outcome,
}

/// What came of an event.
// Stored on disk, in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// Its artifacts are signed.
    Signed(Vec<Made>),
    /// It has failed.
    Failed {
        /// The reason's stable code.
        code: Box<str>,
        /// The reason in words.
        reason: Box<str>,
    },
}

/// A document of a signature, to be posted as a file.
struct Document {
    /// The file's name.
    name: String,
    /// Its media type.
    media_type: HeaderValue,
    /// Its octets.
    octets: Bytes,
    /// Its digest.
    digest: ArtifactDigest,
}

impl Reporter {
    /// Reads tokens and secrets of every report.
    ///
    /// # Errors
    ///
    /// When one cannot be had.
    pub(crate) fn open(
        config: &CheckedHooks,
        tls: &Arc<ClientConfig>,
    ) -> Result<Self, WebhooksError> {
        let mut posts = BTreeMap::new();
        for (hook, webhook) in &config.webhooks {
            for rule in &webhook.rules {
                for report in &rule.reports {
                    let post = Post::open(report).map_err(|source| WebhooksError::Secret {
                        place: format!(
                            "webhooks.{hook}.rules.{}.reports.{}",
                            rule.name, report.name
                        ),
                        source,
                    })?;
                    posts.insert((hook.clone(), rule.name.clone(), report.name.clone()), post);
                }
            }
        }
        Ok(Self {
            tls: Arc::clone(tls),
            posts,
        })
    }

    /// Returns the reports of a rule.
    fn of_rule<'a>(
        &'a self,
        hook: &'a WebhookName,
        rule: &'a RuleName,
    ) -> impl Iterator<Item = &'a CheckedReport> {
        self.posts
            .iter()
            .filter(move |((own_hook, own_rule, _), _)| own_hook == hook && own_rule == rule)
            .map(|(_, post)| &post.config)
    }
}

impl Post {
    /// Reads token and secrets.
    fn open(config: &CheckedReport) -> Result<Self, GateError> {
        let header = match config.kind {
            ReportKind::GitlabRelease => TokenHeader::PrivateToken,
            ReportKind::GithubRelease | ReportKind::GithubStatus | ReportKind::Callback => {
                TokenHeader::Bearer
            }
        };
        let token = config
            .token
            .as_ref()
            .map(|source| {
                let token = source.read()?;
                token_field(header, &token).ok_or_else(|| SecretError::NotText {
                    origin: source.clone(),
                })
            })
            .transpose()?;
        Ok(Self {
            config: config.clone(),
            token,
            keys: read_keys(&config.secrets)?,
        })
    }
}

/// Names a delivery that follows from an event: the same each time it is worked out.
fn derived_id(event: EventId, purpose: &str) -> DeliveryId {
    use aws_lc_rs::digest::{Context as Hasher, SHA256};
    let mut hasher = Hasher::new(&SHA256);
    hasher.update(event.octets());
    hasher.update(purpose.as_bytes());
    let digest = hasher.finish();
    let mut random = [0; 10];
    for (octet, digested) in random.iter_mut().zip(digest.as_ref()) {
        *octet = *digested;
    }
    DeliveryId::new(event.time(), random)
}

impl Webhooks {
    /// Returns the reports of an event whose artifacts are signed: of files one for each
    /// artifact, so that one that cannot be posted holds up no other.
    pub(super) fn reports_of_success(
        &self,
        event: &EventRecord,
        made: &[Made],
        now: Timestamp,
    ) -> Vec<NewDelivery> {
        let mut deliveries = Vec::new();
        for report in self.reporter.of_rule(&event.hook, &event.rule) {
            match report.kind {
                ReportKind::GithubRelease | ReportKind::GitlabRelease => {
                    deliveries.extend(made.iter().enumerate().map(|(number, one)| {
                        let result = Outcome::Signed(vec![one.clone()]);
                        order(event, report, &format!("{number}"), result, now)
                    }));
                }
                ReportKind::GithubStatus | ReportKind::Callback => {
                    let result = Outcome::Signed(made.to_vec());
                    deliveries.push(order(event, report, "signed", result, now));
                }
            }
        }
        deliveries
    }

    /// Returns what is told of an event that has failed.
    pub(super) fn reports_of_failure(
        &self,
        event: &EventRecord,
        stopped: &Stopped,
        now: Timestamp,
    ) -> Vec<NewDelivery> {
        let mut deliveries = Vec::new();
        for report in self.reporter.of_rule(&event.hook, &event.rule) {
            match report.kind {
                ReportKind::GithubRelease | ReportKind::GitlabRelease => {}
                ReportKind::GithubStatus | ReportKind::Callback => {
                    let result = Outcome::Failed {
                        code: stopped.code.clone(),
                        reason: stopped.reason.chars().take(1000).collect(),
                    };
                    deliveries.push(order(event, report, "failed", result, now));
                }
            }
        }
        let announcement = Announcement {
            happening: Happening::EventFailed,
            at: now,
            data: json!({
                "event": event.id.to_string(),
                "webhook": event.hook.as_str(),
                "rule": event.rule.as_str(),
                "delivery": event.delivery.as_str(),
                "attempts": event.attempts + 1,
                "code": stopped.code,
                "detail": stopped.reason.chars().take(1000).collect::<String>(),
                "requestId": event.request_id.as_str(),
            }),
        };
        let derived = |name: &WebhookName| {
            let id = derived_id(event.id, &format!("event.failed to {name}"));
            id.octets().get(6..)?.try_into().ok()
        };
        // Named by the event's time, so that a repeated attempt names the same.
        for mut delivery in self.messages(&announcement, &derived) {
            delivery.id = derived_id(event.id, &format!("event.failed to {}", delivery.hook));
            deliveries.push(delivery);
        }
        deliveries
    }

    /// Posts a report.
    pub(super) async fn report(&self, item: &DeliveryRecord) -> Delivered {
        let order: Order = serde_json::from_slice(&item.body).map_err(|error| {
            Undelivered::for_good(format!("what is to be reported cannot be read: {error}"))
        })?;
        let key = (item.hook.clone(), order.rule.clone(), order.report.clone());
        let post = self.reporter.posts.get(&key).ok_or_else(|| {
            Undelivered::for_good(format!(
                "report {} of rule {} is no longer configured: give it back its section and send \
                 this again",
                order.report, order.rule
            ))
        })?;
        match post.config.kind {
            ReportKind::GithubRelease => github::post_files(self, post, &order).await,
            ReportKind::GithubStatus => github::post_status(self, post, &order).await,
            ReportKind::GitlabRelease => gitlab::post_files(self, post, &order).await,
            ReportKind::Callback => self.post_callback(post, &order, item).await,
        }
    }

    /// Posts a callback.
    async fn post_callback(&self, post: &Post, order: &Order, item: &DeliveryRecord) -> Delivered {
        let url = Target::of(&post.config.url)
            .map_err(|problem| Undelivered::for_good(problem.to_string()))?;
        let common = json!({
            "event": order.event.to_string(),
            "webhook": item.hook.as_str(),
            "rule": order.rule.as_str(),
            "delivery": order.delivery,
        });
        let (kind, mut data) = match &order.result {
            Outcome::Signed(made) => {
                let signatures: Vec<_> = made.iter().map(|made| self.told(made)).collect();
                ("event.signed", json!({ "signatures": signatures }))
            }
            Outcome::Failed { code, reason } => (
                Happening::EventFailed.as_str(),
                json!({ "code": code, "detail": reason }),
            ),
        };
        if let (Some(data), Some(common)) = (data.as_object_mut(), common.as_object()) {
            data.extend(common.clone());
        }
        let body = message(kind, order.at, &data);
        self.post_signed(&self.reporter.tls, &url, &post.keys, &item.id, body)
            .await
    }

    /// Tells of a signature, with where to get it.
    fn told(&self, made: &Made) -> serde_json::Value {
        let path = format!("/v1/signatures/{}", made.id);
        json!({
            "name": made.name,
            "artifactHash": made.artifact_hash,
            "id": made.id.to_string(),
            "url": self.url_of(&path),
            "signatureURL": self.url_of(&format!("{path}/signature")),
            "bundleURL": self.url_of(&format!("{path}/bundle")),
        })
    }

    /// Reads the documents of a signature that a report posts; those that the profile does
    /// not make are not there.
    async fn documents(&self, post: &Post, made: &Made) -> Result<Vec<Document>, Undelivered> {
        let mut documents = Vec::new();
        for evidence in &post.config.files {
            let stored = self.store.document(&made.id, evidence.document()).await?;
            let Some(stored) = stored else {
                continue;
            };
            let octets = octets_of(&stored.info, stored.content).await?;
            documents.push(document(*evidence, &made.name, &stored.info, octets)?);
        }
        if documents.is_empty() {
            return Err(Undelivered::for_good(format!(
                "signature {} has none of the documents that are to be posted",
                made.id
            )));
        }
        Ok(documents)
    }
}

/// Queues a report.
fn order(
    event: &EventRecord,
    report: &CheckedReport,
    purpose: &str,
    result: Outcome,
    now: Timestamp,
) -> NewDelivery {
    let context = Plan::from_json(&event.work_json)
        .map(|plan| plan.context)
        .unwrap_or_default();
    let order = Order {
        version: 1,
        rule: event.rule.clone(),
        report: report.name.clone(),
        event: event.id,
        delivery: event.delivery.as_str().into(),
        at: now,
        context,
        result,
    };
    NewDelivery {
        id: derived_id(event.id, &format!("report {} {purpose}", report.name)),
        hook: event.hook.clone(),
        event: format!("report.{}", report.name).into(),
        // Texts and numbers: nothing here can fail to encode.
        body: serde_json::to_vec(&order).unwrap_or_default().into(),
        due: now,
        at: now,
    }
}

/// Reads a stored document whole.
async fn octets_of(info: &DocumentInfo, content: StoredContent) -> Result<Bytes, Undelivered> {
    if info.len > MAX_DOCUMENT {
        return Err(Undelivered::for_good(format!(
            "a document of {} octets is not posted; at most {MAX_DOCUMENT} are",
            info.len
        )));
    }
    match content {
        StoredContent::Octets(octets) => Ok(octets),
        StoredContent::Stream(mut reader) => {
            let mut whole = BytesMut::new();
            while let Some(octets) = reader.next().await? {
                whole.extend_from_slice(&octets);
            }
            Ok(whole.freeze())
        }
    }
}

/// Makes a file of a document.
fn document(
    evidence: Evidence,
    artifact: &str,
    info: &DocumentInfo,
    octets: Bytes,
) -> Result<Document, Undelivered> {
    // A path's last part: forges' files have no folders.
    let base = artifact.rsplit('/').next().unwrap_or(artifact);
    Ok(Document {
        name: format!("{base}{}", evidence.suffix()),
        media_type: HeaderValue::from_str(info.media_type.as_str())
            .map_err(|error| Undelivered::for_good(error.to_string()))?,
        octets,
        digest: ArtifactDigest::sha256(info.sha256),
    })
}
