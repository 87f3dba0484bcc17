//! What the service hands out before verifiers that are not ours.

use std::fs;
use std::path::PathBuf;

use chancery_tests::run;
use chancery_tests::verifiers::{Question, Verifier};

use super::workshop::Workshop;

/// Predicates of the attestations that every build here has.
const PREDICATES: [&str; 2] = [
    "https://slsa.dev/provenance/v1",
    "https://cyclonedx.org/bom",
];

/// A signed build, laid out in files.
struct Signed {
    /// Where.
    workshop: Workshop,
    /// What was signed.
    artifact: PathBuf,
    /// What was not.
    another: PathBuf,
    /// Whom to believe.
    trusted_root: PathBuf,
    /// The artifact's bundle.
    bundle: PathBuf,
    /// Each attestation's, with what it says.
    attestations: Vec<(PathBuf, String)>,
}

impl Signed {
    /// Has a build signed by a service with more in its configuration.
    fn new(sections: &str) -> Self {
        let workshop = Workshop::over(super::with_signing().sections(sections));
        let [artifact, sbom, provenance] = workshop.build("app.tar.gz");
        run(&mut workshop.sign(&[&artifact, "--sbom", &sbom, "--provenance", &provenance]))
            .unwrap();
        let lines = fs::read_to_string(workshop.path("app.tar.gz.attestations.jsonl")).unwrap();
        let attestations = lines
            .lines()
            .enumerate()
            .map(|(place, line)| {
                let bundle = attest::bundle::Bundle::parse(line.as_bytes()).unwrap();
                let attest::bundle::Content::Envelope(envelope) = bundle.content else {
                    panic!("an attestation without an envelope: {line}")
                };
                let limits = attest::json::Limits::default();
                let statement = attest::statement::Statement::parse(envelope.payload(), &limits);
                let path = workshop.write(&format!("attestation-{place}.json"), line.as_bytes());
                let says = statement.unwrap().predicate_type().to_owned();
                (PathBuf::from(path), says)
            })
            .collect();
        Self {
            artifact: artifact.into(),
            another: workshop.write("another", b"another artifact").into(),
            trusted_root: workshop.trusted_root().into(),
            bundle: workshop.path("app.tar.gz.bundle.json"),
            attestations,
            workshop,
        }
    }

    /// Has a verifier accept every bundle, and refuse each of another artifact.
    fn judge(&self, verifier: Verifier, complete: bool, messages: bool, envelopes: bool) {
        let question = Question {
            trusted_root: &self.trusted_root,
            bundle: &self.bundle,
            artifact: &self.artifact,
            complete,
            identity: None,
            issuer: None,
            predicate_type: None,
            repository: None,
        };
        let mut questions = Vec::new();
        if messages {
            questions.push(question);
        }
        for (bundle, says) in self.attestations.iter().filter(|_| envelopes) {
            questions.push(Question {
                bundle,
                predicate_type: Some(says),
                ..question
            });
        }
        for question in questions {
            let judgement = verifier.judge(&question).unwrap();
            assert!(judgement.accepted, "{verifier:?} {question:?} {judgement}");
            let altered = Question {
                artifact: &self.another,
                ..question
            };
            let judgement = verifier.judge(&altered).unwrap();
            assert!(!judgement.accepted, "{verifier:?} {question:?} {judgement}");
        }
    }
}

#[test]
fn the_plain_form_is_accepted_by_verifiers_that_do_without_logs() {
    let signed = Signed::new("");
    for kind in PREDICATES {
        assert!(signed.attestations.iter().any(|(_, says)| says == kind));
    }
    for verifier in [
        Verifier::SigstoreJs3,
        Verifier::SigstoreJs4,
        Verifier::SigstoreRust,
    ] {
        signed.judge(verifier, false, true, true);
    }
}

#[test]
fn the_complete_form_is_accepted_without_leniency() {
    let signed = Signed::new("[signing.log]\nenabled = true\n\n[ca.ct]\nenabled = true\n");
    // npm's 3.1 knows no log entries of envelopes.
    signed.judge(Verifier::SigstoreJs3, true, true, false);
    for verifier in [
        Verifier::SigstoreJs4,
        Verifier::SigstorePython,
        Verifier::SigstoreRust,
    ] {
        signed.judge(verifier, true, true, true);
    }
    let checkpoint = signed.workshop.ca.signing_url("/v1/log/checkpoint");
    let reply = signed.workshop.ca.curl().get(&checkpoint).unwrap();
    assert_eq!(reply.status, 200, "{reply}");
    assert!(reply.text().contains("\n\n\u{2014} log."), "{reply}");
}
