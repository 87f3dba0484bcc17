//! Signing bare and through the store, on the same token in the same run.
//!
//! `cargo bench -p hsm-keystore`; seconds for each figure in `SECONDS`, 2 by default.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::pkcs11::{NoPrompt, keystore_sign_rate, raw_sign_rate};
use hsm_keystore::{
    KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store, PrivateKey,
};
use softhsm_test::SoftHsm;

fn main() {
    let seconds = std::env::var("SECONDS").map_or(2.0, |text| text.parse().unwrap());
    let duration = Duration::from_secs_f64(seconds);
    let token = SoftHsm::token().unwrap();
    let modules = Modules::default();
    println!("algorithm lanes |  raw/s  raw/cpu-s | store/s  store/cpu-s | of raw/s");
    for lanes in [1, 2] {
        let config = Pkcs11Config {
            uri: Some(token.uri().parse().unwrap()),
            sessions: Some(lanes),
            ..Pkcs11Config::default()
        };
        let metrics = KeyStoreMetrics::default();
        let store = Pkcs11Store::open(&config, &modules, &NoPrompt, metrics).unwrap();
        for algorithm in KeyAlgorithm::ALL {
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
            println!(
                "{algorithm:>9} {lanes:>5} | {bare:>7.0} {:>10.0} | {:>7.0} {:>12.0} | {:.2}",
                f64::midpoint(before.per_cpu_second(), after.per_cpu_second()),
                store_rate.per_second(),
                store_rate.per_cpu_second(),
                store_rate.per_second() / bare,
            );
        }
    }
}
