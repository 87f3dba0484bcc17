//! Evidence as clients send it.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// An artifact.
pub(super) const ARTIFACT: &[u8] = b"an artifact of some octets\n";

/// Returns the SHA-256 of octets in hexadecimal.
pub(super) fn sha256(octets: &[u8]) -> String {
    hex::encode(digest(&SHA256, octets))
}

/// Returns the artifact's digest as requests spell it.
pub(super) fn artifact_hash(octets: &[u8]) -> String {
    format!("sha256:{}", sha256(octets))
}

/// A CycloneDX bill of materials of an artifact.
pub(super) fn cyclonedx(octets: &[u8]) -> Value {
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "metadata": {
            "timestamp": "2026-03-01T12:00:00Z",
            "authors": [{"name": "Build"}],
            "component": {
                "type": "application", "name": "app", "version": "1.0", "bom-ref": "app",
                "hashes": [{"alg": "SHA-256", "content": sha256(octets)}],
            },
        },
        "components": [
            {"type": "library", "name": "left-pad", "version": "1.3.0",
             "supplier": {"name": "npm"}, "purl": "pkg:npm/left-pad@1.3.0"},
        ],
    })
}

/// The builder of provenances here.
pub(super) const BUILDER: &str = "https://builder.example/v1";

/// An SLSA provenance predicate, unsigned and of no artifact in particular.
pub(super) fn predicate() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://builder.example/type/v1",
            "externalParameters": {"source": {
                "uri": "git+https://git.example/team/app@refs/tags/v1.0",
                "digest": {"gitCommit": "0123456789abcdef0123456789abcdef01234567"},
            }},
            "resolvedDependencies": [
                {"uri": "git+https://git.example/team/app@refs/tags/v1.0",
                 "digest": {"gitCommit": "0123456789abcdef0123456789abcdef01234567"}},
            ],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    })
}

/// The same as a statement about an artifact.
pub(super) fn provenance(octets: &[u8]) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": {"sha256": sha256(octets)}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": predicate(),
    })
}
