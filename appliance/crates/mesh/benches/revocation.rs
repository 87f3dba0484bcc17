//! What a large CRL costs a service: `cargo bench -p mesh --bench revocation`.
//!
//! A CRL of so many entries is kept on disk and taken at a start: read, verified,
//! collected. Beside it, rustls' own verifier with the same CRL. Each is a child
//! process, so that memory is its own.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh::revocation::{
    CrlChecker, CrlCheckerParts, RevocationConfig, RevocationMetrics, WatchedIssuer, WatchedRole,
};
use mesh::{AdmitPeer, PeerCertificate};
use model::ManualClock;
use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;

#[path = "../tests/shell/authority.rs"]
mod authority;

use authority::{Authority, CrlSpec, issuing, later};

/// The sizes.
const ENTRIES: [u32; 2] = [100_000, 1_000_000];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "run") {
        Some(at) => run(&arguments[at + 1], Path::new(&arguments[at + 2])),
        None => measure_all(),
    }
}

/// Makes the CRLs and has every variant take them.
fn measure_all() {
    println!("| entries | CRL MiB | by | ready ms | memory MiB | peak MiB | one admission ns |");
    println!("|---|---|---|---|---|---|---|");
    for entries in ENTRIES {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("bench");
        let serials: Vec<_> = (0..entries).map(serial).collect();
        let crl = authority.crl(&CrlSpec::full(1, &serials));
        std::fs::write(directory.path().join("issuing.crl"), &crl).unwrap();
        let certificate = authority.certificate.der();
        std::fs::write(directory.path().join("issuer.der"), certificate).unwrap();
        let leaf = authority.leaf().0[0].to_vec();
        std::fs::write(directory.path().join("leaf.der"), leaf).unwrap();
        for variant in ["checker", "rustls"] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["run", variant])
                .arg(directory.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let figures = String::from_utf8(output.stdout).unwrap();
            let size = crl.len() / (1024 * 1024);
            println!("| {entries} | {size} | {variant} | {} |", figures.trim());
        }
    }
}

/// A serial number of 18 octets that looks random, the same every time.
fn serial(number: u32) -> model::SerialNumber {
    let mut octets = [0; 18];
    octets[0] = 0x40;
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in octets[2..].chunks_mut(8) {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        chunk.copy_from_slice(&state.to_be_bytes());
    }
    model::SerialNumber::from_unsigned(&octets).unwrap()
}

/// Takes a CRL and prints what it cost.
fn run(variant: &str, directory: &Path) {
    let issuer = std::fs::read(directory.join("issuer.der")).unwrap();
    let before = memory("VmRSS:");
    let begun = Instant::now();
    let (ready, held, admission) = match variant {
        "checker" => {
            let checker = CrlChecker::open(CrlCheckerParts {
                service: "bench",
                issuers: vec![WatchedIssuer {
                    id: issuing(),
                    certificate_der: issuer,
                    role: WatchedRole::Clients,
                }],
                config: RevocationConfig::default(),
                directory: directory.to_owned(),
                clock: Arc::new(ManualClock::at(later(60))),
                metrics: RevocationMetrics::default(),
            })
            .unwrap();
            let ready = begun.elapsed();
            let held = memory("VmRSS:") - before;
            let leaf = std::fs::read(directory.join("leaf.der")).unwrap();
            let peer = PeerCertificate::parse(&leaf).unwrap();
            (ready, held, Some(admission(&checker, &peer)))
        }
        _ => {
            let crl = std::fs::read(directory.join("issuing.crl")).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(issuer.into()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let crls = [CertificateRevocationListDer::from(crl)];
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .with_crls(crls)
                .build()
                .unwrap();
            let ready = begun.elapsed();
            let held = memory("VmRSS:") - before;
            black_box(verifier);
            (ready, held, None)
        }
    };
    let admission = admission.map_or("-".to_owned(), |each| each.as_nanos().to_string());
    let (ready_ms, peak) = (ready.as_millis(), memory("VmHWM:") - before);
    println!("{ready_ms} | {held} | {peak} | {admission}");
}

/// Measures one admission.
fn admission(checker: &CrlChecker, peer: &PeerCertificate) -> Duration {
    const ROUNDS: u32 = 1_000_000;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(checker.admit(black_box(peer))).unwrap();
    }
    begun.elapsed() / ROUNDS
}

/// Reads a figure of this process's memory, in MiB.
fn memory(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}
