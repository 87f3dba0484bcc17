//! ACME over HTTP: routes, headers, statuses, and nothing else.
//!
//! | resource | method |
//! |---|---|
//! | `/directory`, `/acme/renewal-info/{certid}` | `GET` |
//! | `/acme/new-nonce` | `HEAD`, `GET` |
//! | `/acme/new-account`, `/acme/account/{id}`, `/acme/account/{id}/orders`, `/acme/key-change` | `POST` |
//! | `/acme/new-order`, `/acme/order/{id}`, `/acme/order/{id}/finalize`, `/acme/cert/{id}`, `/acme/cert/{id}/{n}` | `POST` |
//! | `/acme/new-authz`, `/acme/authz/{id}`, `/acme/chall/{id}` | `POST` |
//! | `/acme/revoke-cert` | `POST` |
//! | `/operator/…` | operators, on the listener with client certificates |

mod answer;
mod operator;
mod post;
mod problem;

use std::sync::{Arc, OnceLock};

use actix_web::http::{Method, header};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, guard};
use mesh::{Peer, RequestContext, client_address};
use model::acme::CertificateId;

pub(crate) use problem::status_of;

use self::answer::{Answer, Cache};
use crate::config::CheckedListener;
use crate::problem::{AcmeProblem, Occasion};
use crate::service::Acme;
use crate::service::request::{Context, Notes};
use crate::urls::{ExternalUrl, Resource};
use crate::wire::answer::{DirectoryObject, RenewalInfoObject, WindowObject, seconds};

/// One listener and what it serves.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The service behind it.
    acme: Arc<Acme>,
    /// Its configuration.
    config: CheckedListener,
    /// Where clients see it, once it is bound.
    urls: OnceLock<ExternalUrl>,
    /// Whether its clients are known by certificates.
    mutual: bool,
}

impl Listener {
    /// Prepares a listener.
    pub(crate) fn new(acme: Arc<Acme>, config: CheckedListener, mutual: bool) -> Self {
        let urls = OnceLock::new();
        if let Some(url) = &config.external_url {
            // It was empty.
            let _ = urls.set(url.clone());
        }
        Self {
            acme,
            config,
            urls,
            mutual,
        }
    }

    /// Says where clients see it, where the configuration does not.
    pub(crate) fn announce(&self, url: ExternalUrl) -> &ExternalUrl {
        self.urls.get_or_init(|| url)
    }

    /// Gathers what is known of a request before its body is read.
    fn context(
        &self,
        request: &HttpRequest,
        peer: Option<&Peer>,
        known: RequestContext,
    ) -> Result<Context, AcmeProblem> {
        Ok(Context {
            urls: self
                .urls
                .get()
                .cloned()
                .ok_or_else(|| AcmeProblem::internal(NotBound))?,
            external_account_required: self.config.external_account_required,
            client: client_address(request, &self.config.trusted_proxies),
            peer: peer.map(|peer| peer.identity().clone()),
            request_id: known.request_id,
            now: self.acme.clock.now(),
        })
    }

    /// Writes the answer to a request.
    fn respond(
        &self,
        request: &HttpRequest,
        notes: &Notes,
        outcome: Result<Answer, AcmeProblem>,
        nonce: bool,
    ) -> HttpResponse {
        answer::respond(&self.acme, self.urls.get(), request, notes, outcome, nonce)
    }
}

/// A request that came before the listener knew its URL.
#[derive(Debug, thiserror::Error)]
#[error("the listener does not know its external URL yet")]
struct NotBound;

/// Returns the routes of a listener.
pub(crate) fn routes(
    listener: Arc<Listener>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(Data::from(Arc::clone(&listener)));
        post::routes(config);
        let reads = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        config
            .service(
                web::resource(Resource::Directory.path())
                    .route(reads().to(directory))
                    .default_service(web::to(only_get)),
            )
            .service(
                web::resource(Resource::NewNonce.path())
                    .route(reads().to(new_nonce))
                    .default_service(web::to(only_get)),
            )
            .service(
                web::resource(format!("{}/{{certid}}", Resource::RenewalInfo.path()))
                    .route(reads().to(renewal_info))
                    .default_service(web::to(only_get)),
            );
        if listener.mutual {
            operator::routes(config);
        }
        config.default_service(web::to(not_found));
    }
}

/// `GET /directory` (RFC 8555, 7.1.1).
async fn directory(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    let outcome = listener
        .urls
        .get()
        .ok_or_else(|| AcmeProblem::internal(NotBound))
        .map(|urls| {
            let meta = listener
                .acme
                .meta(listener.config.external_account_required);
            Answer::json(&DirectoryObject::new(urls, meta)).cached(Cache::Briefly)
        });
    listener.respond(&request, &Notes::default(), outcome, false)
}

/// `HEAD` and `GET /acme/new-nonce` (RFC 8555, 7.2).
async fn new_nonce(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    let answer = if request.method() == Method::HEAD {
        Answer::empty()
    } else {
        Answer::no_content()
    };
    listener.respond(&request, &Notes::default(), Ok(answer), true)
}

/// `GET /acme/renewal-info/{certid}` (RFC 9773, 4).
async fn renewal_info(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    let mut notes = Notes::default();
    let outcome = tell_renewal(&listener, &request, &mut notes).await;
    listener.respond(&request, &notes, outcome, false)
}

/// Tells when a certificate is to be renewed.
async fn tell_renewal(
    listener: &Listener,
    request: &HttpRequest,
    notes: &mut Notes,
) -> Result<Answer, AcmeProblem> {
    let text = request.match_info().get("certid").unwrap_or_default();
    let id: CertificateId = text
        .parse()
        .map_err(|error| AcmeProblem::malformed(format!("{error}")))?;
    notes.serial = Some(id.serial.to_string());
    let now = listener.acme.clock.now();
    let window = listener.acme.renewal_info(&id, now).await?;
    let object = RenewalInfoObject {
        suggested_window: WindowObject {
            start: seconds(window.start),
            end: seconds(window.end),
        },
        explanation_url: listener.acme.config.explanation_url.clone(),
    };
    // RFC 9773, 4.3: Retry-After is when to ask again.
    Ok(Answer::json(&object)
        .retry_after(window.retry_after)
        .cached(Cache::Briefly))
}

/// Refuses any method but GET and HEAD.
async fn only_get(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    refuse_method(&listener, &request, "GET, HEAD")
}

/// Refuses any method but POST (RFC 8555, 6.3).
async fn only_post(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    refuse_method(&listener, &request, "POST")
}

/// States that a resource does not take the method.
fn refuse_method(
    listener: &Listener,
    request: &HttpRequest,
    allowed: &'static str,
) -> HttpResponse {
    let problem = AcmeProblem::malformed(format!(
        "{} does not take {}, only {allowed} (RFC 8555, 6.3)",
        request.path(),
        request.method()
    ))
    .on(Occasion::Method);
    let mut response = listener.respond(request, &Notes::default(), Err(problem), true);
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    response
}

/// Answers where there is nothing.
async fn not_found(listener: Data<Listener>, request: HttpRequest) -> HttpResponse {
    let problem = AcmeProblem::not_found("there is nothing here; begin at the directory");
    listener.respond(&request, &Notes::default(), Err(problem), true)
}
