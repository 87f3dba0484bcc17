//! Services on machines of their own: a token, a folder and a process each, and
//! nothing between them but the network.

use chancery_tests::{Appliance, Builder, Curl, Internet, PATIENCE, Service};
use softhsm_test::SoftHsm;

use crate::acme::{Lego, issued_for, wait_for_order};
use crate::signing::{assert_signs, certified};

/// Begins a machine with a token of its own and without a CA.
fn machine_under(ca: &Appliance) -> Builder {
    let token = SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    Builder::on_token(&token, &module).keeping(token).under(ca)
}

#[test]
fn the_acme_service_has_its_ca_on_another_machine() {
    let internet = Internet::start().unwrap();
    let mut ca = Appliance::start().unwrap();
    let mut acme = machine_under(&ca).with_acme(&internet).prepare().unwrap();

    // Nobody has enrolled it.
    acme.spawn().unwrap();
    acme.wait_for_reason("acme", "no enrolment identity")
        .unwrap();
    acme.stop().unwrap();
    acme.cli(&["identity", "issue", "--role", "acme", "acme"])
        .unwrap();
    // The CA is away when it first starts.
    ca.stop().unwrap();
    acme.spawn().unwrap();
    acme.wait_for_reason("acme", "start the CA").unwrap();
    ca.serve().unwrap();
    acme.wait_ready().unwrap();

    let lego = Lego::at(acme.acme_directory(), ca.trust());
    lego.run_http(&ca, &internet, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    // Its key is on its own token, and no key of the CA is.
    assert_eq!(acme.keys().unwrap(), ["acme-enrolment", "acme-tls"]);
    let on_ca = ca.keys().unwrap();
    assert!(!on_ca.contains(&"acme-tls".to_owned()), "{on_ca:?}");

    // An order outlasts a power cut of the CA's machine.
    ca.kill9();
    let http = format!("127.0.0.1:{}", internet.http_port());
    let options = ["--http", "--http.port", &http, "-d", "waits.example.test"];
    let options = [&options[..], &["--cert.timeout", "200"]].concat();
    let mut client = Service::spawn(lego.command(&options, &["run"])).unwrap();
    wait_for_order(&acme, "waits.example.test", "processing");
    ca.serve().unwrap();
    let status = client.wait(PATIENCE * 2).unwrap();
    assert!(status.success(), "{}", client.log().tail());
    lego.chain(&ca, "waits.example.test")
        .assert_good(&ca, &["DNS:waits.example.test"]);
    assert_eq!(issued_for(&ca, "waits.example.test"), 1);

    // Enrolled, it starts without its CA, with the certificate that it has.
    let certificates = ca.certificates().unwrap().len();
    ca.stop().unwrap();
    acme.restart().unwrap();
    ca.serve().unwrap();
    lego.run_http(&ca, &internet, "again.example.test")
        .assert_good(&ca, &["DNS:again.example.test"]);
    assert_eq!(ca.certificates().unwrap().len(), certificates + 1);
}

#[test]
fn the_acme_and_the_signing_service_share_a_machine_without_their_ca() {
    let internet = Internet::start().unwrap();
    let mut ca = Appliance::start().unwrap();
    let mut other = machine_under(&ca)
        .with_acme(&internet)
        .with_signing()
        .prepare()
        .unwrap();

    // Each waits for its own identity.
    other.spawn().unwrap();
    other
        .wait_for_reason("acme", "no enrolment identity")
        .unwrap();
    other
        .wait_for_reason("signing", "no enrolment identity")
        .unwrap();
    other
        .cli(&["identity", "issue", "--role", "acme", "acme"])
        .unwrap();
    let lego = Lego::at(other.acme_directory(), ca.trust());
    other
        .until("ACME serves", PATIENCE, |other| {
            let found = Curl::anonymous(&ca.trust()).get(&other.acme_directory());
            match found.map_err(|error| error.to_string())? {
                reply if reply.status == 200 => Ok(()),
                reply => Err(reply.to_string()),
            }
        })
        .unwrap();
    lego.run_http(&ca, &internet, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    other
        .wait_for_reason("signing", "no enrolment identity")
        .unwrap();
    other.stop().unwrap();
    other
        .cli(&["identity", "issue", "--role", "signing", "signing"])
        .unwrap();
    // The CA is away when it is first asked.
    ca.stop().unwrap();
    other.spawn().unwrap();
    other.wait_for_reason("signing", "start the CA").unwrap();
    ca.serve().unwrap();
    other.wait_ready().unwrap();

    // Its keys are on its own token, certified by the CA of the other machine.
    let keys = other.keys().unwrap();
    for key in ["signing-default", "signing-timestamps", "signing-tls"] {
        assert!(keys.contains(&key.to_owned()), "{keys:?}");
    }
    let on_ca = ca.keys().unwrap();
    assert!(!on_ca.contains(&"signing-default".to_owned()), "{on_ca:?}");
    assert_eq!(certified(&ca, "code-signing").len(), 1);
    assert_eq!(certified(&ca, "time-stamping").len(), 1);

    // Both start without it, with the certificates that they have.
    let certificates = ca.certificates().unwrap().len();
    ca.stop().unwrap();
    other.restart().unwrap();
    ca.serve().unwrap();
    assert_signs(&ca, &other);
    assert_eq!(ca.certificates().unwrap().len(), certificates);
}
