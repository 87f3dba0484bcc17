//! `GET /crl`, `/crl/{issuer}`, `/crl/{issuer}/delta`, `/crl/{issuer}/shards/{shard}`
//! and `POST /crl`, on the CA API.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, web};
use mesh::{Peer, Problem, ProblemType, wire};
use model::{IssuerId, Timestamp};

use super::authorize;
use super::conditional::{Document, knows};
use crate::crl::{Crl, CrlError, CrlKind};
use crate::grants::Call;
use crate::issue::Ca;
use crate::publication::Publication;
use crate::refusal::chain;

/// `GET /crl`: the full CRL of the authority that issues.
pub(super) async fn issuing(
    ca: Data<Ca>,
    _: Peer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let issuer = ca.publication.issuing_id.clone();
    show(&ca, &request, &issuer, CrlKind::Whole).await
}

/// `GET /crl/{issuer}`: the full CRL of an authority.
pub(super) async fn whole(
    ca: Data<Ca>,
    _: Peer,
    request: HttpRequest,
    issuer: Path<String>,
) -> Result<HttpResponse, Problem> {
    let issuer = known_issuer(&ca, &issuer)?;
    show(&ca, &request, &issuer, CrlKind::Whole).await
}

/// `GET /crl/{issuer}/delta`: what changed since a full one.
pub(super) async fn delta(
    ca: Data<Ca>,
    _: Peer,
    request: HttpRequest,
    issuer: Path<String>,
) -> Result<HttpResponse, Problem> {
    let issuer = known_issuer(&ca, &issuer)?;
    show(&ca, &request, &issuer, CrlKind::Delta).await
}

/// `GET /crl/{issuer}/shards/{shard}`: the CRL of one shard.
pub(super) async fn shard(
    ca: Data<Ca>,
    _: Peer,
    request: HttpRequest,
    place: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (issuer, shard) = place.into_inner();
    let issuer = known_issuer(&ca, &issuer)?;
    let shard = shard
        .parse()
        .map_err(|_| unknown(&issuer, "a shard is known by its number"))?;
    show(&ca, &request, &issuer, CrlKind::Shard(shard)).await
}

/// `POST /crl`: issues every CRL whose key is there.
pub(super) async fn issue(ca: Data<Ca>, peer: Peer) -> Result<web::Json<wire::CrlList>, Problem> {
    authorize(&ca, &peer, Call::IssueCrl)?;
    let ca = ca.into_inner();
    let runtime = ca.runtime.clone();
    let working = Arc::clone(&ca);
    let issuing = async move { working.issue_crls().await };
    crate::completing::Completing::new(issuing, runtime)
        .await
        .map_err(|error| crl_problem(&error))?;
    Ok(web::Json(ca.publication.crl_list()))
}

/// Answers with a CRL, at once or, for who asks for it (RFC 7240, 4.3), once it
/// is another one than the client knows.
async fn show(
    ca: &Ca,
    request: &HttpRequest,
    issuer: &IssuerId,
    kind: CrlKind,
) -> Result<HttpResponse, Problem> {
    let publication = &ca.publication;
    // Before the look: what is swapped meanwhile wakes.
    let mut swaps = publication.board.swaps();
    let find = || publication.board.get(issuer, kind);
    let mut crl = find();
    if let Some(wait) = prefers_to_wait(request.headers())
        && crl.as_deref().is_some_and(|crl| is_known(request, crl))
        && let Ok(_waiter) = ca.waiters.try_acquire()
    {
        let mut ending = ca.ending.subscribe();
        let another = async {
            while swaps.changed().await.is_ok() {
                swaps.borrow_and_update();
                if find().is_some_and(|crl| !is_known(request, &crl)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = another => {}
            () = tokio::time::sleep(wait.min(ca.config.crl.max_wait)) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
        crl = find();
    }
    match crl {
        Some(crl) => Ok(respond(request, &crl, publication)),
        None => Err(crl_missing(issuer, kind)),
    }
}

/// Tells whether a client names a CRL as the one it has.
fn is_known(request: &HttpRequest, crl: &Crl) -> bool {
    knows(request.headers(), &crl.etag, crl.this_update)
}

/// Answers with a CRL.
pub(super) fn respond(request: &HttpRequest, crl: &Crl, publication: &Publication) -> HttpResponse {
    let now = publication.clock.now();
    Document {
        body: crl.der.clone(),
        media_type: wire::PKIX_CRL,
        etag: &crl.etag,
        modified: crl.this_update,
        fresh_for: fresh_for(crl, now, publication.crl_interval),
    }
    .respond(request, now)
}

/// How long caches may keep a CRL that is late: somebody may have issued it since.
const LATE: Duration = Duration::from_secs(60);

/// Returns how long caches may keep a CRL: until the next one is due, and never
/// longer than it counts.
fn fresh_for(crl: &Crl, now: Timestamp, interval: jiff::SignedDuration) -> Duration {
    let until = |time: Timestamp| Duration::try_from(time.duration_since(now)).unwrap_or_default();
    let due = crl
        .this_update
        .checked_add(interval)
        .map_or(Duration::ZERO, until);
    let left = until(crl.next_update);
    if due.is_zero() {
        LATE.min(left)
    } else {
        due.min(left)
    }
}

/// Reads how long a client is ready to wait: `Prefer: wait=30`.
fn prefers_to_wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(wire::PREFER)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next())
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| value.trim().trim_matches('"').parse().ok())
                .flatten()
        })
        .map(Duration::from_secs)
}

/// Finds an authority by its name.
fn known_issuer(ca: &Ca, name: &str) -> Result<IssuerId, Problem> {
    IssuerId::new(name)
        .ok()
        .filter(|issuer| ca.publication.board.knows(issuer))
        .ok_or_else(|| {
            Problem::new(
                ProblemType::IssuerUnknown,
                format!(
                    "there is no such authority; there are {} and {}",
                    ca.publication.issuing_id, ca.publication.root_id
                ),
            )
        })
}

/// States that there is no such CRL.
fn unknown(issuer: &IssuerId, why: &str) -> Problem {
    Problem::new(
        ProblemType::CrlUnknown,
        format!("authority {issuer} has no such CRL: {why}"),
    )
}

/// States that a CRL was never issued.
pub(crate) fn crl_missing(issuer: &IssuerId, kind: CrlKind) -> Problem {
    unknown(
        issuer,
        &format!("its {kind} CRL was not issued; `GET /status` lists those there are"),
    )
}

/// Tells why CRLs were not issued.
fn crl_problem(error: &CrlError) -> Problem {
    let (kind, wait) = match error {
        CrlError::Clock(_) => (ProblemType::ClockImplausible, Some(30)),
        CrlError::Store(store::Error::Busy { .. }) => (ProblemType::QueueFull, Some(1)),
        CrlError::Store(store::Error::NoSpace { .. }) => (ProblemType::DiskFull, Some(30)),
        CrlError::Store(_) => (ProblemType::StoreFailed, Some(30)),
        CrlError::KeyStore(hsm_keystore::Error::DeadlineExceeded { .. }) => {
            (ProblemType::TokenTimeout, Some(5))
        }
        CrlError::KeyStore(_) => (ProblemType::TokenUnavailable, Some(30)),
        CrlError::Time
        | CrlError::TooLong(_)
        | CrlError::Lint(_)
        | CrlError::Assemble(_)
        | CrlError::Kept(_)
        | CrlError::Task(_) => (ProblemType::Internal, None),
    };
    let detail = match kind {
        ProblemType::Internal => {
            "a CRL could not be made; the service's log has the cause under this request id"
                .to_owned()
        }
        _ => chain(error),
    };
    let problem = Problem::new(kind, detail);
    match wait {
        Some(seconds) => problem.retry_after(Duration::from_secs(seconds)),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;

    use super::*;

    #[test]
    fn preferences_are_read_among_others() {
        let wait = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::HeaderName::from_static(wire::PREFER),
                header::HeaderValue::from_static(value),
            );
            prefers_to_wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("wait=30"), Some(30));
        assert_eq!(wait("respond-async, Wait = \"5\"; foo"), Some(5));
        for value in ["wait", "wait=", "wait=-1", "wait=soon", "waits=3"] {
            assert_eq!(wait(value), None, "{value}");
        }
    }
}
