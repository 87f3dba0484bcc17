//! How services meet: TLS with identities, the HTTP shell around every service,
//! health, metrics, problem documents, and the CA's client with its wire types.
//!
//! A service binds a [`Server`] with its routes; the shell brings mutual TLS,
//! request ids, limits, the access log, metrics and [`Problem`] documents. A peer
//! arrives as a [`Peer`]. Services call the CA through [`CaClient`], and get their
//! own certificates from it by [`enrol`].

mod ca_client;
mod config;
pub mod csr;
pub mod enrol;
mod error;
mod health;
mod metrics;
mod peer;
mod problem;
mod request_id;
mod server;
pub mod telemetry;
pub mod tls;
pub mod wire;

pub use ca_client::{
    CaClient, CaClientError, HttpCaClient, Persistence, SignRequest, SignedCertificate,
};
pub use config::{InvalidLimits, ListenerConfig, ListenerLimits};
pub use error::Error;
pub use health::{CheckResult, Health, Readiness};
pub use metrics::HttpMetrics;
pub use peer::{Fingerprint, Peer, PeerCertificate, Unidentified};
pub use problem::{PROBLEM_JSON, Problem, ProblemType};
pub use server::{
    Body, BodyLimits, JsonBody, RequestContext, RequestSpan, Server, ServerHandle, Shared,
};
pub use tls::{AdmitAll, AdmitPeer, ClientTls, PeerVerifier, Refusal, Security, TlsIdentity};
