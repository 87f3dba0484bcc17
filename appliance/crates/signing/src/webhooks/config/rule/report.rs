//! `[signing.webhooks.NAME.rules.NAME.reports.NAME]`: where a result is posted.

use model::signing::RuleName;
use serde::{Deserialize, Serialize};
use store::signing::DocumentKind;
use url::Url;

use crate::outside::UrlProblem;
use crate::webhooks::config::bounds::{Place, https_url};
use crate::webhooks::config::{InvalidHooks, WebhookKind};
use crate::webhooks::secret::SecretSource;

/// How a result is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// As files of the GitHub release that the message told of.
    GithubRelease,
    /// As the status of the release's commit at GitHub.
    GithubStatus,
    /// As files of a package at GitLab, linked from the release.
    GitlabRelease,
    /// As a message to a URL, signed as Standard Webhooks has it.
    #[default]
    Callback,
}

impl ReportKind {
    /// Returns the kind of webhook whose messages tell what is needed; none takes any.
    const fn of(self) -> Option<WebhookKind> {
        match self {
            Self::GithubRelease | Self::GithubStatus => Some(WebhookKind::Github),
            Self::GitlabRelease => Some(WebhookKind::Gitlab),
            Self::Callback => None,
        }
    }

    /// Returns the API's usual address.
    const fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::GithubRelease | Self::GithubStatus => Some("https://api.github.com"),
            Self::GitlabRelease => Some("https://gitlab.com/api/v4"),
            Self::Callback => None,
        }
    }
}

/// A document of a signature that is posted as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The raw signature, `NAME.sig`.
    Signature,
    /// The sigstore bundle, `NAME.bundle.json`.
    Bundle,
    /// The detached CMS signature, `NAME.p7s`.
    Cms,
    /// The time-stamp, `NAME.tsr`.
    Timestamp,
    /// The bundles of the attestations, `NAME.attestations.jsonl`.
    Attestations,
    /// The verdict, `NAME.vsa.json`.
    Vsa,
}

impl Evidence {
    /// Every document that can be posted.
    pub(crate) const ALL: [Self; 6] = [
        Self::Signature,
        Self::Bundle,
        Self::Cms,
        Self::Timestamp,
        Self::Attestations,
        Self::Vsa,
    ];

    /// Returns what is put behind the artifact's name.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Signature => ".sig",
            Self::Bundle => ".bundle.json",
            Self::Cms => ".p7s",
            Self::Timestamp => ".tsr",
            Self::Attestations => ".attestations.jsonl",
            Self::Vsa => ".vsa.json",
        }
    }

    /// Returns the document as the store names it.
    pub(crate) const fn document(self) -> DocumentKind {
        match self {
            Self::Signature => DocumentKind::Signature,
            Self::Bundle => DocumentKind::Bundle,
            Self::Cms => DocumentKind::Cms,
            Self::Timestamp => DocumentKind::Timestamp,
            Self::Attestations => DocumentKind::Attestations,
            Self::Vsa => DocumentKind::Vsa,
        }
    }
}

/// `[signing.webhooks.NAME.rules.NAME.reports.NAME]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// How: `github-release`, `github-status`, `gitlab-release` or `callback`.
    pub kind: ReportKind,
    /// The API's address, or where a callback is posted; that of github.com or gitlab.com
    /// where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where GitHub takes files.
    pub uploads_url: String,
    /// Where the forge's token is: `file:PATH`, `env:NAME`, `credential:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
    /// Where a callback's secret is; two while one takes the other's place.
    pub secrets: Vec<SecretSource>,
    /// The files that are posted.
    pub files: Vec<Evidence>,
    /// The name of a commit's status.
    pub context: String,
    /// The name of GitLab's package.
    pub package: String,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            kind: ReportKind::default(),
            url: None,
            uploads_url: "https://uploads.github.com".to_owned(),
            token: None,
            secrets: Vec::new(),
            files: vec![Evidence::Signature, Evidence::Bundle],
            context: "chancery/signed".to_owned(),
            package: "signatures".to_owned(),
        }
    }
}

/// A report, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedReport {
    /// Its name.
    pub(crate) name: RuleName,
    /// How it is posted.
    pub(crate) kind: ReportKind,
    /// The API's address, or the callback's.
    pub(crate) url: Url,
    /// Where GitHub takes files.
    pub(crate) uploads_url: Url,
    /// Where the forge's token is.
    pub(crate) token: Option<SecretSource>,
    /// Where a callback's secrets are.
    pub(crate) secrets: Vec<SecretSource>,
    /// The files that are posted.
    pub(crate) files: Vec<Evidence>,
    /// The name of a commit's status.
    pub(crate) context: Box<str>,
    /// The name of GitLab's package.
    pub(crate) package: Box<str>,
}

impl ReportConfig {
    /// Checks one report of a rule.
    pub(super) fn check(
        &self,
        rule: &Place,
        name: &str,
        webhook: WebhookKind,
    ) -> Result<CheckedReport, InvalidHooks> {
        let place = rule.below(&format!("reports.{name}"));
        let name = RuleName::new(name).map_err(|source| place.name(source))?;
        if self.kind.of().is_some_and(|kind| kind != webhook) {
            return Err(place.rule(
                "kind",
                "needs what only a message of the same forge tells; use `callback`",
            ));
        }
        let given = self.url.as_deref().or(self.kind.usual_url());
        let given = given.ok_or_else(|| place.rule("url", "must say where to post"))?;
        match self.kind {
            ReportKind::Callback => {
                if !(1..=2).contains(&self.secrets.len()) {
                    return Err(place.rule(
                        "secrets",
                        "must name one secret, or two while one takes the other's place",
                    ));
                }
            }
            ReportKind::GithubRelease | ReportKind::GithubStatus | ReportKind::GitlabRelease => {
                if self.token.is_none() {
                    return Err(place.rule("token", "must say where the forge's token is"));
                }
            }
        }
        let in_path = |text: &str| {
            !text.is_empty()
                && text.len() <= 100
                && text
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
                && !text.starts_with('.')
        };
        if !in_path(&self.package) {
            return Err(place.given("package", &self.package, "is no package's name"));
        }
        if self.context.is_empty() || self.context.len() > 100 {
            return Err(place.rule("context", "must have 1 to 100 characters"));
        }
        if self.files.is_empty() {
            return Err(place.rule("files", "must name what is posted"));
        }
        Ok(CheckedReport {
            name,
            kind: self.kind,
            url: base(&place, "url", given)?,
            uploads_url: base(&place, "uploads_url", &self.uploads_url)?,
            token: self.token.clone(),
            secrets: self.secrets.clone(),
            files: self.files.clone(),
            context: self.context.as_str().into(),
            package: self.package.as_str().into(),
        })
    }
}

/// Reads a URL that paths are added to.
fn base(place: &Place, key: &'static str, given: &str) -> Result<Url, InvalidHooks> {
    let url = https_url(place, key, given)?;
    if url.query().is_some() {
        return Err(place.url(key, given, UrlProblem::Path));
    }
    Ok(url)
}
