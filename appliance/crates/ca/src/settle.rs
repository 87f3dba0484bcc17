//! What a crash left open is settled when the service starts.
//!
//! An intent without an outcome means: the service stopped somewhere between
//! recording the intent and recording the certificate. Whether or not the token
//! signed, nothing was released, for a certificate is handed out only after it
//! is on disk. So the intent is abandoned, and its serial number never used.

use model::Clock;
use store::{AbandonReason, CertificateStore};
use tracing::{info, warn};

use crate::error::Error;
use crate::metrics::CaMetrics;

/// Abandons every open intent and returns how many there were.
///
/// Only while nothing is being issued.
pub(crate) async fn settle(
    store: &dyn CertificateStore,
    clock: &dyn Clock,
    metrics: &CaMetrics,
) -> Result<u64, Error> {
    let open = store.open_intents().await?;
    for intent in &open {
        let intent = &intent.intent;
        store
            .abandon_intent(&intent.serial, AbandonReason::Interrupted, clock.now())
            .await?;
        metrics.settled.inc();
        warn!(
            cert.serial = %intent.serial,
            cert.profile = %intent.profile,
            request_id = %intent.request_id,
            "abandoned serial {}, whose issuance was interrupted; nothing was handed out",
            intent.serial
        );
    }
    if !open.is_empty() {
        info!(count = open.len(), "settled what an interruption left");
    }
    Ok(open.len() as u64)
}
