//! Orders end to end: newOrder, authorization, http-01, finalize, certificate.

use std::error::Error;

use serde_json::{Value, json};

use crate::Plan;
use crate::challenges::Challenges;
use crate::cpu::micros_each;
use crate::load::{self, Found};
use crate::servers::{Kind, Server};

/// How many clients at a time.
const CLIENTS: [usize; 4] = [1, 8, 32, 128];

/// Measures a server at every number of clients, started anew for each.
pub(crate) fn measure(
    plan: Plan,
    kind: Kind,
    challenges: &Challenges,
) -> Result<Value, Box<dyn Error>> {
    println!("## Orders end to end: {} ({})\n", kind.name(), kind.means());
    if kind == Kind::Caddy && !challenges.is_on_http_port() {
        println!("not measured: its validation goes to port 80, which is not ours to have\n");
        return Ok(Value::Null);
    }
    println!(
        "| clients | orders/s | p50 ms | p99 ms | server CPU ms each | client CPU ms each | \
         written KiB each | failed |\n|---|---|---|---|---|---|---|---|"
    );
    let mut rows = Vec::new();
    let mut remarks = Vec::new();
    for clients in CLIENTS {
        let server = Server::start(kind, challenges, false)?;
        let found = load::run(&server, clients, plan.time, challenges)?;
        let server_ms = micros_each(found.server_cpu, found.orders) / 1e3;
        let client_ms = micros_each(found.client_cpu, found.orders) / 1e3;
        let written_kib = found.written as f64 / 1024.0 / found.orders.max(1) as f64;
        println!(
            "| {clients} | {:.1} | {:.2} | {:.2} | {server_ms:.2} | {client_ms:.2} | \
             {written_kib:.1} | {} |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99),
            found.failed,
        );
        remarks.extend(remark(clients, &found));
        rows.push(json!({
            "clients": clients, "per_second": found.per_second(),
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99),
            "server_cpu_ms": server_ms, "client_cpu_ms": client_ms,
            "written_kib": written_kib, "orders": found.orders, "failed": found.failed,
            "refused_nonces": found.refused_nonces, "hung": found.hung,
        }));
    }
    println!();
    for remark in remarks {
        println!("{remark}");
    }
    println!();
    Ok(json!(rows))
}

/// Says what was odd.
fn remark(clients: usize, found: &Found) -> Option<String> {
    let mut oddities = Vec::new();
    if found.hung {
        oddities.push(format!(
            "it hung after {} orders in {:.1} s, and was killed",
            found.orders,
            found.elapsed.as_secs_f64()
        ));
    }
    if found.refused_nonces > 0 {
        oddities.push(format!("{} nonces were refused", found.refused_nonces));
    }
    if let Some(failure) = &found.failure {
        oddities.push(format!(
            "{} orders in {:.1} s, then failures, of which one said: {failure}",
            found.orders,
            found.elapsed.as_secs_f64()
        ));
    }
    (!oddities.is_empty()).then(|| format!("{clients} clients: {}.", oddities.join("; ")))
}
