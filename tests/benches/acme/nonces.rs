//! Nonces that nobody redeems: their rate, what they have written, what they hold.

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Plan;
use crate::challenges::Challenges;
use crate::client::{ClientError, Line, nonce_of};
use crate::cpu::{micros_each, resident_mib, used_by};
use crate::disk::written_by;
use crate::servers::{Kind, Server};

/// How many ask at a time.
const CLIENTS: usize = 8;

/// Measures every server.
pub(crate) fn measure(plan: Plan, challenges: &Challenges) -> Result<Value, Box<dyn Error>> {
    println!("## Nonces never redeemed, {CLIENTS} clients, no log\n");
    println!(
        "| server | nonces | nonces/s | server CPU µs each | written KiB | \
         idle as long, written KiB | resident MiB before | after | after as many again |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    let mut rows = serde_json::Map::new();
    for kind in Kind::ALL {
        let server = Server::start(kind, challenges, true)?;
        // Threads and buffers that are made once.
        take(&server, plan.time / 10)?;
        let idle = written_by(server.process);
        std::thread::sleep(plan.time);
        let idle_kib = written_by(server.process).saturating_sub(idle) as f64 / 1024.0;
        let before = resident_mib(server.process);
        let (cpu, written) = (used_by(server.process), written_by(server.process));
        let began = Instant::now();
        let nonces = take(&server, plan.time)?;
        let elapsed = began.elapsed();
        let cpu_us = micros_each(used_by(server.process).saturating_sub(cpu), nonces);
        let written_kib = written_by(server.process).saturating_sub(written) as f64 / 1024.0;
        let after = resident_mib(server.process);
        take(&server, plan.time)?;
        let again = resident_mib(server.process);
        let per_second = nonces as f64 / elapsed.as_secs_f64();
        println!(
            "| {} | {nonces} | {per_second:.0} | {cpu_us:.1} | {written_kib:.0} | {idle_kib:.0} | \
             {before:.1} | {after:.1} | {again:.1} |",
            kind.name(),
        );
        rows.insert(
            kind.name().to_owned(),
            json!({"nonces": nonces, "per_second": per_second, "server_cpu_us": cpu_us,
                "written_kib": written_kib, "idle_written_kib": idle_kib, "resident_mib": [before, after, again]}),
        );
    }
    println!();
    Ok(Value::Object(rows))
}

/// Takes nonces for some time, and returns how many.
fn take(server: &Server, time: Duration) -> Result<u64, Box<dyn Error>> {
    let counts: Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| client(server, time).map_err(|error| error.to_string())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?)
            .collect()
    });
    Ok(counts?.iter().sum())
}

/// Is one client.
fn client(server: &Server, time: Duration) -> Result<u64, ClientError> {
    let mut line = Line::to(server.endpoint.clone());
    let directory = line.directory()?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        let answer = line.get(&directory.new_nonce)?;
        nonce_of(&answer).ok_or_else(|| ClientError::Unexpected {
            step: "newNonce",
            seen: answer.head.clone(),
        })?;
        count += 1;
    }
    Ok(count)
}
