//! Ids that follow a request through every service's log.

use model::RequestId;

/// Makes an id of 128 random bits.
#[must_use]
pub(crate) fn fresh() -> RequestId {
    let mut octets = [0; 16];
    // Ids are no secrets; without randomness they merely repeat.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    RequestId::new(&hex::encode(octets)).expect("32 hexadecimal digits are a request id")
}
