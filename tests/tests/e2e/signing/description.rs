//! The API's description, held to the service by a tool that is not ours.

use std::process::Command;

use chancery_tests::run;

use super::pipelines::tool;
use super::workshop::Workshop;

/// Lets the tool send queries for time-stamps, whatever octets they are.
const HOOKS: &str = r#"
import schemathesis

@schemathesis.serializer("application/timestamp-query")
def octets(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
"#;

#[test]
fn no_request_is_answered_as_the_description_does_not_say_nor_by_a_server_error() {
    let workshop = Workshop::open();
    // Something is there to be found.
    let [artifact, sbom, provenance] = workshop.build("app");
    workshop.signed(&[&artifact, "--sbom", &sbom, "--provenance", &provenance]);
    let description = workshop.ca.curl();
    let description = description
        .get(&workshop.ca.signing_url("/v1/openapi.json"))
        .unwrap();
    assert_eq!(description.status, 200, "{description}");
    let description = workshop.write("openapi.json", description.text().as_bytes());
    workshop.write("hooks.py", HOOKS.as_bytes());
    // One worker: Python 3.11's parser of its own syntax is not safe among threads.
    run(Command::new(tool("pipelines/bin/schemathesis"))
        .args(["run", &description, "--url", &workshop.ca.signing_url("")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
             response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--max-examples",
            "5",
            "--workers",
            "1",
            "--seed",
            "1",
            "--no-color",
        ])
        .arg("--request-cert")
        .arg(&workshop.signer.chain)
        .arg("--request-cert-key")
        .arg(&workshop.signer.key)
        .arg("--tls-verify")
        .arg(&workshop.signer.trust)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(workshop.folder()))
    .unwrap();
}
