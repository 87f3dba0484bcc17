//! What a certificate costs, beside what its cryptography costs, measured in one run.
//!
//! `cargo bench -p chancery-tests --bench issuance [-- --quick] [-- --json FILE]`
//!
//! Prints a table, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them.

mod cfssl;
mod cpu;
mod floor;
mod full_speed;
mod growth;
mod keystore;
mod load;
mod slow_token;

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long each figure is measured.
    time: Duration,
    /// Certificates for the figures of a grown store.
    certificates: u64,
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
            certificates: 2_000,
        }
    } else {
        Plan {
            time: Duration::from_secs(10),
            certificates: 100_000,
        }
    };
    let wants = |name: &str| chosen.is_empty() || chosen.contains(&name);
    println!("## The machine\n\n{}\n", cpu::machine());
    let mut report = serde_json::Map::new();
    let mut keep = |name: &str, value: Value| {
        report.insert(name.to_owned(), value);
    };
    let floor = floor::measure(plan)?;
    keep("floor", floor.to_json());
    if wants("full-speed") {
        keep("full_speed", full_speed::measure(plan, &floor)?);
    }
    if wants("cfssl") {
        keep("cfssl", cfssl::measure(plan)?);
    }
    if wants("slow-token") {
        keep("slow_token", slow_token::measure(plan)?);
    }
    if wants("keystore") {
        keep("keystore", keystore::measure(plan)?);
    }
    if wants("growth") {
        keep("growth", growth::measure(plan)?);
    }
    if let Some(path) = json_file {
        std::fs::write(path, format!("{:#}\n", json!(report)))?;
    }
    Ok(())
}
