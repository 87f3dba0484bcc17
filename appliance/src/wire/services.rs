//! Which services a process runs, and the order of their start and end.

use mesh::Health;
use sd_notify::NotifyState;
use tracing::info;

use super::acme::{self, AcmeSide};
use super::ca::CaSide;
use super::serve::{Process, Running};
use super::supervisor::tell;
use crate::failure::Failure;

/// Which services a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Services {
    /// The CA.
    pub(crate) ca: bool,
    /// The ACME service.
    pub(crate) acme: bool,
}

/// The readiness check of the start and the end.
const SERVICES: &str = "services";

/// Says on `/readyz` that the services start, or stop.
pub(super) fn say_unready(health: &Health, reason: &'static str) {
    health.register(SERVICES, move || Err(reason.to_owned()));
}

/// The services of a process.
#[derive(Default)]
pub(super) struct Parts {
    /// The CA.
    ca: Option<CaSide>,
    /// The ACME service.
    acme: Option<AcmeSide>,
}

impl Parts {
    /// Starts the services in order and waits until one cannot go on. May be
    /// dropped at any time.
    pub(super) async fn serve(
        &mut self,
        process: &Process<'_>,
        services: Services,
        telemetry: &mut Running,
    ) -> Failure {
        if let Err(failure) = self.start(process, services).await {
            return failure;
        }
        process.shared.health.register(SERVICES, || Ok(()));
        tell(&[NotifyState::Ready]);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            "chancery {} serves",
            env!("CARGO_PKG_VERSION")
        );
        let Self { ca, acme } = self;
        tokio::select! {
            Some(failure) = ended(ca.as_mut().map(CaSide::ended)) => failure,
            Some(failure) = ended(acme.as_mut().map(|acme| acme.ended(process))) => failure,
            failure = telemetry.ended() => failure,
            else => Failure::new("serve: nothing runs"),
        }
    }

    /// Starts the services.
    ///
    /// Beside their CA the others are not waited for, so that the CA counts as
    /// started even while nobody has enrolled them.
    async fn start(&mut self, process: &Process<'_>, services: Services) -> Result<(), Failure> {
        if services.ca {
            let ca = self.ca.insert(CaSide::open(process).await?);
            ca.start(process).await?;
        }
        if services.acme {
            let acme = self.acme.insert(acme::open(process).await?);
            if !services.ca {
                acme.start(process).await?;
            }
        }
        Ok(())
    }

    /// Stops them in the reverse order: the others finish with the CA there.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let acme = match self.acme {
            Some(acme) => acme.stop().await,
            None => Ok(()),
        };
        let ca = match self.ca {
            Some(ca) => ca.stop().await,
            None => Ok(()),
        };
        acme.and(ca)
    }
}

/// Waits for a service's end; at once for one that is not there.
async fn ended(service: Option<impl Future<Output = Failure>>) -> Option<Failure> {
    match service {
        Some(ended) => Some(ended.await),
        None => None,
    }
}
