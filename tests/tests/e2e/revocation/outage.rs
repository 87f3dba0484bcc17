//! Revocation data goes on while the token is away.

use chancery_tests::{Builder, Curl};
use softhsm_test::{P11Kit, SoftHsm};

use super::{Issued, crl_number};

#[test]
fn what_was_signed_is_served_while_the_token_is_away_and_after_a_restart_without_it() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut ca = Builder::on_token(&token, remote.module()).start().unwrap();
    let good = Issued::by(&ca, "good.example.internal");
    let revoked = Issued::by(&ca, "revoked.example.internal");
    revoked.revoke(&ca, "keyCompromise");
    revoked.wait_on_crl(&ca, true);
    // Asked for once without a nonce, both answers are ready.
    for issued in [&good, &revoked] {
        issued.ocsp(&ca, &["-no_nonce"]);
    }
    let number = crl_number(&good.crl(&ca));

    remote.kill().unwrap();
    ca.wait_readiness(false).unwrap();
    let assert_served = |ca: &chancery_tests::Appliance| {
        let answer = good.ocsp(ca, &["-no_nonce"]);
        assert!(answer.contains("leaf.pem: good"), "{answer}");
        let answer = revoked.ocsp(ca, &["-no_nonce"]);
        assert!(answer.contains("Reason: keyCompromise"), "{answer}");
        assert_eq!(crl_number(&good.crl(ca)), number);
        let reply = Curl::plain()
            .get(&ca.distribution_url("/ca/issuing.cer"))
            .unwrap();
        assert_eq!(reply.status, 200, "{reply}");
    };
    assert_served(&ca);
    let runway = ca.metric("chancery_ca_runway_seconds", "").unwrap();
    assert!(runway > 0.0, "{runway}");

    // Even a start without the token serves them.
    ca.stop().unwrap();
    ca.spawn().unwrap();
    ca.wait_readiness(false).unwrap();
    ca.until("distribution answers", chancery_tests::PATIENCE, |ca| {
        Curl::plain()
            .get(&ca.distribution_url("/crl/issuing.crl"))
            .map_err(|error| error.to_string())
            .and_then(|reply| {
                if reply.status == 200 {
                    Ok(())
                } else {
                    Err(reply.to_string())
                }
            })
    })
    .unwrap();
    assert_served(&ca);

    remote.restart().unwrap();
    ca.wait_ready().unwrap();
    let late = Issued::by(&ca, "late.example.internal");
    let answer = late.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");
}
