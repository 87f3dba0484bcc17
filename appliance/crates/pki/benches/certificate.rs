//! What one certificate costs before and after the token signs it.
//!
//! `cargo bench -p pki`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use divan::Bencher;
use pki::csr::{CheckedCsr, CsrLimits};
use pki::key_check::{self, KeyPolicy};
use pki::lint::lint;
use pki::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};
use support::{Authority, TestKey, now, request, serial};

fn main() {
    divan::main();
}

/// A P-256 CA below a root.
fn authority() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
        .subordinate(TestKey::p256(), &ProfileConfig::default())
}

/// A P-256 request for two names.
fn csr() -> Vec<u8> {
    request(
        &TestKey::p256(),
        "CN=www.example.org",
        &["www.example.org", "example.org"],
    )
}

/// Parses and checks a P-256 request, its signature included.
#[divan::bench]
fn request_p256(bencher: Bencher<'_, '_>) {
    let csr_der = csr();
    let (limits, policy) = (CsrLimits::default(), KeyPolicy::default());
    bencher.bench(|| CheckedCsr::parse(&csr_der, &limits, &policy).unwrap());
}

/// Verifies a P-256 signature: the floor of the above.
#[divan::bench]
fn verification_p256(bencher: Bencher<'_, '_>) {
    let key = TestKey::p256();
    let (public_key, algorithm) = (key.public_key(), key.algorithm());
    let signature = key.sign(algorithm, b"message");
    bencher.bench(|| {
        public_key
            .verify(algorithm, b"message", &signature)
            .unwrap()
    });
}

/// Plans and encodes a P-256 leaf.
#[divan::bench]
fn plan(bencher: Bencher<'_, '_>) {
    let (authority, profile) = (
        authority(),
        Profile::built_in(ProfileKind::TlsServer).unwrap(),
    );
    let csr = CheckedCsr::parse(&csr(), &CsrLimits::default(), &KeyPolicy::default()).unwrap();
    bencher.bench(|| {
        let request = PlanRequest::from_csr(&csr, serial(1), now());
        profile.plan(&request, &authority.facts).unwrap()
    });
}

/// Plans, encodes, lints and assembles a P-256 leaf; all but the signature.
#[divan::bench]
fn plan_lint_assemble(bencher: Bencher<'_, '_>) {
    let (authority, profile) = (
        authority(),
        Profile::built_in(ProfileKind::TlsServer).unwrap(),
    );
    let csr = CheckedCsr::parse(&csr(), &CsrLimits::default(), &KeyPolicy::default()).unwrap();
    let signature = authority.key.sign(authority.key.algorithm(), b"any");
    bencher.bench(|| {
        let request = PlanRequest::from_csr(&csr, serial(1), now());
        let planned = profile.plan(&request, &authority.facts).unwrap();
        let linted = lint(planned, &profile, &authority.facts).unwrap();
        linted.assemble(&signature).unwrap()
    });
}

/// Checks an RSA key of so many bits for every weakness.
#[divan::bench(args = [2048, 3072, 4096])]
fn rsa_key_check(bencher: Bencher<'_, '_>, bits: u32) {
    use aws_lc_rs::rsa::KeySize;
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        _ => KeySize::Rsa4096,
    };
    let (key, policy) = (TestKey::rsa(size).public_key(), KeyPolicy::default());
    bencher.bench(|| key_check::check(&key, &policy).unwrap());
}
