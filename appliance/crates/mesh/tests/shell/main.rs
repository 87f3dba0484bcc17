//! The shell as its peers meet it: real sockets, real TLS, stock clients.

mod client;
mod http;
mod limits;
mod support;
mod tls;
