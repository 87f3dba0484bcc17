//! What an ACME order costs from newOrder to the certificate, beside pebble and caddy
//! under the same load, and what a nonce costs, measured in one run.
//!
//! `cargo bench -p chancery-tests --bench acme [-- --quick] [-- --json FILE] [-- NAME…]`
//!
//! Prints tables, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them. Needs Debian's `pebble` and `caddy`,
//! and port 80, to which caddy's validation goes.

#[path = "../shared/arguments.rs"]
mod arguments;
mod challenges;
mod client;
#[path = "../shared/cpu.rs"]
mod cpu;
#[path = "../shared/disk.rs"]
mod disk;
mod jws;
mod load;
mod nonces;
mod orders;
mod servers;

use std::error::Error;
use std::time::Duration;

use crate::arguments::{Arguments, Report};
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
    let arguments = Arguments::read();
    let plan = Plan {
        time: Duration::from_secs(if arguments.quick { 2 } else { 10 }),
    };
    println!("## The machine\n\n{}\n", cpu::machine());
    let challenges = Challenges::start()?;
    let mut report = Report::default();
    for kind in Kind::ALL {
        if arguments.wants(kind.name()) {
            report.keep(kind.name(), orders::measure(plan, kind, &challenges)?);
        }
    }
    if arguments.wants("nonces") {
        report.keep("nonces", nonces::measure(plan, &challenges)?);
    }
    Ok(report.write(&arguments)?)
}
