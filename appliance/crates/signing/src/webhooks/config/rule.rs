//! `[signing.webhooks.NAME.rules.NAME]`: when a webhook starts a signature, of what, and
//! who is told of it.

mod report;

use std::collections::BTreeMap;

use globset::GlobMatcher;
use model::signing::{RuleName, SigningProfileName};
use serde::{Deserialize, Serialize};
use url::Url;

use super::bounds::{Place, bounded, https_url, pattern};
use super::fetch::CheckedFetch;
use super::{InvalidHooks, WebhookKind};

pub(crate) use report::CheckedReport;
pub use report::{Evidence, ReportConfig, ReportKind};

/// `[signing.webhooks.NAME.rules.NAME]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// The profile that signs; nothing in a message chooses it.
    pub profile: String,
    /// The events that it is for: `X-GitHub-Event`, `X-Gitlab-Event`, or the message's
    /// `type`.
    pub events: Vec<String>,
    /// What must hold of the message besides, all of it.
    pub when: Vec<ConditionConfig>,
    /// How the message names artifacts and what is known of them.
    pub artifacts: ArtifactsConfig,
    /// Where the result is posted, by names of their own.
    pub reports: BTreeMap<String, ReportConfig>,
}

/// A condition of `when`, as written; one of the three demands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionConfig {
    /// The member, as a JSON pointer (RFC 6901): `/repository/full_name`.
    pub pointer: String,
    /// What it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// What it must be one of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Scalar>,
    /// The pattern that it must match; `*` stays within a part between slashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

/// A value that a member may be compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Where the digest is taken from that a fetched artifact must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestSource {
    /// From the message itself, beside the artifact's URL.
    Message,
    /// From a file of checksums beside the artifact.
    Checksums,
    /// From the provenance's subject.
    Provenance,
}

/// `[signing.webhooks.NAME.rules.NAME.artifacts]`, as written.
///
/// Pointers that are absent are those of the webhook's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArtifactsConfig {
    /// The list of files, or the one file, in the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The file's URL, within the list's item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its digest, `sha256:` and hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Patterns of the names of files that are signed.
    pub include: Vec<String>,
    /// Patterns of the names of files that are not.
    pub exclude: Vec<String>,
    /// Beginnings that files' URLs must have, besides being of a host of `[signing.fetch]`;
    /// none listed asks for none.
    pub within: Vec<String>,
    /// The name of a file's SBOM, with `{name}` for the file's own; empty: none.
    pub sbom: String,
    /// The name of its provenance; empty: none.
    pub provenance: String,
    /// The name of the file of checksums, as `sha256sum` writes it; empty: none.
    pub checksums: String,
    /// Where a digest may come from. One at least must be there; all that are must agree.
    pub digest_from: Vec<DigestSource>,
    /// Most files of one message.
    pub max: usize,
}

impl Default for ArtifactsConfig {
    fn default() -> Self {
        Self {
            list: None,
            url: None,
            name: None,
            digest: None,
            include: vec!["**".to_owned()],
            exclude: Vec::new(),
            within: Vec::new(),
            sbom: String::new(),
            provenance: String::new(),
            checksums: String::new(),
            digest_from: vec![DigestSource::Message],
            max: 16,
        }
    }
}

/// A rule, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedRule {
    /// Its name.
    pub(crate) name: RuleName,
    /// The profile that signs.
    pub(crate) profile: SigningProfileName,
    /// The events that it is for.
    pub(crate) events: Vec<Box<str>>,
    /// What must hold besides.
    pub(crate) when: Vec<Condition>,
    /// What is signed.
    pub(crate) artifacts: ArtifactRule,
    /// Where the result is posted.
    pub(crate) reports: Vec<CheckedReport>,
}

/// A condition, found sound.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// The member.
    pub(crate) pointer: Box<str>,
    /// What it must be.
    pub(crate) demand: Demand,
}

/// What a member must be.
#[derive(Debug, Clone)]
pub(crate) enum Demand {
    /// One of these.
    OneOf(Vec<Scalar>),
    /// A text that the pattern matches.
    Matches(GlobMatcher),
}

/// How a message names artifacts, found sound.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactRule {
    /// The list.
    pub(crate) list: Box<str>,
    /// The URL within an item.
    pub(crate) url: Box<str>,
    /// The name within an item.
    pub(crate) name: Box<str>,
    /// The digest within an item.
    pub(crate) digest: Option<Box<str>>,
    /// Patterns of names that are signed.
    pub(crate) include: Vec<GlobMatcher>,
    /// Patterns of names that are not.
    pub(crate) exclude: Vec<GlobMatcher>,
    /// Beginnings of URLs.
    pub(crate) within: Vec<Url>,
    /// The SBOM's name.
    pub(crate) sbom: Option<Box<str>>,
    /// The provenance's name.
    pub(crate) provenance: Option<Box<str>>,
    /// The name of the file of checksums.
    pub(crate) checksums: Option<Box<str>>,
    /// Where a digest may come from.
    pub(crate) digest_from: Vec<DigestSource>,
    /// Most files.
    pub(crate) max: usize,
}

/// The pointers by which a kind of webhook names its files: list, URL, name, digest.
fn usual_pointers(kind: WebhookKind) -> [Option<&'static str>; 4] {
    match kind {
        // The API's URL of an asset, which takes a token; `digest` is there since 2025.
        WebhookKind::Github => [
            Some("/release/assets"),
            Some("/url"),
            Some("/name"),
            Some("/digest"),
        ],
        WebhookKind::Gitlab => [Some("/assets/links"), Some("/url"), Some("/name"), None],
        WebhookKind::Generic => [
            Some("/data/artifacts"),
            Some("/url"),
            Some("/name"),
            Some("/digest"),
        ],
    }
}

/// Checks a JSON pointer (RFC 6901, 3).
fn pointer(place: &Place, key: &'static str, given: &str) -> Result<Box<str>, InvalidHooks> {
    let bad_escape = given
        .split('~')
        .skip(1)
        .any(|rest| !rest.starts_with(['0', '1']));
    if (given.is_empty() || given.starts_with('/')) && !bad_escape {
        Ok(given.into())
    } else {
        Err(place.given(
            key,
            given,
            "is no JSON pointer, such as /repository/full_name",
        ))
    }
}

impl RuleConfig {
    /// Checks one rule of a webhook.
    pub(super) fn check(
        &self,
        webhook: &Place,
        name: &str,
        kind: WebhookKind,
        fetch: &CheckedFetch,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<CheckedRule, InvalidHooks> {
        let place = webhook.below(&format!("rules.{name}"));
        let name = RuleName::new(name).map_err(|source| place.name(source))?;
        let profile = SigningProfileName::new(&self.profile)
            .ok()
            .filter(is_profile)
            .ok_or_else(|| {
                place.given(
                    "profile",
                    &self.profile,
                    "is no profile of [signing.profiles]",
                )
            })?;
        if self.events.is_empty() {
            return Err(place.rule("events", "must name the events that the rule is for"));
        }
        let when = self
            .when
            .iter()
            .map(|condition| condition.check(&place))
            .collect::<Result<_, _>>()?;
        let reports = self
            .reports
            .iter()
            .map(|(name, report)| report.check(&place, name, kind))
            .collect::<Result<_, _>>()?;
        Ok(CheckedRule {
            name,
            profile,
            events: self.events.iter().map(|event| (&**event).into()).collect(),
            when,
            artifacts: self
                .artifacts
                .check(&place.below("artifacts"), kind, fetch)?,
            reports,
        })
    }
}

impl ConditionConfig {
    /// Checks one condition.
    fn check(&self, place: &Place) -> Result<Condition, InvalidHooks> {
        let demand = match (&self.equals, &*self.one_of, &self.matches) {
            (Some(value), [], None) => Demand::OneOf(vec![value.clone()]),
            (None, values @ [_, ..], None) => Demand::OneOf(values.to_vec()),
            (None, [], Some(given)) => Demand::Matches(pattern(place, "when", given)?),
            _ => {
                return Err(place.rule(
                    "when",
                    "must demand one thing of each `pointer`: `equals`, `one_of` or `matches`",
                ));
            }
        };
        Ok(Condition {
            pointer: pointer(place, "when", &self.pointer)?,
            demand,
        })
    }
}

impl ArtifactsConfig {
    /// Checks how artifacts are named.
    fn check(
        &self,
        place: &Place,
        kind: WebhookKind,
        fetch: &CheckedFetch,
    ) -> Result<ArtifactRule, InvalidHooks> {
        let [list, url, name, digest] = usual_pointers(kind);
        let own = |key, given: &Option<String>, usual: Option<&str>| {
            given
                .as_deref()
                .or(usual)
                .map(|text| pointer(place, key, text))
                .transpose()
        };
        let needed = |key, given, usual| {
            own(key, given, usual)?.ok_or_else(|| place.rule(key, "must be a JSON pointer"))
        };
        let patterns = |key, given: &[String]| {
            given
                .iter()
                .map(|text| pattern(place, key, text))
                .collect::<Result<Vec<_>, _>>()
        };
        let within = self
            .within
            .iter()
            .map(|text| {
                let url = https_url(place, "within", text)?;
                if fetch.host_of(&url).is_none() {
                    return Err(place.given("within", text, "is of no host of [signing.fetch]"));
                }
                // Compared octet by octet: half a name must not do for another.
                if url.path().ends_with('/') && url.query().is_none() {
                    Ok(url)
                } else {
                    Err(place.given("within", text, "must end in a slash"))
                }
            })
            .collect::<Result<_, _>>()?;
        if fetch.hosts.is_empty() {
            return Err(InvalidHooks::Rule {
                place: "fetch".to_owned(),
                key: "hosts",
                rule: "must name the hosts that artifacts are fetched from",
            });
        }
        let digest = own("digest", &self.digest, digest)?;
        let named = |text: &str| (!text.is_empty()).then(|| text.into());
        let rule = ArtifactRule {
            list: needed("list", &self.list, list)?,
            url: needed("url", &self.url, url)?,
            name: needed("name", &self.name, name)?,
            digest,
            include: patterns("include", &self.include)?,
            exclude: patterns("exclude", &self.exclude)?,
            within,
            sbom: named(&self.sbom),
            provenance: named(&self.provenance),
            checksums: named(&self.checksums),
            digest_from: self.digest_from.clone(),
            max: bounded(place, "max", self.max, 1..=64, "must be between 1 and 64")?,
        };
        rule.check_digests(place)?;
        Ok(rule)
    }
}

impl ArtifactRule {
    /// Refuses digests that can come from nowhere.
    fn check_digests(&self, place: &Place) -> Result<(), InvalidHooks> {
        let key = "digest_from";
        if self.digest_from.is_empty() {
            return Err(place.rule(
                key,
                "must name one at least of message, checksums and provenance: what is fetched is \
                 signed only if its digest is known beforehand",
            ));
        }
        for source in &self.digest_from {
            let (there, rule) = match source {
                DigestSource::Message => (
                    self.digest.is_some(),
                    "has `message`, and the message's digests have no pointer in `digest`",
                ),
                DigestSource::Checksums => (
                    self.checksums.is_some(),
                    "has `checksums`, and `checksums` names no file",
                ),
                DigestSource::Provenance => (
                    self.provenance.is_some(),
                    "has `provenance`, and `provenance` names no file",
                ),
            };
            if !there {
                return Err(place.rule(key, rule));
            }
        }
        Ok(())
    }
}
