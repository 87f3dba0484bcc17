//! What is said about an artifact, and how anyone checks it offline.
//!
//! Nothing here performs I/O, reads a clock or draws randomness.

pub mod bundle;
pub mod dsse;
pub mod json;
pub mod provenance;
pub mod sbom;
mod sigstore;
pub mod statement;
pub mod tlog;
pub mod trusted_root;
pub mod verify;
pub mod vsa;

#[cfg(test)]
extern crate self as attest;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
