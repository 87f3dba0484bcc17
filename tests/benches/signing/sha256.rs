//! SHA-256: what it costs here, and what of a signature cannot do without it.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chancery_tests::Appliance;
use serde_json::Value;

use crate::cpu::{micros_each, used_here};
use crate::evidence::EVIDENCE;
use crate::service;

/// Returns microseconds of processor time for one KiB, in messages as long as evidence.
pub(crate) fn micros_per_kib(time: Duration) -> f64 {
    let message = vec![0x5a; EVIDENCE];
    let (before, began) = (used_here(), Instant::now());
    let mut count = 0;
    while began.elapsed() < time {
        for _ in 0..100 {
            black_box(digest(&SHA256, black_box(&message)));
        }
        count += 100;
    }
    micros_each(used_here() - before, count) / (EVIDENCE as f64 / 1024.0)
}

/// Returns the KiB of a signature that must be hashed: bill of materials and provenance,
/// by which record and verdict name them, and every statement that is signed.
pub(crate) fn needed_kib(appliance: &Appliance, signature: &Value) -> Result<f64, Box<dyn Error>> {
    let statements: usize = match signature["attestationsURL"].as_str() {
        Some(url) => lengths(&service::document(appliance, url)?)?.iter().sum(),
        None => 0,
    };
    Ok((2 * EVIDENCE + statements) as f64 / 1024.0)
}

/// Returns the lengths of the statements in bundles, one a line.
fn lengths(bundles: &[u8]) -> Result<Vec<usize>, Box<dyn Error>> {
    bundles
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let bundle: Value = serde_json::from_slice(line)?;
            let payload = bundle["dsseEnvelope"]["payload"]
                .as_str()
                .ok_or("a bundle without a statement")?;
            Ok(STANDARD.decode(payload)?.len())
        })
        .collect()
}
