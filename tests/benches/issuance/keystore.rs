//! The keystore alone: its share of raw `C_Sign`, and whom it lets go first.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{
    KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store, Priority,
    PrivateKey, SignJob,
};
use serde_json::{Value, json};
use softhsm_test::{FaultShim, RawKey, RawSigner, SoftHsm, Token};

use crate::Plan;
use crate::cpu::{micros_each, used_here};

/// Has no one to ask: the PIN is in a file.
#[derive(Debug)]
struct Nobody;

impl AskPin for Nobody {
    fn ask_pin(&self, _token: &str) -> std::io::Result<secrecy::SecretString> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Opens a store on a token behind a module.
fn open(
    token: &Token,
    module: &std::path::Path,
    sessions: u64,
) -> Result<Pkcs11Store, Box<dyn Error>> {
    let config: Pkcs11Config = toml::from_str(&format!(
        "module = {:?}\ntoken = {:?}\npin_source = \"file:{}\"\nsessions = {sessions}",
        module.display().to_string(),
        token.label(),
        token.pin_file().display()
    ))?;
    let (modules, metrics) = (Modules::default(), KeyStoreMetrics::default());
    Ok(Pkcs11Store::open(&config, &modules, &Nobody, metrics)?)
}

/// Measures both.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## The keystore alone, beside raw C_Sign on as many threads\n");
    println!(
        "| key | threads | raw/s | keystore/s | share | raw CPU µs | keystore CPU µs, verification included |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (name, raw, algorithm) in [
        ("P-256", RawKey::P256, KeyAlgorithm::EcP256),
        ("RSA-2048", RawKey::Rsa2048, KeyAlgorithm::Rsa2048),
    ] {
        for threads in [1, 2] {
            let token = SoftHsm::token()?;
            let signer = RawSigner::new(&token, token.module(), raw)?;
            let before = used_here();
            let rate = signer.measure(threads, plan.time / 2)?;
            let raw_cpu = micros_each(used_here() - before, rate.signatures);
            signer.finish()?;
            let raw_rate = rate.signatures as f64 / rate.elapsed.as_secs_f64();
            let store = open(&token, token.module(), threads as u64)?;
            let key = store.generate_private_key(&KeyId::new("bench")?, algorithm)?;
            let before = used_here();
            let (count, elapsed) = sign_by_many(&key, threads * 4, plan.time / 2);
            let cpu = micros_each(used_here() - before, count);
            let per_second = count as f64 / elapsed.as_secs_f64();
            let share = per_second / raw_rate;
            println!(
                "| {name} | {threads} | {raw_rate:.0} | {per_second:.0} | {share:.2} | {raw_cpu:.1} | {cpu:.1} |"
            );
            rows.push(json!({"key": name, "threads": threads, "raw": raw_rate,
                "keystore": per_second, "share": share}));
        }
    }
    println!();
    let priority = overtaking()?;
    Ok(json!({"share": rows, "overtaking": priority}))
}

/// Signs by many callers for a time, and counts.
fn sign_by_many(key: &Arc<dyn PrivateKey>, callers: usize, time: Duration) -> (u64, Duration) {
    let count = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while began.elapsed() < time {
                    let job = SignJob::message(key.algorithm().default_scheme(), b"bench");
                    if key.sign(job).wait().is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (count.load(Ordering::Relaxed), began.elapsed())
}

/// Measures how long a signature for revocation waits while 32 others are always waiting.
fn overtaking() -> Result<Value, Box<dyn Error>> {
    println!("## A revocation's signature among 32 waiting in bulk, a lane of so many a second\n");
    println!(
        "| lanes | per second and lane | one signature ms | revocation: median ms | worst ms | bulk: median ms |"
    );
    println!("|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (lanes, per_second) in [(1, 100), (2, 100), (1, 1000)] {
        let token = SoftHsm::token()?;
        let shim = FaultShim::over(&token)?;
        let store = open(&token, shim.module(), lanes)?;
        let key = store.generate_private_key(&KeyId::new("bench")?, KeyAlgorithm::EcP256)?;
        shim.slow_sign(per_second);
        let (urgent, bulk) = race(&key)?;
        let one = 1e3 / f64::from(per_second);
        let (median, worst) = (urgent[urgent.len() / 2], urgent[urgent.len() - 1]);
        let bulk_median = bulk[bulk.len() / 2];
        println!(
            "| {lanes} | {per_second} | {one:.1} | {median:.1} | {worst:.1} | {bulk_median:.1} |"
        );
        rows.push(json!({"lanes": lanes, "per_second": per_second,
            "median_ms": median, "worst_ms": worst, "bulk_median_ms": bulk_median}));
    }
    println!();
    Ok(json!(rows))
}

/// Asks for urgent signatures one after the other while bulk never lets up.
fn race(key: &Arc<dyn PrivateKey>) -> Result<(Vec<f64>, Vec<f64>), Box<dyn Error>> {
    let over = AtomicBool::new(false);
    let scheme = key.algorithm().default_scheme();
    let timed = |priority| {
        let began = Instant::now();
        let job = SignJob::message(scheme, b"bench").with_priority(priority);
        key.sign(job)
            .wait()
            .map(|_| began.elapsed().as_secs_f64() * 1e3)
    };
    let (mut urgent, mut bulk) = std::thread::scope(|scope| {
        let others: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        times.extend(timed(Priority::Bulk).ok());
                    }
                    times
                })
            })
            .collect();
        let urgent: Vec<_> = (0..60)
            .filter_map(|_| timed(Priority::Revocation).ok())
            .collect();
        over.store(true, Ordering::Relaxed);
        let bulk: Vec<_> = others
            .into_iter()
            .filter_map(|other| other.join().ok())
            .flatten()
            .collect();
        (urgent, bulk)
    });
    if urgent.is_empty() || bulk.is_empty() {
        return Err("no signature came back".into());
    }
    urgent.sort_unstable_by(f64::total_cmp);
    bulk.sort_unstable_by(f64::total_cmp);
    Ok((urgent, bulk))
}
