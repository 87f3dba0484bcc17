//! Bundles, trusted roots and envelopes before verifiers that are not ours.
//!
//! What is verified here is made in memory, by certificates as the CA issues them. The
//! service's own are verified by the same verifiers in the end-to-end tests.

#[path = "../../appliance/crates/attest/tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;

    use attest::bundle::{Bundle, Content};
    use attest::dsse::{Envelope, IN_TOTO, Signature, key_id, pae};
    use attest::statement::{Statement, predicate_type};
    use attest::trusted_root::TrustedRoot;
    use attest::verify::{Evidence, Policy, Standing, Verification, verify};
    use chancery_tests::verifiers::{Question, Verifier, judge_envelope};
    use chancery_tests::{Judgement, output_of};
    use model::RevocationReason;
    use pki::certificate::Certificate;

    use super::support::authorities::TestKey;
    use super::support::{
        FORGE, Form, REPOSITORY, SIGNER, World, claims, crl, later, now, provenance, sha256,
        statement,
    };

    /// Who takes part in every test.
    static WORLD: LazyLock<World> = LazyLock::new(World::new);

    /// What is signed.
    const ARTIFACT: &[u8] = b"an artifact of which something is said";

    /// What is not.
    const ANOTHER: &[u8] = b"another artifact";

    /// Files of one test.
    struct Stage {
        /// Where.
        folder: tempfile::TempDir,
    }

    impl Stage {
        /// Lays the artifact and the trusted root out.
        fn new(trusted_root: &TrustedRoot) -> Self {
            let stage = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            stage.write("artifact", ARTIFACT);
            stage.write("another", ANOTHER);
            stage.write("trusted_root.json", trusted_root.to_json().as_bytes());
            stage
        }

        /// Names a file.
        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Writes a file.
        fn write(&self, name: &str, octets: &[u8]) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, octets).unwrap();
            path
        }

        /// Asks a verifier about a bundle.
        fn ask(&self, verifier: Verifier, bundle: &Bundle, asked: &Asked<'_>) -> Judgement {
            let question = Question {
                trusted_root: &self.path("trusted_root.json"),
                bundle: &self.write("bundle.json", bundle.to_json().as_bytes()),
                artifact: &self.path(asked.artifact),
                complete: asked.complete,
                identity: asked.identity,
                issuer: asked.issuer,
                predicate_type: asked.predicate_type,
                repository: asked.repository,
            };
            verifier.judge(&question).unwrap()
        }

        /// Asks a verifier that is to accept.
        fn accepts(&self, verifier: Verifier, bundle: &Bundle, asked: &Asked<'_>) {
            let judgement = self.ask(verifier, bundle, asked);
            assert!(judgement.accepted, "{verifier:?} {judgement}");
        }

        /// Asks verifiers that are to refuse.
        fn refuse(&self, verifiers: &[Verifier], bundle: &Bundle, asked: &Asked<'_>) {
            for verifier in verifiers {
                let judgement = self.ask(*verifier, bundle, asked);
                assert!(!judgement.accepted, "{verifier:?} {judgement}");
            }
        }
    }

    /// What is asked about a bundle; files by their names.
    #[derive(Debug, Clone, Copy)]
    struct Asked<'a> {
        /// What it is to be about.
        artifact: &'a str,
        /// Whether logs are asked for.
        complete: bool,
        /// Who must have signed.
        identity: Option<&'a str>,
        /// Who must vouch for the signer.
        issuer: Option<&'a str>,
        /// What must be said.
        predicate_type: Option<&'a str>,
        /// Where it must have been built.
        repository: Option<&'a str>,
    }

    /// A signature by anybody, in a log.
    const SIGNATURE: Asked<'static> = Asked {
        artifact: "artifact",
        complete: true,
        identity: None,
        issuer: None,
        predicate_type: None,
        repository: None,
    };

    /// Provenance by a forge's build, in a log.
    const PROVENANCE: Asked<'static> = Asked {
        issuer: Some(FORGE),
        predicate_type: Some(predicate_type::PROVENANCE_V1),
        repository: Some(REPOSITORY),
        ..SIGNATURE
    };

    /// A trusted root without logs, as a service has that runs none.
    fn without_logs() -> TrustedRoot {
        TrustedRoot {
            logs: Vec::new(),
            ct_logs: Vec::new(),
            ..WORLD.trusted_root()
        }
    }

    /// A bundle of the artifact.
    fn message(form: Form) -> Bundle {
        WORLD.message_bundle(&WORLD.signer_for(form), ARTIFACT, form)
    }

    /// A bundle of the artifact's provenance, always by a forge's certificate: `gh` wants
    /// its extensions.
    fn attestation(form: Form, statement: &Statement) -> Bundle {
        let signer = WORLD.forge_signer(TestKey::p256(), form);
        WORLD.envelope_bundle(&signer, statement, form)
    }

    /// Verifiers of the complete form's message bundles: `gh` knows envelopes alone.
    const OF_MESSAGES: [Verifier; 4] = [
        Verifier::SigstoreJs3,
        Verifier::SigstoreJs4,
        Verifier::SigstorePython,
        Verifier::SigstoreRust,
    ];

    /// Verifiers of the complete form's envelopes: 3.1 of npm's knows no log entry of one.
    const OF_ENVELOPES: [Verifier; 4] = [
        Verifier::SigstoreJs4,
        Verifier::SigstorePython,
        Verifier::SigstoreRust,
        Verifier::Gh,
    ];

    /// Tells whether our own verification finds nothing against a bundle.
    fn ours(bundle: &Bundle, artifact: &[u8], policy: &Policy, crls: &[Vec<u8>]) -> bool {
        let (digests, trust) = ([sha256(artifact)], WORLD.trusted_root());
        let verification = Verification {
            artifact: &digests,
            evidence: Evidence::Bundle(bundle),
            trust: &trust,
            crls,
            policy,
            standing: Standing::Unknown,
            now: now(),
        };
        verify(&verification).unwrap().verified
    }

    #[test]
    fn the_complete_form_of_a_signature_is_accepted_without_any_leniency() {
        let (bundle, stage) = (message(Form::Complete), Stage::new(&WORLD.trusted_root()));
        let claims = claims();
        let asked = Asked {
            identity: Some(claims.build_signer_uri()),
            issuer: Some(FORGE),
            ..SIGNATURE
        };
        assert!(ours(&bundle, ARTIFACT, &Policy::complete(), &[]));
        for verifier in OF_MESSAGES {
            stage.accepts(verifier, &bundle, &asked);
        }
    }

    #[test]
    fn the_complete_form_of_an_attestation_is_accepted_without_any_leniency() {
        let bundle = attestation(Form::Complete, &provenance(ARTIFACT));
        let stage = Stage::new(&WORLD.trusted_root());
        assert!(ours(&bundle, ARTIFACT, &Policy::complete(), &[]));
        for verifier in OF_ENVELOPES {
            stage.accepts(verifier, &bundle, &PROVENANCE);
        }
    }

    #[test]
    fn the_plain_form_is_accepted_by_those_who_do_without_logs() {
        let stage = Stage::new(&without_logs());
        let signature = message(Form::Plain);
        let provenance = attestation(Form::Plain, &provenance(ARTIFACT));
        let of_signature = Asked {
            identity: Some(SIGNER),
            complete: false,
            ..SIGNATURE
        };
        let of_provenance = Asked {
            complete: false,
            ..PROVENANCE
        };
        let lenient = [
            Verifier::SigstoreJs3,
            Verifier::SigstoreJs4,
            Verifier::SigstoreRust,
        ];
        for verifier in lenient {
            stage.accepts(verifier, &signature, &of_signature);
            stage.accepts(verifier, &provenance, &of_provenance);
        }
        stage.accepts(Verifier::Gh, &provenance, &of_provenance);
        // Nobody takes it for the complete form.
        stage.refuse(&lenient, &signature, &SIGNATURE);
        let stage = Stage::new(&WORLD.trusted_root());
        stage.refuse(&OF_MESSAGES, &signature, &SIGNATURE);
        stage.refuse(&OF_ENVELOPES, &provenance, &PROVENANCE);
    }

    #[test]
    fn an_altered_artifact_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let signature = message(Form::Complete);
        let provenance = attestation(Form::Complete, &provenance(ARTIFACT));
        let (artifact, policy) = ("another", Policy::complete());
        let of_another = |asked: Asked<'static>| Asked { artifact, ..asked };
        stage.refuse(&OF_MESSAGES, &signature, &of_another(SIGNATURE));
        stage.refuse(&OF_ENVELOPES, &provenance, &of_another(PROVENANCE));
        assert!(!ours(&signature, ANOTHER, &policy, &[]));
        assert!(!ours(&provenance, ANOTHER, &policy, &[]));
    }

    #[test]
    fn a_statement_about_something_else_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let bundle = attestation(Form::Complete, &provenance(ANOTHER));
        stage.refuse(&OF_ENVELOPES, &bundle, &PROVENANCE);
        assert!(!ours(&bundle, ARTIFACT, &Policy::complete(), &[]));
    }

    #[test]
    fn a_statement_of_another_type_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let sbom = r#"{"bomFormat":"CycloneDX"}"#;
        let sbom = statement(ARTIFACT, predicate_type::CYCLONEDX, sbom);
        let bundle = attestation(Form::Complete, &sbom);
        stage.refuse(&OF_ENVELOPES, &bundle, &PROVENANCE);
        let asked = Asked {
            predicate_type: Some(predicate_type::CYCLONEDX),
            ..PROVENANCE
        };
        for verifier in OF_ENVELOPES {
            stage.accepts(verifier, &bundle, &asked);
        }
        let policy = Policy {
            predicate_types: vec![predicate_type::PROVENANCE_V1.into()],
            ..Policy::complete()
        };
        assert!(!ours(&bundle, ARTIFACT, &policy, &[]));
    }

    #[test]
    fn a_signature_from_after_the_certificates_end_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let signer = WORLD.forge_signer(TestKey::p256(), Form::Complete);
        let (form, late) = (Form::Complete, later(3600));
        let signature = WORLD.message_bundle_at(&signer, ARTIFACT, form, late);
        let provenance = WORLD.envelope_bundle_at(&signer, &provenance(ARTIFACT), form, late);
        stage.refuse(&OF_MESSAGES, &signature, &SIGNATURE);
        stage.refuse(&OF_ENVELOPES, &provenance, &PROVENANCE);
        assert!(!ours(&signature, ARTIFACT, &Policy::complete(), &[]));
        assert!(!ours(&provenance, ARTIFACT, &Policy::complete(), &[]));
    }

    #[test]
    fn the_time_stamp_of_another_signature_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let swapped = Bundle {
            time_stamps: message(Form::Complete).time_stamps,
            ..message(Form::Complete)
        };
        stage.refuse(&OF_MESSAGES, &swapped, &SIGNATURE);
        assert!(!ours(&swapped, ARTIFACT, &Policy::complete(), &[]));
    }

    #[test]
    fn another_signer_and_another_forge_are_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let signature = message(Form::Complete);
        let claims = claims();
        for (identity, issuer) in [
            ("https://github.com/acme/other", FORGE),
            (claims.build_signer_uri(), "https://elsewhere.example"),
        ] {
            let asked = Asked {
                identity: Some(identity),
                issuer: Some(issuer),
                ..SIGNATURE
            };
            stage.refuse(&OF_MESSAGES, &signature, &asked);
        }
        let provenance = attestation(Form::Complete, &provenance(ARTIFACT));
        let asked = Asked {
            repository: Some("acme/other"),
            ..PROVENANCE
        };
        stage.refuse(&[Verifier::Gh], &provenance, &asked);
    }

    #[test]
    fn a_bundle_of_another_authority_is_refused_by_everybody() {
        let stage = Stage::new(&World::new().trusted_root());
        stage.refuse(&OF_MESSAGES, &message(Form::Complete), &SIGNATURE);
        let provenance = attestation(Form::Complete, &provenance(ARTIFACT));
        stage.refuse(&OF_ENVELOPES, &provenance, &PROVENANCE);
    }

    #[test]
    fn an_altered_log_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let signature = message(Form::Complete);
        // The checkpoint's signature, its first octet changed.
        let mut unsigned = signature.clone();
        let proof = unsigned.log_entries[0].inclusion_proof.as_mut().unwrap();
        let at = proof.checkpoint.rfind(' ').unwrap() + 7;
        let other = if proof.checkpoint.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        proof.checkpoint.replace_range(at..=at, other);
        // The entry of another signature.
        let foreign = Bundle {
            log_entries: message(Form::Complete).log_entries,
            ..signature
        };
        for bundle in [unsigned, foreign] {
            stage.refuse(&OF_MESSAGES, &bundle, &SIGNATURE);
            assert!(!ours(&bundle, ARTIFACT, &Policy::complete(), &[]));
        }
    }

    #[test]
    fn a_revoked_signer_is_refused_by_those_who_look() {
        let signer = WORLD.signer(TestKey::p256());
        let bundle = WORLD.message_bundle(&signer, ARTIFACT, Form::Plain);
        let stage = Stage::new(&WORLD.trusted_root());
        let serial = signer.certificate.serial();
        let pem = |certificates: &[&Certificate]| {
            pki::pem::write_chain(certificates.iter().map(|certificate| certificate.der()))
        };
        let leaf = stage.write("leaf.pem", pem(&[&signer.certificate]).as_bytes());
        let (issuing, root) = (&WORLD.issuing.certificate, &WORLD.root.certificate);
        let authorities = stage.write("ca.pem", pem(&[issuing, root]).as_bytes());
        for (revoked, accepted) in [
            (vec![], true),
            (
                vec![(serial, later(-60), RevocationReason::KeyCompromise)],
                false,
            ),
        ] {
            let crls = WORLD.crls(&revoked);
            assert_eq!(ours(&bundle, ARTIFACT, &Policy::default(), &crls), accepted);
            let list = pki::pem::write_crl(&crl(&WORLD.issuing, &revoked));
            let list = stage.write("crl.pem", list.as_bytes());
            let mut command = std::process::Command::new("openssl");
            command.args(["verify", "-x509_strict", "-crl_check", "-purpose", "any"]);
            command.arg("-CAfile").arg(&authorities);
            let output = output_of(command.arg("-CRLfile").arg(list).arg(&leaf)).unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.success(), accepted, "{said}");
            assert_eq!(said.contains("certificate revoked"), !accepted, "{said}");
        }
    }

    #[test]
    fn a_bare_envelope_is_verified_by_securesystemslib_and_in_toto_attestation() {
        let stage = Stage::new(&WORLD.trusted_root());
        for key in [TestKey::p256(), TestKey::p384()] {
            let provenance = provenance(ARTIFACT);
            let signed = pae(IN_TOTO, provenance.bytes());
            let signature = Signature {
                keyid: key_id(&key.public_key()),
                sig: key.sign(key.algorithm(), &signed),
            };
            let envelope = Envelope::signed(IN_TOTO, provenance.bytes().to_vec(), signature);
            let file = stage.write("envelope.json", &envelope.to_json());
            let write_key = |name, key: &TestKey| {
                stage.write(name, pki::pem::write_public_key(&key.spki_der()).as_bytes())
            };
            let own = write_key("key.pem", &key);
            let other = write_key("other.pem", &TestKey::p256());
            let kind = predicate_type::PROVENANCE_V1;
            let judge = |key: &Path, artifact: &str, kind: &str| {
                judge_envelope(&file, key, &stage.path(artifact), kind).unwrap()
            };
            let judgement = judge(&own, "artifact", kind);
            assert!(judgement.accepted, "{judgement}");
            for refused in [
                judge(&other, "artifact", kind),
                judge(&own, "another", kind),
                judge(&own, "artifact", predicate_type::SPDX),
            ] {
                assert!(!refused.accepted, "{refused}");
            }
        }
    }

    #[test]
    fn an_altered_statement_is_refused_by_everybody() {
        let stage = Stage::new(&WORLD.trusted_root());
        let bundle = attestation(Form::Complete, &provenance(ARTIFACT));
        let Content::Envelope(envelope) = &bundle.content else {
            panic!("an envelope")
        };
        let text = String::from_utf8(envelope.payload().to_vec()).unwrap();
        let altered = text.replace("github-hosted", "self-hosted!!");
        assert_ne!(text, altered);
        let signature = envelope.only_signature().unwrap().clone();
        let envelope = Envelope::signed(IN_TOTO, altered.into_bytes(), signature);
        let altered = Bundle {
            content: Content::Envelope(envelope),
            ..bundle
        };
        stage.refuse(&OF_ENVELOPES, &altered, &PROVENANCE);
        assert!(!ours(&altered, ARTIFACT, &Policy::complete(), &[]));
    }
}
