//! Attempts over real sockets: name servers, web servers and TLS servers of the
//! tests on loopback.

mod dns;
mod http;
mod ssrf;
mod support;
mod tls_alpn;
