//! Certificates with a forge's claims: who may have them, and what is in them.

use hsm_keystore::KeyAlgorithm;
use mesh::csr::{self, CsrContent};
use mesh::wire::{self, SignBody};
use mesh::{PROBLEM_JSON, ProblemType};
use pki::certificate::Certificate;
use pki::forge::{ForgeClaim, ForgeClaims};
use reqwest::{Client, Response};

use super::installation::{Installation, Served, uuid};

/// What a forge said of a build.
pub(super) fn claims(trigger: &str) -> ForgeClaims {
    let claims = [
        (ForgeClaim::Issuer, "https://token.forge.example"),
        (
            ForgeClaim::BuildSignerUri,
            "https://forge.example/acme/app/.forge/release.yml@refs/tags/v1",
        ),
        (
            ForgeClaim::SourceRepositoryUri,
            "https://forge.example/acme/app",
        ),
        (ForgeClaim::BuildTrigger, trigger),
    ];
    ForgeClaims::new(claims.map(|(claim, value)| (claim, value.to_owned()))).unwrap()
}

/// Makes a request without a name for a key that is no one's yet.
pub(super) async fn nameless_csr(installation: &Installation) -> Vec<u8> {
    let key = installation.fresh_key(KeyAlgorithm::EcP256);
    csr::build(key.as_ref(), &CsrContent::default())
        .await
        .unwrap()
}

/// Asks for a certificate with claims.
async fn ask(
    served: &Served,
    client: &Client,
    query: &str,
    csr_der: &[u8],
    forge: ForgeClaims,
    idempotency: &str,
) -> Response {
    use base64::Engine as _;
    let body = SignBody {
        csr: base64::engine::general_purpose::STANDARD.encode(csr_der),
        forge,
    };
    client
        .post(served.url(&format!("/sign?{query}")))
        .header("content-type", wire::SIGN_REQUEST)
        .json(&body)
        .header(wire::IDEMPOTENCY_KEY, idempotency)
        .send()
        .await
        .unwrap()
}

/// Takes the leaf out of a chain.
async fn leaf(response: Response) -> Certificate {
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 201, "{text}");
    let chain = pki::pem::read_certificates(text.as_bytes()).unwrap();
    Certificate::from_der(&chain[0]).unwrap()
}

/// Holds an answer to a problem.
async fn refused(response: Response, kind: ProblemType) {
    assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
    let problem: wire::ProblemDocument = response.json().await.unwrap();
    assert_eq!(problem.kind, kind.uri(), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signing_service_has_builds_certified_as_signers_for_ten_minutes() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let signing = served
        .client(&installation, "service:signing/signing")
        .await;
    let csr_der = nameless_csr(&installation).await;
    let query = "profile=ci-client&identity=signer/ci-app";
    let key = uuid();
    let response = ask(&served, &signing, query, &csr_der, claims("push"), &key).await;
    let client = leaf(response).await;
    assert_eq!(client.extensions().forge, Some(claims("push")));
    assert_eq!(
        client.facts().names,
        ["uri:spiffe://chancery.internal/signer/ci-app"]
    );
    let left = client.not_after().duration_since(installation.clock_now());
    assert_eq!(left.as_secs(), 599);

    // The same again is the same certificate; with other claims it is another request.
    let again = ask(&served, &signing, query, &csr_der, claims("push"), &key).await;
    assert_eq!(leaf(again).await.der(), client.der());
    let other = ask(&served, &signing, query, &csr_der, claims("tag"), &key).await;
    refused(other, ProblemType::IdempotencyConflict).await;

    // A key of the service's own, for the same build.
    let csr_der = nameless_csr(&installation).await;
    let query = "profile=code-signing-forge";
    let response = ask(&served, &signing, query, &csr_der, claims("push"), &uuid()).await;
    let signer = leaf(response).await;
    assert_eq!(signer.extensions().forge, Some(claims("push")));
    let name = format!("uri:{}", claims("push").build_signer_uri());
    assert_eq!(signer.facts().names, [name]);
    assert!(signer.subject().is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_vouches_for_a_forge_and_nothing_else_carries_its_claims() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let signing = served
        .client(&installation, "service:signing/signing")
        .await;
    let operator = served.client(&installation, "operator/alice").await;
    let acme = served.client(&installation, "service:acme/acme").await;
    let csr_der = nameless_csr(&installation).await;
    let issued = served.ca.status().certificates;
    let with_claims = async |client: &Client, query: String| {
        ask(&served, client, &query, &csr_der, claims("push"), &uuid()).await
    };
    let without = async |client: &Client, query: &str| {
        let post = client.post(served.url(&format!("/sign?{query}")));
        let post = post.header("content-type", wire::PKCS10);
        post.body(csr_der.clone()).send().await.unwrap()
    };
    use ProblemType as P;
    for profile in ["ci-client&identity=signer/ci", "code-signing-forge"] {
        let query = format!("profile={profile}");
        refused(
            with_claims(&operator, query.clone()).await,
            P::ProfileForbidden,
        )
        .await;
        refused(with_claims(&acme, query.clone()).await, P::ProfileForbidden).await;
        // Without claims there is nothing to certify.
        refused(without(&signing, &query).await, P::ProfileForbidden).await;
    }
    let query = "profile=service&identity=operator/alice";
    refused(
        with_claims(&operator, query.to_owned()).await,
        P::RoleForbidden,
    )
    .await;
    for query in ["profile=service", "profile=code-signing"] {
        let response = with_claims(&signing, query.to_owned()).await;
        let kind = response.json::<wire::ProblemDocument>().await.unwrap().kind;
        // A subject is missing besides, which may be found first.
        let expected = [P::CsrForbidden, P::NameForbidden].map(P::uri);
        assert!(expected.contains(&kind), "{kind}");
    }
    for identity in [
        "operator/alice",
        "service:signing/signing",
        "auditor/x",
        "enrol:acme/a",
    ] {
        let query = format!("profile=ci-client&identity={identity}");
        refused(with_claims(&signing, query).await, P::IdentityForbidden).await;
    }
    refused(
        with_claims(&signing, "profile=ci-client".to_owned()).await,
        P::IdentityForbidden,
    )
    .await;
    let query = "profile=ci-client&identity=signer/ci&validity=11m";
    refused(
        with_claims(&signing, query.to_owned()).await,
        P::ValidityForbidden,
    )
    .await;
    for body in [
        "{}",
        "[",
        r#"{"csr":"MAA=","forge":{}}"#,
        r#"{"csr":"?","forge":{"issuer":"https://f.example","build_signer_uri":"https://f.example/x"}}"#,
        r#"{"csr":"MAA=","forge":{"issuer":"https://f.example","build_signer_uri":"spiffe://x/y"}}"#,
    ] {
        let post = signing.post(served.url("/sign?profile=ci-client&identity=signer/ci"));
        let post = post.header("content-type", wire::SIGN_REQUEST).body(body);
        refused(post.send().await.unwrap(), P::MalformedRequest).await;
    }
    assert_eq!(served.ca.status().certificates, issued);
    served.stop().await;
}
