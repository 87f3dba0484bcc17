//! Provenance that came signed: verified by what its builder's signer leads to, and kept
//! as it came.

use attest::dsse::{self, Envelope};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use mesh::ProblemType as P;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::client::{answered, member, refused, sign, signed, smallest};
use super::evidence::{ARTIFACT, BUILDER, provenance};
use super::server::TestServer;

/// A profile that trusts its builder by this installation's own certificates.
const BY_CERTIFICATE: &str = "
[profiles.default]
[profiles.high.provenance]
minimum_level = 3
[[profiles.high.provenance.builders]]
id = 'https://builder.example/*'
signer = 'https://test.internal/service/**'
maximum_level = 3
[profiles.stranger.provenance]
required = true
[[profiles.stranger.provenance.builders]]
id = 'https://builder.example/*'
signer = 'https://ci.example/*'
maximum_level = 3
";

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_a_trusted_signer_counts_for_its_builder_s_level() {
    let server = TestServer::start(BY_CERTIFICATE).await;
    let client = server.http(Some("signer/alice"));
    // This very service is the builder's signer.
    let mut body = smallest();
    body["provenance"] = provenance(ARTIFACT);
    let built = signed(&server, &client, &body).await;
    assert_eq!(built["provenance"]["level"], 1);
    let url = built["provenanceAttestationURL"].as_str().unwrap();
    let bundle = client.get(url).send().await.unwrap().bytes().await.unwrap();
    let with = |profile: &str, provenance: &Value| {
        let mut body = smallest();
        body["profile"] = json!(profile);
        body["provenance"] = provenance.clone();
        sign(&server, &client, &body)
    };
    let sent: Value = serde_json::from_slice(&bundle).unwrap();
    let object = answered(with("high", &sent), 201).await;
    assert_eq!(object["provenance"]["level"], 3);
    assert_eq!(
        object["provenance"]["signer"],
        "https://test.internal/service/signing/signing"
    );
    assert_eq!(object["provenance"]["attestedByService"], false);
    // Its own attestation, and nothing was signed in its place.
    let sent_octets = serde_json::to_vec(&sent).unwrap();
    for member in ["provenanceURL", "provenanceAttestationURL"] {
        let kept = client.get(object[member].as_str().unwrap()).send().await;
        assert_eq!(
            kept.unwrap().bytes().await.unwrap(),
            sent_octets,
            "{member}"
        );
    }
    assert_eq!(object["tokenSignatures"], 6);
    // Sent over several lines, it is one in the lines.
    let pretty =
        base64::engine::general_purpose::STANDARD.encode(serde_json::to_vec_pretty(&sent).unwrap());
    let pretty = answered(with("high", &json!(pretty)), 201).await;
    let lines = client.get(pretty["attestationsURL"].as_str().unwrap());
    let lines = lines.send().await.unwrap().text().await.unwrap();
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        attest::bundle::Bundle::parse(line.as_bytes()).unwrap();
    }
    let vsa = client
        .get(object["vsaURL"].as_str().unwrap())
        .header("accept", "application/vnd.dsse.envelope.v1+json");
    let vsa = vsa.send().await.unwrap().bytes().await.unwrap();
    let vsa = Envelope::parse(&vsa, &attest::json::Limits::default()).unwrap();
    let vsa: Value = serde_json::from_slice(vsa.payload()).unwrap();
    assert_eq!(
        vsa["predicate"]["verifiedLevels"],
        json!(["SLSA_BUILD_LEVEL_3"])
    );

    // Signed by somebody else than the builder is trusted with.
    let document = refused(P::ProvenanceUntrustedBuilder, with("stranger", &sent)).await;
    assert!(
        member(&document, "actual").contains("service/signing"),
        "{document:?}"
    );
    // Unsigned it is not enough.
    let unsigned = with("high", &provenance(ARTIFACT));
    refused(P::ProvenanceUntrustedBuilder, unsigned).await;
    // Altered it is nothing.
    let mut altered = sent.clone();
    let signature = altered["dsseEnvelope"]["signatures"][0]["sig"]
        .as_str()
        .unwrap();
    let flipped = match signature.strip_prefix("ME") {
        Some(rest) => format!("MC{rest}"),
        None => format!("AA{}", &signature[2..]),
    };
    altered["dsseEnvelope"]["signatures"][0]["sig"] = json!(flipped);
    refused(P::ProvenanceInvalid, with("high", &altered)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_is_verified_with_its_builder_s_key() {
    let key = KeyPair::generate().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("builder.pem");
    std::fs::write(&path, key.public_key_pem()).unwrap();
    let config = format!(
        "[profiles.default.provenance]\nminimum_level = 2\n\
         [[profiles.default.provenance.builders]]\nid = '{BUILDER}'\nsigner = 'key:*'\n\
         trust = '{}'\nmaximum_level = 2\n",
        path.display()
    );
    let server = TestServer::start(&config).await;
    let client = server.http(Some("signer/alice"));
    let signer =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
    let envelope = |statement: &Value| {
        let payload = serde_json::to_vec(statement).unwrap();
        let pae = dsse::pae(dsse::IN_TOTO, &payload);
        let sig = signer.sign(&SystemRandom::new(), &pae).unwrap();
        let signature = dsse::Signature {
            keyid: None,
            sig: sig.as_ref().to_vec(),
        };
        let envelope = Envelope::signed(dsse::IN_TOTO, payload, signature).to_json();
        serde_json::from_slice::<Value>(&envelope).unwrap()
    };
    let with = |provenance: Value| {
        let mut body = smallest();
        body["provenance"] = provenance;
        sign(&server, &client, &body)
    };
    let object = answered(with(envelope(&provenance(ARTIFACT))), 201).await;
    assert_eq!(object["provenance"]["level"], 2);
    let other = with(envelope(&provenance(b"other")));
    refused(P::SubjectDigestMismatch, other).await;
    let mut forged = envelope(&provenance(ARTIFACT));
    forged["payload"] = envelope(&provenance(b"other"))["payload"].clone();
    refused(P::ProvenanceInvalid, with(forged)).await;
    server.stop().await;
}
