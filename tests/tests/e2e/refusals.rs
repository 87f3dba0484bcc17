//! Bad input: each kind has its own problem and a sentence that helps, and leaves nothing
//! behind.

use std::fs;
use std::process::Command;

use chancery_tests::{
    Appliance, Connection, Curl, KeyKind, Profile, Reply, Request, TlsClient, run,
};

/// What a refused request must not change.
#[derive(Debug, PartialEq)]
struct Traces {
    /// Every certificate's record.
    certificates: Vec<serde_json::Value>,
    /// Every key of the token.
    keys: String,
    /// Acts in the store's journal.
    acts: f64,
}

/// Takes stock of what there is.
fn traces(ca: &Appliance) -> Traces {
    Traces {
        certificates: ca.certificates().unwrap(),
        keys: ca.cli(&["key", "list", "--json"]).unwrap(),
        acts: ca.metric("chancery_store_acts_total", "").unwrap(),
    }
}

/// Checks that a reply is this problem, whole and helpful.
#[track_caller]
fn assert_problem(reply: &Reply, status: u16, slug: &str) {
    assert_eq!(reply.problem().as_deref(), Some(slug), "{reply}");
    assert_eq!(reply.status, status, "{reply}");
    let json = reply.json();
    assert_eq!(json["status"], status, "{reply}");
    let detail = json["detail"].as_str().unwrap_or_default();
    assert!(
        detail.split_whitespace().count() >= 4,
        "no sentence: {reply}"
    );
    assert!(
        json["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty()),
        "{reply}"
    );
    let id = json["request_id"].as_str();
    assert!(id.is_some(), "{reply}");
    assert_eq!(reply.header("x-request-id"), id, "{reply}");
}

/// Posts a request as the operator.
fn sign(ca: &Appliance, profile: Profile, request: &Request) -> Reply {
    ca.curl()
        .post_pem(&ca.sign_url(profile), request.pem())
        .unwrap()
}

#[test]
fn a_refused_request_names_its_problem_and_leaves_nothing_behind() {
    let ca = Appliance::start().unwrap();
    ca.issue("before.example.internal").unwrap();
    let before = traces(&ca);
    no_csr(&ca);
    wrong_signature(&ca);
    forbidden_names(&ca);
    forbidden_keys_and_profiles(&ca);
    bad_validity(&ca);
    wrong_media(&ca);
    unknown_things(&ca);
    assert_eq!(traces(&ca), before);
    // And it serves on.
    assert_eq!(ca.issue("after.example.internal").unwrap().status, 201);
}

/// Bodies that are no request.
fn no_csr(ca: &Appliance) {
    let url = ca.sign_url(Profile::TlsServer);
    let certificate = fs::read(ca.trust()).unwrap();
    let good = Request::new("a.example.internal").unwrap();
    let twice = [good.pem(), good.pem()].concat();
    let mut trailing = good.der().unwrap();
    trailing.push(0);
    let cut = &good.der().unwrap()[..100];
    for body in [
        &b""[..],
        b"hello",
        &certificate,
        &twice,
        b"-----BEGIN CERTIFICATE REQUEST-----\n",
    ] {
        let reply = ca.curl().post_pem(&url, body).unwrap();
        assert_problem(&reply, 400, "not-a-csr");
    }
    for body in [&b"hello"[..], &trailing, cut, &[0x30, 0x80, 0, 0]] {
        let reply = ca
            .curl()
            .post(&url, "application/pkcs10", &[], body)
            .unwrap();
        assert_problem(&reply, 400, "not-a-csr");
    }
}

/// A request whose signature is not by its key.
fn wrong_signature(ca: &Appliance) {
    let mut der = Request::new("a.example.internal").unwrap().der().unwrap();
    let url = ca.sign_url(Profile::TlsServer);
    // A bit of s, which stays a number in range.
    *der.last_mut().unwrap() ^= 1;
    let reply = ca
        .curl()
        .post(&url, "application/pkcs10", &[], &der)
        .unwrap();
    assert_problem(&reply, 400, "csr-signature-invalid");
}

/// Names that a profile does not certify.
fn forbidden_names(ca: &Appliance) {
    for names in [
        "DNS:-bad-.example.internal",
        "DNS:a..b",
        "DNS:*.*.example.internal",
        "DNS:www.*.example.internal",
        "URI:spiffe://chancery.internal/operator/mallory",
        "email:someone@example.internal",
    ] {
        let request = Request::with(
            KeyKind::P256,
            "/CN=a.example.internal",
            &["DNS:a.example.internal", names],
        );
        let reply = sign(ca, Profile::TlsServer, &request.unwrap());
        assert_problem(&reply, 422, "name-forbidden");
    }
    let nameless = Request::with(KeyKind::P256, "/O=Example", &[]).unwrap();
    assert_problem(
        &sign(ca, Profile::TlsServer, &nameless),
        422,
        "name-forbidden",
    );
}

/// Keys too weak, profiles that are not there or not for this role.
fn forbidden_keys_and_profiles(ca: &Appliance) {
    let short = Request::with(
        KeyKind::Rsa1024,
        "/CN=a.example.internal",
        &["DNS:a.example.internal"],
    );
    let reply = sign(ca, Profile::TlsServer, &short.unwrap());
    let problem = reply.problem();
    assert!(
        matches!(problem.as_deref(), Some("weak-key" | "key-forbidden")),
        "{reply}"
    );
    let good = Request::new("a.example.internal").unwrap();
    let reply = ca
        .curl()
        .post_pem(&ca.url("/sign?profile=nonsense"), good.pem())
        .unwrap();
    assert_problem(&reply, 400, "profile-unknown");
    let reply = sign(ca, Profile::SubCa, &good);
    assert_problem(&reply, 403, "profile-forbidden");
    weak_exponent(ca);
}

/// An RSA key with the exponent 3, and one whose primes are close.
fn weak_exponent(ca: &Appliance) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let mut command = Command::new("openssl");
    command
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ])
        .args(["-pkeyopt", "rsa_keygen_pubexp:3", "-out"])
        .arg(&key);
    run(&mut command).unwrap();
    let mut command = Command::new("openssl");
    command
        .args(["req", "-new", "-subj", "/CN=a.example.internal"])
        .args(["-addext", "subjectAltName=DNS:a.example.internal", "-key"])
        .arg(&key);
    let pem = run(&mut command).unwrap();
    let url = ca.sign_url(Profile::TlsServer);
    let reply = ca.curl().post_pem(&url, pem.as_bytes()).unwrap();
    assert_problem(&reply, 422, "weak-key");
}

/// Validities that cannot be read or are too long.
fn bad_validity(ca: &Appliance) {
    let good = Request::new("a.example.internal").unwrap();
    for validity in ["soon", "0d", "-3d", "99999d"] {
        let url = ca.url(&format!("/sign?profile=tls-server&validity={validity}"));
        let reply = ca.curl().post_pem(&url, good.pem()).unwrap();
        assert_problem(&reply, 422, "validity-forbidden");
    }
}

/// Bodies too large or of a type that nobody takes.
fn wrong_media(ca: &Appliance) {
    let url = ca.sign_url(Profile::TlsServer);
    let good = Request::new("a.example.internal").unwrap();
    let reply = ca
        .curl()
        .post(&url, "application/json", &[], good.pem())
        .unwrap();
    assert_problem(&reply, 415, "unsupported-media-type");
    let large = vec![b'x'; 64 * 1024 + 1];
    let reply = ca.curl().post_pem(&url, &large).unwrap();
    assert_problem(&reply, 413, "body-too-large");
    let chunked = ["Transfer-Encoding: chunked"];
    for curl in [ca.curl(), ca.curl().argument("--http1.1")] {
        let reply = curl
            .post(&url, "application/x-pem-file", &chunked, &large)
            .unwrap();
        assert_problem(&reply, 413, "body-too-large");
    }
}

/// Routes, methods, serial numbers and parameters that are not there.
fn unknown_things(ca: &Appliance) {
    let reply = ca.curl().get(&ca.url("/nothing")).unwrap();
    assert_problem(&reply, 404, "not-found");
    let reply = ca.curl().get(&ca.url("/sign")).unwrap();
    assert_problem(&reply, 405, "method-not-allowed");
    assert!(
        reply
            .header("allow")
            .is_some_and(|allow| allow.contains("POST")),
        "{reply}"
    );
    let serial = "00112233445566778899aabbccddeeff";
    let reply = ca
        .curl()
        .get(&ca.url(&format!("/certificates/{serial}")))
        .unwrap();
    assert_problem(&reply, 404, "serial-unknown");
    for target in [
        "/certificates/zz",
        "/certificates?limit=x",
        "/certificates?nonsense=1",
    ] {
        let reply = ca.curl().get(&ca.url(target)).unwrap();
        assert_problem(&reply, 400, "malformed-request");
    }
}

#[test]
fn whoever_shows_no_certificate_is_told_to() {
    let ca = Appliance::start().unwrap();
    let request = Request::new("a.example.internal").unwrap();
    let before = traces(&ca);
    for version in ["--tlsv1.3", "--tls-max=1.2", "--http1.1", "--http2"] {
        let curl = match version.split_once('=') {
            Some((option, value)) => Curl::anonymous(&ca.trust())
                .argument(option)
                .argument(value),
            None => Curl::anonymous(&ca.trust()).argument(version),
        };
        let reply = curl.get(&ca.url("/certificates")).unwrap();
        assert_problem(&reply, 403, "client-certificate-required");
        let reply = curl
            .post_pem(&ca.sign_url(Profile::TlsServer), request.pem())
            .unwrap();
        assert_problem(&reply, 403, "client-certificate-required");
    }
    // However the path is written, nothing behind it answers.
    let anonymous = TlsClient::anonymous(&ca.trust()).unwrap();
    for target in ["//status", "/./status", "/status?", "/%73tatus", "/nothing"] {
        let mut connection = anonymous.connect(ca.address()).unwrap();
        let answer = connection.exchange(&Connection::get(target)).unwrap();
        assert_eq!(answer.status, 403, "{target}: {}", answer.head);
    }
    assert_eq!(traces(&ca), before);
}

#[test]
fn a_certificate_of_somebody_else_ends_the_handshake() {
    let (ca, other) = (Appliance::start().unwrap(), Appliance::start().unwrap());
    let mut stranger = other.operator();
    stranger.trust = ca.trust();
    let reply = Curl::with(&stranger).get(&ca.url("/status")).unwrap();
    assert_eq!(reply.status, 0, "{reply}");
    assert!(reply.exit != 0 && reply.said.contains("alert"), "{reply}");
    let handshakes = ca.metric("chancery_http_handshakes_total", "").unwrap();
    assert!(handshakes >= 1.0);
}

#[test]
fn a_certificate_without_an_identity_is_refused_by_name() {
    let ca = Appliance::start().unwrap();
    let request = Request::with(
        KeyKind::P256,
        "/CN=client.example.internal",
        &["DNS:client.example.internal"],
    )
    .unwrap();
    let reply = sign(&ca, Profile::TlsClient, &request);
    assert_eq!(reply.status, 201, "{reply}");
    let chain = request.folder().join("chain.pem");
    fs::write(&chain, &reply.body).unwrap();
    let identity = chancery_tests::Identity {
        chain,
        key: request.key(),
        trust: ca.trust(),
    };
    let reply = Curl::with(&identity).get(&ca.url("/status")).unwrap();
    assert_problem(&reply, 403, "peer-unidentified");
}

#[test]
fn a_slow_body_is_given_up_with_a_problem() {
    let token = softhsm_test::SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    let ca = chancery_tests::Builder::on_token(&token, &module)
        .keeping(token)
        .sections("[ca.limits]\nbody_timeout = \"300ms\"\n")
        .start()
        .unwrap();
    let before = traces(&ca);
    let mut connection = ca.client().unwrap().connect(ca.address()).unwrap();
    connection
        .send(
            b"POST /sign?profile=tls-server HTTP/1.1\r\nHost: localhost\r\n\
              Content-Type: application/x-pem-file\r\nContent-Length: 1000\r\n\r\n-----BEGIN",
        )
        .unwrap();
    let answer = connection.receive().unwrap();
    assert_eq!(answer.status, 408, "{}", answer.head);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("urn:chancery:problem:body-timeout"), "{body}");
    assert_eq!(traces(&ca), before);
}
