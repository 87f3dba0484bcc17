//! Rules over facts.

use super::*;
use crate::config::SigningConfig;

/// Reads the policy of the profile `default`.
fn policy(text: &str) -> std::sync::Arc<Policy> {
    let config: SigningConfig = toml::from_str(text).unwrap();
    let checked = config.check().unwrap();
    std::sync::Arc::clone(&checked.profiles[&checked.default_profile].policy)
}

/// Facts of a request that every profile takes.
fn request() -> RequestFacts<'static> {
    RequestFacts {
        client: "signer/alice",
        hash: HashAlgorithm::Sha256,
        artifact: Some("app-1.0.tar.gz"),
        crl: ClientCrl::Aged(Duration::from_secs(60)),
    }
}

/// Facts of a provenance.
fn provenance(signer: Option<&'static str>) -> ProvenanceFacts<'static> {
    ProvenanceFacts {
        builder: "https://builder.example/v1",
        signer,
        vouched: match signer {
            Some("https://ci.example/x") => &[0],
            _ => &[],
        },
        source: Some("https://git.example/team/app"),
        reference: Some("refs/tags/v1.0"),
    }
}

/// Returns the rule that fails first.
fn failing(check: impl FnOnce(&mut Verdict)) -> Option<Rule> {
    let mut verdict = Verdict::default();
    check(&mut verdict);
    assert_eq!(
        verdict.decision == Decision::Refused,
        verdict.first_failure().is_some()
    );
    verdict.first_failure().map(|check| check.rule)
}

#[test]
fn requests_are_held_to_client_hash_name_and_crl_age() {
    let policy = policy(
        "[profiles.default]\nclients = [\"signer/a*\"]\nartifacts = [\"*.tar.gz\"]\n\
         max_crl_age = \"1h\"",
    );
    let failing =
        |facts: RequestFacts<'_>| failing(|verdict| policy.check_request(&facts, verdict));
    assert_eq!(failing(request()), None);
    let other = |change: fn(&mut RequestFacts<'static>)| {
        let mut facts = request();
        change(&mut facts);
        failing(facts)
    };
    assert_eq!(
        other(|facts| facts.client = "signer/bob"),
        Some(Rule::Client)
    );
    assert_eq!(
        other(|facts| facts.client = "operator/a"),
        Some(Rule::Client)
    );
    assert_eq!(
        other(|facts| facts.hash = HashAlgorithm::Sha512),
        Some(Rule::Hash)
    );
    assert_eq!(
        other(|facts| facts.artifact = Some("app.exe")),
        Some(Rule::ArtifactName)
    );
    assert_eq!(
        other(|facts| facts.artifact = Some("a/b.tar.gz")),
        Some(Rule::ArtifactName)
    );
    assert_eq!(
        other(|facts| facts.artifact = None),
        Some(Rule::ArtifactName)
    );
    let old = ClientCrl::Aged(Duration::from_secs(3601));
    for crl in [old, ClientCrl::Missing] {
        let facts = RequestFacts { crl, ..request() };
        assert_eq!(failing(facts), Some(Rule::CrlAge), "{crl:?}");
    }
    assert_eq!(other(|facts| facts.crl = ClientCrl::NotAsked), None);
}

#[test]
fn bills_of_materials_are_held_to_presence_format_elements_and_subject() {
    let strict = policy(
        "[profiles.default.sbom]\nrequired = true\nformats = [\"spdx-json\"]\n\
         elements = [\"supplier\", \"author\"]\nnames_artifact = true",
    );
    let lax = policy("");
    let good = SbomFacts {
        format: "spdx-json",
        missing: vec!["unique-id"],
    };
    let of = |policy: &Policy, facts: Option<&SbomFacts>| {
        failing(|verdict| policy.check_sbom(facts, verdict))
    };
    assert_eq!(of(&strict, Some(&good)), None);
    assert_eq!(of(&strict, None), Some(Rule::SbomPresent));
    assert_eq!(of(&lax, None), None);
    let xml = SbomFacts {
        format: "cyclonedx-xml",
        ..good.clone()
    };
    assert_eq!(of(&strict, Some(&xml)), Some(Rule::SbomFormat));
    assert_eq!(of(&lax, Some(&xml)), None);
    let poor = SbomFacts {
        missing: vec!["supplier"],
        ..good
    };
    assert_eq!(of(&strict, Some(&poor)), Some(Rule::SbomElements));
    let subject = |policy: &Policy, facts: SubjectFacts| {
        failing(|verdict| policy.check_sbom_subject("sha256:00", &facts, verdict))
    };
    let other = || SubjectFacts::Other {
        named: "sha256:11".to_owned(),
    };
    assert_eq!(subject(&strict, SubjectFacts::Named), None);
    assert_eq!(
        subject(&strict, SubjectFacts::Silent),
        Some(Rule::SbomSubject)
    );
    assert_eq!(subject(&lax, SubjectFacts::Silent), None);
    assert_eq!(subject(&lax, other()), Some(Rule::SbomSubject));
}

#[test]
fn signing_raises_no_level() {
    let policy = policy(
        "[profiles.default.provenance]\nminimum_level = 2\nsources = [\"https://git.example/team/*\"]\n\
         refs = [\"refs/tags/**\"]\n\
         [[profiles.default.provenance.builders]]\nid = \"https://builder.example/*\"\n\
         signer = \"https://ci.example/*\"\nmaximum_level = 3\n\
         [[profiles.default.provenance.builders]]\nid = \"https://builder.example/*\"",
    );
    let of = |facts: Option<&ProvenanceFacts<'_>>| {
        let mut verdict = Verdict::default();
        let level = policy.check_provenance(facts, &mut verdict);
        (level, verdict.first_failure().map(|check| check.rule))
    };
    assert_eq!(
        of(Some(&provenance(Some("https://ci.example/x")))),
        (3, None)
    );
    assert_eq!(
        of(Some(&provenance(None))),
        (1, Some(Rule::ProvenanceLevel))
    );
    let stranger = provenance(Some("https://other.example"));
    assert_eq!(of(Some(&stranger)), (1, Some(Rule::ProvenanceLevel)));
    // Of the right name, and known by the trust of another rule alone.
    let elsewhere_known = ProvenanceFacts {
        vouched: &[],
        ..provenance(Some("https://ci.example/x"))
    };
    assert_eq!(of(Some(&elsewhere_known)), (1, Some(Rule::ProvenanceLevel)));
    assert_eq!(of(None), (0, Some(Rule::ProvenancePresent)));
    let elsewhere = ProvenanceFacts {
        builder: "https://evil.example",
        ..provenance(Some("https://ci.example/x"))
    };
    assert_eq!(of(Some(&elsewhere)), (0, Some(Rule::ProvenanceBuilder)));
    let fork = ProvenanceFacts {
        source: Some("https://git.example/fork/app"),
        ..provenance(Some("https://ci.example/x"))
    };
    assert_eq!(of(Some(&fork)).1, Some(Rule::ProvenanceSource));
    let branch = ProvenanceFacts {
        reference: None,
        ..provenance(Some("https://ci.example/x"))
    };
    assert_eq!(of(Some(&branch)).1, Some(Rule::ProvenanceRef));
}

#[test]
fn without_builders_any_is_taken_and_counts_for_level_one() {
    let policy = policy("[profiles.default.provenance]\nrequired = true\nminimum_level = 1");
    let mut verdict = Verdict::default();
    let level =
        policy.check_provenance(Some(&provenance(Some("https://ci.example"))), &mut verdict);
    assert_eq!((level, verdict.decision), (1, Decision::Allowed));
}

#[test]
fn what_clients_write_is_cut_in_verdicts() {
    let policy = policy("[profiles.default]\nclients = [\"signer/none\"]");
    let long = "x".repeat(10_000);
    let mut verdict = Verdict::default();
    let facts = RequestFacts {
        artifact: Some(&long),
        client: &long,
        ..request()
    };
    policy.check_request(&facts, &mut verdict);
    assert!(verdict.checks.iter().all(|check| check.actual.len() < 600));
}
