//! Queries whose answer is ready in memory, given before all routes.
//!
//! Everything else goes to the routes: what has to be signed, what is no request, and
//! everything about HTTP that is not as it should be.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::{Method, header};
use mesh::{Express, ExpressRoute};

use super::{GET_ROUTE, POST_ROUTE, address, answer_get, answer_once, is_ocsp_request};
use crate::ocsp::Responder;

/// The responder, as far as it needs no signature.
#[derive(Debug)]
pub(crate) struct OcspExpress(pub(crate) Arc<Responder>);

impl Express for OcspExpress {
    fn takes(&self, head: &RequestHead) -> Option<ExpressRoute> {
        let rest = head.uri.path().strip_prefix("/ocsp")?;
        match head.method {
            Method::GET if rest.starts_with('/') => Some(ExpressRoute {
                name: GET_ROUTE.0,
                max_body: 0,
            }),
            Method::POST if matches!(rest, "" | "/") => {
                let given = head.headers().get(header::CONTENT_TYPE);
                given.is_none_or(is_ocsp_request).then(|| ExpressRoute {
                    name: POST_ROUTE.0,
                    max_body: self.0.max_request_bytes(),
                })
            }
            _ => None,
        }
    }

    fn answer(&self, head: &RequestHead, body: &[u8]) -> Option<HttpResponse> {
        if head.method == Method::POST {
            return self.0.at_once(body).map(answer_once);
        }
        let request_der = address::read(head.uri.path(), self.0.max_request_bytes()).ok()?;
        let answer = self.0.at_once(&request_der)?;
        Some(answer_get(&self.0, head.headers(), answer))
    }
}
