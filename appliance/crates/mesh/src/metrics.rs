//! What the shell counts and times.

use std::cell::RefCell;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The metrics of every listener in a process; clones share their values.
///
/// The composition root makes one, [registers](Self::register) it in a registry
/// without a prefix and hands it to the listeners.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    /// Requests answered.
    requests: Family<RequestLabels, Counter>,
    /// Seconds from a request's head to its answer's head.
    latency: Family<RouteLabels, Histogram>,
    /// Requests being served.
    in_flight: Family<ServiceLabels, Gauge>,
    /// Connections that are open.
    connections: Family<ServiceLabels, Gauge>,
    /// TLS handshakes ended.
    handshakes: Family<HandshakeLabels, Counter>,
    /// Seconds of handshakes that succeeded.
    handshake_latency: Family<ServiceLabels, Histogram>,
}

/// Labels of one answered request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The listener.
    service: &'static str,
    /// The route's pattern, `unmatched` where there was none.
    route: String,
    /// The method, `other` past those of RFC 9110.
    method: &'static str,
    /// The status code.
    status: u16,
}

/// Labels of a route's latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    /// The listener.
    service: &'static str,
    /// The route's pattern.
    route: String,
}

/// Labels of what a listener has once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    /// The listener.
    service: &'static str,
}

/// Labels of one ended handshake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    /// The listener.
    service: &'static str,
    /// `ok`, or why it failed.
    outcome: &'static str,
}

/// 100 µs to about 26 s.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 4.0, 10))
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(latency_histogram),
            in_flight: Family::default(),
            connections: Family::default(),
            handshakes: Family::default(),
            handshake_latency: Family::new_with_constructor(latency_histogram),
        }
    }
}

impl HttpMetrics {
    /// Names the metrics in a registry: `chancery_http_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "chancery_http_requests",
            "Requests answered, by listener, route, method and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "chancery_http_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register(
            "chancery_http_requests_in_flight",
            "Requests being served",
            self.in_flight.clone(),
        );
        registry.register(
            "chancery_http_connections",
            "Connections that are open, those in the handshake included",
            self.connections.clone(),
        );
        registry.register(
            "chancery_http_handshakes",
            "TLS handshakes ended, by listener and outcome",
            self.handshakes.clone(),
        );
        registry.register_with_unit(
            "chancery_http_handshake_duration",
            "Time of TLS handshakes that succeeded, waiting their turn included",
            Unit::Seconds,
            self.handshake_latency.clone(),
        );
    }

    /// Binds the metrics to one listener.
    pub(crate) fn listener(&self, service: &'static str) -> ListenerMetrics {
        let labels = ServiceLabels { service };
        ListenerMetrics {
            service,
            in_flight: self.in_flight.get_or_create_owned(&labels),
            connections: self.connections.get_or_create_owned(&labels),
            handshake_latency: self.handshake_latency.get_or_create_owned(&labels),
            all: self.clone(),
        }
    }
}

/// The metrics of one listener, its single-valued ones found beforehand.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    /// The listener.
    service: &'static str,
    /// Requests being served.
    pub(crate) in_flight: Gauge,
    /// Connections that are open.
    pub(crate) connections: Gauge,
    /// Seconds of handshakes that succeeded.
    handshake_latency: Histogram,
    /// The families.
    all: HttpMetrics,
}

/// One route's answers by one method with one status.
#[derive(Debug)]
struct Series {
    /// The route.
    route: &'static str,
    /// The method.
    method: &'static str,
    /// The status.
    status: u16,
    /// How many.
    requests: Counter,
    /// How long they took.
    latency: Histogram,
}

/// The series of a worker's few routes, found once: looking them up would cost more
/// than their answers.
#[derive(Debug)]
pub(crate) struct ExpressMetrics {
    /// The listener's.
    listener: ListenerMetrics,
    /// Those found so far.
    known: RefCell<Vec<Series>>,
}

impl ExpressMetrics {
    /// Starts with none.
    pub(crate) fn new(listener: ListenerMetrics) -> Self {
        Self {
            listener,
            known: RefCell::default(),
        }
    }

    /// Counts an answered request.
    pub(crate) fn answered(
        &self,
        route: &'static str,
        method: &str,
        status: u16,
        elapsed: Duration,
    ) {
        let method = method_label(method);
        let mut known = self.known.borrow_mut();
        let place = known.iter().position(|series| {
            series.status == status && series.method == method && series.route == route
        });
        let place = place.unwrap_or_else(|| {
            known.push(self.listener.series(route, method, status));
            known.len() - 1
        });
        if let Some(series) = known.get(place) {
            series.requests.inc();
            series.latency.observe(elapsed.as_secs_f64());
        }
    }
}

impl ListenerMetrics {
    /// Returns the listener's name.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, elapsed: Duration) {
        let labels = RequestLabels {
            service: self.service,
            route: route.to_owned(),
            method: method_label(method),
            status,
        };
        self.all.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            service: labels.service,
            route: labels.route,
        };
        self.all
            .latency
            .get_or_create(&labels)
            .observe(elapsed.as_secs_f64());
    }

    /// Finds the series of one route's answers.
    fn series(&self, route: &'static str, method: &'static str, status: u16) -> Series {
        let labels = RequestLabels {
            service: self.service,
            route: route.to_owned(),
            method,
            status,
        };
        let requests = self.all.requests.get_or_create_owned(&labels);
        let labels = RouteLabels {
            service: labels.service,
            route: labels.route,
        };
        Series {
            route,
            method,
            status,
            requests,
            latency: self.all.latency.get_or_create_owned(&labels),
        }
    }

    /// Counts a handshake that succeeded.
    pub(crate) fn handshake_done(&self, elapsed: Duration) {
        self.handshake_outcome("ok");
        self.handshake_latency.observe(elapsed.as_secs_f64());
    }

    /// Counts a handshake by its outcome.
    pub(crate) fn handshake_outcome(&self, outcome: &'static str) {
        let labels = HandshakeLabels {
            service: self.service,
            outcome,
        };
        self.all.handshakes.get_or_create(&labels).inc();
    }
}

/// Bounds the method to a label of few values: peers choose the token.
fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
