//! Signatures by digest on a token at full speed: what our own work costs.

use std::error::Error;

use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::disk::written_by;
use crate::evidence::Requests;
use crate::floor::Floor;
use crate::load::Until;
use crate::service::{self, process};
use crate::sha256;

/// What is made: everything, and the least that the project's own bundle needs.
pub(crate) const FORMATS: [(&str, Option<&[&str]>); 2] = [
    ("all", None),
    ("signature, bundle", Some(&["signature", "bundle"])),
];

/// Measures 1 and 32 clients.
pub(crate) fn measure(plan: Plan, floor: &Floor) -> Result<Value, Box<dyn Error>> {
    println!(
        "## Signatures by digest over mTLS, durable, SBOM and provenance of 100 KiB each, SoftHSM at full speed\n"
    );
    let hash = sha256::micros_per_kib(plan.time / 5);
    println!("SHA-256: {hash:.3} CPU µs a KiB\n");
    println!(
        "| formats | clients | requests/s | p50 ms | p99 ms | server CPU µs each | token signatures each | hashed KiB | floor µs | of the floor | written KiB each |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (name, formats) in FORMATS {
        let requests = Requests::new(formats)?;
        let token = SoftHsm::token()?;
        let mut appliance = service::start(&token, token.module())?;
        let kib = sha256::needed_kib(&appliance, &service::one(&appliance, &requests)?)?;
        // The first requests pay for what is made once.
        service::sign(&mut appliance, &requests, 8, Until::Time(plan.time / 5))?;
        for clients in [1, 32] {
            let (written, made) = (written_by(process(&mut appliance)?), requests.made());
            let until = Until::Time(plan.time);
            let found = service::sign(&mut appliance, &requests, clients, until)?;
            let written = written_by(process(&mut appliance)?).saturating_sub(written) as f64;
            let written_kib = written / 1024.0 / (requests.made() - made) as f64;
            let signatures = found.token_signatures;
            let least = signatures * (floor.sign + floor.verify) + kib * hash;
            let (load, cpu) = (&found.load, found.load.server_micros());
            println!(
                "| {name} | {clients} | {:.1} | {:.2} | {:.2} | {cpu:.0} | {signatures:.2} | {kib:.0} | {least:.0} | {:.2} | {written_kib:.0} |",
                load.per_second(),
                load.quantile_ms(0.5),
                load.quantile_ms(0.99),
                cpu / least,
            );
            rows.push(json!({
                "formats": name, "clients": clients, "per_second": load.per_second(),
                "p50_ms": load.quantile_ms(0.5), "p99_ms": load.quantile_ms(0.99),
                "server_cpu_us": cpu, "token_signatures": signatures, "hashed_kib": kib,
                "floor_us": least, "of_floor": cpu / least, "written_kib": written_kib,
            }));
        }
    }
    println!();
    Ok(json!({"sha256_us_per_kib": hash, "rows": rows}))
}
