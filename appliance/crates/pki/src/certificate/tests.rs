use proptest::prelude::*;
use x509_cert::der::{Decode, Encode};

use super::*;
use crate::profile::{PlanRequest, Profile, ProfileKind};
use crate::support::{Authority, TestKey, der, now, serial};

/// Issues a server certificate under a fresh root.
fn issued() -> (Authority, Certificate) {
    let authority = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let profile = Profile::built_in(ProfileKind::TlsServer).unwrap();
    let (key, subject) = (TestKey::p256().public_key(), DistinguishedName::default());
    let names = [
        "dns:a.example".parse().unwrap(),
        "ip:192.0.2.1".parse().unwrap(),
    ];
    let mut request = PlanRequest::new(&key, &subject, serial(5), now());
    request.names = &names;
    let certificate = authority.issue(&profile, &request);
    (authority, certificate)
}

#[test]
fn a_certificate_says_what_was_planned() {
    let (authority, certificate) = issued();
    let facts = certificate.facts();
    assert_eq!(facts.serial, serial(5));
    assert_eq!(facts.names, ["dns:a.example", "ip:192.0.2.1"]);
    assert_eq!(
        certificate.issuer_der(),
        authority.certificate.subject_der()
    );
    assert_eq!(
        certificate.extensions().authority_key_identifier,
        authority.certificate.extensions().subject_key_identifier
    );
    assert!(authority.certificate.is_self_issued() && !certificate.is_self_issued());
    assert_eq!(
        authority.certificate.extensions().basic_constraints,
        Some(BasicConstraints {
            ca: true,
            path_length: None
        })
    );
}

#[test]
fn signatures_are_the_issuers_or_nobodys() {
    let (authority, certificate) = issued();
    assert!(
        certificate
            .verify_signed_by(authority.certificate.public_key())
            .is_ok()
    );
    assert!(
        certificate
            .verify_signed_by(certificate.public_key())
            .is_err()
    );
    assert!(
        certificate
            .verify_signed_by(&TestKey::rsa3072().public_key())
            .is_err()
    );
}

#[test]
fn another_library_reads_the_same_and_writes_it_back() {
    let (_, certificate) = issued();
    let other = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    assert_eq!(other.to_der().unwrap(), certificate.der());
    assert_eq!(
        other.tbs_certificate().serial_number().as_bytes(),
        certificate.serial().as_der_content()
    );
    let validity = other.tbs_certificate().validity();
    assert_eq!(
        validity.not_after.to_unix_duration().as_secs() as i64,
        certificate.not_after().as_second()
    );
    assert_eq!(other.tbs_certificate().extensions().unwrap().len(), 7);
}

#[test]
fn two_algorithms_in_one_certificate_are_refused() {
    let (_, certificate) = issued();
    let algorithm = certificate.signature_algorithm().identifier_der();
    let other = SignatureAlgorithm::Ecdsa(crate::algorithm::HashAlgorithm::Sha384);
    let mut bad = certificate.der().to_vec();
    let start = bad
        .windows(algorithm.len())
        .rposition(|window| window == algorithm)
        .unwrap();
    bad[start..start + algorithm.len()].copy_from_slice(other.identifier_der());
    assert_eq!(
        Certificate::from_der(&bad).unwrap_err(),
        CertificateError::AlgorithmMismatch
    );
}

#[test]
fn times_are_whole_and_in_one_of_two_forms() {
    let time = |tag: u8, text: &str| {
        let encoded = der(tag, &[text.as_bytes()]);
        time::read(tlv::Reader::new(&encoded).next().unwrap())
            .map(|read| (read.time.to_string(), read.canonical))
            .ok()
    };
    let utc = |text| time(tlv::UTC_TIME, text);
    let generalized = |text| time(tlv::GENERALIZED_TIME, text);
    assert_eq!(
        utc("491231235959Z"),
        Some(("2049-12-31T23:59:59Z".to_owned(), true))
    );
    assert_eq!(
        utc("500101000000Z"),
        Some(("1950-01-01T00:00:00Z".to_owned(), true))
    );
    assert_eq!(
        generalized("20500101000000Z"),
        Some(("2050-01-01T00:00:00Z".to_owned(), true))
    );
    assert_eq!(
        generalized("20491231235959Z"),
        Some(("2049-12-31T23:59:59Z".to_owned(), false))
    );
    for bad in [
        "491231235959",
        "4912312359Z",
        "491231235959+0000",
        "491331000000Z",
        "490230000000Z",
        "49123123595\u{39}1Z",
        "",
    ] {
        assert_eq!(utc(bad), None, "{bad}");
    }
    for bad in [
        "20500101000000.5Z",
        "20500101000060Z",
        "-0500101000000Z",
        "205001010000Z",
    ] {
        assert_eq!(generalized(bad), None, "{bad}");
    }
}

#[test]
fn no_single_changed_bit_panics_or_verifies() {
    let (authority, certificate) = issued();
    let key = authority.certificate.public_key();
    for place in 0..certificate.der().len() {
        for bit in 0..8 {
            let mut bad = certificate.der().to_vec();
            bad[place] ^= 1 << bit;
            if let Ok(read) = Certificate::from_der(&bad) {
                assert!(
                    read.verify_signed_by(key).is_err(),
                    "octet {place} bit {bit}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::from_der(&bytes);
    }

    #[test]
    fn no_extension_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), kind in 0usize..12) {
        let kinds: [&[u8]; 12] = [
            &[0x55, 0x1d, 14], &[0x55, 0x1d, 15], &[0x55, 0x1d, 17], &[0x55, 0x1d, 19],
            &[0x55, 0x1d, 30], &[0x55, 0x1d, 31], &[0x55, 0x1d, 32], &[0x55, 0x1d, 35],
            &[0x55, 0x1d, 37], &[0x2b, 6, 1, 5, 5, 7, 1, 1], &[0x2b, 6, 1, 5, 5, 7, 1, 24],
            &[0x2b, 6, 1, 5, 5, 7, 48, 1, 5],
        ];
        for value in [bytes.clone(), der(0x30, &[&bytes])] {
            let list = der(0x30, &[&der(0x06, &[kinds[kind]]), &der(0x04, &[&value])]);
            let _ = Extensions::parse(tlv::Reader::new(&list));
        }
    }
}
