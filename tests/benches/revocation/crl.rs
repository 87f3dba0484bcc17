//! A CRL of many entries, beside memcpy and SHA-256 of its bytes and `openssl ca`.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, rand};
use chancery_tests::run;
use model::{NodePrefix, RevocationReason, SerialNumber, Timestamp};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::crl::{CrlNumber, CrlPlan, append_entry};
use pki::issuer::{IssuerFacts, IssuerUrls};
use serde_json::{Value, json};

use crate::Plan;

/// Measures all three.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## A CRL of {} entries\n", plan.certificates);
    println!("| | ms | of the floor |\n|---|---|---|");
    let folder = tempfile::tempdir()?;
    make_ca(folder.path())?;
    let certificate = fs::read(folder.path().join("ca.pem"))?;
    let der = pki::pem::read_certificates(&certificate)?;
    let certificate = Certificate::from_der(der.first().ok_or("no certificate")?)?;
    let facts = IssuerFacts::from_certificate(
        &certificate,
        SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
        IssuerUrls::default(),
    )?;
    let now = Timestamp::try_from(std::time::SystemTime::now())?;
    let now = Timestamp::from_second(now.as_second())?;
    let mut entries = Vec::new();
    let mut index = String::new();
    for number in 0..plan.certificates {
        let mut random = [0; SerialNumber::RANDOM_LEN];
        rand::fill(&mut random).map_err(|_| "no random bytes")?;
        let serial = SerialNumber::from_random(NodePrefix::default(), random);
        append_entry(
            &mut entries,
            &serial,
            now,
            RevocationReason::Superseded,
            None,
        )?;
        let hex = serial.to_string().to_uppercase();
        writeln!(
            index,
            "R\t301231000000Z\t261101000000Z,superseded\t{hex}\tunknown\t/CN={number}"
        )?;
    }
    let crl = CrlPlan::full(CrlNumber::from(1), now, now + Duration::from_secs(86_400));
    let floor = fastest(|| {
        let copy = black_box(&entries).to_vec();
        black_box(digest::digest(&digest::SHA256, &copy));
        Ok(())
    })?;
    let encoding = fastest(|| {
        let arena = [entries.as_slice()];
        black_box(crl.encode(&facts, arena.iter().copied())?);
        Ok(())
    })?;
    let whole = fastest(|| {
        let arena = [entries.as_slice()];
        let planned = crl.encode(&facts, arena.iter().copied())?;
        let linted = pki::crl::lint(planned, &crl, &facts, now)?;
        black_box(linted.digest());
        Ok(())
    })?;
    fs::write(folder.path().join("index.txt"), index)?;
    let began = Instant::now();
    run(Command::new("openssl")
        .current_dir(folder.path())
        .args(["ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem"]))?;
    let openssl = began.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let of = |time: Duration| time.as_secs_f64() / floor.as_secs_f64();
    for (name, time) in [
        ("memcpy and SHA-256 of its bytes", floor),
        ("encoded and hashed", encoding),
        ("encoded, hashed and linted", whole),
        ("openssl ca -gencrl", openssl),
    ] {
        println!("| {name} | {:.1} | {:.2} |", ms(time), of(time));
    }
    println!("\n{} octets\n", entries.len());
    Ok(
        json!({"entries": plan.certificates, "octets": entries.len(), "floor_ms": ms(floor),
        "encode_ms": ms(encoding), "of_floor": of(encoding), "with_lint_ms": ms(whole),
        "with_lint_of_floor": of(whole), "openssl_ms": ms(openssl)}),
    )
}

/// Returns the shortest of a few times.
fn fastest(
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..7 {
        let began = Instant::now();
        work()?;
        best = best.min(began.elapsed());
    }
    Ok(best)
}

/// Makes a CA for `openssl ca`.
pub(crate) fn make_ca(folder: &std::path::Path) -> Result<(), Box<dyn Error>> {
    fs::write(
        folder.join("ca.cnf"),
        "[ca]\ndefault_ca = ca_default\n[ca_default]\ndatabase = index.txt\ncertificate = ca.pem\n\
         private_key = key.pem\ndefault_md = sha256\ndefault_crl_days = 1\ncrlnumber = crlnumber\n",
    )?;
    fs::write(folder.join("crlnumber"), "01\n")?;
    run(Command::new("openssl").current_dir(folder).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-keyout",
        "key.pem",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=peer",
        "-days",
        "30",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
    ]))?;
    Ok(())
}
