//! Power cuts under load: nothing acknowledged is lost, no signature is unexplained.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chancery_tests::{Appliance, Builder, Connection, PATIENCE, Request, until};
use softhsm_test::{FaultShim, Function, SoftHsm};

/// How often the service is killed.
const ROUNDS: u64 = 12;
/// How many clients ask at once.
const CLIENTS: usize = 8;

/// Asks for certificates until the connection breaks; keeps what was acknowledged.
fn load(
    mut connection: Connection,
    message: &[u8],
    acknowledged: &Mutex<Vec<String>>,
    count: &AtomicU64,
) {
    while let Ok(answer) = connection.exchange(message) {
        assert_eq!(answer.status, 201, "{}", answer.head);
        let location = answer.header("location").unwrap();
        let serial = location.trim_start_matches("/certificates/").to_owned();
        acknowledged.lock().unwrap().push(serial);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn kill_9_under_load_loses_nothing_acknowledged_and_leaves_no_signature_unexplained() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    // No OCSP answers made ahead: the same token signs those too, and records none.
    let mut ca = Builder::on_token(&token, shim.module())
        .sections("[ca.ocsp]\nready = \"queried\"\n")
        .start()
        .unwrap();
    let recorded_before = ca.certificates().unwrap().len() as u64;
    let mut signatures = 0;
    let request = Request::new("load.example.internal").unwrap();
    let message = Connection::post(
        "/sign?profile=tls-server",
        "application/x-pem-file",
        "",
        request.pem(),
    );
    let acknowledged = Mutex::new(Vec::new());
    let count = AtomicU64::new(0);
    for round in 1..=ROUNDS {
        let goal = count.load(Ordering::Relaxed) + 7 * round;
        let pid = ca.service().unwrap().id();
        // Handshakes are signed by the same token: all of them happen before the load.
        let client = ca.client().unwrap();
        let connections: Vec<_> = (0..CLIENTS)
            .map(|_| client.connect(ca.address()).unwrap())
            .collect();
        let before = shim.count(Function::Sign);
        std::thread::scope(|scope| {
            for connection in connections {
                scope.spawn(|| load(connection, &message, &acknowledged, &count));
            }
            // Each round dies at another moment of its work.
            until("the load has begun", PATIENCE, || {
                let now = count.load(Ordering::Relaxed);
                if now >= goal {
                    Ok(())
                } else {
                    Err(now.to_string())
                }
            })
            .unwrap();
            let pid = i32::try_from(pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw)
                .unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        ca.kill9();
        signatures += shim.count(Function::Sign) - before;
        ca.serve().unwrap();
    }
    let records = ca.certificates().unwrap();
    let valid: HashSet<&str> = records
        .iter()
        .filter(|record| record["status"] == "valid")
        .filter_map(|record| record["serial"].as_str())
        .collect();
    let acknowledged = acknowledged.into_inner().unwrap();
    for serial in &acknowledged {
        assert!(
            valid.contains(serial.as_str()),
            "{serial} was acknowledged and is lost"
        );
    }
    let pending = records
        .iter()
        .filter(|record| record["status"] == "pending")
        .count();
    assert_eq!(pending, 0, "start-up settles what a crash left");
    // Every signature has an intent; the other way round an intent may have come too late.
    let recorded = records.len() as u64 - recorded_before;
    assert!(
        signatures <= recorded,
        "{signatures} signatures, {recorded} intents"
    );
    assert!(
        acknowledged.len() as u64 <= signatures,
        "more acknowledged than signed"
    );
    assert_store_verifies_and_rebuilds(&mut ca, records.len());
}

/// Checks the journal's chain, rebuilds the database from it, and finds all of it again.
fn assert_store_verifies_and_rebuilds(ca: &mut Appliance, records: usize) {
    ca.stop().unwrap();
    ca.cli(&["store", "verify"]).unwrap();
    ca.cli(&["store", "rebuild"]).unwrap();
    ca.cli(&["store", "verify"]).unwrap();
    ca.serve().unwrap();
    assert_eq!(ca.certificates().unwrap().len(), records);
    assert_eq!(ca.issue("after.example.internal").unwrap().status, 201);
}

#[test]
fn a_journal_that_was_tampered_with_is_refused() {
    let mut ca = Builder::on_files().start().unwrap();
    for number in 0..5 {
        let name = format!("t{number}.example.internal");
        assert_eq!(ca.issue(&name).unwrap().status, 201);
    }
    ca.stop().unwrap();
    let segment = ca.journal_segments().unwrap().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let name = b"t1.example.internal";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let said = ca.cli(&["store", "verify"]).unwrap_err().to_string();
    assert!(said.contains("ended with"), "{said}");
}
