//! The conformance suite that every backend passes, and what only tokens can suffer.

mod backend;
mod conformance;
mod faults;
mod openssl;
mod tls;
