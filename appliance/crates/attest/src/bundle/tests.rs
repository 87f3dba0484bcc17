//! Bundles as they are written, and everything that is no bundle.

use proptest::prelude::*;

use super::*;
use crate::dsse::{IN_TOTO, Signature};

/// An entry in a log.
fn entry() -> LogEntry {
    LogEntry {
        log_index: 3,
        log_id: vec![1; 32],
        kind: HashedRekord::KIND.into(),
        version: HashedRekord::VERSION.into(),
        integrated_time: None,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: 3,
            tree_size: 4,
            root_hash: [2; 32],
            hashes: vec![[3; 32], [4; 32]],
            checkpoint: "log\n4\nAA==\n\n".into(),
        }),
        canonicalized_body: b"{}".to_vec(),
    }
}

/// A bundle of an artifact's signature.
fn message() -> Bundle {
    Bundle::message(
        b"leaf",
        ArtifactDigest::sha256([5; 32]),
        b"signature".to_vec(),
    )
    .with_time_stamp(b"time".to_vec())
    .with_log_entry(entry())
}

/// A bundle of an envelope.
fn envelope() -> Bundle {
    let signature = Signature {
        keyid: Some("key".into()),
        sig: b"sig".to_vec(),
    };
    let envelope = Envelope::signed(IN_TOTO, b"{ }".to_vec(), signature);
    Bundle::envelope(b"leaf", envelope).unwrap()
}

/// Reads an altered bundle.
fn altered(from: &str, to: &str) -> Result<Bundle, BundleError> {
    let json = message().to_json();
    assert!(json.contains(from), "{from}");
    Bundle::parse(json.replacen(from, to, 1).as_bytes())
}

#[test]
fn a_message_bundle_is_written_as_version_0_3() {
    insta::assert_snapshot!(message().to_json(), @r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"bGVhZg=="},"tlogEntries":[{"logIndex":"3","logId":{"keyId":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},"kindVersion":{"kind":"hashedrekord","version":"0.0.2"},"inclusionProof":{"logIndex":"3","rootHash":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","treeSize":"4","hashes":["AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=","BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ="],"checkpoint":{"envelope":"log\n4\nAA==\n\n"}},"canonicalizedBody":"e30="}],"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"dGltZQ=="}]}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU="},"signature":"c2lnbmF0dXJl"}}"#);
}

#[test]
fn an_envelope_bundle_holds_the_envelope_as_it_writes_itself() {
    insta::assert_snapshot!(envelope().to_json(), @r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"bGVhZg=="},"tlogEntries":[],"timestampVerificationData":{"rfc3161Timestamps":[]}},"dsseEnvelope":{"payload":"eyB9","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":"c2ln"}]}}"#);
}

#[test]
fn bundles_are_read_as_they_are_written() {
    for bundle in [message(), envelope()] {
        assert_eq!(Bundle::parse(bundle.to_json().as_bytes()), Ok(bundle));
    }
    assert_eq!(message().signature(), b"signature");
    assert_eq!(envelope().signature(), b"sig");
}

#[test]
fn older_versions_hold_a_chain() {
    let old = Bundle {
        media_type: MediaType::V0_2,
        certificate_chain: vec![b"leaf".to_vec(), b"issuer".to_vec()],
        ..message()
    };
    let json = old.to_json();
    assert_eq!(Bundle::parse(json.as_bytes()), Ok(old));
    // The version decides where the certificate stands.
    let json = json.replace("version=0.2", "version=0.3");
    assert!(matches!(
        Bundle::parse(json.as_bytes()),
        Err(BundleError::Certificates { count: 2, .. })
    ));
    assert!(matches!(
        altered(".v0.3+json", "+json;version=0.1"),
        Err(BundleError::Certificates { count: 1, .. })
    ));
    assert_eq!(altered(".v0.3+json", "+json;version=0.3"), Ok(message()));
}

#[test]
fn numbers_may_be_numbers_and_members_null_as_protocol_buffers_allow() {
    assert_eq!(
        altered("\"logIndex\":\"3\"", "\"logIndex\":3"),
        Ok(message())
    );
    let json = envelope().to_json();
    let json = json.replace("\"tlogEntries\":[]", "\"tlogEntries\":null");
    assert_eq!(Bundle::parse(json.as_bytes()), Ok(envelope()));
}

#[test]
fn what_is_no_bundle_says_why() {
    let field = |field| Err(BundleError::Field { field });
    assert!(matches!(
        altered(".v0.3+json", ".v0.4+json"),
        Err(BundleError::MediaType { .. })
    ));
    assert_eq!(
        altered("\"logIndex\":\"3\"", "\"logIndex\":\"-3\""),
        field("log index")
    );
    assert_eq!(
        altered("\"treeSize\":\"4\"", "\"treeSize\":\"-1\""),
        field("tree size")
    );
    assert_eq!(altered("SHA2_256", "SHA1"), field("message digest"));
    assert_eq!(altered("SHA2_256", "SHA2_512"), field("message digest"));
    assert_eq!(altered("\"checkpoint\":{", "\"x\":{"), field("checkpoint"));
    assert_eq!(
        altered("\"inclusionProof\":{", "\"x\":{"),
        field("inclusion proof")
    );
    assert_eq!(altered("AgICAgIC", "AgIC"), field("root hash"));
    assert_eq!(
        altered("\"messageSignature\"", "\"x\""),
        Err(BundleError::Content)
    );
    assert_eq!(
        altered("\"certificate\":{", "\"publicKey\":{},\"certificate\":{"),
        Err(BundleError::PublicKey)
    );
    for (from, to) in [
        ("\"verificationMaterial\"", "\"x\""),
        ("c2lnbmF0dXJl", "!"),
        ("\"treeSize\":\"4\"", "\"treeSize\":\"4x\""),
        ("\"treeSize\":\"4\"", "\"treeSize\":9223372036854775808"),
        ("\"treeSize\":\"4\"", "\"treeSize\":4.5"),
        (
            "\"treeSize\":\"4\"",
            "\"treeSize\":\"4\",\"treeSize\":\"5\"",
        ),
    ] {
        assert!(
            matches!(altered(from, to), Err(BundleError::Json(_))),
            "{to}"
        );
    }
}

#[test]
fn both_contents_and_several_signatures_are_refused() {
    let json = envelope().to_json();
    let both = json.replace(
        "\"dsseEnvelope\"",
        "\"messageSignature\":{\"signature\":\"AA==\"},\"dsseEnvelope\"",
    );
    assert_eq!(Bundle::parse(both.as_bytes()), Err(BundleError::Content));
    let twice = json.replace("\"signatures\":[", "\"signatures\":[{\"sig\":\"AA==\"},");
    assert!(matches!(
        Bundle::parse(twice.as_bytes()),
        Err(BundleError::Envelope(DsseError::SignatureCount {
            count: 2,
            ..
        }))
    ));
}

#[test]
fn more_than_is_looked_at_is_refused() {
    let many = (0..33).fold(message(), |bundle, _| bundle.with_time_stamp(vec![1]));
    assert!(matches!(
        Bundle::parse(many.to_json().as_bytes()),
        Err(BundleError::TooMany {
            what: "time-stamps",
            count: 34,
            ..
        })
    ));
    let mut long = entry();
    long.inclusion_proof.as_mut().unwrap().hashes = vec![[0; 32]; 65];
    let long = message().with_log_entry(long);
    assert!(matches!(
        Bundle::parse(long.to_json().as_bytes()),
        Err(BundleError::TooMany {
            what: "hashes in a proof",
            ..
        })
    ));
}

#[test]
fn lines_are_bundles_and_a_bundle_may_take_several_lines() {
    let lines = format!("{}\n\n{}\n", message().to_json(), envelope().to_json());
    assert_eq!(
        Bundle::parse_lines(lines.as_bytes()),
        Ok(vec![message(), envelope()])
    );
    let value: serde_json::Value = serde_json::from_str(&message().to_json()).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(Bundle::parse_lines(pretty.as_bytes()), Ok(vec![message()]));
    let broken = format!("{}\n{{}}\n", message().to_json());
    assert!(matches!(
        Bundle::parse_lines(broken.as_bytes()),
        Err(BundleError::Line { line: 2, .. })
    ));
    let many = format!("{}\n", message().to_json()).repeat(MAX_LINES + 1);
    assert!(matches!(
        Bundle::parse_lines(many.as_bytes()),
        Err(BundleError::TooMany { what: "lines", .. })
    ));
    assert!(matches!(
        Bundle::parse_lines(b""),
        Err(BundleError::Json(_))
    ));
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        let _ = Bundle::parse_lines(&octets);
    }

    #[test]
    fn a_bundle_cut_or_altered_never_panics(at in 0_usize..2000, octet: u8, cut: bool) {
        let mut json = message().to_json().into_bytes();
        let at = at % json.len();
        if cut { json.truncate(at) } else { json[at] = octet }
        let _ = Bundle::parse(&json);
    }
}
