//! Signatures in the Cryptographic Message Syntax (RFC 5652), detached from an artifact of
//! which the digest alone is known.
//!
//! A signature's way: [`CmsPlan::encode`] writes the attributes that are signed,
//! [`lint`] reads them again and gives a [`LintedCms`]: the only thing that can be
//! signed, once; [`LintedCms::assemble`] gives the file. A time-stamp of the signature is
//! added afterwards by [`add_time_stamp`].
//!
//! [`SignedData`] reads what others made, in DER alone; [`verify_detached`] is the other
//! side.

mod attributes;
mod lint;
mod plan;
mod read;
mod signer;
mod stamp;
mod verify;

pub(crate) use attributes::SignedAttributes;
pub(crate) use lint::check_attributes;
pub use lint::{CmsLint, CmsLintFindings, LintedCms, lint};
pub use plan::{CmsPlan, PlannedCms};
pub(crate) use read::read_hash;
pub use read::{CmsCertificates, CmsError, SignedData};
pub use signer::{CmsSigner, NotASigner};
pub use stamp::{AddTimeStampError, add_time_stamp};
pub use verify::{CmsQuestion, CmsRefused, VerifiedCms, verify_detached};

#[cfg(test)]
mod tests;
