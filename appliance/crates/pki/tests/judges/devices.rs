//! A device's certificate, asked for by openssl and read by every judge.

use pki::csr::{CheckedCsr, CsrLimits};
use pki::key_check::KeyPolicy;
use pki::pem;
use pki::profile::{PlanRequest, Profile, ProfileConfig};

use super::support::{Authority, TestKey, now, serial};
use super::{ask, judge, judge_by_pkilint};

/// A request with a PermanentIdentifier, as openssl is told it.
const REQUEST: &str = "\
[req]
distinguished_name = subject
req_extensions = extensions
prompt = no
[subject]
CN = C02X
[extensions]
subjectAltName = otherName:1.3.6.1.5.5.7.8.3;SEQUENCE:permanent
[permanent]
value = UTF8:C02X
assigner = OID:1.3.6.1.4.1.41482
";

#[test]
fn judges_read_the_permanent_identifier_that_openssl_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("request.cnf"), REQUEST).unwrap();
    judge(
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &path("device.key"),
            "-config",
            &path("request.cnf"),
            "-outform",
            "DER",
            "-out",
            &path("request.der"),
        ],
    );
    let csr_der = std::fs::read(path("request.der")).unwrap();
    let csr = CheckedCsr::parse(&csr_der, &CsrLimits::default(), &KeyPolicy::default()).unwrap();
    let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["permanent-identifier:C02X/1.3.6.1.4.1.41482"]);

    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let issuing = root.subordinate(TestKey::p256(), &ProfileConfig::default());
    let config: ProfileConfig =
        toml::from_str("kind = 'tls-client'\nnames.kinds = ['permanent-identifier']").unwrap();
    let profile = Profile::from_config("device".parse().unwrap(), &config).unwrap();
    let mut request = PlanRequest::new(csr.public_key(), csr.subject(), serial(9), now());
    request.names = csr.names();
    let certificate = issuing.issue(&profile, &request);
    for (name, der) in [
        ("root.pem", root.certificate.der()),
        ("issuing.pem", issuing.certificate.der()),
        ("device.pem", certificate.der()),
    ] {
        std::fs::write(path(name), pem::write_certificate(der)).unwrap();
    }
    judge(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            &path("root.pem"),
            "-untrusted",
            &path("issuing.pem"),
            &path("device.pem"),
        ],
    );
    judge_by_pkilint("lint_pkix_cert", &[&path("device.pem")]);
    let (_, parsed) = ask(
        "openssl",
        &["asn1parse", "-in", &path("device.pem"), "-dump"],
    );
    assert!(
        parsed.contains("X509v3 Subject Alternative Name"),
        "{parsed}"
    );
    // The extension's value alone, as openssl reads it.
    let (_, shown) = ask(
        "openssl",
        &[
            "x509",
            "-in",
            &path("device.pem"),
            "-noout",
            "-ext",
            "subjectAltName",
        ],
    );
    assert!(shown.contains("Permanent Identifier"), "{shown}");
    let kind = "2.5.29.17".parse().unwrap();
    std::fs::write(
        path("names.der"),
        certificate.extension_value(&kind).unwrap(),
    )
    .unwrap();
    let (_, parsed) = ask(
        "openssl",
        &["asn1parse", "-inform", "DER", "-in", &path("names.der")],
    );
    let values: Vec<&str> = parsed
        .lines()
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(_, value)| value)
        .filter(|value| value.contains("C02X") || value.contains("41482"))
        .collect();
    assert_eq!(values, ["C02X", "1.3.6.1.4.1.41482"], "{parsed}");
    assert!(parsed.contains("Permanent Identifier"), "{parsed}");
}
