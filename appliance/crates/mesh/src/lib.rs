//! How services meet: TLS with identities, the HTTP shell around every service,
//! health, metrics, problem documents, and the CA's client with its wire types.
//!
//! A service binds a [`Server`] with its routes; the shell brings mutual TLS,
//! request ids, limits, the access log, metrics and [`Problem`] documents. A peer
//! arrives as a [`Peer`]. Services call the CA through [`CaClient`], and get their
//! own certificates from it by [`enrol`].

mod backoff;
mod ca_client;
mod config;
pub mod csr;
pub mod enrol;
mod error;
mod health;
mod kept;
mod metrics;
mod peer;
mod problem;
mod request_id;
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
pub use health::{CheckResult, Health, Readiness};
pub use metrics::HttpMetrics;
pub use peer::{Fingerprint, Peer, PeerCertificate, Unidentified};
pub use problem::{PROBLEM_JSON, Problem, ProblemType};
pub use server::{
    Body, BodyLimits, JsonBody, RequestContext, RequestSpan, RouteName, Server, ServerHandle,
    Shared,
};
pub use tls::{
    AdmitAll, AdmitPeer, ClientTls, PeerVerifier, Refusal, Security, StaplePolicy, TlsIdentity,
};

#[cfg(test)]
#[path = "../tests/shell/authority.rs"]
mod authority;
