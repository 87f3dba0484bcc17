//! http-01.

use std::time::Duration;

use jiff::SignedDuration;
use model::acme::ChallengeKind;

use super::support::*;
use crate::name_server::NameServer;
use crate::problem::ErrorType;
use crate::validate::{Failure, HttpProblem, RedirectProblem, ValidateChallenge};

/// A name server that knows `www.test` at 127.0.0.1.
async fn names() -> NameServer {
    let names = NameServer::start().await;
    names.address_records("www.test", &["127.0.0.1"]);
    names
}

/// Makes an attempt at `www.test` on a server that answers always the same.
async fn attempt(answer: Vec<u8>) -> Result<crate::validate::Proof, Failure> {
    let server = WebServer::start("127.0.0.1:0", None, move |_| answer.clone()).await;
    http_attempt(&names().await, server.port(), "www.test").await
}

#[tokio::test]
async fn the_key_authorization_proves_control() {
    let body = format!("{} \r\n\t", key_authorization().as_str());
    let server = WebServer::start("127.0.0.1:0", None, move |_| ok(&body)).await;
    let proof = http_attempt(&names().await, server.port(), "www.test")
        .await
        .unwrap();
    assert_eq!(proof.address, Some(server.address));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, path());
    assert_eq!(asked[0].host, format!("www.test:{}", server.port()));
}

#[tokio::test]
async fn addresses_are_validated_without_dns() {
    let names = NameServer::start().await;
    for (bind, identifier, host) in [
        ("127.0.0.1:0", "127.0.0.1", "127.0.0.1"),
        ("[::1]:0", "::1", "[::1]"),
    ] {
        let server = WebServer::start(bind, None, |_| ok(key_authorization().as_str())).await;
        http_attempt(&names, server.port(), identifier)
            .await
            .unwrap();
        let asked = server.asked();
        assert_eq!(asked[0].host, format!("{host}:{}", server.port()));
    }
}

#[tokio::test]
async fn another_family_is_tried_when_one_does_not_answer() {
    let names = NameServer::start().await;
    names.address_records("both.test", &["::1", "127.0.0.1"]);
    let server = WebServer::start("127.0.0.1:0", None, |_| ok(key_authorization().as_str())).await;
    let proof = http_attempt(&names, server.port(), "both.test").await;
    assert_eq!(proof.unwrap().address, Some(server.address));
}

#[tokio::test]
async fn other_content_is_told_with_an_excerpt() {
    let failure = attempt(ok("<html>\u{1b}[2J not found")).await.unwrap_err();
    assert_eq!(failure.error_type(), ErrorType::IncorrectResponse);
    let text = failure.to_string();
    assert!(
        text.contains(r#"holds "<html>\x1b[2J not found", not the key authorization LoqX"#),
        "{text}"
    );
}

#[tokio::test]
async fn only_status_200_counts() {
    for status in [204, 206, 300, 304, 401, 404, 500] {
        let body = key_authorization();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{}",
            body.as_str().len(),
            body.as_str()
        );
        let failure = attempt(answer.into()).await.unwrap_err();
        assert!(
            matches!(failure, Failure::Status { status: told, .. } if told == status),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn long_answers_are_not_read_to_their_end() {
    let failure = attempt(ok(&"a".repeat(1 << 20))).await.unwrap_err();
    assert!(matches!(failure, Failure::BodyTooLong { .. }), "{failure}");
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("400\r\n{}\r\n", "a".repeat(1024)).repeat(64)
    );
    let failure = attempt(endless.into()).await.unwrap_err();
    assert!(matches!(failure, Failure::BodyTooLong { .. }), "{failure}");
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let failure = attempt(head.into()).await.unwrap_err();
    assert!(
        matches!(
            failure,
            Failure::Http {
                problem: HttpProblem::Unreadable | HttpProblem::Incomplete,
                ..
            }
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn what_is_no_http_is_a_connection_problem() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200",
        b"\x15\x03\x01\x00\x02\x02\x0a",
    ] {
        let failure = attempt(answer.to_vec()).await.unwrap_err();
        assert_eq!(failure.error_type(), ErrorType::Connection, "{failure}");
    }
}

#[tokio::test]
async fn nobody_listening_and_no_name_are_told_apart() {
    let names = names().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = http_attempt(&names, port, "www.test").await.unwrap_err();
    assert_eq!(refused.error_type(), ErrorType::Connection);
    assert_eq!(
        refused.to_string(),
        format!(
            "connecting to www.test at 127.0.0.1:{port}: nothing listens there (connection refused)"
        )
    );
    let unknown = http_attempt(&names, port, "unknown.test").await;
    assert_eq!(unknown.unwrap_err().error_type(), ErrorType::Dns);
}

#[tokio::test]
async fn a_silent_server_ends_with_the_time_of_the_attempt() {
    let server = WebServer::start("127.0.0.1:0", None, |_| Vec::new()).await;
    let validator = validator(&names().await, |config| {
        config.http_port = server.port();
        config.attempt_timeout = SignedDuration::from_millis(200);
    });
    let began = std::time::Instant::now();
    let failure = validator
        .validate(&task(ChallengeKind::Http01, "www.test"))
        .await
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        failure.to_string(),
        "www.test was too slow: the attempt was not done within 0.2 s"
    );
}

#[tokio::test]
async fn redirects_lead_to_the_proof() {
    let names = names().await;
    names.address_records("other.test", &["127.0.0.1"]);
    for status in [301, 302, 303, 307, 308] {
        let server = WebServer::start("127.0.0.1:0", None, move |asked| {
            match (asked.path.as_str(), asked.host.split(':').next()) {
                ("/second?q=1", Some("www.test")) => {
                    redirect(status, &asked.host.replace("www.test", "http://other.test"))
                }
                ("/", Some("other.test")) => ok(key_authorization().as_str()),
                _ => redirect(status, "/second?q=1#fragment"),
            }
        })
        .await;
        http_attempt(&names, server.port(), "www.test")
            .await
            .unwrap();
        assert_eq!(server.asked().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn redirects_to_https_take_any_certificate() {
    let names = names().await;
    let certificate = super::tls_alpn::certificate("elsewhere.test", |_| {});
    let (config, _) = tls_server(&certificate, &[b"http/1.1"]);
    let secure = WebServer::start("127.0.0.1:0", Some(config), |_| {
        ok(key_authorization().as_str())
    })
    .await;
    let plain = WebServer::start("127.0.0.1:0", None, |_| {
        redirect(301, "https://www.test/moved")
    })
    .await;
    let validator = validator(&names, |config| {
        config.http_port = plain.port();
        config.https_port = secure.port();
    });
    let proof = validator
        .validate(&task(ChallengeKind::Http01, "www.test"))
        .await
        .unwrap();
    assert_eq!(proof.address, Some(secure.address));
    assert_eq!(secure.asked()[0].host, "www.test");
}

#[tokio::test]
async fn redirects_have_an_end() {
    let names = names().await;
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let server = WebServer::start("127.0.0.1:0", None, move |_| {
        let next = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        redirect(302, &format!("/{next}"))
    })
    .await;
    let failure = http_attempt(&names, server.port(), "www.test")
        .await
        .unwrap_err();
    assert_eq!(failure.error_type(), ErrorType::Connection);
    assert!(
        failure
            .to_string()
            .ends_with("at most 10 redirects are followed")
    );
    assert_eq!(server.asked().len(), 11);
    let circle = attempt(redirect(302, "/again")).await.unwrap_err();
    assert!(matches!(
        circle,
        Failure::Redirect {
            problem: RedirectProblem::Circle,
            ..
        }
    ));
}

#[tokio::test]
async fn redirects_that_are_not_followed() {
    let long = format!("/{}", "a".repeat(3000));
    for (to, problem) in [
        ("ftp://www.test/", RedirectProblem::Scheme),
        ("file:///etc/passwd", RedirectProblem::Scheme),
        ("gopher://127.0.0.1:70/", RedirectProblem::Scheme),
        ("http://www.test:22/", RedirectProblem::Port { port: 22 }),
        (
            "http://user:secret@www.test/",
            RedirectProblem::UserInformation,
        ),
        ("", RedirectProblem::NoUrl),
        ("http://", RedirectProblem::NoUrl),
        (&long, RedirectProblem::TooLong { most: 2048 }),
    ] {
        let failure = attempt(redirect(302, to)).await.unwrap_err();
        assert!(
            matches!(&failure, Failure::Redirect { problem: told, .. } if *told == problem),
            "{to}: {failure}"
        );
    }
}

#[tokio::test]
async fn a_method_that_does_not_fit_is_refused() {
    let names = names().await;
    let all = validator(&names, |_| {});
    let fewer = validator(&names, |config| config.methods = vec!["http-01".to_owned()]);
    for (validator, kind, identifier) in [
        (&all, ChallengeKind::Http01, "*.www.test"),
        (&all, ChallengeKind::TlsAlpn01, "*.www.test"),
        (&all, ChallengeKind::Dns01, "127.0.0.1"),
        (&all, ChallengeKind::DnsAccount01, "::1"),
        (&all, ChallengeKind::DeviceAttest01, "www.test"),
        (&fewer, ChallengeKind::Dns01, "www.test"),
    ] {
        let failure = validator.validate(&task(kind, identifier)).await;
        let failure = failure.unwrap_err();
        assert!(failure.is_final());
        assert_eq!(failure.error_type(), ErrorType::Malformed);
    }
}
