//! What is recorded: once, for keys, from elsewhere, over crashes.

use std::fs;
use std::process::Command;

use chancery_tests::{Appliance, PATIENCE, Profile, Request};

use super::{Issued, crl_number, crl_text, said};

#[test]
fn a_second_revocation_changes_nothing_and_tells_the_first() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "www.example.internal");
    issued.revoke(&ca, "superseded");
    let output = ca
        .command()
        .args([
            "cert",
            "revoke",
            &issued.serial,
            "--reason",
            "keyCompromise",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("superseded"), "the first reason: {told}");
    let answer = issued.ocsp(&ca, &[]);
    assert!(answer.contains("Reason: superseded"), "{answer}");
}

#[test]
fn a_hold_is_released_and_another_made_final() {
    let ca = Appliance::start().unwrap();
    let [released, kept] =
        ["a.example.internal", "b.example.internal"].map(|name| Issued::by(&ca, name));
    for issued in [&released, &kept] {
        issued.revoke(&ca, "certificateHold");
        let answer = issued.ocsp(&ca, &[]);
        assert!(answer.contains("Reason: certificateHold"), "{answer}");
        issued.wait_on_crl(&ca, true);
    }
    released.revoke(&ca, "removeFromCRL");
    kept.revoke(&ca, "affiliationChanged");
    let answer = released.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");
    let answer = kept.ocsp(&ca, &[]);
    assert!(answer.contains("Reason: affiliationChanged"), "{answer}");
    released.wait_on_crl(&ca, false);
    kept.wait_on_crl(&ca, true);
}

#[test]
fn a_compromised_key_takes_all_its_certificates_along_and_is_never_certified_again() {
    let ca = Appliance::start().unwrap();
    let first = Issued::by(&ca, "www.example.internal");
    let again = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), first.request.pem())
        .unwrap();
    assert_eq!(again.status, 201, "{again}");
    let other = Issued::by(&ca, "other.example.internal");

    let leaf = first.argument("leaf.pem");
    let told = ca
        .cli(&[
            "cert",
            "revoke",
            &leaf,
            "--key",
            "--reason",
            "keyCompromise",
        ])
        .unwrap();
    for serial in [&first.serial, again.serial().unwrap()] {
        assert!(told.contains(serial), "{told}");
    }
    let answer = first.ocsp(&ca, &[]);
    assert!(answer.contains("Reason: keyCompromise"), "{answer}");
    let answer = other.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");
    let refused = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), first.request.pem())
        .unwrap();
    assert_eq!(refused.problem().as_deref(), Some("weak-key"), "{refused}");
}

#[test]
fn revocations_of_another_ca_are_taken_over_and_given_back() {
    let ca = Appliance::start().unwrap();
    let known = Issued::by(&ca, "www.example.internal");
    let index = ca.folder().join("index.txt");
    fs::write(
        &index,
        format!(
            "V\t390131000000Z\t\t01\tunknown\t/CN=good\n\
             R\t390131000000Z\t260131000000Z,keyCompromise\t8F01\tunknown\t/CN=foreign\n\
             R\t390131000000Z\t260131000000Z,superseded\t{}\tunknown\t/CN=known\n",
            known.serial.to_uppercase()
        ),
    )
    .unwrap();
    let path = index.display().to_string();
    let told = ca.cli(&["revocation", "import", &path, "--json"]).unwrap();
    assert!(told.contains("\"imported\": 2"), "{told}");
    let again = ca.cli(&["revocation", "import", &path, "--json"]).unwrap();
    assert!(again.contains("\"already_revoked\": 2"), "{again}");
    known.wait_on_crl(&ca, true);
    assert!(crl_text(&known.crl(&ca)).contains("8F01"));
    let answer = known.ocsp(&ca, &[]);
    assert!(answer.contains("Reason: superseded"), "{answer}");

    let exported = ca.folder().join("revocations.json");
    let exported = exported.display().to_string();
    ca.cli(&["revocation", "export", "--out", &exported])
        .unwrap();
    let second = Appliance::start().unwrap();
    let told = second
        .cli(&["revocation", "import", &exported, "--json"])
        .unwrap();
    assert!(told.contains("\"imported\": 2"), "{told}");
}

#[test]
fn revocations_and_crl_numbers_survive_a_power_cut() {
    let mut ca = Appliance::start().unwrap();
    let mut number = 0;
    for round in 0..4 {
        let issued = Issued::by(&ca, &format!("round-{round}.example.internal"));
        issued.revoke(&ca, "superseded");
        ca.kill9();
        ca.serve().unwrap();
        // Acknowledged, so it holds: in the answer at once, on the CRL soon.
        let answer = issued.ocsp(&ca, &[]);
        assert!(answer.contains("Reason: superseded"), "{answer}");
        issued.wait_on_crl(&ca, true);
        let next = crl_number(&issued.crl(&ca));
        assert!(next > number, "CRL number {next} after {number}");
        number = next;
    }
    let verified = ca.cli(&["store", "verify"]).unwrap();
    assert!(verified.contains("whole"), "{verified}");
}

#[test]
fn shards_and_deltas_say_what_the_whole_list_says() {
    let token = softhsm_test::SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    let ca = chancery_tests::Builder::on_token(&token, &module)
        .keeping(token)
        .sections("[ca.crl]\nshards = 3\ninterval = \"6h\"\nvalidity = \"12h\"\ndelta_interval = \"10m\"\n")
        .start()
        .unwrap();
    for number in 0..4 {
        let name = format!("n{number}.example.internal");
        let issued = Issued::of(&ca, Request::new(&name).unwrap(), Profile::TlsServer);
        let text = said(
            Command::new("openssl")
                .args(["x509", "-noout", "-ext", "crlDistributionPoints", "-in"])
                .arg(issued.file("leaf.pem")),
        );
        let url = text.split_once("URI:").unwrap().1.trim().to_owned();
        assert!(url.contains("/crl/issuing-"), "a shard: {url}");
        issued.revoke(&ca, "superseded");
        issued.wait_on_crl(&ca, true);
        let shard = issued.file("shard.crl");
        ca.until("the shard holds it", PATIENCE, |_| {
            let reply = chancery_tests::Curl::plain().get(&url).unwrap();
            assert_eq!(reply.status, 200, "{url}: {reply}");
            fs::write(&shard, &reply.body).unwrap();
            let text = crl_text(&shard);
            if text.contains(&issued.serial.to_uppercase()) {
                Ok(())
            } else {
                Err(text)
            }
        })
        .unwrap();
        let verified = said(
            Command::new("openssl")
                .args([
                    "verify",
                    "-x509_strict",
                    "-extended_crl",
                    "-crl_check",
                    "-CRLfile",
                ])
                .arg(&shard)
                .arg("-CAfile")
                .arg(issued.file("authorities.pem"))
                .arg(issued.file("leaf.pem")),
        );
        assert!(verified.contains("certificate revoked"), "{verified}");
    }
    let delta = chancery_tests::Curl::plain()
        .get(&ca.distribution_url("/crl/issuing-delta.crl"))
        .unwrap();
    assert_eq!(delta.status, 200, "{delta}");
    let path = ca.folder().join("delta.crl");
    fs::write(&path, &delta.body).unwrap();
    let text = crl_text(&path);
    assert!(text.contains("Delta CRL Indicator: critical"), "{text}");
}
