//! Requests, peers, problems.

use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{Fixture, Gate, SOON, Setup, exchange, get, read_answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_told_so_by_http_1_and_2() {
    let fixture = Fixture::start();
    let nobody = fixture.tls(None);
    let mut stream = fixture.connect(&nobody).await.unwrap();
    let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.problem(), "client-certificate-required");
    assert!(answer.has("connection: close"), "{}", answer.head);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("--cert"), "{detail}");

    let response = fixture
        .reqwest(&nobody)
        .get(fixture.url("/ping"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 403);
    let document: Value = response.json().await.unwrap();
    assert_eq!(
        document["type"],
        "urn:chancery:problem:client-certificate-required"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_known_by_its_identity_and_its_request_id_travels() {
    let fixture = Fixture::start();
    let client = fixture.reqwest(&fixture.operator());
    let response = client
        .get(fixture.url("/whoami"))
        .header("x-request-id", "from-afar-1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "from-afar-1");
    assert_eq!(response.text().await.unwrap(), "operator/alice from-afar-1");

    // One that is not well formed is replaced.
    let response = client
        .get(fixture.url("/whoami"))
        .header("x-request-id", "two words")
        .send()
        .await
        .unwrap();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(
        response.text().await.unwrap(),
        format!("operator/alice {id}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_listener_serves_strangers_and_knows_no_peer() {
    let fixture = Fixture::with(Setup {
        open: true,
        ..Setup::default()
    });
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
    let answer = exchange(&mut stream, &get("/whoami")).await.unwrap();
    assert_eq!(answer.problem(), "client-certificate-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_may_not_choose_request_ids() {
    let fixture = Fixture::with(Setup {
        plain: true,
        ..Setup::default()
    });
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let request = "GET /ping HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n";
    let answer = exchange(&mut stream, request).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.has("x-request-id: "), "{}", answer.head);
    assert!(!answer.has("x-request-id: mine"), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_certificate_that_names_nobody_is_refused() {
    let fixture = Fixture::start();
    for (uri, why) in [
        ("spiffe://elsewhere.internal/operator/alice", "trust domain"),
        ("https://example.org/", "trust domain"),
        ("spiffe://test.internal/emperor/alice", "no such role"),
    ] {
        let tls = fixture.tls(Some(&fixture.ca.leaf(uri)));
        let mut stream = fixture.connect(&tls).await.unwrap();
        let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
        assert_eq!(answer.status, 403, "{uri}");
        assert_eq!(answer.problem(), "peer-unidentified", "{uri}");
        assert!(answer.body.contains(why), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_methods_and_parameters_are_problems_with_the_request_id() {
    let fixture = Fixture::start();
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    for (request, status, problem) in [
        (get("/nowhere"), 404, "not-found"),
        (get("/echo"), 405, "method-not-allowed"),
        (get("/items/many"), 404, "not-found"),
        (
            "POST /json HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             content-length: 4\r\n\r\n[-1]"
                .to_owned(),
            400,
            "malformed-request",
        ),
    ] {
        let answer = exchange(&mut stream, &request).await.unwrap();
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem)
        );
        assert!(answer.has("content-type: application/problem+json"));
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        assert!(
            answer.has(&format!("x-request-id: {id}")),
            "{}",
            answer.head
        );
        if status == 405 {
            assert!(answer.has("allow: post"), "{}", answer.head);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_on_every_listener() {
    let fixture = Fixture::start();
    let client = fixture.reqwest(&fixture.operator());
    let alive = client.get(fixture.url("/healthz")).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    let ready = client.get(fixture.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready["ready"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_method_of_few_values() {
    let fixture = Fixture::start();
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    exchange(&mut stream, &get("/items/1")).await.unwrap();
    exchange(&mut stream, &get("/items/2")).await.unwrap();
    exchange(&mut stream, "BREW /nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let metrics = fixture.metrics();
    for line in [
        r#"chancery_http_requests_total{service="test",route="/items/{number}",method="GET",status="200"} 2"#,
        r#"chancery_http_requests_total{service="test",route="unmatched",method="other",status="404"} 1"#,
        r#"chancery_http_connections{service="test"} 1"#,
        r#"chancery_http_handshakes_total{service="test",outcome="ok"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\nis not in\n{metrics}");
    }
    let client = fixture.reqwest(&fixture.operator());
    let answer = client.get(fixture.url("/metrics")).send().await.unwrap();
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_requests_end_and_closes_idle_connections() {
    let gate = Gate::closed();
    let mut fixture = Fixture::with_gate(Setup::default(), gate.clone());
    let operator = fixture.operator();
    let mut idle = fixture.connect(&operator).await.unwrap();
    exchange(&mut idle, &get("/ping")).await.unwrap();
    let mut busy = fixture.connect(&operator).await.unwrap();
    let asked = tokio::spawn(async move { exchange(&mut busy, &get("/wait")).await });
    gate.entered.acquire().await.unwrap().forget();
    fixture.handle.stop();
    // The idle connection ends while the busy one is still being served.
    let ended = tokio::time::timeout(SOON, read_answer(&mut idle))
        .await
        .unwrap();
    assert!(ended.is_err());
    gate.open.add_permits(1);
    assert_eq!(asked.await.unwrap().unwrap().body, "done");
    let outcome = tokio::time::timeout(SOON, &mut fixture.running)
        .await
        .unwrap();
    outcome.unwrap().unwrap();
}
