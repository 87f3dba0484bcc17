//! Time-stamps on request (RFC 3161), each with a nonce of its own and recorded.

use std::error::Error;

use aws_lc_rs::rand;
use chancery_tests::{Appliance, Connection, TlsClient};
use model::signing::ArtifactDigest;
use pki::timestamp::RequestPlan;
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::floor::Floor;
use crate::load::{self, Target, Until};
use crate::service;

/// Requests, which clients repeat; the service does not know them again.
const REQUESTS: usize = 2_000;

/// Measures 1 and 32 clients without certificates.
pub(crate) fn measure(plan: Plan, floor: &Floor) -> Result<Value, Box<dyn Error>> {
    println!("## Time-stamps over TLS, recorded, SoftHSM at full speed\n");
    println!(
        "| clients | time-stamps/s | p50 ms | p99 ms | server CPU µs each | of one C_Sign | of C_Sign and verification |"
    );
    println!("|---|---|---|---|---|---|---|");
    let token = SoftHsm::token()?;
    let mut appliance = service::start(&token, token.module())?;
    let messages = messages()?;
    let server = service::process(&mut appliance)?;
    let anyone = TlsClient::anonymous(&appliance.trust())?;
    let target = Target::Tls(anyone, appliance.signing_open_address());
    // The first requests pay for what is made once.
    let warm = Until::Time(plan.time / 5);
    load::run(&target, server, 8, warm, &messages, 200)?;
    let mut rows = Vec::new();
    for clients in [1, 32] {
        let (granted, signed) = counts(&appliance)?;
        let until = Until::Time(plan.time);
        let found = load::run(&target, server, clients, until, &messages, 200)?;
        let (granted, signed) = {
            let now = counts(&appliance)?;
            (now.0 - granted, now.1 - signed)
        };
        // A rejection is 200 too; and the first of each client is not among the answers.
        let asked = (found.answers + clients as u64) as f64;
        if granted < asked || signed < asked {
            let seen = format!("{asked} asked for, {granted} granted, {signed} signed");
            return Err(seen.into());
        }
        let cpu = found.server_micros();
        let (of_sign, of_both) = (cpu / floor.sign, cpu / (floor.sign + floor.verify));
        println!(
            "| {clients} | {:.0} | {:.2} | {:.2} | {cpu:.0} | {of_sign:.2} | {of_both:.2} |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99),
        );
        rows.push(json!({
            "clients": clients, "per_second": found.per_second(),
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99),
            "server_cpu_us": cpu, "of_c_sign": of_sign, "of_c_sign_and_verification": of_both,
        }));
    }
    println!();
    Ok(json!(rows))
}

/// Returns how many time-stamps were granted, and how many signatures were made.
fn counts(appliance: &Appliance) -> Result<(f64, f64), chancery_tests::Error> {
    let granted = appliance.metric("chancery_signing_timestamps_total", "outcome=\"granted\"")?;
    Ok((granted, service::signatures(appliance)?))
}

/// Makes the messages, as a client makes them that wants the certificate too.
fn messages() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    (0..REQUESTS)
        .map(|_| {
            let (mut imprint, mut nonce) = ([0; 32], [0; 8]);
            rand::fill(&mut imprint).map_err(|_| "no random octets")?;
            rand::fill(&mut nonce).map_err(|_| "no random octets")?;
            // A number of eight octets and no sign.
            nonce[0] = (nonce[0] & 0x7f) | 0x40;
            let request = RequestPlan {
                digest: ArtifactDigest::sha256(imprint),
                policy: None,
                nonce: Some(&nonce),
                certificate: true,
            };
            Ok(Connection::post(
                "/v1/timestamps",
                "application/timestamp-query",
                "",
                &request.encode(),
            ))
        })
        .collect()
}
