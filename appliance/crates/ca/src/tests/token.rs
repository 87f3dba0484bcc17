//! The same on a token, and with a token that fails.

use std::sync::Arc;

use hsm_keystore::pkcs11::NoPrompt;
use hsm_keystore::{KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store};
use mesh::ProblemType;
use softhsm_test::{FaultShim, Function, SoftHsm, rv};

use super::installation::{Installation, eventually, request};
use crate::http::problem_type;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_the_authorities_and_signs() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let config = Pkcs11Config {
        pin_source: Some(
            format!("file:{}", token.pin_file().display())
                .parse()
                .unwrap(),
        ),
        sessions: Some(2),
        ..Pkcs11Config::by_label(shim.module(), token.label())
    };
    let modules = Modules::default();
    let open = || -> Arc<dyn KeyStore> {
        Arc::new(
            Pkcs11Store::open(&config, &modules, &NoPrompt, KeyStoreMetrics::default()).unwrap(),
        )
    };
    let installation = Installation::on("", tempfile::tempdir().unwrap(), open());
    let made = installation.perform().await.unwrap();
    let again = installation.perform().await.unwrap();
    assert_eq!(made.authorities[1].sha256, again.authorities[1].sha256);
    assert!(!again.authorities[0].key_made);

    let (ca, _store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    let issued = Arc::clone(&ca).issue(request(csr.clone())).await.unwrap();
    let leaf = pki::certificate::Certificate::from_der(&issued.certificate_der).unwrap();
    let issuing = ca.authorities().issuing().certificate().public_key();
    assert!(leaf.verify_signed_by(issuing).is_ok());

    // The device fails: refused and abandoned; the service recovers by itself.
    shim.fail(Function::Sign, rv::DEVICE_ERROR);
    let refusal = Arc::clone(&ca)
        .issue(request(csr.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        problem_type(&refusal),
        ProblemType::TokenUnavailable,
        "{refusal:?}"
    );
    assert_eq!(ca.status().open_intents, 0);
    shim.release();
    eventually("it issues again", || async {
        Arc::clone(&ca).issue(request(csr.clone())).await.is_ok()
    })
    .await;
}
