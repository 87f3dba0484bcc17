//! Answers that are signed for each query: a nonce in every one.

use std::error::Error;

use chancery_tests::{Appliance, Builder, until};
use pki::ocsp::OcspResponse;
use serde_json::{Value, json};
use softhsm_test::{FaultShim, SoftHsm};

use crate::Plan;
use crate::floor::Floor;
use crate::load::{self, Target, Until};
use crate::question::{Asker, message, serials};

/// Queries, each with a nonce of its own.
const QUERIES: usize = 2_000;

/// Answers every nonce, and makes nothing ahead.
const CONFIG: &str = "[ca.ocsp]\nnonce = \"answer\"\nready = \"queried\"\n";

/// Measures a slow token's share, and what an answer costs at full speed.
pub(crate) fn measure(plan: Plan, floor: &Floor) -> Result<Value, Box<dyn Error>> {
    println!("## OCSP signed on demand: every query has a nonce, 32 clients\n");
    println!(
        "| token | answers/s | share | p50 ms | p99 ms | server CPU µs each | of one C_Sign | of C_Sign and verification |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let slow = {
        let mut ca = Builder::on_token(&token, shim.module())
            .sections(CONFIG)
            .prepare()?;
        ca.cli(&["init"])?;
        ca.serve_quietly()?;
        let limit = 1_000;
        shim.serial_sign(limit);
        let found = ask(&mut ca, plan)?;
        let share = found.per_second() / f64::from(limit);
        println!(
            "| {limit}/s | {:.1} | {share:.3} | {:.1} | {:.1} | | | |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99)
        );
        json!({"limit": limit, "per_second": found.per_second(), "share": share,
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99)})
    };
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module())
        .sections(CONFIG)
        .prepare()?;
    ca.cli(&["init"])?;
    ca.serve_quietly()?;
    let found = ask(&mut ca, plan)?;
    let (sign_us, verify_us) = (floor.sign, floor.verify);
    let ratio = found.server_micros() / sign_us;
    let of_both = found.server_micros() / (sign_us + verify_us);
    println!(
        "| full speed ({sign_us:.1} µs a C_Sign, {verify_us:.1} a verification) | {:.0} | | {:.2} | {:.2} | {:.1} | {ratio:.2} | {of_both:.2} |\n",
        found.per_second(),
        found.quantile_ms(0.5),
        found.quantile_ms(0.99),
        found.server_micros()
    );
    Ok(
        json!({"slow": slow, "full_speed": {"per_second": found.per_second(),
        "server_cpu_us": found.server_micros(), "c_sign_us": sign_us, "verify_us": verify_us,
            "of_c_sign": ratio, "of_c_sign_and_verification": of_both}}),
    )
}

/// Asks, and holds the answers to have been signed for it.
fn ask(ca: &mut Appliance, plan: Plan) -> Result<load::Found, Box<dyn Error>> {
    ca.issue("on-demand.bench.example.internal")?;
    let asker = Asker::new(ca)?;
    let serials = serials(ca)?;
    let serial = serials.first().ok_or("nothing was issued")?;
    let requests = (0..QUERIES)
        .map(|_| asker.fresh(serial))
        .collect::<Result<Vec<_>, _>>()?;
    let messages: Vec<_> = requests.iter().map(|request| message(request)).collect();
    // Its own certificate first.
    until("the responder signs", plan.time * 10, || {
        let request = requests.first().map_or(&[][..], Vec::as_slice);
        let answer = asker.ask(request).map_err(|error| error.to_string())?;
        match OcspResponse::parse(&answer) {
            Ok(OcspResponse::Basic(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    let signed = |ca: &Appliance| ca.metric("chancery_ocsp_queries_total", "source=\"signed\"");
    crate::load::run(
        &Target::Plain(asker.address),
        0,
        4,
        Until::Each(20),
        &messages,
        200,
    )?;
    let before = signed(ca)?;
    let server = ca.service().map_or(0, |service| service.id());
    let target = Target::Plain(asker.address);
    let found = load::run(&target, server, 32, Until::Time(plan.time), &messages, 200)?;
    let made = signed(ca)? - before;
    // The first of each client is not counted by the load.
    if made < found.answers as f64 {
        return Err(format!(
            "{} answers, of which only {made} were signed",
            found.answers
        )
        .into());
    }
    Ok(found)
}
