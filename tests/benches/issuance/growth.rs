//! Memory and start-up, idle and with many certificates.

use std::error::Error;
use std::time::Instant;

use chancery_tests::{Appliance, Builder};
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::cpu::resident_mib;
use crate::load::{self, Target, Until};
use crate::requests;

/// Measures before and after so many certificates.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## Memory and start-up\n");
    println!("| certificates | start to ready ms | resident MiB |\n|---|---|---|");
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module()).prepare()?;
    ca.cli(&["init"])?;
    let (idle_start, idle) = start(&mut ca)?;
    println!("| 0 | {idle_start:.0} | {idle:.1} |");
    let target = Target::Tls(ca.client()?, ca.address());
    let messages = requests::messages(2000)?;
    let server = ca.service().map_or(0, |service| service.id());
    let each = plan.certificates / 32;
    load::run(&target, server, 32, Until::Each(each), &messages, 201)?;
    let grown = resident_mib(server);
    println!("| {} | as it ran | {grown:.1} |", each * 32);
    ca.stop()?;
    let (full_start, full) = start(&mut ca)?;
    println!("| {} | {full_start:.0} | {full:.1} |", each * 32);
    ca.kill9();
    let (crash_start, _) = start(&mut ca)?;
    println!("| {}, after kill -9 | {crash_start:.0} | |\n", each * 32);
    Ok(json!({
        "idle_mib": idle, "idle_start_ms": idle_start, "certificates": each * 32,
        "grown_mib": grown, "restarted_mib": full, "start_ms": full_start,
        "start_after_crash_ms": crash_start,
    }))
}

/// Starts the service; returns the milliseconds until it was ready and its memory.
fn start(ca: &mut Appliance) -> Result<(f64, f64), Box<dyn Error>> {
    let began = Instant::now();
    ca.serve_quietly()?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let memory = ca
        .service()
        .map_or(0.0, |service| resident_mib(service.id()));
    Ok((took, memory))
}
