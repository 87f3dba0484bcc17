//! Timestamps of the CA's own log key: recorded before they are signed, in what signs
//! code alone.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hsm_keystore::{KeyAlgorithm, KeyId, KeyStore};
use mesh::csr::{self, CsrContent};
use model::ProfileName;
use pki::certificate::Certificate;
use pki::public_key::PublicKey;
use pki::sct;
use store::{CertificateFilter, CertificateStore, Error as StoreError, Fault};

use super::faulty::{Act, Acting, Signing, unavailable};
use super::forge::{claims, nameless_csr};
use super::installation::{Installation, request};
use crate::{Ca, Error, IssueRequest, Refusal, Requester};

/// Timestamps on.
const ENABLED: &str = "[ct]\nenabled = true\n";

/// Asks for a certificate that signs code.
async fn code_signing(installation: &Installation) -> IssueRequest {
    let content = CsrContent {
        subject: "CN=Example Signer,O=Example".to_owned(),
        ..CsrContent::default()
    };
    let key = installation.fresh_key(KeyAlgorithm::EcP256);
    let csr_der = csr::build(key.as_ref(), &content).await.unwrap();
    IssueRequest {
        profile: Some(ProfileName::new("code-signing").unwrap()),
        ..request(csr_der)
    }
}

/// Returns the log key as the CA tells it.
fn log_key(ca: &Ca) -> PublicKey {
    let ct = ca.status().ct.unwrap();
    let key = PublicKey::from_spki_der(&BASE64.decode(ct.public_key).unwrap()).unwrap();
    assert_eq!(ct.log_id, hex::encode(sct::log_id(&key)));
    key
}

/// Issues and reads back.
async fn issue(ca: &Arc<Ca>, request: IssueRequest) -> Certificate {
    let issued = Arc::clone(ca).issue(request).await.unwrap();
    Certificate::from_der(&issued.certificate_der).unwrap()
}

/// Counts what is recorded of certificates.
async fn records(store: &dyn CertificateStore) -> usize {
    let filter = CertificateFilter::default();
    let page = store.certificates(filter, None, 1_000).await.unwrap();
    page.records.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_signs_code_carries_a_timestamp_and_nothing_else_does() {
    let installation = Installation::ready(ENABLED).await;
    let (ca, store) = installation.open().await;
    let log = log_key(&ca);
    let issuer = ca
        .authorities()
        .issuing()
        .certificate()
        .public_key()
        .clone();
    let signer = issue(&ca, code_signing(&installation).await).await;
    let verified = sct::verify(&signer, &issuer, std::slice::from_ref(&log)).unwrap();
    assert_eq!(verified[0].log_id, sct::log_id(&log));
    let difference = installation
        .clock_now()
        .duration_since(verified[0].timestamp);
    assert!(difference.as_millis() < 1, "{difference}");
    assert_eq!(store.begun(Act::Timestamp), 1);

    let forge = IssueRequest {
        profile: Some(ProfileName::new("code-signing-forge").unwrap()),
        forge: Some(claims("push")),
        requester: Requester::Peer("service:signing/signing".parse().unwrap()),
        ..request(nameless_csr(&installation).await)
    };
    let build = issue(&ca, forge).await;
    assert!(sct::verify(&build, &issuer, std::slice::from_ref(&log)).is_ok());

    let server = request(installation.csr("a.example").await);
    let server = issue(&ca, server).await;
    assert_eq!(server.extensions().scts, None);
    assert_eq!(store.begun(Act::Timestamp), 2);

    // The intent holds what was signed, the timestamp in it.
    let record = store.certificate(signer.serial()).await.unwrap().unwrap();
    assert_eq!(record.intent.tbs_der, signer.tbs_der());
    drop((ca, store));
    // The key stays.
    let (ca, _store) = installation.open().await;
    assert_eq!(log_key(&ca), log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_decides_for_itself() {
    let text = format!(
        "{ENABLED}[profiles.code-signing]\nembed_sct = false\n[profiles.tls-server]\nembed_sct = true\n"
    );
    let installation = Installation::ready(&text).await;
    let (ca, _store) = installation.open().await;
    let signer = issue(&ca, code_signing(&installation).await).await;
    assert_eq!(signer.extensions().scts, None);
    let server = issue(&ca, request(installation.csr("a.example").await)).await;
    let issuer = ca
        .authorities()
        .issuing()
        .certificate()
        .public_key()
        .clone();
    assert!(sct::verify(&server, &issuer, &[log_key(&ca)]).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_log_key_nothing_is_timestamped() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    assert_eq!(ca.status().ct, None);
    let signer = issue(&ca, code_signing(&installation).await).await;
    assert_eq!(signer.extensions().scts, None);
    assert_eq!(store.begun(Act::Timestamp), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_that_is_not_recorded_is_not_signed() {
    let installation = Installation::ready(ENABLED).await;
    let (ca, store) = installation.open().await;
    let wanted = code_signing(&installation).await;
    let (before, signed) = (records(store.as_ref()).await, installation.keys.asked());
    let failed = StoreError::Failed {
        fault: Arc::new(Fault::WriterGone),
    };
    store.set(Act::Timestamp, Some(Acting::Fails(failed)));
    let refusal = Arc::clone(&ca).issue(wanted.clone()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
    assert_eq!(installation.keys.asked(), signed, "something was signed");
    assert_eq!(records(store.as_ref()).await, before);
    store.set(Act::Timestamp, None);
    assert!(issue(&ca, wanted).await.extensions().scts.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_gives_no_timestamp_leaves_no_intent() {
    let installation = Installation::ready(ENABLED).await;
    let (ca, store) = installation.open().await;
    let wanted = code_signing(&installation).await;
    let before = records(store.as_ref()).await;
    installation.keys.sign(Signing::Fails(unavailable()));
    let refusal = Arc::clone(&ca).issue(wanted.clone()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::KeyStore(_)), "{refusal}");
    installation.keys.sign(Signing::Garbage);
    let refusal = Arc::clone(&ca).issue(wanted.clone()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Timestamp(_)), "{refusal}");
    assert_eq!(records(store.as_ref()).await, before);
    installation.keys.sign(Signing::Works);
    assert!(issue(&ca, wanted).await.extensions().scts.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_with_the_timestamp_recorded_a_start_finds_nothing_open() {
    let installation = Installation::ready(ENABLED).await;
    let (ca, store) = installation.open().await;
    let before = records(store.as_ref()).await;
    store.set(Act::Timestamp, Some(Acting::Mute));
    let task = tokio::spawn(Arc::clone(&ca).issue(code_signing(&installation).await));
    super::installation::eventually("the timestamp is recorded", || async {
        store.begun(Act::Timestamp) == 1
    })
    .await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    drop((ca, store));
    let (ca, store) = installation.open().await;
    assert_eq!(ca.status().settled_intents, 0);
    assert_eq!(records(store.as_ref()).await, before);
    let signer = issue(&ca, code_signing(&installation).await).await;
    assert!(signer.extensions().scts.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_key_of_another_kind_stops_the_start() {
    let installation = Installation::ready(ENABLED).await;
    let id = KeyId::new("ca-ct").unwrap();
    installation
        .keystore
        .generate_private_key(&id, KeyAlgorithm::EcP384)
        .unwrap();
    let store = installation.store();
    let refused = installation.open_over(store).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::LogKeyDiffers {
                found: KeyAlgorithm::EcP384,
                ..
            }
        ),
        "{refused}"
    );
    assert!(!refused.is_transient());
}
