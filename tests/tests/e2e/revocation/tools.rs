//! A revocation as OpenSSL, GnuTLS, pkilint and our own commands see it.

use std::fs;
use std::process::Command;

use chancery_tests::{Appliance, Curl, Judge, PATIENCE};

use super::{Issued, crl_number, crl_text, said};

#[test]
fn a_certificate_is_good_until_it_is_revoked_and_every_tool_sees_it() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "www.example.internal");
    for hash in ["-sha1", "-sha256"] {
        let answer = issued.ocsp(&ca, &[hash]);
        assert!(answer.contains("leaf.pem: good"), "{hash}: {answer}");
        assert!(answer.contains("Response verify OK"), "{hash}: {answer}");
        assert_judged(&issued);
    }
    let before = crl_number(&issued.crl(&ca));
    assert_checked_by_crl(&issued, &ca, None);

    let record = issued.revoke(&ca, "keyCompromise");
    assert!(record.contains("keyCompromise"), "{record}");
    // Changed before the answer: no waiting.
    for hash in ["-sha1", "-sha256"] {
        let answer = issued.ocsp(&ca, &[hash]);
        assert!(answer.contains("leaf.pem: revoked"), "{hash}: {answer}");
        assert!(answer.contains("Reason: keyCompromise"), "{answer}");
        assert!(answer.contains("Response verify OK"), "{answer}");
        assert_judged(&issued);
    }
    issued.wait_on_crl(&ca, true);
    assert!(crl_number(&issued.crl(&ca)) > before);
    assert!(crl_text(&issued.crl(&ca)).contains("Key Compromise"));
    assert_checked_by_crl(&issued, &ca, Some("certificate revoked"));

    let shown = ca.cli(&["cert", "show", &issued.serial]).unwrap();
    assert!(shown.contains("revoked"), "{shown}");
    let listed = ca.cli(&["cert", "list", "--status", "revoked"]).unwrap();
    assert!(listed.contains(&issued.serial), "{listed}");
}

/// Has the judges look at the OCSP answer that was kept.
fn assert_judged(issued: &Issued) {
    let gnutls = said(
        Command::new("ocsptool")
            .args(["--verify-response", "--load-response"])
            .arg(issued.file("ocsp.der"))
            .arg("--load-issuer")
            .arg(issued.file("issuer.pem"))
            .arg("--load-signer")
            .arg(issued.file("issuer.pem")),
    );
    assert!(gnutls.contains("Success"), "{gnutls}");
    let judgement = Judge::pkilint_ocsp(&issued.file("ocsp.der")).unwrap();
    assert!(judgement.accepted, "{judgement}");
}

/// Has OpenSSL, GnuTLS and pkilint look at the CRL and, by it, at the certificate.
fn assert_checked_by_crl(issued: &Issued, ca: &Appliance, refusal: Option<&str>) {
    let crl = issued.crl(ca);
    let verified = said(
        Command::new("openssl")
            .args(["crl", "-inform", "DER", "-noout", "-CAfile"])
            .arg(issued.file("authorities.pem"))
            .arg("-in")
            .arg(&crl),
    );
    assert!(verified.contains("verify OK"), "{verified}");
    let pem = issued.file("crl.pem");
    said(
        Command::new("openssl")
            .args(["crl", "-inform", "DER", "-in"])
            .arg(&crl)
            .arg("-out")
            .arg(&pem),
    );
    let gnutls = said(
        Command::new("certtool")
            .args(["--verify-crl", "--load-ca-certificate"])
            .arg(issued.file("issuer.pem"))
            .arg("--infile")
            .arg(&pem),
    );
    assert!(gnutls.contains("Verified."), "{gnutls}");
    let judgement = Judge::pkilint_crl(&crl).unwrap();
    assert!(judgement.accepted, "{judgement}");
    let verified = said(
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-crl_check", "-CRLfile"])
            .arg(&crl)
            .arg("-CAfile")
            .arg(issued.file("authorities.pem"))
            .args(["-purpose", "sslserver"])
            .arg(issued.file("leaf.pem")),
    );
    match refusal {
        None => assert!(verified.contains("leaf.pem: OK"), "{verified}"),
        Some(refusal) => assert!(verified.contains(refusal), "{verified}"),
    }
}

#[test]
fn our_own_query_says_what_openssl_says() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "www.example.internal");
    let chain = issued.argument("chain.pem");
    for hash in ["sha1", "sha256"] {
        let good = ca
            .cli(&["ocsp", "query", &chain, "--hash", hash, "--json"])
            .unwrap();
        assert!(good.contains("\"status\": \"good\""), "{good}");
    }
    issued.revoke(&ca, "superseded");
    let output = ca
        .command()
        .args(["ocsp", "query", &issued.argument("leaf.pem"), "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "revoked is not good");
    let revoked = String::from_utf8(output.stdout).unwrap();
    assert!(revoked.contains("\"status\": \"revoked\""), "{revoked}");
    assert!(revoked.contains("\"reason\": \"superseded\""), "{revoked}");
    issued.wait_on_crl(&ca, true);
    let shown = ca
        .cli(&["crl", "show", "--serial", &issued.serial, "--json"])
        .unwrap();
    assert!(shown.contains("\"valid\": true"), "{shown}");
    assert!(shown.contains("superseded"), "{shown}");
}

#[test]
fn what_certificates_point_to_is_there() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "www.example.internal");
    let text = said(
        Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(issued.file("leaf.pem")),
    );
    let urls: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("URI:").map(|(_, url)| url.trim()))
        .collect();
    assert_eq!(urls.len(), 3, "OCSP, issuer, CRL: {urls:?}");
    for url in urls {
        let reply = Curl::plain().get(url).unwrap();
        if url.ends_with("/ocsp") {
            // A question is missing; that there is somebody to answer is shown elsewhere.
            assert_eq!(reply.status, 405, "{url}: {reply}");
            continue;
        }
        assert_eq!(reply.status, 200, "{url}: {reply}");
        let etag = reply.header("etag").expect("an entity tag").to_owned();
        let again = Curl::plain()
            .call(url, &[&format!("If-None-Match: {etag}")], None)
            .unwrap();
        assert_eq!(again.status, 304, "{url}: {again}");
        assert!(again.body.is_empty(), "{url}");
    }
}

#[test]
fn the_ocsp_answer_of_a_get_can_be_cached() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "www.example.internal");
    let request = issued.file("request.der");
    said(
        Command::new("openssl")
            .args(["ocsp", "-sha256", "-no_nonce", "-issuer"])
            .arg(issued.file("issuer.pem"))
            .arg("-cert")
            .arg(issued.file("leaf.pem"))
            .arg("-reqout")
            .arg(&request),
    );
    let base64 = said(
        Command::new("openssl")
            .args(["base64", "-A", "-in"])
            .arg(&request),
    );
    let escaped = base64
        .trim()
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let url = ca.distribution_url(&format!("/ocsp/{escaped}"));
    let reply = Curl::plain().get(&url).unwrap();
    assert_eq!(reply.status, 200, "{reply}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/ocsp-response")
    );
    for header in ["etag", "last-modified", "expires", "cache-control"] {
        assert!(reply.header(header).is_some(), "{header}: {reply}");
    }
    let etag = reply.header("etag").unwrap().to_owned();
    let conditional = format!("If-None-Match: {etag}");
    let again = Curl::plain().call(&url, &[&conditional], None).unwrap();
    assert_eq!(again.status, 304, "{again}");
    issued.revoke(&ca, "cessationOfOperation");
    let changed = ca
        .until("the answer changes", PATIENCE, |_| {
            let reply = Curl::plain().call(&url, &[&conditional], None).unwrap();
            if reply.status == 200 {
                Ok(reply)
            } else {
                Err(reply.to_string())
            }
        })
        .unwrap();
    fs::write(issued.file("ocsp.der"), &changed.body).unwrap();
    assert_judged(&issued);
}
