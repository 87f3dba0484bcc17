//! A forge: keys, their published form, and tokens signed by them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

use super::super::{FetchFailure, FetchKeys};

/// The issuer of its tokens.
pub(super) const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// What its tokens are made for.
pub(super) const AUDIENCE: &str = "chancery.example.org";

/// The forge's keys.
pub(super) struct Forge {
    /// Signs by RSA, under the name `rsa-1`.
    pub(super) rsa: RsaKeyPair,
    /// Signs by ECDSA, under the name `ec-1`.
    pub(super) ec: EcdsaKeyPair,
}

/// Writes base64url.
pub(super) fn base64url(octets: impl AsRef<[u8]>) -> String {
    BASE64URL.encode(octets)
}

impl Forge {
    /// Makes its keys.
    pub(super) fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    /// Returns the RSA key as it publishes it.
    pub(super) fn rsa_jwk(&self) -> Value {
        let public = self.rsa.public_key();
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa-1",
            "n": base64url(public.modulus().big_endian_without_leading_zero()),
            "e": base64url(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Returns the EC key as it publishes it.
    pub(super) fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({
            "kty": "EC", "use": "sig", "crv": "P-256", "kid": "ec-1",
            "x": base64url(&point[1..33]), "y": base64url(&point[33..]),
        })
    }

    /// Returns the set of both.
    pub(super) fn jwks(&self) -> Vec<u8> {
        let set = json!({ "keys": [self.rsa_jwk(), self.ec_jwk()] });
        serde_json::to_vec(&set).unwrap()
    }

    /// Signs a header and claims by RSA PKCS#1.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_rsa(header, claims, &RSA_PKCS1_SHA256)
    }

    /// Signs a header and claims by RSA PSS.
    pub(super) fn sign_pss(&self, header: &Value, claims: &Value) -> String {
        self.sign_rsa(header, claims, &RSA_PSS_SHA256)
    }

    /// Signs by RSA.
    fn sign_rsa(&self, header: &Value, claims: &Value, by: &'static dyn RsaEncoding) -> String {
        let signed = signed_part(header, claims);
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa
            .sign(by, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .unwrap();
        format!("{signed}.{}", base64url(signature))
    }

    /// Signs a header and claims by ECDSA.
    pub(super) fn sign_ec(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = self
            .ec
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", base64url(signature))
    }

    /// Returns the RSA public key, DER: what an attacker would take for an HMAC's secret.
    pub(super) fn rsa_public_der(&self) -> Vec<u8> {
        self.rsa.public_key().as_der().unwrap().as_ref().to_vec()
    }

    /// Makes the token of a build.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&rs256(), claims)
    }
}

/// Joins header and claims.
pub(super) fn signed_part(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(serde_json::to_vec(value).unwrap());
    format!("{}.{}", part(header), part(claims))
}

/// The header of tokens signed by RSA.
pub(super) fn rs256() -> Value {
    json!({ "alg": "RS256", "kid": "rsa-1", "typ": "JWT" })
}

/// The header of tokens signed by ECDSA.
pub(super) fn es256() -> Value {
    json!({ "alg": "ES256", "kid": "ec-1", "typ": "JWT" })
}

/// What a token of GitHub's says, made now, good for five minutes.
pub(super) fn claims(now: Timestamp, jti: &str) -> Value {
    let now = now.as_second();
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "repo:acme/app:ref:refs/tags/v1.2.0",
        "jti": jti,
        "iat": now,
        "nbf": now - 5,
        "exp": now + 300,
        "repository": "acme/app",
        "repository_id": "1001",
        "repository_owner": "acme",
        "repository_owner_id": "77",
        "repository_visibility": "private",
        "ref": "refs/tags/v1.2.0",
        "ref_type": "tag",
        "sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "workflow": "release",
        "workflow_ref": "acme/app/.github/workflows/release.yml@refs/tags/v1.2.0",
        "workflow_sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "job_workflow_ref": "acme/workflows/.github/workflows/build.yml@refs/heads/main",
        "job_workflow_sha": "ffeeddccbbaa99887766554433221100ffeeddcc",
        "event_name": "push",
        "environment": "production",
        "runner_environment": "github-hosted",
        "run_id": "4242",
        "run_attempt": "1",
        "actor": "octocat",
    })
}

/// The same with one claim otherwise; null leaves it out.
pub(super) fn claims_with(now: Timestamp, jti: &str, name: &str, value: Value) -> Value {
    let Value::Object(mut members) = claims(now, jti) else {
        unreachable!("it is an object")
    };
    set(&mut members, name, value);
    Value::Object(members)
}

/// Sets a member; null takes it away.
fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}

/// What is published at the forge's URL.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The set, or why there is none.
    answer: Mutex<Option<Vec<u8>>>,
    /// URLs that were asked for.
    asked: Mutex<Vec<String>>,
}

impl Published {
    /// Publishes a set of keys; none breaks the forge down.
    pub(super) fn publish(&self, set: Option<Vec<u8>>) {
        *self.answer.lock().unwrap() = set;
    }

    /// Returns what was asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Begins with a forge's keys.
    pub(super) fn of(forge: &Forge) -> Arc<Self> {
        let published = Self::default();
        published.publish(Some(forge.jwks()));
        Arc::new(published)
    }
}

#[async_trait]
impl FetchKeys for Published {
    async fn fetch(&self, url: &Url, max: usize) -> Result<Vec<u8>, FetchFailure> {
        self.asked.lock().unwrap().push(url.to_string());
        let answer = self.answer.lock().unwrap().clone();
        answer
            .filter(|set| set.len() <= max)
            .ok_or_else(|| FetchFailure {
                reason: "it is away".to_owned(),
            })
    }
}
