//! `GET /v1/limits`: what requests may bring, and the profiles.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mesh::Peer;
use serde_json::{Value, json};

use super::{Answered, SIGNERS, answer, may_read};
use crate::service::Signing;

/// `GET /v1/limits`.
pub(super) async fn limits(signing: Data<Signing>, peer: Peer, _: HttpRequest) -> Answered {
    may_read(&peer)?;
    let config = &signing.config;
    let limits = &config.limits;
    let may_sign = SIGNERS.contains(&peer.identity().role);
    let profiles: Vec<Value> = config
        .profiles
        .iter()
        .map(|(name, profile)| {
            let key = config.keys.get(&profile.key);
            json!({
                "name": name.as_str(),
                "description": profile.description,
                "default": *name == config.default_profile,
                "algorithm": key.map(|key| key.algorithm.as_str()),
                "hashes": profile.policy.hashes,
                "formats": profile.formats.iter().collect::<Vec<_>>(),
                "usable": may_sign && profile.policy.clients.admits(peer.label()),
                // As written: what verdicts name the digest of.
                "policy": serde_json::from_str::<Value>(&profile.document).unwrap_or(Value::Null),
            })
        })
        .collect();
    let object = json!({
        "sbomBytes": limits.sbom_bytes,
        "provenanceBytes": limits.provenance_bytes,
        "artifactBytes": limits.artifact_bytes,
        "uploadMinBytesPerSecond": limits.upload_min_bytes_per_second,
        "searchPage": limits.search_page,
        "timestamps": config.timestamps.is_some(),
        "profiles": profiles,
    });
    Ok(answer::json(HttpResponse::Ok(), &object))
}
