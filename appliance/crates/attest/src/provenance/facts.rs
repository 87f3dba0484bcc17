//! What provenance says about a build, checked against SLSA's specification.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::Value;

use super::ProvenanceError;
use crate::json::quoted;
use crate::statement::{DigestSet, predicate_type};

/// Most octets of a URI or another short text.
const MAX_TEXT: usize = 4096;

/// A version of the predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Version 0.2, which is read.
    V0_2,
    /// Version 1, which is read and made.
    V1,
}

impl Version {
    /// Returns the type of its predicates.
    #[must_use]
    pub const fn predicate_type(self) -> &'static str {
        match self {
            Self::V0_2 => predicate_type::PROVENANCE_V0_2,
            Self::V1 => predicate_type::PROVENANCE_V1,
        }
    }
}

/// What policies and logs need of provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFacts {
    /// The predicate's version.
    pub version: Version,
    /// Who ran the build.
    pub builder_id: String,
    /// What kind of build it was.
    pub build_type: String,
    /// The source repository, as an address without `git+`, reference or `.git`.
    pub source: Option<String>,
    /// The reference in it: `refs/tags/v1`.
    pub source_ref: Option<String>,
    /// The commit, in hexadecimal.
    pub commit: Option<String>,
    /// Resolved dependencies (materials).
    pub materials: usize,
    /// When the build began.
    pub started_on: Option<Timestamp>,
    /// When it ended.
    pub finished_on: Option<Timestamp>,
    /// The builder's name for the run.
    pub invocation_id: Option<String>,
}

impl BuildFacts {
    /// Reads a predicate.
    pub(super) fn read(predicate: &Value, version: Version) -> Result<Self, ProvenanceError> {
        let root = Place::root(predicate);
        match version {
            Version::V1 => Self::read_v1(&root),
            Version::V0_2 => Self::read_v0_2(&root),
        }
    }

    /// Reads a predicate of version 1.
    fn read_v1(root: &Place<'_>) -> Result<Self, ProvenanceError> {
        // slsa.dev/spec/v1.0/provenance, "Schema": what is REQUIRED there.
        let definition = root.required("buildDefinition")?.object()?;
        let details = root.required("runDetails")?.object()?;
        let build_type = definition.required("buildType")?.uri()?;
        let parameters = definition.required("externalParameters")?.object()?;
        let builder = details.required("builder")?.object()?;
        let builder_id = builder.required("id")?.uri()?;
        // What may be left out must be of its type.
        definition.optional("internalParameters", |place| place.object().map(drop))?;
        let materials = definition.list("resolvedDependencies")?;
        for list in [
            &materials,
            &builder.list("builderDependencies")?,
            &details.list("byproducts")?,
        ] {
            list.iter().try_for_each(descriptor)?;
        }
        builder.optional("version", |place| place.texts())?;
        let metadata = details
            .get("metadata")
            .map(Place::into_object)
            .transpose()?;
        let metadata = metadata.as_ref();
        let mut source = Source::of_parameters(&parameters)?;
        source.complete(&materials);
        Ok(Self {
            version: Version::V1,
            builder_id,
            build_type,
            source: source.repository,
            source_ref: source.reference,
            commit: source.commit,
            materials: materials.len(),
            started_on: time(metadata, "startedOn")?,
            finished_on: time(metadata, "finishedOn")?,
            invocation_id: text(metadata, "invocationId")?,
        })
    }

    /// Reads a predicate of version 0.2.
    fn read_v0_2(root: &Place<'_>) -> Result<Self, ProvenanceError> {
        // slsa.dev/spec/v0.2/provenance: builder.id and buildType are required.
        let builder = root.required("builder")?.object()?;
        let builder_id = builder.required("id")?.uri()?;
        let build_type = root.required("buildType")?.uri()?;
        let materials = root.list("materials")?;
        materials.iter().try_for_each(descriptor)?;
        let metadata = root.get("metadata").map(Place::into_object).transpose()?;
        let metadata = metadata.as_ref();
        let mut source = Source::default();
        if let Some(invocation) = root.get("invocation") {
            let invocation = invocation.object()?;
            if let Some(config) = invocation.get("configSource") {
                source.take(&config.object()?)?;
            }
        }
        source.complete(&materials);
        let invocation_id = match text(metadata, "buildInvocationId")? {
            // The specification has both spellings.
            None => text(metadata, "buildInvocationID")?,
            found => found,
        };
        Ok(Self {
            version: Version::V0_2,
            builder_id,
            build_type,
            source: source.repository,
            source_ref: source.reference,
            commit: source.commit,
            materials: materials.len(),
            started_on: time(metadata, "buildStartedOn")?,
            finished_on: time(metadata, "buildFinishedOn")?,
            invocation_id,
        })
    }
}

/// Where the source came from.
#[derive(Default)]
struct Source {
    /// The repository.
    repository: Option<String>,
    /// The reference.
    reference: Option<String>,
    /// The commit.
    commit: Option<String>,
}

impl Source {
    /// Finds the source among the parameters of a build, as the known builders have it.
    fn of_parameters(parameters: &Place<'_>) -> Result<Self, ProvenanceError> {
        let mut source = Self::default();
        // GitHub's workflows, Google's Cloud Build, BuildKit and GitLab, in this order.
        for name in [
            "workflow",
            "buildConfigSource",
            "sourceToBuild",
            "configSource",
            "source",
        ] {
            match parameters.get(name) {
                Some(place) if place.value.is_object() => source.take(&place)?,
                Some(place) if place.value.is_string() => source.take_uri(&place.text()?),
                Some(_) | None => {}
            }
            if source.repository.is_some() {
                break;
            }
        }
        Ok(source)
    }

    /// Takes an object that names a repository.
    fn take(&mut self, object: &Place<'_>) -> Result<(), ProvenanceError> {
        for name in ["repository", "uri"] {
            if self.repository.is_none()
                && let Some(place) = object.get(name)
            {
                self.take_uri(&place.text()?);
            }
        }
        if let Some(place) = object.get("ref") {
            self.reference = Some(place.text()?);
        }
        if let Some(digest) = object.get("digest") {
            let digest = digest.digests()?;
            self.commit = commit(&digest);
        }
        Ok(())
    }

    /// Takes a repository's address, and a reference behind it.
    fn take_uri(&mut self, uri: &str) {
        let (repository, reference) = split_uri(uri);
        if !repository.is_empty() {
            self.repository = Some(repository);
            self.reference = self.reference.take().or(reference);
        }
    }

    /// Adds what the materials say: the commit, and the repository where the build's
    /// parameters name none and all git materials are of one.
    fn complete(&mut self, materials: &[Place<'_>]) {
        let read: Vec<_> = materials
            .iter()
            .filter_map(|material| {
                let uri = material.value.get("uri")?.as_str()?;
                let digest = material.value.get("digest").cloned().unwrap_or_default();
                let digest: DigestSet = serde_json::from_value(digest).unwrap_or_default();
                let is_git = uri.starts_with("git+") || digest.of("gitCommit").is_some();
                Some((split_uri(uri), digest, is_git))
            })
            .collect();
        if let Some(repository) = &self.repository {
            let same = read.iter().find(|((found, _), ..)| found == repository);
            if let Some(((_, reference), digest, _)) = same {
                self.commit = self.commit.take().or_else(|| commit(digest));
                self.reference = self.reference.take().or_else(|| reference.clone());
            }
            return;
        }
        let mut git = read.iter().filter(|(_, _, is_git)| *is_git);
        if let Some(((repository, reference), digest, _)) = git.next()
            && git.all(|((other, _), ..)| other == repository)
        {
            self.repository = Some(repository.clone());
            self.reference = reference.clone();
            self.commit = commit(digest);
        }
    }
}

/// Returns a commit among digests: SLSA's name for it, the older one, and what GitLab's
/// runner writes.
fn commit(digest: &DigestSet) -> Option<String> {
    ["gitCommit", "sha1", "sha256"]
        .iter()
        .find_map(|algorithm| digest.of(algorithm))
        .map(str::to_ascii_lowercase)
}

/// Writes a repository's address as [`BuildFacts::source`] has it: without `git+`, a
/// reference, `.git` or a slash at its end.
#[must_use]
pub fn normalize_source(address: &str) -> String {
    split_uri(address).0
}

/// Splits `git+https://host/owner/repository.git@refs/heads/main` into the address and the
/// reference.
fn split_uri(uri: &str) -> (String, Option<String>) {
    let uri = uri.strip_prefix("git+").unwrap_or(uri);
    let uri = uri.split_once('#').map_or(uri, |(before, _)| before);
    let path = uri.find("://").map_or(0, |at| at + 3);
    // An @ before the path's first slash is of user names.
    let slash = uri[path..].find('/').map_or(uri.len(), |at| path + at);
    let (address, reference) = match uri[slash..].split_once('@') {
        Some((before, reference)) => (&uri[..slash + before.len()], Some(reference.to_owned())),
        None => (uri, None),
    };
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    (address.to_owned(), reference)
}

/// Reads a time of the metadata.
fn time(metadata: Option<&Place<'_>>, name: &str) -> Result<Option<Timestamp>, ProvenanceError> {
    let Some(place) = metadata.and_then(|metadata| metadata.get(name)) else {
        return Ok(None);
    };
    // in-toto's Timestamp: RFC 3339; UTC is demanded, other offsets are read.
    place
        .text()?
        .parse()
        .map(Some)
        .map_err(|_| place.wrong("a time as RFC 3339 has it"))
}

/// Reads a text of the metadata.
fn text(metadata: Option<&Place<'_>>, name: &str) -> Result<Option<String>, ProvenanceError> {
    metadata
        .and_then(|metadata| metadata.get(name))
        .map(|place| place.text())
        .transpose()
}

/// Checks a resource descriptor (in-toto): something that names or is a resource.
fn descriptor(place: &Place<'_>) -> Result<(), ProvenanceError> {
    let place = place.object()?;
    for name in ["uri", "downloadLocation"] {
        place.optional(name, |uri| uri.uri().map(drop))?;
    }
    for name in ["name", "mediaType", "content"] {
        place.optional(name, |text| text.text().map(drop))?;
    }
    place.optional("digest", |digest| digest.digests().map(drop))?;
    place.optional("annotations", |annotations| annotations.object().map(drop))?;
    // in-toto's field_types.md: at least one of uri, digest, content; name identifies
    // by-products within the predicate.
    if ["uri", "digest", "content", "name"]
        .iter()
        .all(|name| place.get(name).is_none())
    {
        return Err(place.wrong("a resource descriptor (with uri, digest or content)"));
    }
    Ok(())
}

/// A value and where it stands.
#[derive(Clone)]
struct Place<'a> {
    /// The value.
    value: &'a Value,
    /// Where, for errors.
    path: String,
}

impl<'a> Place<'a> {
    /// Begins at the predicate.
    fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// Returns a member; null is none.
    fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        let dot = if self.path.is_empty() { "" } else { "." };
        Some(Self {
            value,
            path: format!("{}{dot}{name}", self.path),
        })
    }

    /// Returns a member that must be there.
    fn required(&self, name: &str) -> Result<Self, ProvenanceError> {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.get(name).ok_or_else(|| ProvenanceError::Missing {
            place: format!("{}{dot}{name}", self.path),
        })
    }

    /// Checks a member that may be left out.
    fn optional(
        &self,
        name: &str,
        check: impl FnOnce(Self) -> Result<(), ProvenanceError>,
    ) -> Result<(), ProvenanceError> {
        self.get(name).map_or(Ok(()), check)
    }

    /// Returns the items of a member that is a list and may be left out.
    fn list(&self, name: &str) -> Result<Vec<Self>, ProvenanceError> {
        let Some(place) = self.get(name) else {
            return Ok(Vec::new());
        };
        let items = place
            .value
            .as_array()
            .ok_or_else(|| place.wrong("a list"))?;
        Ok((0..)
            .zip(items)
            .map(|(number, value): (usize, _)| Self {
                value,
                path: format!("{}[{number}]", place.path),
            })
            .collect())
    }

    /// Says what it must be.
    fn wrong(&self, wanted: &'static str) -> ProvenanceError {
        ProvenanceError::Member {
            place: quoted(&self.path),
            wanted,
        }
    }

    /// Checks that it is an object.
    fn object(&self) -> Result<Self, ProvenanceError> {
        if self.value.is_object() {
            Ok(self.clone())
        } else {
            Err(self.wrong("an object"))
        }
    }

    /// Checks that it is an object.
    fn into_object(self) -> Result<Self, ProvenanceError> {
        self.object()
    }

    /// Returns its text.
    fn text(&self) -> Result<String, ProvenanceError> {
        match self.value.as_str() {
            Some(text) if text.len() <= MAX_TEXT => Ok(text.to_owned()),
            Some(_) | None => Err(self.wrong("a text of at most 4096 octets")),
        }
    }

    /// Returns its URI (RFC 3986: a scheme, a colon and something; no spaces or controls).
    fn uri(&self) -> Result<String, ProvenanceError> {
        let text = self.text()?;
        let scheme_ends = text.find(':').unwrap_or_default();
        let scheme = &text[..scheme_ends];
        let is_uri = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
            && text.len() > scheme_ends + 1
            && !text.contains(|other: char| other.is_whitespace() || other.is_control());
        if is_uri {
            Ok(text)
        } else {
            Err(self.wrong("a URI"))
        }
    }

    /// Checks that it is an object of texts.
    fn texts(&self) -> Result<(), ProvenanceError> {
        let members = self.value.as_object();
        match members {
            Some(members) if members.values().all(Value::is_string) => Ok(()),
            Some(_) | None => Err(self.wrong("an object of texts")),
        }
    }

    /// Returns its digests.
    fn digests(&self) -> Result<DigestSet, ProvenanceError> {
        let wrong =
            || self.wrong("an object of digests, each in its algorithm's hexadecimal digits");
        let members: BTreeMap<String, String> =
            serde_json::from_value(self.value.clone()).map_err(|_| wrong())?;
        if members.is_empty() {
            return Ok(DigestSet::default());
        }
        // What GitLab's runner calls sha256 is a commit's SHA-1.
        let of_commits = members
            .iter()
            .filter(|(name, value)| *name != "sha256" || value.len() != 40)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>();
        if !of_commits.is_empty() {
            DigestSet::new(of_commits).map_err(|_| wrong())?;
        }
        let hexadecimal = members
            .iter()
            .all(|(_, value)| !value.is_empty() && value.len() <= 1024);
        if hexadecimal {
            serde_json::from_value(self.value.clone()).map_err(|_| wrong())
        } else {
            Err(wrong())
        }
    }
}
