//! What a stop left unfinished: settled at the start.

use std::sync::Arc;

use store::signing::{SignatureAbandonReason, SigningStoreError};

use super::Signing;

/// What a start settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledReport {
    /// Signatures that were begun and whose signing was not recorded.
    pub begun: usize,
    /// Signatures of which the token had signed, and nothing was handed out.
    pub staged: usize,
}

impl Signing {
    /// Settles what was begun and not ended before this start: nothing of it was handed
    /// out, and the same request may come again.
    ///
    /// # Errors
    ///
    /// When the store cannot record it; what was settled stays so.
    pub async fn settle(self: &Arc<Self>) -> Result<SettledReport, SigningStoreError> {
        // The first document of each kind would otherwise wait for its schema.
        let preparing = tokio::task::spawn_blocking(attest::sbom::prepare);
        let mut report = SettledReport {
            begun: 0,
            staged: 0,
        };
        let open = self.store.open_work().await?;
        for record in open {
            let staged = matches!(
                record.state,
                store::signing::SignatureState::Open { staged: true }
            );
            let at = self.clock.now();
            self.store
                .abandon(&record.id, SignatureAbandonReason::Interrupted, at)
                .await?;
            match staged {
                true => report.staged += 1,
                false => report.begun += 1,
            }
            tracing::warn!(
                signature.id = %record.id,
                signature.signer = %record.signer,
                request_id = record.request_id.as_str(),
                "signature {} was interrupted {}; it counts as never made, and the same request may \
                 come again",
                record.id,
                if staged { "after the token had signed" } else { "before its signing was recorded" }
            );
        }
        let settled = report.begun + report.staged;
        self.metrics
            .settled
            .set(i64::try_from(settled).unwrap_or(i64::MAX));
        // The clock must not be behind what was recorded.
        let newest = self
            .store
            .search(store::signing::SearchFilter::default(), None, 1)
            .await?;
        if let Some(record) = newest.items.first() {
            self.note_time(record.begun_at);
        }
        // A fault in it shows at the first document.
        let _ = preparing.await;
        Ok(report)
    }
}
