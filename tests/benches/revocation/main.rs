//! What revocation costs: OCSP answers ready and signed on demand, a revocation until
//! it is told, a CRL of a million entries; beside their limits and their peers, in one run.
//!
//! `cargo bench -p chancery-tests --bench revocation [-- --quick] [-- --json FILE] [-- NAME…]`
//!
//! Prints tables, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them. Needs wrk; peers need openssl and cfssl.

mod bare;
mod cached;
#[path = "../issuance/cpu.rs"]
mod cpu;
mod crl;
mod fill;
#[path = "../issuance/floor.rs"]
mod floor;
mod held;
#[path = "../issuance/load.rs"]
mod load;
mod on_demand;
mod peers;
mod question;
mod replace;
mod wrk;

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long each figure is measured.
    time: Duration,
    /// Certificates held ready, and entries of the CRL.
    certificates: u64,
    /// Revocations that are timed.
    revocations: usize,
}

/// Runs every measurement, or those whose names are given.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let json_file = arguments
        .iter()
        .position(|argument| argument == "--json")
        .and_then(|at| arguments.get(at + 1));
    let chosen: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--") && Some(*word) != json_file.map(String::as_str))
        .collect();
    let plan = if quick {
        Plan {
            time: Duration::from_secs(2),
            certificates: 20_000,
            revocations: 100,
        }
    } else {
        Plan {
            time: Duration::from_secs(10),
            certificates: 1_000_000,
            revocations: 1_000,
        }
    };
    let wants = |name: &str| chosen.is_empty() || chosen.contains(&name);
    println!("## The machine\n\n{}\n", cpu::machine());
    let mut report = serde_json::Map::new();
    let mut keep = |name: &str, value: Value| {
        report.insert(name.to_owned(), value);
    };
    if wants("cached") {
        keep("cached", cached::measure(plan)?);
    }
    if wants("on-demand") {
        let floor = floor::measure(plan)?;
        keep("floor", floor.to_json());
        keep("on_demand", on_demand::measure(plan, &floor)?);
    }
    if wants("replace") {
        keep("replace", replace::measure(plan)?);
    }
    if wants("crl") {
        keep("crl", crl::measure(plan)?);
    }
    if wants("peers") {
        keep("peers", peers::measure(plan)?);
    }
    if wants("held") {
        keep("held", held::measure(plan)?);
    }
    if let Some(path) = json_file {
        std::fs::write(path, format!("{:#}\n", json!(report)))?;
    }
    Ok(())
}
