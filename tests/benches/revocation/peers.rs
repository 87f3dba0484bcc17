//! Other responders: `openssl ocsp`, which signs each answer and keeps no connection, and
//! `cfssl ocspserve`, which gives out what was signed before.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use chancery_tests::{Connection, Port, Service, run, until};
use serde_json::{Value, json};

use crate::Plan;
use crate::cpu::{micros_each, used_by};
use crate::crl::make_ca;
use crate::wrk::{Asking, Rate, load};

/// Measures both.
pub(crate) fn measure(plan: Plan) -> Result<Value, Box<dyn Error>> {
    println!("## Peers, wrk with 32 connections\n");
    println!("| | answers/s | server CPU µs each |\n|---|---|---|");
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    make_ca(at)?;
    let expiry = "301231000000Z";
    let lines: String = (1..=256)
        .map(|number| format!("V\t{expiry}\t\t{number:04X}\tunknown\t/CN={number}\n"))
        .collect();
    fs::write(at.join("index.txt"), lines)?;
    let openssl = |arguments: &[&str]| {
        run(Command::new("openssl")
            .current_dir(at)
            .arg("ocsp")
            .args(arguments))
    };
    let mut requests = Vec::new();
    let mut responses = String::new();
    for number in 1..=64 {
        let serial = format!("0x{number:04x}");
        openssl(&[
            "-issuer",
            "ca.pem",
            "-serial",
            &serial,
            "-no_nonce",
            "-reqout",
            "request.der",
        ])?;
        openssl(&[
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-rsigner",
            "ca.pem",
            "-rkey",
            "key.pem",
            "-ndays",
            "1",
            "-reqin",
            "request.der",
            "-respout",
            "response.der",
        ])?;
        requests.push(fs::read(at.join("request.der"))?);
        let text = run(Command::new("base64")
            .current_dir(at)
            .args(["-w0", "response.der"]))?;
        responses.push_str(text.trim());
        responses.push('\n');
    }
    fs::write(at.join("responses"), responses)?;

    let port = Port::reserve()?;
    let mut command = Command::new("openssl");
    command.current_dir(at).args([
        "ocsp",
        "-index",
        "index.txt",
        "-CA",
        "ca.pem",
        "-rsigner",
        "ca.pem",
        "-rkey",
        "key.pem",
        "-ndays",
        "1",
        "-port",
        &port.number().to_string(),
    ]);
    let service = Service::spawn(command)?;
    // Not by a connection without a request: it spins for ever after one.
    until("openssl ocsp answers", Duration::from_secs(30), || {
        let request = requests.first().map_or(&[][..], Vec::as_slice);
        match ask(port.address(), request) {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    let server = service.id();
    let before = used_by(server);
    let (answers, elapsed) = ask_anew(port.address(), &requests, plan.time)?;
    let signed = Rate {
        per_second: answers as f64 / elapsed.as_secs_f64(),
        cpu_us: micros_each(used_by(server) - before, answers),
    };
    println!(
        "| openssl ocsp, signed, new connections | {:.0} | {:.1} |",
        signed.per_second, signed.cpu_us
    );
    drop(service);

    let port = Port::reserve()?;
    let mut command = Command::new("cfssl");
    command.current_dir(at).args([
        "ocspserve",
        "-responses",
        "responses",
        "-loglevel",
        "5",
        "-address",
        "127.0.0.1",
        "-port",
        &port.number().to_string(),
    ]);
    let service = Service::spawn(command)?;
    wait(&port, &service)?;
    let server = service.id();
    // By GET it takes no request with a plus sign, however encoded.
    let asking = Asking::Post(&requests);
    let ready = load(port.address(), asking, plan.time, || used_by(server))?;
    println!(
        "| cfssl ocspserve, ready, POST | {:.0} | {:.1} |\n",
        ready.per_second, ready.cpu_us
    );
    Ok(json!({
        "openssl_ocsp": {"per_second": signed.per_second, "cpu_us": signed.cpu_us},
        "cfssl_ocspserve": {"per_second": ready.per_second, "cpu_us": ready.cpu_us},
    }))
}

/// Waits until a responder takes connections.
fn wait(port: &Port, service: &Service) -> Result<(), Box<dyn Error>> {
    until("the responder serves", Duration::from_secs(30), || {
        Connection::plain(port.address())
            .map(drop)
            .map_err(|_| service.log().tail())
    })?;
    Ok(())
}

/// Asks over a new connection each, by two clients, until the time is over: this responder
/// serves one connection at a time, and keeps none.
fn ask_anew(
    address: SocketAddr,
    requests: &[Vec<u8>],
    time: Duration,
) -> Result<(u64, Duration), Box<dyn Error>> {
    let began = Instant::now();
    let client = || {
        let mut answers = 0;
        for request in requests.iter().cycle() {
            if began.elapsed() >= time {
                break;
            }
            // One that it loses is none that it answers.
            answers += u64::from(ask(address, request).unwrap_or(false));
        }
        answers
    };
    let counted = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .filter_map(|client| client.join().ok())
            .sum()
    });
    Ok((counted, began.elapsed()))
}

/// Asks over a new connection; tells whether it was answered.
fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let head = "Connection: close\r\n";
    let message = Connection::post("/ocsp", "application/ocsp-request", head, request);
    connection.write_all(&message)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer.windows(5).any(|window| window == b" 200 "))
}

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);
