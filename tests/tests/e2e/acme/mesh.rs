//! The listener for clients with certificates.

use std::process::Command;

use chancery_tests::{Connection, Internet, PATIENCE, TlsClient, until};

use super::with_acme;
use crate::chain::said;

#[test]
fn a_revoked_client_is_refused_on_its_open_connection_and_on_a_new_one() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let mallory = ca.issue_identity("operator", "mallory").unwrap();
    let client = TlsClient::with(&mallory).unwrap();
    let address = ca.acme_mesh_address();
    let mut open = client.connect(address).unwrap();
    let directory = Connection::get("/directory");
    assert_eq!(open.exchange(&directory).unwrap().status, 200);

    let serial = said(
        Command::new("openssl")
            .args(["x509", "-noout", "-serial", "-in"])
            .arg(&mallory.chain),
    );
    let serial = serial.trim().rsplit('=').next().unwrap().to_owned();
    ca.cli(&["cert", "revoke", &serial, "--reason", "keyCompromise"])
        .unwrap();
    // This service knows it by the CRL, which it waits for.
    let refused = until("the open connection is refused", PATIENCE, || {
        let answer = open
            .exchange(&directory)
            .map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Err(answer.head)
        } else {
            Ok(answer)
        }
    })
    .unwrap();
    assert_eq!(refused.status, 403, "{}", refused.head);
    let body = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(body.contains("revoked"), "{body}");
    let again = client
        .connect(address)
        .and_then(|mut fresh| fresh.exchange(&directory));
    assert!(again.is_err(), "{again:?}");
    // Everyone else goes on.
    let mut operator = ca.client().unwrap().connect(address).unwrap();
    assert_eq!(operator.exchange(&directory).unwrap().status, 200);
}

#[test]
fn the_identity_that_enrolled_the_service_is_revoked_and_not_needed_again() {
    let internet = Internet::start().unwrap();
    let mut ca = with_acme(&internet).start().unwrap();
    let enrolled = |ca: &chancery_tests::Appliance, status: &str, part: &str| {
        let records = ca.certificates().unwrap();
        records
            .iter()
            .filter(|record| record["status"] == status)
            .filter(|record| record["names"].to_string().contains(part))
            .count()
    };
    until("it is used up", PATIENCE, || {
        match enrolled(&ca, "revoked", "/enrol/acme/") {
            1 => Ok(()),
            count => Err(count.to_string()),
        }
    })
    .unwrap();
    assert_eq!(enrolled(&ca, "valid", "/enrol/acme/"), 0);
    assert_eq!(enrolled(&ca, "valid", "/service/acme/"), 1);
    // The next start has a certificate, and asks for none.
    ca.restart().unwrap();
    assert_eq!(enrolled(&ca, "valid", "/service/acme/"), 1);
    let operator = ca.client().unwrap();
    let mut connection = operator.connect(ca.acme_mesh_address()).unwrap();
    let directory = connection.exchange(&Connection::get("/directory")).unwrap();
    assert_eq!(directory.status, 200, "{}", directory.head);
}
