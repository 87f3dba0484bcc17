//! Sizes, times and numbers that hostile or slow clients run into.

use std::time::Duration;

use mesh::ListenerLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Fixture, Gate, SOON, Setup, exchange, get, read_answer};

fn short() -> Setup {
    Setup {
        limits: ListenerLimits {
            head_timeout: Duration::from_millis(300),
            body_timeout: Duration::from_millis(300),
            write_timeout: Duration::from_millis(300),
            handshake_timeout: Duration::from_millis(500),
            ..ListenerLimits::default()
        },
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_body_too_large_is_refused_unread() {
    let fixture = Fixture::start();
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    let request = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 65537\r\n\r\n";
    let answer = exchange(&mut stream, request).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "body-too-large")
    );
    assert_eq!(answer.json()["max_bytes"], 65536);
    let fits = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 65536\r\n\r\n".to_owned()
        + &"x".repeat(65536);
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    let answer = exchange(&mut stream, &fits).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "65536"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_too_large_is_refused_and_the_connection_closed() {
    let fixture = Fixture::start();
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let answer = exchange(&mut stream, &format!("{head}{chunk}{chunk}{chunk}"))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "body-too-large")
    );
    assert!(answer.has("connection: close"), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_is_refused_over_http_2() {
    let fixture = Fixture::start();
    let response = fixture
        .reqwest(&fixture.operator())
        .post(fixture.url("/echo"))
        .body(vec![0; 100_000])
        .send()
        .await
        .unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up() {
    let fixture = Fixture::with(short());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    let request = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx";
    let answer = timeout(SOON, exchange(&mut stream, request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (408, "body-timeout")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_given_up_on_a_new_connection() {
    let fixture = Fixture::with(short());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    stream.write_all(b"GET /ping HT").await.unwrap();
    let answer = timeout(SOON, read_answer(&mut stream))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status, 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_given_up_on_a_connection_that_was_in_use() {
    let fixture = Fixture::with(short());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    assert_eq!(
        exchange(&mut stream, &get("/ping")).await.unwrap().status,
        200
    );
    // Octet by octet, each well within any idle timeout.
    let (mut reader, mut writer) = tokio::io::split(stream);
    let trickle = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut rest = Vec::new();
    timeout(SOON, reader.read_to_end(&mut rest))
        .await
        .expect("the connection is closed")
        .ok();
    timeout(SOON, trickle).await.unwrap().unwrap();
    fixture
        .until_metrics(r#"chancery_http_connections{service="test"} 0"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_and_an_idle_connection_outlive_the_head_timeout() {
    let gate = Gate::closed();
    let fixture = Fixture::with_gate(short(), gate.clone());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    exchange(&mut stream, &get("/ping")).await.unwrap();
    let idle = Duration::from_millis(1500);
    assert!(timeout(idle, stream.read_u8()).await.is_err(), "still open");
    stream.write_all(get("/wait").as_bytes()).await.unwrap();
    gate.entered.acquire().await.unwrap().forget();
    assert!(
        timeout(idle, stream.read_u8()).await.is_err(),
        "still served"
    );
    gate.open.add_permits(1);
    assert_eq!(read_answer(&mut stream).await.unwrap().body, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answer_is_given_up() {
    let fixture = Fixture::with(short());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    stream.write_all(get("/large").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    fixture
        .until_metrics(r#"route="/large",method="GET",status="200"} 1"#)
        .await;
    fixture
        .until_metrics(r#"chancery_http_connections{service="test"} 0"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_begins_is_given_up() {
    let fixture = Fixture::with(short());
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let ended = timeout(SOON, stream.read_u8()).await.unwrap();
    assert!(ended.is_err());
    fixture
        .until_metrics(r#"chancery_http_handshakes_total{service="test",outcome="timeout"} 1"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_may_are_answered_503_with_retry_after() {
    let gate = Gate::closed();
    let mut setup = Setup::default();
    setup.limits.max_requests = 1;
    let fixture = Fixture::with_gate(setup, gate.clone());
    let operator = fixture.operator();
    let mut busy = fixture.connect(&operator).await.unwrap();
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    gate.entered.acquire().await.unwrap().forget();
    let mut other = fixture.connect(&operator).await.unwrap();
    let answer = exchange(&mut other, &get("/ping")).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "overloaded")
    );
    assert!(answer.has("retry-after: 1"), "{}", answer.head);
    gate.open.add_permits(1);
    assert_eq!(read_answer(&mut busy).await.unwrap().body, "done");
    let answer = exchange(&mut other, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_its_place() {
    let gate = Gate::closed();
    let fixture = Fixture::with_gate(Setup::default(), gate.clone());
    let mut stream = fixture.connect(&fixture.operator()).await.unwrap();
    stream.write_all(get("/wait").as_bytes()).await.unwrap();
    gate.entered.acquire().await.unwrap().forget();
    drop(stream);
    gate.open.add_permits(1);
    fixture
        .until_metrics(r#"chancery_http_requests_in_flight{service="test"} 0"#)
        .await;
    fixture
        .until_metrics(r#"chancery_http_connections{service="test"} 0"#)
        .await;
}
