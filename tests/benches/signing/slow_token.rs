//! Signatures by digest on a slow token: how much of what it can do is used.

use std::error::Error;

use serde_json::{Value, json};
use softhsm_test::{FaultShim, SoftHsm};

use crate::Plan;
use crate::by_digest::FORMATS;
use crate::evidence::Requests;
use crate::load::Until;
use crate::service;

/// Signatures that the token makes in a second.
const LIMIT: u32 = 1_000;

/// How many clients at a time.
const CLIENTS: usize = 32;

/// Measures 32 clients on a token of 1,000 signatures a second.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!(
        "## Signatures by digest over mTLS, durable, {CLIENTS} clients, a token of {LIMIT} signatures a second\n"
    );
    println!(
        "| formats | requests/s | token signatures each | share | p50 ms | p99 ms | best possible ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (name, formats) in FORMATS {
        let requests = Requests::new(formats)?;
        let token = SoftHsm::token()?;
        let shim = FaultShim::over(&token)?;
        let mut appliance = service::start(&token, shim.module())?;
        shim.serial_sign(LIMIT);
        service::sign(&mut appliance, &requests, 8, Until::Time(plan.time / 5))?;
        let until = Until::Time(plan.time);
        let found = service::sign(&mut appliance, &requests, CLIENTS, until)?;
        let (load, signatures) = (&found.load, found.token_signatures);
        let share = load.per_second() * signatures / f64::from(LIMIT);
        let best = CLIENTS as f64 * signatures / f64::from(LIMIT) * 1e3;
        println!(
            "| {name} | {:.1} | {signatures:.2} | {share:.3} | {:.1} | {:.1} | {best:.1} |",
            load.per_second(),
            load.quantile_ms(0.5),
            load.quantile_ms(0.99),
        );
        rows.push(json!({
            "formats": name, "limit": LIMIT, "per_second": load.per_second(),
            "token_signatures": signatures, "share": share,
            "p50_ms": load.quantile_ms(0.5), "p99_ms": load.quantile_ms(0.99),
        }));
    }
    println!();
    Ok(json!(rows))
}
