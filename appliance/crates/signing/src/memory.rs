//! How much evidence is in memory, over all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use crate::problem::SigningProblem;

/// The memory that evidence may take.
#[derive(Debug, Clone)]
pub(crate) struct EvidenceMemory(Arc<Shared>);

/// What requests share.
#[derive(Debug)]
struct Shared {
    /// Octets taken.
    taken: AtomicU64,
    /// Octets there are.
    most: u64,
    /// The same as `taken`, for `/metrics`.
    gauge: Gauge,
}

/// Octets that one request took; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct TakenMemory {
    /// From where.
    from: EvidenceMemory,
    /// How many.
    octets: u64,
}

impl EvidenceMemory {
    /// Sets memory aside.
    pub(crate) fn new(most: u64, gauge: Gauge) -> Self {
        Self(Arc::new(Shared {
            taken: AtomicU64::new(0),
            most,
            gauge,
        }))
    }

    /// Begins to take, nothing so far.
    pub(crate) fn begin(&self) -> TakenMemory {
        TakenMemory {
            from: self.clone(),
            octets: 0,
        }
    }
}

impl TakenMemory {
    /// Takes more.
    ///
    /// # Errors
    ///
    /// `Crowded` when other requests have it.
    pub(crate) fn take(&mut self, octets: u64) -> Result<(), SigningProblem> {
        let shared = &self.from.0;
        let taken = shared.taken.fetch_add(octets, Ordering::Relaxed) + octets;
        if taken > shared.most {
            shared.taken.fetch_sub(octets, Ordering::Relaxed);
            return Err(SigningProblem::Crowded);
        }
        self.octets += octets;
        shared.gauge.inc_by(octets as i64);
        Ok(())
    }
}

impl Drop for TakenMemory {
    fn drop(&mut self) {
        let shared = &self.from.0;
        shared.taken.fetch_sub(self.octets, Ordering::Relaxed);
        shared.gauge.dec_by(self.octets as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_and_given_back() {
        let memory = EvidenceMemory::new(100, Gauge::default());
        let mut one = memory.begin();
        one.take(60).unwrap();
        let mut other = memory.begin();
        other.take(40).unwrap();
        assert!(matches!(other.take(1), Err(SigningProblem::Crowded)));
        drop(one);
        other.take(60).unwrap();
        drop(other);
        assert_eq!(memory.0.gauge.get(), 0);
    }
}
