//! Keys that other programs made, with habits that are not ours.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hsm_keystore::{Error, KeyAlgorithm, KeyId, KeyStore, ObjectKind, SignJob, SignatureScheme};
use softhsm_test::{Kryoptic, SoftHsm, Token};

use crate::backend::{config, open};
use crate::openssl;

/// `CKA_EC_PARAMS` of P-256.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Does something on the token as another program would.
fn as_another_program(token: &Token, work: impl FnOnce(&Session)) {
    let context = Pkcs11::new(token.module()).unwrap();
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
    let slot = context
        .get_slots_with_token()
        .unwrap()
        .into_iter()
        .find(|slot| context.get_token_info(*slot).unwrap().label() == token.label())
        .unwrap();
    let session = context.open_rw_session(slot).unwrap();
    let pin = AuthPin::from(token.user_pin());
    session.login(UserType::User, Some(&pin)).unwrap();
    work(&session);
    drop(session);
    context.finalize().unwrap();
}

/// Makes a key pair with labels and `CKA_ID` of its own.
fn make(session: &Session, public: &str, private: &str, cka_id: &[u8], further: &[Attribute]) {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::Label(private.into()),
        Attribute::Id(cka_id.to_vec()),
    ];
    template.extend_from_slice(further);
    session
        .generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[
                Attribute::Token(true),
                Attribute::Verify(true),
                Attribute::EcParams(P256.to_vec()),
                Attribute::Label(public.into()),
                Attribute::Id(cka_id.to_vec()),
            ],
            &template,
        )
        .unwrap();
}

#[test]
fn a_key_is_found_by_cka_id_when_only_its_public_half_has_the_name() {
    let token = SoftHsm::token().unwrap();
    as_another_program(&token, |session| {
        make(session, "signer", "Private of Signer", &[0x12, 0x34], &[]);
        make(session, "other", "Private of Other", &[0x12, 0x35], &[]);
    });
    let (store, _) = open(&config(&token, token.module())).unwrap();
    let key = store
        .get_private_key(&KeyId::new("signer").unwrap())
        .unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::EcP256);
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let signature = key.sign(SignJob::message(scheme, b"m")).wait().unwrap();
    openssl::verify(key.public_key_der(), scheme, b"m", &signature);
}

#[test]
fn two_keys_of_one_name_or_one_cka_id_are_refused() {
    let token = SoftHsm::token().unwrap();
    as_another_program(&token, |session| {
        make(session, "twin", "twin", &[1], &[]);
        make(session, "twin", "twin", &[2], &[]);
        make(session, "left", "left", &[3], &[]);
        make(session, "right", "right", &[3], &[]);
    });
    let (store, _) = open(&config(&token, token.module())).unwrap();
    for name in ["twin", "left", "right"] {
        let id = KeyId::new(name).unwrap();
        assert!(
            matches!(
                store.get_private_key(&id),
                Err(Error::Ambiguous {
                    what: ObjectKind::PrivateKey,
                    found: 2,
                    ..
                })
            ),
            "{name}"
        );
        // Nor is a third made beside them.
        assert!(matches!(
            store.generate_private_key(&id, KeyAlgorithm::EcP256),
            Err(Error::KeyExists { .. })
        ));
    }
}

#[test]
fn a_key_that_wants_the_pin_each_time_gets_it_each_time() {
    let token = Kryoptic::token().unwrap();
    as_another_program(&token, |session| {
        make(
            session,
            "careful",
            "careful",
            &[7],
            &[Attribute::AlwaysAuthenticate(true)],
        );
    });
    let (store, metrics) = open(&config(&token, token.module())).unwrap();
    let key = store
        .get_private_key(&KeyId::new("careful").unwrap())
        .unwrap();
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let before = metrics.logins();
    for _ in 0..3 {
        let signature = key.sign(SignJob::message(scheme, b"m")).wait().unwrap();
        openssl::verify(key.public_key_der(), scheme, b"m", &signature);
    }
    assert_eq!(metrics.logins(), before + 3);
}

#[test]
fn names_that_are_not_ours_are_left_out_of_the_list() {
    let token = SoftHsm::token().unwrap();
    as_another_program(&token, |session| {
        make(session, "Somebody's Key", "Somebody's Key", &[1], &[]);
        make(session, "ours", "ours", &[2], &[]);
    });
    let (store, _) = open(&config(&token, token.module())).unwrap();
    let names: Vec<_> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| entry.id.to_string())
        .collect();
    assert_eq!(names, ["ours"]);
}
