//! What is submitted beside an artifact: its bill of materials and its provenance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use attest::provenance;
use attest::statement::Subject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::signing::ArtifactDigest;
use serde_json::Value;

use super::artifact::Artifact;
use crate::failure::{Advise, Failure, Trying};

/// The word for provenance of the CI job that this runs in.
const AUTO: &str = "auto";

/// What the command line names.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The bill of materials, exactly as it is.
    sbom: Option<Arc<[u8]>>,
    /// Where provenance comes from.
    provenance: Provenance,
}

/// Where provenance comes from.
#[derive(Debug)]
enum Provenance {
    /// There is none.
    Absent,
    /// A file, exactly as it is.
    Given(Arc<[u8]>),
    /// This job's environment.
    Job(BTreeMap<String, String>),
}

/// What is submitted with one artifact, exactly as it is.
#[derive(Debug)]
pub(super) struct Submitted {
    /// The bill of materials.
    sbom: Option<Arc<[u8]>>,
    /// The provenance.
    provenance: Option<Arc<[u8]>>,
}

impl Evidence {
    /// Reads what the command line names.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub(super) fn read(sbom: Option<&Path>, provenance: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            sbom: sbom
                .map(|path| read(path, "the bill of materials"))
                .transpose()?,
            provenance: match provenance {
                None => Provenance::Absent,
                Some(path) if path.as_os_str() == AUTO => Provenance::Job(environment()),
                Some(path) => Provenance::Given(read(path, "the provenance")?),
            },
        })
    }

    /// Returns what is submitted with one artifact.
    ///
    /// # Errors
    ///
    /// When provenance is to be made and this is no CI job that is known.
    pub(super) fn of(
        &self,
        artifact: &Artifact,
        digest: &ArtifactDigest,
    ) -> Result<Submitted, Failure> {
        let provenance = match &self.provenance {
            Provenance::Absent => None,
            Provenance::Given(octets) => Some(Arc::clone(octets)),
            Provenance::Job(environment) => {
                let tried = || format!("make the provenance of {}", artifact.shown());
                let subject = Subject {
                    name: artifact.name(),
                    digest: [*digest].into_iter().collect(),
                };
                let statement = provenance::from_ci(environment, subject)
                    .trying(tried)
                    .advise(|| {
                        "`--provenance auto` works in jobs of GitHub Actions and GitLab CI; \
                         elsewhere name a file"
                            .to_owned()
                    })?;
                Some(Arc::from(statement.bytes()))
            }
        };
        Ok(Submitted {
            sbom: self.sbom.clone(),
            provenance,
        })
    }
}

impl Submitted {
    /// Lists what there is, by the names of the request's members and parts.
    pub(super) fn list(&self) -> impl Iterator<Item = (&'static str, &Arc<[u8]>)> {
        let both = [("sbom", &self.sbom), ("provenance", &self.provenance)];
        both.into_iter()
            .filter_map(|(name, document)| Some((name, document.as_ref()?)))
    }

    /// Writes a document as a member of a JSON request: base64 of its exact octets.
    pub(super) fn in_json(document: &[u8]) -> Value {
        Value::String(STANDARD.encode(document))
    }
}

/// Reads a document.
fn read(path: &Path, what: &str) -> Result<Arc<[u8]>, Failure> {
    let octets = std::fs::read(path).trying(|| format!("read {what} {}", path.display()))?;
    Ok(octets.into())
}

/// Takes the environment, as far as it is text.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
