//! What a signature costs with everything that goes with it, beside what its cryptography
//! costs; a slow token's rate, the upload of an artifact beside OpenSSL, and time-stamps,
//! measured in one run.
//!
//! `cargo bench -p chancery-tests --bench signing [-- --quick] [-- --json FILE] [-- NAME…]`
//!
//! Prints tables, and JSON where a file is named. `--quick` is for trying: its figures
//! are rough. docs/performance.md explains them. Needs openssl, and four gigabytes of disk.

#[path = "../shared/arguments.rs"]
mod arguments;
mod by_digest;
#[path = "../shared/cpu.rs"]
mod cpu;
#[path = "../shared/disk.rs"]
mod disk;
mod evidence;
#[path = "../shared/floor.rs"]
mod floor;
#[path = "../shared/load.rs"]
#[expect(dead_code, reason = "signing goes over TLS, and for a time")]
mod load;
mod service;
mod sha256;
mod slow_token;
mod timestamps;
mod upload;

use std::error::Error;
use std::time::Duration;

use crate::arguments::{Arguments, Report};

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long each figure is measured.
    time: Duration,
    /// Octets of the artifact that is uploaded.
    artifact: u64,
    /// How often it is.
    uploads: usize,
}

/// Runs every measurement, or those whose names are given.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    let plan = if arguments.quick {
        Plan {
            time: Duration::from_secs(2),
            artifact: 128 << 20,
            uploads: 1,
        }
    } else {
        Plan {
            time: Duration::from_secs(10),
            artifact: 1 << 30,
            uploads: 5,
        }
    };
    println!("## The machine\n\n{}\n", cpu::machine());
    let mut report = Report::default();
    let floor = floor::measure(plan)?;
    report.keep("floor", floor.to_json());
    if arguments.wants("by-digest") {
        report.keep("by_digest", by_digest::measure(plan, &floor)?);
    }
    if arguments.wants("slow-token") {
        report.keep("slow_token", slow_token::measure(plan)?);
    }
    if arguments.wants("upload") {
        report.keep("upload", upload::measure(plan)?);
    }
    if arguments.wants("timestamps") {
        report.keep("timestamps", timestamps::measure(plan, &floor)?);
    }
    Ok(report.write(&arguments)?)
}
