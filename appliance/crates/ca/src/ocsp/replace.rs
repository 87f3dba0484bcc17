//! A certificate's status has changed: its answers change with it, at once.

use std::sync::Arc;
use std::time::Instant;

use hsm_keystore::Priority;
use model::{IssuerId, SerialNumber};
use tokio::time::timeout;
use tracing::warn;

use super::Responder;
use super::index::Slot;
use super::metrics::Purpose;
use super::miss::Flight;
use crate::config::KeepReady;

/// Answers that are signed at a time when many certificates change at once.
const AT_ONCE: usize = 64;

impl Responder {
    /// Drops what is ready about certificates whose status has changed in
    /// [`Revocations`](crate::revocations::Revocations), and has new answers
    /// signed; also after a release from hold.
    ///
    /// When this returns no old answer is given out any more. New ones are waited
    /// for as long as one signature may take; where the token is away or they are
    /// too many, they come later, and queries wait for theirs.
    pub(crate) async fn revoked(self: &Arc<Self>, issuer: &IssuerId, serials: &[SerialNumber]) {
        let began = Instant::now();
        let Some(place) = self.issuers.iter().position(|known| known.id == *issuer) else {
            return;
        };
        let Some(known) = self.issuers.get(place) else {
            return;
        };
        // All are dropped before the first is waited for.
        let mut flights = Vec::new();
        for serial in serials {
            // What memory does not hold is answered by what is recorded.
            let Some((version, held)) = known.index.supersede(serial) else {
                continue;
            };
            for (slot, was_held) in Slot::ALL.into_iter().zip(held) {
                let wanted = match self.config.ready {
                    KeepReady::All => self.config.ready_hashes.contains(&slot.hash()),
                    KeepReady::Queried => was_held,
                };
                if wanted {
                    flights.push(Flight {
                        issuer: place,
                        serial: serial.clone(),
                        slot,
                        version,
                    });
                }
            }
        }
        if flights.is_empty() || known.signing(self.now()).is_none() {
            return;
        }
        let count = flights.len();
        let signing = async {
            let mut flights = flights.into_iter();
            loop {
                let mut under_way = Vec::new();
                for flight in flights.by_ref().take(AT_ONCE) {
                    let errand = self.errand(Purpose::Replace, Priority::Revocation);
                    under_way.extend(self.fly(flight, errand, false));
                }
                if under_way.is_empty() {
                    return;
                }
                for mut answer in under_way {
                    // An answer that was not signed is signed when asked for.
                    let _ = answer.wait_for(Option::is_some).await;
                }
            }
        };
        if timeout(self.config.sign_timeout, signing).await.is_err() {
            warn!(
                issuer = %issuer,
                "{count} OCSP answers of {issuer} have changed and not all of them were signed in \
                 time; the rest is signed when asked for"
            );
        }
        self.metrics
            .replace_seconds
            .observe(began.elapsed().as_secs_f64());
    }
}
