//! The signing service from outside.

mod builds;
mod cli;
mod description;
mod pipelines;
mod start;
mod verifiers;
mod workshop;

use std::fs;
use std::process::Command;

use chancery_tests::{Appliance, Builder, Judge, run};
use serde_json::Value;
use softhsm_test::SoftHsm;

use crate::chain::said;

/// Begins an appliance with the signing service on a SoftHSM token of its own.
fn with_signing() -> Builder {
    let token = SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    Builder::on_token(&token, &module)
        .keeping(token)
        .with_signing()
}

/// Returns the records of the certificates of a profile that count.
pub(crate) fn certified(ca: &Appliance, profile: &str) -> Vec<Value> {
    let mut records = ca.certificates().unwrap();
    records.retain(|record| record["profile"] == profile && record["status"] == "valid");
    records
}

/// Has a machine's service sign for the operator of a CA, and OpenSSL verify it by the
/// certificate that it gives.
pub(crate) fn assert_signs(ca: &Appliance, machine: &Appliance) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("artifact"), b"an artifact\n").unwrap();
    let digest = said(
        Command::new("openssl")
            .args(["dgst", "-sha256", "-r"])
            .arg(file("artifact")),
    );
    let digest = digest.split(' ').next().unwrap();
    let curl = ca.curl();
    let request = format!("{{\"artifactHash\":\"sha256:{digest}\"}}");
    let url = machine.signing_url("/v1/signatures");
    let reply = curl
        .post(&url, "application/json", &[], request.as_bytes())
        .unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    let answer = reply.json();
    for (member, name) in [("signatureURL", "signature"), ("certificateURL", "chain")] {
        let document = curl.get(answer[member].as_str().unwrap()).unwrap();
        assert_eq!(document.status, 200, "{document}");
        fs::write(file(name), &document.body).unwrap();
    }
    run(Command::new("openssl")
        .args(["x509", "-noout", "-pubkey", "-in"])
        .arg(file("chain"))
        .arg("-out")
        .arg(file("key")))
    .unwrap();
    run(Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(file("key"))
        .arg("-signature")
        .arg(file("signature"))
        .arg(file("artifact")))
    .unwrap();
    let verdict = Judge::openssl(&ca.trust(), &file("chain"), Some("any")).unwrap();
    assert!(verdict.accepted, "{verdict}");
}
