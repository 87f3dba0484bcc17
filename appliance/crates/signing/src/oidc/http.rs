//! `POST /v1/oidc/certificate`, on the listener without client certificates.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use mesh::wire::{PEM_CHAIN, PEM_FILE, PKCS10};
use mesh::{Body, BodyLimits, CaClientError, Problem, ProblemType, RequestContext};
use pki::csr::CsrError;
use pki::pem;

use super::enrol::{Oidc, Refused};

/// What a request may be: a PKCS#10 request has a few kilobytes.
const LIMITS: BodyLimits = BodyLimits {
    max_bytes: 64 * 1024,
    timeout: Duration::from_secs(10),
};

/// Returns the route, for the listener without client certificates.
pub fn routes(oidc: &Arc<Oidc>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let oidc = Arc::clone(oidc);
    move |config| {
        config.service(
            web::resource("/v1/oidc/certificate")
                .app_data(Data::from(Arc::clone(&oidc)))
                .app_data(LIMITS)
                .route(web::post().to(certificate)),
        );
    }
}

/// Exchanges the token for a certificate.
async fn certificate(
    oidc: Data<Oidc>,
    context: RequestContext,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read: without a token it is not listened to.
    let token = bearer_token(&request).map_err(Problem::closing)?.to_owned();
    check_media_type(&request).map_err(Problem::closing)?;
    let Body(body) = Body::from_request(&request, &mut payload.into_inner()).await?;
    let csr_der = read_csr(&body)?;
    let oidc = oidc.into_inner();
    // The exchange ends even if the client goes away: the token is used up by then.
    let exchange =
        tokio::spawn(async move { oidc.exchange(&token, csr_der, &context.request_id).await });
    let certified = exchange
        .await
        .map_err(Problem::internal)?
        .map_err(|refused| problem(&refused))?;
    Ok(HttpResponse::Created()
        .content_type(PEM_CHAIN)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(certified.chain_pem))
}

/// Takes the token out of the header (RFC 6750, 2.1).
fn bearer_token(request: &HttpRequest) -> Result<&str, Problem> {
    let missing = |detail: &str| Problem::new(ProblemType::OidcTokenRequired, detail);
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next().ok_or_else(|| {
        missing("send the forge's token in the field `Authorization: Bearer TOKEN`")
    })?;
    if values.next().is_some() {
        return Err(missing("send one `Authorization` field, not several"));
    }
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(missing(
            "the field `Authorization` must read `Bearer TOKEN`",
        )),
    }
}

/// Refuses bodies of other media types before they are read.
fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let accepted = [PKCS10, PEM_FILE];
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if given.is_some_and(|given| {
        accepted
            .iter()
            .any(|taken| given.eq_ignore_ascii_case(taken))
    }) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::UnsupportedMediaType,
        format!(
            "this call takes a certificate request as {} (DER or PEM)",
            accepted.join(" or ")
        ),
    )
    .with("accepted", accepted.to_vec()))
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

/// Tells a refusal to a client.
fn problem(refused: &Refused) -> Problem {
    const SOON: Duration = Duration::from_secs(2);
    let detail = refused.to_string();
    match refused {
        Refused::Busy | Refused::Full => {
            Problem::new(ProblemType::Overloaded, detail).retry_after(SOON)
        }
        Refused::Token(error) => {
            Problem::new(ProblemType::OidcTokenInvalid, detail).with("check", error.check())
        }
        // Why is for the operator, in the log.
        Refused::Keys(_) => {
            Problem::new(ProblemType::OidcKeysUnavailable, detail).retry_after(SOON * 15)
        }
        Refused::Denied { .. } | Refused::Claims(_) => {
            Problem::new(ProblemType::OidcClaimsDenied, detail)
        }
        Refused::Csr(error) => Problem::new(csr_problem(error), detail),
        Refused::Names => Problem::new(ProblemType::NameForbidden, detail),
        Refused::Replayed => Problem::new(ProblemType::OidcTokenReplayed, detail),
        Refused::Name(_) => Problem::internal(detail),
        Refused::Ca(error) => ca_problem(error),
    }
}

/// Tells what is wrong with a request.
fn csr_problem(error: &CsrError) -> ProblemType {
    match error {
        CsrError::TooLarge { .. } => ProblemType::BodyTooLarge,
        CsrError::Encoding(_) | CsrError::Version => ProblemType::NotACsr,
        CsrError::Signature => ProblemType::CsrSignatureInvalid,
        CsrError::SignatureAlgorithm | CsrError::Repeated { .. } | CsrError::TooManyItems => {
            ProblemType::CsrForbidden
        }
        CsrError::PublicKey(_) => ProblemType::KeyForbidden,
        CsrError::WeakKey(_) => ProblemType::WeakKey,
        CsrError::Subject(_)
        | CsrError::Name { .. }
        | CsrError::RepeatedName { .. }
        | CsrError::TooManyNames { .. } => ProblemType::NameForbidden,
    }
}

/// Passes on what the CA says of the request; what is between it and this service is
/// told as that it cannot be had now.
fn ca_problem(error: &CaClientError) -> Problem {
    const LATER: Duration = Duration::from_secs(5);
    match (error, error.problem_type()) {
        (
            CaClientError::Refused { problem },
            Some(
                kind @ (ProblemType::KeyForbidden
                | ProblemType::WeakKey
                | ProblemType::NameForbidden
                | ProblemType::CsrForbidden
                | ProblemType::InProgress),
            ),
        ) => Problem::new(kind, problem.detail.clone()),
        (
            CaClientError::Unavailable {
                problem,
                retry_after,
            },
            Some(kind),
        ) => Problem::new(kind, problem.detail.clone()).retry_after(retry_after.unwrap_or(LATER)),
        (CaClientError::Refused { problem }, _) => Problem::internal(problem.detail.clone()),
        (CaClientError::Unavailable { .. } | CaClientError::Unreachable { .. }, _) => Problem::new(
            ProblemType::NotReady,
            "the CA that certifies builds cannot be reached now; the token stays good for \
                 the same request",
        )
        .retry_after(LATER),
        (CaClientError::Protocol { .. }, _) => Problem::internal(error.to_string()),
    }
}
