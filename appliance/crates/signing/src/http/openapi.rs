//! `GET /v1/openapi.json`: the API's description.

use actix_web::HttpRequest;

use super::Answered;
use super::answer::{Cache, tagged};

/// The description (OpenAPI 3.1).
const DESCRIPTION: &str = include_str!("openapi.json");

/// `GET /v1/openapi.json`.
pub(super) async fn description(request: HttpRequest) -> Answered {
    let body = DESCRIPTION.as_bytes().to_vec();
    Ok(tagged(&request, "application/json", body, Cache::Asked))
}
