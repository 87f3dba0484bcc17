//! Clients against the faults that the protocol allows.

use chancery_tests::{Internet, run};

use super::certbot::Certbot;
use super::lego::Lego;
use super::with_acme;

#[test]
fn stock_clients_survive_torture() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet)
        .sections("[acme.torture]\nenabled = true\nrefuse_nonces_percent = 30\n")
        .start()
        .unwrap();
    let lego = Lego::of(&ca);
    for name in ["a.example.test", "b.example.test"] {
        lego.run_http(&ca, &internet, name)
            .assert_good(&ca, &[&format!("DNS:{name}")]);
    }
    // certbot tries once more and no further: the nonce it was given for that counts.
    let certbot = Certbot::debian(&ca, &internet);
    run(&mut certbot.standalone(&["-d", "c.example.test"])).unwrap();
    certbot
        .chain(&ca, "c.example.test")
        .assert_good(&ca, &["DNS:c.example.test"]);
    let refused = ca
        .metric("chancery_acme_errors_total", "kind=\"badNonce\"")
        .unwrap();
    assert!(refused > 0.0, "no nonce was refused");
}
