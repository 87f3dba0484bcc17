//! The signing service from outside.

mod cli;
mod pipelines;
mod start;
mod workshop;

use chancery_tests::{Appliance, Builder};
use serde_json::Value;
use softhsm_test::SoftHsm;

/// Begins an appliance with the signing service on a SoftHSM token of its own.
fn with_signing() -> Builder {
    let token = SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    Builder::on_token(&token, &module)
        .keeping(token)
        .with_signing()
}

/// Returns the records of the certificates of a profile that count.
pub(crate) fn certified(ca: &Appliance, profile: &str) -> Vec<Value> {
    let mut records = ca.certificates().unwrap();
    records.retain(|record| record["profile"] == profile && record["status"] == "valid");
    records
}
