//! Tests of envelopes, against an envelope that securesystemslib signed.

use pki::algorithm::HashAlgorithm;
use proptest::prelude::*;

use super::*;

/// `Envelope.sign` of securesystemslib 1.6 with a P-256 key.
const SECURESYSTEMSLIB: &str = r#"{"payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "a15d85e63705ad93a16aa5b56572a4fb1a2644ef7ae29863767ed73b743c61a5", "sig": "MEUCIEIY4uy+5Hx2+qI+tQWStPVdIXHQwjWdemWFyMhU1WfmAiEAgZHKMpvqevP/xBwatGjlhztleaho504d73HlHpL+O9c="}]}"#;

/// The key that signed it.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpBfBP5FoxD2zfPV+4uN3Lb0Lvsb+
zqOF9ZtenVt2Ukg1vOboVxmCfFeNknFiPaAhLSpoBSad8L6ANIdw0CHnVg==
-----END PUBLIC KEY-----
";

/// How it is signed.
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);

/// Returns the key.
fn key() -> PublicKey {
    let spki_der = pki::pem::read_public_key(KEY.as_bytes()).unwrap();
    PublicKey::from_spki_der(&spki_der).unwrap()
}

/// Reads an envelope.
fn parse(text: &str) -> Result<Envelope, DsseError> {
    Envelope::parse(text.as_bytes(), &json::Limits::default())
}

#[test]
fn the_encoding_is_that_of_the_specification() {
    // protocol.md of DSSE, "Test Vectors".
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    assert_eq!(pae("\u{20ac}", b"\0"), b"DSSEv1 3 \xe2\x82\xac 1 \0");
}

#[test]
fn an_envelope_of_securesystemslib_is_read_and_verified() {
    let envelope = parse(SECURESYSTEMSLIB).unwrap();
    assert_eq!(envelope.payload_type(), IN_TOTO);
    assert_eq!(
        envelope.payload(),
        br#"{"_type":"https://in-toto.io/Statement/v1"}"#
    );
    let signature = envelope.verify(&key(), ALGORITHM).unwrap();
    assert_eq!(envelope.only_signature(), Ok(signature));
    assert_eq!(
        signature.keyid,
        key_id(&key()),
        "its key id is the one computed here"
    );
    let written = envelope.to_json();
    assert_eq!(
        Envelope::parse(&written, &json::Limits::default()).as_ref(),
        Ok(&envelope),
        "what is written is read the same"
    );
}

#[test]
fn a_change_of_payload_type_or_signature_is_found() {
    let original = parse(SECURESYSTEMSLIB).unwrap();
    let signature = original.signatures()[0].clone();
    let mut payload = original.payload().to_vec();
    payload[3] ^= 1;
    let changed = Envelope::signed(IN_TOTO, payload, signature.clone());
    assert_eq!(changed.verify(&key(), ALGORITHM), Err(DsseError::Signature));
    let payload = original.payload().to_vec();
    let changed = Envelope::signed("text/plain", payload.clone(), signature.clone());
    assert_eq!(changed.verify(&key(), ALGORITHM), Err(DsseError::Signature));
    let mut sig = signature.sig.clone();
    sig[20] ^= 1;
    let wrong = Signature { keyid: None, sig };
    let changed = Envelope::signed(IN_TOTO, payload.clone(), wrong.clone());
    assert_eq!(changed.verify(&key(), ALGORITHM), Err(DsseError::Signature));
    let both = Envelope::from_parts(IN_TOTO.into(), payload, vec![wrong, signature]).unwrap();
    assert_eq!(
        both.verify(&key(), ALGORITHM),
        Ok(&both.signatures()[1]),
        "one good signature among several is enough"
    );
    assert_eq!(
        both.only_signature(),
        Err(DsseError::SignatureCount { count: 2, max: 1 })
    );
}

#[test]
fn both_alphabets_are_read_and_only_canonical_texts() {
    let with = |payload: &str| {
        parse(&format!(
            r#"{{"payloadType":"t","payload":"{payload}","signatures":[{{"sig":"AA=="}}]}}"#
        ))
    };
    assert_eq!(with("+/8=").unwrap().payload(), [0xfb, 0xff]);
    assert_eq!(with("-_8=").unwrap().payload(), [0xfb, 0xff]);
    assert!(with("").unwrap().payload().is_empty());
    for refused in ["+/8", "+_8=", "+/9=", "+/8= ", "+\\n/8=", "+/8==", "é"] {
        assert_eq!(
            with(refused),
            Err(DsseError::Base64 {
                what: "the payload"
            }),
            "{refused}"
        );
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    let signatures = |signatures: &str| {
        format!(r#"{{"payloadType":"t","payload":"AA==","signatures":[{signatures}]}}"#)
    };
    let one = r#"{"keyid":"","sig":"AA=="}"#;
    assert_eq!(
        parse(&signatures(one)).unwrap().signatures()[0].keyid,
        None,
        "an empty key id is none"
    );
    assert_eq!(
        parse(&signatures("")),
        Err(DsseError::SignatureCount { count: 0, max: 16 })
    );
    assert_eq!(
        parse(&signatures(&vec![one; 17].join(","))),
        Err(DsseError::SignatureCount { count: 17, max: 16 })
    );
    let long = format!(r#"{{"sig":"{}"}}"#, "AAAA".repeat(2000));
    assert!(matches!(
        parse(&signatures(&long)),
        Err(DsseError::Length { len: 6000, .. })
    ));
    assert!(matches!(
        parse(&signatures(r#"{"sig":""}"#)),
        Err(DsseError::Length { len: 0, .. })
    ));
    for (refused, name) in [
        (
            r#"{"payload":"","Payload":"","payloadType":"t","signatures":[]}"#,
            "Payload",
        ),
        (
            r#"{"payload":"","payloadtype":"t","signatures":[]}"#,
            "payloadtype",
        ),
        (&*signatures(r#"{"sig":"AA==","SIG":"AA=="}"#), "SIG"),
    ] {
        assert_eq!(
            parse(refused),
            Err(DsseError::NameVariant { name: name.into() })
        );
    }
    for refused in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"payload":"","payload":"","payloadType":"t","signatures":[]}"#,
        r#"{"payload":1,"payloadType":"t","signatures":[{"sig":"AA=="}]}"#,
        r#"{"payload":"","payloadType":"t","signatures":{}}"#,
        r#"{"payload":"","payloadType":"t","signatures":["AA=="]}"#,
    ] {
        assert!(
            matches!(parse(refused), Err(DsseError::Json(_))),
            "{refused}"
        );
    }
    let told = parse("{}").unwrap_err().to_string();
    assert!(told.contains("payloadType"), "{told}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(
        payload_type in ".{1,20}", payload: Vec<u8>, keyid in proptest::option::of("\\PC{1,9}"),
        sig in proptest::collection::vec(any::<u8>(), 1..80),
    ) {
        let envelope = Envelope::signed(&payload_type, payload, Signature { keyid, sig });
        let read = Envelope::parse(&envelope.to_json(), &json::Limits::default());
        prop_assert_eq!(read, Ok(envelope));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _read = Envelope::parse(&bytes, &json::Limits::default());
    }
}
