//! The cryptographic floor: what nobody can save who signs and verifies.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use softhsm_test::{RawKey, RawSigner, SoftHsm};

use crate::Plan;
use crate::cpu::{micros_each, used_here};

/// Microseconds of processor time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// One `C_Sign` with P-256, on one thread.
    pub(crate) sign: f64,
    /// One verification with P-256: of a request, or of the result.
    pub(crate) verify: f64,
}

impl Floor {
    /// Returns that of a certificate: one signature and two verifications.
    pub(crate) fn total(&self) -> f64 {
        self.sign + 2.0 * self.verify
    }

    /// Renders the figures.
    pub(crate) fn to_json(self) -> Value {
        json!({"sign_us": self.sign, "verify_us": self.verify, "floor_us": self.total()})
    }
}

/// Measures the floor: SoftHSM's `C_Sign`, aws-lc-rs' verification.
pub(crate) fn measure(plan: Plan) -> Result<Floor, Box<dyn Error>> {
    println!("## The floor: P-256, SoftHSM's C_Sign, aws-lc-rs' verification\n");
    println!("| operation | threads | per second | CPU µs each |\n|---|---|---|---|");
    let token = SoftHsm::token()?;
    let signer = RawSigner::new(&token, token.module(), RawKey::P256)?;
    let mut sign = f64::INFINITY;
    for threads in [1, 2, 4, 8] {
        let before = used_here();
        let rate = signer.measure(threads, plan.time / 2)?;
        let each = micros_each(used_here() - before, rate.signatures);
        if threads == 1 {
            sign = each;
        }
        let per_second = rate.signatures as f64 / rate.elapsed.as_secs_f64();
        println!("| raw C_Sign | {threads} | {per_second:.0} | {each:.1} |");
    }
    signer.finish()?;
    let verify = verification(plan.time / 2)?;
    let floor = Floor { sign, verify };
    println!("| verification | 1 | {:.0} | {verify:.1} |\n", 1e6 / verify);
    Ok(floor)
}

/// Measures one verification of a message as long as a request.
fn verification(time: Duration) -> Result<f64, Box<dyn Error>> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref())?;
    let message = [0x5a; 300];
    let signature = key.sign(&random, &message)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    let (before, began) = (used_here(), Instant::now());
    let mut count = 0;
    while began.elapsed() < time {
        for _ in 0..100 {
            public.verify(black_box(&message), signature.as_ref())?;
        }
        count += 100;
    }
    Ok(micros_each(used_here() - before, count))
}
