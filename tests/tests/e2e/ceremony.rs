//! `chancery init`: what it makes, and what it never does again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chancery_tests::{Appliance, Builder, PATIENCE, Profile, Request, output_of, until};
use softhsm_test::{FaultShim, Function, SoftHsm};

/// Reads every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn init_again_changes_nothing() {
    let ca = Builder::on_files().prepare().unwrap();
    ca.cli(&["init"]).unwrap();
    let (keys, identities) = (ca.folder().join("keys"), ca.state_dir().join("identities"));
    let before = (files(&keys), files(&identities));
    assert!(
        before.0.len() >= 4,
        "root and issuing, key and certificate: {:?}",
        before.0.keys()
    );
    ca.cli(&["init"]).unwrap();
    assert_eq!((files(&keys), files(&identities)), before);
}

#[test]
fn init_again_on_a_token_makes_no_key_and_signs_nothing() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let ca = Builder::on_token(&token, shim.module()).prepare().unwrap();
    ca.cli(&["init"]).unwrap();
    let made = shim.count(Function::GenerateKeyPair);
    assert!(made >= 2, "{made}");
    let keys = ca.cli(&["key", "list", "--json"]).unwrap();
    let destroyed = shim.count(Function::DestroyObject);
    ca.cli(&["init"]).unwrap();
    assert_eq!(shim.count(Function::GenerateKeyPair), made);
    assert_eq!(shim.count(Function::DestroyObject), destroyed);
    assert_eq!(ca.cli(&["key", "list", "--json"]).unwrap(), keys);
}

#[test]
fn init_that_was_interrupted_goes_on_where_it_stopped() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let ca = Builder::on_token(&token, shim.module()).prepare().unwrap();
    // The second key cannot be made: the root is there, the issuing authority is not.
    shim.fail_nth(
        Function::GenerateKeyPair,
        2,
        softhsm_test::rv::DEVICE_MEMORY,
    );
    let output = output_of(ca.command().arg("init")).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    shim.release();
    let first = shim.count(Function::GenerateKeyPair);
    ca.cli(&["init"]).unwrap();
    assert!(shim.count(Function::GenerateKeyPair) > first);
    let mut ca = ca;
    ca.serve().unwrap();
    assert_eq!(ca.issue("a.example.internal").unwrap().status, 201);
}

#[test]
fn keys_of_the_ca_are_on_the_token_and_cannot_leave() {
    let ca = Appliance::start().unwrap();
    let text = ca.cli(&["key", "list", "--json"]).unwrap();
    let keys: serde_json::Value = serde_json::from_str(&text).unwrap();
    let listed = keys.as_array().or_else(|| keys["keys"].as_array()).unwrap();
    assert!(
        listed.len() >= 3,
        "root, issuing and the service's own: {text}"
    );
    for key in listed {
        let id = key["id"].as_str().unwrap();
        let attested = ca.cli(&["key", "attest", id, "--json"]).unwrap();
        let attested: serde_json::Value = serde_json::from_str(&attested).unwrap();
        let provenance = &attested["provenance"];
        for property in [
            "on_token",
            "generated_locally",
            "always_sensitive",
            "never_extractable",
        ] {
            assert_eq!(provenance[property], true, "{id} {property}: {attested}");
        }
    }
    // Nothing of the state directory is a CA's private key.
    for (path, bytes) in files(&ca.state_dir()) {
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("PRIVATE KEY") {
            assert!(path.contains("/identities/"), "{path}");
        }
    }
}

/// Makes an appliance whose token has a PIN that the configuration does not know.
fn with_wrong_pin(token: &softhsm_test::Token, shim: &FaultShim) -> Appliance {
    let ca = Builder::on_token(token, shim.module()).prepare().unwrap();
    ca.cli(&["init"]).unwrap();
    fs::write(token.pin_file(), "000000").unwrap();
    ca
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let mut ca = with_wrong_pin(&token, &shim);
    let before = shim.count(Function::Login);
    ca.spawn().unwrap();
    // It serves and says why it cannot sign, or does not start and says why.
    until("it says why", PATIENCE, || {
        let said = match ca.wait_readiness(false) {
            Ok(readiness) => readiness.to_string(),
            Err(error) => error.to_string(),
        };
        if said.to_lowercase().contains("pin") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .unwrap();
    assert_eq!(shim.count(Function::Login), before + 1);
    if ca
        .service()
        .is_some_and(|service| service.ended().is_none())
    {
        let request = Request::new("a.example.internal").unwrap();
        let url = ca.sign_url(Profile::TlsServer);
        for _ in 0..3 {
            let reply = ca.curl().post_pem(&url, request.pem()).unwrap();
            assert_ne!(reply.status, 201, "{reply}");
        }
        assert_eq!(shim.count(Function::Login), before + 1);
    }
}

#[test]
fn a_wrong_pin_of_a_command_is_tried_once() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let ca = with_wrong_pin(&token, &shim);
    let before = shim.count(Function::Login);
    let output = output_of(ca.command().args(["key", "list"])).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("PIN"), "{said}");
    assert!(!said.contains("000000"), "{said}");
    assert_eq!(shim.count(Function::Login), before + 1);
}
