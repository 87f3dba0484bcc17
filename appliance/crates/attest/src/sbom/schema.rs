//! The schemas of the JSON formats, each made ready when it is first needed.

use std::sync::OnceLock;

use jsonschema::{PatternOptions, Registry, Validator};
use serde_json::Value;

use super::SbomError;

/// Most characters of a finding.
const MAX_FINDING: usize = 240;

/// A schema.
pub(super) struct Schema {
    /// Format and version, for errors.
    pub(super) format: &'static str,
    /// The schema's JSON.
    json: &'static str,
    /// The schema, ready.
    ready: OnceLock<Result<Validator, String>>,
}

impl Schema {
    /// Names a schema.
    const fn new(format: &'static str, json: &'static str) -> Self {
        Self {
            format,
            json,
            ready: OnceLock::new(),
        }
    }

    /// Checks a document.
    ///
    /// # Errors
    ///
    /// `Schema` with the first finding; `BrokenSchema` if the schema itself is not one.
    pub(super) fn check(&self, document: &Value) -> Result<(), SbomError> {
        let validator = self.ready.get_or_init(|| compile(self.json));
        let validator = validator
            .as_ref()
            .map_err(|problem| SbomError::BrokenSchema {
                format: self.format,
                problem: problem.clone(),
            })?;
        // Telling what is wrong takes longer than telling that something is.
        if validator.is_valid(document) {
            return Ok(());
        }
        let Err(error) = validator.validate(document) else {
            return Ok(());
        };
        // Masked: findings would quote the document at any length.
        let problem: String = error
            .masked()
            .to_string()
            .chars()
            .take(MAX_FINDING)
            .collect();
        let place: String = error
            .instance_path()
            .to_string()
            .chars()
            .take(MAX_FINDING)
            .collect();
        Err(SbomError::Schema {
            format: self.format,
            problem,
            place: if place.is_empty() { "/".into() } else { place },
        })
    }
}

/// Makes every schema ready.
pub(super) fn prepare() {
    let cyclonedx = CYCLONEDX.iter().map(|(_, schema)| schema);
    for schema in cyclonedx.chain([&SPDX_2, &SPDX_3]) {
        schema.ready.get_or_init(|| compile(schema.json));
    }
}

/// Makes a schema ready, which may name those that CycloneDX shares.
fn compile(json: &str) -> Result<Validator, String> {
    let read = |json: &str| serde_json::from_str::<Value>(json).map_err(|error| error.to_string());
    let schema = read(json)?;
    let mut registry = Registry::new();
    for (name, json) in SHARED {
        registry = registry
            .add(*name, read(json)?)
            .map_err(|error| error.to_string())?;
    }
    let registry = registry.prepare().map_err(|error| error.to_string())?;
    jsonschema::options()
        .with_registry(&registry)
        // The engine without look-around and back-references: linear time.
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(&schema)
        .map_err(|error| error.to_string())
}

/// Schemas that others name.
const SHARED: &[(&str, &str)] = &[
    (
        "http://cyclonedx.org/schema/spdx.schema.json",
        include_str!("../../data/spdx.schema.json"),
    ),
    (
        "http://cyclonedx.org/schema/jsf-0.82.schema.json",
        include_str!("../../data/jsf-0.82.schema.json"),
    ),
    (
        "http://cyclonedx.org/schema/cryptography-defs.schema.json",
        include_str!("../../data/cryptography-defs.schema.json"),
    ),
];

/// CycloneDX by version.
pub(super) static CYCLONEDX: [(&str, Schema); 6] = [
    (
        "1.2",
        Schema::new(
            "CycloneDX 1.2",
            include_str!("../../data/bom-1.2.schema.json"),
        ),
    ),
    (
        "1.3",
        Schema::new(
            "CycloneDX 1.3",
            include_str!("../../data/bom-1.3.schema.json"),
        ),
    ),
    (
        "1.4",
        Schema::new(
            "CycloneDX 1.4",
            include_str!("../../data/bom-1.4.schema.json"),
        ),
    ),
    (
        "1.5",
        Schema::new(
            "CycloneDX 1.5",
            include_str!("../../data/bom-1.5.schema.json"),
        ),
    ),
    (
        "1.6",
        Schema::new(
            "CycloneDX 1.6",
            include_str!("../../data/bom-1.6.schema.json"),
        ),
    ),
    (
        "1.7",
        Schema::new(
            "CycloneDX 1.7",
            include_str!("../../data/bom-1.7.schema.json"),
        ),
    ),
];

/// SPDX 2.2 and 2.3.
pub(super) static SPDX_2: Schema =
    Schema::new("SPDX 2", include_str!("../../data/spdx-2.schema.json"));

/// SPDX 3.0.
pub(super) static SPDX_3: Schema = Schema::new(
    "SPDX 3.0",
    include_str!("../../data/spdx-3.0.1.schema.json"),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_one() {
        for schema in CYCLONEDX
            .iter()
            .map(|(_, schema)| schema)
            .chain([&SPDX_2, &SPDX_3])
        {
            let refused = schema.check(&Value::Null);
            assert!(
                matches!(refused, Err(SbomError::Schema { .. })),
                "{}: {refused:?}",
                schema.format
            );
        }
    }
}
