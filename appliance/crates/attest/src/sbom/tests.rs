//! Tests of bills of materials: documents that other programs made, what is wrong with
//! changed ones, and what is meant to exhaust the reader.

use std::collections::BTreeMap;

use super::*;

/// Reads a fixture: what other programs wrote (`tests/data/README.md` says which).
fn fixture(name: &str) -> String {
    let path = format!("{}/tests/data/sbom/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// Reads a document with the usual limits.
fn parse(document: &str) -> Result<Sbom, SbomError> {
    Sbom::parse(document.as_bytes(), &SbomLimits::default())
}

/// The artifact's digests: of `foo`, which the fixtures name.
fn artifact() -> DigestSet {
    let sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    DigestSet::new(BTreeMap::from([("sha256".into(), sha256.into())])).unwrap()
}

/// Another artifact's digest.
fn other() -> DigestSet {
    DigestSet::new(BTreeMap::from([("sha256".into(), "ab".repeat(32))])).unwrap()
}

/// Returns the names of the elements that are missing.
fn missing(sbom: &Sbom) -> Vec<String> {
    sbom.missing().iter().map(Missing::to_string).collect()
}

/// Every fixture that is taken: format, version and components.
const TAKEN: &[(&str, SbomFormat, &str, usize)] = &[
    ("python-lib-1.2.json", SbomFormat::CycloneDxJson, "1.2", 3),
    ("python-lib-1.3.json", SbomFormat::CycloneDxJson, "1.3", 3),
    ("python-lib-1.4.json", SbomFormat::CycloneDxJson, "1.4", 3),
    ("python-lib-1.5.json", SbomFormat::CycloneDxJson, "1.5", 3),
    ("python-lib-1.6.json", SbomFormat::CycloneDxJson, "1.6", 3),
    ("python-lib-1.7.json", SbomFormat::CycloneDxJson, "1.7", 3),
    ("python-lib-1.2.xml", SbomFormat::CycloneDxXml, "1.2", 3),
    ("python-lib-1.3.xml", SbomFormat::CycloneDxXml, "1.3", 3),
    ("python-lib-1.4.xml", SbomFormat::CycloneDxXml, "1.4", 3),
    ("python-lib-1.5.xml", SbomFormat::CycloneDxXml, "1.5", 3),
    ("python-lib-1.6.xml", SbomFormat::CycloneDxXml, "1.6", 3),
    ("python-lib-1.7.xml", SbomFormat::CycloneDxXml, "1.7", 3),
    ("spdx-tools-2.2.spdx.json", SbomFormat::SpdxJson, "2.2", 2),
    ("spdx-tools-2.3.spdx.json", SbomFormat::SpdxJson, "2.3", 2),
    ("spdx-tools-2.2.spdx", SbomFormat::SpdxTagValue, "2.2", 2),
    ("spdx-tools-2.3.spdx", SbomFormat::SpdxTagValue, "2.3", 2),
    (
        "spdx-python-model-3.0.1.json",
        SbomFormat::Spdx3Json,
        "3.0.1",
        1,
    ),
];

#[test]
fn documents_of_other_programs_are_taken_and_bound_to_their_artifact() {
    for (name, format, version, components) in TAKEN {
        let document = fixture(name);
        let sbom = parse(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sbom.format(), *format, "{name}");
        assert_eq!(sbom.spec_version(), *version, "{name}");
        assert_eq!(sbom.components(), *components, "{name}");
        let [main] = sbom.main() else {
            panic!("{name}: {:?}", sbom.main());
        };
        assert!(main.name.ends_with("tool"), "{name}: {main:?}");
        assert_eq!(main.version.as_deref(), Some("1.2.3"), "{name}");
        assert!(sbom.serial().is_some(), "{name}");
        assert_eq!(
            sbom.check_subject(&artifact()),
            Ok(SubjectCheck::Matches),
            "{name}"
        );
        assert!(
            matches!(
                sbom.check_subject(&other()),
                Err(SbomError::SubjectMismatch { .. })
            ),
            "{name}"
        );
        let missing = missing(&sbom);
        for there in ["author", "timestamp", "relationships", "name"] {
            assert!(
                !missing.iter().any(|missing| missing.starts_with(there)),
                "{name}: {missing:?}"
            );
        }
        assert!(
            missing
                .iter()
                .any(|missing| missing.starts_with("supplier (")),
            "{name}: {missing:?}"
        );
    }
}

#[test]
fn json_and_xml_of_one_bill_are_understood_alike() {
    for version in 2..=7 {
        let json = parse(&fixture(&format!("python-lib-1.{version}.json"))).unwrap();
        let xml = parse(&fixture(&format!("python-lib-1.{version}.xml"))).unwrap();
        let xml = Sbom {
            format: json.format,
            sha256: json.sha256,
            ..xml
        };
        assert_eq!(json, xml, "1.{version}");
    }
    for version in ["2.2", "2.3"] {
        let json = parse(&fixture(&format!("spdx-tools-{version}.spdx.json"))).unwrap();
        let tags = parse(&fixture(&format!("spdx-tools-{version}.spdx"))).unwrap();
        let tags = Sbom {
            format: json.format,
            sha256: json.sha256,
            ..tags
        };
        assert_eq!(json, tags, "{version}");
    }
}

#[test]
fn a_bill_of_npms_own_tool_says_nothing_about_the_octets() {
    for name in ["cyclonedx-npm-1.6.json", "cyclonedx-npm-1.6.xml"] {
        let sbom = parse(&fixture(name)).unwrap();
        assert_eq!(sbom.main()[0].name, "@example/app");
        assert_eq!(sbom.components(), 2);
        assert_eq!(sbom.check_subject(&artifact()), Ok(SubjectCheck::NotStated));
        let told = missing(&sbom);
        assert!(told.contains(&"author".to_owned()), "{told:?}");
        assert!(!told.contains(&"tool".to_owned()), "{told:?}");
    }
}
