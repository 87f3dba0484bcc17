//! SPDX 2 in JSON; the tag-value form is read into the same shape.

use std::collections::HashSet;

use serde_json::Value;

use super::elements::{Component, MinimumElement, Tally};
use super::{
    MAX_MAIN, MainComponent, Sbom, SbomError, SbomFormat, SbomLimits, hash, items, schema, text,
};
use crate::json;

/// The document's own identifier.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Reads a document.
pub(super) fn read(document: &Value, limits: &SbomLimits) -> Result<Sbom, SbomError> {
    check(document, SbomFormat::SpdxJson, limits)
}

/// Checks a document's form and reads what is needed.
pub(super) fn check(
    document: &Value,
    format: SbomFormat,
    limits: &SbomLimits,
) -> Result<Sbom, SbomError> {
    let version = document.get("spdxVersion").and_then(Value::as_str);
    let version = version.unwrap_or_default();
    let Some(version @ ("2.2" | "2.3")) = version.strip_prefix("SPDX-") else {
        return Err(SbomError::Version {
            format: "SPDX",
            version: json::quoted(version),
            taken: "SPDX-2.2 and SPDX-2.3 (and SPDX 3.0 in JSON-LD)",
        });
    };
    schema::SPDX_2.check(document)?;
    let (packages, files) = (items(document, "packages"), items(document, "files"));
    let components = packages.len() + files.len();
    if components > limits.max_components {
        return Err(SbomError::TooManyComponents {
            max: limits.max_components,
        });
    }
    let relationships = items(document, "relationships");
    let described = described(document, relationships);
    let is_described =
        |element: &&Value| text(element, "SPDXID").is_some_and(|id| described.contains(id));
    let main: Vec<MainComponent> = packages
        .iter()
        .map(|package| (package, "name"))
        .chain(files.iter().map(|file| (file, "fileName")))
        .filter(|(element, _)| is_described(element))
        .take(MAX_MAIN)
        .map(|(element, name)| MainComponent {
            name: text(element, name).unwrap_or_default().to_owned(),
            version: text(element, "versionInfo").map(str::to_owned),
            hashes: checksums(element),
        })
        .collect();
    let mut tally = Tally::default();
    let creation = document.get("creationInfo").unwrap_or(&Value::Null);
    let creators = |kinds: &[&str]| {
        items(creation, "creators")
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|creator| creator.split_once(':'))
            .any(|(kind, name)| kinds.contains(&kind) && !name.trim().is_empty())
    };
    tally.document(
        MinimumElement::Author,
        creators(&["Person", "Organization"]),
    );
    tally.document(MinimumElement::Tool, creators(&["Tool"]));
    tally.document(
        MinimumElement::Timestamp,
        text(creation, "created").is_some(),
    );
    tally.document(
        MinimumElement::Relationships,
        packages.len() < 2
            || relationships.iter().any(|relationship| {
                text(relationship, "spdxElementId") != Some(DOCUMENT)
                    && text(relationship, "relatedSpdxElement") != Some(DOCUMENT)
            }),
    );
    for package in packages {
        tally.component(component(package));
    }
    Ok(Sbom {
        format,
        spec_version: version.to_owned(),
        serial: text(document, "documentNamespace").map(str::to_owned),
        components: components - main.len(),
        main,
        missing: tally.missing(),
        sha256: [0; 32],
    })
}

/// Returns the identifiers of what the document describes.
fn described<'a>(document: &'a Value, relationships: &'a [Value]) -> HashSet<&'a str> {
    let by_relationship = relationships.iter().filter_map(|relationship| {
        let from = text(relationship, "spdxElementId")?;
        let to = text(relationship, "relatedSpdxElement")?;
        match text(relationship, "relationshipType")? {
            "DESCRIBES" if from == DOCUMENT => Some(to),
            "DESCRIBED_BY" if to == DOCUMENT => Some(from),
            _ => None,
        }
    });
    items(document, "documentDescribes")
        .iter()
        .filter_map(Value::as_str)
        .chain(by_relationship)
        .collect()
}

/// Returns the checksums of a package or a file.
fn checksums(element: &Value) -> Vec<(String, String)> {
    items(element, "checksums")
        .iter()
        .filter_map(|checksum| {
            hash(
                text(checksum, "algorithm")?,
                text(checksum, "checksumValue")?,
            )
        })
        .collect()
}

/// Returns what a package has.
fn component(package: &Value) -> Component {
    // Those of annex F that identify software beyond the document.
    const IDENTIFIERS: [&str; 7] = [
        "purl",
        "cpe22Type",
        "cpe23Type",
        "swid",
        "swh",
        "gitoid",
        "idstring",
    ];
    Component {
        supplier: text(package, "supplier").is_some(),
        name: text(package, "name").is_some(),
        version: text(package, "versionInfo").is_some(),
        unique_id: items(package, "externalRefs").iter().any(|reference| {
            text(reference, "referenceType").is_some_and(|kind| {
                let kind = kind.rsplit('/').next().unwrap_or_default();
                IDENTIFIERS.contains(&kind)
            })
        }),
        hash: !items(package, "checksums").is_empty(),
        licence: text(package, "licenseConcluded").is_some()
            || text(package, "licenseDeclared").is_some(),
    }
}
