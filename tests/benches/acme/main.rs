//! What an ACME order costs from newOrder to the certificate, beside pebble and caddy
//! under the same load, and what a nonce costs, measured in one run.
//!
//! `cargo bench -p chancery-tests --bench acme [-- --quick] [-- --json FILE] [-- NAME…]`
//!
//! Prints tables, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them. Needs Debian's `pebble` and `caddy`,
//! and port 80, to which caddy's validation goes.

mod challenges;
mod client;
#[path = "../issuance/cpu.rs"]
mod cpu;
mod disk;
mod jws;
mod load;
mod nonces;
mod orders;
mod servers;

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};

use crate::challenges::Challenges;
use crate::servers::Kind;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long each figure is measured.
    time: Duration,
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
    let plan = Plan {
        time: Duration::from_secs(if quick { 2 } else { 10 }),
    };
    let wants = |name: &str| chosen.is_empty() || chosen.contains(&name);
    println!("## The machine\n\n{}\n", cpu::machine());
    let challenges = Challenges::start()?;
    let mut report = serde_json::Map::new();
    let mut keep = |name: &str, value: Value| {
        report.insert(name.to_owned(), value);
    };
    for kind in Kind::ALL {
        if wants(kind.name()) {
            keep(kind.name(), orders::measure(plan, kind, &challenges)?);
        }
    }
    if wants("nonces") {
        keep("nonces", nonces::measure(plan, &challenges)?);
    }
    if let Some(path) = json_file {
        std::fs::write(path, format!("{:#}\n", json!(report)))?;
    }
    Ok(())
}
