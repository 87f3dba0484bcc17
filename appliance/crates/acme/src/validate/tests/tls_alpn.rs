//! tls-alpn-01.

use std::net::IpAddr;

use model::acme::{ChallengeKind, Identifier};
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::support::*;
use crate::name_server::NameServer;
use crate::problem::ErrorType;
use crate::validate::check_tls_alpn_certificate;
use crate::validate::tls_alpn::{ACME_TLS_1, server_name};
use crate::validate::{
    CertificateProblem, Failure, KeyAuthorization, Proof, TlsProblem, ValidateChallenge,
};

/// id-pe-acmeIdentifier.
const ACME_IDENTIFIER: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 31];

/// The acmeIdentifier extension with a digest's octets, as they should be.
fn identifier_extension(critical: bool, digest: &[u8]) -> CustomExtension {
    let value = [&[0x04, digest.len() as u8], digest].concat();
    let mut extension = CustomExtension::from_oid_content(&ACME_IDENTIFIER, value);
    extension.set_criticality(critical);
    extension
}

/// A certificate for a name as clients make it, and as `change` has it.
pub(super) fn certificate(
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> TestCertificate {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.custom_extensions = vec![identifier_extension(true, &key_authorization().digest())];
    change(&mut params);
    TestCertificate {
        der: params.self_signed(&key).unwrap().der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()),
    }
}

/// Makes one attempt at a server that shows a certificate.
async fn attempt(
    certificate: &TestCertificate,
    protocols: &[&[u8]],
    identifier: &str,
) -> (Result<Proof, Failure>, Vec<(String, Vec<Vec<u8>>)>) {
    let names = NameServer::start().await;
    names.address_records("www.test", &["127.0.0.1"]);
    let (config, resolver) = tls_server(certificate, protocols);
    let bind = if identifier == "::1" {
        "[::1]:0"
    } else {
        "127.0.0.1:0"
    };
    let server = WebServer::start(bind, Some(config), |_| Vec::new()).await;
    let validator = validator(&names, |config| config.tls_alpn_port = server.port());
    let result = validator
        .validate(&task(ChallengeKind::TlsAlpn01, identifier))
        .await;
    (result, resolver.asked())
}

#[tokio::test]
async fn the_certificate_proves_control_of_a_name() {
    let (proof, asked) = attempt(&certificate("WWW.test", |_| {}), &[ACME_TLS_1], "www.test").await;
    assert!(proof.unwrap().address.is_some());
    // RFC 8737, 3: the protocol alone, and the name being validated.
    assert_eq!(asked, [("www.test".to_owned(), vec![ACME_TLS_1.to_vec()])]);
}

#[tokio::test]
async fn addresses_are_asked_for_by_their_reverse_names() {
    // RFC 8738, 6.
    for (address, name) in [
        ("127.0.0.1", "1.0.0.127.in-addr.arpa"),
        (
            "::1",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        ),
    ] {
        let ip: IpAddr = address.parse().unwrap();
        let certificate = certificate("x.test", |params| {
            params.subject_alt_names = vec![SanType::IpAddress(ip)];
        });
        let (proof, asked) = attempt(&certificate, &[ACME_TLS_1], address).await;
        assert!(proof.is_ok(), "{proof:?}");
        assert_eq!(asked[0].0, name);
    }
    let example: IpAddr = "2001:db8::567:89ab".parse().unwrap();
    assert_eq!(
        server_name(&Identifier::Ip(example)),
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    );
}

#[tokio::test]
async fn servers_that_do_not_speak_the_protocol_are_refused() {
    let good = certificate("www.test", |_| {});
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[&b"h2"[..]]] {
        let (result, _) = attempt(&good, protocols, "www.test").await;
        let failure = result.unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Tls {
                    problem: TlsProblem::Protocol,
                    ..
                }
            ),
            "{failure}"
        );
        assert_eq!(failure.error_type(), ErrorType::Tls);
    }
}

#[tokio::test]
async fn a_server_without_the_certificates_key_is_refused() {
    let shown = certificate("www.test", |_| {});
    let stolen = TestCertificate {
        der: shown.der,
        key: certificate("www.test", |_| {}).key,
    };
    let (result, _) = attempt(&stolen, &[ACME_TLS_1], "www.test").await;
    let failure = result.unwrap_err();
    assert!(
        matches!(
            failure,
            Failure::Tls {
                problem: TlsProblem::Failed { .. },
                ..
            }
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn what_is_no_tls_is_a_tls_problem() {
    let names = NameServer::start().await;
    names.address_records("www.test", &["127.0.0.1"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
        stream
    };
    let validator = validator(&names, |config| config.tls_alpn_port = port);
    let task = task(ChallengeKind::TlsAlpn01, "www.test");
    let (result, _stream) = tokio::join!(validator.validate(&task), server);
    assert_eq!(result.unwrap_err().error_type(), ErrorType::Tls);
}

/// Checks a certificate for `www.test`.
fn check(certificate: &TestCertificate) -> Result<(), CertificateProblem> {
    check_der(&certificate.der)
}

/// Checks octets as a certificate for `www.test`.
fn check_der(der: &[u8]) -> Result<(), CertificateProblem> {
    let name = Identifier::dns("www.test").unwrap();
    check_tls_alpn_certificate(der, &name, &key_authorization())
}

/// A certificate as pebble-challtestsrv makes them for `www.test` and the key
/// authorization `abc.def`:
///
/// ```text
///   4:d=1  hl=3 l= 231 cons: SEQUENCE
///  16:d=2  hl=2 l=  10 cons: SEQUENCE          ecdsa-with-SHA256
///  28:d=2  hl=2 l=   0 cons: SEQUENCE          no issuer
///  32:d=3  hl=2 l=  15 prim: GENERALIZEDTIME   :00010101000000Z
///  49:d=3  hl=2 l=  15 prim: GENERALIZEDTIME   :00010101000000Z
///  66:d=2  hl=2 l=   0 cons: SEQUENCE          no subject
/// ```
const YEAR_ONE: &str = "308201403081e7a003020102020206c1300a06082a8648ce3d04030230003022180f303030313031\
    30313030303030305a180f30303031303130313030303030305a30003059301306072a8648ce3d02\
    0106082a8648ce3d030107034200044b60655f3bbc5bf7c1baf0c3c6b2ee081dd863a90c315a82df\
    92fe95ee596144abdef35ccc4a85ee50fceec770771408aa6b1c7aa5285e593394c64bb2526a34a3\
    4d304b30160603551d110101ff040c300a82087777772e74657374303106082b0601050507011f01\
    01ff04220420ebb3127bf5c7c4b4e42b51710f4946c1c1d05b331d2379dd15e3a5431ed93416300a\
    06082a8648ce3d0403020348003045022059108740f8535109b6241b6a310769e698c2ed6ec57b19\
    4c1cf96220b2a46b68022100cd5bf75619030cc57a4d6f7b0cc677bcd3fe2acbcc9834dddbb4920d\
    1c55b00a";

#[test]
fn serial_numbers_names_and_times_do_not_matter() {
    let name = Identifier::dns("www.test").unwrap();
    let der = hex::decode(YEAR_ONE).unwrap();
    let right = KeyAuthorization::new("abc", "def");
    assert_eq!(check_tls_alpn_certificate(&der, &name, &right), Ok(()));
    let wrong = KeyAuthorization::new("abc", "deg");
    assert!(check_tls_alpn_certificate(&der, &name, &wrong).is_err());
}

#[test]
fn the_only_name_must_be_the_identifier() {
    let named =
        |names: Vec<SanType>| certificate("x.test", |params| params.subject_alt_names = names);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    for names in [
        vec![],
        vec![dns("other.test")],
        vec![dns("*.test")],
        vec![dns("www.test"), dns("other.test")],
        vec![dns("www.test"), dns("www.test")],
        vec![dns("www.test"), SanType::IpAddress([127, 0, 0, 1].into())],
        vec![SanType::URI("https://www.test/".try_into().unwrap())],
    ] {
        assert!(
            matches!(
                check(&named(names.clone())),
                Err(CertificateProblem::Names { .. })
            ),
            "{names:?}"
        );
    }
    assert_eq!(check(&named(vec![dns("Www.Test")])), Ok(()));
}

#[test]
fn the_extension_must_be_there_once_critical_and_hold_the_digest() {
    let with = |extensions: Vec<CustomExtension>| {
        check(&certificate("www.test", |params| {
            params.custom_extensions = extensions;
        }))
    };
    let digest = key_authorization().digest();
    let good = || identifier_extension(true, &digest);
    assert_eq!(with(vec![good()]), Ok(()));
    assert_eq!(with(vec![]), Err(CertificateProblem::NoIdentifier));
    assert!(with(vec![good(), good()]).is_err());
    assert_eq!(
        with(vec![identifier_extension(false, &digest)]),
        Err(CertificateProblem::NotCritical)
    );
    for wrong in [&[0; 32][..], &digest[..31], &[&digest[..], &[0]].concat()] {
        assert!(matches!(
            with(vec![identifier_extension(true, wrong)]),
            Err(CertificateProblem::Digest { .. })
        ));
    }
    let mut bare = CustomExtension::from_oid_content(&ACME_IDENTIFIER, digest);
    bare.set_criticality(true);
    assert!(matches!(
        with(vec![bare]),
        Err(CertificateProblem::Digest { .. })
    ));
}

#[test]
fn the_certificate_must_be_signed_by_its_own_key() {
    let issuer_key = KeyPair::generate().unwrap();
    let mut issuer_params = CertificateParams::new(vec!["www.test".to_owned()]).unwrap();
    issuer_params.distinguished_name = DistinguishedName::new();
    let issuer = rcgen::Issuer::new(issuer_params, issuer_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["www.test".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![identifier_extension(true, &key_authorization().digest())];
    // The names of subject and issuer agree; the signature is another's.
    let certificate = params.signed_by(&key, &issuer).unwrap();
    assert_eq!(
        check_der(certificate.der()),
        Err(CertificateProblem::NotSelfSigned)
    );
}

#[test]
fn keys_of_every_usual_kind_are_taken() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec!["www.test".to_owned()]).unwrap();
        params.custom_extensions = vec![identifier_extension(true, &key_authorization().digest())];
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(check_der(certificate.der()), Ok(()));
    }
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        prop_assert!(check_der(&octets).is_err());
    }

    #[test]
    fn no_changed_octet_goes_unnoticed(at in 0usize..300, flip in 1u8..) {
        let good = certificate("www.test", |_| {});
        let mut der = good.der.to_vec();
        let at = at % der.len();
        der[at] ^= flip;
        prop_assert!(check_der(&der).is_err());
    }
}
