//! The resolver against a name server on a socket.

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use super::*;
use crate::name_server::NameServer;

#[tokio::test]
async fn addresses_come_ipv6_first_and_half_an_answer_is_enough() {
    let server = NameServer::start().await;
    server.address_records("both.test", &["192.0.2.1", "2001:db8::1"]);
    server.address_records("four.test", &["192.0.2.2"]);
    let resolver = server.resolver();
    let both: Vec<String> = resolver
        .addresses("both.test")
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(both, ["2001:db8::1", "192.0.2.1"]);
    assert_eq!(resolver.addresses("four.test").await.unwrap().len(), 1);
}

#[tokio::test]
async fn aliases_are_followed_and_strings_of_a_text_joined() {
    let server = NameServer::start().await;
    server.alias("_acme-challenge.www.test", "one.test");
    server.alias("one.test", "two.test");
    server.txt("two.test", &["first half, ", "second half"]);
    let texts = server
        .resolver()
        .texts("_acme-challenge.www.test")
        .await
        .unwrap();
    assert_eq!(texts, [b"first half, second half".to_vec()]);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_comes_by_tcp() {
    let server = NameServer::start().await;
    for number in 0..40 {
        server.txt("long.test", &[&format!("{number:0>80}")]);
    }
    let texts = server.resolver().texts("long.test").await.unwrap();
    assert_eq!(texts.len(), 40);
}

#[tokio::test]
async fn every_question_is_asked_anew() {
    let server = NameServer::start().await;
    server.txt("a.test", &["x"]);
    let resolver = server.resolver();
    for _ in 0..3 {
        resolver.texts("a.test").await.unwrap();
    }
    assert_eq!(server.asked(RecordType::TXT).len(), 3);
}

#[tokio::test]
async fn what_dns_says_instead_of_records_is_told_apart() {
    let server = NameServer::start().await;
    server.txt("text.test", &["x"]);
    server.error("broken.test", ResponseCode::ServFail);
    server.error("refused.test", ResponseCode::Refused);
    server.silence("silent.test");
    server.alias("dangling.test", "nowhere.test");
    let resolver = server.resolver();
    let problem = |failure: DnsFailure| failure.problem;
    let none = resolver.addresses("none.test").await.unwrap_err();
    assert_eq!(
        none.to_string(),
        "looking up A or AAAA of none.test: there is no such name (NXDOMAIN)"
    );
    let no_records = resolver.addresses("text.test").await.unwrap_err();
    assert_eq!(problem(no_records), DnsProblem::NoRecords);
    let dangling = resolver.texts("dangling.test").await.unwrap_err();
    assert_eq!(problem(dangling), DnsProblem::NoSuchName);
    for name in ["broken.test", "refused.test"] {
        let failed = resolver.texts(name).await.unwrap_err();
        assert!(
            matches!(failed.problem, DnsProblem::ServerFailed { .. }),
            "{failed}"
        );
    }
    let silent = resolver.texts("silent.test").await.unwrap_err();
    assert!(
        matches!(silent.problem, DnsProblem::Timeout { .. }),
        "{silent}"
    );
}

#[tokio::test]
async fn no_caa_is_an_empty_list_and_a_failure_is_none() {
    let server = NameServer::start().await;
    server.txt("text.test", &["x"]);
    server.caa("caa.test", true, "issue", "ca.test");
    server.error("broken.test", ResponseCode::ServFail);
    let resolver = server.resolver();
    assert_eq!(resolver.caa("text.test").await, Ok(Vec::new()));
    assert_eq!(resolver.caa("none.test").await, Ok(Vec::new()));
    let records = resolver.caa("caa.test").await.unwrap();
    assert!(records.len() == 1 && records.iter().all(|record| record.critical));
    assert!(resolver.caa("broken.test").await.is_err());
}

#[tokio::test]
async fn text_that_is_no_name_is_refused() {
    let server = NameServer::start().await;
    let label = "a".repeat(64);
    let failure = server.resolver().texts(&label).await.unwrap_err();
    assert_eq!(failure.problem, DnsProblem::InvalidName);
}

#[test]
fn servers_are_addresses_with_or_without_port() {
    let config = |servers: &[&str]| ResolverConfig {
        servers: servers.iter().map(|text| (*text).to_owned()).collect(),
        ..ResolverConfig::default()
    };
    let checked = config(&["192.0.2.53", "[2001:db8::53]:5353"])
        .check()
        .unwrap();
    let shown: Vec<String> = checked.servers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    assert!(config(&["dns.example"]).check().is_err());
}
