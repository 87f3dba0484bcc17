//! `cfssl serve` for comparison: a software key, no TLS, nothing durable.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use chancery_tests::{Connection, Port, Service, run, until};
use serde_json::{Value, json};

use crate::Plan;
use crate::load::{self, Target, Until};
use crate::requests;

/// Measures 1, 8 and 32 clients.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## cfssl serve (software P-256, plain HTTP, nothing recorded)\n");
    println!(
        "| clients | certificates/s | p50 ms | p99 ms | server CPU µs each |\n|---|---|---|---|---|"
    );
    let folder = tempfile::tempdir()?;
    run(Command::new("openssl").current_dir(folder.path()).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-keyout",
        "key.pem",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=cfssl",
        "-days",
        "30",
    ]))?;
    let port = Port::reserve()?;
    let mut command = Command::new("cfssl");
    command.current_dir(folder.path()).args([
        "serve",
        "-ca",
        "ca.pem",
        "-ca-key",
        "key.pem",
        "-address",
        "127.0.0.1",
        "-loglevel",
        "5",
        "-port",
        &port.number().to_string(),
    ]);
    let service = Service::spawn(command)?;
    until("cfssl serves", Duration::from_secs(30), || {
        Connection::plain(port.address())
            .map(drop)
            .map_err(|_| service.log().tail())
    })?;
    let messages: Vec<Vec<u8>> = requests::requests(2000)?
        .iter()
        .map(|pem| {
            let body = json!({"certificate_request": pem}).to_string();
            Connection::post(
                "/api/v1/cfssl/sign",
                "application/json",
                "",
                body.as_bytes(),
            )
        })
        .collect();
    let target = Target::Plain(port.address());
    let mut rows = Vec::new();
    for clients in [1, 8, 32] {
        let time = Until::Time(plan.time);
        let found = load::run(&target, service.id(), clients, time, &messages, 200)?;
        println!(
            "| {clients} | {:.0} | {:.2} | {:.2} | {:.0} |",
            found.per_second(),
            found.quantile_ms(0.5),
            found.quantile_ms(0.99),
            found.server_micros(),
        );
        rows.push(json!({"clients": clients, "per_second": found.per_second(),
            "p50_ms": found.quantile_ms(0.5), "p99_ms": found.quantile_ms(0.99),
            "server_cpu_us": found.server_micros()}));
    }
    println!();
    Ok(json!(rows))
}
