//! A token that goes away under a running CA, and comes back.

use chancery_tests::{Appliance, Builder, PATIENCE, Profile, Reply, Request};
use softhsm_test::{FaultShim, Function, P11Kit, SoftHsm, rv};

/// Asks until the CA issues again, by itself.
fn assert_recovers(ca: &mut Appliance, request: &Request) {
    ca.wait_ready().unwrap();
    ca.until("the CA issues again", PATIENCE, |ca| {
        let reply = sign(ca, request);
        if reply.status == 201 {
            Ok(())
        } else {
            Err(reply.to_string())
        }
    })
    .unwrap();
}

/// Posts a request.
fn sign(ca: &Appliance, request: &Request) -> Reply {
    ca.curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), request.pem())
        .unwrap()
}

/// Asks until the CA says that the token is away, and checks how it says it.
fn assert_says_away(ca: &mut Appliance, request: &Request) {
    let reply = ca
        .until("issuance is refused", PATIENCE, |ca| {
            let reply = sign(ca, request);
            if reply.status == 503 {
                Ok(reply)
            } else {
                Err(reply.to_string())
            }
        })
        .unwrap();
    let problem = reply.problem().unwrap();
    assert!(
        ["token-unavailable", "token-timeout", "not-ready"].contains(&problem.as_str()),
        "{reply}"
    );
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0, "{reply}");
    let readiness = ca.wait_readiness(false).unwrap();
    let reasons: Vec<_> = readiness["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| check["reason"].as_str())
        .collect();
    assert!(!reasons.is_empty(), "{readiness}");
    // What needs no token is still told.
    assert_eq!(ca.curl().get(&ca.url("/certificates")).unwrap().status, 200);
}

#[test]
fn a_token_whose_process_is_killed_and_restarted_is_found_again() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module())
        .ca("[ca.server]\nkeystore = \"tls\"\n")
        .sections("[keystores.tls]\ntype = \"file\"\nkey_dir = \"tls-keys\"\n")
        .start()
        .unwrap();
    let request = Request::new("a.example.internal").unwrap();
    assert_eq!(sign(&ca, &request).status, 201);
    for _ in 0..2 {
        remote.kill().unwrap();
        assert_says_away(&mut ca, &request);
        remote.restart().unwrap();
        assert_recovers(&mut ca, &request);
    }
}

#[test]
fn a_stopped_token_makes_the_ca_unready_until_it_goes_on() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module())
        .keystore("call_timeout_ms = 1000")
        .ca("[ca.server]\nkeystore = \"tls\"\n")
        .sections("[keystores.tls]\ntype = \"file\"\nkey_dir = \"tls-keys\"\n")
        .start()
        .unwrap();
    let request = Request::new("a.example.internal").unwrap();
    remote.stop().unwrap();
    assert_says_away(&mut ca, &request);
    remote.resume().unwrap();
    assert_recovers(&mut ca, &request);
}

#[test]
fn a_pin_changed_while_the_token_was_away_is_offered_once() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let mut ca = Builder::on_token(&token, shim.module())
        .ca("[ca.server]\nkeystore = \"tls\"\n")
        .sections("[keystores.tls]\ntype = \"file\"\nkey_dir = \"tls-keys\"\n")
        .start()
        .unwrap();
    let request = Request::new("a.example.internal").unwrap();
    let before = shim.count(Function::Login);
    shim.fail(Function::Login, rv::PIN_INCORRECT);
    shim.arm(
        Function::Sign,
        softhsm_test::Fault::fail(rv::DEVICE_REMOVED).when(softhsm_test::When::Nth(1)),
    );
    // The token is lost at the first signature; recovery logs in, and the PIN is wrong.
    ca.until("the PIN was offered", PATIENCE, |ca| {
        let _refused = sign(ca, &request);
        if shim.count(Function::Login) > before {
            Ok(())
        } else {
            Err(String::new())
        }
    })
    .unwrap();
    for _ in 0..5 {
        assert_eq!(sign(&ca, &request).status, 503);
    }
    let readiness = ca.wait_readiness(false).unwrap().to_string();
    assert!(readiness.contains("PIN"), "{readiness}");
    assert_eq!(shim.count(Function::Login), before + 1);
}

#[test]
fn a_token_that_is_away_at_the_start_is_waited_for() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module())
        .ca("[ca.server]\nkeystore = \"tls\"\n")
        .sections("[keystores.tls]\ntype = \"file\"\nkey_dir = \"tls-keys\"\n")
        .start()
        .unwrap();
    ca.stop().unwrap();
    remote.kill().unwrap();
    ca.spawn().unwrap();
    ca.wait_readiness(false).unwrap();
    remote.restart().unwrap();
    assert_recovers(&mut ca, &Request::new("a.example.internal").unwrap());
}
