//! A token that goes away under a running CA, and comes back.

use chancery_tests::{Answer, Appliance, Builder, Connection, PATIENCE, Request, until};
use softhsm_test::{FaultShim, Function, P11Kit, SoftHsm, rv};

/// A client whose connection was open before the token went away: the token signs
/// handshakes too.
struct Client {
    /// The connection.
    connection: Connection,
    /// A request for a certificate.
    message: Vec<u8>,
}

impl Client {
    /// Connects.
    fn of(ca: &Appliance) -> Self {
        let request = Request::new("a.example.internal").unwrap();
        let target = "/sign?profile=tls-server";
        Self {
            connection: ca.client().unwrap().connect(ca.address()).unwrap(),
            message: Connection::post(target, "application/x-pem-file", "", request.pem()),
        }
    }

    /// Asks for a certificate.
    fn sign(&mut self) -> Answer {
        self.connection.exchange(&self.message).unwrap()
    }

    /// Asks until a certificate is issued again, without anybody's help.
    fn assert_recovers(&mut self, ca: &mut Appliance) {
        ca.wait_ready().unwrap();
        until("the CA issues again", PATIENCE, || {
            let answer = self.sign();
            if answer.status == 201 {
                Ok(())
            } else {
                Err(answer.head)
            }
        })
        .unwrap();
        // And new connections are served.
        let reply = ca.issue("b.example.internal").unwrap();
        assert_eq!(reply.status, 201, "{reply}");
    }

    /// Asks until the CA says that the token is away, and checks how it says it.
    fn assert_says_away(&mut self, ca: &mut Appliance) {
        let answer = until("issuance is refused", PATIENCE, || {
            let answer = self.sign();
            if answer.status == 201 {
                Err(answer.head)
            } else {
                Ok(answer)
            }
        })
        .unwrap();
        assert_eq!(answer.status, 503, "{}", answer.head);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let kind = body["type"].as_str().unwrap();
        let slug = kind.trim_start_matches("urn:chancery:problem:");
        assert!(
            ["token-unavailable", "token-timeout", "not-ready"].contains(&slug),
            "{body}"
        );
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait > 0, "{}", answer.head);
        let readiness = ca.wait_readiness(false).unwrap();
        let checks = readiness["checks"].as_array().unwrap();
        let reasons = checks.iter().filter_map(|check| check["reason"].as_str());
        assert!(reasons.count() > 0, "{readiness}");
        // What needs no token is still told.
        let listing = self
            .connection
            .exchange(&Connection::get("/certificates"))
            .unwrap();
        assert_eq!(listing.status, 200, "{}", listing.head);
    }
}

#[test]
fn a_token_whose_process_is_killed_and_restarted_is_found_again() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module()).start().unwrap();
    let mut client = Client::of(&ca);
    assert_eq!(client.sign().status, 201);
    for _ in 0..2 {
        remote.kill().unwrap();
        client.assert_says_away(&mut ca);
        remote.restart().unwrap();
        client.assert_recovers(&mut ca);
    }
}

#[test]
fn a_stopped_token_makes_the_ca_unready_until_it_goes_on() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module())
        .keystore("call_timeout_ms = 1000")
        .start()
        .unwrap();
    let mut client = Client::of(&ca);
    remote.stop().unwrap();
    client.assert_says_away(&mut ca);
    remote.resume().unwrap();
    client.assert_recovers(&mut ca);
}

#[test]
fn a_pin_changed_while_the_token_was_away_is_offered_once() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let mut ca = Builder::on_token(&token, shim.module()).start().unwrap();
    let mut client = Client::of(&ca);
    let before = shim.count(Function::Login);
    shim.fail(Function::Login, rv::PIN_INCORRECT);
    shim.arm(
        Function::Sign,
        softhsm_test::Fault::fail(rv::DEVICE_REMOVED).when(softhsm_test::When::Nth(1)),
    );
    // The token is lost at the first signature; recovery logs in, and the PIN is wrong.
    until("the PIN was offered", PATIENCE, || {
        let _refused = client.sign();
        if shim.count(Function::Login) > before {
            Ok(())
        } else {
            Err(String::new())
        }
    })
    .unwrap();
    for _ in 0..5 {
        assert_eq!(client.sign().status, 503);
    }
    let readiness = ca.wait_readiness(false).unwrap().to_string();
    assert!(readiness.contains("PIN"), "{readiness}");
    assert_eq!(shim.count(Function::Login), before + 1);
}

#[test]
fn a_token_that_is_away_at_the_start_is_waited_for() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module()).start().unwrap();
    ca.stop().unwrap();
    remote.kill().unwrap();
    ca.spawn().unwrap();
    ca.wait_readiness(false).unwrap();
    remote.restart().unwrap();
    ca.wait_ready().unwrap();
    Client::of(&ca).assert_recovers(&mut ca);
}
