//! Every check of a token, each with one that fails it alone.

use aws_lc_rs::hmac;
use model::Clock;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::enrol::Refused;
use super::super::token::{TokenError, Unverified};
use super::exchange::Stage;
use super::forge::{base64url, claims, claims_with, rs256, signed_part};

/// Offers a token and returns the check that fails.
async fn check(stage: &Stage, token: &str) -> &'static str {
    let csr = stage.csr("client").await;
    match stage.exchange(token, csr).await {
        Err(Refused::Token(error)) => error.check(),
        Err(other) => panic!("{other}"),
        Ok(_) => "passed",
    }
}

#[tokio::test]
async fn whose_and_for_whom() {
    let stage = Stage::new();
    for (name, value, expected) in [
        ("iss", json!("https://other.example"), "token_issuer"),
        ("iss", Value::Null, "token_issuer"),
        (
            "iss",
            json!(["https://token.actions.githubusercontent.com"]),
            "token_issuer",
        ),
        ("aud", json!("https://github.com/acme"), "token_audience"),
        ("aud", Value::Null, "token_audience"),
        ("aud", json!([]), "token_audience"),
        ("aud", json!(["sigstore"]), "token_audience"),
        ("sub", Value::Null, "token_claims"),
        ("jti", Value::Null, "token_claims"),
        ("repository", Value::Null, "token_claims"),
        ("job_workflow_ref", json!({}), "token_claims"),
    ] {
        let token = stage.token_with("1", name, value.clone());
        assert_eq!(check(&stage, &token).await, expected, "{name} {value}");
    }
    let several = json!(["sigstore", "chancery.example.org"]);
    let token = stage.token_with("2", "aud", several);
    assert_eq!(check(&stage, &token).await, "passed");
}

#[tokio::test]
async fn when() {
    let stage = Stage::new();
    let now = stage.clock.now().as_second();
    for (name, value, expected) in [
        ("exp", json!(now - 31), "token_expired"),
        ("exp", json!(now - 30), "token_expired"),
        ("exp", Value::Null, "token_time"),
        ("exp", json!("soon"), "token_time"),
        ("exp", json!(-1), "token_time"),
        ("exp", json!(1e300), "token_time"),
        ("exp", json!(now + 3601), "token_lifetime"),
        ("exp", json!(i64::MAX), "token_time"),
        ("iat", json!(now + 31), "token_not_yet"),
        ("iat", Value::Null, "token_time"),
        ("iat", json!(now - 7200), "token_lifetime"),
        ("nbf", json!(now + 31), "token_not_yet"),
        ("nbf", json!(true), "token_time"),
    ] {
        let token = stage.token_with("1", name, value.clone());
        assert_eq!(check(&stage, &token).await, expected, "{name} {value}");
    }
    // A clock that is half a minute off, and a token without nbf, are fine.
    for (place, (name, value)) in [
        ("iat", json!(now + 30)),
        ("nbf", json!(now + 30)),
        ("nbf", Value::Null),
        ("exp", json!(now as f64 + 10.5)),
    ]
    .into_iter()
    .enumerate()
    {
        let token = stage.token_with(&format!("fine-{place}"), name, value.clone());
        assert_eq!(check(&stage, &token).await, "passed", "{name} {value}");
    }
}

#[tokio::test]
async fn by_whom_it_is_signed() {
    let stage = Stage::new();
    let claims = claims(stage.clock.now(), "1");
    let header = |alg: &str, kid: Value| json!({ "alg": alg, "kid": kid, "typ": "JWT" });

    // RFC 8725, 2.1: no signature at all.
    for alg in ["none", "None", "NONE", "", "rs256"] {
        let unsigned = signed_part(&header(alg, json!("rsa-1")), &claims);
        for token in [format!("{unsigned}."), format!("{unsigned}.AAAA")] {
            assert_eq!(check(&stage, &token).await, "token_algorithm", "{alg}");
        }
    }
    // RFC 8725, 2.1: the public key taken for an HMAC's secret.
    for alg in ["HS256", "HS384", "HS512"] {
        let signed = signed_part(&header(alg, json!("rsa-1")), &claims);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &stage.forge.rsa_public_der());
        let tag = hmac::sign(&secret, signed.as_bytes());
        let token = format!("{signed}.{}", base64url(tag.as_ref()));
        assert_eq!(check(&stage, &token).await, "token_algorithm", "{alg}");
    }
    // An algorithm that is sound, and not this issuer's.
    let pss = stage
        .forge
        .sign_pss(&header("PS256", json!("rsa-1")), &claims);
    assert_eq!(check(&stage, &pss).await, "token_algorithm");
    // Keys that the issuer does not have, or has for something else.
    for (kid, expected) in [
        (json!("rsa-2"), "token_key"),
        (Value::Null, "token_key"),
        (json!("ec-1"), "token_key"),
    ] {
        let token = stage.forge.sign(&header("RS256", kid.clone()), &claims);
        assert_eq!(check(&stage, &token).await, expected, "{kid}");
    }
    // Signed by another's key under this issuer's name.
    let other = super::forge::Forge::new();
    assert_eq!(
        check(&stage, &other.token(&claims)).await,
        "token_signature"
    );
    // A key that the token brings along is not looked at.
    let mut brought = rs256();
    brought["jwk"] = other.rsa_jwk();
    brought["jku"] = json!("https://evil.example/jwks");
    let token = other.sign(&brought, &claims);
    assert_eq!(check(&stage, &token).await, "token_signature");
    assert!(
        stage
            .published
            .asked()
            .iter()
            .all(|url| url == "https://token.actions.githubusercontent.com/.well-known/jwks")
    );
    // Claims that were changed after they were signed.
    let good = stage.forge.token(&claims);
    let changed = claims_with(stage.clock.now(), "1", "repository", json!("acme/other"));
    let changed = signed_part(&rs256(), &changed);
    let signature = good.rsplit('.').next().unwrap();
    assert_eq!(
        check(&stage, &format!("{changed}.{signature}")).await,
        "token_signature"
    );
    assert_eq!(check(&stage, &good).await, "passed");
}

#[tokio::test]
async fn what_it_is() {
    let stage = Stage::new();
    let claims = claims(stage.clock.now(), "1");
    let signed = |header: Value| stage.forge.sign(&header, &claims);
    let token = signed(json!({ "alg": "RS256", "kid": "rsa-1", "typ": "at+jwt" }));
    assert_eq!(check(&stage, &token).await, "token_header");
    let token = signed(json!({ "alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": false }));
    assert_eq!(check(&stage, &token).await, "token_header");
    let token = signed(json!({ "kid": "rsa-1" }));
    assert_eq!(check(&stage, &token).await, "token_form");
    let good = signed(json!({ "alg": "RS256", "kid": "rsa-1", "typ": "jwt" }));
    let long = format!("{good}{}", "A".repeat(16 * 1024));
    for token in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "?.?.?",
        &format!("{good}=")[..4],
        &long,
        &good.replacen('.', "..", 1),
        "W10.W10.AAAA",
        "eyJhbGciOiJSUzI1NiJ9.W10.AAAA",
    ] {
        assert_eq!(check(&stage, token).await, "token_form", "{token:.40}");
    }
    // RFC 7515, 2: base64url without padding, in one spelling.
    let padded = format!("{good}==");
    assert_eq!(check(&stage, &padded).await, "token_signature");
    assert_eq!(check(&stage, &good).await, "passed");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,300}") {
        let _ = Unverified::parse(&text);
    }

    #[test]
    fn no_parts_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let parts: Vec<String> = parts.iter().map(base64url).collect();
        let token = parts.join(".");
        let parsed = Unverified::parse(&token);
        let is_form = matches!(parsed, Err(TokenError::Malformed { .. } | TokenError::Header { .. }));
        prop_assert!(is_form || parsed.is_ok());
    }
}
