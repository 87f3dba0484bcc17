//! The CA API: routes, and nothing that is not about HTTP.
//!
//! | call | answer |
//! |---|---|
//! | `POST /sign` | 201, the chain in PEM, `Location` |
//! | `GET /certificates`, `/certificates/{serial}` | JSON; one as PEM or DER by `Accept` |
//! | `GET /profiles`, `GET /status` | JSON |
//! | `POST /revoke-cert` | the record; again: 409 with the first one |
//! | `GET`, `POST /revocations` | JSON: what is revoked; takes a list over |
//! | `GET /crl`, `/crl/{issuer}`, `…/delta`, `…/shards/{shard}` | DER |
//! | `POST /crl` | issues every CRL; JSON |
//! | `GET /ca/chain.pem`, `/ca/{issuer}.cer` | the authorities' certificates |

mod certificates;
mod conditional;
mod crl;
mod distribution;
pub(crate) mod ocsp;
mod problem;
mod revoke;
mod sign;

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, Responder};
use mesh::{BodyLimits, Peer, Problem, ProblemType, wire};
use model::IssuerId;

pub(crate) use crl::crl_missing;
pub(crate) use distribution::distribution_routes;
pub(crate) use ocsp::OcspExpress;
pub(crate) use problem::{problem, problem_type, serial_unknown};
pub(crate) use revoke::{revoke_problem, revoke_problem_type};

use crate::grants::Call;
use crate::issue::Ca;
use crate::refusal::Refusal;

/// Most octets of a list of revocations in one call.
const MAX_IMPORT_BYTES: usize = 16 * 1024 * 1024;

/// Returns the routes of the CA API.
pub(crate) fn routes(ca: Arc<Ca>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let import_limits = BodyLimits {
        max_bytes: MAX_IMPORT_BYTES,
        timeout: ca.config.listener.limits.body_timeout,
    };
    let responder = Arc::clone(&ca.publication.responder);
    move |config| {
        config
            .app_data(Data::from(Arc::clone(&ca)))
            .service(web::resource("/sign").route(web::post().to(sign::sign)))
            .service(web::resource("/certificates").route(web::get().to(certificates::list)))
            .service(
                web::resource("/certificates/{serial}").route(web::get().to(certificates::show)),
            )
            .service(web::resource("/revoke-cert").route(web::post().to(revoke::revoke)))
            .service(
                web::resource("/revocations")
                    .app_data(import_limits)
                    .route(web::get().to(revoke::list))
                    .route(web::post().to(revoke::import)),
            )
            .service(
                web::resource("/crl")
                    .route(web::get().to(crl::issuing))
                    .route(web::post().to(crl::issue)),
            )
            .service(web::resource("/crl/{issuer}").route(web::get().to(crl::whole)))
            .service(web::resource("/crl/{issuer}/delta").route(web::get().to(crl::delta)))
            .service(web::resource("/crl/{issuer}/shards/{shard}").route(web::get().to(crl::shard)))
            .configure(|config| ocsp::routes(config, &responder))
            .service(web::resource("/profiles").route(web::get().to(profiles)))
            .service(web::resource("/status").route(web::get().to(status)))
            .service(web::resource("/ca/chain.pem").route(web::get().to(chain)))
            .service(web::resource("/ca/{issuer}.cer").route(web::get().to(issuer)));
    }
}

/// Lets a peer make a call its role is granted.
fn authorize(ca: &Ca, peer: &Peer, call: Call) -> Result<(), Problem> {
    let identity = peer.identity();
    if ca.config.grants.allows_call(identity.role, call) {
        return Ok(());
    }
    Err(problem(Refusal::RoleForbidden {
        peer: identity.clone(),
        call,
    }))
}

/// `GET /profiles`.
async fn profiles(ca: Data<Ca>, peer: Peer) -> Result<impl Responder, Problem> {
    authorize(&ca, &peer, Call::Profiles)?;
    Ok(web::Json(ca.profiles(Some(peer.identity()))))
}

/// `GET /status`.
async fn status(ca: Data<Ca>, peer: Peer) -> Result<impl Responder, Problem> {
    authorize(&ca, &peer, Call::Status)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ca.status()))
}

/// `GET /ca/chain.pem`: the issuing authority, then the root.
async fn chain(ca: Data<Ca>, _: Peer) -> impl Responder {
    HttpResponse::Ok()
        .content_type(wire::PEM_CHAIN)
        .body(ca.authorities.whole_chain_pem())
}

/// `GET /ca/{issuer}.cer`: one authority's certificate, DER.
async fn issuer(ca: Data<Ca>, _: Peer, name: Path<String>) -> Result<impl Responder, Problem> {
    let certificate = IssuerId::new(&name)
        .ok()
        .and_then(|id| ca.authorities.certificate(&id))
        .ok_or_else(|| {
            Problem::new(
                ProblemType::IssuerUnknown,
                format!(
                    "there is no such authority; there are {} and {}",
                    ca.authorities.issuing.id, ca.authorities.root_id
                ),
            )
        })?;
    Ok(HttpResponse::Ok()
        .content_type(wire::PKIX_CERT)
        .body(certificate.der().to_vec()))
}
