//! What is read as an order, and what is not.

use serde_json::json;

use super::*;

fn read(body: serde_json::Value) -> Result<RevokeOrder, InvalidRevokeBody> {
    serde_json::from_value::<RevokeBody>(body).unwrap().check()
}

#[test]
fn a_serial_with_a_reason_by_name_or_code_is_read() {
    for reason in [
        json!("keyCompromise"),
        json!("KEYCOMPROMISE"),
        json!("1"),
        json!(1),
    ] {
        let order = read(json!({"serial": "40:01:AB", "reason": reason})).unwrap();
        let RevokeOrder::Certificate(request) = order else {
            panic!("a serial names a certificate");
        };
        assert_eq!(request.reason, RevocationReason::KeyCompromise);
        assert_eq!(
            request.target,
            RevokeTarget::Serial("4001ab".parse().unwrap())
        );
    }
}

#[test]
fn without_a_reason_it_is_unspecified() {
    let RevokeOrder::Certificate(request) = read(json!({"serial": "01"})).unwrap() else {
        panic!("a serial names a certificate");
    };
    assert_eq!(request.reason, RevocationReason::Unspecified);
    assert_eq!(request.invalidity_date, None);
}

#[test]
fn reasons_that_rfc_5280_does_not_know_are_told_apart_from_other_faults() {
    for reason in [
        json!(7),
        json!(-1),
        json!(256),
        json!("stolen"),
        json!("11"),
        json!(""),
    ] {
        let refused = read(json!({"serial": "01", "reason": reason})).unwrap_err();
        assert!(
            matches!(refused, InvalidRevokeBody::Reason { .. }),
            "{refused}"
        );
    }
    let long = read(json!({"serial": "01", "reason": "x".repeat(10_000)})).unwrap_err();
    assert!(long.to_string().len() < 120);
}

#[test]
fn exactly_one_target_is_taken() {
    assert_eq!(read(json!({})), Err(InvalidRevokeBody::Target { count: 0 }));
    assert_eq!(
        read(json!({"serial": "01", "public_key_sha256": "00"})),
        Err(InvalidRevokeBody::Target { count: 2 })
    );
}

#[test]
fn a_mistyped_member_is_refused_not_ignored() {
    let body = json!({"serial": "01", "reasn": "keyCompromise"});
    assert!(serde_json::from_value::<RevokeBody>(body).is_err());
}

#[test]
fn orders_survive_the_way_over_the_wire() {
    let invalidity_date = Some("2026-01-02T03:04:05Z".parse().unwrap());
    for target in [
        RevokeTarget::Serial("4001ab".parse().unwrap()),
        RevokeTarget::Certificate(vec![0x30, 0x03, 0x02, 0x01, 0x05]),
    ] {
        let request = RevokeRequest {
            target,
            reason: RevocationReason::CaCompromise,
            invalidity_date,
            request_id: None,
        };
        let body = serde_json::to_value(RevokeBody::from(&request)).unwrap();
        assert_eq!(body["reason"], "cACompromise");
        assert_eq!(read(body), Ok(RevokeOrder::Certificate(request)));
    }
    let request = RevokeKeyRequest {
        public_key_sha256: [0xab; 32],
        reason: RevocationReason::KeyCompromise,
        invalidity_date,
        request_id: None,
    };
    let body = serde_json::to_value(RevokeBody::from(&request)).unwrap();
    assert_eq!(read(body), Ok(RevokeOrder::Key(request)));
}

#[test]
fn garbled_targets_are_refused() {
    for (body, wanted) in [
        (json!({"serial": "zz"}), "serial"),
        (json!({"serial": "00"}), "serial"),
        (json!({"certificate": "???"}), "certificate"),
        (json!({"certificate": ""}), "certificate"),
        (
            json!({"certificate": "-----BEGIN CERTIFICATE-----"}),
            "certificate",
        ),
        (json!({"public_key_sha256": "abcd"}), "public_key_sha256"),
        (
            json!({"public_key_sha256": "a".repeat(100_000)}),
            "public_key_sha256",
        ),
    ] {
        let refused = read(body).unwrap_err().to_string();
        assert!(refused.starts_with(wanted), "{refused}");
    }
}

#[test]
fn what_is_exported_can_be_imported_and_newer_members_are_ignored() {
    let record = json!({
        "serial": "4001ab", "issuer": "issuing", "revoked_at": "2026-01-02T03:04:05Z",
        "reason": "removeFromCRL", "not_after": "2027-01-01T00:00:00Z", "colour": "red"
    });
    let read: RevocationRecord = serde_json::from_value(record).unwrap();
    assert_eq!(read.reason, RevocationReason::RemoveFromCrl);
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["reason"], "removeFromCRL");
    let imported: ImportedRevocation = serde_json::from_value(written).unwrap();
    assert_eq!(
        imported.issuer.as_ref().map(IssuerId::as_str),
        Some("issuing")
    );
    let bare: ImportedRevocation =
        serde_json::from_value(json!({"serial": "01", "revoked_at": "2026-01-02T03:04:05Z"}))
            .unwrap();
    assert_eq!(bare.reason, RevocationReason::Unspecified);
}

#[test]
fn scopes_are_words() {
    for (scope, text) in [
        (CrlScope::Full, "full"),
        (CrlScope::Delta, "delta"),
        (CrlScope::Shard(3), "shard-3"),
    ] {
        assert_eq!(serde_json::to_value(scope).unwrap(), text);
        assert_eq!(text.parse(), Ok(scope));
    }
    assert!("shard-".parse::<CrlScope>().is_err());
    assert!("Full".parse::<CrlScope>().is_err());
}
