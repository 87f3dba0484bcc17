//! How services meet: TLS with identities, the HTTP shell around every service,
//! health, metrics, problem documents, and the CA's client with its wire types.
//!
//! A service binds a [`Server`] with its routes; the shell brings mutual TLS,
//! request ids, limits, the access log, metrics and [`Problem`] documents. A peer
//! arrives as a [`Peer`]. Services call the CA through [`CaClient`], and get their
//! own certificates from it by [`enrol`]. What a stranger names to connect to is
//! asked for by [`resolve`], checked by [`address`] and dialled by [`dial`].

pub mod address;
mod backoff;
pub mod bounds;
mod ca_client;
mod config;
pub mod csr;
pub mod dial;
pub mod enrol;
mod error;
mod excerpt;
mod health;
pub mod kept;
pub mod member;
mod metrics;
mod peer;
mod problem;
mod request_id;
pub mod resolve;
pub mod revocation;
mod server;
pub mod stapling;
pub mod telemetry;
pub mod tls;
pub mod wire;

pub use ca_client::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, CrlScope, FetchedCrl, HttpCaClient,
    Persistence, RevocationSource, SignRequest, SignedCertificate, UnknownScope,
};
pub use config::{InvalidLimits, ListenerConfig, ListenerLimits};
pub use error::Error;
pub use excerpt::Excerpt;
pub use health::{CheckResult, Health, Readiness};
pub use metrics::HttpMetrics;
pub use peer::{Fingerprint, Peer, PeerCertificate, Unidentified};
pub use problem::{PROBLEM_JSON, Problem, ProblemType};
pub use server::{
    Body, BodyLimits, Express, ExpressRoute, JsonBody, RequestContext, RequestSpan, RouteName,
    Server, ServerHandle, Shared, client_address,
};
pub use tls::{
    AdmitAll, AdmitPeer, ClientTls, PeerVerifier, Refusal, Security, StaplePolicy, TlsIdentity,
};

// The name server of the tests, which other crates share, calls this one by its name.
#[cfg(test)]
extern crate self as mesh;
#[cfg(test)]
#[path = "../tests/resolve/name_server.rs"]
mod name_server;

#[cfg(test)]
#[path = "../tests/shell/authority.rs"]
mod authority;
