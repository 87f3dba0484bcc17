//! More work than the token can do.

use std::time::{Duration, Instant};

use chancery_tests::{Builder, Connection, PATIENCE, Profile, Request};
use softhsm_test::{FaultShim, Function, SoftHsm};

#[test]
fn a_full_queue_is_said_at_once_and_drains_by_itself() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let ca = Builder::on_token(&token, shim.module())
        .keystore("sessions = 1\nqueue = 2\ncall_timeout_ms = 60000")
        // No OCSP answers made ahead, which would take a place.
        .sections("[ca.ocsp]\nready = \"queried\"\n")
        .start()
        .unwrap();
    let request = Request::new("a.example.internal").unwrap();
    let message = Connection::post(
        "/sign?profile=tls-server",
        "application/x-pem-file",
        "",
        request.pem(),
    );
    let mut connections: Vec<_> = (0..8)
        .map(|_| ca.client().unwrap().connect(ca.address()).unwrap())
        .collect();
    shim.block(Function::Sign);
    for connection in &mut connections {
        connection.send(&message).unwrap();
    }
    assert!(shim.wait_blocked(Function::Sign, 1, PATIENCE));
    // One on the token, two in the queue; the others are told, while the token hangs.
    ca.until("five were refused", PATIENCE, |ca| {
        let refused = ca
            .metric("chancery_ca_refused_total", "queue-full")
            .unwrap();
        if refused >= 5.0 {
            Ok(())
        } else {
            Err(refused.to_string())
        }
    })
    .unwrap();
    shim.release();
    let answers: Vec<_> = connections
        .iter_mut()
        .map(|connection| connection.receive().unwrap())
        .collect();
    let issued = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(issued, 3, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.status, 503, "{}", answer.head);
        assert!(answer.header("retry-after").is_some(), "{}", answer.head);
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(body.contains("queue-full"), "{body}");
    }
    let issued = ca.certificates().unwrap();
    let named = issued
        .iter()
        .filter(|record| record.to_string().contains("a.example.internal"))
        .filter(|record| record["status"] == "valid")
        .count();
    assert_eq!(named, 3, "{issued:?}");
}

#[test]
fn handshakes_that_wait_for_the_token_delay_no_open_connection() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let ca = Builder::on_token(&token, shim.module())
        .keystore("call_timeout_ms = 60000")
        .start()
        .unwrap();
    let client = ca.client().unwrap();
    let mut open = client.connect(ca.address()).unwrap();
    let status = Connection::get("/certificates?limit=1");
    assert_eq!(open.exchange(&status).unwrap().status, 200);
    shim.block(Function::Sign);
    std::thread::scope(|scope| {
        // Far more handshakes than there are threads of any kind.
        let waiting: Vec<_> = (0..24)
            .map(|_| scope.spawn(|| client.connect(ca.address()).is_ok()))
            .collect();
        assert!(shim.wait_blocked(Function::Sign, 1, PATIENCE));
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(open.exchange(&status).unwrap().status, 200);
        }
        let took = began.elapsed();
        assert!(
            shim.blocked(Function::Sign) >= 1,
            "the token was to hang all the while"
        );
        shim.release();
        assert!(took < Duration::from_secs(5), "{took:?}");
        for handshake in waiting {
            // Those that waited too long may have been given up, none may hang.
            let _completed = handshake.join().unwrap();
        }
    });
    let request = Request::new("a.example.internal").unwrap();
    let reply = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), request.pem())
        .unwrap();
    assert_eq!(reply.status, 201, "{reply}");
}
