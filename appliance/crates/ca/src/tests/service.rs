//! The service's own certificate and its end.

use super::installation::{Installation, Served};

/// Returns the serial number of the certificate that the CA presents.
fn presented(installation: &Installation) -> String {
    let chain = std::fs::read(installation.directory.path().join("ca-tls.pem")).unwrap();
    let chain = pki::pem::read_certificates(&chain).unwrap();
    let leaf = pki::certificate::Certificate::from_der(&chain[0]).unwrap();
    leaf.serial().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_certificate_is_kept_over_restarts_and_renewed_when_old() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let first = presented(&installation);
    let record = served
        .ca
        .certificate(&first.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(
        record
            .names
            .contains(&"uri:spiffe://chancery.internal/service/ca/ca".to_owned())
    );
    assert!(record.names.contains(&"dns:localhost".to_owned()));
    assert_eq!(record.requester, None);
    served.stop().await;

    let served = Served::start(&installation).await;
    assert_eq!(presented(&installation), first);
    served.stop().await;

    // Two thirds of thirty days.
    installation.clock.advance(21 * 86_400);
    let served = Served::start(&installation).await;
    assert_ne!(presented(&installation), first);
    served.stop().await;
}
