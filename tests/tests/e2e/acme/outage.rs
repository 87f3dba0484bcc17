//! Orders over restarts, and while the token is away.

use std::fs;

use chancery_tests::{Appliance, Builder, Internet, PATIENCE, Service, run, until};
use serde_json::Value;
use softhsm_test::{P11Kit, SoftHsm};

use super::certbot::Certbot;
use super::lego::Lego;
use super::{listed, with_acme};
use crate::chain::said;

#[test]
fn a_client_gets_its_certificate_from_a_service_killed_in_the_middle_of_its_order() {
    let internet = Internet::answering_http().unwrap();
    let mut ca = with_acme(&internet).start().unwrap();
    let certbot = Certbot::debian(&ca, &internet);
    let [hook, reached, go_on] = ["hook", "reached", "go-on"].map(|name| ca.folder().join(name));
    internet
        .write_hook(
            &hook,
            &format!(
                "say add-http01 \"{{\\\"token\\\":\\\"$CERTBOT_TOKEN\\\",\\\"content\\\":\\\"$CERTBOT_VALIDATION\\\"}}\"\n\
                 : >'{}'\nuntil [ -e '{}' ]; do sleep 0.1; done\n",
                reached.display(),
                go_on.display()
            ),
        )
        .unwrap();
    let mut command = certbot.command(&["certonly", "--manual", "--agree-tos"]);
    command
        .args(["--email", "admin@example.test", "-d", "www.example.test"])
        .args(["--preferred-challenges", "http", "--manual-auth-hook"])
        .arg(&hook);
    let mut client = Service::spawn(command).unwrap();
    until("the order is made", PATIENCE, || {
        if reached.exists() {
            Ok(())
        } else {
            Err(client.log().tail())
        }
    })
    .unwrap();
    ca.kill9();
    ca.serve().unwrap();
    fs::write(&go_on, "").unwrap();
    let status = client.wait(PATIENCE * 2).unwrap();
    assert!(status.success(), "{}", client.log().tail());
    certbot
        .chain(&ca, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    assert_eq!(issued_for(&ca, "www.example.test"), 1);
}

/// Counts the certificates of a name that were signed; an intent that the token did not
/// fulfil is recorded as abandoned.
pub(crate) fn issued_for(ca: &Appliance, name: &str) -> usize {
    let records = ca.certificates().unwrap();
    let named = |record: &&Value| record["names"][0] == format!("dns:{name}");
    let signed = |record: &&Value| record["status"] != "abandoned";
    records.iter().filter(named).filter(signed).count()
}

/// Waits until the one order of a name has a state.
pub(crate) fn wait_for_order(ca: &Appliance, name: &str, status: &str) {
    ca.until(&format!("the order is {status}"), PATIENCE, |ca| {
        let orders = listed(ca, "order");
        let found = orders
            .iter()
            .find(|order| order["identifiers"][0] == format!("dns:{name}"));
        match found {
            Some(order) if order["status"] == status => Ok(()),
            _ => Err(format!("{orders:?}")),
        }
    })
    .unwrap();
}

#[test]
fn orders_wait_for_the_token_and_finish_by_themselves_once() {
    let internet = Internet::start().unwrap();
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    // The service's own key is not on the token that goes away.
    let mut ca = Builder::on_token(&token, remote.module())
        .with_acme(&internet)
        .sections(
            "[acme.service]\nkeystore = \"acme\"\n\
             [keystores.acme]\ntype = \"file\"\nkey_dir = \"acme-keys\"\n",
        )
        .start()
        .unwrap();
    let lego = Lego::of(&ca);
    let http = format!("127.0.0.1:{}", internet.http_port());
    let order = |name: &str, patience: &str| {
        let options = ["--http", "--http.port", &http, "-d", name];
        lego.command(
            &[&options[..], &["--cert.timeout", patience]].concat(),
            &["run"],
        )
    };

    // A client that waits has its certificate in the end.
    remote.kill().unwrap();
    ca.wait_readiness(false).unwrap();
    let mut client = Service::spawn(order("waits.example.test", "200")).unwrap();
    wait_for_order(&ca, "waits.example.test", "processing");
    remote.restart().unwrap();
    let status = client.wait(PATIENCE * 2).unwrap();
    assert!(status.success(), "{}", client.log().tail());
    lego.chain(&ca, "waits.example.test")
        .assert_good(&ca, &["DNS:waits.example.test"]);

    // The order of one that gave up is finished too, even over a power cut.
    remote.kill().unwrap();
    ca.wait_readiness(false).unwrap();
    let told = said(&mut order("gone.example.test", "3"));
    wait_for_order(&ca, "gone.example.test", "processing");
    assert!(
        !told.contains("Server responded with a certificate"),
        "{told}"
    );
    ca.kill9();
    remote.restart().unwrap();
    ca.serve().unwrap();
    wait_for_order(&ca, "gone.example.test", "valid");
    for name in ["waits.example.test", "gone.example.test"] {
        assert_eq!(issued_for(&ca, name), 1, "{name}");
    }
    // And the client, come back, is given one.
    run(&mut order("gone.example.test", "60")).unwrap();
}
