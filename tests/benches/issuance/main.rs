//! What a certificate costs, beside what its cryptography costs, measured in one run.
//!
//! `cargo bench -p chancery-tests --bench issuance [-- --quick] [-- --json FILE]`
//!
//! Prints a table, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them.

#[path = "../shared/arguments.rs"]
mod arguments;
mod cfssl;
#[path = "../shared/cpu.rs"]
mod cpu;
#[path = "../shared/floor.rs"]
mod floor;
mod full_speed;
mod growth;
mod keystore;
#[path = "../shared/load.rs"]
mod load;
mod requests;
mod slow_token;

use std::error::Error;
use std::time::Duration;

use crate::arguments::{Arguments, Report};

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
    let arguments = Arguments::read();
    let plan = if arguments.quick {
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
    println!("## The machine\n\n{}\n", cpu::machine());
    let mut report = Report::default();
    let floor = floor::measure(plan)?;
    println!(
        "Floor (one C_Sign, two verifications): {:.1} µs\n",
        floor.total()
    );
    report.keep("floor", floor.to_json());
    if arguments.wants("full-speed") {
        report.keep("full_speed", full_speed::measure(plan, &floor)?);
    }
    if arguments.wants("cfssl") {
        report.keep("cfssl", cfssl::measure(plan)?);
    }
    if arguments.wants("slow-token") {
        report.keep("slow_token", slow_token::measure(plan)?);
    }
    if arguments.wants("keystore") {
        report.keep("keystore", keystore::measure(plan)?);
    }
    if arguments.wants("growth") {
        report.keep("growth", growth::measure(plan)?);
    }
    Ok(report.write(&arguments)?)
}
