//! Every profile under every kind of issuer, before judges that are not ours.
//!
//! Needs `openssl`, `certtool` (Debian `gnutls-bin`) and pkilint, which
//! `tests/run` installs; what is missing fails the test by name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "judges/devices.rs"]
mod devices;
#[path = "judges/revocation.rs"]
mod revocation;
#[path = "judges/signatures.rs"]
mod signatures;
mod support;
#[path = "judges/timestamps.rs"]
mod timestamps;

use std::path::{Path, PathBuf};
use std::process::Command;

use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::name::DistinguishedName;
use pki::names::{AlternativeName, UriName};
use pki::pem;
use pki::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};
use support::{Authority, TestKey, forge_claims, now, serial};

/// Runs a judge and fails with what it said unless it is content.
fn judge(program: &str, arguments: &[&str]) {
    let (content, words) = ask(program, arguments);
    assert!(content, "{program} {arguments:?} objects:\n{words}");
}

/// Has pkilint look at a certificate, beside its issuer's if there is one.
///
/// One finding is passed over: pkilint takes only URIs of the schemes that its URL
/// library lists (http, ftp and the like), so every `spiffe://` identity is
/// "invalid" to it, though RFC 3986 and RFC 5280, 4.2.1.6 allow any scheme.
fn judge_by_pkilint(program: &str, files: &[&str]) {
    let mut arguments = vec!["lint", "-s", "WARNING"];
    arguments.extend(files);
    let (_, words) = ask(program, &arguments);
    let objections: Vec<&str> = words
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains(" @ "))
        .filter(|line| !line.contains("Invalid URI syntax: \"spiffe://"))
        .collect();
    assert!(
        objections.is_empty(),
        "{program} {files:?} objects:\n{words}"
    );
}

/// Runs a judge; tells whether it is content, and what it said.
fn ask(program: &str, arguments: &[&str]) -> (bool, String) {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("../venv/bin")
        .join(program);
    let program = if venv.exists() {
        venv
    } else {
        PathBuf::from(program)
    };
    let output = Command::new(&program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; tests/run installs it",
                program.display()
            )
        });
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

/// Issues one certificate of a leaf profile.
fn issue_leaf(authority: &Authority, kind: ProfileKind, key: &TestKey) -> Certificate {
    let profile = Profile::built_in(kind).unwrap();
    let subject: DistinguishedName = match kind {
        ProfileKind::TlsServer => "CN=www.example.org",
        ProfileKind::TlsClient | ProfileKind::CiClient | ProfileKind::CodeSigningForge => "",
        _ => "CN=Example Unit 1,O=Example,C=DE",
    }
    .parse()
    .unwrap();
    let names: Vec<AlternativeName> = match kind {
        ProfileKind::TlsServer => {
            // No wildcard: pkilint's PKIX rules know none (RFC 5280 leaves them open).
            vec![
                "dns:www.example.org",
                "dns:example.org",
                "ip:192.0.2.1",
                "ip:2001:db8::1",
            ]
        }
        ProfileKind::TlsClient => vec![
            "email:client@example.org",
            "uri:https://client.example.org/1",
        ],
        ProfileKind::Service => vec!["dns:acme.example.org"],
        _ => vec![],
    }
    .into_iter()
    .map(|name| name.parse().unwrap())
    .collect();
    let public_key = key.public_key();
    let mut request = PlanRequest::new(&public_key, &subject, serial(9), now());
    request.names = &names;
    request.asks_for_must_staple = kind == ProfileKind::TlsServer;
    request.identity = matches!(kind, ProfileKind::Service | ProfileKind::CiClient)
        .then(|| UriName::new("spiffe://chancery.internal/service/acme/acme-1").unwrap());
    let claims = forge_claims();
    request.forge = kind.carries_forge_claims().then_some(&claims);
    if profile.embeds_sct() {
        let timestamp_ms = u64::try_from(now().as_millisecond()).unwrap();
        return authority.issue_timestamped(&profile, &request, &TestKey::p256(), timestamp_ms);
    }
    authority.issue(&profile, &request)
}

/// Puts every certificate of one hierarchy before every judge.
fn judge_hierarchy(root_key: TestKey, root_algorithm: SignatureAlgorithm, issuing_key: TestKey) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, certificate: &Certificate| {
        std::fs::write(path(name), pem::write_certificate(certificate.der())).unwrap();
        path(name)
    };
    let root = Authority::root(root_key, root_algorithm);
    let constrained: ProfileConfig = toml::from_str(
        r#"
        name_constraints.permitted = ["dns:example.org", "ip:192.0.2.0/24", "ip:2001:db8::/32"]
        name_constraints.excluded = ["dns:example.net"]
        policies = [{ oid = "2.23.140.1.2.1", cps = "http://127.0.0.1:8080/cps" }]
        "#,
    )
    .unwrap();
    let issuing = root.subordinate(issuing_key, &constrained);
    let root_pem = write("root.pem", &root.certificate);
    let issuing_pem = write("issuing.pem", &issuing.certificate);
    judge_by_pkilint("lint_pkix_cert", &[&root_pem]);
    judge_by_pkilint("lint_pkix_cert", &[&issuing_pem]);
    judge(
        "openssl",
        &["verify", "-x509_strict", "-CAfile", &root_pem, &issuing_pem],
    );
    for (kind, purpose) in [
        (ProfileKind::TlsServer, "sslserver"),
        (ProfileKind::TlsClient, "sslclient"),
        (ProfileKind::Service, "sslclient"),
        (ProfileKind::CodeSigning, "any"),
        (ProfileKind::CiClient, "sslclient"),
        (ProfileKind::CodeSigningForge, "any"),
        (ProfileKind::OcspResponder, "ocsphelper"),
        (ProfileKind::TimeStamping, "timestampsign"),
    ] {
        let mut keys = vec![TestKey::p256(), TestKey::p384()];
        if !kind.signs_code() && kind != ProfileKind::TimeStamping {
            keys.push(TestKey::ed25519());
        }
        if kind == ProfileKind::TlsServer {
            keys.push(TestKey::rsa3072());
        }
        for (place, key) in keys.iter().enumerate() {
            let leaf = issue_leaf(&issuing, kind, key);
            let leaf_pem = write(&format!("{kind}-{place}.pem"), &leaf);
            judge_by_pkilint("lint_pkix_cert", &[&leaf_pem]);
            judge_by_pkilint(
                "lint_pkix_signer_signee_cert_chain",
                &[&issuing_pem, &leaf_pem],
            );
            judge(
                "openssl",
                &[
                    "verify",
                    "-x509_strict",
                    "-purpose",
                    purpose,
                    "-CAfile",
                    &root_pem,
                    "-untrusted",
                    &issuing_pem,
                    &leaf_pem,
                ],
            );
            let chain = [
                leaf.der(),
                issuing.certificate.der(),
                root.certificate.der(),
            ];
            let chain_pem = path(&format!("{kind}-{place}-chain.pem"));
            std::fs::write(&chain_pem, pem::write_chain(chain)).unwrap();
            judge("certtool", &["--verify-chain", "--infile", &chain_pem]);
        }
    }
}

#[test]
fn judges_are_content_under_p256() {
    let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
    judge_hierarchy(TestKey::p256(), algorithm, TestKey::p256());
}

#[test]
fn judges_are_content_under_p384() {
    let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha384);
    judge_hierarchy(TestKey::p384(), algorithm, TestKey::p384());
}

#[test]
fn judges_are_content_under_rsa() {
    let algorithm = SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256);
    judge_hierarchy(TestKey::rsa3072(), algorithm, TestKey::rsa3072());
}

#[test]
fn judges_are_content_under_ed25519() {
    judge_hierarchy(
        TestKey::ed25519(),
        SignatureAlgorithm::Ed25519,
        TestKey::ed25519(),
    );
}

#[test]
fn openssl_requests_are_taken_whatever_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for (place, key) in [
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        // openssl hashes by SHA-256 whatever the curve.
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["-newkey", "rsa:2048"],
        &[
            "-newkey",
            "rsa:3072",
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            "rsa_pss_saltlen:digest",
        ],
        &["-newkey", "ed25519"],
    ]
    .into_iter()
    .enumerate()
    {
        let (csr, private) = (path(&format!("{place}.csr")), path(&format!("{place}.key")));
        let mut arguments = vec!["req", "-new", "-nodes", "-keyout", &private, "-out", &csr];
        arguments.extend(["-subj", "/C=DE/O=Example/CN=www.example.org"]);
        arguments.extend(["-addext", "subjectAltName=DNS:www.example.org,IP:192.0.2.1"]);
        arguments.extend(key);
        judge("openssl", &arguments);
        let der = pem::read_request(&std::fs::read(&csr).unwrap()).unwrap();
        let checked = pki::csr::CheckedCsr::parse(
            &der,
            &pki::csr::CsrLimits::default(),
            &pki::key_check::KeyPolicy::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error}"));
        let names: Vec<String> = checked.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["dns:www.example.org", "ip:192.0.2.1"]);
        assert_eq!(
            checked.subject().to_string(),
            "CN=www.example.org,O=Example,C=DE"
        );
    }
}
