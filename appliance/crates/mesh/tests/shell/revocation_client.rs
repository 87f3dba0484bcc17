//! The CA's client about revocation, against a listener that answers as told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use mesh::wire::{
    self, ImportedRevocation, RevocationFilter, RevocationImport, RevocationRecord, RevokeBody,
    RevokeKeyRequest, RevokeOrder, RevokeRequest, RevokeTarget,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, CrlScope, FetchedCrl, HttpCaClient, JsonBody,
    Persistence, Problem, ProblemType, RevocationSource,
};
use model::RevocationReason;
use serde_json::json;

use crate::authority::{issuing, serial, start};
use crate::support::{Fixture, Setup};

/// The requests that came: path and query, then the headers that matter.
type Asked = Arc<Mutex<Vec<(String, [Option<String>; 3])>>>;

/// A CA that tells what it was asked and answers as `answer` says.
fn fake_ca(
    asked: &Asked,
    answer: impl Fn(&str) -> Result<HttpResponse, Problem> + Clone + Send + Sync + 'static,
) -> Fixture {
    let asked = Arc::clone(asked);
    Fixture::with_routes(Setup::default(), move |config| {
        let (asked, answer) = (Arc::clone(&asked), answer.clone());
        let any = move |request: HttpRequest| {
            let header = |name| {
                let value = request.headers().get(name)?.to_str().ok()?;
                Some(value.to_owned())
            };
            let target = request.uri().path_and_query().unwrap().to_string();
            let headers = [header("if-none-match"), header("prefer"), header("accept")];
            asked.lock().unwrap().push((target.clone(), headers));
            std::future::ready(answer(&target))
        };
        config.service(web::resource("/{any:.*}").route(web::route().to(any)));
    })
}

fn client(fixture: &Fixture) -> HttpCaClient {
    let persistence = Persistence {
        total: Duration::from_secs(20),
        ..Persistence::default()
    };
    HttpCaClient::new(&fixture.url("/"), &fixture.operator(), persistence).unwrap()
}

fn request(scope: CrlScope, known: Option<&str>, wait: Option<u64>) -> CrlRequest {
    CrlRequest {
        issuer: issuing(),
        scope,
        known: known.map(str::to_owned),
        wait: wait.map(Duration::from_secs),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crls_are_asked_for_by_scope_tag_and_wait() {
    let asked = Asked::default();
    let fixture = fake_ca(&asked, |target| {
        Ok(match target {
            "/crl/issuing/delta" => HttpResponse::NotModified().finish(),
            _ => HttpResponse::Ok()
                .insert_header(("etag", "\"7\""))
                .content_type(wire::PKIX_CRL)
                .body(vec![0x30, 0]),
        })
    });
    let client = client(&fixture);
    let fetched = CrlAnswer::Crl(FetchedCrl {
        der: vec![0x30, 0],
        etag: Some("\"7\"".to_owned()),
    });
    let full = client.crl(request(CrlScope::Full, None, None)).await;
    assert_eq!(full.unwrap(), fetched);
    let shard = request(CrlScope::Shard(3), Some("\"6\""), Some(30));
    assert_eq!(client.crl(shard).await.unwrap(), fetched);
    // Longer than any server should hold an answer back.
    let delta = request(CrlScope::Delta, Some("\"7\""), Some(100_000));
    assert_eq!(client.crl(delta).await.unwrap(), CrlAnswer::NotModified);
    let asked = asked.lock().unwrap();
    let some = |text: &str| Some(text.to_owned());
    let accept = || some("application/pkix-crl");
    assert_eq!(
        *asked,
        [
            ("/crl/issuing".to_owned(), [None, None, accept()]),
            (
                "/crl/issuing/shards/3".to_owned(),
                [some("\"6\""), some("wait=30"), accept()]
            ),
            (
                "/crl/issuing/delta".to_owned(),
                [some("\"7\""), some("wait=300"), accept()]
            ),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crl_that_is_not_there_is_refused_by_name_and_asked_for_once() {
    let asked = Asked::default();
    let fixture = fake_ca(&asked, |target| match target {
        "/crl/issuing" => Err(Problem::new(ProblemType::CrlStale, "the token is away")
            .retry_after(Duration::from_secs(2))),
        _ => Err(Problem::new(ProblemType::CrlUnknown, "no delta is issued")),
    });
    let client = client(&fixture);
    let unknown = client.crl(request(CrlScope::Delta, None, None)).await;
    assert_eq!(
        unknown.unwrap_err().problem_type(),
        Some(ProblemType::CrlUnknown)
    );
    let stale = client.crl(request(CrlScope::Full, None, None)).await;
    assert!(matches!(stale, Err(CaClientError::Unavailable { .. })));
    // Whoever follows has a back-off of its own.
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ocsp_answer_that_is_too_long_is_not_read_into_memory() {
    let asked = Asked::default();
    let fixture = fake_ca(&asked, |_| {
        Ok(HttpResponse::Ok().body(vec![0x30; 1024 * 1024]))
    });
    let refused = client(&fixture).ocsp(vec![0x30, 0]).await;
    assert!(matches!(refused, Err(CaClientError::Protocol { .. })));
    let fixture = fake_ca(&asked, |_| Ok(HttpResponse::Ok().body(vec![0x30, 0])));
    let answer = client(&fixture).ocsp(vec![0x30, 0]).await;
    assert_eq!(answer.unwrap(), [0x30, 0]);
}

fn order() -> RevokeRequest {
    RevokeRequest {
        target: RevokeTarget::Serial(serial(1)),
        reason: RevocationReason::Superseded,
        invalidity_date: Some(start()),
        request_id: None,
    }
}

fn record() -> RevocationRecord {
    RevocationRecord {
        serial: serial(1),
        issuer: issuing(),
        revoked_at: start(),
        reason: RevocationReason::KeyCompromise,
        invalidity_date: None,
        not_after: None,
        public_key_sha256: None,
        revoked_by: Some("operator/alice".parse().unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_revocation_is_refused_with_the_first_record() {
    let fixture = fake_ca(&Asked::default(), |_| {
        let first = serde_json::to_value(record()).unwrap();
        let problem = Problem::new(ProblemType::AlreadyRevoked, "it was revoked before");
        Err(problem.with(wire::FIRST_REVOCATION, first))
    });
    let refused = client(&fixture).revoke(&order()).await.unwrap_err();
    assert_eq!(refused.problem_type(), Some(ProblemType::AlreadyRevoked));
    assert_eq!(refused.first_revocation(), Some(record()));
    assert!(!refused.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_arrive_as_they_were_given_and_records_come_back() {
    let orders = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&orders);
    let fixture = Fixture::with_routes(Setup::default(), move |config| {
        let received = Arc::clone(&received);
        let revoke = move |JsonBody(body): JsonBody<RevokeBody>| {
            let order = body.check().unwrap();
            let answer = match &order {
                RevokeOrder::Certificate(_) => serde_json::to_value(record()).unwrap(),
                RevokeOrder::Key(_) => json!({
                    "public_key_sha256": "ab".repeat(32), "blocked": true,
                    "revoked": [record()], "already_revoked": []
                }),
            };
            received.lock().unwrap().push(order);
            std::future::ready(web::Json(answer))
        };
        let list = async |query: web::Query<RevocationFilter>| {
            assert_eq!(query.limit, Some(5));
            web::Json(json!({"revocations": [record()], "cursor": "next"}))
        };
        let import = async |JsonBody(import): JsonBody<RevocationImport>| {
            let imported = import.revocations.len();
            web::Json(json!({"imported": imported, "already_revoked": 0}))
        };
        config
            .service(web::resource("/revoke-cert").route(web::post().to(revoke)))
            .service(
                web::resource("/revocations")
                    .route(web::get().to(list))
                    .route(web::post().to(import)),
            );
    });
    let client = client(&fixture);
    assert_eq!(client.revoke(&order()).await.unwrap(), record());
    let key = RevokeKeyRequest {
        public_key_sha256: [0xab; 32],
        reason: RevocationReason::KeyCompromise,
        invalidity_date: None,
        request_id: None,
    };
    let revoked = client.revoke_key(&key).await.unwrap();
    assert!(revoked.blocked && revoked.revoked == [record()]);
    assert_eq!(
        *orders.lock().unwrap(),
        [RevokeOrder::Certificate(order()), RevokeOrder::Key(key)]
    );
    let filter = RevocationFilter {
        limit: Some(5),
        ..RevocationFilter::default()
    };
    let page = client.revocations(&filter).await.unwrap();
    assert_eq!(page.cursor.as_deref(), Some("next"));
    let import = RevocationImport {
        issuer: issuing(),
        revocations: vec![ImportedRevocation {
            serial: serial(2),
            issuer: None,
            revoked_at: start(),
            reason: RevocationReason::Unspecified,
            invalidity_date: None,
            not_after: None,
        }],
    };
    let outcome = client.import_revocations(&import).await.unwrap();
    assert_eq!((outcome.imported, outcome.already_revoked), (1, 0));
}
