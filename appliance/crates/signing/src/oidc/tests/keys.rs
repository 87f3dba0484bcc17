//! Keys of issuers: which are taken, and when they are read again.

use model::Clock;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::enrol::Refused;
use super::super::keys::{KeySet, KeysError, MAX_SET};
use super::exchange::Stage;
use super::forge::{Forge, base64url, claims};

/// Reads a set.
fn parse(keys: &[Value]) -> Result<KeySet, KeysError> {
    KeySet::parse(&serde_json::to_vec(&json!({ "keys": keys })).unwrap())
}

/// Changes a member of a key; null takes it away.
fn changed(key: &Value, name: &str, value: Value) -> Value {
    let mut key = key.clone();
    if value.is_null() {
        key.as_object_mut().unwrap().remove(name);
    } else {
        key[name] = value;
    }
    key
}

#[test]
fn keys_that_are_weak_secret_or_for_something_else_are_passed_over() {
    let forge = Forge::new();
    let (rsa, ec) = (forge.rsa_jwk(), forge.ec_jwk());
    let short = base64url([0xff; 128]);
    for unusable in [
        changed(&rsa, "use", json!("enc")),
        changed(&rsa, "alg", json!("RSA-OAEP")),
        changed(&rsa, "alg", json!("HS256")),
        changed(&rsa, "n", json!(short)),
        changed(&rsa, "n", json!("?")),
        changed(&ec, "crv", json!("P-521")),
        changed(&ec, "alg", json!("RS256")),
        json!({ "kty": "oct", "kid": "secret", "k": base64url([7; 32]) }),
        json!({ "kty": "oct", "kid": "rsa-1", "alg": "HS256", "k": base64url(forge.rsa_public_der()) }),
        json!({ "kty": "unknown" }),
        json!(17),
    ] {
        let alone = parse(std::slice::from_ref(&unusable));
        assert!(matches!(alone, Err(KeysError::Empty)), "{unusable}");
        // Beside a good one it does no harm.
        let beside = parse(&[unusable, rsa.clone()]).unwrap();
        assert!(beside.find(Some("rsa-1")).is_some());
    }
    let set = parse(&[rsa.clone(), ec.clone()]).unwrap();
    assert!(set.find(Some("ec-1")).is_some());
    assert!(set.find(Some("other")).is_none());
    // A token that names no key means the only one, not any.
    assert!(set.find(None).is_none());
    assert!(parse(&[rsa]).unwrap().find(None).is_some());
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "{"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let long = vec![b' '; MAX_SET + 1];
    assert!(matches!(KeySet::parse(&long), Err(KeysError::Set { .. })));
}

#[tokio::test]
async fn a_new_key_is_found_without_a_restart_and_unknown_ones_ask_seldom() {
    let mut stage = Stage::new();
    let csr = stage.csr("client").await;
    assert!(stage.exchange(&stage.token("1"), csr.clone()).await.is_ok());
    assert_eq!(stage.published.asked().len(), 1);
    // The forge signs by a new key before anyone has seen it.
    let rotated = Forge::new();
    let mut key = rotated.rsa_jwk();
    key["kid"] = json!("rsa-2");
    let set = json!({ "keys": [stage.forge.rsa_jwk(), key] });
    stage
        .published
        .publish(Some(serde_json::to_vec(&set).unwrap()));
    let header = json!({ "alg": "RS256", "kid": "rsa-2" });
    let token = rotated.sign(&header, &claims(stage.clock.now(), "2"));
    let early = stage.exchange(&token, csr.clone()).await.unwrap_err();
    assert!(matches!(early, Refused::Token(_)), "{early}");
    assert_eq!(stage.published.asked().len(), 1, "asked again at once");
    stage.clock.advance(30);
    assert!(stage.exchange(&token, csr.clone()).await.is_ok());
    assert_eq!(stage.published.asked().len(), 2);
    // A flood of unknown names asks once in a while.
    for number in 0..20 {
        let header = json!({ "alg": "RS256", "kid": format!("rsa-{}", number + 10) });
        let token = rotated.sign(&header, &claims(stage.clock.now(), "3"));
        assert!(stage.exchange(&token, csr.clone()).await.is_err());
    }
    assert_eq!(stage.published.asked().len(), 2);
    stage.restart();
}

#[tokio::test]
async fn keys_outlive_a_forge_that_is_away_for_a_day_and_no_longer() {
    let stage = Stage::new();
    let csr = stage.csr("client").await;
    assert!(stage.exchange(&stage.token("1"), csr.clone()).await.is_ok());
    stage.published.publish(None);
    stage.clock.advance(23 * 3600);
    assert!(stage.exchange(&stage.token("2"), csr.clone()).await.is_ok());
    assert!(
        stage.published.asked().len() > 1,
        "old keys were not read again"
    );
    stage.clock.advance(2 * 3600);
    let refused = stage.exchange(&stage.token("3"), csr.clone()).await;
    assert!(matches!(refused, Err(Refused::Keys(_))), "{refused:?}");
    // And it recovers by itself.
    stage.published.publish(Some(stage.forge.jwks()));
    stage.clock.advance(30);
    assert!(stage.exchange(&stage.token("4"), csr).await.is_ok());
}

#[tokio::test]
async fn keys_are_read_from_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let stage = Stage::with(&format!("jwks_file = '{}'", file.display()));
    let csr = stage.csr("client").await;
    let missing = stage.exchange(&stage.token("1"), csr.clone()).await;
    assert!(matches!(missing, Err(Refused::Keys(_))), "{missing:?}");
    std::fs::write(&file, stage.forge.jwks()).unwrap();
    stage.clock.advance(30);
    assert!(stage.exchange(&stage.token("2"), csr).await.is_ok());
    assert!(stage.published.asked().is_empty());
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeySet::parse(&octets);
    }

    #[test]
    fn no_key_panics(n in "[A-Za-z0-9_-]{0,60}", e in "[A-Za-z0-9_-]{0,8}", kty in "(RSA|EC|OKP|oct)") {
        let _ = parse(&[json!({
            "kty": kty, "n": n, "e": e, "x": n, "y": e, "k": n, "crv": "P-256",
        })]);
    }
}
