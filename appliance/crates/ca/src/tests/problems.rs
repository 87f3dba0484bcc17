//! Every problem that the CA API can answer with, reached over the network.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::{Error as KeyError, KeyAlgorithm};
use mesh::csr::{self, CsrContent};
use mesh::wire::{self, ProblemDocument};
use mesh::{PROBLEM_JSON, ProblemType};
use reqwest::{Client, RequestBuilder};
use store::{Error as StoreError, Fault};
use tokio::sync::Semaphore;

use super::faulty::{Act, Acting, Signing, unavailable};
use super::installation::{Installation, Served, eventually, uuid};
use super::requests::{self, P256};

/// Small limits, so that each is reached, and a profile that takes P-384 alone.
const CONFIG: &str = "
[limits]
body_timeout = '300ms'
[issuance]
max_in_flight = 1
[profiles.strict]
kind = 'tls-server'
keys = ['p384']
[profiles.strict.names]
allowed_domains = ['example.org']
";

/// Sends a request and checks the problem it is answered with.
async fn expect(reached: &mut BTreeSet<&'static str>, kind: ProblemType, request: RequestBuilder) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let (media_type, retry_after) = (header("content-type"), header("retry-after"));
    let text = response.text().await.unwrap();
    let document: ProblemDocument =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(document.kind, kind.uri(), "{text}");
    assert_eq!(status.as_u16(), kind.status().as_u16(), "{text}");
    assert_eq!(media_type.as_deref(), Some(PROBLEM_JSON));
    assert!(document.request_id.is_some(), "{text}");
    assert!(document.detail.len() > 15, "{text}");
    if status == 503 && kind != ProblemType::NotReady {
        assert!(retry_after.is_some(), "{text}");
    }
    for secret in ["CKR_", "/tmp", "panicked"] {
        assert!(!text.contains(secret), "{text}");
    }
    reached.insert(kind.slug());
}

/// Begins `POST /sign`.
fn sign(
    served: &Served,
    client: &Client,
    query: &str,
    body: impl Into<reqwest::Body>,
) -> RequestBuilder {
    client
        .post(served.url(&format!("/sign{query}")))
        .header("content-type", wire::PKCS10)
        .body(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_reached_and_leaves_nothing_behind() {
    use ProblemType as P;
    let installation = Installation::ready(CONFIG).await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let acme = served.client(&installation, "service:acme/a").await;
    let auditor = served.client(&installation, "auditor/eve").await;
    let good = installation.csr("www.example.org").await;
    let reached = &mut BTreeSet::new();
    let issued = served.ca.status().certificates;

    // Who asks.
    let nobody = served.client_as(None);
    expect(
        reached,
        P::ClientCertificateRequired,
        sign(&served, &nobody, "", good.clone()),
    )
    .await;
    let key = installation.fresh_key(KeyAlgorithm::EcP256);
    let content = CsrContent {
        subject: "CN=x".to_owned(),
        ..CsrContent::default()
    };
    let csr_der = csr::build(key.as_ref(), &content).await.unwrap();
    let unidentified = served.client_with(key, csr_der, "tls-client", None).await;
    let issued = {
        let _ = issued;
        served.ca.status().certificates
    };
    expect(
        reached,
        P::PeerUnidentified,
        unidentified.get(served.url("/status")),
    )
    .await;
    expect(
        reached,
        P::RoleForbidden,
        sign(&served, &auditor, "", good.clone()),
    )
    .await;
    expect(
        reached,
        P::ProfileForbidden,
        sign(&served, &acme, "?profile=code-signing", good.clone()),
    )
    .await;
    expect(
        reached,
        P::ProfileForbidden,
        sign(&served, &operator, "?profile=root-ca", good.clone()),
    )
    .await;
    expect(
        reached,
        P::IdentityForbidden,
        sign(
            &served,
            &acme,
            "?profile=service&identity=operator/x",
            good.clone(),
        ),
    )
    .await;
    expect(
        reached,
        P::IdentityForbidden,
        sign(&served, &operator, "?identity=operator/x", good.clone()),
    )
    .await;

    // What was asked.
    expect(reached, P::NotFound, operator.get(served.url("/nothing"))).await;
    expect(
        reached,
        P::MethodNotAllowed,
        operator.get(served.url("/sign")),
    )
    .await;
    let root = served.ca.authorities().root().serial().clone();
    let certificate = operator.get(served.url(&format!("/certificates/{root}")));
    expect(
        reached,
        P::NotAcceptable,
        certificate.header("accept", "text/html"),
    )
    .await;
    let form = operator.post(served.url("/sign")).body(good.clone());
    expect(
        reached,
        P::UnsupportedMediaType,
        form.header("content-type", "application/x-www-form-urlencoded"),
    )
    .await;
    expect(
        reached,
        P::MalformedRequest,
        sign(&served, &operator, "?profil=tls-server", good.clone()),
    )
    .await;
    expect(
        reached,
        P::MalformedRequest,
        sign(&served, &operator, "?identity=king", good.clone()),
    )
    .await;
    let bad_key = sign(&served, &operator, "", good.clone()).header("idempotency-key", "a b");
    expect(reached, P::MalformedRequest, bad_key).await;
    expect(
        reached,
        P::MalformedRequest,
        operator.get(served.url("/certificates?cursor=x")),
    )
    .await;
    expect(
        reached,
        P::MalformedRequest,
        operator.get(served.url("/certificates/xyz")),
    )
    .await;
    expect(
        reached,
        P::BodyTooLarge,
        sign(&served, &operator, "", vec![0x30; 70_000]),
    )
    .await;
    let never = reqwest::Body::wrap_stream(futures_util::stream::pending::<
        Result<Vec<u8>, std::io::Error>,
    >());
    expect(reached, P::BodyTimeout, sign(&served, &operator, "", never)).await;
    expect(
        reached,
        P::SerialUnknown,
        operator.get(served.url("/certificates/4000aa")),
    )
    .await;
    expect(
        reached,
        P::IssuerUnknown,
        operator.get(served.url("/ca/nobody.cer")),
    )
    .await;
    expect(
        reached,
        P::ProfileUnknown,
        sign(&served, &operator, "?profile=none", good.clone()),
    )
    .await;

    // What is wrong with the request.
    for nothing in [
        &b""[..],
        b"hello",
        b"-----BEGIN NOTHING-----\n",
        &good[..good.len() - 1],
    ] {
        expect(
            reached,
            P::NotACsr,
            sign(&served, &operator, "", nothing.to_vec()),
        )
        .await;
    }
    let other = installation.csr("other.example").await;
    let mut forged = good.clone();
    let (at, len) = (forged.len() - 8, 4);
    forged[at..at + len].copy_from_slice(&other[other.len() - 8..other.len() - 4]);
    expect(
        reached,
        P::CsrSignatureInvalid,
        sign(&served, &operator, "", forged),
    )
    .await;
    let path = installation.directory.path();
    let ca = requests::request(
        path,
        &P256,
        &[
            "-subj",
            "/CN=a.example",
            "-addext",
            "basicConstraints=CA:TRUE",
        ],
    );
    expect(reached, P::CsrForbidden, sign(&served, &operator, "", ca)).await;
    let foreign = requests::request(
        path,
        &P256,
        &["-subj", "/", "-addext", "subjectAltName=DNS:-bad-.example"],
    );
    expect(
        reached,
        P::NameForbidden,
        sign(&served, &operator, "", foreign),
    )
    .await;
    let spiffe = requests::request(
        path,
        &P256,
        &[
            "-subj",
            "/CN=x",
            "-addext",
            "subjectAltName=URI:spiffe://chancery.internal/operator/mallory",
        ],
    );
    expect(
        reached,
        P::NameForbidden,
        sign(&served, &operator, "?profile=tls-client", spiffe),
    )
    .await;
    expect(
        reached,
        P::KeyForbidden,
        sign(&served, &operator, "?profile=strict", good.clone()),
    )
    .await;
    let weak = requests::request(path, &["-newkey", "rsa:1024"], &["-subj", "/CN=a.example"]);
    expect(reached, P::WeakKey, sign(&served, &operator, "", weak)).await;
    for validity in ["soon", "100y", "1s"] {
        expect(
            reached,
            P::ValidityForbidden,
            sign(
                &served,
                &operator,
                &format!("?validity={validity}"),
                good.clone(),
            ),
        )
        .await;
    }

    // The same request again.
    let keyed =
        |csr: &[u8]| sign(&served, &operator, "", csr.to_vec()).header("idempotency-key", "once");
    let first = keyed(&good).send().await.unwrap();
    assert_eq!(first.status(), 201);
    let issued = issued + 1;
    expect(reached, P::IdempotencyConflict, keyed(&other)).await;

    // Not now.
    let gate = Arc::new(Semaphore::new(0));
    let begun = served.store.begun(Act::Issue);
    served
        .store
        .set(Act::Issue, Some(Acting::Waits(Arc::clone(&gate))));
    let waiting = tokio::spawn(sign(&served, &operator, "", good.clone()).send());
    eventually("it waits", || async {
        served.store.begun(Act::Issue) > begun
    })
    .await;
    expect(
        reached,
        P::QueueFull,
        sign(&served, &operator, "", good.clone()),
    )
    .await;
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 201);
    served.store.set(Act::Issue, None);
    let issued = issued + 1;

    for (signing, kind) in [
        (Signing::Fails(unavailable()), P::TokenUnavailable),
        (Signing::Fails(KeyError::Busy { waiting: 9 }), P::QueueFull),
        (
            Signing::Fails(KeyError::DeadlineExceeded {
                after: Duration::from_secs(1),
            }),
            P::TokenTimeout,
        ),
        (Signing::Garbage, P::Internal),
    ] {
        installation.keys.sign(signing);
        expect(reached, kind, sign(&served, &operator, "", good.clone())).await;
    }
    installation.keys.sign(Signing::Works);
    for (error, kind) in [
        (StoreError::Busy { capacity: 1 }, P::QueueFull),
        (
            StoreError::NoSpace {
                directory: path.into(),
            },
            P::DiskFull,
        ),
        (
            StoreError::Failed {
                fault: Arc::new(Fault::WriterGone),
            },
            P::StoreFailed,
        ),
    ] {
        served.store.set(Act::Intend, Some(Acting::Fails(error)));
        expect(reached, kind, sign(&served, &operator, "", good.clone())).await;
    }
    served.store.set(Act::Intend, None);
    installation.clock.advance(-7200);
    expect(
        reached,
        P::ClockImplausible,
        sign(&served, &operator, "", good.clone()),
    )
    .await;
    installation.clock.advance(7200);

    // Nothing was issued but what was answered 201, and nothing is left open.
    let status = served.ca.status();
    assert_eq!((status.certificates, status.open_intents), (issued, 0));
    assert_eq!(
        sign(&served, &operator, "", good)
            .send()
            .await
            .unwrap()
            .status(),
        201
    );
    served.stop().await;

    let missing: Vec<_> = P::ALL
        .iter()
        .map(|kind| kind.slug())
        .filter(|slug| !reached.contains(slug) && !ELSEWHERE.contains(slug))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Reached by tests of their own: below, and in the mesh for what the shell says.
const ELSEWHERE: [&str; 49] = [
    // In `revoke` and `published`.
    "already-revoked",
    "bad-invalidity-date",
    "bad-revocation-reason",
    "crl-unknown",
    "not-on-hold",
    "revocation-forbidden",
    // Of services that follow the CA's CRL.
    "crl-stale",
    "revocation-unknown",
    // Of the ACME service's operators, in its own tests.
    "acme-conflict",
    "acme-unknown",
    // Of the signing service, in its own tests.
    "webhook-unknown",
    "webhook-source-forbidden",
    "webhook-signature-invalid",
    "webhook-stale",
    "webhook-replayed",
    "webhook-unprocessable",
    "event-unknown",
    "delivery-unknown",
    "already-withdrawn",
    "artifact-digest-mismatch",
    "artifact-unknown",
    "crl-too-old",
    "digest-invalid",
    "evidence-absent",
    "log-entry-unknown",
    "evidence-malformed",
    "idempotency-key-reused",
    "oidc-claims-denied",
    "oidc-keys-unavailable",
    "oidc-token-invalid",
    "oidc-token-replayed",
    "oidc-token-required",
    "profile-denied",
    "provenance-invalid",
    "provenance-required",
    "provenance-untrusted-builder",
    "rate-limited",
    "sbom-invalid",
    "sbom-required",
    "sbom-subject-mismatch",
    "signature-unknown",
    "subject-digest-mismatch",
    "withdrawal-forbidden",
    // Of OCSP.
    "uri-too-long",
    "in-progress",
    "lint-failed",
    "not-ready",
    "overloaded",
    "peer-refused",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_served_is_in_progress() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let csr = installation.csr("a.example").await;
    let key = uuid();
    let ask = || sign(&served, &operator, "", csr.clone()).header("idempotency-key", &key);
    let begun = served.store.begun(Act::Issue);
    let gate = Arc::new(Semaphore::new(0));
    served
        .store
        .set(Act::Issue, Some(Acting::Waits(Arc::clone(&gate))));
    let waiting = tokio::spawn(ask().send());
    eventually("it waits", || async {
        served.store.begun(Act::Issue) > begun
    })
    .await;
    expect(&mut BTreeSet::new(), ProblemType::InProgress, ask()).await;
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 201);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_authority_is_not_ready() {
    let installation = Installation::ready("[issuance]\nmax_clock_jump = '876000h'").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    installation.clock.advance(11 * 366 * 86_400);
    let csr = installation.csr("a.example").await;
    expect(
        &mut BTreeSet::new(),
        ProblemType::NotReady,
        sign(&served, &operator, "", csr),
    )
    .await;
    assert!(!served.health.readiness().ready);
    served.stop().await;
}

#[test]
fn a_failed_lint_has_its_problem() {
    let refusal = crate::Refusal::Lint(pki::lint::LintFindings::Broken(Vec::new()));
    assert_eq!(
        crate::http::problem(refusal).kind(),
        ProblemType::LintFailed
    );
}
