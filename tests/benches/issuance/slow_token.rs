//! Issuance on a slow token: how much of what it can do is used.

use std::error::Error;

use chancery_tests::Builder;
use serde_json::{Value, json};
use softhsm_test::{FaultShim, SoftHsm};

use crate::Plan;
use crate::load::{self, Target, Until};
use crate::requests;

/// Measures 32 clients on tokens of 100 and 1,000 signatures a second.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!(
        "## Issuance over mTLS, durable, 32 clients, a token of so many signatures a second\n"
    );
    println!("| token | certificates/s | share | p50 ms | p99 ms | best possible ms |");
    println!("|---|---|---|---|---|---|");
    let messages = requests::messages(500)?;
    let mut rows = Vec::new();
    for limit in [100, 1000] {
        let token = SoftHsm::token()?;
        let shim = FaultShim::over(&token)?;
        let mut ca = Builder::on_token(&token, shim.module()).prepare()?;
        ca.cli(&["init"])?;
        ca.serve_quietly()?;
        let server = ca.service().map_or(0, |service| service.id());
        shim.serial_sign(limit);
        let target = Target::Tls(ca.client()?, ca.address());
        let found = load::run(&target, server, 32, Until::Time(plan.time), &messages, 201)?;
        let share = found.per_second() / f64::from(limit);
        let best = 32.0 / f64::from(limit) * 1e3;
        println!(
            "| {limit}/s | {:.1} | {share:.3} | {:.1} | {:.1} | {best:.1} |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99),
        );
        rows.push(json!({
            "limit": limit, "per_second": found.per_second(), "share": share,
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99),
        }));
    }
    println!();
    Ok(json!(rows))
}
