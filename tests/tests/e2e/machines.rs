//! Services on machines of their own: a token, a folder and a process each, and
//! nothing between them but the network.

use chancery_tests::{Appliance, Builder, Internet, PATIENCE, Service};
use softhsm_test::SoftHsm;

use crate::acme::{Lego, issued_for, wait_for_order};

/// Begins a machine with a token of its own and without a CA.
fn machine_under(ca: &Appliance) -> Builder {
    let token = SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    Builder::on_token(&token, &module).keeping(token).under(ca)
}

/// Waits until `/readyz` gives a reason with these words for a part.
fn wait_for_reason(machine: &Appliance, part: &str, words: &str) {
    let url = machine.telemetry_url("/readyz");
    machine
        .until(&format!("{part} says {words:?}"), PATIENCE, |_| {
            let reply = chancery_tests::Curl::plain()
                .get(&url)
                .map_err(|error| error.to_string())?;
            let told = reply.json();
            let found = told["checks"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|check| {
                    check["name"] == part
                        && check["reason"]
                            .as_str()
                            .is_some_and(|reason| reason.contains(words))
                });
            found.then_some(()).ok_or_else(|| reply.to_string())
        })
        .unwrap();
}

/// Lists the names of the keys on a machine's token.
fn keys(machine: &Appliance) -> Vec<String> {
    let told = machine.cli(&["key", "list", "--json"]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let entries = told.as_array().unwrap_or_else(|| panic!("{told}"));
    entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_acme_service_has_its_ca_on_another_machine() {
    let internet = Internet::start().unwrap();
    let mut ca = Appliance::start().unwrap();
    let mut acme = machine_under(&ca).with_acme(&internet).prepare().unwrap();

    // Nobody has enrolled it.
    acme.spawn().unwrap();
    wait_for_reason(&acme, "acme", "no enrolment identity");
    acme.stop().unwrap();
    acme.cli(&["identity", "issue", "--role", "acme", "acme"])
        .unwrap();
    // The CA is away when it first starts.
    ca.stop().unwrap();
    acme.spawn().unwrap();
    wait_for_reason(&acme, "acme", "start the CA");
    ca.serve().unwrap();
    acme.wait_ready().unwrap();

    let lego = Lego::at(acme.acme_directory(), ca.trust());
    lego.run_http(&ca, &internet, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    // Its key is on its own token, and no key of the CA is.
    assert_eq!(keys(&acme), ["acme-enrolment", "acme-tls"]);
    let on_ca = keys(&ca);
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
