//! Certificates by every profile, for every kind of key, from every kind of token, judged
//! by tools that are not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_tests::{Appliance, Builder, Error, Judge, KeyKind, Profile, Request, run};
use softhsm_test::{Kryoptic, P11Kit, SoftHsm};

/// Makes the request that users of a profile make.
fn request(profile: Profile, kind: KeyKind) -> Result<Request, Error> {
    match profile {
        Profile::TlsServer => Request::with(
            kind,
            "/CN=www.example.internal",
            &[
                "DNS:www.example.internal",
                "DNS:example.internal",
                "IP:192.0.2.7",
            ],
        ),
        Profile::TlsClient => Request::with(
            kind,
            "/CN=client.example.internal",
            &["DNS:client.example.internal"],
        ),
        Profile::Service => Request::with(kind, "/CN=mail", &["DNS:mail.example.internal"]),
        Profile::CodeSigning => Request::with(kind, "/O=Example/CN=Example Builds", &[]),
        Profile::OcspResponder => Request::with(kind, "/O=Example/CN=Example OCSP", &[]),
        Profile::TimeStamping => Request::with(kind, "/O=Example/CN=Example Time", &[]),
        Profile::SubCa => Request::with(kind, "/O=Example/CN=Example Below", &[]),
    }
}

/// Has a request signed, writes the chain beside it, and returns the chain's file.
fn issue(ca: &Appliance, url: &str, request: &Request) -> PathBuf {
    let reply = ca.curl().post_pem(url, request.pem()).unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/pem-certificate-chain"),
        "{reply}"
    );
    assert!(reply.serial().is_some(), "{reply}");
    let chain = request.folder().join("chain.pem");
    fs::write(&chain, &reply.body).unwrap();
    chain
}

/// Asks every judge about a chain.
fn assert_accepted(trust: &Path, chain: &Path, purpose: Option<&str>, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let leaf = &split(chain, folder.path())[0];
    for judgement in [
        Judge::openssl(trust, chain, purpose).unwrap(),
        Judge::gnutls(trust, chain).unwrap(),
        Judge::pkilint(leaf).unwrap(),
    ] {
        assert!(judgement.accepted, "{what}: {judgement}");
    }
}

/// Splits a PEM file into its blocks, each in a file of its own.
fn split(pem: &Path, folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(pem).unwrap();
    text.split_inclusive("-----END CERTIFICATE-----\n")
        .filter(|block| block.contains("BEGIN"))
        .enumerate()
        .map(|(number, block)| {
            let path = folder.join(format!("block-{number}.pem"));
            fs::write(&path, block).unwrap();
            path
        })
        .collect()
}

/// Has every judge look at the root and the issuing authority.
fn assert_authorities_accepted(ca: &Appliance, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let request = Request::new("b.example.internal").unwrap();
    let chain = issue(ca, &ca.sign_url(Profile::TlsServer), &request);
    let blocks = split(&chain, folder.path());
    assert_eq!(
        blocks.len(),
        2,
        "{what}: leaf and issuing authority, no root"
    );
    let roots = split(&ca.trust(), request.folder());
    assert_eq!(roots.len(), 1, "{what}: one root");
    for authority in [&roots[0], &blocks[1]] {
        let judgement = Judge::pkilint(authority).unwrap();
        assert!(judgement.accepted, "{what}: {judgement}");
    }
    let pairs = [(&roots[0], &blocks[1]), (&blocks[1], &blocks[0])];
    for (signer, signed) in pairs {
        let judgement = Judge::pkilint_pair(signer, signed).unwrap();
        assert!(judgement.accepted, "{what}: {judgement}");
    }
    assert_accepted(&ca.trust(), &chain, Some("sslserver"), what);
}

/// Issues for every profile and every kind of key and asks every judge.
fn assert_every_profile_and_key_accepted(ca: &Appliance) {
    for profile in Profile::LEAVES {
        for kind in KeyKind::GOOD {
            let what = format!("{} for {kind:?}", profile.name());
            let request = request(profile, kind).unwrap();
            if !is_taken(profile, kind) {
                let reply = ca
                    .curl()
                    .post_pem(&ca.sign_url(profile), request.pem())
                    .unwrap();
                assert_eq!(
                    reply.problem().as_deref(),
                    Some("key-forbidden"),
                    "{what}: {reply}"
                );
                continue;
            }
            let chain = issue(ca, &ca.sign_url(profile), &request);
            assert_accepted(&ca.trust(), &chain, profile.purpose(), &what);
            assert_certifies_the_requests_key(&chain, &request, &what);
        }
    }
}

/// Tells whether a profile certifies such keys: signatures that outlive a connection ask for
/// RSA of 3072 bits or more (CA/B Forum, code signing, 6.1.5.2), over digests.
fn is_taken(profile: Profile, kind: KeyKind) -> bool {
    let lasting = matches!(profile, Profile::CodeSigning | Profile::TimeStamping);
    !(lasting && matches!(kind, KeyKind::Rsa2048 | KeyKind::Ed25519))
}

/// Compares the public keys of a request and its certificate.
fn assert_certifies_the_requests_key(chain: &Path, request: &Request, what: &str) {
    let mut of_certificate = Command::new("openssl");
    of_certificate
        .args(["x509", "-noout", "-pubkey", "-in"])
        .arg(chain);
    let mut of_request = Command::new("openssl");
    of_request
        .args(["req", "-noout", "-pubkey", "-in"])
        .arg(request.path());
    assert_eq!(
        run(&mut of_certificate).unwrap(),
        run(&mut of_request).unwrap(),
        "{what}"
    );
}

#[test]
fn every_profile_and_key_passes_every_judge_on_softhsm() {
    let ca = Appliance::start().unwrap();
    assert_every_profile_and_key_accepted(&ca);
    assert_authorities_accepted(&ca, "SoftHSM");
}

#[test]
fn certificates_from_kryoptic_pass_every_judge() {
    let token = Kryoptic::token().unwrap();
    let module = token.module().to_owned();
    let ca = Builder::on_token(&token, &module)
        .keeping(token)
        .start()
        .unwrap();
    assert_authorities_accepted(&ca, "kryoptic");
}

#[test]
fn certificates_from_a_remote_token_pass_every_judge() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let module = remote.module().to_owned();
    let ca = Builder::on_token(&token, &module)
        .keeping(remote)
        .keeping(token)
        .start()
        .unwrap();
    assert_authorities_accepted(&ca, "SoftHSM behind p11-kit");
}

#[test]
fn certificates_from_keys_in_files_pass_every_judge() {
    let ca = Builder::on_files().start().unwrap();
    assert_authorities_accepted(&ca, "files");
}

#[test]
fn every_algorithm_of_the_authorities_passes_every_judge() {
    for (root, issuing) in [
        ("p384", "p256"),
        ("rsa4096", "rsa3072"),
        ("rsa3072", "rsa3072"),
        ("ed25519", "ed25519"),
        ("p384", "p384"),
    ] {
        let ca = Builder::on_files()
            .sections(&ceremony(root, issuing, ""))
            .start()
            .unwrap();
        assert_authorities_accepted(&ca, &format!("{root} over {issuing}"));
    }
}

#[test]
fn the_root_may_live_on_a_token_of_its_own() {
    let (issuing, root) = (SoftHsm::token().unwrap(), SoftHsm::token().unwrap());
    let module = issuing.module().to_owned();
    let sections = format!(
        "[keystores.vault]\ntype = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\n\
         pin_source = \"file:{}\"\n{}",
        root.module().display().to_string(),
        root.label(),
        root.pin_file().display(),
        ceremony("p384", "p256", "keystore = \"vault\"")
    );
    let ca = Builder::on_token(&issuing, &module)
        .sections(&sections)
        .keeping((issuing, root))
        .start()
        .unwrap();
    assert_authorities_accepted(&ca, "root on another token");
    let keys = |arguments: &[&str]| {
        let text = ca.cli(arguments).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let with_key = entries
            .iter()
            .filter(|entry| entry["algorithm"].is_string());
        with_key
            .filter_map(|entry| Some(entry["id"].as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    let vault = keys(&["key", "list", "--keystore", "vault", "--json"]);
    let here = keys(&["key", "list", "--json"]);
    assert_eq!(vault, ["ca-root"]);
    assert!(here.contains(&"ca-issuing".to_owned()), "{here:?}");
    assert!(!here.contains(&"ca-root".to_owned()), "{here:?}");
}

/// Writes a ceremony with these algorithms and further keys for the root.
fn ceremony(root: &str, issuing: &str, root_keys: &str) -> String {
    format!(
        "[ca.ceremony.root]\nalgorithm = \"{root}\"\n{root_keys}\n\
         [ca.ceremony.issuing]\nalgorithm = \"{issuing}\"\n"
    )
}

#[test]
fn a_request_in_der_and_a_short_validity_are_honoured() {
    let ca = Appliance::start().unwrap();
    let request = Request::new("short.example.internal").unwrap();
    let url = ca.url("/sign?profile=tls-server&validity=36h");
    let reply = ca
        .curl()
        .post(&url, "application/pkcs10", &[], &request.der().unwrap())
        .unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    let serial = reply.serial().unwrap().to_owned();
    let record = ca
        .curl()
        .get(&ca.url(&format!("/certificates/{serial}")))
        .unwrap();
    assert_eq!(record.status, 200, "{record}");
    let chain = request.folder().join("chain.pem");
    fs::write(&chain, &reply.body).unwrap();
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-serial", "-checkend"]);
    let mut in_35_hours = command;
    in_35_hours.arg("126000").arg("-in").arg(&chain);
    let told = run(&mut in_35_hours).unwrap();
    let upper = serial.to_ascii_uppercase();
    assert!(
        told.contains(upper.trim_start_matches('0')),
        "{told} is not {serial}"
    );
    let mut in_37_hours = Command::new("openssl");
    in_37_hours
        .args(["x509", "-noout", "-checkend", "133200", "-in"])
        .arg(&chain);
    run(&mut in_37_hours).unwrap_err();
}

#[test]
fn a_repeated_request_is_answered_with_the_same_certificate() {
    let ca = Appliance::start().unwrap();
    let request = Request::new("again.example.internal").unwrap();
    let send = |pem: &[u8]| {
        ca.curl()
            .post(
                &ca.sign_url(Profile::TlsServer),
                "application/x-pem-file",
                &["Idempotency-Key: \"order-1\""],
                pem,
            )
            .unwrap()
    };
    let (first, second) = (send(request.pem()), send(request.pem()));
    assert_eq!(first.status, 201, "{first}");
    assert!(matches!(second.status, 200 | 201), "{second}");
    assert_eq!(first.body, second.body);
    let other = send(Request::new("other.example.internal").unwrap().pem());
    assert_eq!(
        other.problem().as_deref(),
        Some("idempotency-conflict"),
        "{other}"
    );
}

#[test]
fn no_two_certificates_share_a_serial_number() {
    let ca = Appliance::start().unwrap();
    let request = Request::new("many.example.internal").unwrap();
    let serials: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = ca.client().unwrap().connect(ca.address()).unwrap();
                    let message = chancery_tests::Connection::post(
                        "/sign?profile=tls-server",
                        "application/x-pem-file",
                        "",
                        request.pem(),
                    );
                    (0..25)
                        .map(|_| {
                            let answer = connection.exchange(&message).unwrap();
                            assert_eq!(answer.status, 201, "{}", answer.head);
                            answer.header("location").unwrap().to_owned()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let distinct: std::collections::HashSet<_> = serials.iter().collect();
    assert_eq!((serials.len(), distinct.len()), (200, 200));
    for serial in serials {
        // RFC 5280, 4.1.2.2: positive and at most 20 octets; ours have at least 128 bits
        // of which the first may be zero.
        let digits = serial.trim_start_matches("/certificates/");
        assert!((30..=40).contains(&digits.len()), "{serial}");
    }
}

#[test]
fn a_common_name_is_always_among_the_alternative_names() {
    let ca = Builder::on_files().start().unwrap();
    let request = Request::with(
        KeyKind::P256,
        "/CN=common.example.internal",
        &["DNS:other.example.internal"],
    )
    .unwrap();
    let chain = issue(&ca, &ca.sign_url(Profile::TlsServer), &request);
    let mut command = Command::new("openssl");
    command
        .args(["x509", "-noout", "-ext", "subjectAltName", "-in"])
        .arg(&chain);
    let names = run(&mut command).unwrap();
    for name in ["common.example.internal", "other.example.internal"] {
        assert!(names.contains(&format!("DNS:{name}")), "{names}");
    }
}
