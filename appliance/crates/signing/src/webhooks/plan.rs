//! What a message asks for, in terms of a rule: which files, with which digests, and where
//! the result belongs. Nothing here chooses a key, a profile or a host.

use std::collections::{BTreeMap, BTreeSet};

use mesh::Excerpt;
use model::signing::{ArtifactDigest, ArtifactName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::config::{
    ArtifactRule, CheckedFetch, CheckedRule, DigestSource, Evidence, ReportKind, WebhookKind,
};
use crate::outside::{Target, UrlProblem};

/// Most items of a list that are looked at.
const MAX_ITEMS: usize = 1000;

/// Most octets of a plan as it is stored.
const MAX_STORED: usize = 48 * 1024;

/// What is to be done for one event.
// Stored on disk: change only by adding a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The form of the rest.
    version: u8,
    /// The event's name.
    pub(crate) event: Box<str>,
    /// What is to be signed.
    pub(crate) artifacts: Vec<Wanted>,
    /// The URL of the file of checksums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksums: Option<Box<str>>,
    /// Where the result belongs.
    #[serde(default)]
    pub(crate) context: Context,
}

/// One artifact that is to be signed.
// Stored on disk, in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Its name.
    pub(crate) name: ArtifactName,
    /// Where it is.
    pub(crate) url: Box<str>,
    /// The digest that the message tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<ArtifactDigest>,
    /// Where its SBOM is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sbom: Option<Box<str>>,
    /// Where its provenance is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provenance: Option<Box<str>>,
}

/// Where the result belongs, as the message tells; each part checked to be harmless in a
/// path.
// Stored on disk, in a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<Box<str>>,
    /// The number of GitHub's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<u64>,
    /// The number of GitLab's project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<u64>,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<Box<str>>,
}

/// Why a genuine message cannot be worked on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unplannable {
    /// A member that is missing or of another type.
    #[error("the message has no {what} at {pointer}")]
    Member {
        /// What was looked for.
        what: &'static str,
        /// Where.
        pointer: Box<str>,
    },
    /// Files beyond all measure.
    #[error("the message names {len} files; at most {max} are looked at")]
    TooMany {
        /// How many it names.
        len: usize,
        /// Most of them.
        max: usize,
    },
    /// A name that is none.
    #[error("{name} is no file's name that can be signed")]
    Name {
        /// The name.
        name: Excerpt,
    },
    /// Two files of one name.
    #[error("the message names two files {name}")]
    Repeated {
        /// The name.
        name: Excerpt,
    },
    /// No file to be signed.
    #[error("the message names {len} files, none of which the rule includes")]
    Nothing {
        /// How many it names.
        len: usize,
    },
    /// A file that the rule asks for.
    #[error("the message names no file {name}, which the rule asks for")]
    Missing {
        /// The name.
        name: Excerpt,
    },
    /// A URL that is not fetched.
    #[error("{url} of {name} is not fetched: {problem}")]
    Url {
        /// The file.
        name: Excerpt,
        /// The URL.
        url: Excerpt,
        /// Why not.
        problem: UrlProblem,
    },
    /// A host that files are not fetched from.
    #[error("{url} of {name} is not fetched: its host is none of [signing.fetch.hosts]")]
    Host {
        /// The file.
        name: Excerpt,
        /// The URL.
        url: Excerpt,
    },
    /// A place that the rule's files do not lie in.
    #[error("{url} of {name} is not fetched: it lies in no place of the rule's `within`")]
    Elsewhere {
        /// The file.
        name: Excerpt,
        /// The URL.
        url: Excerpt,
    },
    /// A digest that is none.
    #[error("{digest} of {name} is no digest; wanted is sha256: and lower-case hexadecimal")]
    Digest {
        /// The file.
        name: Excerpt,
        /// The digest.
        digest: Excerpt,
    },
    /// No digest beforehand.
    #[error(
        "the message tells no digest of {name}, and the rule takes it from nowhere else \
         (`digest_from`)"
    )]
    Unbound {
        /// The file.
        name: Excerpt,
    },
    /// More than is stored.
    #[error("what the message asks for takes {len} octets; at most {MAX_STORED} are stored")]
    TooLong {
        /// How many it takes.
        len: usize,
    },
}

/// A file that a message names.
struct File<'a> {
    /// Where it is.
    url: &'a str,
    /// What the message says of its digest.
    digest: Option<&'a str>,
}

impl Plan {
    /// Works out what a genuine message asks for. The payload is hostile still: its sender
    /// is known and may be mistaken.
    ///
    /// # Errors
    ///
    /// What the sender must change, or whoever wrote the rule.
    pub(crate) fn of(
        kind: WebhookKind,
        rule: &CheckedRule,
        fetch: &CheckedFetch,
        event: &str,
        payload: &Value,
    ) -> Result<Self, Unplannable> {
        let artifacts = &rule.artifacts;
        let files = artifacts.files(payload)?;
        let url = |name: &str| artifacts.url_of(&files, name, fetch);
        let checksums = artifacts.checksums.as_deref().map(url).transpose()?;
        let mut wanted = Vec::new();
        for name in artifacts.chosen(&files) {
            let file = files.get(name).ok_or_else(|| missing(name))?;
            let beside = |template: &Option<Box<str>>| {
                template
                    .as_deref()
                    .map(|template| url(&template.replace(NAME, name)))
                    .transpose()
            };
            wanted.push(Wanted {
                name: ArtifactName::new(name).map_err(|_| Unplannable::Name {
                    name: excerpt(name),
                })?,
                url: url(name)?,
                digest: artifacts.digest_of(name, file)?,
                sbom: beside(&artifacts.sbom)?,
                provenance: beside(&artifacts.provenance)?,
            });
        }
        if wanted.is_empty() {
            return Err(Unplannable::Nothing { len: files.len() });
        }
        if wanted.len() > artifacts.max {
            return Err(Unplannable::TooMany {
                len: wanted.len(),
                max: artifacts.max,
            });
        }
        Ok(Self {
            version: 1,
            event: event.into(),
            artifacts: wanted,
            checksums,
            context: Context::of(kind, rule, payload)?,
        })
    }

    /// Writes the plan as it is stored.
    ///
    /// # Errors
    ///
    /// `TooLong`.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Unplannable> {
        // Texts and numbers: nothing here can fail to encode.
        let json = serde_json::to_vec(self).unwrap_or_default();
        if json.len() > MAX_STORED {
            return Err(Unplannable::TooLong { len: json.len() });
        }
        Ok(json)
    }

    /// Reads a stored plan.
    ///
    /// # Errors
    ///
    /// When another version of this program wrote it.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// What stands for a file's own name.
const NAME: &str = "{name}";

/// Shows what a message said.
fn excerpt(text: &str) -> Excerpt {
    Excerpt::of(text.as_bytes())
}

/// Shows a URL that a message said: without its query, which may let anyone fetch, and
/// without passwords.
fn excerpt_of_url(text: &str) -> Excerpt {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    match place.rsplit_once('@') {
        Some((_, behind)) => excerpt(&format!("…@{behind}")),
        None => excerpt(place),
    }
}

/// Says that a file is not there.
fn missing(name: &str) -> Unplannable {
    Unplannable::Missing {
        name: excerpt(name),
    }
}

impl ArtifactRule {
    /// Returns the files that a message names.
    fn files<'a>(&self, payload: &'a Value) -> Result<BTreeMap<&'a str, File<'a>>, Unplannable> {
        let items = match payload.pointer(&self.list) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(item @ Value::Object(_)) => std::slice::from_ref(item),
            _ => {
                return Err(Unplannable::Member {
                    what: "list of files",
                    pointer: self.list.clone(),
                });
            }
        };
        if items.len() > MAX_ITEMS {
            return Err(Unplannable::TooMany {
                len: items.len(),
                max: MAX_ITEMS,
            });
        }
        let mut files = BTreeMap::new();
        for item in items {
            let text = |what, pointer: &str| {
                item.pointer(pointer)
                    .and_then(Value::as_str)
                    .ok_or_else(|| Unplannable::Member {
                        what,
                        pointer: format!("{}/…{pointer}", self.list).into(),
                    })
            };
            let name = text("file's name", &self.name)?;
            let file = File {
                url: text("file's URL", &self.url)?,
                // `null` where the forge does not know it.
                digest: self
                    .digest
                    .as_deref()
                    .and_then(|pointer| item.pointer(pointer)?.as_str()),
            };
            if files.insert(name, file).is_some() {
                return Err(Unplannable::Repeated {
                    name: excerpt(name),
                });
            }
        }
        Ok(files)
    }

    /// Returns the names of the files to be signed: those that the patterns choose, without
    /// what is evidence of others.
    fn chosen<'a>(&self, files: &BTreeMap<&'a str, File<'a>>) -> Vec<&'a str> {
        let templates: Vec<&str> = [&self.sbom, &self.provenance, &self.checksums]
            .into_iter()
            .filter_map(|template| template.as_deref())
            .collect();
        let mut evidence = BTreeSet::new();
        for name in files.keys() {
            evidence.extend(
                templates
                    .iter()
                    .map(|template| template.replace(NAME, name)),
            );
            let suffixes = Evidence::ALL.iter().map(|evidence| evidence.suffix());
            evidence.extend(suffixes.map(|suffix| format!("{name}{suffix}")));
        }
        files
            .keys()
            .copied()
            .filter(|name| self.include.iter().any(|pattern| pattern.is_match(name)))
            .filter(|name| !self.exclude.iter().any(|pattern| pattern.is_match(name)))
            .filter(|name| !evidence.contains(*name))
            .collect()
    }

    /// Returns the URL of a file, if it is one that is fetched.
    fn url_of(
        &self,
        files: &BTreeMap<&str, File<'_>>,
        name: &str,
        fetch: &CheckedFetch,
    ) -> Result<Box<str>, Unplannable> {
        let file = files.get(name).ok_or_else(|| missing(name))?;
        let refused = |problem| Unplannable::Url {
            name: excerpt(name),
            url: excerpt_of_url(file.url),
            problem,
        };
        let url = Url::parse(file.url).map_err(|_| refused(UrlProblem::NoUrl))?;
        let target = Target::of(&url).map_err(refused)?;
        let url = target.url();
        if fetch.host_of(url).is_none() {
            return Err(Unplannable::Host {
                name: excerpt(name),
                url: excerpt_of_url(file.url),
            });
        }
        let within =
            |place: &Url| url.origin() == place.origin() && url.path().starts_with(place.path());
        if !self.within.is_empty() && !self.within.iter().any(within) {
            return Err(Unplannable::Elsewhere {
                name: excerpt(name),
                url: excerpt_of_url(file.url),
            });
        }
        Ok(url.as_str().into())
    }

    /// Returns the digest that the message tells of a file; none only if it may come from
    /// elsewhere.
    fn digest_of(
        &self,
        name: &str,
        file: &File<'_>,
    ) -> Result<Option<ArtifactDigest>, Unplannable> {
        let told = self.digest_from.contains(&DigestSource::Message);
        let digest = file
            .digest
            .filter(|_| told)
            .map(|text| {
                text.parse().map_err(|_| Unplannable::Digest {
                    name: excerpt(name),
                    digest: excerpt(text),
                })
            })
            .transpose()?;
        if digest.is_none() && self.digest_from == [DigestSource::Message] {
            return Err(Unplannable::Unbound {
                name: excerpt(name),
            });
        }
        Ok(digest)
    }
}

impl Context {
    /// Takes from the message what the rule's reports need.
    fn of(kind: WebhookKind, rule: &CheckedRule, payload: &Value) -> Result<Self, Unplannable> {
        let needs = |kinds: &[ReportKind]| {
            rule.reports
                .iter()
                .any(|report| kinds.contains(&report.kind))
        };
        let absent = |what, pointer: &str| Unplannable::Member {
            what,
            pointer: pointer.into(),
        };
        let number = |what, pointer: &str, needed: bool| {
            let number = payload.pointer(pointer).and_then(Value::as_u64);
            if number.is_none() && needed {
                return Err(absent(what, pointer));
            }
            Ok(number)
        };
        let text = |what, pointer: &str, needed: bool, fits: fn(&str) -> bool| {
            let text = payload
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|text| fits(text))
                .map(Box::from);
            if text.is_none() && needed {
                return Err(absent(what, pointer));
            }
            Ok(text)
        };
        match kind {
            WebhookKind::Github => {
                let release = needs(&[ReportKind::GithubRelease]);
                let status = needs(&[ReportKind::GithubStatus]);
                Ok(Self {
                    repository: text(
                        "repository",
                        "/repository/full_name",
                        release || status,
                        is_repository,
                    )?,
                    release: number("release's number", "/release/id", release)?,
                    project: None,
                    tag: text("tag", "/release/tag_name", status, is_tag)?,
                })
            }
            WebhookKind::Gitlab => {
                let needed = needs(&[ReportKind::GitlabRelease]);
                Ok(Self {
                    repository: text(
                        "project's path",
                        "/project/path_with_namespace",
                        false,
                        is_tag,
                    )?,
                    release: None,
                    project: number("project's number", "/project/id", needed)?,
                    tag: text("tag", "/tag", needed, is_tag)?,
                })
            }
            WebhookKind::Generic => Ok(Self::default()),
        }
    }
}

/// Tells whether a text is `owner/name` and nothing that a path would take otherwise.
fn is_repository(text: &str) -> bool {
    let part = |text: &str| {
        (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
            && text.bytes().any(|octet| octet != b'.')
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| part(owner) && part(name))
}

/// Tells whether a text may be a tag.
fn is_tag(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !text.contains(char::is_control)
        // URLs take `.` and `..` for something else.
        && text.contains(|character| character != '.')
}
