//! CycloneDX in JSON.

use serde_json::Value;

use super::elements::{Component, MinimumElement, Tally};
use super::{MainComponent, Sbom, SbomError, SbomFormat, SbomLimits, hash, items, schema, text};
use crate::json;

/// Versions that are taken, in words.
pub(super) const VERSIONS: &str = "1.2 to 1.7";

/// Reads a document.
pub(super) fn read(document: &Value, limits: &SbomLimits) -> Result<Sbom, SbomError> {
    let version = document.get("specVersion").and_then(Value::as_str);
    let (version, schema) = schema::CYCLONEDX
        .iter()
        .find(|(known, _)| Some(*known) == version)
        .ok_or_else(|| SbomError::Version {
            format: "CycloneDX",
            version: json::quoted(version.unwrap_or_default()),
            taken: VERSIONS,
        })?;
    schema.check(document)?;
    extract(document, SbomFormat::CycloneDxJson, version, limits)
}

/// Reads what is needed from a document whose form was checked.
pub(super) fn extract(
    document: &Value,
    format: SbomFormat,
    version: &str,
    limits: &SbomLimits,
) -> Result<Sbom, SbomError> {
    let metadata = document.get("metadata").unwrap_or(&Value::Null);
    let mut tally = Tally::default();
    let named = |value: &Value, name: &str| value.get(name).is_some_and(names_someone);
    tally.document(
        MinimumElement::Author,
        items(metadata, "authors").iter().any(names_someone)
            || ["supplier", "manufacturer", "manufacture"]
                .iter()
                .any(|name| named(metadata, name)),
    );
    tally.document(
        MinimumElement::Timestamp,
        text(metadata, "timestamp").is_some(),
    );
    let tools = metadata.get("tools").unwrap_or(&Value::Null);
    tally.document(
        MinimumElement::Tool,
        !items(metadata, "tools").is_empty()
            || !items(tools, "components").is_empty()
            || !items(tools, "services").is_empty(),
    );
    let main = metadata.get("component");
    let mut components = 0;
    let mut open: Vec<&Value> = items(document, "components").iter().collect();
    if let Some(main) = main {
        tally.component(component(main));
        open.extend(items(main, "components"));
    }
    while let Some(next) = open.pop() {
        components += 1;
        if components > limits.max_components {
            return Err(SbomError::TooManyComponents {
                max: limits.max_components,
            });
        }
        tally.component(component(next));
        open.extend(items(next, "components"));
    }
    tally.document(
        MinimumElement::Relationships,
        !items(document, "dependencies").is_empty()
            || components == 0
            // Contained in each other: related too, and the older way.
            || main.is_some_and(|main| !items(main, "components").is_empty()),
    );
    Ok(Sbom {
        format,
        spec_version: version.to_owned(),
        serial: text(document, "serialNumber").map(str::to_owned),
        main: main.map(main_component).into_iter().collect(),
        components,
        missing: tally.missing(),
        sha256: [0; 32],
    })
}

/// Whether an organization or a person has a name or an address.
fn names_someone(value: &Value) -> bool {
    ["name", "email"]
        .iter()
        .any(|name| text(value, name).is_some())
}

/// Returns what a component has.
fn component(value: &Value) -> Component {
    Component {
        supplier: ["supplier", "manufacturer"]
            .iter()
            .any(|name| value.get(name).is_some_and(names_someone))
            || text(value, "publisher").is_some(),
        name: text(value, "name").is_some(),
        version: text(value, "version").is_some(),
        unique_id: ["purl", "cpe"]
            .iter()
            .any(|name| text(value, name).is_some())
            || value.get("swid").is_some()
            || ["omniborId", "swhid"]
                .iter()
                .any(|name| !items(value, name).is_empty()),
        hash: !items(value, "hashes").is_empty(),
        licence: !items(value, "licenses").is_empty(),
    }
}

/// Returns the main component.
fn main_component(value: &Value) -> MainComponent {
    let group = text(value, "group").map(|group| format!("{group}/"));
    MainComponent {
        name: format!(
            "{}{}",
            group.unwrap_or_default(),
            text(value, "name").unwrap_or_default()
        ),
        version: text(value, "version").map(str::to_owned),
        hashes: items(value, "hashes")
            .iter()
            .filter_map(|entry| hash(text(entry, "alg")?, text(entry, "content")?))
            .collect(),
    }
}
