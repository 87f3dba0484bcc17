//! The routes of the telemetry listener: metrics, and health as everywhere.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::problem::Problem;

/// Media type of OpenMetrics 1.0 text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the routes for [`Server::bind`](crate::Server::bind): `/metrics`.
///
/// The registry is complete by now: everything that counts has registered.
pub fn routes(
    registry: Arc<Registry>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.service(
            web::resource("/metrics")
                .app_data(Data::from(Arc::clone(&registry)))
                .route(web::get().to(metrics)),
        );
    }
}

/// Writes every metric as OpenMetrics text.
async fn metrics(registry: Data<Registry>) -> Result<HttpResponse, Problem> {
    let mut text = String::with_capacity(16 * 1024);
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type(OPENMETRICS).body(text))
}
