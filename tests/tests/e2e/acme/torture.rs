//! Clients against the faults that the protocol allows.

use chancery_tests::{Internet, PATIENCE, output_of, until};

use super::certbot::Certbot;
use super::lego::Lego;
use super::with_acme;

#[test]
fn stock_clients_survive_torture() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet)
        .sections("[acme.torture]\nenabled = true\nrefuse_nonces_percent = 10\n")
        .start()
        .unwrap();
    // lego tries again as often as it takes.
    let lego = Lego::of(&ca);
    for name in ["a.example.test", "b.example.test"] {
        lego.run_http(&ca, &internet, name)
            .assert_good(&ca, &[&format!("DNS:{name}")]);
    }
    // certbot tries once more, and gives up when that is refused too: then its timer does.
    let certbot = Certbot::debian(&ca, &internet);
    until("certbot has its certificate", PATIENCE * 4, || {
        let output = output_of(&mut certbot.standalone(&["-d", "c.example.test"])).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(());
        }
        assert!(told.contains("the nonce was good and is refused"), "{told}");
        Err(told)
    })
    .unwrap();
    certbot
        .chain(&ca, "c.example.test")
        .assert_good(&ca, &["DNS:c.example.test"]);
}
