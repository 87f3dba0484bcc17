//! Builds of a forge: a token becomes a client, the client has something signed, and
//! GitHub's own verifier finds the build in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use chancery_tests::verifiers::{Question, Verifier};
use chancery_tests::{Appliance, Curl, Identity, Judge, Reply, run};
use pki::certificate::Certificate;
use pki::forge::ForgeClaim;
use pki::public_key::PublicKey;
use pki::sct;
use serde_json::{Value, json};

use super::{certified, with_signing};

/// The issuer of the tokens.
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The workflow that builds.
const WORKFLOW: &str = "acme/app/.github/workflows/release.yml@refs/tags/v1.2.0";

/// What is signed.
const ARTIFACT: &[u8] = b"an artifact of a build";

/// A forge: the key of its tokens.
struct Forge(EcdsaKeyPair);

impl Forge {
    /// Makes it.
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// Returns its keys as it publishes them.
    fn jwks(&self) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (
            BASE64URL.encode(&point[1..33]),
            BASE64URL.encode(&point[33..]),
        );
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "x": x, "y": y }] })
            .to_string()
    }

    /// Returns the token of a build, with claims laid over those of a release.
    fn token(&self, jti: &str, over: &Value) -> String {
        let signed = signed_part("ES256", jti, over);
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature))
    }

    /// Returns a token that takes the forge's public key for an HMAC's secret.
    fn confused_token(&self) -> String {
        let signed = signed_part("HS256", "confused", &json!({}));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.0.public_key().as_ref());
        let tag = hmac::sign(&secret, signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(tag))
    }
}

/// Joins the header and the claims of a token.
fn signed_part(alg: &str, jti: &str, over: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut claims = json!({
        "iss": ISSUER, "aud": "chancery.test", "sub": "repo:acme/app:ref:refs/tags/v1.2.0",
        "jti": jti, "iat": now.as_secs(), "nbf": now.as_secs(), "exp": now.as_secs() + 300,
        "repository": "acme/app", "repository_id": "1001", "repository_owner": "acme",
        "repository_owner_id": "77", "repository_visibility": "public",
        "ref": "refs/tags/v1.2.0", "sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "workflow_ref": WORKFLOW, "workflow_sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "job_workflow_ref": WORKFLOW, "job_workflow_sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "event_name": "push", "runner_environment": "github-hosted",
        "run_id": "4242", "run_attempt": "1",
    });
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = json!({ "alg": alg, "kid": "k", "typ": "JWT" });
    let part = |json: &Value| BASE64URL.encode(json.to_string());
    format!("{}.{}", part(&header), part(&claims))
}

/// An appliance that takes the forge's tokens, and the folder of the pipeline.
struct Scene {
    /// The forge.
    forge: Forge,
    /// The appliance.
    ca: Appliance,
    /// The pipeline's folder.
    folder: tempfile::TempDir,
}

impl Scene {
    /// Starts it.
    fn start() -> Self {
        let (forge, folder) = (Forge::new(), tempfile::tempdir().unwrap());
        let jwks = folder.path().join("jwks.json");
        std::fs::write(&jwks, forge.jwks()).unwrap();
        let sections = format!(
            "[ca.ct]\nenabled = true\n\
             [ca.ceremony.root]\nsubject = \"CN=Test Root CA,O=Example\"\n\
             [ca.ceremony.issuing]\nsubject = \"CN=Test Issuing CA,O=Example\"\n\
             [[signing.oidc]]\nname = \"github\"\nkind = \"github\"\nissuer = {ISSUER:?}\n\
             audiences = [\"chancery.test\"]\njwks_file = {:?}\n\
             [[signing.oidc.rules]]\nname = \"release\"\nsigner = \"ci-app\"\n\
             profiles = [\"default\"]\nclaims = {{ repository = \"acme/app\", ref = \"refs/tags/v*\" }}\n",
            jwks.display().to_string()
        );
        let ca = with_signing().sections(&sections).start().unwrap();
        Self { forge, ca, folder }
    }

    /// Names a file of the pipeline.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has OpenSSL make a key and a request, as a pipeline does.
    fn csr(&self, name: &str) -> PathBuf {
        let (key, csr) = (
            self.path(&format!("{name}.key")),
            self.path(&format!("{name}.csr")),
        );
        let mut command = Command::new("openssl");
        command
            .args(["req", "-new", "-nodes", "-subj", "/", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&csr);
        run(&mut command).unwrap();
        csr
    }

    /// Brings a token and a request.
    fn exchange(&self, token: &str, csr: &Path) -> Reply {
        let url = self.ca.signing_open_url("/v1/oidc/certificate");
        let headers = [
            &format!("Authorization: Bearer {token}"),
            "Content-Type: application/pkcs10",
        ];
        let body = std::fs::read(csr).unwrap();
        Curl::anonymous(&self.ca.trust())
            .call(&url, &headers, Some(&body))
            .unwrap()
    }

    /// Enrols a build and returns its identity.
    fn enrol(&self, jti: &str, name: &str) -> Identity {
        let csr = self.csr(name);
        let reply = self.exchange(&self.forge.token(jti, &json!({})), &csr);
        assert_eq!(reply.status, 201, "{}", reply.text());
        let chain = self.path(&format!("{name}.pem"));
        std::fs::write(&chain, &reply.body).unwrap();
        Identity {
            chain,
            key: self.path(&format!("{name}.key")),
            trust: self.ca.trust(),
        }
    }
}

/// Reads the first certificate of a PEM file.
fn leaf(path: &Path) -> Certificate {
    let chain = pki::pem::read_certificates(&std::fs::read(path).unwrap()).unwrap();
    Certificate::from_der(&chain[0]).unwrap()
}

/// Returns a digest as requests have it.
fn artifact_hash() -> String {
    let digest = digest::digest(&digest::SHA256, ARTIFACT);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[test]
fn a_build_signs_without_a_stored_secret_and_gh_finds_the_build() {
    let scene = Scene::start();
    let build = scene.enrol("1", "build");
    let trust = scene.ca.trust();
    let verdict = Judge::openssl(&trust, &build.chain, Some("sslclient")).unwrap();
    assert!(verdict.accepted, "{verdict}");
    let client = leaf(&build.chain);
    let names = client.facts().names;
    assert!(names[0].ends_with("/signer/ci-app"), "{names:?}");
    let claims = client.extensions().forge.clone().unwrap();
    let repository = claims.get(ForgeClaim::SourceRepositoryUri);
    assert_eq!(repository, Some("https://github.com/acme/app"));

    // It has something signed, and nothing else here is its business.
    let curl = Curl::with(&build);
    let hash = artifact_hash();
    let provenance = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app", "digest": { "sha256": hash.trim_start_matches("sha256:") } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                "externalParameters": { "workflow": { "ref": "refs/tags/v1.2.0" } },
            },
            "runDetails": { "builder": { "id": format!("https://github.com/{WORKFLOW}") } },
        },
    });
    let body = json!({ "artifactHash": hash, "artifactName": "app", "provenance": provenance });
    let url = scene.ca.signing_url("/v1/signatures");
    let signed = curl
        .call(
            &url,
            &["Content-Type: application/json"],
            Some(body.to_string().as_bytes()),
        )
        .unwrap();
    assert_eq!(signed.status, 201, "{}", signed.text());
    let object = signed.json();
    assert_eq!(object["signer"], "signer/ci-app");
    let csr = std::fs::read(scene.csr("other")).unwrap();
    let refused = curl.post_pem(&scene.ca.url("/sign"), &csr).unwrap();
    assert_eq!(refused.problem().as_deref(), Some("role-forbidden"));

    // What signed says what the forge said, with a timestamp of the CA's log key.
    let fetch = |member: &str, name: &str| {
        let reply = curl.get(object[member].as_str().unwrap()).unwrap();
        assert_eq!(reply.status, 200, "{member}");
        let path = scene.path(name);
        std::fs::write(&path, &reply.body).unwrap();
        path
    };
    let signer = leaf(&fetch("certificateURL", "signer.pem"));
    assert_eq!(signer.extensions().forge.as_ref(), Some(&claims));
    let name = format!("uri:{}", claims.build_signer_uri());
    assert_eq!(signer.facts().names, [name]);
    let status = scene
        .ca
        .curl()
        .get(&scene.ca.url("/status"))
        .unwrap()
        .json();
    let log = BASE64_STANDARD
        .decode(status["ct"]["public_key"].as_str().unwrap())
        .unwrap();
    let log = PublicKey::from_spki_der(&log).unwrap();
    let chain = std::fs::read(scene.path("signer.pem")).unwrap();
    let chain = pki::pem::read_certificates(&chain).unwrap();
    let issuing = Certificate::from_der(&chain[1]).unwrap();
    let verified = sct::verify(&signer, issuing.public_key(), &[log]);
    assert_eq!(verified.map(|scts| scts.len()), Ok(1));

    let bundle = fetch("provenanceAttestationURL", "provenance.bundle.json");
    let root = scene.path("trusted_root.json");
    let url = scene.ca.signing_open_url("/v1/trusted-root");
    let reply = Curl::anonymous(&trust).get(&url).unwrap();
    std::fs::write(&root, &reply.body).unwrap();
    let artifact = scene.path("app");
    std::fs::write(&artifact, ARTIFACT).unwrap();
    let question = Question {
        trusted_root: &root,
        bundle: &bundle,
        artifact: &artifact,
        complete: false,
        identity: Some(claims.build_signer_uri()),
        issuer: Some(ISSUER),
        predicate_type: Some("https://slsa.dev/provenance/v1"),
        repository: Some("acme/app"),
    };
    let verdict = Verifier::Gh.judge(&question).unwrap();
    assert!(verdict.accepted, "{verdict}");
    let other = Question {
        repository: Some("acme/other"),
        ..question
    };
    let verdict = Verifier::Gh.judge(&other).unwrap();
    assert!(!verdict.accepted, "{verdict}");

    // A second signature within the ten minutes costs the CA nothing.
    let before = certified(&scene.ca, "code-signing-forge").len();
    let again = curl
        .call(
            &scene.ca.signing_url("/v1/signatures"),
            &["Content-Type: application/json"],
            Some(body.to_string().as_bytes()),
        )
        .unwrap();
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(certified(&scene.ca, "code-signing-forge").len(), before);
}

#[test]
fn tokens_that_are_not_good_get_nothing() {
    let scene = Scene::start();
    let csr = scene.csr("build");
    let refused = |token: &str, csr: &Path, slug: &str| {
        let reply = scene.exchange(token, csr);
        assert_eq!(reply.problem().as_deref(), Some(slug), "{}", reply.text());
    };
    let forge = &scene.forge;
    for (over, slug) in [
        (json!({ "aud": "sigstore" }), "oidc-token-invalid"),
        (
            json!({ "iss": "https://evil.example" }),
            "oidc-token-invalid",
        ),
        (json!({ "exp": 1_700_000_000 }), "oidc-token-invalid"),
        (json!({ "repository": "evil/app" }), "oidc-claims-denied"),
        (json!({ "ref": "refs/heads/main" }), "oidc-claims-denied"),
    ] {
        refused(&forge.token("bad", &over), &csr, slug);
    }
    refused(&forge.confused_token(), &csr, "oidc-token-invalid");
    refused(
        &Forge::new().token("x", &json!({})),
        &csr,
        "oidc-token-invalid",
    );
    refused("", &csr, "oidc-token-invalid");
    assert!(certified(&scene.ca, "ci-client").is_empty());

    // Good once; a stolen token is worth nothing after that.
    let token = forge.token("1", &json!({}));
    assert_eq!(scene.exchange(&token, &csr).status, 201);
    refused(&token, &scene.csr("thief"), "oidc-token-replayed");
    assert_eq!(certified(&scene.ca, "ci-client").len(), 1);
    // Nobody else can have such a certificate, not even an operator.
    let csr = std::fs::read(&csr).unwrap();
    let url = scene
        .ca
        .url("/sign?profile=ci-client&identity=signer/ci-app");
    let reply = scene.ca.curl().post_pem(&url, &csr).unwrap();
    assert_eq!(reply.problem().as_deref(), Some("profile-forbidden"));
}
