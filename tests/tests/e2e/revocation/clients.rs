//! A client whose certificate was revoked: in the handshake, on an open connection, and
//! by a session that it would resume.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chancery_tests::{Appliance, Connection, Curl, Identity, TlsClient};

use super::said;

/// Returns the serial number of an identity's certificate.
fn serial(identity: &Identity) -> String {
    let text = said(
        Command::new("openssl")
            .args(["x509", "-noout", "-serial", "-in"])
            .arg(&identity.chain),
    );
    text.trim().rsplit('=').next().unwrap().to_owned()
}

/// Has OpenSSL connect with an identity, with options of its own, ask for something, and
/// returns what it said once the server has closed the connection: in TLS 1.3 a client
/// hears that it is refused after its own part of the handshake.
fn s_client(ca: &Appliance, identity: &Identity, options: &[&str]) -> String {
    let question = ca.folder().join("question");
    let head = "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    fs::write(&question, head).unwrap();
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &ca.address().to_string(), "-quiet"])
        .arg("-verify_quiet")
        .arg("-CAfile")
        .arg(&identity.trust)
        .arg("-cert")
        .arg(&identity.chain)
        .arg("-cert_chain")
        .arg(&identity.chain)
        .arg("-key")
        .arg(&identity.key)
        .args(options)
        .stdin(File::open(&question).unwrap());
    let output = command.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_revoked_client_is_refused_at_once_everywhere() {
    let ca = Appliance::start().unwrap();
    let mallory = ca.issue_identity("operator", "mallory").unwrap();
    let mut open = TlsClient::with(&mallory)
        .unwrap()
        .connect(ca.address())
        .unwrap();
    let status = Connection::get("/status");
    assert_eq!(open.exchange(&status).unwrap().status, 200);
    for version in ["--http1.1", "--http2"] {
        let reply = Curl::with(&mallory)
            .argument(version)
            .get(&ca.url("/status"))
            .unwrap();
        assert_eq!(reply.status, 200, "{reply}");
    }
    let session = ca.folder().join("session.pem");
    let session = session.display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        s_client(&ca, &mallory, &[version, "-sess_out", &session]);
    }

    let began = Instant::now();
    ca.cli(&[
        "cert",
        "revoke",
        &serial(&mallory),
        "--reason",
        "privilegeWithdrawn",
    ])
    .unwrap();
    // The connection that was open: its next request.
    let answer = open.exchange(&status).unwrap();
    assert_eq!(answer.status, 403, "{}", answer.head);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("revoked"), "{body}");
    // A fresh one, by either version of HTTP and of TLS.
    for version in ["--http1.1", "--http2", "--tlsv1.3"] {
        let refused = Curl::with(&mallory)
            .argument(version)
            .get(&ca.url("/status"));
        assert!(
            !refused.as_ref().is_ok_and(|reply| reply.status == 200),
            "{version}: {refused:?}"
        );
    }
    // One that would be resumed, if there were sessions to resume.
    for version in ["-tls1_2", "-tls1_3"] {
        let mut options = vec![version];
        if Path::new(&session).exists() {
            options.extend(["-sess_in", &session]);
        }
        let told = s_client(&ca, &mallory, &options);
        assert!(told.contains("revoked"), "{version}: {told}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "no waiting anywhere"
    );
    // Everyone else goes on.
    let reply = ca.curl().get(&ca.url("/status")).unwrap();
    assert_eq!(reply.status, 200, "{reply}");
}

#[test]
fn who_may_not_revoke_is_refused_and_nothing_changes() {
    let ca = Appliance::start().unwrap();
    let signer = ca.issue_identity("signer", "sam").unwrap();
    let auditor = ca.issue_identity("auditor", "eve").unwrap();
    let other = super::Issued::by(&ca, "www.example.internal");
    let order = format!("{{\"serial\": \"{}\", \"reason\": 1}}", other.serial);
    for identity in [&signer, &auditor] {
        let reply = Curl::with(identity)
            .post(
                &ca.url("/revoke-cert"),
                "application/json",
                &[],
                order.as_bytes(),
            )
            .unwrap();
        assert_eq!(reply.status, 403, "{reply}");
    }
    let answer = other.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");
}
