//! Fetching files from servers that lie, stall, break off and lead elsewhere.

use std::sync::Arc;
use std::time::Duration;

use mesh::dial::DialFailure;
use url::Url;

use super::forge::{Forge, Reply, Trap};
use super::house::{House, Sections, TOKEN};
use crate::outside::{Outside, OutsideError, client_config};
use crate::webhooks::fetch::{FetchError, Fetcher, RedirectProblem};

/// Makes what fetches from some origins.
fn fetcher(house: &House, origins: &[String], more: &str) -> Fetcher {
    let text = house
        .fetch(origins)
        .replace("[fetch]\n", &format!("[fetch]\n{more}\n"));
    let config = Sections::read(&text).check().unwrap().fetch;
    let tls = client_config(config.ca_file.as_deref()).unwrap();
    let outside = Arc::new(Outside::new(config.dialler().unwrap()));
    Fetcher::open(outside, tls, &config).unwrap()
}

/// Fetches a file of at most 100 octets.
async fn fetch(fetcher: &Fetcher, url: &str) -> Result<String, FetchError> {
    let octets = fetcher.fetch_whole(&Url::parse(url).unwrap(), 100).await?;
    Ok(String::from_utf8(octets.to_vec()).unwrap())
}

/// A forge called `forge.test`, and its origin.
async fn forge(
    house: &House,
    answer: impl Fn(&super::forge::Asked) -> Reply + Send + Sync + 'static,
) -> (Forge, String) {
    house.names.address_records("forge.test", &["127.0.0.1"]);
    let forge = Forge::start(&house.world, &["forge.test"], answer).await;
    let origin = format!("https://forge.test:{}", forge.port());
    (forge, origin)
}

#[tokio::test]
async fn a_file_is_asked_for_as_githubs_api_wants_it_and_with_the_hosts_token() {
    let house = House::new().await;
    let (forge, origin) = forge(&house, |_| Reply::new(200, "octets")).await;
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "");
    let text = fetch(&fetcher, &format!("{origin}/assets/1?x=y")).await;
    assert_eq!(text.as_deref(), Ok("octets"));
    let [asked] = &forge.asked()[..] else {
        panic!("{:?}", forge.asked());
    };
    assert_eq!(asked.line, "GET /assets/1?x=y");
    assert_eq!(asked.field("accept"), "application/octet-stream");
    assert_eq!(asked.field("accept-encoding"), "identity");
    assert_eq!(asked.field("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(asked.field("host"), origin.trim_start_matches("https://"));
}

#[tokio::test]
async fn a_redirect_is_followed_to_configured_hosts_without_the_token() {
    let house = House::new().await;
    house.names.address_records("store.test", &["127.0.0.1"]);
    let store = Forge::start(&house.world, &["store.test"], |_| Reply::new(200, "octets")).await;
    let target = format!("https://store.test:{}", store.port());
    let to = format!("{target}/signed?token=t");
    let (_forge, origin) = forge(&house, move |_| Reply::redirect(&to)).await;
    let open = fetcher(&house, &[origin.clone(), target], "");
    let text = fetch(&open, &format!("{origin}/a")).await;
    assert_eq!(text.as_deref(), Ok("octets"));
    let asked = store.asked();
    assert_eq!(asked[0].line, "GET /signed?token=t");
    assert_eq!(asked[0].field("authorization"), "");

    // The same, where the other host is not configured.
    let closed = fetcher(&house, std::slice::from_ref(&origin), "");
    let refused = fetch(&closed, &format!("{origin}/a")).await.unwrap_err();
    assert!(
        matches!(
            refused,
            FetchError::Redirect {
                problem: RedirectProblem::Host,
                ..
            }
        ),
        "{refused}"
    );
    assert!(!refused.to_string().contains("token=t"), "{refused}");
    assert!(!refused.is_transient());
    assert_eq!(store.asked().len(), 1);
}

#[tokio::test]
async fn redirects_to_private_addresses_are_refused_before_they_are_dialled() {
    let house = House::new().await;
    house.names.address_records("inside.test", &["127.0.0.2"]);
    let (first, _) = forge(&house, |_| Reply::new(200, "")).await;
    let port = first.port();
    drop(first);
    let trap = Trap::at(([127, 0, 0, 2], port).into()).await;
    for host in [
        "127.0.0.2",
        "127.2",
        "2130706434",
        "[::ffff:127.0.0.2]",
        "inside.test",
    ] {
        // Configured by mistake, or on purpose: the address rules hold all the same.
        let inside = format!("https://{host}:{port}");
        let to = format!("{inside}/metadata");
        let (_forge, origin) = forge(&house, move |_| Reply::redirect(&to)).await;
        let fetcher = fetcher(&house, &[origin.clone(), inside], "");
        let refused = fetch(&fetcher, &format!("{origin}/a")).await.unwrap_err();
        assert!(
            matches!(
                refused,
                FetchError::Outside(OutsideError::Dial(DialFailure::Address { .. }))
            ),
            "{host}: {refused}"
        );
        assert!(!refused.is_transient());
    }
    trap.assert_untouched().await;
}

#[tokio::test]
async fn a_name_whose_address_changes_is_checked_at_each_connection() {
    let house = House::new().await;
    // Open when asked first, closed when the redirect comes back to it.
    house
        .names
        .changing("rebind.test", &["127.0.0.1", "127.0.0.2"]);
    let forge = Forge::start(&house.world, &["rebind.test"], |_| {
        Reply::redirect("/again")
    })
    .await;
    let trap = Trap::at(([127, 0, 0, 2], forge.port()).into()).await;
    let origin = format!("https://rebind.test:{}", forge.port());
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "");
    let refused = fetch(&fetcher, &format!("{origin}/a")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot connect to rebind.test: 127.0.0.2 is a loopback address, which this server does \
         not connect to"
    );
    assert_eq!(forge.asked().len(), 1);
    trap.assert_untouched().await;
}

#[tokio::test]
async fn circles_too_many_hops_and_other_schemes_are_not_followed() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |asked| match asked.line.as_str() {
        "GET /circle" => Reply::redirect("/circle"),
        "GET /plain" => Reply::redirect("http://forge.test/a"),
        "GET /file" => Reply::redirect("file:///etc/passwd"),
        "GET /none" => Reply::new(302, ""),
        line => Reply::redirect(&format!("{}x", line.trim_start_matches("GET "))),
    })
    .await;
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "max_redirects = 3");
    for (path, says) in [
        ("circle", "it leads in a circle"),
        ("plain", "only https is asked"),
        ("file", "only https is asked"),
        ("none", "it is no URL"),
        ("many", "at most 3 redirects are followed"),
    ] {
        let refused = fetch(&fetcher, &format!("{origin}/{path}"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains(says), "{path}: {refused}");
        assert!(!refused.is_transient(), "{path}");
    }
}

#[tokio::test]
async fn only_configured_hosts_are_asked_and_only_by_https() {
    let house = House::new().await;
    let (forge, origin) = forge(&house, |_| Reply::new(200, "octets")).await;
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "");
    for url in [
        "https://other.test/a".to_owned(),
        "https://forge.test/a".to_owned(),
        origin.replace("https:", "http:"),
        origin.replace("https://", "https://user@"),
    ] {
        let refused = fetch(&fetcher, &url).await.unwrap_err();
        assert!(
            matches!(refused, FetchError::Host { .. } | FetchError::Url { .. }),
            "{url}: {refused}"
        );
    }
    assert_eq!(forge.asked(), []);
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_not_asked() {
    let house = House::new().await;
    house.names.address_records("forge.test", &["127.0.0.1"]);
    let impostor = Forge::start(&house.world, &["other.test"], |_| Reply::new(200, "")).await;
    let stranger = super::forge::World::new();
    let unknown = Forge::start(&stranger, &["forge.test"], |_| Reply::new(200, "")).await;
    for server in [&impostor, &unknown] {
        let origin = format!("https://forge.test:{}", server.port());
        let fetcher = fetcher(&house, std::slice::from_ref(&origin), "");
        let refused = fetch(&fetcher, &format!("{origin}/a")).await.unwrap_err();
        assert!(
            matches!(refused, FetchError::Outside(OutsideError::Tls { .. })),
            "{refused}"
        );
        assert_eq!(server.asked(), []);
    }
}

#[tokio::test]
async fn what_is_too_large_cut_off_packed_or_missing_is_told_apart() {
    let house = House::new().await;
    let large = "x".repeat(101);
    let (_forge, origin) = forge(&house, move |asked| match asked.line.as_str() {
        "GET /declared" => Reply::new(200, &large),
        // No length: the end of the connection ends it.
        "GET /undeclared" => Reply::with(200, &[("transfer-encoding", "chunked")], "")
            .undeclared(&format!("65\r\n{large}\r\n0\r\n\r\n")),
        "GET /cut" => Reply::new(200, "half of it").cut(5),
        "GET /packed" => Reply::with(200, &[("content-encoding", "gzip")], "x"),
        "GET /later" => Reply::with(503, &[("retry-after", "7")], ""),
        _ => Reply::new(404, ""),
    })
    .await;
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "");
    for (path, says, transient) in [
        ("declared", "holds 101 octets, more than the 100", false),
        ("undeclared", "holds more than the 100 octets", false),
        ("cut", "the connection ended before the answer did", true),
        ("packed", "sends its file as \"gzip\"", false),
        ("later", "answered status 503, not 200", true),
        ("missing", "answered status 404, not 200", true),
    ] {
        let refused = fetch(&fetcher, &format!("{origin}/{path}"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains(says), "{path}: {refused}");
        assert_eq!(refused.is_transient(), transient, "{path}");
        let wanted = (path == "later").then_some(Duration::from_secs(7));
        assert_eq!(refused.retry_after(), wanted, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_stalls_or_trickles_is_given_up() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |asked| match asked.line.as_str() {
        "GET /silent" => Reply::new(200, "").cut(4).hanging(),
        "GET /stalls" => Reply::new(200, "half of it").cut(5).hanging(),
        _ => Reply::new(200, "x".repeat(90)).trickling(Duration::from_millis(3)),
    })
    .await;
    let quick = "idle_timeout = '100ms'\nconnect_timeout = '100ms'\nmin_bytes_per_second = 5000\n";
    let text = house
        .fetch(std::slice::from_ref(&origin))
        .replace("idle_timeout = '2s'\nconnect_timeout = '2s'\n", quick);
    let config = Sections::read(&format!("{text}\n")).check().unwrap().fetch;
    let tls = client_config(config.ca_file.as_deref()).unwrap();
    let outside = Arc::new(Outside::new(config.dialler().unwrap()));
    let fetcher = Fetcher::open(outside, tls, &config)
        .unwrap()
        .with_grace(Duration::from_millis(20));
    for (path, says) in [
        ("silent", "waiting for the answer took more than"),
        ("stalls", "waiting for more of the body took more than"),
        ("trickles", "fewer than 5000 a second"),
    ] {
        let refused = fetch(&fetcher, &format!("{origin}/{path}"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains(says), "{path}: {refused}");
        assert!(refused.is_transient(), "{path}");
    }
}

#[tokio::test]
async fn a_file_is_given_up_when_its_whole_time_is_over() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| {
        Reply::new(200, "x".repeat(90)).trickling(Duration::from_millis(20))
    })
    .await;
    let fetcher = fetcher(&house, std::slice::from_ref(&origin), "timeout = '200ms'");
    let refused = fetch(&fetcher, &format!("{origin}/a?secret"))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("{origin}/a was too slow: fetching the file took more than 0.2 s")
    );
}
