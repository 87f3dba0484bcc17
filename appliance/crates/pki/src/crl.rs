//! Certificate revocation lists (RFC 5280, 5).
//!
//! A list's way: each revocation is encoded once, when it happens, by
//! [`encode_entry`]; [`CrlPlan::encode`] joins the entries with one copy, hashing as
//! it copies; [`lint`] reads the bytes again, knowing nothing of the plan but what was
//! promised, and gives a [`LintedCrl`]: the only thing that can be signed, once.
//! [`Crl`] reads anybody's list, entry by entry, without copying it.

mod check;
mod entry;
mod lint;
mod number;
mod plan;
mod read;
mod serials;

pub use check::CrlRefused;
pub use entry::{InvalidEntry, append_entry, encode_entry};
pub use lint::{CrlFacts, CrlFinding, CrlLint, CrlLintFindings, CrlSignInput, LintedCrl, lint};
pub use number::{CrlNumber, InvalidCrlNumber};
pub use plan::{CoveredKinds, CrlPlan, CrlTooLong, IssuingPoint, PlannedCrl};
pub use read::{Crl, CrlEntry, CrlError, Entries};

#[cfg(test)]
mod tests;
