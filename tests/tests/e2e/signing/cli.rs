//! `chancery sign` and `chancery verify`, as people and scripts use them.

use std::fs;
use std::process::{Command, Output};

use chancery_tests::{Port, output_of, run};
use serde_json::Value;

use super::workshop::{Workshop, sha256};

/// A key and a certificate of 2020 that certifies itself.
const EXPIRED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/signing/expired.pem");

/// Returns everything that a command said.
fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command that must fail with status 1, and returns its complaint.
fn complaint(command: &mut Command) -> String {
    let output = output_of(command).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_file_is_signed_with_its_evidence_and_verified_offline() {
    let workshop = Workshop::open();
    let [artifact, sbom, provenance] = workshop.build("app.tar.gz");
    let output =
        output_of(&mut workshop.sign(&[&artifact, "--sbom", &sbom, "--provenance", &provenance]))
            .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let hex = sha256(&fs::read(&artifact).unwrap());
    assert!(shown.contains(&format!("sha256:{hex}")), "{shown}");
    for ending in [
        "sig",
        "pem",
        "bundle.json",
        "p7s",
        "tsr",
        "attestations.jsonl",
        "vsa.json",
    ] {
        let path = workshop.path(&format!("app.tar.gz.{ending}"));
        assert!(path.is_file(), "no {}: {shown}", path.display());
        assert!(shown.contains(&path.display().to_string()), "{shown}");
    }

    let verdict = workshop.verify(&[&artifact]);
    assert!(verdict.status.success(), "{}", said(&verdict));
    let told = said(&verdict);
    for check in ["signature passed", "time_stamp passed", "subject passed"] {
        assert!(told.contains(check), "{check}: {told}");
    }
    // Everything asked for that is there.
    let verdict = workshop.verify(&[
        &artifact,
        "--identity",
        "https://*",
        "--predicate-type",
        "https://slsa.dev/provenance/v1",
        "--predicate-type",
        "https://cyclonedx.org/bom",
        "--builder",
        "https://example.org/builder",
    ]);
    assert!(verdict.status.success(), "{}", said(&verdict));
}

#[test]
fn what_is_not_as_it_was_signed_fails_by_name() {
    let workshop = Workshop::open();
    let [artifact, sbom, provenance] = workshop.build("app.tar.gz");
    run(&mut workshop.sign(&[&artifact, "--sbom", &sbom, "--provenance", &provenance])).unwrap();
    for (asked, check) in [
        (&["--identity", "spiffe://elsewhere/*"][..], "identity"),
        (&["--issuer", "CN=somebody"], "issuer"),
        (
            &["--predicate-type", "https://example.org/other"],
            "predicate_type",
        ),
        (&["--builder", "https://example.org/other"], "builder"),
        (&["--source", "git+https://example.org/other"], "source"),
        (&["--require-crl"], "revocation"),
        (&["--timestamps", "2"], "time_stamp"),
    ] {
        let mut arguments = vec![artifact.as_str(), "--json"];
        arguments.extend(asked);
        let verdict = workshop.verify(&arguments);
        assert_eq!(
            verdict.status.code(),
            Some(1),
            "{asked:?}: {}",
            said(&verdict)
        );
        let report: Value = serde_json::from_slice(&verdict.stdout).unwrap();
        assert_eq!(report["verified"], false, "{report}");
        let failed = failed_checks(&report);
        assert!(
            failed.iter().any(|name| name == check),
            "{asked:?}: {failed:?}"
        );
    }
    let mut octets = fs::read(&artifact).unwrap();
    octets.push(b'x');
    fs::write(&artifact, octets).unwrap();
    let verdict = workshop.verify(&[&artifact, "--json"]);
    assert_eq!(verdict.status.code(), Some(1), "{}", said(&verdict));
    let failed = failed_checks(&serde_json::from_slice(&verdict.stdout).unwrap());
    assert!(
        failed.iter().any(|name| name == "artifact_digest"),
        "{failed:?}"
    );
    assert!(failed.iter().any(|name| name == "subject"), "{failed:?}");
}

/// Lists the checks that failed, of all reports.
fn failed_checks(report: &Value) -> Vec<String> {
    let of = |report: &Value| {
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        checks
            .into_iter()
            .filter(|check| check["outcome"] == "failed")
            .filter_map(|check| check["name"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let reports = report["reports"].as_array().cloned().unwrap_or_default();
    let mut failed = of(report);
    failed.extend(reports.iter().flat_map(of));
    failed
}

#[test]
fn many_files_are_signed_at_once_and_one_that_fails_fails_alone() {
    let workshop = Workshop::open();
    let names: Vec<String> = (0..9)
        .map(|number| workshop.write(&format!("file-{number}"), &[number; 64]))
        .collect();
    let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
    let signed = workshop.signed(&arguments);
    let signed = signed.as_array().unwrap();
    assert_eq!(signed.len(), names.len());
    for (one, name) in signed.iter().zip(&names) {
        assert_eq!(one["artifact"], name.as_str());
        let hex = sha256(&fs::read(name).unwrap());
        assert_eq!(one["artifactHash"], format!("sha256:{hex}"));
    }
    let missing = workshop.path("missing").display().to_string();
    let told = complaint(&mut workshop.sign(&[&names[0], &missing]));
    assert!(told.contains("missing"), "{told}");
    assert!(workshop.path("file-0.sig").is_file());
}

#[test]
fn an_artifact_elsewhere_is_signed_by_its_digest_and_a_file_that_is_sent_by_what_arrives() {
    let workshop = Workshop::open();
    let artifact = workshop.write("image.tar", b"layers");
    let digest = format!("sha256:{}", sha256(b"layers"));
    let out = workshop.path("out").display().to_string();
    let signed = workshop.signed(&[
        "--digest",
        &digest,
        "--name",
        "registry.example.org/image:1",
        "--out",
        &out,
    ]);
    assert_eq!(signed[0]["artifactHash"], digest.as_str());
    let bundle = format!("{out}/image:1.bundle.json");
    let verdict = workshop.verify(&[&artifact, "--bundle", &bundle]);
    assert!(verdict.status.success(), "{}", said(&verdict));

    let signed = workshop.signed(&[&artifact, "--upload", "--media-type", "application/x-tar"]);
    assert_eq!(signed[0]["artifactHash"], digest.as_str());
    let verdict = workshop.verify(&[&artifact]);
    assert!(verdict.status.success(), "{}", said(&verdict));
}

#[test]
fn a_request_of_the_same_name_is_signed_once() {
    let workshop = Workshop::open();
    let artifact = workshop.write("app", b"app");
    let first = workshop.signed(&[&artifact, "--idempotency-key", "run-7"]);
    let again = workshop.signed(&[&artifact, "--idempotency-key", "run-7"]);
    assert_eq!(first[0]["id"], again[0]["id"]);
    let other = workshop.signed(&[&artifact, "--idempotency-key", "run-8"]);
    assert_ne!(first[0]["id"], other[0]["id"]);
}

#[test]
fn asking_only_signs_nothing() {
    let workshop = Workshop::open();
    let artifact = workshop.write("app", b"app");
    let signed = workshop.signed(&[&artifact, "--dry-run"]);
    assert!(signed[0]["id"].is_null(), "{signed}");
    assert!(!workshop.path("app.sig").exists());
    let url = workshop.ca.signing_url("/v1/signatures");
    let listed = workshop.ca.curl().get(&url).unwrap().json();
    assert_eq!(
        listed["signatures"].as_array().map(Vec::len),
        Some(0),
        "{listed}"
    );
}

#[test]
fn an_identity_may_be_pkcs12_or_on_a_token() {
    let workshop = Workshop::open();
    let artifact = workshop.write("app", b"app");
    let password = workshop.write("password", b"correct horse\n");
    let store = workshop.path("identity.p12").display().to_string();
    let mut export = Command::new("openssl");
    export
        .args(["pkcs12", "-export", "-inkey"])
        .arg(&workshop.signer.key)
        .arg("-in")
        .arg(&workshop.signer.chain)
        .args(["-out", &store, "-passout", &format!("file:{password}")]);
    run(&mut export).unwrap();
    let sign = |identity: &[&str]| {
        let mut command = workshop.chancery(&["sign", &artifact]);
        command
            .args(["--server", &workshop.ca.signing_url("")])
            .arg("--trust")
            .arg(&workshop.signer.trust)
            .args(identity);
        command
    };
    run(&mut sign(&[
        "--identity",
        &store,
        "--identity-password",
        &password,
    ]))
    .unwrap();
    fs::remove_file(workshop.path("app.sig")).unwrap();
    let wrong = workshop.write("wrong", b"wrong\n");
    let told = complaint(&mut sign(&[
        "--identity",
        &store,
        "--identity-password",
        &wrong,
    ]));
    assert!(told.contains("PKCS#12"), "{told}");
    assert!(
        !told.contains("wrong\n"),
        "a password in a complaint: {told}"
    );

    // The token is the signer's, and has a configuration of its own.
    let token = softhsm_test::SoftHsm::token().unwrap();
    let uri = token.uri();
    let config = workshop.write(
        "token.toml",
        format!("[keystore]\ntype = \"pkcs11\"\nuri = {uri:?}\n").as_bytes(),
    );
    let mut import = workshop.chancery(&["key", "import", "ci", "--config", &config, "--file"]);
    run(import.arg(&workshop.signer.key)).unwrap();
    let chain = workshop.signer.chain.display().to_string();
    run(&mut sign(&[
        "--identity",
        &uri,
        "--identity-key",
        "ci",
        "--identity-chain",
        &chain,
    ]))
    .unwrap();
    let verdict = workshop.verify(&[&artifact]);
    assert!(verdict.status.success(), "{}", said(&verdict));
}

#[test]
fn the_most_likely_mistakes_say_what_to_do() {
    let workshop = Workshop::open();
    let artifact = workshop.write("app", b"app");
    let identity = workshop.identity();
    let trust = workshop.signer.trust.display().to_string();
    let server = workshop.ca.signing_url("");
    // Nobody listens.
    let port = Port::reserve().unwrap();
    let away = format!("https://127.0.0.1:{}", port.number());
    let told = complaint(&mut workshop.chancery(&[
        "sign",
        &artifact,
        "--server",
        &away,
        "--identity",
        &identity,
        "--trust",
        &trust,
    ]));
    assert!(
        told.contains("chancery serve") && told.contains(&away),
        "{told}"
    );
    // Whom to trust is another.
    let told = complaint(&mut workshop.chancery(&[
        "sign",
        &artifact,
        "--server",
        &server,
        "--identity",
        &identity,
        "--trust",
        EXPIRED,
    ]));
    assert!(told.contains("--trust"), "{told}");
    // Nothing is named at all, and there is no configuration.
    let told = complaint(&mut workshop.chancery(&["sign", &artifact]));
    assert!(told.contains("--server"), "{told}");
    // An SBOM that is none.
    let told = complaint(&mut workshop.sign(&[&artifact, "--sbom", &artifact]));
    assert!(told.contains("sbom-invalid"), "{told}");
    // Provenance of another artifact.
    let [_, _, provenance] = workshop.build("other");
    let told = complaint(&mut workshop.sign(&[&artifact, "--provenance", &provenance]));
    assert!(told.contains("subject-digest-mismatch"), "{told}");
    assert!(
        told.contains("expected") && told.contains("actual"),
        "{told}"
    );
    // Provenance of a job that this is not.
    let mut auto = workshop.sign(&[&artifact, "--provenance", "auto"]);
    let told = complaint(auto.env_remove("GITHUB_ACTIONS").env_remove("GITLAB_CI"));
    assert!(told.contains("GitHub Actions"), "{told}");
    // A profile that is not there, and a name of a check that nothing has.
    let told = complaint(&mut workshop.sign(&[&artifact, "--profile", "nobody"]));
    assert!(told.contains("nobody"), "{told}");
    let told = complaint(&mut workshop.chancery(&["verify", &artifact, "--ca", &trust]));
    assert!(told.contains("--bundle"), "{told}");
    assert!(!workshop.path("app.sig").exists());
}

#[test]
fn an_expired_identity_is_told_before_anything_is_sent() {
    let workshop = Workshop::open();
    let artifact = workshop.write("app", b"app");
    let told = complaint(&mut workshop.chancery(&[
        "sign",
        &artifact,
        "--server",
        &workshop.ca.signing_url(""),
        "--identity",
        EXPIRED,
        "--trust",
        &workshop.signer.trust.display().to_string(),
    ]));
    assert!(told.contains("expired"), "{told}");
    assert!(told.contains("chancery identity issue"), "{told}");
}
