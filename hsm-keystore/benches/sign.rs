//! Signing bare and through the store, on the same token in the same run.
//!
//! `cargo bench -p hsm-keystore [-- ALGORITHM…]`; seconds for each figure in
//! `SECONDS`, 2 by default. The store verifies every signature, the bare loop
//! none: the last column compares processor time with one bare signature and
//! one bare verification, which is the least that can be had.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self, ParsedPublicKey};
use hsm_keystore::pkcs11::{NoPrompt, keystore_sign_rate, raw_sign_rate};
use hsm_keystore::{
    KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store, PrivateKey,
    SignJob,
};
use softhsm_test::{FaultShim, SoftHsm, Token};

/// Measures bare verification of the default scheme, a second.
fn verifications(key: &Arc<dyn PrivateKey>, duration: Duration) -> f64 {
    let signature = key
        .sign(SignJob::message(key.algorithm().default_scheme(), b"m"))
        .wait()
        .unwrap();
    let algorithm: &'static dyn signature::VerificationAlgorithm = match key.algorithm() {
        KeyAlgorithm::EcP256 => &signature::ECDSA_P256_SHA256_ASN1,
        KeyAlgorithm::EcP384 => &signature::ECDSA_P384_SHA384_ASN1,
        KeyAlgorithm::Ed25519 => &signature::ED25519,
        _ => &signature::RSA_PKCS1_2048_8192_SHA256,
    };
    let public = ParsedPublicKey::new(algorithm, key.public_key_der()).unwrap();
    let mut best = Duration::MAX;
    let begun = Instant::now();
    // The best of many short stretches: others use the machine too.
    while begun.elapsed() < duration {
        let stretch = Instant::now();
        for _ in 0..20 {
            public.verify_sig(b"m", &signature).unwrap();
        }
        best = best.min(stretch.elapsed());
    }
    20.0 / best.as_secs_f64()
}

fn main() {
    let seconds = std::env::var("SECONDS").map_or(2.0, |text| text.parse().unwrap());
    let duration = Duration::from_secs_f64(seconds);
    let wanted: Vec<KeyAlgorithm> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .map(|argument| argument.parse().unwrap())
        .collect();
    let token = SoftHsm::token().unwrap();
    let modules = Modules::default();
    println!(
        "algorithm lanes |  raw/s  raw/cpu-s | store/s  store/cpu-s | of raw/s | of sign+verify cpu"
    );
    for lanes in [1, 2] {
        let config = Pkcs11Config {
            uri: Some(token.uri().parse().unwrap()),
            sessions: Some(lanes),
            ..Pkcs11Config::default()
        };
        let metrics = KeyStoreMetrics::default();
        let store = Pkcs11Store::open(&config, &modules, &NoPrompt, metrics).unwrap();
        for algorithm in KeyAlgorithm::ALL {
            if !wanted.is_empty() && !wanted.contains(&algorithm) {
                continue;
            }
            let id = KeyId::new(&format!("bench-{algorithm}")).unwrap();
            let key: Arc<dyn PrivateKey> = store
                .get_private_key(&id)
                .or_else(|_| store.generate_private_key(&id, algorithm))
                .unwrap();
            let lanes = usize::try_from(lanes).unwrap();
            let raw = || raw_sign_rate(&config, &modules, &NoPrompt, &id, lanes, duration).unwrap();
            let through = || {
                keystore_sign_rate(&key, algorithm.default_scheme(), lanes, 8, duration).unwrap()
            };
            // Bare before and after: what the machine gives changes meanwhile.
            let (before, store_rate, after) = (raw(), through(), raw());
            let bare = f64::midpoint(before.per_second(), after.per_second());
            let bare_cpu = f64::midpoint(before.per_cpu_second(), after.per_cpu_second());
            let floor = 1.0 / (1.0 / bare_cpu + 1.0 / verifications(&key, duration / 4));
            println!(
                "{algorithm:>9} {lanes:>5} | {bare:>7.0} {bare_cpu:>10.0} | {:>7.0} {:>12.0} | {:>8.2} | {:.2}",
                store_rate.per_second(),
                store_rate.per_cpu_second(),
                store_rate.per_second() / bare,
                store_rate.per_cpu_second() / floor,
            );
        }
    }
    slow_token(&token, duration);
}

/// Measures a token that is slower than this machine, as every hardware token is.
fn slow_token(token: &Token, duration: Duration) {
    let shim = FaultShim::over(token).unwrap();
    let modules = Modules::default();
    println!("p256 on a token of so many signatures a second and lane");
    for (lanes, pace) in [(1, 100), (1, 1000), (2, 1000)] {
        shim.slow_sign(pace);
        let config = Pkcs11Config {
            uri: Some(token.uri_through(shim.module()).parse().unwrap()),
            sessions: Some(lanes),
            ..Pkcs11Config::default()
        };
        let metrics = KeyStoreMetrics::default();
        let store = Pkcs11Store::open(&config, &modules, &NoPrompt, metrics).unwrap();
        let id = KeyId::new("bench-slow").unwrap();
        let key: Arc<dyn PrivateKey> = store
            .get_private_key(&id)
            .or_else(|_| store.generate_private_key(&id, KeyAlgorithm::EcP256))
            .unwrap();
        let threads = usize::try_from(lanes).unwrap();
        let raw = raw_sign_rate(&config, &modules, &NoPrompt, &id, threads, duration).unwrap();
        let scheme = key.algorithm().default_scheme();
        let through = keystore_sign_rate(&key, scheme, threads, 8, duration).unwrap();
        println!(
            "{pace:>9} {lanes:>5} | {:>7.1} raw/s | {:>7.1} store/s | {:.3} of raw/s",
            raw.per_second(),
            through.per_second(),
            through.per_second() / raw.per_second(),
        );
    }
}
