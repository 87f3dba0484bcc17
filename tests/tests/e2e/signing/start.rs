//! Its start: an identity, keys on the token, certificates by the CA.

use chancery_tests::{Appliance, Builder, Curl, PATIENCE, until};
use softhsm_test::{P11Kit, SoftHsm};

use super::{assert_signs, certified, with_signing};

/// Returns how many certificates the service's keys have: for artifacts, for time-stamps,
/// and its own.
fn counts(ca: &Appliance) -> [usize; 3] {
    let own = certified(ca, "service")
        .iter()
        .filter(|record| record["names"].to_string().contains("/service/signing/"))
        .count();
    [
        certified(ca, "code-signing").len(),
        certified(ca, "time-stamping").len(),
        own,
    ]
}

#[test]
fn what_is_missing_of_keys_and_certificates_is_made_once() {
    let mut ca = with_signing().start().unwrap();
    let keys = ca.keys().unwrap();
    for key in ["signing-default", "signing-timestamps", "signing-tls"] {
        assert!(keys.contains(&key.to_owned()), "{keys:?}");
    }
    assert_eq!(counts(&ca), [1, 1, 1]);
    // Made on the token, and there to stay.
    let attested = ca.cli(&["key", "attest", "signing-default"]).unwrap();
    for word in ["CKA_LOCAL", "CKA_NEVER_EXTRACTABLE"] {
        assert!(attested.contains(word), "{attested}");
    }
    assert_signs(&ca, &ca);

    ca.restart().unwrap();
    assert_eq!(counts(&ca), [1, 1, 1]);
    assert_eq!(ca.keys().unwrap(), keys);
    assert_signs(&ca, &ca);
}

#[test]
fn the_identity_that_enrolled_it_is_revoked() {
    let ca = with_signing().start().unwrap();
    until("it is used up", PATIENCE, || {
        let records = ca.certificates().unwrap();
        let found = records
            .iter()
            .find(|record| record["names"].to_string().contains("/enrol/signing/"));
        match found {
            Some(record) if record["status"] == "revoked" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .unwrap();
}

#[test]
fn a_token_that_is_away_at_the_start_is_waited_for_beside_a_ca_that_serves() {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let other = SoftHsm::token().unwrap();
    let module = other.module().to_owned();
    let sections = format!(
        "[signing.service]\nkeystore = \"signing\"\n\n\
         [keystores.signing]\ntype = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\n\
         pin_source = \"file:{}\"\n",
        remote.module().display().to_string(),
        token.label(),
        token.pin_file().display()
    );
    let mut ca = Builder::on_token(&other, &module)
        .with_signing()
        .sections(&sections)
        .prepare()
        .unwrap();
    ca.cli(&["init"]).unwrap();
    remote.kill().unwrap();
    ca.spawn().unwrap();
    ca.wait_for_reason("signing-keystore", "").unwrap();
    // The CA waits for nobody.
    until("the CA issues", PATIENCE, || {
        match ca.issue("a.example.internal") {
            Ok(reply) if reply.status == 201 => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        }
    })
    .unwrap();
    assert_eq!(counts(&ca), [0, 0, 0]);
    remote.restart().unwrap();
    ca.wait_ready().unwrap();
    assert_eq!(counts(&ca), [1, 1, 1]);
    assert_signs(&ca, &ca);
}

#[test]
fn certificates_of_its_keys_are_renewed_before_they_end() {
    // Two thirds of two minutes, one of them past at the start: every twenty seconds.
    let ca = with_signing()
        .sections(
            "[ca.profiles.code-signing]\nvalidity = \"1m\"\nbackdate = \"1m\"\n\
             [ca.profiles.time-stamping]\nvalidity = \"1m\"\nbackdate = \"1m\"\n",
        )
        .start()
        .unwrap();
    let keys = ca.keys().unwrap();
    let issued = |profile: &str| {
        let records = ca.certificates().unwrap();
        records
            .iter()
            .filter(|record| record["profile"] == profile)
            .count()
    };
    until("both were renewed", PATIENCE, || {
        match (issued("code-signing"), issued("time-stamping")) {
            (2.., 2..) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    })
    .unwrap();
    let ready = Curl::plain().get(&ca.telemetry_url("/readyz")).unwrap();
    assert_eq!(ready.status, 200, "{ready}");
    assert_eq!(ca.keys().unwrap(), keys);
}
