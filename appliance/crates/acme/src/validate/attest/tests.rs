//! Each check of an attestation, passed and failed.

use ciborium::Value;
use model::Timestamp;
use pki::chain::ChainError;
use pki::path::PathError;
use proptest::prelude::*;

use super::testing::{Maker, Says, cbor, chain, map, sign, step};
use super::*;
use crate::testing::TestKey;
use crate::validate::DeviceAttestConfig;

/// The device of most tests, as orders name it, and as its certificate does.
const DEVICE: (&str, Says<'static>) = ("16909060", Says::Serial(0x0102_0304));

/// One maker, one device, one challenge.
struct Scene {
    /// Who vouches.
    maker: Maker,
    /// The device's key.
    key: TestKey,
    /// The challenge.
    key_authorization: KeyAuthorization,
    /// The order's device.
    identifier: Identifier,
    /// Now.
    at: Timestamp,
}

impl Scene {
    /// Sets the scene.
    fn new() -> Self {
        Self {
            maker: Maker::new(),
            key: TestKey::es256(),
            key_authorization: KeyAuthorization::new("token", "thumbprint"),
            identifier: Identifier::permanent(DEVICE.0).unwrap(),
            // Within what rcgen gives certificates by itself.
            at: "2026-06-01T00:00:00Z".parse().unwrap(),
        }
    }

    /// Returns what verifies by the maker's root.
    fn attestor(&self) -> Attestor {
        let root = Certificate::from_der(&self.maker.root_der()).unwrap();
        Attestor::new(vec![(AttestationFormat::Step, vec![root])])
    }

    /// Verifies an object.
    fn verify(&self, object: &[u8]) -> Result<AttestedKey, AttestationProblem> {
        self.attestor().verify(
            object,
            &AttestationQuestion {
                identifier: &self.identifier,
                key_authorization: &self.key_authorization,
                at: self.at,
            },
        )
    }

    /// Returns the signature that the challenge asks for.
    fn signature(&self) -> Vec<u8> {
        sign(&self.key, self.key_authorization.as_str().as_bytes())
    }

    /// Returns the object of a device that is in order, but for what its certificate says.
    fn object(&self, says: Says<'_>) -> Vec<u8> {
        let leaf = self.maker.certify(&self.key, says, |_| {});
        step(&[&leaf, &self.maker.issuing_der()], -7, &self.signature())
    }
}

#[test]
fn a_device_attests_its_key() {
    let scene = Scene::new();
    let AttestedKey(attested) = scene.verify(&scene.object(DEVICE.1)).unwrap();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    let leaf = Certificate::from_der(&leaf).unwrap();
    assert_eq!(attested, leaf.public_key().sha256());
}

#[test]
fn keys_of_each_kind_are_attested_by_their_own_algorithm() {
    for key in TestKey::all() {
        let algorithm = match key.algorithm() {
            "ES256" => -7,
            "EdDSA" => -8,
            "RS256" => -257,
            // rcgen signs with SHA-384 by such a key, which the format does not know.
            _ => continue,
        };
        let scene = Scene {
            key,
            ..Scene::new()
        };
        let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
        let certificates = [&leaf[..], &scene.maker.issuing_der()];
        let good = step(&certificates, algorithm, &scene.signature());
        assert!(scene.verify(&good).is_ok(), "{algorithm}");
        let other = step(&certificates, algorithm - 1, &scene.signature());
        assert_eq!(
            scene.verify(&other),
            Err(AttestationProblem::Algorithm {
                expected: algorithm
            })
        );
    }
}

#[test]
fn a_signature_may_stand_as_it_is_and_without_its_algorithm() {
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    let statement = map(vec![
        ("sig", Value::Bytes(scene.signature())),
        ("x5c", chain(&[&leaf, &scene.maker.issuing_der()])),
    ]);
    let object = cbor(&map(vec![
        ("fmt", Value::from("step")),
        ("attStmt", statement),
        ("authData", Value::Bytes(vec![0; 37])),
    ]));
    assert!(scene.verify(&object).is_ok());
}

#[test]
fn a_chain_may_bring_its_root_but_must_lead_to_one_that_is_configured() {
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    let (issuing, root) = (scene.maker.issuing_der(), scene.maker.root_der());
    let signature = scene.signature();
    let object = step(&[&leaf, &root, &issuing], -7, &signature);
    assert!(scene.verify(&object).is_ok());
    // Without its issuer nothing leads anywhere.
    let object = step(&[&leaf], -7, &signature);
    assert_eq!(
        scene.verify(&object),
        Err(AttestationProblem::Path(PathError::NoIssuer { place: 0 }))
    );
    // Another maker's device, whose root has the same name but not the same key.
    let other = Maker::new();
    let leaf = other.certify(&scene.key, DEVICE.1, |_| {});
    let object = step(&[&leaf, &other.issuing_der()], -7, &signature);
    assert_eq!(
        scene.verify(&object),
        Err(AttestationProblem::Path(PathError::Chain(
            ChainError::Signature { place: 1 }
        )))
    );
    // Such a leaf below the true authority: signed by another key.
    let object = step(&[&leaf, &issuing], -7, &signature);
    assert_eq!(
        scene.verify(&object),
        Err(AttestationProblem::Path(PathError::Chain(
            ChainError::Signature { place: 0 }
        )))
    );
}

#[test]
fn certificates_count_only_while_they_are_valid() {
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let object = step(&[&leaf, &scene.maker.issuing_der()], -7, &scene.signature());
    assert!(matches!(
        scene.verify(&object),
        Err(AttestationProblem::Path(PathError::NotValid {
            place: 0,
            ..
        }))
    ));
    let then = Scene {
        at: "2020-06-01T00:00:00Z".parse().unwrap(),
        ..scene
    };
    assert!(then.verify(&object).is_ok());
}

#[test]
fn an_authority_attests_no_key_of_its_own() {
    let scene = Scene::new();
    let signature = scene
        .maker
        .sign(scene.key_authorization.as_str().as_bytes());
    let object = step(&[&scene.maker.issuing_der()], -7, &signature);
    assert_eq!(scene.verify(&object), Err(AttestationProblem::Authority));
}

#[test]
fn critical_extensions_that_are_not_known_stop_it() {
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |params| {
        for extension in &mut params.custom_extensions {
            extension.set_criticality(true);
        }
    });
    let object = step(&[&leaf, &scene.maker.issuing_der()], -7, &scene.signature());
    assert_eq!(
        scene.verify(&object),
        Err(AttestationProblem::Path(PathError::CriticalExtension {
            place: 0
        }))
    );
}

#[test]
fn a_signature_is_over_this_challenge_for_this_account_by_the_attested_key() {
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    let issuing = scene.maker.issuing_der();
    let message = scene.key_authorization.as_str().as_bytes();
    for signature in [
        sign(&scene.key, b"other.thumbprint"),
        sign(&scene.key, b"token.other"),
        sign(&scene.key, b"token"),
        sign(&TestKey::es256(), message),
        Vec::new(),
    ] {
        let object = step(&[&leaf, &issuing], -7, &signature);
        assert_eq!(scene.verify(&object), Err(AttestationProblem::Signature));
    }
}

#[test]
fn the_device_is_the_orders() {
    let scene = Scene::new();
    let wanted = DEVICE.0.to_owned();
    for (says, attested) in [
        (Says::Serial(0x0102_0305), vec!["16909061".to_owned()]),
        (Says::Identifier("other"), vec!["other".to_owned()]),
        (
            Says::Identifier("16909060/1.2.3"),
            vec!["16909060/1.2.3".to_owned()],
        ),
        (Says::Nothing, Vec::new()),
    ] {
        assert_eq!(
            scene.verify(&scene.object(says)),
            Err(AttestationProblem::Identifier {
                wanted: wanted.clone(),
                attested
            }),
            "{says:?}"
        );
    }
    for octets in [&[0x02, 0x01, 0xff][..], &[0x0c, 0x01, b'1'], &[]] {
        let object = scene.object(Says::Octets(octets));
        assert_eq!(scene.verify(&object), Err(AttestationProblem::Serial));
    }
    // An attestation authority may name the device as certificates do.
    let named = Scene {
        identifier: Identifier::permanent("C02X/1.2.3").unwrap(),
        ..scene
    };
    assert!(
        named
            .verify(&named.object(Says::Identifier("C02X/1.2.3")))
            .is_ok()
    );
    // Nothing else than a device is proved, whatever its name.
    let dns = Scene {
        identifier: Identifier::dns("device.example").unwrap(),
        ..named
    };
    assert!(matches!(
        dns.verify(&dns.object(Says::Identifier("device.example"))),
        Err(AttestationProblem::Identifier { .. })
    ));
}

#[test]
fn formats_that_are_not_configured_are_refused() {
    let scene = Scene::new();
    for format in ["apple", "tpm", "none", "STEP", ""] {
        let object = cbor(&map(vec![
            ("fmt", Value::from(format)),
            ("attStmt", map(Vec::new())),
        ]));
        assert_eq!(
            scene.verify(&object),
            Err(AttestationProblem::Format {
                given: format.to_owned(),
                taken: vec![AttestationFormat::Step]
            })
        );
    }
    let nobody = Attestor::new(vec![(AttestationFormat::Step, Vec::new())]);
    let question = AttestationQuestion {
        identifier: &scene.identifier,
        key_authorization: &scene.key_authorization,
        at: scene.at,
    };
    assert!(matches!(
        nobody.verify(&scene.object(DEVICE.1), &question),
        Err(AttestationProblem::Path(PathError::NoIssuer { .. }))
    ));
}

#[test]
fn objects_that_are_none_are_told_why() {
    use ObjectProblem as Problem;
    let text = || Value::from("step");
    let statement = |members| cbor(&map(vec![("fmt", text()), ("attStmt", map(members))]));
    let mut deep = Value::Null;
    for _ in 0..40 {
        deep = Value::Array(vec![deep]);
    }
    let trailing = [statement(Vec::new()), vec![0]].concat();
    for (bytes, problem) in [
        (Vec::new(), Problem::Cbor),
        (b"{}".to_vec(), Problem::Cbor),
        (vec![0xff], Problem::Cbor),
        // Lengths that promise more than there is.
        (
            vec![0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Problem::Cbor,
        ),
        (
            vec![0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Problem::Cbor,
        ),
        (
            vec![0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Problem::Cbor,
        ),
        (vec![0; 49 * 1024], Problem::TooLong { len: 49 * 1024 }),
        (trailing, Problem::Trailing { len: 1 }),
        (cbor(&deep), Problem::Cbor),
        (cbor(&Value::Null), Problem::NotAMap { what: "the object" }),
        (cbor(&map(Vec::new())), Problem::Missing { key: "fmt" }),
        (
            cbor(&map(vec![("fmt", text())])),
            Problem::Missing { key: "attStmt" },
        ),
        (
            cbor(&map(vec![("fmt", text()), ("fmt", text())])),
            Problem::Repeated { key: "fmt" },
        ),
        (
            cbor(&map(vec![
                ("fmt", Value::from(1)),
                ("attStmt", map(Vec::new())),
            ])),
            Problem::Type {
                key: "fmt",
                wanted: "text",
            },
        ),
        (
            cbor(&map(vec![("fmt", text()), ("attStmt", text())])),
            Problem::NotAMap { what: "attStmt" },
        ),
        (
            statement(vec![("sig", text())]),
            Problem::Type {
                key: "sig",
                wanted: "a byte string",
            },
        ),
        (
            statement(vec![("alg", text())]),
            Problem::Type {
                key: "alg",
                wanted: "a number of COSE",
            },
        ),
        (
            statement(vec![("x5c", chain(&[])), ("x5c", chain(&[]))]),
            Problem::Repeated { key: "x5c" },
        ),
        (
            statement(vec![("x5c", Value::Array(vec![text()]))]),
            Problem::Type {
                key: "x5c",
                wanted: "an array of byte strings",
            },
        ),
        (
            statement(vec![("x5c", chain(&[&[0][..]; 9]))]),
            Problem::LongChain { count: 9 },
        ),
        (statement(Vec::new()), Problem::NoChain),
        (statement(vec![("x5c", chain(&[]))]), Problem::NoChain),
    ] {
        let scene = Scene::new();
        let verdict = scene.verify(&bytes);
        assert_eq!(verdict, Err(AttestationProblem::Object(problem)));
    }
    let scene = Scene::new();
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    let unsigned = statement(vec![("x5c", chain(&[&leaf, &scene.maker.issuing_der()]))]);
    assert_eq!(
        scene.verify(&unsigned),
        Err(AttestationProblem::Object(Problem::NoSignature))
    );
    let unreadable = statement(vec![("x5c", chain(&[&leaf, &[0x30, 0]]))]);
    assert!(matches!(
        scene.verify(&unreadable),
        Err(AttestationProblem::Certificate { place: 1, .. })
    ));
}

#[test]
fn a_configuration_names_a_file_of_roots_for_each_format() {
    let check = |text: &str| toml::from_str::<DeviceAttestConfig>(text).unwrap().check();
    assert_eq!(check(""), Ok(None));
    assert_eq!(
        check("formats = ['step']\nroots.step = 'a.pem'"),
        Ok(None),
        "off by default"
    );
    assert!(
        check("enabled = true\nformats = ['step']\nroots.step = 'a.pem'")
            .unwrap()
            .is_some()
    );
    let format = AttestationFormat::Step;
    for (text, error) in [
        ("enabled = true", InvalidDeviceAttestConfig::NoFormat),
        (
            "enabled = true\nformats = ['step']",
            InvalidDeviceAttestConfig::NoRoots { format },
        ),
        (
            "roots.step = 'a.pem'",
            InvalidDeviceAttestConfig::UnusedRoots { format },
        ),
        (
            "formats = ['apple']",
            InvalidDeviceAttestConfig::Format {
                key: "formats",
                given: "apple".to_owned(),
            },
        ),
        (
            "roots.tpm = 'a.pem'",
            InvalidDeviceAttestConfig::Format {
                key: "roots",
                given: "tpm".to_owned(),
            },
        ),
    ] {
        assert_eq!(check(text), Err(error), "{text}");
    }
}

#[test]
fn a_file_of_roots_holds_authorities_and_nothing_else() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("roots.pem");
    let text = format!(
        "enabled = true\nformats = ['step']\nroots.step = '{}'",
        path.display()
    );
    let config = toml::from_str::<DeviceAttestConfig>(&text).unwrap();
    let read = || config.check().unwrap().unwrap().attestor();
    let told = || read().unwrap_err().1.to_string();
    assert!(told().contains("cannot be read"));
    let leaf = scene.maker.certify(&scene.key, DEVICE.1, |_| {});
    for (content, part) in [
        (String::new(), "no certificates"),
        (
            pki::pem::write_chain([&leaf[..]]),
            "YubiKey PIV Attestation 9a in it is no CA",
        ),
        (
            pki::pem::write_chain([&[0x30, 0][..]]),
            "a certificate in it cannot be read",
        ),
        (scene.maker.root_pem().repeat(65), "65 certificates"),
        (" ".repeat((1 << 20) + 1), "longer than"),
    ] {
        std::fs::write(&path, content).unwrap();
        assert!(told().contains(part), "{part}: {}", told());
    }
    std::fs::write(&path, scene.maker.root_pem()).unwrap();
    let question = AttestationQuestion {
        identifier: &scene.identifier,
        key_authorization: &scene.key_authorization,
        at: scene.at,
    };
    let verdict = read().unwrap().verify(&scene.object(DEVICE.1), &question);
    assert!(verdict.is_ok(), "{verdict:?}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = AttestationObject::parse(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_octet_has_another_key_attested(at: prop::sample::Index, bit in 0..8_u8) {
        let scene = Scene::new();
        let object = scene.object(DEVICE.1);
        let attested = scene.verify(&object).unwrap();
        let mut changed = object;
        let place = at.index(changed.len());
        changed[place] ^= 1 << bit;
        // What passes all the same differs where nothing is looked at.
        if let Ok(key) = scene.verify(&changed) {
            prop_assert_eq!(key, attested);
        }
    }
}
