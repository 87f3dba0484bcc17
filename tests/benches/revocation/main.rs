//! What revocation costs: OCSP answers ready and signed on demand, a revocation until
//! it is told, a CRL of a million entries; beside their limits and their peers, in one run.
//!
//! `cargo bench -p chancery-tests --bench revocation [-- --quick] [-- --json FILE] [-- NAME…]`
//!
//! Prints tables, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them. Needs wrk; peers need openssl and cfssl.

#[path = "../shared/arguments.rs"]
mod arguments;
mod bare;
mod cached;
#[path = "../shared/cpu.rs"]
mod cpu;
mod crl;
mod fill;
#[path = "../shared/floor.rs"]
mod floor;
mod held;
#[path = "../shared/load.rs"]
mod load;
mod on_demand;
mod peers;
mod question;
mod replace;
#[path = "../issuance/requests.rs"]
mod requests;
mod wrk;

use std::error::Error;
use std::time::Duration;

use crate::arguments::{Arguments, Report};

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
    let arguments = Arguments::read();
    let plan = if arguments.quick {
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
    println!("## The machine\n\n{}\n", cpu::machine());
    let mut report = Report::default();
    if arguments.wants("cached") {
        report.keep("cached", cached::measure(plan)?);
    }
    if arguments.wants("on-demand") {
        let floor = floor::measure(plan)?;
        report.keep("floor", floor.to_json());
        report.keep("on_demand", on_demand::measure(plan, &floor)?);
    }
    if arguments.wants("replace") {
        report.keep("replace", replace::measure(plan)?);
    }
    if arguments.wants("crl") {
        report.keep("crl", crl::measure(plan)?);
    }
    if arguments.wants("peers") {
        report.keep("peers", peers::measure(plan)?);
    }
    if arguments.wants("held") {
        report.keep("held", held::measure(plan)?);
    }
    Ok(report.write(&arguments)?)
}
