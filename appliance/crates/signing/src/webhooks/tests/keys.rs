//! Keys of token issuers, fetched by the same rules as files.

use url::Url;

use super::forge::{Forge, Reply};
use super::house::{House, Sections};
use crate::oidc::{FetchFailure, FetchKeys, HttpsKeys};

/// Fetches at most 100 octets of a path at a forge called `forge.test`.
async fn fetch(
    house: &House,
    text: &str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Forge, Result<Vec<u8>, FetchFailure>) {
    house.names.address_records("forge.test", &["127.0.0.1"]);
    let forge = Forge::start(&house.world, &["forge.test"], move |_| reply()).await;
    let keys = HttpsKeys::new(&Sections::read(text).check().unwrap()).unwrap();
    let url = format!("https://forge.test:{}/jwks", forge.port());
    let fetched = keys.fetch(&Url::parse(&url).unwrap(), 100).await;
    (forge, fetched)
}

/// What stopped a fetch.
fn reason(fetched: Result<Vec<u8>, FetchFailure>) -> String {
    fetched.unwrap_err().reason
}

#[tokio::test]
async fn keys_are_fetched_without_credentials() {
    let house = House::new().await;
    let set = || Reply::new(200, "{\"keys\":[]}");
    let (forge, fetched) = fetch(&house, &house.fetch(&[]), set).await;
    assert_eq!(fetched.unwrap(), b"{\"keys\":[]}");
    let [asked] = &forge.asked()[..] else {
        panic!("{:?}", forge.asked());
    };
    assert_eq!(asked.line, "GET /jwks");
    assert_eq!(asked.field("authorization"), "");
}

#[tokio::test]
async fn a_redirect_an_error_and_a_long_answer_are_refused() {
    let house = House::new().await;
    let text = house.fetch(&[]);
    let moved = || Reply::redirect("https://elsewhere.test/jwks");
    let (_, fetched) = fetch(&house, &text, moved).await;
    assert!(reason(fetched).contains("the answer is 30"));
    let (_, fetched) = fetch(&house, &text, || Reply::new(404, "")).await;
    assert!(reason(fetched).contains("the answer is 404"));
    let (_, fetched) = fetch(&house, &text, || Reply::new(200, [b' '; 101])).await;
    assert!(reason(fetched).contains("longer than 100 octets"));
}

#[tokio::test]
async fn addresses_that_are_not_open_and_servers_not_trusted_are_refused() {
    let house = House::new().await;
    let set = || Reply::new(200, "{}");
    let closed = house.fetch(&[]).replace(
        "{ public = false, allow = ['127.0.0.1/32'] }",
        "{ public = true }",
    );
    let (forge, fetched) = fetch(&house, &closed, set).await;
    assert!(reason(fetched).contains("loopback"));
    assert!(forge.asked().is_empty());
    let other = House::new().await;
    let text = other.fetch(&[]).replace(
        &other.names.config().servers[0],
        &house.names.config().servers[0],
    );
    let (forge, fetched) = fetch(&house, &text, set).await;
    assert!(reason(fetched).starts_with("TLS with forge.test"));
    assert!(forge.asked().is_empty());
}
