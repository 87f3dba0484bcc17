//! `GET /v1/trusted-root` and `…/keys`.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::Data;
use pki::public_key::KeyType;
use serde::Serialize;

use super::Answered;
use super::answer::{Cache, negotiate, tagged};
use crate::problem::SigningProblem;
use crate::service::Signing;
use crate::sign::media_types;

/// What the trusted root is told as.
const OFFERED: [(&str, bool); 4] = [
    (attest::trusted_root::MEDIA_TYPE, true),
    ("application/json", true),
    (media_types::CHAIN, false),
    ("application/x-pem-file", false),
];

/// `GET /v1/trusted-root`: one line of JSON, or PEM.
pub(super) async fn trusted_root(signing: Data<Signing>, request: HttpRequest) -> Answered {
    let (media_type, is_json) = negotiate(&request, &OFFERED)?;
    let root = signing.trusted_root();
    let body = match is_json {
        true => root.to_json(),
        false => root.to_pem(),
    };
    let mut response = tagged(&request, media_type, body.into_bytes(), Cache::Asked);
    response.headers_mut().insert(
        actix_web::http::header::VARY,
        actix_web::http::header::HeaderValue::from_static("accept"),
    );
    Ok(response)
}

/// A key as securesystemslib reads it.
#[derive(Debug, Serialize)]
struct KeyRecord {
    /// The kind of key.
    keytype: &'static str,
    /// How it signs.
    scheme: &'static str,
    /// The key.
    keyval: KeyValue,
}

/// The key itself.
#[derive(Debug, Serialize)]
struct KeyValue {
    /// The public half, PEM.
    public: String,
}

/// `GET /v1/trusted-root/keys`: by the id that envelopes name.
pub(super) async fn keys(signing: Data<Signing>, request: HttpRequest) -> Answered {
    let mut keys = BTreeMap::new();
    for (_, key) in signing.keys.artifact_keys() {
        let public_key = key.leaf().public_key();
        let scheme = match public_key.key_type() {
            KeyType::P256 => "ecdsa-sha2-nistp256",
            KeyType::P384 => "ecdsa-sha2-nistp384",
            // It would take RSA-PSS, which this service does not make.
            KeyType::P521 | KeyType::Rsa { .. } | KeyType::Ed25519 => continue,
        };
        if let Some(key_id) = key.key_id() {
            let record = KeyRecord {
                keytype: "ecdsa",
                scheme,
                keyval: KeyValue {
                    public: pki::pem::write_public_key(public_key.spki_der()),
                },
            };
            keys.insert(key_id.to_owned(), record);
        }
    }
    let body = serde_json::to_vec(&keys).map_err(SigningProblem::internal)?;
    Ok(tagged(&request, "application/json", body, Cache::Asked))
}
