//! The distribution listener: what relying parties fetch, without TLS and without
//! a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh::{Security, Server, ServerHandle, Shared};

use crate::config::CheckedCaConfig;
use crate::error::Error;
use crate::http::{OcspExpress, distribution_routes};
use crate::metrics::CaMetrics;
use crate::publication::Publication;

/// The distribution listener, bound and ready to [run](Self::run).
#[derive(Debug)]
pub struct DistributionService {
    /// What it serves.
    publication: Arc<Publication>,
    /// The listener.
    server: Server,
    /// Where the runway is told.
    metrics: CaMetrics,
}

/// How often the runway is measured.
const RUNWAY_EVERY: Duration = Duration::from_secs(5);

impl DistributionService {
    /// Binds the listener.
    ///
    /// # Errors
    ///
    /// `Mesh` when the address cannot be had.
    pub fn bind(
        config: &CheckedCaConfig,
        publication: Arc<Publication>,
        shared: &Shared,
        metrics: CaMetrics,
    ) -> Result<Self, Error> {
        let express = OcspExpress(Arc::clone(&publication.responder));
        let server = Server::bind_with(
            "distribution",
            &config.distribution,
            &Security::Plain,
            shared,
            distribution_routes(Arc::clone(&publication)),
            Some(Arc::new(express)),
        )?;
        Ok(Self {
            publication,
            server,
            metrics,
        })
    }

    /// Returns the address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Returns a handle that stops it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until stopped, and measures the runway meanwhile.
    ///
    /// # Errors
    ///
    /// `Mesh` when the server could not go on.
    pub async fn run(self) -> Result<(), Error> {
        let Self {
            publication,
            server,
            metrics,
        } = self;
        let measuring = async {
            loop {
                if let Some(left) = publication.runway().left {
                    metrics.runway(left);
                }
                tokio::time::sleep(RUNWAY_EVERY).await;
            }
        };
        tokio::select! {
            outcome = server.run() => Ok(outcome?),
            () = measuring => Ok(()),
        }
    }
}
