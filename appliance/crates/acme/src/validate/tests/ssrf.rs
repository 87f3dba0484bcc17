//! Attempts to have this server connect where it must not.

use std::net::SocketAddr;

use mesh::dial::DialFailure;
use model::acme::ChallengeKind;

use super::support::*;
use crate::name_server::NameServer;
use crate::problem::ErrorType;
use crate::validate::{Failure, ValidateChallenge};

/// Every spelling of an address that is not 127.0.0.1 and is refused.
const FORBIDDEN: [&str; 12] = [
    "127.0.0.2",
    "0.0.0.0",
    "10.0.0.1",
    "169.254.169.254",
    "192.168.0.1",
    "::",
    "::ffff:127.0.0.2",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fd00:ec2::254",
];

#[tokio::test]
async fn names_and_identifiers_at_forbidden_addresses_are_refused() {
    let names = NameServer::start().await;
    for (number, address) in FORBIDDEN.into_iter().enumerate() {
        let name = format!("n{number}.test");
        names.address_records(&name, &[address]);
        for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
            for identifier in [&*name, address] {
                let failure = validator(&names, |_| {})
                    .validate(&task(kind, identifier))
                    .await
                    .unwrap_err();
                assert!(
                    matches!(failure, Failure::Dial(DialFailure::Address { .. })),
                    "{identifier}: {failure}"
                );
                assert_eq!(failure.error_type(), ErrorType::Connection);
            }
        }
    }
}

#[tokio::test]
async fn redirects_to_forbidden_addresses_are_refused_before_they_are_dialled() {
    let names = NameServer::start().await;
    names.address_records("www.test", &["127.0.0.1"]);
    names.address_records("inside.test", &["127.0.0.2"]);
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.2/",
        "http://127.2/",
        "http://2130706434/",
        "http://0x7f000002/",
        "http://0177.0.0.2/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.2]/",
        "http://[::]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://inside.test/",
        "https://inside.test/",
        "//inside.test/",
    ] {
        let answer = redirect(302, to);
        let server = WebServer::start("127.0.0.1:0", None, move |_| answer.clone()).await;
        let inside: SocketAddr = ([127, 0, 0, 2], server.port()).into();
        let trap = Trap::at(inside).await;
        let validator = validator(&names, |config| {
            config.http_port = server.port();
            config.https_port = server.port();
        });
        let failure = validator
            .validate(&task(ChallengeKind::Http01, "www.test"))
            .await
            .unwrap_err();
        assert!(
            matches!(failure, Failure::Dial(DialFailure::Address { .. })),
            "{to}: {failure}"
        );
        trap.assert_untouched().await;
    }
}

#[tokio::test]
async fn a_name_whose_address_changes_is_checked_at_each_connection() {
    let names = NameServer::start().await;
    // Open when asked first, forbidden when the redirect comes back to it.
    names.changing("rebind.test", &["127.0.0.1", "127.0.0.2"]);
    let server = WebServer::start("127.0.0.1:0", None, |_| redirect(302, "/again")).await;
    let trap = Trap::at(([127, 0, 0, 2], server.port()).into()).await;
    let failure = http_attempt(&names, server.port(), "rebind.test")
        .await
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "cannot connect to rebind.test: 127.0.0.2 is a loopback address, which this server does \
         not connect to"
    );
    trap.assert_untouched().await;
}

#[tokio::test]
async fn the_address_dialled_is_the_one_checked() {
    let names = NameServer::start().await;
    // One lookup serves both the check and the connection: there is no second
    // answer to dial.
    names.changing("rebind.test", &["127.0.0.1", "127.0.0.2"]);
    let server = WebServer::start("127.0.0.1:0", None, |_| ok(key_authorization().as_str())).await;
    let trap = Trap::at(([127, 0, 0, 2], server.port()).into()).await;
    let proof = http_attempt(&names, server.port(), "rebind.test").await;
    assert_eq!(proof.unwrap().address, Some(server.address));
    trap.assert_untouched().await;
}

#[tokio::test]
async fn of_several_addresses_only_the_open_ones_are_dialled() {
    let names = NameServer::start().await;
    names.address_records(
        "mixed.test",
        &[
            "169.254.169.254",
            "127.0.0.2",
            "::ffff:127.0.0.2",
            "127.0.0.1",
        ],
    );
    let server = WebServer::start("127.0.0.1:0", None, |_| ok(key_authorization().as_str())).await;
    let trap = Trap::at(([127, 0, 0, 2], server.port()).into()).await;
    http_attempt(&names, server.port(), "mixed.test")
        .await
        .unwrap();
    trap.assert_untouched().await;
}
