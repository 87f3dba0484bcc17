//! From a revocation to the changed answer.

use std::error::Error;
use std::time::Instant;

use chancery_tests::{Builder, Connection};
use pki::ocsp::{CertIdHash, CertStatus, OcspResponse};
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::cached::wait_ready;
use crate::load::{self, Target, Until};
use crate::question::{Asker, message, serials};
use crate::requests;

/// Measures one revocation after the other, each asked about when it is told.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## From POST /revoke-cert to an OCSP answer that says so\n");
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module())
        .sections("[ca.ocsp]\ntoken_percent = 100\n")
        .prepare()?;
    ca.cli(&["init"])?;
    ca.serve_quietly()?;
    let target = Target::Tls(ca.client()?, ca.address());
    let each = Until::Each(plan.revocations as u64 / 8);
    load::run(&target, 0, 8, each, &requests::messages(64)?, 201)?;
    wait_ready(&ca)?;
    let asker = Asker::new(&ca)?;
    let mut operator = ca.client()?.connect(ca.address())?;
    let mut party = Connection::plain(asker.address)?;
    let (mut revoking, mut until_told) = (Vec::new(), Vec::new());
    // The newest are listed first, and were issued by this run; the services' own are last.
    for serial in serials(&ca)?.iter().take(plan.revocations) {
        let body = json!({"serial": serial.to_string(), "reason": "superseded"}).to_string();
        let revoke = Connection::post("/revoke-cert", "application/json", "", body.as_bytes());
        let request = asker.request(CertIdHash::Sha1, serial, None);
        let began = Instant::now();
        let answer = operator.exchange(&revoke)?;
        let revoked = began.elapsed();
        if answer.status != 200 {
            return Err(
                format!("{} {}", answer.head, String::from_utf8_lossy(&answer.body)).into(),
            );
        }
        let answer = party.exchange(&message(&request))?;
        until_told.push(began.elapsed());
        revoking.push(revoked);
        let OcspResponse::Basic(response) = OcspResponse::parse(&answer.body)? else {
            return Err("no answer after a revocation".into());
        };
        if !response
            .answers()
            .all(|answer| matches!(answer.status, CertStatus::Revoked { .. }))
        {
            return Err("an old answer after a revocation".into());
        }
    }
    revoking.sort_unstable();
    until_told.sort_unstable();
    let ms = |times: &[std::time::Duration], part: f64| {
        let at = ((times.len().saturating_sub(1)) as f64 * part).round() as usize;
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    println!("| | p50 ms | p99 ms | worst ms |\n|---|---|---|---|");
    for (name, times) in [
        ("POST /revoke-cert", &revoking),
        ("until the answer says so", &until_told),
    ] {
        let (median, late, worst) = (ms(times, 0.5), ms(times, 0.99), ms(times, 1.0));
        println!("| {name} | {median:.2} | {late:.2} | {worst:.2} |");
    }
    println!();
    Ok(
        json!({"revocations": until_told.len(), "revoke_p99_ms": ms(&revoking, 0.99),
        "p50_ms": ms(&until_told, 0.5), "p99_ms": ms(&until_told, 0.99)}),
    )
}
