//! `POST /v1/timestamps` (RFC 3161, 3.4).

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Data, Payload};
use mesh::{Peer, RequestContext};
use model::signing::SignerLabel;
use pki::timestamp::{FailureInfo, TimeStampRequest, rejection};

use super::answer::{Cache, headers};
use super::sign::media_type;
use super::upload::{Pace, read_whole};
use super::{Answered, may_read};
use crate::problem::SigningProblem;
use crate::service::Signing;
use crate::sign::media_types;

/// Longest request: a digest, a nonce and a policy take a hundred octets.
const MAX_REQUEST: u64 = 8 * 1024;

/// Answers a client with a certificate.
pub(super) async fn stamp_for_peer(
    signing: Data<Signing>,
    peer: Peer,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Answered {
    may_read(&peer)?;
    let label = SignerLabel::new(peer.label()).map_err(SigningProblem::internal)?;
    stamp(&signing, Some(label), &context, &request, payload).await
}

/// Answers anyone.
pub(super) async fn stamp_for_anyone(
    signing: Data<Signing>,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Answered {
    stamp(&signing, None, &context, &request, payload).await
}

/// Answers a request; what is wrong with it is told as RFC 3161 has it.
async fn stamp(
    signing: &Signing,
    requester: Option<SignerLabel>,
    context: &RequestContext,
    request: &HttpRequest,
    payload: Payload,
) -> Answered {
    if media_type(request) != Some("application/timestamp-query") {
        return Err(mesh::Problem::from(SigningProblem::MediaType {
            taken: "application/timestamp-query",
        })
        .closing());
    }
    let pace = Pace::of(&signing.config.limits);
    let mut memory = signing.memory.begin();
    let body = read_whole(
        request,
        payload,
        &pace,
        "a time-stamp request",
        MAX_REQUEST,
        &mut memory,
    )
    .await?;
    let (outcome, response_der) = match TimeStampRequest::parse(&body) {
        Ok(query) => match signing.time_stamp(&query, requester, context).await {
            Ok(response_der) => ("granted", response_der),
            Err(Stamping::Refused(failure, text)) => refused(failure, &text),
            Err(Stamping::Failed(problem)) => {
                signing.metrics.timestamp(problem.kind().slug());
                return Err(problem.into());
            }
        },
        Err(error) => refused(error.failure(), &error.to_string()),
    };
    signing.metrics.timestamp(outcome);
    let mut response = actix_web::HttpResponse::Ok();
    headers(&mut response, Cache::Never);
    response.insert_header((header::CONTENT_TYPE, media_types::TIMESTAMP));
    Ok(response.body(response_der))
}

/// Why there is no time-stamp.
#[derive(Debug)]
pub(crate) enum Stamping {
    /// The request's fault: told in the response.
    Refused(FailureInfo, String),
    /// The service's.
    Failed(SigningProblem),
}

impl From<SigningProblem> for Stamping {
    fn from(problem: SigningProblem) -> Self {
        Self::Failed(problem)
    }
}

/// Writes a rejection.
fn refused(failure: FailureInfo, text: &str) -> (&'static str, Vec<u8>) {
    (failure.as_str(), rejection(failure, text))
}
