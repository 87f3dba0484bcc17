//! Ready answers, by GET and POST over connections that are kept.

use std::error::Error;

use chancery_tests::{Appliance, Builder, until};
use pki::ocsp::CertIdHash;
use serde_json::{Value, json};
use softhsm_test::SoftHsm;

use crate::Plan;
use crate::cpu::{used_by, used_here};
use crate::question::{Asker, path, serials};
use crate::wrk::{Asking, load};
use crate::{bare, load as clients, requests};

/// Certificates that are asked about.
const ASKED: u64 = 256;

/// Measures both beside a handler that only returns as many bytes.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    let token = SoftHsm::token()?;
    let mut ca = Builder::on_token(&token, token.module())
        .sections("[ca.ocsp]\ntoken_percent = 100\n")
        .prepare()?;
    ca.cli(&["init"])?;
    ca.serve_quietly()?;
    let target = clients::Target::Tls(ca.client()?, ca.address());
    let messages = requests::messages(64)?;
    let each = clients::Until::Each(ASKED / 8);
    clients::run(&target, 0, 8, each, &messages, 201)?;
    wait_ready(&ca)?;
    let asker = Asker::new(&ca)?;
    let requests: Vec<_> = serials(&ca)?
        .iter()
        .map(|serial| asker.request(CertIdHash::Sha1, serial, None))
        .collect();
    let body = asker.ask(requests.first().ok_or("nothing was issued")?)?;
    let server = ca.service().map_or(0, |service| service.id());
    println!(
        "## Ready OCSP answers of {} octets, wrk with 32 connections\n",
        body.len()
    );
    println!(
        "| | answers/s | of bare | server CPU µs each | above bare µs |\n|---|---|---|---|---|"
    );
    let paths = requests
        .iter()
        .map(|request| path(request))
        .collect::<Result<Vec<_>, _>>()?;
    let bare_address = bare::serve(&body)?;
    let mut rows = Vec::new();
    for (name, asking) in [
        ("GET", Asking::Get(&paths)),
        ("POST", Asking::Post(&requests)),
    ] {
        // In turn, so that what else the machine does hits both alike.
        let (mut limit, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            limit.push(load(bare_address, asking, plan.time / 2, used_here)?);
            ours.push(load(asker.address, asking, plan.time / 2, || {
                used_by(server)
            })?);
        }
        let mean = |rates: &[crate::wrk::Rate], of: fn(&crate::wrk::Rate) -> f64| {
            rates.iter().map(of).sum::<f64>() / rates.len() as f64
        };
        let (limit_rate, rate) = (
            mean(&limit, |rate| rate.per_second),
            mean(&ours, |rate| rate.per_second),
        );
        let (limit_cpu, cpu) = (
            mean(&limit, |rate| rate.cpu_us),
            mean(&ours, |rate| rate.cpu_us),
        );
        let share = rate / limit_rate;
        println!("| {name}, bare actix | {limit_rate:.0} | 1 | {limit_cpu:.1} | |");
        println!(
            "| {name} | {rate:.0} | {share:.2} | {cpu:.1} | {:.1} |",
            cpu - limit_cpu
        );
        rows.push(
            json!({"method": name, "octets": body.len(), "bare": limit_rate,
            "per_second": rate, "share": share, "bare_cpu_us": limit_cpu, "cpu_us": cpu}),
        );
    }
    println!();
    Ok(json!(rows))
}

/// Waits until both answers of every certificate are ready.
pub(crate) fn wait_ready(ca: &Appliance) -> Result<(), Box<dyn Error>> {
    let patience = std::time::Duration::from_secs(3_600);
    until("all answers are ready", patience, || {
        let ready = ca.metric("chancery_ocsp_ready", "").unwrap_or(0.0);
        let due = ca.metric("chancery_ocsp_due", "").unwrap_or(1.0);
        if ready > 0.0 && due == 0.0 {
            Ok(())
        } else {
            Err(format!("{ready} are ready, {due} are due"))
        }
    })?;
    Ok(())
}
