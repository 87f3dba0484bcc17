//! `POST /sign`.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mesh::wire::{self, SignBody, SignQuery};
use mesh::{Body, Peer, Problem, ProblemType, RequestContext};
use model::{IdempotencyKey, Identity};
use pki::forge::ForgeClaims;
use pki::pem;

use super::problem;
use crate::completing::Completing;
use crate::grants::Call;
use crate::issue::{Ca, IssueRequest, Requester};
use crate::refusal::Refusal;

/// Tells that the answer is that of the first request with this key.
const REPLAYED: &str = "idempotency-replayed";

/// The media types of requests. The first two may bring PEM or DER: the first octet
/// tells which it is. The third is for who vouches for more than the request says.
const ACCEPTED: [&str; 3] = [wire::PKCS10, wire::PEM_FILE, wire::SIGN_REQUEST];

/// Issues a certificate.
///
/// A repeated request with the same `Idempotency-Key` gets the first one's
/// answer again, 201 as well, marked `Idempotency-Replayed: true`; with other
/// content 422, while the first is served 409 (draft-ietf-httpapi-idempotency-
/// key-header, 2.6).
pub(super) async fn sign(
    ca: Data<Ca>,
    peer: Peer,
    context: RequestContext,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read: who may not call is not listened to.
    super::authorize(&ca, &peer, Call::Sign).map_err(Problem::closing)?;
    let media_type = check_media_type(&request)?;
    let query = read_query(&request)?;
    let idempotency = read_idempotency_key(&request)?;
    let Body(body) = Body::from_request(&request, &mut payload.into_inner()).await?;

    let validity = query
        .validity
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| problem(Refusal::Validity(error)))?;
    let (csr_der, forge) = if media_type == wire::SIGN_REQUEST {
        read_sign_body(&body)?
    } else {
        (read_csr(&body)?, None)
    };
    let issue = IssueRequest {
        csr_der,
        forge,
        profile: query.profile,
        validity,
        identity: query.identity.as_deref().map(read_identity).transpose()?,
        requester: Requester::Peer(peer.identity().clone()),
        request_id: context.request_id,
        idempotency,
    };
    let ca = ca.into_inner();
    let runtime = ca.runtime.clone();
    let issued = Completing::new(std::sync::Arc::clone(&ca).issue(issue), runtime)
        .await
        .map_err(problem)?;
    let mut response = HttpResponse::Created();
    response
        .content_type(wire::PEM_CHAIN)
        .insert_header((header::LOCATION, format!("/certificates/{}", issued.serial)));
    if issued.replayed {
        response.insert_header((REPLAYED, "true"));
    }
    Ok(response.body(ca.chain_pem(&issued.certificate_der)))
}

/// Refuses bodies of other media types before they are read.
fn check_media_type(request: &HttpRequest) -> Result<&'static str, Problem> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    let taken = given.and_then(|given| {
        ACCEPTED
            .into_iter()
            .find(|taken| given.eq_ignore_ascii_case(taken))
    });
    taken.ok_or_else(|| {
        Problem::new(
            ProblemType::UnsupportedMediaType,
            format!(
                "this call takes a certificate request as {} (DER or PEM)",
                ACCEPTED.join(" or ")
            ),
        )
        .with("accepted", ACCEPTED.to_vec())
        .closing()
    })
}

/// Reads a request with what its sender vouches for.
fn read_sign_body(body: &Bytes) -> Result<(Vec<u8>, Option<ForgeClaims>), Problem> {
    let malformed = |detail: String| Problem::new(ProblemType::MalformedRequest, detail);
    let SignBody { csr, forge } = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the body is no request with claims: {error}")))?;
    let csr_der = BASE64
        .decode(&csr)
        .map_err(|_| malformed("`csr` is no base64 of a certificate request in DER".to_owned()))?;
    Ok((csr_der, Some(forge)))
}

/// Reads the query.
fn read_query(request: &HttpRequest) -> Result<SignQuery, Problem> {
    Query::<SignQuery>::from_query(request.query_string())
        .map(Query::into_inner)
        .map_err(|error| {
            Problem::new(
                ProblemType::MalformedRequest,
                format!(
                    "the query cannot be read ({error}); it may hold profile, validity and identity"
                ),
            )
            .closing()
        })
}

/// Reads the idempotency key, bare or as a structured header's string.
fn read_idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    let malformed = |detail: String| {
        Problem::new(
            ProblemType::MalformedRequest,
            format!("Idempotency-Key: {detail}"),
        )
        .closing()
    };
    let mut values = request.headers().get_all(wire::IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed("send one key, not several".to_owned()));
    }
    let text = HeaderValue::to_str(value)
        .map_err(|_| malformed("its characters are not printable ASCII".to_owned()))?
        .trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    IdempotencyKey::new(bare)
        .map(Some)
        .map_err(|error| malformed(error.to_string()))
}

/// Reads `role/name`.
fn read_identity(text: &str) -> Result<Identity, Problem> {
    text.parse().map_err(|error| {
        Problem::new(
            ProblemType::MalformedRequest,
            format!("identity: {error}; write role/name, for example service:acme/acme-1"),
        )
    })
}

/// Takes the request out of its PEM armour, if it has one.
fn read_csr(body: &Bytes) -> Result<Vec<u8>, Problem> {
    if !pem::is_pem(body) {
        return Ok(body.to_vec());
    }
    pem::read_request(body).map_err(|error| {
        Problem::new(
            ProblemType::NotACsr,
            format!("the body is not one certificate request in PEM: {error}"),
        )
    })
}
