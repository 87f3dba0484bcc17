//! The shell as its peers meet it: real sockets, real TLS, stock clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authority;
mod client;
mod http;
mod limits;
mod revocation;
mod revocation_client;
mod support;
mod tls;
