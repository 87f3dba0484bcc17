//! A large artifact, uploaded and hashed on the way, beside `openssl dgst` on the same file.

use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use chancery_tests::{Appliance, Connection, run};
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::cpu::{resident_mib, status_mib, used_by};
use crate::service;

/// Octets in a mebibyte.
const MIB: u64 = 1 << 20;

/// What separates the parts of the form.
const BOUNDARY: &str = "chancery-bench-4f1c6f0e";

/// Measures some uploads, OpenSSL before each.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    let mib = (plan.artifact / MIB) as f64;
    println!("## Upload of {mib:.0} MiB over mTLS, hashed and signed\n");
    println!(
        "| upload | openssl dgst -sha256 MiB/s | MiB/s | share | server CPU ms a GiB | idle MiB | peak MiB | above idle MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("artifact");
    write(&file, plan.artifact)?;
    let token = SoftHsm::token()?;
    let mut appliance = service::start(&token, token.module())?;
    let server = service::process(&mut appliance)?;
    // Before any request, so that nothing is counted as idle that an upload left behind.
    let idle = resident_mib(server);
    let (mut theirs, mut ours, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.uploads {
        let began = Instant::now();
        let digest = openssl(&file)?;
        let their_rate = mib / began.elapsed().as_secs_f64();
        forget_peak(server)?;
        let cpu = used_by(server);
        let took = upload(&appliance, &file, &digest)?;
        let cpu_ms = (used_by(server) - cpu).as_secs_f64() * 1e3 / mib * 1024.0;
        let our_rate = mib / took.as_secs_f64();
        let peak = status_mib(server, "VmHWM:");
        println!(
            "| {number} | {their_rate:.0} | {our_rate:.0} | {:.2} | {cpu_ms:.0} | {idle:.1} | {peak:.1} | {:.1} |",
            our_rate / their_rate,
            peak - idle,
        );
        theirs.push(their_rate);
        ours.push(our_rate);
        peaks.push(peak);
    }
    let (theirs, ours) = (median(theirs), median(ours));
    let peak = peaks.into_iter().fold(0.0, f64::max);
    let (share, above) = (ours / theirs, peak - idle);
    println!(
        "| median, peak of all | {theirs:.0} | {ours:.0} | {share:.2} | | {idle:.1} | {peak:.1} | {above:.1} |\n"
    );
    Ok(json!({
        "mib": mib, "openssl_mib_per_second": theirs, "mib_per_second": ours, "share": share,
        "idle_mib": idle, "peak_mib": peak, "above_idle_mib": above,
    }))
}

/// Returns the one in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// Writes an artifact, which stays in the page cache.
fn write(path: &Path, length: u64) -> Result<(), Box<dyn Error>> {
    let mut block = vec![0; MIB as usize];
    rand::fill(&mut block).map_err(|_| "no random octets")?;
    let mut file = File::create(path)?;
    for number in 0..length / MIB {
        block[..8].copy_from_slice(&number.to_be_bytes());
        file.write_all(&block)?;
    }
    // Written out now, and not beside what is measured.
    Ok(file.sync_all()?)
}

/// Has OpenSSL digest a file; returns the SHA-256 in hexadecimal.
fn openssl(file: &Path) -> Result<String, Box<dyn Error>> {
    let said = run(Command::new("openssl")
        .args(["dgst", "-sha256", "-r"])
        .arg(file))?;
    let digest = said.split(' ').next().ok_or("openssl said nothing")?;
    Ok(digest.to_owned())
}

/// Has the kernel forget the most memory that a process had, so that it counts anew.
fn forget_peak(process: u32) -> std::io::Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

/// Uploads a file, and holds the service to its digest; returns the time from the first
/// octet to the answer.
fn upload(appliance: &Appliance, file: &Path, digest: &str) -> Result<Duration, Box<dyn Error>> {
    let mut artifact = File::open(file)?;
    let begin = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"request\"\r\n\
         Content-Type: application/json\r\n\r\n{{\"artifactName\": \"artifact\"}}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"artifact\"; filename=\"artifact\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let length = begin.len() as u64 + artifact.metadata()?.len() + end.len() as u64;
    let head = format!(
        "POST /v1/signatures HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut connection = appliance.client()?.connect(appliance.signing_address())?;
    let began = Instant::now();
    let answer = match send(&mut connection, &[&head, &begin], &mut artifact, &end) {
        Ok(()) => connection.receive()?,
        // What breaks an upload off may say why.
        Err(error) => connection.receive().map_err(|_| error)?,
    };
    let took = began.elapsed();
    let signature = service::object(&answer)?;
    let claimed = &signature["artifactHash"];
    if *claimed != format!("sha256:{digest}") {
        return Err(format!("signed {claimed}, which is not {digest}").into());
    }
    Ok(took)
}

/// Sends all of it.
fn send(
    connection: &mut Connection,
    begin: &[&str],
    artifact: &mut File,
    end: &str,
) -> Result<(), Box<dyn Error>> {
    connection.send(begin.concat().as_bytes())?;
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match artifact.read(&mut chunk)? {
            0 => break,
            count => connection.send(&chunk[..count])?,
        }
    }
    Ok(connection.send(end.as_bytes())?)
}
