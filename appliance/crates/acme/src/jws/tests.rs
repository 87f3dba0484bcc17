//! Envelopes, keys, bindings and key changes: what is taken and what is not.

use pki::key_check::KeyPolicy;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestKey, binding, mac_jws};

/// The URL that requests here are for.
const URL: &str = "https://acme.example/acme/new-account";

/// Reads a key as a client sends it.
fn key_of(jwk: &Value) -> Result<AccountKey, JwkError> {
    AccountKey::from_jwk(
        &serde_json::from_value(jwk.clone()).unwrap(),
        &KeyPolicy::default(),
    )
}

/// A header with the key in it.
fn header(key: &TestKey) -> Value {
    json!({"alg": key.algorithm(), "jwk": key.jwk(), "nonce": "abc", "url": URL})
}

/// Reads a JWS of a header as it stands.
fn parse(header: &Value) -> Result<Jws, JwsError> {
    let jws = TestKey::es256().jws_of(header, b"{}");
    Jws::parse(jws.to_string().as_bytes())
}

/// Changes one member of a JSON object.
fn with(value: &Value, member: &str, to: Value) -> Value {
    let mut changed = value.clone();
    changed[member] = to;
    changed
}

#[test]
fn every_algorithm_verifies_and_nothing_changed_does() {
    for key in TestKey::all() {
        let jws = key.jws_of(&header(&key), b"{\"a\":1}");
        let parsed = Jws::parse(jws.to_string().as_bytes()).unwrap();
        let account = key_of(&key.jwk()).unwrap();
        parsed.verify(&account).unwrap();
        assert_eq!(parsed.payload(), b"{\"a\":1}");
        assert_eq!(parsed.nonce(), Some("abc"));
        assert_eq!(parsed.url(), URL);

        let other = with(&jws, "payload", json!(base64url::encode(b"{\"a\":2}")));
        let other = Jws::parse(other.to_string().as_bytes()).unwrap();
        assert!(matches!(other.verify(&account), Err(JwsError::Signature)));
        let stranger = key_of(&TestKey::es256().jwk()).unwrap();
        assert!(parsed.verify(&stranger).is_err());
        for signature in ["", "AA", "AAAA"] {
            let other = with(&jws, "signature", json!(signature));
            let other = Jws::parse(other.to_string().as_bytes()).unwrap();
            assert!(matches!(other.verify(&account), Err(JwsError::Signature)));
        }
    }
}

#[test]
fn a_signature_of_zeros_or_in_der_is_none() {
    let key = TestKey::es256();
    let jws = key.jws_of(&header(&key), b"");
    let account = key_of(&key.jwk()).unwrap();
    // CVE-2022-21449: r and s of zero.
    let zeros = with(&jws, "signature", json!(base64url::encode(&[0; 64])));
    let zeros = Jws::parse(zeros.to_string().as_bytes()).unwrap();
    assert!(matches!(zeros.verify(&account), Err(JwsError::Signature)));
    let der = with(
        &jws,
        "signature",
        json!(base64url::encode(&[0x30, 6, 2, 1, 1, 2, 1, 1])),
    );
    let der = Jws::parse(der.to_string().as_bytes()).unwrap();
    assert!(matches!(der.verify(&account), Err(JwsError::Signature)));
}

#[test]
fn algorithms_that_are_none_of_ours_are_named_and_refused() {
    let key = TestKey::es256();
    let account = key_of(&key.jwk()).unwrap();
    for name in ["none", "HS256", "ES512", "PS256", "RS512", "es256", ""] {
        let jws = parse(&with(&header(&key), "alg", json!(name))).unwrap();
        assert_eq!(jws.algorithm(), name);
        assert!(
            matches!(jws.verify(&account), Err(JwsError::Algorithm { given }) if given == name)
        );
    }
    let jws = parse(&with(&header(&key), "alg", json!("ES384"))).unwrap();
    assert!(matches!(
        jws.verify(&account),
        Err(JwsError::KeyAlgorithm { .. })
    ));
}

#[test]
fn a_public_key_is_no_secret_of_a_mac() {
    // RFC 8725, 2.1: HMAC under the public key where a signature is expected.
    let key = TestKey::es256();
    let account = key_of(&key.jwk()).unwrap();
    let forged = mac_jws(
        &with(&header(&key), "alg", json!("HS256")),
        account.spki_der(),
        &json!({}),
    );
    let forged = Jws::parse(forged.to_string().as_bytes()).unwrap();
    assert!(matches!(
        forged.verify(&account),
        Err(JwsError::Algorithm { .. })
    ));
}

#[test]
fn headers_are_narrower_than_jose() {
    let key = TestKey::es256();
    let good = header(&key);
    parse(&good).unwrap();
    parse(&with(&good, "typ", json!("JOSE+JSON"))).unwrap();
    assert!(matches!(
        parse(&with(&good, "kid", json!("https://acme.example/1"))),
        Err(JwsError::JwkAndKid)
    ));
    assert!(matches!(
        parse(&json!({"alg": "ES256", "url": URL})),
        Err(JwsError::NoKey)
    ));
    assert!(matches!(
        parse(&json!({"alg": "ES256", "kid": "k"})),
        Err(JwsError::Missing { parameter: "url" })
    ));
    assert!(matches!(
        parse(&with(&good, "crit", json!(["b64"]))),
        Err(JwsError::Critical)
    ));
    assert!(matches!(
        parse(&with(&good, "b64", json!(false))),
        Err(JwsError::Critical)
    ));
    assert!(matches!(
        parse(&with(&good, "nonce", json!("n".repeat(200)))),
        Err(JwsError::ParameterTooLong { .. })
    ));
    for header in [
        json!({"url": URL, "kid": "k"}),
        json!({"alg": 5, "url": URL, "kid": "k"}),
        json!([]),
        json!("ES256"),
    ] {
        assert!(
            matches!(parse(&header), Err(JwsError::Header { .. })),
            "{header}"
        );
    }
}

#[test]
fn repeated_members_are_refused() {
    let encoded = base64url::encode(br#"{"alg":"ES256","alg":"none","url":"u","kid":"k"}"#);
    let jws = json!({"protected": encoded, "payload": "", "signature": ""});
    assert!(matches!(
        Jws::parse(jws.to_string().as_bytes()),
        Err(JwsError::Header { .. })
    ));
    let twice = br#"{"protected":"","protected":"","payload":"","signature":""}"#;
    assert!(matches!(Jws::parse(twice), Err(JwsError::Json { .. })));
}

#[test]
fn envelopes_are_flattened_and_have_one_header() {
    let key = TestKey::es256();
    let jws = key.jws_of(&header(&key), b"");
    let refused = |value: &Value| Jws::parse(value.to_string().as_bytes()).unwrap_err();
    assert!(matches!(
        refused(&with(&jws, "header", json!({}))),
        JwsError::Unprotected
    ));
    assert!(matches!(
        refused(&with(&jws, "header", Value::Null)),
        JwsError::Unprotected
    ));
    assert!(matches!(
        refused(&with(&jws, "signatures", json!([]))),
        JwsError::Several
    ));
    let compact = format!(
        "{}.{}.{}",
        jws["protected"].as_str().unwrap(),
        jws["payload"].as_str().unwrap(),
        jws["signature"].as_str().unwrap()
    );
    assert!(matches!(
        Jws::parse(compact.as_bytes()),
        Err(JwsError::Json { .. })
    ));
    // RFC 8555, 6.1: padding is refused.
    assert!(matches!(
        refused(&with(&jws, "payload", json!("e30="))),
        JwsError::Base64 { part: "payload" }
    ));
    assert!(matches!(
        refused(&with(&jws, "payload", json!("e3+/"))),
        JwsError::Base64 { .. }
    ));
    // Stray bits: another encoding of the same octet.
    assert!(matches!(
        refused(&with(&jws, "payload", json!("QR"))),
        JwsError::Base64 { .. }
    ));
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    // RFC 7638, 3.1.
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    });
    assert_eq!(
        key_of(&jwk).unwrap().thumbprint().to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    // RFC 8037, A.3.
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    assert_eq!(
        key_of(&jwk).unwrap().thumbprint().to_string(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn keys_that_no_account_may_have_are_refused() {
    let ec = TestKey::es256().jwk();
    let [_, _, ed, rsa] = TestKey::all().map(|key| key.jwk());
    let zeros = base64url::encode(&[0; 32]);
    let short = base64url::encode(&[1; 128]);
    let led = format!("AA{}", rsa["n"].as_str().unwrap());
    for (name, jwk) in [
        ("off the curve", with(&ec, "x", json!(zeros))),
        ("small order", with(&ed, "x", json!(zeros))),
        ("a short coordinate", with(&ec, "x", json!("AQ"))),
        ("no y", json!({"kty": "EC", "crv": "P-256", "x": zeros})),
        ("P-521", with(&ec, "crv", json!("P-521"))),
        ("secp256k1", with(&ec, "crv", json!("secp256k1"))),
        ("X25519", with(&ed, "crv", json!("X25519"))),
        ("1024 bits", with(&rsa, "n", json!(short))),
        ("an exponent of 3", with(&rsa, "e", json!("Aw"))),
        ("an exponent of 1", with(&rsa, "e", json!("AQ"))),
        ("a leading zero", with(&rsa, "n", json!(led))),
        ("no modulus", with(&rsa, "n", json!(""))),
        ("symmetric", json!({"kty": "oct", "k": "AAAA"})),
        ("a private key", with(&ec, "d", json!(zeros))),
        ("for encryption", with(&ec, "use", json!("enc"))),
        ("for signing alone", with(&ec, "key_ops", json!(["sign"]))),
        ("for another algorithm", with(&ec, "alg", json!("ES384"))),
        ("padded", with(&ed, "x", json!(format!("{zeros}=")))),
        ("no kind at all", json!({"kty": ""})),
    ] {
        assert!(key_of(&jwk).is_err(), "{name}");
    }
    assert!(key_of(&with(&ec, "use", json!("sig"))).is_ok());
    assert!(key_of(&with(&ec, "key_ops", json!(["verify"]))).is_ok());
    assert!(key_of(&with(&rsa, "alg", json!("RS256"))).is_ok());
}

#[test]
fn kept_keys_are_what_they_were() {
    for key in TestKey::all() {
        let account = key_of(&key.jwk()).unwrap();
        let kept = AccountKey::from_stored(account.jwk_json()).unwrap();
        assert_eq!(kept, account);
        assert_eq!(
            Thumbprint::of_public_key(account.public_key()),
            Some(account.thumbprint())
        );
    }
}

/// Reads and verifies a binding of `key` by the secret `secret`.
fn bind(jws: Value, key: &TestKey) -> Result<String, BindingError> {
    let request = BindingRequest::parse(serde_json::from_value(jws).unwrap(), URL)?;
    request.verify(b"secret", &key_of(&key.jwk()).unwrap())?;
    Ok(request.key_id().to_owned())
}

#[test]
fn bindings_are_held_to_every_rule_of_their_section() {
    let key = TestKey::es256();
    let good = json!({"alg": "HS256", "kid": "kid-1", "url": URL});
    assert_eq!(
        bind(binding("kid-1", b"secret", URL, &key.jwk()), &key).unwrap(),
        "kid-1"
    );
    let of = |header: &Value, secret: &[u8], payload: &Value| {
        bind(mac_jws(header, secret, payload), &key).unwrap_err()
    };
    let jwk = key.jwk();
    assert!(matches!(
        of(&good, b"other", &jwk),
        BindingError::Jws(JwsError::Signature)
    ));
    assert!(matches!(
        of(&with(&good, "alg", json!("ES256")), b"secret", &jwk),
        BindingError::Jws(JwsError::MacAlgorithm { .. })
    ));
    // The header says a longer MAC than there is.
    assert!(matches!(
        of(&with(&good, "alg", json!("HS512")), b"secret", &jwk),
        BindingError::Jws(JwsError::Signature)
    ));
    assert!(matches!(
        of(&with(&good, "nonce", json!("n")), b"secret", &jwk),
        BindingError::Nonce
    ));
    assert!(matches!(
        of(&with(&good, "url", json!("https://x/")), b"secret", &jwk),
        BindingError::Url
    ));
    assert!(matches!(
        of(&good, b"secret", &TestKey::es256().jwk()),
        BindingError::AccountKey
    ));
    assert!(matches!(
        of(&good, b"secret", &json!({})),
        BindingError::AccountKey
    ));
    assert!(matches!(
        bind(key.jws_of(&header(&key), jwk.to_string().as_bytes()), &key),
        Err(BindingError::NoKid)
    ));
}

#[test]
fn key_changes_are_held_to_every_rule_of_their_section() {
    let (old, new) = (TestKey::es256(), TestKey::es256());
    let account = "https://acme.example/acme/account/1";
    let good_header = json!({"alg": "ES256", "jwk": new.jwk(), "url": URL});
    let good = json!({"account": account, "oldKey": old.jwk()});
    let verify = |inner: Value| {
        KeyChange::verify(
            inner.to_string().as_bytes(),
            URL,
            |url| url == account,
            &key_of(&old.jwk()).unwrap(),
            &KeyPolicy::default(),
        )
    };
    let of = |header: &Value, payload: &Value| {
        verify(new.jws_of(header, payload.to_string().as_bytes()))
    };
    let change = of(&good_header, &good).unwrap();
    assert_eq!(change.new_key.thumbprint(), new.thumbprint());
    assert!(matches!(
        verify(old.jws_of(&good_header, good.to_string().as_bytes())),
        Err(RolloverError::Jws(JwsError::Signature))
    ));
    assert!(matches!(
        of(&with(&good_header, "nonce", json!("n")), &good),
        Err(RolloverError::Nonce)
    ));
    assert!(matches!(
        of(&with(&good_header, "url", json!("https://x/")), &good),
        Err(RolloverError::Url)
    ));
    assert!(matches!(
        of(&good_header, &with(&good, "account", json!("https://x/"))),
        Err(RolloverError::Account)
    ));
    assert!(matches!(
        of(&good_header, &with(&good, "oldKey", new.jwk())),
        Err(RolloverError::OldKey)
    ));
    assert!(matches!(
        of(&good_header, &json!({})),
        Err(RolloverError::Payload { .. })
    ));
    assert!(matches!(
        of(&json!({"alg": "ES256", "kid": account, "url": URL}), &good),
        Err(RolloverError::NoJwk)
    ));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Jws::parse(&bytes);
    }

    #[test]
    fn no_header_and_no_key_panics(
        header in "\\PC{0,60}",
        kty in "(EC|RSA|OKP|oct|)",
        member in "[A-Za-z0-9_-]{0,90}",
    ) {
        let jws = json!({"protected": base64url::encode(header.as_bytes()), "payload": "", "signature": ""});
        let _ = Jws::parse(jws.to_string().as_bytes());
        for crv in ["P-256", "P-384", "Ed25519"] {
            let jwk = json!({"kty": kty, "crv": crv, "x": member, "y": member, "n": member, "e": "AQAB"});
            let _ = key_of(&jwk);
        }
    }

    #[test]
    fn what_is_damaged_does_not_verify(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let key = TestKey::es256();
        let account = key_of(&key.jwk()).unwrap();
        let jws = key.jws_of(&header(&key), b"{\"a\":1}");
        for part in ["protected", "payload", "signature"] {
            let mut octets = base64url::decode(jws[part].as_str().unwrap().as_bytes()).unwrap();
            let place = at.index(octets.len());
            octets[place] ^= 1 << bit;
            let damaged = with(&jws, part, json!(base64url::encode(&octets)));
            let verified = Jws::parse(damaged.to_string().as_bytes())
                .is_ok_and(|damaged| damaged.verify(&account).is_ok());
            prop_assert!(!verified, "{part}");
        }
    }
}
