//! `GET /v1/status`: how the service is, for those who run it.

use actix_web::HttpResponse;
use actix_web::web::Data;
use mesh::Peer;
use model::Role;

use super::{Answered, allow, answer};
use crate::service::Signing;

/// Who is told.
const WATCHERS: [Role; 2] = [Role::Operator, Role::Auditor];

/// `GET /v1/status`.
pub(super) async fn status(signing: Data<Signing>, peer: Peer) -> Answered {
    allow(&peer, &WATCHERS, "operator and auditor")?;
    Ok(answer::json(HttpResponse::Ok(), &signing.report()))
}
