//! dns-01 and dns-account-01, and CAA in the same attempt.

use hickory_resolver::proto::op::ResponseCode;
use model::acme::ChallengeKind;

use super::support::*;
use crate::caa::{CaaChecker, CaaConfig};
use crate::name_server::NameServer;
use crate::problem::ErrorType;
use crate::validate::{Failure, Proof, ValidateChallenge};

/// Makes one attempt.
async fn attempt(
    names: &NameServer,
    kind: ChallengeKind,
    identifier: &str,
) -> Result<Proof, Failure> {
    validator(names, |_| {})
        .validate(&task(kind, identifier))
        .await
}

#[tokio::test]
async fn a_record_with_the_digest_proves_control_of_name_and_wildcard() {
    let names = NameServer::start().await;
    names.txt("_acme-challenge.www.test", &["of another order"]);
    names.txt(
        "_acme-challenge.www.test",
        &[&key_authorization().txt_value()],
    );
    for identifier in ["www.test", "*.www.test"] {
        attempt(&names, ChallengeKind::Dns01, identifier)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_record_may_be_delegated() {
    let names = NameServer::start().await;
    names.alias("_acme-challenge.www.test", "www.validation.test");
    names.txt("www.validation.test", &[&key_authorization().txt_value()]);
    attempt(&names, ChallengeKind::Dns01, "www.test")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_record_is_told() {
    let names = NameServer::start().await;
    names.txt("_acme-challenge.other.test", &["x"]);
    names.address_records("_acme-challenge.empty.test", &["192.0.2.1"]);
    names.error("_acme-challenge.broken.test", ResponseCode::ServFail);
    for (name, kind, text) in [
        (
            "other.test",
            ErrorType::IncorrectResponse,
            "none of the 1 TXT records of _acme-challenge.other.test is",
        ),
        (
            "empty.test",
            ErrorType::IncorrectResponse,
            "the name has no such records",
        ),
        ("none.test", ErrorType::Dns, "NXDOMAIN"),
        ("broken.test", ErrorType::Dns, "the name server answered"),
    ] {
        let failure = attempt(&names, ChallengeKind::Dns01, name)
            .await
            .unwrap_err();
        assert_eq!(failure.error_type(), kind, "{name}: {failure}");
        assert!(failure.to_string().contains(text), "{failure}");
    }
}

#[tokio::test]
async fn accounts_have_labels_of_their_own() {
    let names = NameServer::start().await;
    // The example of draft-ietf-acme-dns-account-label, 3.2.
    let name = "_ujmmovf2vn55tgye._acme-challenge.www.test";
    names.txt(name, &[&key_authorization().txt_value()]);
    for identifier in ["www.test", "*.www.test"] {
        attempt(&names, ChallengeKind::DnsAccount01, identifier)
            .await
            .unwrap();
    }
    // One method's record is not the other's.
    let other = attempt(&names, ChallengeKind::Dns01, "www.test").await;
    assert!(other.is_err());
}

#[tokio::test]
async fn caa_is_asked_in_the_same_attempt() {
    let names = NameServer::start().await;
    let value = key_authorization().txt_value();
    for name in ["ours.test", "theirs.test", "none.test"] {
        names.txt(&format!("_acme-challenge.{name}"), &[&value]);
    }
    names.caa(
        "ours.test",
        false,
        "issue",
        "ca.test; validationmethods=dns-01",
    );
    names.caa("theirs.test", false, "issue", "other.test");
    let config = CaaConfig {
        identities: vec!["ca.test".to_owned()],
        exempt: vec!["none.test".to_owned()],
        ..CaaConfig::default()
    };
    let caa = CaaChecker::new(names.resolver(), config.check().unwrap());
    let validator = validator_with_caa(&names, Some(caa), |_| {});
    let attempt = async |name| validator.validate(&task(ChallengeKind::Dns01, name)).await;
    assert!(attempt("ours.test").await.unwrap().caa_checked);
    assert!(!attempt("none.test").await.unwrap().caa_checked);
    let refused = attempt("theirs.test").await.unwrap_err();
    assert_eq!(refused.error_type(), ErrorType::Caa);
    // Without the proof, its lack is told and not CAA.
    names.caa("absent.test", false, "issue", ";");
    let absent = attempt("absent.test").await.unwrap_err();
    assert_eq!(absent.error_type(), ErrorType::Dns);
}
