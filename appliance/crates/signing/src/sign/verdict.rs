//! The verdict as an attestation that others can rely on.

use std::collections::BTreeMap;

use attest::statement::{DigestSet, Subject};
use attest::vsa::{BuildLevel, ProvenanceTrust, Resource, Summary};
use jiff::Timestamp;

use super::Admitted;
use crate::problem::SigningProblem;

/// Who says it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verifier<'a> {
    /// The service's URI.
    pub(super) id: &'a str,
    /// Where the service is, as clients see it.
    pub(super) base_url: &'a str,
}

impl Verifier<'_> {
    /// Returns the statement of a verdict that all checks passed.
    pub(super) fn statement(
        &self,
        admitted: &Admitted,
        subject: Subject,
        at: Timestamp,
    ) -> Result<Vec<u8>, SigningProblem> {
        let evidence = &admitted.evidence;
        let trust = match &evidence.provenance {
            None => ProvenanceTrust::Absent,
            Some(provenance) if provenance.level > 1 => ProvenanceTrust::Verified {
                most: BuildLevel::try_from(provenance.level).map_err(SigningProblem::internal)?,
            },
            Some(_) => ProvenanceTrust::Unsigned,
        };
        let inputs = [
            evidence.sbom.as_ref().map(|sbom| &sbom.octets),
            evidence
                .provenance
                .as_ref()
                .map(|provenance| &provenance.octets),
        ];
        let inputs = inputs
            .into_iter()
            .flatten()
            .map(|octets| {
                Ok(Resource {
                    uri: None,
                    digest: set(octets)?,
                })
            })
            .collect::<Result<Vec<_>, SigningProblem>>()?;
        let summary = Summary {
            verifier_id: self.id.to_owned(),
            verifier_version: vec![("chancery".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
            time_verified: at,
            resource_uri: resource(&subject),
            policy: Resource {
                uri: Some(format!(
                    "{}/v1/limits#{}",
                    self.base_url, admitted.profile.policy.profile
                )),
                digest: set(admitted.profile.document.as_bytes())?,
            },
            inputs,
            passed: true,
            trust,
        };
        let statement = summary
            .to_statement(subject)
            .map_err(SigningProblem::internal)?;
        Ok(statement.into_bytes())
    }
}

/// Names an artifact as a URI: a package URL of no ecosystem, by its digest.
fn resource(subject: &Subject) -> String {
    let name: String = url::form_urlencoded::byte_serialize(subject.name.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    let digest = subject.digest.iter().next();
    match digest {
        Some((algorithm, hex)) => format!("pkg:generic/{name}?checksum={algorithm}:{hex}"),
        None => format!("pkg:generic/{name}"),
    }
}

/// Returns the SHA-256 of octets as a set.
fn set(octets: &[u8]) -> Result<DigestSet, SigningProblem> {
    DigestSet::new(BTreeMap::from([("sha256".to_owned(), sha256_hex(octets))]))
        .map_err(SigningProblem::internal)
}

/// Returns the SHA-256 of octets in hexadecimal.
fn sha256_hex(octets: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        octets,
    ))
}
