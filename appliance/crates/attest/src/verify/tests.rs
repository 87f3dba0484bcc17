//! Evidence as it should be, and each thing that can be wrong with it, by the check that
//! must say so.

use std::sync::LazyLock;

use model::RevocationReason;

use super::*;
use crate::bundle::LogEntry;
use crate::statement::{Statement, predicate_type};
use crate::support::authorities::TestKey;
use crate::support::{
    FORGE, Form, SIGNER, Signer as Key, World, later, now, provenance, sha256, statement,
};

/// Who takes part in every test.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// What is signed.
const ARTIFACT: &[u8] = b"an artifact";

/// A question whose parts a test may change.
struct Question {
    /// The artifact's digests.
    artifact: Vec<ArtifactDigest>,
    /// Whom to believe.
    trust: TrustedRoot,
    /// Revocation lists.
    crls: Vec<Vec<u8>>,
    /// What is asked for.
    policy: Policy,
    /// When it is asked.
    now: Timestamp,
}

impl Question {
    /// Asks for what the default policy does.
    fn new() -> Self {
        Self {
            artifact: vec![sha256(ARTIFACT)],
            trust: WORLD.trusted_root(),
            crls: Vec::new(),
            policy: Policy::default(),
            // Certificates of ten minutes have ended long since.
            now: later(90 * 86_400),
        }
    }

    /// Asks by a changed policy.
    fn by(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::new()
        }
    }

    /// Asks it of evidence.
    fn of(&self, evidence: Evidence<'_>) -> Result<Report, InputError> {
        verify(&self.about(evidence))
    }

    /// Asks it of a bundle, which must be readable.
    fn of_bundle(&self, bundle: &Bundle) -> Report {
        self.of(Evidence::Bundle(bundle)).unwrap()
    }

    /// Writes the question out.
    fn about<'a>(&'a self, evidence: Evidence<'a>) -> Verification<'a> {
        Verification {
            artifact: &self.artifact,
            evidence,
            trust: &self.trust,
            crls: &self.crls,
            policy: &self.policy,
            standing: Standing::Unknown,
            now: self.now,
        }
    }
}

/// Returns the checks that failed.
fn failures(report: &Report) -> Vec<CheckName> {
    assert_eq!(report.verified, report.failures().next().is_none());
    report.failures().map(|check| check.name).collect()
}

/// Returns what came of a check.
fn outcome(report: &Report, name: CheckName) -> Outcome {
    report.check(name).unwrap().outcome
}

/// A signer and a bundle of the artifact.
fn signed(form: Form) -> (Key, Bundle) {
    let signer = WORLD.signer_for(form);
    let bundle = WORLD.message_bundle(&signer, ARTIFACT, form);
    (signer, bundle)
}

/// A bundle of a statement, by a signer of that form.
fn attested(statement: &Statement, form: Form) -> Bundle {
    WORLD.envelope_bundle(&WORLD.signer_for(form), statement, form)
}

/// Changes the entry in the log.
fn with_entry(bundle: &Bundle, change: impl FnOnce(&mut LogEntry)) -> Bundle {
    let mut bundle = bundle.clone();
    change(&mut bundle.log_entries[0]);
    bundle
}

#[test]
fn the_complete_form_passes_every_check_that_the_complete_policy_has() {
    for bundle in [
        signed(Form::Complete).1,
        attested(&provenance(ARTIFACT), Form::Complete),
    ] {
        let report = Question::by(Policy::complete()).of_bundle(&bundle);
        assert_eq!(failures(&report), [], "{report:#?}");
        for name in [
            CheckName::Signature,
            CheckName::TimeStamp,
            CheckName::CertificateChain,
            CheckName::CertificatePurpose,
            CheckName::CertificateValidity,
            CheckName::Sct,
            CheckName::LogInclusion,
            CheckName::LogCheckpoint,
        ] {
            assert_eq!(outcome(&report, name), Outcome::Passed, "{name}");
        }
        assert_eq!(report.signed_at, Some(now()));
    }
}

#[test]
fn the_plain_form_is_enough_by_default_and_not_for_the_complete_policy() {
    let (_, bundle) = signed(Form::Plain);
    let report = Question::new().of_bundle(&bundle);
    assert_eq!(failures(&report), [], "{report:#?}");
    assert_eq!(outcome(&report, CheckName::LogInclusion), Outcome::Skipped);
    assert_eq!(outcome(&report, CheckName::Sct), Outcome::Skipped);
    let report = Question::by(Policy::complete()).of_bundle(&bundle);
    assert_eq!(
        failures(&report),
        [
            CheckName::Sct,
            CheckName::LogInclusion,
            CheckName::LogCheckpoint
        ]
    );
}

#[test]
fn every_kind_of_key_is_verified() {
    for key in [TestKey::p256(), TestKey::p384(), TestKey::rsa3072()] {
        let signer = WORLD.signer(key);
        let bundle = WORLD.message_bundle(&signer, ARTIFACT, Form::Plain);
        let evidence = Evidence::Bundle(&bundle);
        let artifact = evidence
            .hashes()
            .unwrap()
            .into_iter()
            .map(|hash| pki::algorithm::digest_of(hash, ARTIFACT))
            .collect();
        let question = Question {
            artifact,
            ..Question::new()
        };
        assert_eq!(failures(&question.of(evidence).unwrap()), []);
        let envelope = WORLD.envelope_bundle(&signer, &provenance(ARTIFACT), Form::Plain);
        assert_eq!(failures(&Question::new().of_bundle(&envelope)), []);
    }
}

#[test]
fn a_digest_that_is_needed_and_not_given_is_no_failed_check() {
    let signer = WORLD.signer(TestKey::p384());
    let bundle = WORLD.message_bundle(&signer, ARTIFACT, Form::Plain);
    let algorithm = HashAlgorithm::Sha384;
    assert_eq!(
        Question::new().of(Evidence::Bundle(&bundle)),
        Err(InputError::DigestMissing { algorithm })
    );
    let algorithm = HashAlgorithm::Sha256;
    let mut question = Question::new();
    question.artifact.push(sha256(b"another"));
    let (_, bundle) = signed(Form::Plain);
    assert_eq!(
        question.of(Evidence::Bundle(&bundle)),
        Err(InputError::DigestTwice { algorithm })
    );
}

#[test]
fn another_artifact_fails() {
    let question = Question {
        artifact: vec![sha256(b"another artifact")],
        ..Question::new()
    };
    let report = question.of_bundle(&signed(Form::Complete).1);
    assert_eq!(
        failures(&report),
        [
            CheckName::Signature,
            CheckName::ArtifactDigest,
            CheckName::LogInclusion
        ]
    );
    let check = report.check(CheckName::ArtifactDigest).unwrap();
    assert_eq!(
        check.expected,
        Some(sha256(b"another artifact").to_string())
    );
    assert_eq!(check.actual, Some(sha256(ARTIFACT).to_string()));
    let report = question.of_bundle(&attested(&provenance(ARTIFACT), Form::Plain));
    assert_eq!(failures(&report), [CheckName::Subject]);
}

#[test]
fn an_altered_signature_fails() {
    let (signer, bundle) = signed(Form::Plain);
    let other = WORLD.signer(TestKey::p256());
    let mut altered = bundle.clone();
    altered.certificate_chain = vec![other.certificate.der().to_vec()];
    let report = Question::new().of_bundle(&altered);
    assert_eq!(failures(&report), [CheckName::Signature]);
    let mut altered = bundle;
    let Content::Message(message) = &mut altered.content else {
        panic!("a message's signature")
    };
    message.signature = signer.key.sign(signer.key.algorithm(), b"another");
    let report = Question::new().of_bundle(&altered);
    assert_eq!(
        failures(&report),
        [
            CheckName::Signature,
            CheckName::TimeStamp,
            CheckName::CertificateValidity
        ]
    );
}

#[test]
fn nobody_passes_without_a_time_that_somebody_vouches_for() {
    let (_, bundle) = signed(Form::Plain);
    let bare = Bundle {
        time_stamps: Vec::new(),
        ..bundle
    };
    let report = Question::new().of_bundle(&bare);
    assert_eq!(
        failures(&report),
        [CheckName::TimeStamp, CheckName::CertificateValidity]
    );
    assert_eq!(
        outcome(&report, CheckName::CertificateChain),
        Outcome::Passed
    );
    // A reader's own time counts when the policy says so, and only then.
    let mut question = Question::by(Policy::without_time_stamp());
    assert_eq!(failures(&question.of_bundle(&bare)), []);
    question.now = later(500 * 86_400);
    assert_eq!(
        failures(&question.of_bundle(&bare)),
        [CheckName::CertificateValidity]
    );
}

#[test]
fn a_signature_stamped_after_the_certificates_end_fails() {
    let signer = WORLD.forge_signer(TestKey::p256(), Form::Complete);
    let late = WORLD.message_bundle_at(&signer, ARTIFACT, Form::Complete, later(3600));
    let report = Question::new().of_bundle(&late);
    assert_eq!(failures(&report), [CheckName::CertificateValidity]);
    assert_eq!(
        outcome(&report, CheckName::CertificateChain),
        Outcome::Passed
    );
}

#[test]
fn the_time_stamp_of_another_signature_fails() {
    let (_, bundle) = signed(Form::Plain);
    let (_, other) = signed(Form::Plain);
    let swapped = Bundle {
        time_stamps: other.time_stamps,
        ..bundle
    };
    let report = Question::new().of_bundle(&swapped);
    assert_eq!(
        failures(&report),
        [CheckName::TimeStamp, CheckName::CertificateValidity]
    );
}

#[test]
fn an_authority_counts_once_however_often_it_stamped() {
    let (_, bundle) = signed(Form::Plain);
    let again = WORLD
        .stamp_token(bundle.signature(), later(1))
        .to_response();
    let twice = bundle.with_time_stamp(again);
    let mut question = Question::new();
    assert_eq!(failures(&question.of_bundle(&twice)), []);
    question.policy.time_stamps = 2;
    assert_eq!(
        failures(&question.of_bundle(&twice)),
        [CheckName::TimeStamp]
    );
}

#[test]
fn nobody_is_believed_who_is_not_in_the_trusted_root() {
    let stranger = World::new();
    let (_, bundle) = signed(Form::Complete);
    let mut question = Question::by(Policy::complete());
    question.trust.certificate_authorities = stranger.trusted_root().certificate_authorities;
    let report = question.of_bundle(&bundle);
    assert_eq!(
        failures(&report),
        [CheckName::CertificateChain, CheckName::Sct]
    );
    let mut question = Question::by(Policy::complete());
    question.trust.time_stamp_authorities = stranger.trusted_root().time_stamp_authorities;
    let report = question.of_bundle(&bundle);
    assert_eq!(
        failures(&report),
        [CheckName::TimeStamp, CheckName::CertificateValidity]
    );
    let mut question = Question::by(Policy::complete());
    question.trust.ct_logs = stranger.trusted_root().ct_logs;
    question.trust.logs = stranger.trusted_root().logs;
    let report = question.of_bundle(&bundle);
    assert_eq!(
        failures(&report),
        [
            CheckName::Sct,
            CheckName::LogInclusion,
            CheckName::LogCheckpoint
        ]
    );
    // Nobody asked for strangers' logs, and nothing is said of them.
    question.policy = Policy::default();
    let report = question.of_bundle(&bundle);
    assert_eq!(failures(&report), []);
    assert_eq!(outcome(&report, CheckName::LogInclusion), Outcome::Skipped);
    assert_eq!(outcome(&report, CheckName::Sct), Outcome::Skipped);
}

#[test]
fn authorities_count_in_their_time_alone() {
    let (_, bundle) = signed(Form::Plain);
    let mut question = Question::new();
    question.trust.certificate_authorities[0].valid_for.end = Some(later(-1));
    assert_eq!(
        failures(&question.of_bundle(&bundle)),
        [CheckName::CertificateChain]
    );
    let mut question = Question::new();
    for authority in &mut question.trust.time_stamp_authorities {
        authority.valid_for.start = Some(later(1));
    }
    assert_eq!(
        failures(&question.of_bundle(&bundle)),
        [CheckName::TimeStamp, CheckName::CertificateValidity]
    );
}

#[test]
fn roots_in_pem_are_enough_for_the_plain_form() {
    let question = Question {
        trust: TrustedRoot::read(WORLD.trusted_root().to_pem().as_bytes()).unwrap(),
        ..Question::new()
    };
    let report = question.of_bundle(&signed(Form::Plain).1);
    assert_eq!(failures(&report), [], "{report:#?}");
}

#[test]
fn a_certificate_for_something_else_fails() {
    // The time-stamping authority's certificate signs an artifact.
    let stamper = &WORLD.stamper;
    let signature = stamper.key.sign(stamper.key.algorithm(), ARTIFACT);
    let stamp = WORLD.stamp_token(&signature, now()).to_response();
    let bundle = Bundle::message(stamper.certificate.der(), sha256(ARTIFACT), signature)
        .with_time_stamp(stamp);
    let report = Question::new().of_bundle(&bundle);
    assert_eq!(failures(&report), [CheckName::CertificatePurpose]);
}

#[test]
fn a_signer_revoked_before_signing_fails_and_one_revoked_after_does_not() {
    let (signer, bundle) = signed(Form::Plain);
    let serial = signer.certificate.serial();
    let asked = |revoked: &[(_, _, _)], revocation| {
        let question = Question {
            crls: WORLD.crls(revoked),
            policy: Policy {
                revocation,
                ..Policy::default()
            },
            now: now(),
            ..Question::new()
        };
        question.of_bundle(&bundle)
    };
    let required = RevocationPolicy::Required;
    let report = asked(&[], required);
    assert_eq!(failures(&report), []);
    assert_eq!(outcome(&report, CheckName::Revocation), Outcome::Passed);
    let before = [(serial, later(-60), RevocationReason::KeyCompromise)];
    assert_eq!(failures(&asked(&before, required)), [CheckName::Revocation]);
    let after = [(serial, later(60), RevocationReason::KeyCompromise)];
    let report = asked(&after, required);
    assert_eq!(failures(&report), []);
    let check = report.check(CheckName::Revocation).unwrap();
    assert!(check.note.as_ref().unwrap().contains("was made before"));
    let held = [(serial, later(60), RevocationReason::CertificateHold)];
    assert_eq!(failures(&asked(&held, required)), [CheckName::Revocation]);
}

#[test]
fn lists_that_say_nothing_prove_nothing() {
    let (_, bundle) = signed(Form::Plain);
    let mut question = Question::new();
    let skipped = |question: &Question| {
        let report = question.of_bundle(&bundle);
        assert_eq!(failures(&report), []);
        outcome(&report, CheckName::Revocation)
    };
    assert_eq!(skipped(&question), Outcome::Skipped, "none");
    question.crls = World::new().crls(&[]);
    assert_eq!(skipped(&question), Outcome::Skipped, "strangers'");
    question.crls = WORLD.crls(&[]);
    assert_eq!(skipped(&question), Outcome::Skipped, "ended");
    question.policy.revocation = RevocationPolicy::Required;
    let report = question.of_bundle(&bundle);
    assert_eq!(failures(&report), [CheckName::Revocation]);
    question.crls = vec![b"no list".to_vec()];
    assert!(matches!(
        question.of(Evidence::Bundle(&bundle)),
        Err(InputError::Crl { place: 0, .. })
    ));
}

#[test]
fn a_revoked_time_stamping_authority_vouches_for_nothing_later() {
    let (_, bundle) = signed(Form::Plain);
    let serial = WORLD.stamper.certificate.serial();
    let asked = |at, reason| {
        let question = Question {
            crls: WORLD.crls(&[(serial, at, reason)]),
            now: now(),
            ..Question::new()
        };
        failures(&question.of_bundle(&bundle))
    };
    let failed = [CheckName::TimeStamp, CheckName::CertificateValidity];
    assert_eq!(asked(later(60), RevocationReason::Superseded), []);
    assert_eq!(asked(later(-60), RevocationReason::Superseded), failed);
    assert_eq!(asked(later(60), RevocationReason::KeyCompromise), failed);
}

#[test]
fn identities_and_issuers_are_those_asked_for() {
    let (_, plain) = signed(Form::Plain);
    let (_, complete) = signed(Form::Complete);
    let asked = |bundle, identities: &[&str], issuer: Option<&str>| {
        let question = Question::by(Policy {
            identities: identities.iter().map(|name| (*name).to_owned()).collect(),
            issuer: issuer.map(str::to_owned),
            ..Policy::default()
        });
        failures(&question.of_bundle(bundle))
    };
    let issuing = WORLD.issuing.certificate.subject().to_string();
    assert_eq!(asked(&plain, &["nobody", SIGNER], Some(&issuing)), []);
    assert_eq!(
        asked(&plain, &["https://signing.example.internal/*"], None),
        []
    );
    assert_eq!(
        asked(&plain, &["https://signing.example.internal/"], Some(FORGE)),
        [CheckName::Identity, CheckName::Issuer]
    );
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@*";
    assert_eq!(asked(&complete, &[workflow], Some(FORGE)), []);
    assert_eq!(
        asked(
            &complete,
            &["https://github.com/acme/other/*"],
            Some("https://forge.example")
        ),
        [CheckName::Identity, CheckName::Issuer]
    );
}

#[test]
fn statements_are_those_asked_for() {
    let builder = "https://github.com/actions/runner/*";
    let policy = Policy {
        predicate_types: vec![predicate_type::PROVENANCE_V1.into()],
        builder: Some(builder.into()),
        source: Some("https://github.com/acme/app".into()),
        ..Policy::default()
    };
    let provenance = attested(&provenance(ARTIFACT), Form::Plain);
    let sbom = statement(
        ARTIFACT,
        predicate_type::CYCLONEDX,
        r#"{"bomFormat":"CycloneDX"}"#,
    );
    let sbom = attested(&sbom, Form::Plain);
    let (_, message) = signed(Form::Plain);
    let question = Question::by(policy.clone());
    assert_eq!(failures(&question.of_bundle(&provenance)), []);
    let all = [
        CheckName::PredicateType,
        CheckName::Builder,
        CheckName::Source,
    ];
    assert_eq!(failures(&question.of_bundle(&sbom)), all);
    assert_eq!(failures(&question.of_bundle(&message)), all);
    let question = Question::by(Policy {
        builder: Some("https://elsewhere.example".into()),
        source: Some("https://github.com/acme/".into()),
        ..policy
    });
    assert_eq!(
        failures(&question.of_bundle(&provenance)),
        [CheckName::Builder, CheckName::Source]
    );
}

#[test]
fn an_envelope_of_something_else_fails() {
    let signer = WORLD.signer(TestKey::p256());
    let sign = |kind: &str, payload: &[u8]| {
        let signed = crate::dsse::pae(kind, payload);
        let signature = crate::dsse::Signature {
            keyid: None,
            sig: signer.key.sign(signer.key.algorithm(), &signed),
        };
        let stamp = WORLD.stamp_token(&signature.sig, now()).to_response();
        let envelope = crate::dsse::Envelope::signed(kind, payload.to_vec(), signature);
        Bundle::envelope(signer.certificate.der(), envelope)
            .unwrap()
            .with_time_stamp(stamp)
    };
    let provenance = provenance(ARTIFACT);
    let other = sign("text/plain", provenance.bytes());
    assert_eq!(
        failures(&Question::new().of_bundle(&other)),
        [CheckName::PayloadType, CheckName::Subject]
    );
    let broken = sign(crate::dsse::IN_TOTO, b"{}");
    assert_eq!(
        failures(&Question::new().of_bundle(&broken)),
        [CheckName::Subject]
    );
}

#[test]
fn what_is_wrong_in_the_log_fails_although_nobody_asked_for_a_log() {
    let (signer, bundle) = signed(Form::Complete);
    let (_, other) = signed(Form::Complete);
    let failed = |bundle: &Bundle| failures(&Question::new().of_bundle(bundle));
    let inclusion = [CheckName::LogInclusion];
    // The entry of another signature.
    let swapped = Bundle {
        log_entries: other.log_entries.clone(),
        ..bundle.clone()
    };
    assert_eq!(failed(&swapped), inclusion);
    let altered = with_entry(&bundle, |entry| {
        entry.inclusion_proof.as_mut().unwrap().log_index -= 1;
    });
    assert_eq!(failed(&altered), inclusion);
    let altered = with_entry(&bundle, |entry| {
        entry.inclusion_proof.as_mut().unwrap().root_hash[0] ^= 1;
    });
    assert_eq!(failed(&altered), inclusion);
    let altered = with_entry(&bundle, |entry| entry.canonicalized_body.push(b' '));
    assert_eq!(failed(&altered), inclusion);
    let altered = with_entry(&bundle, |entry| entry.inclusion_proof = None);
    assert_eq!(failed(&altered), inclusion);
    // A checkpoint of another tree, and one that the log did not sign.
    let checkpoint = [CheckName::LogCheckpoint];
    let later = &other.log_entries[0]
        .inclusion_proof
        .as_ref()
        .unwrap()
        .checkpoint;
    let altered = with_entry(&bundle, |entry| {
        entry.inclusion_proof.as_mut().unwrap().checkpoint = later.clone();
    });
    assert_eq!(failed(&altered), checkpoint);
    let altered = with_entry(&bundle, |entry| {
        let note = &mut entry.inclusion_proof.as_mut().unwrap().checkpoint;
        *note = note.replacen('\n', "\n1", 1);
    });
    assert_eq!(failed(&altered), checkpoint);
    // Another kind of entry is none, for who asks for one.
    let unknown = with_entry(&bundle, |entry| entry.version = "0.0.1".into());
    assert_eq!(failed(&unknown), []);
    let report = Question::by(Policy::complete()).of_bundle(&unknown);
    assert_eq!(
        failures(&report),
        [CheckName::LogInclusion, CheckName::LogCheckpoint]
    );
    drop(signer);
}

#[test]
fn signatures_alone_are_verified_with_their_certificate() {
    let (signer, bundle) = signed(Form::Plain);
    let chain = [signer.certificate.der().to_vec()];
    let raw = Evidence::Raw {
        signature: bundle.signature(),
        chain: &chain,
        hash: None,
        time_stamp: Some(&bundle.time_stamps[0]),
    };
    let report = Question::new().of(raw).unwrap();
    assert_eq!(failures(&report), []);
    let question = Question {
        artifact: vec![sha256(b"another")],
        ..Question::new()
    };
    let report = question.of(raw).unwrap();
    assert_eq!(failures(&report), [CheckName::Signature]);
    // The token without the response around it, and the issuing authority beside.
    let token = WORLD.stamp_token(bundle.signature(), now());
    let chain = [
        signer.certificate.der().to_vec(),
        WORLD.issuing.certificate.der().to_vec(),
    ];
    let mut question = Question::new();
    question.trust.certificate_authorities[0]
        .certificates
        .remove(0);
    let raw = Evidence::Raw {
        signature: bundle.signature(),
        chain: &chain,
        hash: Some(HashAlgorithm::Sha256),
        time_stamp: Some(token.der()),
    };
    assert_eq!(failures(&question.of(raw).unwrap()), []);
    let none = Evidence::Raw {
        signature: b"",
        chain: &[],
        hash: None,
        time_stamp: None,
    };
    assert_eq!(question.of(none), Err(InputError::NoCertificate));
}

#[test]
fn cms_signatures_are_verified_with_the_time_stamp_in_them_or_beside() {
    let signer = WORLD.signer(TestKey::p256());
    let (bare, stamped) = WORLD.cms(&signer, ARTIFACT);
    let cms = |cms_der, time_stamp| Evidence::Cms {
        cms_der,
        time_stamp,
    };
    let question = Question::new();
    let report = question.of(cms(&stamped, None)).unwrap();
    assert_eq!(failures(&report), [], "{report:#?}");
    let report = question.of(cms(&bare, None)).unwrap();
    assert_eq!(
        failures(&report),
        [CheckName::TimeStamp, CheckName::CertificateValidity]
    );
    let signature = pki::cms::SignedData::parse(&bare)
        .unwrap()
        .signature()
        .to_vec();
    let beside = WORLD.stamp_token(&signature, now()).to_response();
    let report = question.of(cms(&bare, Some(&beside))).unwrap();
    assert_eq!(failures(&report), []);
    let question = Question {
        artifact: vec![sha256(b"another")],
        ..Question::new()
    };
    let report = question.of(cms(&stamped, None)).unwrap();
    assert_eq!(failures(&report), [CheckName::ArtifactDigest]);
    assert!(matches!(
        question.of(cms(b"none", None)),
        Err(InputError::Cms(_))
    ));
}

#[test]
fn a_withdrawn_signature_fails() {
    let (_, bundle) = signed(Form::Plain);
    let question = Question::new();
    let asked = |standing| {
        let about = question.about(Evidence::Bundle(&bundle));
        verify(&Verification { standing, ..about }).unwrap()
    };
    assert_eq!(failures(&asked(Standing::Good)), []);
    let (at, reason) = (now(), "compromised build");
    let report = asked(Standing::Withdrawn { at, reason });
    assert_eq!(failures(&report), [CheckName::Withdrawn]);
}

#[test]
fn several_pieces_are_judged_each_and_together() {
    let provenance = attested(&provenance(ARTIFACT), Form::Plain);
    let sbom = attested(
        &statement(ARTIFACT, predicate_type::CYCLONEDX, "{}"),
        Form::Plain,
    );
    let (_, message) = signed(Form::Plain);
    let question = Question::by(Policy {
        predicate_types: vec![
            predicate_type::PROVENANCE_V1.into(),
            predicate_type::CYCLONEDX.into(),
        ],
        builder: Some("https://github.com/actions/runner/github-hosted".into()),
        ..Policy::default()
    });
    let asked = |bundles: &[&Bundle]| {
        let evidence: Vec<_> = bundles
            .iter()
            .map(|bundle| Evidence::Bundle(bundle))
            .collect();
        verify_all(&question.about(Evidence::Bundle(&message)), &evidence).unwrap()
    };
    let failed = |summary: &Summary| -> Vec<CheckName> {
        let failed = |check: &&Check| check.outcome == Outcome::Failed;
        summary
            .checks
            .iter()
            .filter(failed)
            .map(|check| check.name)
            .collect()
    };
    let whole = asked(&[&message, &provenance, &sbom]);
    assert!(whole.verified, "{whole:#?}");
    assert_eq!(whole.reports.len(), 3);
    let without = asked(&[&message, &sbom]);
    assert!(!without.verified);
    assert_eq!(
        failed(&without),
        [CheckName::PredicateType, CheckName::Builder]
    );
    // A statement that is not good counts as none.
    let unstamped = Bundle {
        time_stamps: Vec::new(),
        ..provenance
    };
    let broken = asked(&[&message, &unstamped, &sbom]);
    assert!(!broken.verified);
    assert_eq!(
        failed(&broken),
        [CheckName::PredicateType, CheckName::Builder]
    );
    let nothing = asked(&[]);
    assert!(!nothing.verified);
}

#[test]
fn a_report_is_written_as_scripts_read_it() {
    let (_, bundle) = signed(Form::Plain);
    let report = Question::new().of_bundle(&bundle);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verified"], true);
    assert_eq!(json["checks"][0]["name"], "signature");
    assert_eq!(json["checks"][0]["outcome"], "passed");
    assert_eq!(json["signer"]["names"][0], format!("uri:{SIGNER}"));
    assert_eq!(json["signedAt"], now().to_string());
    for check in &report.checks {
        assert_eq!(
            serde_json::to_value(check.name).unwrap(),
            check.name.as_str()
        );
    }
    let read: Report = serde_json::from_value(json).unwrap();
    assert_eq!(read, report);
}
