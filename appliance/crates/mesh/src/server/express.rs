//! Answers that are ready in memory, given before routes and middleware.
//!
//! What anyone asks by the thousand, and what is answered from memory in a
//! microsecond, would spend most of its time on the way to a handler. An [`Express`]
//! sees such requests first; what it does not answer goes the usual way, as if it had
//! not been seen. Its answers are counted as all are, and carry no request id: there
//! is no line in the log to find.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::{BoxedPayloadStream, Payload, Request, Response};
use actix_service::{Service, ServiceFactory};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::{RequestHead, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use tracing::Level;

use super::connection::Connection;
use crate::metrics::{ExpressMetrics, ListenerMetrics};

/// Answers requests from memory.
pub trait Express: Send + Sync + fmt::Debug {
    /// Tells whether a request may be one of these, and by which route logs and
    /// metrics know it.
    fn takes(&self, head: &RequestHead) -> Option<ExpressRoute>;

    /// Answers; none sends the request the usual way. Never waits.
    ///
    /// Bytes are hostile: head and body are as they came.
    fn answer(&self, head: &RequestHead, body: &[u8]) -> Option<HttpResponse>;
}

/// One kind of request that is answered from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpressRoute {
    /// Its name in metrics.
    pub name: &'static str,
    /// Most octets of its body; 0 for requests without one.
    pub max_body: usize,
}

/// Time for a body before the request goes the usual way, which has its own.
const BODY_TIME: Duration = Duration::from_secs(2);

/// Puts an [`Express`] before an application, or nothing.
pub(super) struct Before<F> {
    /// The application.
    pub(super) application: F,
    /// What answers first.
    pub(super) express: Option<Arc<dyn Express>>,
    /// Where requests are counted.
    pub(super) metrics: ListenerMetrics,
}

impl<F> ServiceFactory<Request> for Before<F>
where
    F: ServiceFactory<
            Request,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    F::Service: 'static,
{
    type Response = Response<BoxBody>;
    type Error = actix_web::Error;
    type Config = ();
    type Service = BeforeService<F::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let making = self.application.new_service(());
        let (express, metrics) = (self.express.clone(), self.metrics.clone());
        Box::pin(async move {
            Ok(BeforeService {
                application: Rc::new(making.await?),
                ready: express.map(|express| {
                    Rc::new(Ready {
                        express,
                        metrics: ExpressMetrics::new(metrics),
                    })
                }),
            })
        })
    }
}

/// One worker's application, and what comes before it.
pub(super) struct BeforeService<S> {
    /// The application.
    application: Rc<S>,
    /// What answers first.
    ready: Option<Rc<Ready>>,
}

/// What answers first, and where that is counted.
struct Ready {
    /// Answers.
    express: Arc<dyn Express>,
    /// Counts.
    metrics: ExpressMetrics,
}

impl Ready {
    /// Tells whether a request is to be looked at.
    fn takes(&self, head: &RequestHead) -> Option<ExpressRoute> {
        // Whoever wants a line for each request gets them all.
        if tracing::enabled!(Level::DEBUG) {
            return None;
        }
        self.express.takes(head)
    }

    /// Answers and counts.
    fn answer(
        &self,
        route: ExpressRoute,
        request: &Request,
        body: &[u8],
        began: Instant,
    ) -> Option<Response<BoxBody>> {
        let response = self.express.answer(request.head(), body)?;
        let (method, status) = (request.method().as_str(), response.status().as_u16());
        self.metrics
            .answered(route.name, method, status, began.elapsed());
        Some(response.into())
    }
}

/// Keeps a connection from counting as idle.
struct Busy(Option<Arc<Connection>>);

impl Busy {
    /// Begins.
    fn begin(request: &Request) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().map(Arc::clone);
        if let Some(connection) = &connection {
            connection.request_begins();
        }
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.request_ends();
        }
    }
}

impl<S> Service<Request> for BeforeService<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error> + 'static,
{
    type Response = Response<BoxBody>;
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.application.poll_ready(context)
    }

    fn call(&self, request: Request) -> Self::Future {
        let taken = self.ready.as_ref().and_then(|ready| {
            let route = ready.takes(request.head())?;
            Some((Rc::clone(ready), route))
        });
        let Some((ready, route)) = taken else {
            let answering = self.application.call(request);
            return Box::pin(async move { answering.await.map(Response::from) });
        };
        let began = Instant::now();
        if route.max_body == 0 {
            let busy = Busy::begin(&request);
            if let Some(response) = ready.answer(route, &request, &[], began) {
                return Box::pin(std::future::ready(Ok(response)));
            }
            drop(busy);
            let answering = self.application.call(request);
            return Box::pin(async move { answering.await.map(Response::from) });
        }
        let application = Rc::clone(&self.application);
        Box::pin(async move {
            let mut request = request;
            let busy = Busy::begin(&request);
            let mut payload = request.take_payload();
            let (read, is_whole) = read(&mut payload, route.max_body).await;
            if is_whole && let Some(response) = ready.answer(route, &request, &read, began) {
                return Ok(response);
            }
            drop(busy);
            let (request, _) = request.replace_payload(again(read, payload, is_whole));
            application.call(request).await.map(Response::from)
        })
    }
}

/// Reads a body; tells whether that was all of it.
async fn read(payload: &mut Payload, most: usize) -> (Bytes, bool) {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let Ok(chunk) = chunk else { return false };
            if first.is_empty() {
                first = chunk;
            } else {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&chunk);
            }
            if first.len().max(more.len()) > most {
                return false;
            }
        }
        true
    };
    let is_whole = timeout(BODY_TIME, reading).await.unwrap_or(false);
    let read = if more.is_empty() {
        first
    } else {
        more.freeze()
    };
    (read, is_whole)
}

/// Puts what was read before what was not.
fn again(read: Bytes, rest: Payload, is_whole: bool) -> Payload {
    let read = stream::iter((!read.is_empty()).then_some(Ok::<_, PayloadError>(read)));
    let stream: BoxedPayloadStream = if is_whole {
        Box::pin(read)
    } else {
        Box::pin(read.chain(rest))
    };
    Payload::Stream { payload: stream }
}
