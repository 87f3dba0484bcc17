//! Tests of bills of materials: documents that other programs made, what is wrong with
//! changed ones, and what is meant to exhaust the reader.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

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

/// Changes one place of a fixture in JSON.
fn changed(name: &str, place: &str, value: serde_json::Value) -> Result<Sbom, SbomError> {
    let mut document: Value = serde_json::from_str(&fixture(name)).unwrap();
    let (parent, member) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => list[member.parse::<usize>().unwrap()] = value,
        parent => parent[member] = value,
    }
    parse(&document.to_string())
}

#[test]
fn documents_that_break_their_schema_are_refused_with_the_place() {
    let cases = [
        ("python-lib-1.6.json", "/components/0/type", json!("lib")),
        (
            "python-lib-1.6.json",
            "/components/0/hashes/0/alg",
            json!("CRC32"),
        ),
        (
            "python-lib-1.6.json",
            "/components/0/hashes/0/content",
            json!("xyz"),
        ),
        ("python-lib-1.6.json", "/components/0/licenses", json!({})),
        ("python-lib-1.6.json", "/components/0/surprise", json!(1)),
        ("python-lib-1.6.json", "/serialNumber", json!("1")),
        (
            "python-lib-1.6.json",
            "/metadata/timestamp",
            json!("yesterday"),
        ),
        (
            "python-lib-1.6.json",
            "/metadata/component/name",
            json!(null),
        ),
        ("python-lib-1.6.json", "/version", json!(0)),
        ("python-lib-1.4.json", "/components/0/type", json!("data")),
        ("spdx-tools-2.3.spdx.json", "/SPDXID", json!("SPDXRef-X")),
        ("spdx-tools-2.3.spdx.json", "/dataLicense", json!("MIT")),
        (
            "spdx-tools-2.3.spdx.json",
            "/creationInfo/created",
            json!("now"),
        ),
        (
            "spdx-tools-2.3.spdx.json",
            "/creationInfo/creators",
            json!([]),
        ),
        (
            "spdx-tools-2.3.spdx.json",
            "/packages/0/SPDXID",
            json!("tool"),
        ),
        ("spdx-tools-2.3.spdx.json", "/packages/0/surprise", json!(1)),
        (
            "spdx-tools-2.3.spdx.json",
            "/relationships/0/relationshipType",
            json!("LIKES"),
        ),
        (
            "spdx-tools-2.3.spdx.json",
            "/documentNamespace",
            json!("a#b"),
        ),
        // What 2.3 lets be absent, 2.2 does not.
        (
            "spdx-tools-2.2.spdx.json",
            "/packages/0",
            json!({
                "SPDXID": "SPDXRef-P", "name": "p", "downloadLocation": "NONE"
            }),
        ),
        (
            "spdx-python-model-3.0.1.json",
            "/@graph/0/type",
            json!("Nothing"),
        ),
        ("spdx-python-model-3.0.1.json", "/@graph/1/name", json!(1)),
        (
            "spdx-python-model-3.0.1.json",
            "/@graph/1/surprise",
            json!(1),
        ),
    ];
    for (name, place, value) in cases {
        let refused = changed(name, place, value.clone());
        match refused {
            Err(SbomError::Schema { place: told, .. }) => {
                assert!(told.starts_with('/'), "{name} {place}: {told}");
            }
            other => panic!("{name} {place} {value}: {other:?}"),
        }
    }
    let told = changed("python-lib-1.6.json", "/components/0/type", json!("lib"));
    assert_eq!(
        told.unwrap_err().to_string(),
        "the SBOM breaks the schema of CycloneDX 1.6: value is not one of \"application\", \
         \"framework\" or 11 other candidates (at /components/0/type)"
    );
}

#[test]
fn versions_and_formats_that_are_not_taken_say_so() {
    for (name, place, value) in [
        ("python-lib-1.6.json", "/specVersion", json!("1.1")),
        ("python-lib-1.6.json", "/specVersion", json!("2.0")),
        ("python-lib-1.6.json", "/specVersion", json!(1.6)),
        (
            "spdx-tools-2.3.spdx.json",
            "/spdxVersion",
            json!("SPDX-2.1"),
        ),
        (
            "spdx-python-model-3.0.1.json",
            "/@context",
            json!("https://example.com/context.jsonld"),
        ),
        (
            "spdx-python-model-3.0.1.json",
            "/@context",
            json!([{"name": "a:b"}]),
        ),
    ] {
        assert!(
            matches!(changed(name, place, value), Err(SbomError::Version { .. })),
            "{name} {place}"
        );
    }
    for name in ["spdx-tools-2.3.spdx.yaml", "spdx-tools-2.3.spdx.rdf.xml"] {
        assert!(
            matches!(parse(&fixture(name)), Err(SbomError::Unsupported { .. })),
            "{name}"
        );
    }
    for text in [
        "",
        "  ",
        "{}",
        "[]",
        "null",
        "hello",
        "<a/>",
        "<bom/>",
        "<bom xmlns=\"http://example.com\"/>",
        "\u{feff}{\"bomFormat\":\"CycloneDX\"}",
        "{\"name\":\"x\"}",
    ] {
        assert_eq!(parse(text), Err(SbomError::Unknown), "{text:?}");
    }
    let old = "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.1\"/>";
    assert!(matches!(parse(old), Err(SbomError::Version { .. })));
    assert_eq!("cyclonedx-xml".parse(), Ok(SbomFormat::CycloneDxXml));
    assert!("cyclonedx".parse::<SbomFormat>().is_err());
}

#[test]
fn repeated_names_are_refused() {
    let document = fixture("python-lib-1.6.json");
    let twice = document.replacen("\"bomFormat\"", "\"components\": [], \"bomFormat\"", 1);
    assert_eq!(
        parse(&twice),
        Err(SbomError::Json(JsonError::RepeatedName {
            name: "components".into()
        }))
    );
}

#[test]
fn hashes_bind_a_bill_to_its_artifact_and_one_that_differs_is_enough() {
    let hash = |alg: &str, content: &str| json!({"alg": alg, "content": content});
    let sha256 = artifact().of("sha256").unwrap().to_owned();
    let sha512 = "ab".repeat(64);
    let both = DigestSet::new(BTreeMap::from([
        ("sha256".into(), sha256.clone()),
        ("sha512".into(), sha512.clone()),
    ]))
    .unwrap();
    let check = |hashes: Value, digests: &DigestSet| {
        changed("python-lib-1.6.json", "/metadata/component/hashes", hashes)
            .unwrap()
            .check_subject(digests)
    };
    let upper = sha256.to_uppercase();
    assert_eq!(
        check(json!([hash("SHA-256", &upper)]), &both),
        Ok(SubjectCheck::Matches)
    );
    // A weak one alone binds nothing; one of an algorithm that the artifact lacks neither.
    assert_eq!(
        check(json!([hash("SHA-1", &"0".repeat(40))]), &both),
        Ok(SubjectCheck::NotStated)
    );
    assert_eq!(
        check(json!([hash("SHA3-256", &sha256)]), &both),
        Ok(SubjectCheck::NotStated)
    );
    assert_eq!(
        check(
            json!([hash("SHA-256", &sha256), hash("SHA-512", &"cd".repeat(64))]),
            &both
        ),
        Err(SbomError::SubjectMismatch {
            algorithm: "sha512".into(),
            expected: sha512,
            actual: "cd".repeat(64)
        })
    );
    // Two values for one algorithm: one of them is wrong.
    assert!(
        check(
            json!([hash("SHA-256", &sha256), hash("SHA-256", &"cd".repeat(32))]),
            &artifact()
        )
        .is_err()
    );
}

#[test]
fn of_several_things_described_one_must_be_the_artifact() {
    let relationship = |to: &str| {
        json!({"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
               "relatedSpdxElement": to})
    };
    let describes = |ids: &[&str]| {
        let list: Vec<Value> = ids.iter().map(|id| relationship(id)).collect();
        changed("spdx-tools-2.3.spdx.json", "/relationships", json!(list)).unwrap()
    };
    let sbom = describes(&["SPDXRef-Package", "SPDXRef-Dep", "SPDXRef-File"]);
    assert_eq!(sbom.main().len(), 3);
    assert_eq!(sbom.check_subject(&artifact()), Ok(SubjectCheck::Matches));
    assert!(sbom.check_subject(&other()).is_err());
    let sbom = describes(&["SPDXRef-Dep"]);
    assert_eq!(sbom.check_subject(&other()), Ok(SubjectCheck::NotStated));
    let sbom = describes(&["DocumentRef-x:SPDXRef-Other"]);
    assert!(sbom.main().is_empty());
}

#[test]
fn minimum_elements_are_counted() {
    let lean = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [
            {"type": "library", "name": "a", "version": "1", "purl": "pkg:cargo/a@1"},
            {"type": "library", "name": "b", "supplier": {"name": "B"}},
        ],
    });
    let sbom = parse(&lean.to_string()).unwrap();
    assert_eq!(
        missing(&sbom),
        [
            "author",
            "timestamp",
            "supplier (1 component)",
            "version (1 component)",
            "unique-id (1 component)",
            "relationships",
            "hash (2 components)",
            "licence (2 components)",
            "tool",
        ]
    );
    assert_eq!(sbom.check_subject(&artifact()), Ok(SubjectCheck::NotStated));
    for element in MinimumElement::ALL {
        assert_eq!(element.as_str().parse(), Ok(element));
    }
    assert!("colour".parse::<MinimumElement>().is_err());
}

#[test]
fn a_statement_keeps_json_and_refers_to_other_forms() {
    let subject = Subject {
        name: "tool".into(),
        digest: artifact(),
    };
    let state = |name: &str| {
        let document = fixture(name);
        let sbom = parse(&document).unwrap();
        let other = sbom.to_statement(b"{}", subject.clone(), "a:b");
        assert_eq!(other, Err(StatementError::Predicate), "another document");
        let made = sbom.to_statement(document.as_bytes(), subject.clone(), "a:b");
        (document, made.unwrap())
    };
    for (name, predicate_type) in [
        ("python-lib-1.6.json", predicate_type::CYCLONEDX),
        ("spdx-tools-2.3.spdx.json", predicate_type::SPDX),
        ("spdx-python-model-3.0.1.json", predicate_type::SPDX),
    ] {
        let (document, made) = state(name);
        assert_eq!(made.predicate(), document.trim().as_bytes());
        assert_eq!(made.predicate_type(), predicate_type);
        let limits = SbomLimits::default().json();
        assert_eq!(Statement::parse(made.bytes(), &limits), Ok(made));
    }
    for (name, media_type) in [
        ("python-lib-1.6.xml", "application/vnd.cyclonedx+xml"),
        ("spdx-tools-2.3.spdx", "text/spdx"),
    ] {
        let (document, made) = state(name);
        let predicate: Value = serde_json::from_slice(made.predicate()).unwrap();
        assert_eq!(made.predicate_type(), predicate_type::REFERENCE);
        assert_eq!(predicate["attester"]["id"], "a:b");
        let reference = &predicate["references"][0];
        assert_eq!(
            reference["digest"]["sha256"],
            hex::encode(sha256(document.as_bytes()))
        );
        assert_eq!(reference["mediaType"], media_type);
    }
}

#[test]
fn xml_that_could_expand_or_reach_out_is_refused() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">\
         <!ENTITY lol2 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">]>\
         <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"><components/>&lol2;</bom>";
    let outside = "<!DOCTYPE bom SYSTEM \"http://example.com/evil.dtd\">\
         <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"/>";
    let file = "<!DOCTYPE bom [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
         <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">&x;</bom>";
    let parameter = "<!DOCTYPE bom [<!ENTITY % x SYSTEM \"http://example.com/x\"> %x;]><bom/>";
    for document in [bomb, outside, file, parameter] {
        let told = parse(document).unwrap_err().to_string();
        assert!(told.contains("document type (DTD)"), "{told}");
    }
    let bom = |inner: &str| {
        parse(&format!(
            "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">{inner}</bom>"
        ))
    };
    for (inner, says) in [
        ("&unknown;", "unknown"),
        ("<components>", "expected `</components>`"),
        ("</bom><bom>", "second root"),
        ("</bom>text<bom>", "text outside"),
        ("<x:components/>", "prefix"),
        (
            "<components xmlns:q=\"q:q\" q:a=\"1\" q:a=\"2\"/>",
            "duplicate",
        ),
        ("<components xmlns:q=\"q:q\" q:a=\"&x;\"/>", "entity"),
    ] {
        match bom(inner) {
            Err(SbomError::Xml { problem, .. }) => {
                assert!(problem.contains(says), "{inner}: {problem}");
            }
            other => panic!("{inner}: {other:?}"),
        }
    }
    for encoding in ["UTF-16", "ISO-8859-1"] {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"{encoding}\"?>\
             <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"/>"
        );
        assert!(matches!(parse(&document), Err(SbomError::Xml { .. })));
    }
    assert!(Sbom::parse(b"<bom>\xff</bom>", &SbomLimits::default()).is_err());
}

#[test]
fn xml_that_breaks_its_schema_is_refused_with_the_place() {
    let document = fixture("python-lib-1.6.xml");
    parse(&document).unwrap();
    for (from, to, place) in [
        ("<name>a</name>", "", "/bom/components/component"),
        (
            "<name>a</name>",
            "<name>a</name><name>b</name>",
            "/bom/components/component",
        ),
        (
            "<name>a</name>",
            "<name>a<b/></name>",
            "/bom/components/component/name",
        ),
        ("<components>", "<components>text", "/bom/components"),
        ("<components>", "<components><surprise/>", "/bom/components"),
        (
            "type=\"library\"",
            "type=\"lib\"",
            "/bom/components/component",
        ),
        ("type=\"library\"", "", "/bom/components/component"),
        (
            "type=\"library\"",
            "type=\"library\" x=\"1\"",
            "/bom/components/component",
        ),
        (
            "<id>Apache-2.0</id>",
            "<id>Apache</id>",
            "/bom/metadata/component/licenses/license/id",
        ),
        (
            "alg=\"SHA-1\"",
            "alg=\"CRC\"",
            "/bom/components/component/hashes/hash",
        ),
        (
            ">0beec7b5ea",
            ">xyz",
            "/bom/components/component/hashes/hash",
        ),
        (
            "2026-03-01T12:00:00",
            "yesterday",
            "/bom/metadata/timestamp",
        ),
        (
            "serialNumber=\"urn:uuid:3e",
            "serialNumber=\"urn:uuid:xx",
            "/bom",
        ),
    ] {
        assert!(document.contains(from), "{from}");
        match parse(&document.replacen(from, to, 1)) {
            Err(SbomError::Schema { place: told, .. }) => assert_eq!(told, place, "{from} {to}"),
            other => panic!("{from} {to}: {other:?}"),
        }
    }
    // Other namespaces may stand where the schema lets them.
    let foreign = "<x:y xmlns:x=\"a:b\"><x:z q=\"1\">text</x:z></x:y></bom>";
    parse(&document.replacen("</bom>", foreign, 1)).unwrap();
    let prefixed = "<c:bom xmlns:c=\"http://cyclonedx.org/schema/bom/1.6\"><c:components>\
         <c:component type=\"library\"><c:name><![CDATA[<a>]]>&amp;&#98;</c:name></c:component>\
         </c:components></c:bom>";
    assert_eq!(parse(prefixed).unwrap().components(), 1);
}

#[test]
fn tag_value_form_is_held_to_its_rules() {
    let document = fixture("spdx-tools-2.3.spdx");
    for (from, to, says) in [
        (
            "PackageName: tool",
            "PackageName: tool\nNothing: x",
            "unknown",
        ),
        ("PackageName: tool", "PackageName: tool\nno tag", "no tag"),
        (
            "PackageName: tool",
            "FileNotice: x\nPackageName: tool",
            "outside",
        ),
        (
            "PackageName: tool",
            "PackageName: tool\nPackageVersion: 9",
            "twice",
        ),
        (
            "FilesAnalyzed: true",
            "FilesAnalyzed: maybe",
            "FilesAnalyzed",
        ),
        (
            "PackageChecksum: SHA256: ",
            "PackageChecksum: SHA256 ",
            "PackageChecksum",
        ),
        (
            "SnippetByteRange: 1:10",
            "SnippetByteRange: 1",
            "SnippetByteRange",
        ),
        (
            "ExternalRef: PACKAGE-MANAGER purl",
            "ExternalRef: purl",
            "ExternalRef",
        ),
        ("DataLicense: CC0-1.0", "DataLicense: MIT", "schema"),
        ("Created: 2026-03-01T12:00:00Z", "Created: now", "schema"),
    ] {
        let changed = document.replacen(from, to, 1);
        assert_ne!(changed, document, "{from}");
        let told = parse(&changed).unwrap_err().to_string();
        assert!(told.contains(says), "{from}: {told}");
    }
    let unended = "SPDXVersion: SPDX-2.3\nDocumentComment: <text>never";
    assert!(matches!(
        parse(unended),
        Err(SbomError::TagValue { line: 2, .. })
    ));
}

#[test]
fn documents_that_are_meant_to_exhaust_are_refused() {
    let limits = SbomLimits::default();
    let large = vec![b' '; limits.max_len + 1];
    assert!(matches!(
        Sbom::parse(&large, &limits),
        Err(SbomError::TooLarge { .. })
    ));
    let deep = format!("{{\"bomFormat\":{}", "[".repeat(1_000_000));
    assert!(matches!(
        parse(&deep),
        Err(SbomError::Json(JsonError::TooDeep { max: 64 }))
    ));
    let wide = format!("{{\"bomFormat\":[{}0]}}", "0,".repeat(2_000_000));
    assert!(matches!(
        parse(&wide),
        Err(SbomError::Json(JsonError::TooManyNodes { .. }))
    ));
    let nested = "<components><component type=\"library\"><name>a</name>".repeat(40);
    let head = "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">";
    assert!(matches!(
        parse(&format!("{head}{nested}")),
        Err(SbomError::Xml { .. })
    ));
    let attributes: String = (0..100)
        .map(|number| format!(" a:b{number}=\"\""))
        .collect();
    let told = parse(&format!(
        "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\" xmlns:a=\"a:a\"{attributes}/>"
    ));
    assert!(told.unwrap_err().to_string().contains("attributes"));
    let few = SbomLimits {
        max_components: 2,
        max_nodes: 500,
        ..limits
    };
    for name in [
        "python-lib-1.6.json",
        "python-lib-1.6.xml",
        "spdx-tools-2.3.spdx.json",
        "spdx-tools-2.3.spdx",
    ] {
        assert_eq!(
            Sbom::parse(fixture(name).as_bytes(), &few),
            Err(SbomError::TooManyComponents { max: 2 }),
            "{name}"
        );
    }
    let few = SbomLimits {
        max_nodes: 20,
        ..limits
    };
    for (name, ..) in TAKEN {
        let refused = Sbom::parse(fixture(name).as_bytes(), &few).unwrap_err();
        assert!(
            refused.to_string().contains("more than 20"),
            "{name}: {refused}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _read = Sbom::parse(&bytes, &SbomLimits::default());
    }

    #[test]
    fn no_change_panics(
        which in 0..TAKEN.len(), at: proptest::sample::Index, octet: u8, cut in any::<bool>(),
    ) {
        let mut bytes = fixture(TAKEN[which].0).into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = octet;
        }
        let _read = Sbom::parse(&bytes, &SbomLimits::default());
    }
}
