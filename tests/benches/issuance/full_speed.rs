//! Issuance on a token at full speed: what our own work costs.

use std::error::Error;

use chancery_tests::Builder;
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::floor::Floor;
use crate::load::{self, Target, Until};
use crate::requests;

/// Measures 1, 8 and 32 clients.
pub(crate) fn measure(plan: Plan, floor: &Floor) -> Result<Value, Box<dyn Error>> {
    println!("## Issuance over mTLS, durable, SoftHSM at full speed\n");
    println!(
        "| clients | certificates/s | p50 ms | p99 ms | server CPU µs each | of the floor | certificates per CPU second |"
    );
    println!("|---|---|---|---|---|---|---|");
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module()).prepare()?;
    ca.cli(&["init"])?;
    ca.serve_quietly()?;
    let server = ca.service().map_or(0, |service| service.id());
    let target = Target::Tls(ca.client()?, ca.address());
    let messages = requests::messages(2000)?;
    // The first requests pay for what is made once.
    load::run(
        &target,
        server,
        8,
        Until::Time(plan.time / 5),
        &messages,
        201,
    )?;
    let mut rows = Vec::new();
    for clients in [1, 8, 32] {
        let found = load::run(
            &target,
            server,
            clients,
            Until::Time(plan.time),
            &messages,
            201,
        )?;
        let ratio = found.server_micros() / floor.total();
        println!(
            "| {clients} | {:.0} | {:.2} | {:.2} | {:.0} | {ratio:.2} | {:.0} |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99),
            found.server_micros(),
            1e6 / found.server_micros(),
        );
        rows.push(json!({
            "clients": clients, "per_second": found.per_second(),
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99),
            "server_cpu_us": found.server_micros(), "of_floor": ratio,
        }));
    }
    println!();
    Ok(json!(rows))
}
