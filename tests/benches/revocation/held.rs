//! Memory for each certificate whose answers are held ready.

use std::error::Error;
use std::time::Instant;

use chancery_tests::{Appliance, Builder};
use pki::ocsp::CertIdHash;
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::cached::wait_ready;
use crate::cpu::{resident_mib, used_by};
use crate::fill::fill;
use crate::question::{Asker, path};
use crate::wrk::{Asking, load};

/// Paths that are asked for in turn.
const PATHS: usize = 2_000;

/// Measures a service with the same store, without ready answers and with them.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!(
        "## {} certificates held ready, SHA-1 and SHA-256\n",
        plan.certificates
    );
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module())
        .sections("[ca.ocsp]\ntoken_percent = 100\n")
        .environment("CHANCERY__CA__OCSP__READY", "queried")
        .prepare()?;
    ca.cli(&["init"])?;
    let serials = fill(&ca.state_dir().join("ca"), plan.certificates)?;
    ca.serve_quietly()?;
    let without = resident(&mut ca);
    ca.stop()?;
    let mut ca = ca.with_environment("CHANCERY__CA__OCSP__READY", "all");
    let began = Instant::now();
    ca.serve_quietly()?;
    let start = began.elapsed();
    wait_ready(&ca)?;
    let filling = began.elapsed();
    let with = resident(&mut ca);
    let metric = ca.metric("chancery_ocsp_memory_bytes", "")?;
    let certificates = ca.metric("chancery_ocsp_certificates", "")?;
    let ready = ca.metric("chancery_ocsp_ready", "")?;
    let resident_each = (with - without) * 1024.0 * 1024.0 / certificates;
    let counted_each = metric / certificates;
    println!("| | |\n|---|---|");
    println!("| certificates / answers ready | {certificates:.0} / {ready:.0} |");
    println!("| start to serving, s | {:.1} |", start.as_secs_f64());
    println!("| until all are ready, s | {:.0} |", filling.as_secs_f64());
    println!("| resident without / with, MiB | {without:.0} / {with:.0} |");
    println!("| resident octets a certificate | {resident_each:.0} |");
    println!("| counted octets a certificate | {counted_each:.0} |");
    let asker = Asker::new(&ca)?;
    let step = (serials.len() / PATHS).max(1);
    let paths = serials
        .iter()
        .step_by(step)
        .map(|serial| path(&asker.request(CertIdHash::Sha256, serial, None)))
        .collect::<Result<Vec<_>, _>>()?;
    let server = ca.service().map_or(0, |service| service.id());
    let asking = Asking::Get(&paths);
    let rate = load(asker.address, asking, plan.time, || used_by(server))?;
    println!("| GETs all over them, a second | {:.0} |", rate.per_second);
    let began = Instant::now();
    ca.stop()?;
    let stopping = began.elapsed();
    let began = Instant::now();
    ca.serve_quietly()?;
    let again = began.elapsed();
    println!(
        "| stop with a snapshot, s | {:.1} |",
        stopping.as_secs_f64()
    );
    println!(
        "| start with the snapshot, s | {:.1} |\n",
        again.as_secs_f64()
    );
    Ok(
        json!({"certificates": certificates, "ready": ready, "start_s": start.as_secs_f64(),
        "until_ready_s": filling.as_secs_f64(), "resident_each": resident_each,
        "counted_each": counted_each, "per_second": rate.per_second,
        "stop_s": stopping.as_secs_f64(), "start_with_snapshot_s": again.as_secs_f64()}),
    )
}

/// Returns the resident memory of the service in MiB.
fn resident(ca: &mut Appliance) -> f64 {
    ca.service()
        .map_or(0.0, |service| resident_mib(service.id()))
}
