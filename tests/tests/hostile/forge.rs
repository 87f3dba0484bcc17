//! Seeds of what forges and logs send: tokens, keys, certificates with timestamps.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::forge::{ForgeClaim, ForgeClaims};
use pki::issuer::{IssuerFacts, IssuerUrls};
use pki::lint::{lint, lint_precertificate, lint_timestamped};
use pki::name::DistinguishedName;
use pki::profile::{PlanRequest, Profile, ProfileKind, Timestamps};
use pki::public_key::PublicKey;
use pki::sct::{self, Sct, SctList};

/// How everything here is signed.
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);

/// A key that signs as certificates and logs want it.
fn key() -> (EcdsaKeyPair, PublicKey) {
    use aws_lc_rs::encoding::AsDer;
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let der = key.public_key().as_der().unwrap();
    let public_key = PublicKey::from_spki_der(der.as_ref()).unwrap();
    (key, public_key)
}

/// Signs octets.
fn sign(key: &EcdsaKeyPair, octets: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), octets)
        .unwrap()
        .as_ref()
        .to_vec()
}

/// A token, and the set with the key that signed it.
pub(super) fn token_and_keys() -> (Vec<u8>, Vec<u8>) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = serde_json::json!({ "alg": "ES256", "kid": "one", "typ": "JWT" });
    let claims = serde_json::json!({
        "iss": "https://token.forge.example", "aud": ["a", "b"], "exp": 2_000_000_000,
        "iat": 1_999_999_700, "jti": "17", "repository": "acme/app", "ref": "refs/tags/v1",
    });
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(&key, signed.as_bytes()));
    let point = key.public_key().as_ref();
    let set = serde_json::json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig",
          "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) },
        { "kty": "RSA", "alg": "RS256", "kid": "two", "e": "AQAB",
          "n": URL_SAFE_NO_PAD.encode([0xc5; 256]) },
    ] });
    (
        format!("{signed}.{signature}").into_bytes(),
        set.to_string().into_bytes(),
    )
}

/// A certificate that says what a forge said, with a timestamp, and the timestamp alone.
pub(super) fn timestamped() -> (Vec<u8>, Vec<u8>) {
    let at = now();
    let (root_key, root_public) = key();
    let root_profile = Profile::built_in(ProfileKind::RootCa).unwrap();
    let subject: DistinguishedName = "CN=Test Root,O=Example".parse().unwrap();
    let facts = IssuerFacts::self_signed(&subject, &root_public, ALGORITHM).unwrap();
    let request = PlanRequest::new(&root_public, &subject, serial(1), at);
    let planned = root_profile.plan(&request, &facts).unwrap();
    let linted = lint(planned, &root_profile, &facts).unwrap();
    let signature = sign(&root_key, linted.der());
    let root = Certificate::from_der(linted.assemble(&signature).unwrap().der()).unwrap();
    let facts = IssuerFacts::from_certificate(&root, ALGORITHM, IssuerUrls::default()).unwrap();

    let claims = ForgeClaims::new([
        (ForgeClaim::Issuer, "https://token.forge.example".to_owned()),
        (
            ForgeClaim::BuildSignerUri,
            "https://forge.example/acme/app/release.yml@refs/tags/v1".to_owned(),
        ),
        (ForgeClaim::BuildTrigger, "push".to_owned()),
    ])
    .unwrap();
    let profile = Profile::built_in(ProfileKind::CodeSigningForge).unwrap();
    let ((_, leaf), (log, log_key)) = (key(), key());
    let nobody = DistinguishedName::default();
    let mut request = PlanRequest::new(&leaf, &nobody, serial(2), at);
    request.forge = Some(&claims);
    request.timestamps = Timestamps::Awaited;
    let seen = profile.plan(&request, &facts).unwrap();
    let seen = lint_precertificate(seen, &profile, &facts).unwrap();
    let scts = SctList::of(Sct {
        log_id: sct::log_id(&log_key),
        timestamp_ms: 1_700_000_000_000,
        extensions: Vec::new(),
        signature: sign(&log, &seen.signed_octets(1_700_000_000_000)),
    })
    .unwrap();
    request.timestamps = Timestamps::Embedded(&scts);
    let planned = profile.plan(&request, &facts).unwrap();
    let linted = lint_timestamped(planned, &seen, &profile, &facts).unwrap();
    let signature = sign(&root_key, linted.der());
    let issued = linted.assemble(&signature).unwrap();
    (issued.der().to_vec(), scts.to_octets())
}

/// Returns the time.
fn now() -> model::Timestamp {
    model::Timestamp::try_from(std::time::SystemTime::now()).unwrap()
}

/// Returns a serial number.
fn serial(number: u8) -> model::SerialNumber {
    model::SerialNumber::from_random(model::NodePrefix::default(), [number; 16])
}
