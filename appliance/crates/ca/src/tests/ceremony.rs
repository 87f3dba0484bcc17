//! The ceremony: once, again, interrupted, and against what is there.

use std::sync::Arc;

use hsm_keystore::KeyStore;
use pki::certificate::Certificate;
use store::{CertificateFilter, CertificateStore, StateFilter};

use super::faulty::{Signing, unavailable};
use super::installation::{Installation, config, file_store};
use super::requests::openssl;
use crate::Error;

/// A ceremony whose root lives in a keystore of its own.
const SEPARATE_ROOT: &str = "[ceremony.root]\nkeystore = 'offline'";

#[tokio::test]
async fn the_ceremony_makes_a_root_and_an_issuing_authority_once() {
    let installation = Installation::empty("");
    let first = installation.perform().await.unwrap();
    assert_eq!(first.authorities.len(), 2);
    assert!(
        first
            .authorities
            .iter()
            .all(|one| one.key_made && one.certificate_made)
    );

    let again = installation.perform().await.unwrap();
    assert!(
        again
            .authorities
            .iter()
            .all(|one| !one.key_made && !one.certificate_made)
    );
    let prints = |report: &crate::ceremony::CeremonyReport| {
        report
            .authorities
            .iter()
            .map(|one| one.sha256.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(prints(&first), prints(&again));

    // Recorded like every certificate.
    let store = installation.store();
    for authority in &first.authorities {
        let record = store.certificate(&authority.serial).await.unwrap().unwrap();
        assert_eq!(
            record
                .certificate_der()
                .map(Certificate::from_der)
                .unwrap()
                .unwrap()
                .serial(),
            &authority.serial
        );
    }
}

#[tokio::test]
async fn openssl_verifies_the_issuing_authority_strictly() {
    for algorithms in [
        ("p384", "p256"),
        ("rsa3072", "rsa3072"),
        ("ed25519", "ed25519"),
    ] {
        let installation = Installation::empty(&format!(
            "[ceremony.root]\nalgorithm = '{}'\n[ceremony.issuing]\nalgorithm = '{}'",
            algorithms.0, algorithms.1
        ));
        let report = installation.perform().await.unwrap();
        let path = installation.directory.path();
        for (authority, file) in report.authorities.iter().zip(["root.pem", "issuing.pem"]) {
            std::fs::write(path.join(file), &authority.certificate_pem).unwrap();
        }
        openssl(
            path,
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "root.pem",
                "issuing.pem",
            ],
        );
    }
}

#[tokio::test]
async fn a_ceremony_goes_on_where_it_was_interrupted() {
    let installation = Installation::empty("");
    // The root's key is made, its certificate cannot be signed.
    installation.keys.sign(Signing::Fails(unavailable()));
    let error = installation.perform().await.unwrap_err();
    assert!(matches!(error, Error::NotIssued { .. }), "{error}");
    installation.keys.sign(Signing::Works);
    // The root is signed and recorded, and cannot be put beside its key.
    installation.keys.fail_import(true);
    let error = installation.perform().await.unwrap_err();
    assert!(matches!(error, Error::KeyStore { .. }), "{error}");
    let issued = issued(&installation).await;
    installation.keys.fail_import(false);

    let report = installation.perform().await.unwrap();
    let [root, issuing] = report.authorities.as_slice() else {
        panic!("{report:?}")
    };
    assert!(!root.key_made && root.certificate_made && issuing.key_made);
    // The root that was recorded, not a second one.
    assert_eq!(issued, std::slice::from_ref(&root.serial));
    assert_eq!(self::issued(&installation).await.len(), 2);
}

/// Lists the serial numbers of what was issued.
async fn issued(installation: &Installation) -> Vec<model::SerialNumber> {
    let filter = CertificateFilter {
        state: Some(StateFilter::Issued),
        ..CertificateFilter::default()
    };
    let page = installation
        .store()
        .certificates(filter, None, 100)
        .await
        .unwrap();
    page.records
        .into_iter()
        .map(|record| record.intent.serial)
        .collect()
}

#[tokio::test]
async fn a_root_in_a_keystore_of_its_own_may_be_away_afterwards() {
    let installation = Installation::empty(SEPARATE_ROOT);
    let home = Arc::clone(&installation.keystore);
    let offline = file_store(&installation.directory.path().join("offline"));
    let both = |name: Option<&str>| match name {
        Some("offline") => Ok(Arc::clone(&offline)),
        _ => Ok(Arc::clone(&home) as _),
    };
    let first = installation.perform_with(&both).await.unwrap();
    assert!(
        home.inner
            .get_private_key(&first.authorities[0].key)
            .is_err()
    );

    let away = |name: Option<&str>| match name {
        Some(name) => Err(format!("{name} is in its safe").into()),
        None => Ok(Arc::clone(&home) as _),
    };
    let again = installation.perform_with(&away).await.unwrap();
    assert_eq!(again.authorities[0].sha256, first.authorities[0].sha256);
    let (ca, _) = installation.open().await;
    assert_eq!(
        ca.authorities().root().serial(),
        &first.authorities[0].serial
    );
}

#[tokio::test]
async fn what_is_there_and_not_as_configured_is_told_and_left() {
    let mut installation = Installation::ready("").await;
    let before = installation.keystore.list().unwrap();
    for (text, expected) in [
        ("[ceremony.root]\nalgorithm = 'p256'", "p384"),
        ("[ceremony.issuing]\nalgorithm = 'p384'", "p256"),
        ("[ceremony.root]\nsubject = 'CN=Another'", "CN=Another"),
        ("[ceremony.issuing]\nsubject = 'CN=Another'", "CN=Another"),
    ] {
        installation.config = config(text);
        let error = installation.perform().await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::KeyDiffers { .. } | Error::AuthorityDiffers { .. }
            ),
            "{text}: {error}"
        );
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    assert_eq!(installation.keystore.list().unwrap(), before);
    assert_eq!(issued(&installation).await.len(), 2);
}

#[tokio::test]
async fn the_service_does_not_open_before_the_ceremony() {
    let installation = Installation::empty("");
    let error = installation
        .open_over(installation.store())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoCeremony { .. }), "{error}");
    assert!(error.to_string().contains("chancery init"));
    assert!(!error.is_transient());
}
