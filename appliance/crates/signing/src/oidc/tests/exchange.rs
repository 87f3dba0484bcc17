//! The exchange of a token for a certificate, whole.

use std::sync::Arc;

use hsm_keystore::{FileStore, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey};
use mesh::PeerCertificate;
use mesh::csr::{self, CsrContent};
use model::signing::SigningProfileName;
use model::{Clock, ManualClock, PeerName, RequestId, TrustDomain};
use pki::certificate::Certificate;
use pki::forge::ForgeClaim;
use serde_json::{Value, json};

use super::super::enrol::{Certified, Refused};
use super::super::token::TokenError;
use super::super::{Oidc, OidcConfig, OidcMetrics, OidcParts};
use super::authority::{TestCa, run_time};
use super::forge::{AUDIENCE, Forge, ISSUER, Published, claims, claims_with, es256};

/// Enrolment with a forge, a CA and a clock that stands still.
pub(super) struct Stage {
    /// The forge.
    pub(super) forge: Forge,
    /// What it publishes.
    pub(super) published: Arc<Published>,
    /// The CA.
    pub(super) ca: Arc<TestCa>,
    /// The time.
    pub(super) clock: Arc<ManualClock>,
    /// Enrolment.
    pub(super) oidc: Arc<Oidc>,
    /// Keys of clients.
    keys: tempfile::TempDir,
}

/// The rules of a stage.
const RULES: &str = r#"
[[oidc.rules]]
name = "release"
signer = "ci-release"
profiles = ["release", "nightly"]
[oidc.rules.claims]
repository = "acme/app"
ref = ["refs/tags/v*", "refs/heads/release/**"]
environment = "production"

[[oidc.rules]]
name = "nightly"
signer = "ci-nightly"
profiles = ["nightly"]
[oidc.rules.claims]
repository_owner_id = "77"
event_name = "schedule"
"#;

/// Reads `[[oidc]]`.
pub(super) fn config(text: &str) -> OidcConfig {
    /// The section.
    #[derive(serde::Deserialize)]
    struct Section {
        /// The issuers.
        oidc: OidcConfig,
    }
    toml::from_str::<Section>(text).unwrap().oidc
}

/// Writes an issuer with more keys, and the rules of a stage.
pub(super) fn written(more: &str) -> String {
    format!(
        "[[oidc]]\nname = 'github'\nkind = 'github'\nissuer = '{ISSUER}'\n\
         audiences = ['{AUDIENCE}']\n{more}\n{RULES}"
    )
}

impl Stage {
    /// Sets the stage.
    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// Sets the stage with more keys of the issuer.
    pub(super) fn with(more: &str) -> Self {
        let clock = Arc::new(ManualClock::at(run_time()));
        let forge = Forge::new();
        let published = Published::of(&forge);
        let ca = TestCa::new(Arc::clone(&clock));
        let oidc = start(&written(more), &ca, &published, &clock);
        Self {
            forge,
            published,
            ca,
            clock,
            oidc,
            keys: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts enrolment anew: nothing is remembered here.
    pub(super) fn restart(&mut self) {
        self.oidc = start(&written(""), &self.ca, &self.published, &self.clock);
    }

    /// Makes a client's key.
    pub(super) fn key(&self, name: &str) -> Arc<dyn PrivateKey> {
        let store = FileStore::open(self.keys.path(), KeyStoreMetrics::default()).unwrap();
        let id = KeyId::new(name).unwrap();
        store
            .get_private_key(&id)
            .or_else(|_| store.generate_private_key(&id, KeyAlgorithm::EcP256))
            .unwrap()
    }

    /// Makes a request for a client's key.
    pub(super) async fn csr(&self, name: &str) -> Vec<u8> {
        csr::build(self.key(name).as_ref(), &CsrContent::default())
            .await
            .unwrap()
    }

    /// Makes a token of a build, made now.
    pub(super) fn token(&self, jti: &str) -> String {
        self.forge.token(&claims(self.clock.now(), jti))
    }

    /// Makes the same with one claim otherwise.
    pub(super) fn token_with(&self, jti: &str, name: &str, value: Value) -> String {
        self.forge
            .token(&claims_with(self.clock.now(), jti, name, value))
    }

    /// Exchanges a token.
    pub(super) async fn exchange(
        &self,
        token: &str,
        csr_der: Vec<u8>,
    ) -> Result<Certified, Refused> {
        let request = RequestId::new("test").unwrap();
        self.oidc.exchange(token, csr_der, &request).await
    }
}

/// Starts enrolment.
fn start(
    text: &str,
    ca: &Arc<TestCa>,
    published: &Arc<Published>,
    clock: &Arc<ManualClock>,
) -> Arc<Oidc> {
    let is_profile = |name: &SigningProfileName| matches!(name.as_str(), "release" | "nightly");
    Oidc::new(OidcParts {
        config: config(text).check(&is_profile).unwrap(),
        ca: Arc::clone(ca) as _,
        fetch: Arc::clone(published) as _,
        clock: Arc::clone(clock) as _,
        metrics: OidcMetrics::default(),
    })
}

/// Reads the leaf of a chain.
fn leaf(certified: &Certified) -> Certificate {
    let chain = pki::pem::read_certificates(certified.chain_pem.as_bytes()).unwrap();
    Certificate::from_der(&chain[0]).unwrap()
}

#[tokio::test]
async fn a_token_becomes_a_ten_minute_client_that_says_what_the_forge_said() {
    let stage = Stage::new();
    let csr = stage.csr("client").await;
    let certified = stage.exchange(&stage.token("1"), csr).await.unwrap();
    let leaf = leaf(&certified);
    assert_eq!(
        leaf.public_key().spki_der(),
        stage.key("client").public_key_der()
    );
    let left = leaf.not_after().duration_since(stage.clock.now());
    assert_eq!(left.as_secs(), 599);

    // As the mesh reads it.
    let peer = PeerCertificate::parse(leaf.der()).unwrap();
    let domain = TrustDomain::new("chancery.internal").unwrap();
    let identity = peer.identity(&domain).unwrap();
    assert_eq!(identity.to_string(), "signer/ci-release");
    let said = peer.forge_claims().unwrap();
    let sha = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.0";
    let builder = "https://github.com/acme/workflows/.github/workflows/build.yml@refs/heads/main";
    let run = "https://github.com/acme/app/actions/runs/4242/attempts/1";
    let expected = [
        (ForgeClaim::Issuer, ISSUER),
        (ForgeClaim::BuildSignerUri, builder),
        (
            ForgeClaim::BuildSignerDigest,
            "ffeeddccbbaa99887766554433221100ffeeddcc",
        ),
        (ForgeClaim::RunnerEnvironment, "github-hosted"),
        (
            ForgeClaim::SourceRepositoryUri,
            "https://github.com/acme/app",
        ),
        (ForgeClaim::SourceRepositoryDigest, sha),
        (ForgeClaim::SourceRepositoryRef, "refs/tags/v1.2.0"),
        (ForgeClaim::SourceRepositoryIdentifier, "1001"),
        (
            ForgeClaim::SourceRepositoryOwnerUri,
            "https://github.com/acme",
        ),
        (ForgeClaim::SourceRepositoryOwnerIdentifier, "77"),
        (ForgeClaim::BuildConfigUri, workflow),
        (ForgeClaim::BuildConfigDigest, sha),
        (ForgeClaim::BuildTrigger, "push"),
        (ForgeClaim::RunInvocationUri, run),
        (ForgeClaim::SourceRepositoryVisibility, "private"),
    ];
    assert_eq!(said.iter().collect::<Vec<_>>(), expected);

    // The rule's profiles, and no others.
    let allows = |signer: &str, profile: &str| {
        let profile = SigningProfileName::new(profile).unwrap();
        let signer = PeerName::new(signer).unwrap();
        stage.oidc.config().allows(&signer, said, &profile)
    };
    assert!(allows("ci-release", "release"));
    assert!(allows("ci-release", "nightly"));
    assert!(allows("ci-nightly", "nightly"));
    assert!(!allows("ci-nightly", "release"));
    assert!(!allows("alice", "release"));
}

#[tokio::test]
async fn an_ecdsa_token_is_as_good() {
    let stage = Stage::new();
    let token = stage
        .forge
        .sign_ec(&es256(), &claims(stage.clock.now(), "1"));
    let csr = stage.csr("client").await;
    assert!(stage.exchange(&token, csr).await.is_ok());
}

#[tokio::test]
async fn builds_that_no_rule_names_are_denied() {
    let stage = Stage::new();
    let csr = stage.csr("client").await;
    for (name, value) in [
        ("repository", json!("acme/other")),
        ("repository", json!("ACME/app")),
        ("repository", json!("evil/acme/app")),
        ("ref", json!("refs/heads/main")),
        ("ref", json!("refs/tags/v1/../../heads/main")),
        ("ref", json!("prefix/refs/tags/v1")),
        ("environment", json!("staging")),
        ("environment", Value::Null),
        ("environment", json!(["production"])),
    ] {
        let token = stage.token_with("1", name, value.clone());
        let refused = stage.exchange(&token, csr.clone()).await.unwrap_err();
        assert!(
            matches!(refused, Refused::Denied { rules: 2, .. }),
            "{name} {value}: {refused}"
        );
    }
    for allowed in ["refs/tags/v2", "refs/heads/release/1/x"] {
        let token = stage.token_with(allowed, "ref", json!(allowed));
        assert!(
            stage.exchange(&token, csr.clone()).await.is_ok(),
            "{allowed}"
        );
    }
    // The second rule has its turn where the first does not match.
    let token = stage.token_with("n", "event_name", json!("schedule"));
    let certified = stage.exchange(&token, csr.clone()).await.unwrap();
    assert!(names(&certified).contains(&"ci-release".to_owned()));
    let mut scheduled = claims_with(stage.clock.now(), "m", "event_name", json!("schedule"));
    scheduled["ref"] = json!("refs/heads/main");
    let certified = stage
        .exchange(&stage.forge.token(&scheduled), csr)
        .await
        .unwrap();
    assert!(names(&certified).contains(&"ci-nightly".to_owned()));
}

/// Returns the last parts of a leaf's names.
fn names(certified: &Certified) -> Vec<String> {
    let names = leaf(certified).facts().names;
    let last = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
    names.iter().map(last).collect()
}

#[tokio::test]
async fn a_token_is_good_for_one_request_over_restarts_too() {
    let mut stage = Stage::new();
    let (csr, other) = (stage.csr("client").await, stage.csr("other").await);
    let token = stage.token("1");
    let first = stage.exchange(&token, csr.clone()).await.unwrap();
    // A client that missed the answer asks again.
    let again = stage.exchange(&token, csr.clone()).await.unwrap();
    assert_eq!(again.chain_pem, first.chain_pem);
    let refused = stage.exchange(&token, other.clone()).await.unwrap_err();
    assert!(matches!(refused, Refused::Replayed), "{refused}");
    // The same token, signed anew: its name is what counts.
    let resigned = stage
        .forge
        .sign_ec(&es256(), &claims(stage.clock.now(), "1"));
    let refused = stage.exchange(&resigned, other.clone()).await.unwrap_err();
    assert!(matches!(refused, Refused::Replayed), "{refused}");
    assert_eq!(stage.ca.signed().len(), 1);

    stage.restart();
    let refused = stage.exchange(&token, other.clone()).await.unwrap_err();
    assert!(matches!(refused, Refused::Replayed), "{refused}");
    // Whoever missed the answer before the restart gets it still.
    let again = stage.exchange(&token, csr).await.unwrap();
    assert_eq!(again.chain_pem, first.chain_pem);
    assert_eq!(stage.ca.signed().len(), 1);
}

#[tokio::test]
async fn a_token_without_a_name_is_known_by_what_was_signed() {
    let stage = Stage::with("required_claims = ['sub']");
    let token = stage.token_with("", "jti", Value::Null);
    let (csr, other) = (stage.csr("client").await, stage.csr("other").await);
    assert!(stage.exchange(&token, csr).await.is_ok());
    let refused = stage.exchange(&token, other).await.unwrap_err();
    assert!(matches!(refused, Refused::Replayed), "{refused}");
}

#[tokio::test]
async fn a_bad_request_is_refused_and_leaves_the_token_good() {
    let stage = Stage::new();
    let token = stage.token("1");
    let good = stage.csr("client").await;
    // Signed by another key: the signature's last octets are another's.
    let mut forged = good.clone();
    let other = stage.csr("other").await;
    let tail = 40;
    let (at, from) = (forged.len() - tail, other.len() - tail);
    forged[at..].copy_from_slice(&other[from..]);
    let refused = stage.exchange(&token, forged).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Refused::Csr(pki::csr::CsrError::Signature | pki::csr::CsrError::Encoding(_))
        ),
        "{refused}"
    );
    let named = CsrContent {
        dns: vec!["a.example".to_owned()],
        ..CsrContent::default()
    };
    let named = csr::build(stage.key("client").as_ref(), &named)
        .await
        .unwrap();
    let refused = stage.exchange(&token, named).await.unwrap_err();
    assert!(matches!(refused, Refused::Names), "{refused}");
    let refused = stage.exchange(&token, vec![0x30, 0x00]).await.unwrap_err();
    assert!(matches!(refused, Refused::Csr(_)), "{refused}");
    assert_eq!(stage.ca.signed().len(), 0);
    assert!(stage.exchange(&token, good).await.is_ok());
}

#[tokio::test]
async fn a_ca_that_is_away_leaves_the_token_good_for_the_same_request() {
    let stage = Stage::new();
    let token = stage.token("1");
    let csr = stage.csr("client").await;
    *stage.ca.away.lock().unwrap() = true;
    let refused = stage.exchange(&token, csr.clone()).await.unwrap_err();
    assert!(matches!(refused, Refused::Ca(_)), "{refused}");
    *stage.ca.away.lock().unwrap() = false;
    assert!(stage.exchange(&token, csr).await.is_ok());
}

#[tokio::test]
async fn claims_that_cannot_stand_in_a_certificate_are_refused() {
    let stage = Stage::new();
    let csr = stage.csr("client").await;
    let token = stage.token_with("1", "runner_environment", json!("a\nb"));
    let refused = stage.exchange(&token, csr.clone()).await.unwrap_err();
    assert!(matches!(refused, Refused::Claims(_)), "{refused}");
    // What a token does not say is left out of the certificate.
    let token = stage.token_with("2", "runner_environment", Value::Null);
    let certified = stage.exchange(&token, csr).await.unwrap();
    let said = leaf(&certified).extensions().forge.clone().unwrap();
    assert_eq!(said.get(ForgeClaim::RunnerEnvironment), None);
}

#[tokio::test]
async fn an_ended_token_is_refused_by_the_clock() {
    let stage = Stage::new();
    let token = stage.token("1");
    let csr = stage.csr("client").await;
    stage.clock.advance(300 + 29);
    assert!(stage.exchange(&token, csr.clone()).await.is_ok());
    stage.clock.advance(1);
    let refused = stage.exchange(&token, csr).await.unwrap_err();
    assert!(
        matches!(refused, Refused::Token(TokenError::Expired { .. })),
        "{refused}"
    );
}
