//! The signing API over HTTP: routes, headers, statuses, and nothing else.
//!
//! | resource | method |
//! |---|---|
//! | `/v1/signatures` | `POST`: sign; `GET`: search |
//! | `/v1/signatures/{id}` and below | `GET`: its documents and status; `POST` `/revoke` |
//! | `/v1/artifacts/{digest}` | `GET`: all evidence for one artifact |
//! | `/v1/verify` | `POST` |
//! | `/v1/timestamps` | `POST`: RFC 3161 |
//! | `/v1/trusted-root`, `/v1/trusted-root/keys` | `GET` |
//! | `/v1/log/checkpoint`, `/entries/{index}`, `/inclusion`, `/consistency` | `GET` |
//! | `/v1/limits`, `/v1/openapi.json` | `GET` |
//! | `/v1/status` | `GET`: for operators and auditors |

mod answer;
mod evidence;
mod limits;
mod log;
mod object;
mod openapi;
mod problem;
mod read;
mod root;
mod search;
mod sign;
mod status;
mod timestamps;
mod upload;
mod verify;
mod withdraw;

use std::sync::Arc;

use actix_web::guard::{self, Guard};
pub(crate) use actix_web::web::ServiceConfig as Routes;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, Route};
use mesh::{Peer, Problem};
use model::Role;

pub(crate) use timestamps::Stamping;

use crate::problem::SigningProblem;
use crate::service::Signing;

/// Returns the routes of the listener for clients with certificates.
pub(crate) fn mesh_routes(
    signing: Arc<Signing>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(Data::from(Arc::clone(&signing)));
        config
            .service(
                web::resource("/v1/signatures")
                    .route(web::post().to(sign::sign))
                    .route(reads().to(search::search)),
            )
            .service(web::resource("/v1/signatures/{id}").route(reads().to(read::signature)))
            .service(
                web::resource("/v1/signatures/{id}/revoke")
                    .route(web::post().to(withdraw::withdraw)),
            )
            .service(
                web::resource("/v1/signatures/{id}/status").route(reads().to(withdraw::status)),
            )
            .service(
                web::resource("/v1/signatures/{id}/{document:sbom|provenance}/attestation")
                    .route(reads().to(read::attestation)),
            )
            .service(
                web::resource("/v1/signatures/{id}/{document}").route(reads().to(read::document)),
            )
            .service(web::resource("/v1/artifacts/{digest}").route(reads().to(search::artifact)))
            .service(web::resource("/v1/verify").route(web::post().to(verify::verify)))
            .service(
                web::resource("/v1/timestamps").route(web::post().to(timestamps::stamp_for_peer)),
            )
            .service(web::resource("/v1/limits").route(reads().to(limits::limits)))
            .service(web::resource("/v1/status").route(reads().to(status::status)));
        shared_routes(config, &signing);
    }
}

/// Returns the routes of the listener without client certificates.
pub(crate) fn open_routes(
    signing: Arc<Signing>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(Data::from(Arc::clone(&signing)));
        let stamps = signing.config.timestamps.as_ref();
        if stamps.is_some_and(|stamps| stamps.open) {
            config.service(
                web::resource("/v1/timestamps").route(web::post().to(timestamps::stamp_for_anyone)),
            );
        }
        shared_routes(config, &signing);
    }
}

/// Adds what both listeners tell anyone.
fn shared_routes(config: &mut web::ServiceConfig, signing: &Signing) {
    if let Some(log) = &signing.log {
        config
            .app_data(Data::from(Arc::clone(log)))
            .service(web::resource("/v1/log/checkpoint").route(reads().to(log::checkpoint)))
            .service(web::resource("/v1/log/entries/{index}").route(reads().to(log::entry)))
            .service(web::resource("/v1/log/inclusion").route(reads().to(log::inclusion)))
            .service(web::resource("/v1/log/consistency").route(reads().to(log::consistency)));
    }
    config
        .service(web::resource("/v1/trusted-root").route(reads().to(root::trusted_root)))
        .service(web::resource("/v1/trusted-root/keys").route(reads().to(root::keys)))
        .service(web::resource("/v1/openapi.json").route(reads().to(openapi::description)));
}

/// Begins a route that reads.
fn reads() -> Route {
    web::route().guard(get_or_head())
}

/// Matches `GET` and `HEAD`.
fn get_or_head() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

/// Who has artifacts signed.
const SIGNERS: [Role; 2] = [Role::Signer, Role::Operator];

/// Who reads and verifies.
const READERS: [Role; 6] = [
    Role::Signer,
    Role::Operator,
    Role::Auditor,
    Role::ServiceCa,
    Role::ServiceAcme,
    Role::ServiceSigning,
];

/// Lets signers through.
fn may_sign(peer: &Peer) -> Result<(), SigningProblem> {
    allow(peer, &SIGNERS, "signer and operator")
}

/// Lets readers through.
fn may_read(peer: &Peer) -> Result<(), SigningProblem> {
    allow(peer, &READERS, "signer, operator, auditor and of services")
}

/// Lets a peer through that has one of the roles.
fn allow(peer: &Peer, roles: &[Role], allowed: &'static str) -> Result<(), SigningProblem> {
    if roles.contains(&peer.identity().role) {
        return Ok(());
    }
    Err(SigningProblem::RoleForbidden {
        client: peer.label().to_owned(),
        allowed,
    })
}

/// What handlers answer with.
type Answered = Result<actix_web::HttpResponse, Problem>;

/// Reads a query; what is not known is refused.
fn query<T: serde::de::DeserializeOwned>(
    request: &HttpRequest,
    known: &str,
) -> Result<T, SigningProblem> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| {
            SigningProblem::malformed(format!(
                "the query cannot be read ({error}); it may hold {known}"
            ))
        })
}
