//! Tests of provenance: predicates as builders write them, every form, what is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dsse::Signature;

/// Digests of the artifact.
fn artifact() -> DigestSet {
    DigestSet::new(BTreeMap::from([("sha256".into(), "ab".repeat(32))])).unwrap()
}

/// Digests of another artifact.
fn other() -> DigestSet {
    DigestSet::new(BTreeMap::from([("sha256".into(), "cd".repeat(32))])).unwrap()
}

/// A predicate as GitHub's attest-build-provenance makes it.
fn github() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {
                "ref": "refs/tags/v1.2.3",
                "repository": "https://github.com/octo/tool",
                "path": ".github/workflows/release.yml",
            }},
            "internalParameters": {"github": {
                "event_name": "push", "repository_id": "1", "repository_owner_id": "2",
                "runner_environment": "github-hosted",
            }},
            "resolvedDependencies": [
                {
                    "uri": "git+https://github.com/octo/tool@refs/tags/v1.2.3",
                    "digest": {"gitCommit": "c27d339ee6075c1f744c5d4b200f7901aad2c369"},
                },
                {"uri": "pkg:docker/rust@1", "digest": {"sha256": "ef".repeat(32)}},
            ],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/octo/tool/.github/workflows/release.yml@refs/tags/v1.2.3"},
            "metadata": {
                "invocationId": "https://github.com/octo/tool/actions/runs/1/attempts/1",
                "startedOn": "2026-03-01T12:00:00Z",
                "finishedOn": "2026-03-01T12:05:00.5Z",
            },
        },
    })
}

/// A predicate of version 0.2 as slsa-github-generator makes it.
fn generator() -> Value {
    json!({
        "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/builder_go_slsa3.yml@refs/tags/v1.2.2"},
        "buildType": "https://github.com/slsa-framework/slsa-github-generator/go@v1",
        "invocation": {
            "configSource": {
                "uri": "git+https://github.com/octo/tool@refs/tags/v1.2.3",
                "digest": {"sha1": "c27d339ee6075c1f744c5d4b200f7901aad2c369"},
                "entryPoint": ".github/workflows/release.yml",
            },
            "parameters": {}, "environment": {"github_run_id": "1"},
        },
        "buildConfig": {"version": 1},
        "metadata": {"buildInvocationID": "1-1", "completeness": {"parameters": true},
                     "buildStartedOn": "2026-03-01T12:00:00+01:00", "reproducible": false},
        "materials": [{
            "uri": "git+https://github.com/octo/tool@refs/tags/v1.2.3",
            "digest": {"sha1": "c27d339ee6075c1f744c5d4b200f7901aad2c369"},
        }],
    })
}

/// A statement about digests.
fn statement(predicate_type: &str, predicate: &Value, digest: &DigestSet) -> Statement {
    let subject = Subject {
        name: "tool".into(),
        digest: digest.clone(),
    };
    let json = predicate.to_string();
    Statement::build(
        vec![subject],
        predicate_type,
        json.as_bytes(),
        &Limits::default(),
    )
    .unwrap()
}

/// A statement of provenance of the artifact.
fn github_statement() -> Statement {
    statement(predicate_type::PROVENANCE_V1, &github(), &artifact())
}

/// An envelope whose signature is nobody's.
fn envelope(statement: &Statement) -> Envelope {
    let signature = Signature {
        keyid: None,
        sig: vec![1; 70],
    };
    Envelope::signed(IN_TOTO, statement.bytes().to_vec(), signature)
}

/// A bundle around an envelope.
fn bundle(statement: &Statement) -> Bundle {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    Bundle::envelope(leaf.der(), envelope(statement)).unwrap()
}

/// Reads with the usual limits.
fn parse(bytes: impl AsRef<[u8]>) -> Result<Submission, ProvenanceError> {
    Submission::parse(bytes.as_ref(), &Limits::default())
}

#[test]
fn githubs_provenance_is_understood() {
    let read = parse(github().to_string()).unwrap();
    assert_eq!(read.form(), Form::Predicate);
    let facts = read.provenance()[0].facts();
    assert_eq!(
        *facts,
        BuildFacts {
            version: Version::V1,
            builder_id:
                "https://github.com/octo/tool/.github/workflows/release.yml@refs/tags/v1.2.3".into(),
            build_type: "https://actions.github.io/buildtypes/workflow/v1".into(),
            source: Some("https://github.com/octo/tool".into()),
            source_ref: Some("refs/tags/v1.2.3".into()),
            commit: Some("c27d339ee6075c1f744c5d4b200f7901aad2c369".into()),
            materials: 2,
            started_on: Some("2026-03-01T12:00:00Z".parse().unwrap()),
            finished_on: Some("2026-03-01T12:05:00.5Z".parse().unwrap()),
            invocation_id: Some("https://github.com/octo/tool/actions/runs/1/attempts/1".into()),
        }
    );
}

#[test]
fn version_0_2_is_understood() {
    let read = parse(generator().to_string()).unwrap();
    let facts = read.provenance()[0].facts();
    assert_eq!(facts.version, Version::V0_2);
    assert_eq!(
        facts.source.as_deref(),
        Some("https://github.com/octo/tool")
    );
    assert_eq!(facts.source_ref.as_deref(), Some("refs/tags/v1.2.3"));
    assert_eq!(
        facts.commit.as_deref(),
        Some("c27d339ee6075c1f744c5d4b200f7901aad2c369")
    );
    assert_eq!(facts.materials, 1);
    assert_eq!(facts.invocation_id.as_deref(), Some("1-1"));
    assert_eq!(
        facts.started_on,
        Some("2026-03-01T11:00:00Z".parse().unwrap())
    );
}

#[test]
fn sources_are_found_where_builders_put_them() {
    let commit = "c27d339ee6075c1f744c5d4b200f7901aad2c369";
    let read = |parameters: Value, dependencies: Value| {
        let mut predicate = github();
        predicate["buildDefinition"]["externalParameters"] = parameters;
        predicate["buildDefinition"]["resolvedDependencies"] = dependencies;
        let read = parse(predicate.to_string()).unwrap();
        let facts = read.provenance()[0].facts().clone();
        (facts.source, facts.source_ref, facts.commit)
    };
    let some = |text: &str| Some(text.to_owned());
    // GitLab's runner.
    assert_eq!(
        read(
            json!({"source": "https://gitlab.com/a/b", "entryPoint": "build", "variables": {}}),
            json!([{"uri": "https://gitlab.com/a/b", "digest": {"sha256": commit}}]),
        ),
        (some("https://gitlab.com/a/b"), None, some(commit))
    );
    // BuildKit.
    assert_eq!(
        read(
            json!({"configSource": {"uri": "https://github.com/a/b.git#refs/heads/main",
                                    "digest": {"sha1": commit}, "path": "Dockerfile"}}),
            json!([{"uri": "pkg:docker/alpine@3", "digest": {"sha256": "ab".repeat(32)}}]),
        ),
        (some("https://github.com/a/b"), None, some(commit))
    );
    // Cloud Build.
    assert_eq!(
        read(
            json!({"buildConfigSource": {"repository": "git+https://github.com/a/b",
                                         "ref": "refs/heads/main", "path": "cloudbuild.yaml"}}),
            json!([{"uri": "git+https://github.com/a/b@refs/heads/main",
                    "digest": {"gitCommit": commit}}]),
        ),
        (
            some("https://github.com/a/b"),
            some("refs/heads/main"),
            some(commit)
        )
    );
    let git = |repository: &str| {
        json!({"uri": format!("git+ssh://git@example.com/{repository}.git@v1"),
               "digest": {"gitCommit": commit}})
    };
    // Nothing in the parameters: the one repository among the dependencies, not one of two.
    assert_eq!(
        read(json!({}), json!([git("a"), {"uri": "a:b"}])),
        (some("ssh://git@example.com/a"), some("v1"), some(commit))
    );
    assert_eq!(
        read(json!({}), json!([git("a"), git("b")])),
        (None, None, None)
    );
}

#[test]
fn every_form_is_read_and_signed_ones_are_kept() {
    let statement = github_statement();
    let envelope = envelope(&statement);
    let bundle = bundle(&statement);
    let json = bundle.to_json();
    let forms = [
        (Form::Predicate, github().to_string().into_bytes(), false),
        (
            Form::Predicate,
            serde_json::to_vec_pretty(&github()).unwrap(),
            false,
        ),
        (Form::Statement, statement.bytes().to_vec(), false),
        (Form::Envelope, envelope.to_json(), true),
        (Form::Bundle, json.clone().into_bytes(), true),
        (
            Form::JsonLines,
            format!("{json}\n{json}\n\n").into_bytes(),
            true,
        ),
    ];
    for (form, bytes, signed) in forms {
        let read = parse(&bytes).unwrap_or_else(|error| panic!("{form:?}: {error}"));
        assert_eq!(read.form(), form);
        let of = read.of(&artifact()).unwrap();
        assert_eq!(of.len(), if form == Form::JsonLines { 2 } else { 1 });
        assert_eq!(of[0].is_signed(), signed, "{form:?}");
        let predicate: Value = serde_json::from_slice(of[0].predicate()).unwrap();
        assert_eq!(predicate, github());
        if form == Form::Predicate {
            assert!(read.of(&other()).is_ok(), "it names no artifact");
        } else {
            assert!(matches!(
                read.of(&other()),
                Err(ProvenanceError::SubjectMismatch { .. })
            ));
            assert_eq!(of[0].statement(), Some(&statement));
        }
        match of[0].seal() {
            Seal::Unsigned => assert!(!signed),
            Seal::Envelope(read) => assert_eq!(*read, envelope),
            Seal::Bundle(read) => assert_eq!(**read, bundle),
        }
    }
}

#[test]
fn of_lines_those_count_that_are_provenance_of_the_artifact() {
    let sbom = statement(predicate_type::CYCLONEDX, &json!({"a": 1}), &artifact());
    let foreign = statement(predicate_type::PROVENANCE_V1, &github(), &other());
    let ours = github_statement();
    let lines = |statements: &[&Statement]| {
        statements
            .iter()
            .flat_map(|statement| [statement.bytes(), b"\n"].concat())
            .collect::<Vec<u8>>()
    };
    let read = parse(lines(&[&sbom, &foreign, &ours])).unwrap();
    assert_eq!(read.provenance().len(), 2);
    assert_eq!(read.of(&artifact()).unwrap()[0].statement(), Some(&ours));
    let read = parse(lines(&[&sbom, &foreign])).unwrap();
    assert!(read.of(&artifact()).is_err());
    assert_eq!(
        parse(lines(&[&sbom, &sbom])),
        Err(ProvenanceError::NoneInLines { lines: 2 })
    );
    let broken = [&lines(&[&ours]), &b"{\"a\":1}\n"[..]].concat();
    assert_eq!(
        parse(broken),
        Err(ProvenanceError::Line {
            line: 2,
            problem: Box::new(ProvenanceError::Unknown)
        })
    );
    assert_eq!(
        parse(b"{}\n".repeat(300)),
        Err(ProvenanceError::Line {
            line: 1,
            problem: Box::new(ProvenanceError::Unknown)
        })
    );
    assert_eq!(
        parse([ours.bytes(), b"\n"].concat().repeat(257)),
        Err(ProvenanceError::TooManyLines)
    );
}

#[test]
fn what_slsa_requires_must_be_there() {
    for (version, base, places) in [
        (
            "v1",
            github(),
            &[
                "/buildDefinition",
                "/runDetails",
                "/buildDefinition/buildType",
                "/buildDefinition/externalParameters",
                "/runDetails/builder",
                "/runDetails/builder/id",
            ][..],
        ),
        ("v0.2", generator(), &["/builder/id"]),
    ] {
        for place in places {
            let mut predicate = base.clone();
            let (parent, name) = place.rsplit_once('/').unwrap();
            let parent = predicate.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(name);
            let dotted = place[1..].replace('/', ".");
            assert_eq!(
                parse(predicate.to_string()),
                Err(ProvenanceError::Missing { place: dotted }),
                "{version}"
            );
        }
    }
}

#[test]
fn members_must_be_what_slsa_says() {
    let wrong = [
        ("/buildDefinition", json!([])),
        ("/buildDefinition/buildType", json!("not a uri")),
        ("/buildDefinition/buildType", json!(1)),
        ("/buildDefinition/externalParameters", json!("x")),
        ("/buildDefinition/internalParameters", json!([])),
        ("/buildDefinition/resolvedDependencies", json!({})),
        ("/buildDefinition/resolvedDependencies/0", json!({})),
        ("/buildDefinition/resolvedDependencies/0", json!("a:b")),
        ("/buildDefinition/resolvedDependencies/0/uri", json!("a b")),
        (
            "/buildDefinition/resolvedDependencies/1/digest",
            json!({"sha256": "xyz"}),
        ),
        (
            "/buildDefinition/resolvedDependencies/1/digest",
            json!({"sha256": 1}),
        ),
        ("/runDetails/builder/id", json!("")),
        ("/runDetails/builder/id", json!("nocolon")),
        ("/runDetails/metadata", json!(1)),
        ("/runDetails/metadata/startedOn", json!("yesterday")),
        ("/runDetails/metadata/startedOn", json!("2026-03-01")),
        ("/runDetails/metadata/finishedOn", json!(1)),
        ("/runDetails/metadata/invocationId", json!({})),
    ];
    for (place, value) in wrong {
        let mut predicate = github();
        *predicate.pointer_mut(place).unwrap() = value.clone();
        let refused = parse(predicate.to_string());
        assert!(
            matches!(refused, Err(ProvenanceError::Member { .. })),
            "{place} {value}: {refused:?}"
        );
    }
    let mut predicate = github();
    predicate["runDetails"]["builder"]["version"] = json!({"a": 1});
    assert!(parse(predicate.to_string()).is_err());
    let mut predicate = github();
    predicate["runDetails"]["byproducts"] = json!([{"name": "log", "content": "eA=="}]);
    predicate["runDetails"]["builder"]["version"] = json!({"runner": "2.3"});
    predicate["runDetails"]["metadata"] = Value::Null;
    parse(predicate.to_string()).unwrap();
}

#[test]
fn what_is_no_provenance_is_refused() {
    for text in ["", "x", "[]", "{", "{}\n{", "null"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    assert_eq!(
        parse("{\"bomFormat\":\"x\"}"),
        Err(ProvenanceError::Unknown)
    );
    let sbom = statement(predicate_type::SPDX, &json!({}), &artifact());
    assert_eq!(
        parse(sbom.bytes()),
        Err(ProvenanceError::PredicateType {
            found: predicate_type::SPDX.into()
        })
    );
    let mut text = github().to_string();
    text.insert_str(1, "\"runDetails\":{},");
    assert!(matches!(
        parse(text),
        Err(ProvenanceError::Json(JsonError::RepeatedName { .. }))
    ));
    let signature = envelope(&github_statement()).signatures()[0].clone();
    let other = Envelope::signed("text/plain", b"{}".to_vec(), signature.clone());
    assert!(matches!(
        parse(other.to_json()),
        Err(ProvenanceError::PayloadType { .. })
    ));
    // The payload is as hostile as the envelope.
    let twice = github_statement();
    let twice = String::from_utf8(twice.bytes().to_vec()).unwrap();
    let twice = twice.replacen("{\"_type\"", "{\"subject\":[],\"_type\"", 1);
    let other = Envelope::signed(IN_TOTO, twice.into_bytes(), signature);
    assert!(matches!(
        parse(other.to_json()),
        Err(ProvenanceError::Statement(StatementError::Json(
            JsonError::RepeatedName { .. }
        )))
    ));
    let limits = Limits {
        max_len: 10,
        ..Limits::default()
    };
    assert!(matches!(
        Submission::parse(&[b'\n'; 11], &limits),
        Err(ProvenanceError::Json(JsonError::TooLarge { .. }))
    ));
}

#[test]
fn a_bundle_over_octets_is_not_provenance() {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    let digest = model::signing::ArtifactDigest::sha256([1; 32]);
    let bundle = Bundle::message(leaf.der(), digest, vec![1; 70]);
    assert_eq!(parse(bundle.to_json()), Err(ProvenanceError::NoStatement));
}

#[test]
fn a_predicate_alone_is_stated_of_the_artifact_octet_by_octet() {
    let pretty = format!("\n{:#}\n", github());
    let read = parse(&pretty).unwrap();
    let subject = Subject {
        name: "tool".into(),
        digest: artifact(),
    };
    let made = read.provenance()[0].to_statement(subject.clone()).unwrap();
    assert_eq!(made.predicate(), pretty.trim().as_bytes());
    assert_eq!(made.predicate_type(), predicate_type::PROVENANCE_V1);
    assert_eq!(made.check_subject(&artifact()), Ok(&subject));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _read = parse(bytes);
    }

    #[test]
    fn no_change_of_a_bundle_panics(at in 0_usize..4000, octet: u8, end in 0_usize..4000) {
        let mut bytes = bundle(&github_statement()).to_json().into_bytes();
        bytes.truncate(end.max(1));
        let at = at % bytes.len();
        bytes[at] = octet;
        let _read = parse(bytes);
    }

    #[test]
    fn no_address_panics(uri in "(git\\+)?[a-z]{0,5}(:|://)?[a-z@/.#\u{e9}]{0,20}") {
        let mut predicate = github();
        predicate["buildDefinition"]["externalParameters"] = json!({"source": uri});
        parse(predicate.to_string()).unwrap();
    }
}
