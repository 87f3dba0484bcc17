//! Embedded timestamps and a forge's claims before judges that are not ours.

use pki::certificate::Certificate;
use pki::name::DistinguishedName;
use pki::pem;
use pki::profile::{PlanRequest, Profile, ProfileKind};
use pki::sct;

use crate::support::{Authority, TestKey, forge_claims, now, serial};
use crate::{ask, judge};

/// Writes a public key in PEM.
fn write_key(key: &TestKey, path: &str) {
    let body = base64_lines(&key.spki_der());
    let text = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    std::fs::write(path, text).unwrap();
}

/// Writes base64 in lines of 64.
fn base64_lines(octets: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(octets);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join("\n")
}

/// Issues a leaf for a forge's build, timestamped by a log.
fn leaf_for_build(issuing: &Authority, log: &TestKey, timestamp_ms: u64) -> Certificate {
    let profile = Profile::built_in(ProfileKind::CodeSigningForge).unwrap();
    let (key, subject) = (TestKey::p256().public_key(), DistinguishedName::default());
    let claims = forge_claims();
    let mut request = PlanRequest::new(&key, &subject, serial(9), now());
    request.forge = Some(&claims);
    issuing.issue_timestamped(&profile, &request, log, timestamp_ms)
}

#[test]
fn an_embedded_timestamp_is_verified_by_pyca_cryptography() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    for issuing_key in [TestKey::p256(), TestKey::rsa3072()] {
        let issuing = root.subordinate(issuing_key, &Default::default());
        let (log, other) = (TestKey::p256(), TestKey::p256());
        let timestamp_ms = u64::try_from(now().as_millisecond()).unwrap();
        let leaf = leaf_for_build(&issuing, &log, timestamp_ms);
        assert!(sct::verify(&leaf, &issuing.key.public_key(), &[log.public_key()]).is_ok());
        let (leaf_pem, issuer_pem) = (path("leaf.pem"), path("issuer.pem"));
        std::fs::write(&leaf_pem, pem::write_certificate(leaf.der())).unwrap();
        std::fs::write(
            &issuer_pem,
            pem::write_certificate(issuing.certificate.der()),
        )
        .unwrap();
        let (log_pem, other_pem) = (path("log.pem"), path("other.pem"));
        write_key(&log, &log_pem);
        write_key(&other, &other_pem);
        let root_pem = path("root.pem");
        std::fs::write(&root_pem, pem::write_certificate(root.certificate.der())).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/sct.py");
        let time = timestamp_ms.to_string();
        judge(
            "python3",
            &[script, &leaf_pem, &issuer_pem, &log_pem, &time],
        );
        // Not under another log, issuer or time.
        let late = (timestamp_ms + 1).to_string();
        for refused in [
            [script, &leaf_pem, &issuer_pem, &other_pem, &time],
            [script, &leaf_pem, &root_pem, &log_pem, &time],
            [script, &leaf_pem, &issuer_pem, &log_pem, &late],
        ] {
            let (content, words) = ask("python3", &refused);
            assert!(!content, "{refused:?}");
            assert!(
                words.contains("InvalidSignature") || words.contains("another log"),
                "{words}"
            );
        }
    }
}

#[test]
fn openssl_shows_claims_and_timestamps() {
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let issuing = root.subordinate(TestKey::p256(), &Default::default());
    let leaf = leaf_for_build(&issuing, &TestKey::p256(), 1_700_000_000_123);
    let file = directory.path().join("leaf.pem");
    std::fs::write(&file, pem::write_certificate(leaf.der())).unwrap();
    let file = file.to_str().unwrap();
    let (content, words) = ask("openssl", &["x509", "-in", file, "-noout", "-text"]);
    assert!(content, "{words}");
    for shown in [
        "X509v3 Subject Alternative Name: critical",
        "URI:https://forge.example/acme/app/.forge/workflows/release.yml@refs/tags/v1.2",
        "1.3.6.1.4.1.57264.1.12:",
        "https://forge.example/acme/app",
        "CT Precertificate SCTs",
        "Version   : v1 (0x0)",
        "Timestamp : Nov 14 22:13:20.123 2023 GMT",
        "Signature : ecdsa-with-SHA256",
    ] {
        assert!(words.contains(shown), "{shown:?} is missing in\n{words}");
    }
}
