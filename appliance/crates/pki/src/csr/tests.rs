use proptest::prelude::*;

use super::*;
use crate::support::{
    BASIC_CONSTRAINTS, SAN, TLS_FEATURE, TestKey, der, dns_names, extension, extension_request,
    request, request_info, sign_request,
};

/// Parses with default limits and policy.
fn parse(csr_der: &[u8]) -> Result<CheckedCsr, CsrError> {
    CheckedCsr::parse(csr_der, &CsrLimits::default(), &KeyPolicy::default())
}

/// Signs a request with these attributes.
fn with_attributes(attributes: &[Vec<u8>]) -> Vec<u8> {
    let key = TestKey::p256();
    sign_request(&key, &request_info(&key, "CN=a.example", attributes))
}

/// Signs a request with these requested extensions.
fn with_extensions(extensions: &[Vec<u8>]) -> Vec<u8> {
    with_attributes(&[extension_request(extensions)])
}

#[test]
fn requests_of_every_key_are_taken() {
    for key in [
        TestKey::p256(),
        TestKey::p384(),
        TestKey::p521(),
        TestKey::ed25519(),
        TestKey::rsa3072(),
    ] {
        let csr = parse(&request(
            &key,
            "CN=a.example,O=Example",
            &["a.example", "*.b.example"],
        ))
        .unwrap();
        assert_eq!(csr.public_key(), &key.public_key());
        assert_eq!(csr.subject().to_string(), "CN=a.example,O=Example");
        let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["dns:a.example", "dns:*.b.example"]);
        assert!(!csr.asks_for_ca() && !csr.asks_for_must_staple());
    }
}

/// A request as openssl 3 makes it; in front, what `openssl asn1parse` says of it.
//
//     0:d=0  hl=3 l= 252 cons: SEQUENCE
//     3:d=1  hl=3 l= 163 cons:  SEQUENCE
//     6:d=2  hl=2 l=   1 prim:   INTEGER           :00
//     9:d=2  hl=2 l=  20 cons:   SEQUENCE
//    11:d=3  hl=2 l=  18 cons:    SET
//    13:d=4  hl=2 l=  16 cons:     SEQUENCE
//    15:d=5  hl=2 l=   3 prim:      OBJECT            :commonName
//    20:d=5  hl=2 l=   9 prim:      UTF8STRING        :a.example
//    31:d=2  hl=2 l=  89 cons:   SEQUENCE
//    33:d=3  hl=2 l=  19 cons:    SEQUENCE
//    35:d=4  hl=2 l=   7 prim:     OBJECT            :id-ecPublicKey
//    44:d=4  hl=2 l=   8 prim:     OBJECT            :prime256v1
//    54:d=3  hl=2 l=  66 prim:    BIT STRING
//   122:d=2  hl=2 l=  45 cons:   cont [ 0 ]
//   124:d=3  hl=2 l=  43 cons:    SEQUENCE
//   126:d=4  hl=2 l=   9 prim:     OBJECT            :Extension Request
//   137:d=4  hl=2 l=  30 cons:     SET
//   139:d=5  hl=2 l=  28 cons:      SEQUENCE
//   141:d=6  hl=2 l=  26 cons:       SEQUENCE
//   143:d=7  hl=2 l=   3 prim:        OBJECT            :X509v3 Subject Alternative Name
//   148:d=7  hl=2 l=  19 prim:        OCTET STRING      [HEX DUMP]:30118209612E6578616D706C658704C0000201
//   169:d=1  hl=2 l=  10 cons:  SEQUENCE
//   171:d=2  hl=2 l=   8 prim:   OBJECT            :ecdsa-with-SHA256
//   181:d=1  hl=2 l=  72 prim:  BIT STRING
const GOLDEN: &str = concat!(
    "3081fc3081a302010030143112301006035504030c09612e6578616d706c653059301306072a8648ce3d020106",
    "082a8648ce3d03010703420004939daed9fe3b3bab6798dbd431cad3466794219758f60810f4731619cd0f5163",
    "11c5c7eb95afd361b38fb319a68e02656f468fce681b96c4082eccb0488d0786a02d302b06092a864886f70d01",
    "090e311e301c301a0603551d11041330118209612e6578616d706c658704c0000201300a06082a8648ce3d0403",
    "020348003045022058426c66798f546db48aeba132da88da5115a1a0d8ac69e7f4a50f095c43477d022100aba6",
    "1ebf8121724ac19afa1dcd1cc763a77ad0223c7e3ffc8dd9faf49a8e4bdf",
);

#[test]
fn the_golden_request_says_what_asn1parse_says() {
    let csr = parse(&hex::decode(GOLDEN).unwrap()).unwrap();
    assert_eq!(csr.subject().to_string(), "CN=a.example");
    let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["dns:a.example", "ip:192.0.2.1"]);
    assert_eq!(
        csr.public_key().key_type(),
        crate::public_key::KeyType::P256
    );
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let (ours, theirs) = (TestKey::p256(), TestKey::p256());
    let info = request_info(&ours, "CN=a.example", &[]);
    assert_eq!(
        parse(&sign_request(&theirs, &info)).unwrap_err(),
        CsrError::Signature
    );
    // Another request's signature by the same key.
    let other = request_info(&ours, "CN=b.example", &[]);
    let algorithm = ours.algorithm();
    let signature = ours.sign(algorithm, &other);
    let spliced = der(
        0x30,
        &[
            &info,
            algorithm.identifier_der(),
            &der(0x03, &[&[0], &signature]),
        ],
    );
    assert_eq!(parse(&spliced).unwrap_err(), CsrError::Signature);
}

#[test]
fn any_changed_octet_is_noticed() {
    let good = request(&TestKey::ed25519(), "CN=a.example", &["a.example"]);
    for place in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= bit;
            assert!(parse(&bad).is_err(), "octet {place}, bit {bit:#x}");
        }
    }
}

#[test]
fn trailing_octets_and_ber_are_refused() {
    let good = request(&TestKey::p256(), "CN=a.example", &[]);
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(matches!(
        parse(&trailing),
        Err(CsrError::Encoding(Malformed {
            problem: tlv::Problem::TrailingOctets,
            ..
        }))
    ));
    let content = tlv::read_only(&good, tlv::SEQUENCE).unwrap().content;
    let indefinite = [&[0x30, 0x80][..], content, &[0, 0]].concat();
    assert!(matches!(
        parse(&indefinite),
        Err(CsrError::Encoding(Malformed {
            problem: tlv::Problem::IndefiniteLength,
            ..
        }))
    ));
    assert!(matches!(parse(b"hello"), Err(CsrError::Encoding(_))));
    assert!(matches!(parse(b""), Err(CsrError::Encoding(_))));
}

#[test]
fn limits_hold() {
    let key = TestKey::ed25519();
    let csr_der = request(
        &key,
        "CN=a.example",
        &["a.example", "b.example", "c.example"],
    );
    let limits = CsrLimits {
        max_len: csr_der.len() - 1,
        ..CsrLimits::default()
    };
    assert!(matches!(
        CheckedCsr::parse(&csr_der, &limits, &KeyPolicy::default()),
        Err(CsrError::TooLarge { .. })
    ));
    let limits = CsrLimits {
        max_names: 2,
        ..CsrLimits::default()
    };
    assert_eq!(
        CheckedCsr::parse(&csr_der, &limits, &KeyPolicy::default()).unwrap_err(),
        CsrError::TooManyNames { max: 2 }
    );
    let attributes: Vec<Vec<u8>> = (0..33u8)
        .map(|number| der(0x30, &[&[0x06, 0x02, 0x2a, number], &der(0x31, &[])]))
        .collect();
    assert_eq!(
        parse(&with_attributes(&attributes)).unwrap_err(),
        CsrError::TooManyItems
    );
}

#[test]
fn versions_attributes_and_extensions_come_once() {
    let key = TestKey::p256();
    let mut info = request_info(&key, "CN=a.example", &[]);
    let place = info
        .windows(3)
        .position(|window| window == [0x02, 0x01, 0x00])
        .unwrap();
    info[place + 2] = 1;
    assert_eq!(
        parse(&sign_request(&key, &info)).unwrap_err(),
        CsrError::Version
    );
    let twice = vec![extension_request(&[dns_names(&["a.example"])]); 2];
    assert!(matches!(
        parse(&with_attributes(&twice)),
        Err(CsrError::Repeated { .. })
    ));
    let twice = vec![dns_names(&["a.example"]); 2];
    assert!(matches!(
        parse(&with_extensions(&twice)),
        Err(CsrError::Repeated { .. })
    ));
    // Two values in one extensionRequest.
    let list = der(0x30, &[&dns_names(&["a.example"])]);
    let two_values = der(
        0x30,
        &[
            crate::support::EXTENSION_REQUEST,
            &der(0x31, &[&list, &list]),
        ],
    );
    assert!(matches!(
        parse(&with_attributes(&[two_values])),
        Err(CsrError::Encoding(_))
    ));
}

#[test]
fn names_are_proper_and_asked_for_once() {
    assert!(matches!(
        parse(&with_extensions(&[dns_names(&["a.example", "A.Example"])])),
        Err(CsrError::RepeatedName { .. })
    ));
    assert!(matches!(
        parse(&with_extensions(&[dns_names(&["a.example", "b_.example"])])),
        Err(CsrError::Name { place: 2, .. })
    ));
    // otherName, such as a Microsoft UPN.
    let other_name = der(
        0x30,
        &[&der(
            0xa0,
            &[&[0x06, 0x02, 0x2a, 0x03], &der(0xa0, &[&[0x05, 0x00]])],
        )],
    );
    assert!(matches!(
        parse(&with_extensions(&[extension(SAN, &other_name)])),
        Err(CsrError::Name {
            place: 1,
            problem: InvalidAlternativeName::UnsupportedType { tag: 0 }
        })
    ));
    let nul = der(0x30, &[&der(0x82, &[b"a.example\0.evil.example"])]);
    assert!(matches!(
        parse(&with_extensions(&[extension(SAN, &nul)])),
        Err(CsrError::Name {
            place: 1,
            problem: InvalidAlternativeName::Octet { octet: 0 }
        })
    ));
}

#[test]
fn what_is_asked_beyond_names_is_told() {
    let ca = extension(BASIC_CONSTRAINTS, &der(0x30, &[&[0x01, 0x01, 0xff]]));
    assert!(parse(&with_extensions(&[ca])).unwrap().asks_for_ca());
    let not_ca = extension(BASIC_CONSTRAINTS, &[0x30, 0x00]);
    assert!(!parse(&with_extensions(&[not_ca])).unwrap().asks_for_ca());
    let staple = extension(TLS_FEATURE, &[0x30, 0x03, 0x02, 0x01, 0x05]);
    assert!(
        parse(&with_extensions(&[staple]))
            .unwrap()
            .asks_for_must_staple()
    );
}

#[test]
fn challenge_passwords_and_unknown_wishes_are_passed_over() {
    let challenge = der(
        0x30,
        &[
            &[
                0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07,
            ],
            &der(0x31, &[&der(0x0c, &[b"secret-word"])]),
        ],
    );
    let unknown = extension(&[0x06, 0x02, 0x2a, 0x03], &[0x05, 0x00]);
    let csr = parse(&with_attributes(&[
        challenge,
        extension_request(&[unknown]),
    ]))
    .unwrap();
    assert!(!format!("{csr:?}").contains("secret-word"));
}

#[test]
fn algorithms_that_are_not_the_keys_or_outdated_are_refused() {
    let key = TestKey::p256();
    let info = request_info(&key, "CN=a.example", &[]);
    let sha1: &[u8] = &[
        0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01,
    ];
    let rsa: &[u8] =
        SignatureAlgorithm::RsaPkcs1(crate::algorithm::HashAlgorithm::Sha256).identifier_der();
    for identifier in [sha1, rsa] {
        let signature = key.sign(key.algorithm(), &info);
        let csr_der = der(0x30, &[&info, identifier, &der(0x03, &[&[0], &signature])]);
        assert_eq!(parse(&csr_der).unwrap_err(), CsrError::SignatureAlgorithm);
    }
}

#[test]
fn a_missing_attributes_field_is_tolerated() {
    let key = TestKey::p256();
    let whole = request_info(&key, "CN=a.example", &[]);
    let content = tlv::read_only(&whole, tlv::SEQUENCE).unwrap().content;
    let info = der(0x30, &[content.strip_suffix(&[0xa0, 0x00]).unwrap()]);
    assert!(parse(&sign_request(&key, &info)).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_mutation_of_a_request_panics_or_passes(
        place in any::<prop::sample::Index>(),
        octet in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let good = GOOD.get_or_init(|| request(&TestKey::ed25519(), "CN=a.example", &["a.example"]));
        let mut bad = good.clone();
        *place.get_mut(&mut bad) = octet;
        prop_assert!(&bad == good || parse(&bad).is_err());
        bad.truncate(cut.index(bad.len()));
        prop_assert!(parse(&bad).is_err());
    }
}

#[test]
fn a_device_is_read_by_its_permanent_identifier() {
    let identifier = der(
        0x30,
        &[&der(0x0c, &[b"C02X"]), &[0x06, 0x03, 0x2a, 0x03, 0x04]],
    );
    let other_name = der(
        0xa0,
        &[
            &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 3],
            &der(0xa0, &[&identifier]),
        ],
    );
    let csr = parse(&with_extensions(&[extension(
        SAN,
        &der(0x30, &[&other_name]),
    )]));
    let names: Vec<String> = csr
        .unwrap()
        .names()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["permanent-identifier:C02X/1.2.3.4"]);
    let twice = der(0x30, &[&other_name, &other_name]);
    assert!(matches!(
        parse(&with_extensions(&[extension(SAN, &twice)])),
        Err(CsrError::RepeatedName { .. })
    ));
    // A value as a PrintableString.
    let identifier = der(0x30, &[&der(0x13, &[b"C02X"])]);
    let other_name = der(
        0xa0,
        &[
            &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 3],
            &der(0xa0, &[&identifier]),
        ],
    );
    assert!(matches!(
        parse(&with_extensions(&[extension(
            SAN,
            &der(0x30, &[&other_name])
        )])),
        Err(CsrError::Name {
            place: 1,
            problem: InvalidAlternativeName::PermanentIdentifier
        })
    ));
}
