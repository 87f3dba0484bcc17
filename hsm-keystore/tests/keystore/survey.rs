//! What tokens can carry, looked at and measured.

use std::time::Duration;

use hsm_keystore::pkcs11::{NoPrompt, keystore_sign_rate, raw_sign_rate, survey};
use hsm_keystore::{Error, KeyAlgorithm, KeyId, KeyStore, Modules, SignatureScheme};
use softhsm_test::{FaultShim, Function, Kryoptic, SoftHsm};

use crate::backend::{config, open};

#[test]
fn a_survey_finds_every_algorithm_on_both_modules_and_nobody_logs_in() {
    for token in [SoftHsm::token().unwrap(), Kryoptic::token().unwrap()] {
        let shim = FaultShim::over(&token).unwrap();
        let seen = survey(shim.module(), &Modules::default()).unwrap();
        let found = seen
            .slots
            .iter()
            .filter_map(|slot| slot.token.as_ref())
            .find(|found| found.label == token.label())
            .unwrap();
        assert_eq!(found.serial, token.serial());
        assert!(found.initialized && found.pin_set && found.login_required);
        assert!(found.obstacles.is_empty(), "{:?}", found.obstacles);
        for algorithm in KeyAlgorithm::ALL {
            let carried = found
                .carries
                .iter()
                .find(|carried| carried.algorithm == algorithm)
                .unwrap();
            assert!(carried.generates, "{algorithm}");
            assert_eq!(carried.signs, algorithm.schemes());
        }
        assert_eq!(shim.count(Function::Login), 0);
    }
}

#[test]
fn a_token_that_is_not_ready_is_told_in_words() {
    let token = SoftHsm::token().unwrap();
    let seen = survey(token.module(), &Modules::default()).unwrap();
    // SoftHSM always shows one slot with a token that waits to be initialized.
    let blank = seen
        .slots
        .iter()
        .filter_map(|slot| slot.token.as_ref())
        .find(|found| !found.initialized)
        .unwrap();
    assert!(blank.obstacles[0].contains("--init-token"));
}

#[test]
fn a_module_that_is_none_is_an_error_that_names_it() {
    for path in ["/nonexistent/module.so", "/usr/bin/env"] {
        let refused = survey(path.as_ref(), &Modules::default()).unwrap_err();
        assert!(matches!(refused, Error::Module { .. }));
        assert!(refused.to_string().contains(path));
    }
}

#[test]
fn rates_are_measured_bare_and_through_the_store() {
    let token = SoftHsm::token().unwrap();
    let config = config(&token, token.module());
    let (store, _) = open(&config).unwrap();
    let id = KeyId::new("key").unwrap();
    let key = store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    let duration = Duration::from_millis(50);
    let bare = raw_sign_rate(&config, &Modules::default(), &NoPrompt, &id, 2, duration).unwrap();
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let through = keystore_sign_rate(&key, scheme, 2, 4, duration).unwrap();
    for rate in [bare, through] {
        assert!(rate.signatures > 0);
        assert!(rate.per_second() > 0.0 && rate.per_cpu_second() > 0.0);
    }
}
