//! The service whole, over TLS: every row of what a first-class ACME server does,
//! and every error type, looked at on the wire.
//!
//! The store is real, on a temporary directory; the CA is a small one of the
//! tests behind the client's trait, validation decides by the identifier.

mod accounts;
mod authority;
mod client;
mod devices;
mod envelope;
mod errors;
mod logs;
mod operators;
mod orders;
mod renewal;
mod revocation;
mod server;
mod torture;
