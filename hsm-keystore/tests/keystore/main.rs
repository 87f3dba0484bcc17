//! The conformance suite that every backend passes, and what only tokens can suffer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod conformance;
mod faults;
mod foreign;
mod openssl;
mod survey;
mod tls;
