//! Requests, certificates, CRLs, OCSP, CMS, time-stamps, profiles, and the lints between
//! a plan and a signature.
//!
//! Nothing here performs I/O, reads a clock or draws randomness. The way of one
//! certificate through this crate:
//!
//! 1. [`csr::CheckedCsr::parse`] takes a request's DER: proof of possession, key
//!    strength, names and limits are checked.
//! 2. [`profile::Profile::plan`] decides every field and encodes the TBS.
//! 3. [`lint::lint`] reads those bytes again, knowing nothing of the planner, and
//!    gives a [`lint::LintedTbs`]: the only thing that can be signed, once.
//! 4. [`lint::LintedTbs::assemble`] joins bytes and signature.
//!
//! [`crl`], [`ocsp`], [`cms`] and [`timestamp`] go the same way: planned, linted,
//! assembled.

pub mod algorithm;
pub mod certificate;
pub mod chain;
pub mod cms;
pub mod crl;
pub mod csr;
mod encode;
mod extension;
pub mod forge;
pub mod issuer;
pub mod key_check;
pub mod lint;
pub mod name;
pub mod name_constraints;
pub mod names;
pub mod ocsp;
mod oid;
pub mod path;
pub mod pem;
pub mod profile;
pub mod public_key;
pub mod sct;
mod time;
pub mod timestamp;
mod tlv;

pub use tlv::{Malformed, Problem};

#[cfg(test)]
extern crate self as pki;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
