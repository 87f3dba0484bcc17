//! What every store does alike.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hsm_keystore::{
    Error, KeyAlgorithm, KeyId, KeyStore, Priority, PrivateKey, SignJob, SignatureScheme,
};

use crate::{backend, openssl};

/// Names a key.
fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

/// Lets a key sign by every scheme of its algorithm, OpenSSL judging.
fn signs(key: &Arc<dyn PrivateKey>) {
    let message = b"what is signed";
    for scheme in key.algorithm().schemes() {
        let signature = key.sign(SignJob::message(*scheme, message)).wait();
        let signature = signature.unwrap_or_else(|error| panic!("{scheme}: {error}"));
        openssl::verify(key.public_key_der(), *scheme, message, &signature);
    }
    let foreign = match key.algorithm() {
        KeyAlgorithm::EcP256 => SignatureScheme::EcdsaP384Sha384,
        _ => SignatureScheme::EcdsaP256Sha256,
    };
    assert!(matches!(
        key.sign(SignJob::message(foreign, message)).wait(),
        Err(Error::SchemeMismatch { .. })
    ));
}

/// Generates a key of every algorithm, and finds it again.
fn generates(store: &dyn KeyStore, lacks: Option<KeyAlgorithm>) {
    for algorithm in KeyAlgorithm::ALL {
        let id = id(&format!("made-{algorithm}"));
        if lacks == Some(algorithm) {
            assert!(matches!(
                store.generate_private_key(&id, algorithm),
                Err(Error::UnsupportedKey { .. })
            ));
            continue;
        }
        let key = store.generate_private_key(&id, algorithm).unwrap();
        assert_eq!((key.id(), key.algorithm()), (&id, algorithm));
        signs(&key);
        let again = store.get_private_key(&id).unwrap();
        assert_eq!(again.public_key_der(), key.public_key_der());
        assert!(matches!(
            store.generate_private_key(&id, algorithm),
            Err(Error::KeyExists { .. })
        ));
        if key.provenance().on_token {
            assert!(key.provenance().generated_locally);
            assert!(key.provenance().never_extractable);
        }
    }
}

/// Imports keys that OpenSSL made, and refuses what is none.
fn imports(store: &dyn KeyStore, lacks: Option<KeyAlgorithm>) {
    for (algorithm, options) in [
        (
            KeyAlgorithm::EcP256,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        ),
        (
            KeyAlgorithm::EcP384,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        ),
        (
            KeyAlgorithm::Rsa2048,
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        ),
        (
            KeyAlgorithm::Rsa3072,
            "-algorithm RSA -pkeyopt rsa_keygen_bits:3072",
        ),
        (KeyAlgorithm::Ed25519, "-algorithm ED25519"),
    ] {
        if lacks == Some(algorithm) {
            continue;
        }
        let id = id(&format!("brought-{algorithm}"));
        let pkcs8_der = openssl::key(options);
        let key = store.import_private_key(&id, pkcs8_der.clone()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert!(!key.provenance().generated_locally);
        signs(&key);
        assert!(matches!(
            store.import_private_key(&id, pkcs8_der),
            Err(Error::KeyExists { .. })
        ));
    }
    for options in [
        "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
        "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
        "-algorithm X25519",
    ] {
        let refused = store.import_private_key(&id("odd"), openssl::key(options));
        assert!(
            matches!(refused, Err(Error::UnsupportedKey { .. })),
            "{options}: {refused:?}"
        );
    }
    let noise = zeroize::Zeroizing::new(vec![0x30, 3, 2, 1, 0]);
    assert!(matches!(
        store.import_private_key(&id("odd"), noise),
        Err(Error::MalformedKey { .. })
    ));
    assert!(matches!(
        store.get_private_key(&id("odd")),
        Err(Error::NoKey { .. })
    ));
}

/// Keeps certificates beside their keys, replaces them, and refuses another key's.
fn keeps_certificates(store: &dyn KeyStore) {
    let own = openssl::key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let other = openssl::key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let key = id("with-certificate");
    assert!(matches!(
        store.get_certificate(&key),
        Err(Error::NoCertificate { .. })
    ));
    store.import_private_key(&key, own.clone()).unwrap();
    for name in ["first.example", "second.example", "first.example"] {
        let certificate = openssl::certificate(&own, name);
        store.import_certificate(&key, &certificate).unwrap();
        assert_eq!(store.get_certificate(&key).unwrap(), certificate);
        store.import_certificate(&key, &certificate).unwrap();
        assert_eq!(store.get_certificate(&key).unwrap(), certificate);
    }
    assert!(matches!(
        store.import_certificate(&key, &openssl::certificate(&other, "x.example")),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(
        store.import_certificate(&key, b"no certificate"),
        Err(Error::MalformedCertificate)
    ));
    let alone = openssl::certificate(&other, "alone.example");
    store.import_certificate(&id("alone"), &alone).unwrap();
    assert_eq!(store.get_certificate(&id("alone")).unwrap(), alone);
}

/// Lists what there is, by name.
fn lists(store: &dyn KeyStore) {
    let entries = store.list().unwrap();
    assert!(entries.is_sorted_by(|a, b| a.id < b.id), "{entries:?}");
    let entry = |name: &str| {
        let found = entries.iter().find(|entry| entry.id == id(name));
        found.unwrap_or_else(|| panic!("{name} is not among {entries:?}"))
    };
    assert_eq!(entry("made-rsa3072").key, Some(KeyAlgorithm::Rsa3072));
    assert!(!entry("made-rsa3072").has_certificate);
    assert_eq!(entry("brought-p384").key, Some(KeyAlgorithm::EcP384));
    assert!(entry("with-certificate").has_certificate);
    assert_eq!(entry("alone").key, None);
    assert!(entry("alone").has_certificate);
}

/// Gives random bytes.
fn gives_random(store: &dyn KeyStore) {
    let mut samples = [[0_u8; 32]; 3];
    for sample in &mut samples {
        store.fill_random(sample).unwrap();
    }
    assert!(samples[0] != samples[1] && samples[1] != samples[2] && samples[0] != [0; 32]);
}

/// Signs from many threads at once, with several keys and priorities.
fn signs_from_many_threads(store: &dyn KeyStore) {
    let keys = ["made-p256", "brought-p256", "made-rsa2048"]
        .map(|name| store.get_private_key(&id(name)).unwrap());
    thread::scope(|scope| {
        for thread in 0..8 {
            let keys = &keys;
            scope.spawn(move || {
                for round in 0..12 {
                    let key = &keys[(thread + round) % keys.len()];
                    let job = SignJob::message(key.algorithm().default_scheme(), &[7; 100])
                        .with_priority(Priority::ALL[round % 3])
                        .with_timeout(Duration::from_secs(60));
                    key.sign(job).wait().unwrap();
                }
            });
        }
    });
}

/// Refuses digests of another length than the scheme's hash.
fn refuses_odd_digests(store: &dyn KeyStore) {
    let key = store.get_private_key(&id("made-p256")).unwrap();
    let scheme = SignatureScheme::EcdsaP256Sha256;
    for octets in [0, 20, 31, 33, 64, 4096] {
        assert!(matches!(
            SignJob::digest(scheme, &vec![1; octets]),
            Err(Error::DigestLength { expected: 32, .. })
        ));
    }
    key.sign(SignJob::digest(scheme, &[1; 32]).unwrap())
        .wait()
        .unwrap();
    assert!(SignJob::digest(SignatureScheme::Ed25519, &[1; 32]).is_err());
}

/// Runs everything on one store.
fn conforms(backend: &backend::Backend) {
    let store = &*backend.store;
    store.ready().unwrap();
    assert!(!store.describe().is_empty());
    assert!(matches!(
        store.get_private_key(&id("nobody")),
        Err(Error::NoKey { .. })
    ));
    generates(store, backend.lacks);
    imports(store, backend.lacks);
    keeps_certificates(store);
    lists(store);
    gives_random(store);
    refuses_odd_digests(store);
    signs_from_many_threads(store);
    store.ready().unwrap();
    assert_eq!(backend.metrics.recoveries(), 0);
}

#[test]
fn files_conform() {
    conforms(&backend::file());
}

#[test]
fn softhsm_conforms() {
    conforms(&backend::softhsm());
}

#[test]
fn kryoptic_conforms() {
    conforms(&backend::kryoptic());
}

#[test]
fn a_remote_token_conforms() {
    conforms(&backend::remote());
}

#[test]
fn a_token_behind_the_fault_shim_conforms() {
    conforms(&backend::shim());
}
